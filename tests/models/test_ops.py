import math

import pytest
import torch
import torch.nn.functional as F

from studio.models import ops


def naive_upfirdn(x, taps, up, down, padding, gain):
    """The definition, pixel by pixel."""
    n, c, h, w = x.shape
    left, right, top, bottom = padding
    kh, kw = taps.shape
    grid = torch.zeros(n, c, h * up, w * up, dtype=x.dtype)
    grid[:, :, ::up, ::up] = x
    rows, columns = h * up + top + bottom, w * up + left + right
    out = torch.zeros(n, c, (rows - kh) // down + 1, (columns - kw) // down + 1, dtype=x.dtype)
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            for a in range(kh):
                for b in range(kw):
                    y, z = i * down + a - top, j * down + b - left
                    if 0 <= y < h * up and 0 <= z < w * up:
                        out[:, :, i, j] += grid[:, :, y, z] * taps[kh - 1 - a, kw - 1 - b] * gain
    return out


@pytest.mark.parametrize(("up", "down"), [(1, 1), (2, 1), (1, 2), (2, 2), (3, 2)])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (2, 1, 3, 0), (-1, 2, 1, -1)])
def test_upfirdn2d_is_its_definition(up, down, padding):
    x = torch.randn(2, 2, 6, 7, dtype=torch.float64)
    taps = torch.randn(3, 4, dtype=torch.float64)
    expected = naive_upfirdn(x, taps, up, down, padding, 1.7)
    assert torch.allclose(ops.upfirdn2d(x, taps, up=up, down=down, padding=padding, gain=1.7), expected)


def test_a_filter_in_one_dimension_is_its_outer_product_in_two():
    x = torch.randn(1, 2, 9, 9, dtype=torch.float64)
    taps = torch.randn(5, dtype=torch.float64).abs()
    expected = ops.upfirdn2d(x, torch.outer(taps, taps), up=2, down=1, padding=(2, 3, 1, 2), gain=4.0)
    assert torch.allclose(ops.upfirdn2d(x, taps, up=2, down=1, padding=(2, 3, 1, 2), gain=4.0), expected)


@pytest.mark.parametrize(
    ("up", "down", "padding"), [(2, 1, (2, 1, 2, 1)), (1, 2, (1, 1, 2, 0)), (1, 1, (-1, 2, 1, 1)), (2, 3, (4, 1, 0, 2))]
)
def test_upfirdn2d_has_right_first_and_second_derivatives(up, down, padding):
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    taps = torch.randn(3, 3, dtype=torch.float64)

    def resample(x):
        return ops.upfirdn2d(x, taps, up=up, down=down, padding=padding)

    assert torch.autograd.gradcheck(resample, x)
    assert torch.autograd.gradgradcheck(resample, x)


def test_up_and_down_keep_the_brightness_of_a_flat_picture_inside():
    taps = ops.setup_filter([1, 3, 3, 1])
    flat = torch.ones(1, 1, 12, 12)
    assert torch.allclose(ops.upsample2d(flat, taps)[..., 2:-2, 2:-2], torch.ones(20, 20))
    assert torch.allclose(ops.downsample2d(flat, taps)[..., 1:-1, 1:-1], torch.ones(4, 4))


def test_a_picture_keeps_its_precision_under_autocast():
    x = torch.rand(1, 3, 8, 8)
    taps = ops.setup_filter([1, 3, 3, 1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(ops.upsample2d(x, taps), ops.upsample2d(x.clone(), taps).float())
        assert ops.upsample2d(x, taps).dtype == torch.float32


def naive_modulated(x, weight, styles, demodulate, noise):
    """Modulate the weights themselves, sample by sample (the paper's equations 1 to 3)."""
    out = []
    for sample, style in zip(x, styles, strict=True):
        own = weight * style[None, :, None, None]
        if demodulate:
            own = own / (own.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        out.append(F.conv2d(sample[None], own, padding=1)[0])
    return torch.stack(out) + noise


@pytest.mark.parametrize("demodulate", [True, False])
def test_scaling_activations_equals_modulating_weights(demodulate):
    x, weight, styles = torch.randn(3, 4, 6, 6), torch.randn(5, 4, 3, 3), torch.randn(3, 4)
    noise = torch.randn(3, 1, 6, 6)
    got = ops.modulated_conv2d(x, weight, styles, demodulate=demodulate, padding=1, noise=noise)
    assert torch.allclose(got, naive_modulated(x, weight, styles, demodulate, noise), atol=1e-4)


def test_half_precision_does_not_overflow_where_styles_are_large():
    x, weight, styles = torch.randn(1, 64, 8, 8), torch.randn(8, 64, 3, 3) * 100, torch.rand(1, 64) * 500 + 1
    exact = ops.modulated_conv2d(x, weight, styles, padding=1)
    half = ops.modulated_conv2d(x.half(), weight, styles, padding=1).float()
    assert (half - exact).norm() / exact.norm() < 5e-3


def test_the_gain_of_a_modulated_convolution_scales_the_noise_too():
    x, weight, styles, noise = torch.randn(2, 3, 4, 4), torch.randn(3, 3, 3, 3), torch.randn(2, 3), torch.randn(4, 4)
    once = ops.modulated_conv2d(x, weight, styles, padding=1, noise=noise)
    assert torch.allclose(ops.modulated_conv2d(x, weight, styles, padding=1, noise=noise, gain=3.0), 3 * once, atol=1e-5)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_mixing_channels_is_a_modulated_convolution_of_one_pixel(layout):
    x, weight, styles = torch.randn(2, 5, 4, 6), torch.randn(3, 5), torch.randn(2, 5)
    expected = ops.modulated_conv2d(x, weight[:, :, None, None], styles, demodulate=False)
    assert torch.allclose(ops.modulated_mix(x.contiguous(memory_format=layout), weight, styles), expected, atol=1e-5)


def test_upsampling_convolution_is_zeros_in_between_then_both_filters():
    x, weight = torch.randn(1, 2, 5, 5, dtype=torch.float64), torch.randn(3, 2, 3, 3, dtype=torch.float64)
    taps = ops.setup_filter([1, 3, 3, 1]).double()
    spread = torch.zeros(1, 2, 13, 13, dtype=torch.float64)
    spread[:, :, 2:11:2, 2:11:2] = x
    filtered = F.conv2d(spread, weight.flip(2, 3))
    smooth = F.conv2d(filtered, 4 * taps.expand(3, 1, 4, 4), groups=3, padding=1)
    assert torch.allclose(ops.conv2d_up(x, weight, taps=taps, padding=1), smooth)


def test_downsampling_convolution_of_size_one_filters_then_mixes_channels():
    x, weight = torch.randn(1, 2, 8, 8), torch.randn(3, 2, 1, 1)
    taps = ops.setup_filter([1, 3, 3, 1])
    expected = ops.downsample2d(F.conv2d(x, weight), taps)
    assert torch.allclose(ops.conv2d_down(x, weight, taps=taps, padding=0), expected, atol=1e-5)


@pytest.mark.parametrize("act", sorted(ops.HOMOGENEOUS))
def test_a_gain_passes_through_homogeneous_activations(act):
    x = torch.randn(2, 3, 4, 4)
    assert torch.allclose(ops.bias_act(x * 3, act=act, gain=1.0), ops.bias_act(x, act=act, gain=3.0), atol=1e-6)


@pytest.mark.parametrize("act", sorted(ops.ACTIVATIONS))
def test_the_clamp_holds_after_the_gain(act):
    x = torch.randn(2, 3) * 100
    assert ops.bias_act(x, torch.ones(3), act=act, clamp=0.5).abs().max() <= 0.5


def test_filtered_lrelu_is_its_five_steps():
    x, bias = torch.randn(1, 2, 8, 8), torch.randn(2)
    taps = ops.setup_filter([1, 2, 1])
    up = ops.upfirdn2d(x + bias[:, None, None], taps, up=2, padding=3, gain=4.0)
    expected = ops.upfirdn2d((F.leaky_relu(up, 0.2) * math.sqrt(2)).clamp(-1, 1), taps, down=2)
    got = ops.filtered_lrelu(x, taps, taps, bias, up=2, down=2, padding=3, clamp=1.0)
    assert torch.allclose(got, expected, atol=1e-6)
