"""The fast paths of the image translators against the plain networks."""

import pytest
import torch
from torch import nn

from studio.accel import compare
from studio.accel.candidate import Candidate
from studio.accel.kernels_translators import KERNELS, REFLECT, REPLICATE, ZEROS
from studio.accel.kernels_winograd_bordered import BorderedConv
from studio.accel.translator_convs import Closing, Stage, bordered
from studio.accel.translator_parts import Border, Norm, Raw, Values
from studio.accel.translators import FastResnet, FastUnet, candidates, halved
from studio.models.translator_layers import init_weights
from studio.models.translators import ResnetTranslator, UnetTranslator


def picture(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def lively(net):
    """Give a network weights that keep its values near 1 throughout, and every norm and bias something to do."""
    generator = torch.Generator().manual_seed(1)
    init_weights(net, generator=generator)
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            inputs = layer.weight.shape[1 - isinstance(layer, nn.ConvTranspose2d)] * layer.weight[0, 0].numel()
            nn.init.normal_(layer.weight, 0, inputs**-0.5, generator=generator)
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d)) and layer.bias is not None:
            nn.init.normal_(layer.bias, 0, 0.3, generator=generator)
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, 0, 0.3, generator=generator)
            nn.init.uniform_(layer.running_var, 0.5, 2, generator=generator)
    return net.eval().requires_grad_(False)


VARIANTS = [
    {"n_blocks": 2},
    {"ngf": 20, "n_blocks": 1, "norm": "batch"},
    {"n_blocks": 1, "downsample": "antialias", "upsample": "antialias"},
    {"n_blocks": 1, "upsample": "resize", "n_downs": 1},
    {"n_blocks": 1, "upsample": "resize", "resize_mode": "nearest", "resize_padding": "zeros", "block_padding": "zeros"},
    {"n_blocks": 1, "norm": "instance-affine", "block_padding": "replicate"},
    {"n_blocks": 1, "norm": "none", "conv_bias": True, "img_channels_in": 1, "img_channels_out": 4},
]


@pytest.mark.parametrize("mode", ["published", "eval"])
@pytest.mark.parametrize("config", VARIANTS)
def test_the_exact_path_equals_the_network_at_any_size(config, mode):
    net = lively(ResnetTranslator(**{"ngf": 8, **config}))
    net.norm_mode = mode
    fast = FastResnet(net, torch.float32)
    for size in [(net.min_size, 12), (20, 36)]:
        img = picture(2, net.img_channels_in, *size)
        assert compare.relative_error(fast(img), net(img)) < compare.EXACT_ERROR


UNETS = [
    ({"ngf": 5, "n_downs": 2}, (4, 12)),
    ({"ngf": 8, "n_downs": 5, "norm": "instance"}, (32, 64)),
    ({"ngf": 16, "n_downs": 3, "norm": "none", "conv_bias": True, "img_channels_in": 1, "img_channels_out": 2}, (16, 8)),
]


@pytest.mark.parametrize("mode", ["published", "eval"])
@pytest.mark.parametrize(("config", "size"), UNETS)
def test_the_exact_path_of_a_unet_equals_the_network(config, size, mode):
    net = lively(UnetTranslator(**config))
    net.norm_mode = mode
    img = picture(2, net.img_channels_in, *size)
    assert compare.relative_error(FastUnet(net, torch.float32)(img), net(img)) < compare.EXACT_ERROR
    assert compare.psnr(FastUnet(net, torch.bfloat16)(img), net(img)) > 40


@pytest.mark.parametrize("config", VARIANTS)
def test_the_bfloat16_path_looks_like_the_network(config):
    net = lively(ResnetTranslator(**{"ngf": 16, **config}))
    img = picture(1, net.img_channels_in, 48, 64)
    assert compare.psnr(FastResnet(net, torch.bfloat16)(img), net(img)) > 40


def test_fast_paths_follow_norm_mode_and_dropout():
    net = lively(ResnetTranslator(ngf=8, n_blocks=1, norm="batch", dropout=True))
    fast, img = FastResnet(net, torch.float32), picture(1, 3, 16, 16)
    answers = []
    for net.norm_mode, net.dropout_on in [("published", False), ("eval", False), ("published", True)]:
        answers.append(fast(img))
        assert compare.relative_error(answers[-1], net(img)) < compare.EXACT_ERROR
    assert not torch.allclose(answers[0], answers[1], atol=1e-3)
    assert not torch.allclose(answers[0], answers[2], atol=1e-3)


def test_fast_paths_keep_their_own_weights_and_leave_the_pictures_alone():
    net = lively(ResnetTranslator(ngf=8, n_blocks=1))
    img = picture(1, 3, 16, 16)
    given, calls = img.clone(), [candidate.build() for candidate in candidates(net, "auto", torch.device("cpu"))]
    before = [call(img) for call in calls]
    init_weights(net, gain=0.5, generator=torch.Generator().manual_seed(2))
    assert all(torch.equal(call(img), answer) for call, answer in zip(calls, before, strict=True))
    assert torch.equal(img, given)


@pytest.mark.parametrize("net", [ResnetTranslator(ngf=16, n_blocks=2), UnetTranslator(ngf=8, n_downs=4)])
@pytest.mark.parametrize("precision", ["exact", "auto"])
def test_every_candidate_is_a_stand_in_for_the_network(net, precision):
    net = lively(net)
    img = picture(1, 3, 32, 32)
    for candidate in candidates(net, precision, torch.device("cpu")):
        assert isinstance(candidate, Candidate)
        out = candidate.build()(img)
        assert out.shape == img.shape
        assert out.dtype == torch.float32
        assert compare.psnr(out, net(img)) > (100 if precision == "exact" else 35)


@pytest.mark.parametrize("net", [ResnetTranslator(ngf=16, n_blocks=2), UnetTranslator(ngf=8, n_downs=4)])
def test_without_bfloat16_units_the_automatic_path_is_exact(net, monkeypatch):
    monkeypatch.setattr("studio.accel.translators.bfloat16_wins", lambda: False)
    net, img = lively(net), picture(1, 3, 32, 32)
    (path,) = candidates(net, "auto", torch.device("cpu"))
    assert compare.relative_error(path.build()(img), net(img)) < compare.EXACT_ERROR


def test_the_half_precision_copy_looks_like_the_network_and_follows_norm_mode():
    net = lively(ResnetTranslator(ngf=16, n_blocks=1, norm="batch"))
    call, img = halved(net, torch.bfloat16), picture(1, 3, 32, 32)
    for net.norm_mode in ("published", "eval"):
        assert compare.psnr(call(img), net(img)) > 35


def border_of(x, border):
    kinds = {ZEROS: "constant", REFLECT: "reflect", REPLICATE: "replicate"}
    return nn.functional.pad(x, (border.left, border.right, border.top, border.bottom), mode=kinds[border.mode])


@pytest.mark.parametrize("border", [Border(), Border(0, 0, 1, 1), Border.around(3, REFLECT), Border(1, 2, 0, 3, REPLICATE)])
def test_writing_normalises_activates_adds_and_fills_borders_in_one_pass(border):
    values, inset = picture(1, 80, 5, 7), picture(1, 80, 7, 9, seed=1)
    norm = Norm(nn.InstanceNorm2d(80), None, 80)
    dense = Values.dense(values.contiguous(memory_format=torch.channels_last))
    raw = Raw(dense, norm.affine(dense, own=True))
    out = raw.write(border, slope=0.2, residual=inset.contiguous(memory_format=torch.channels_last), inset=1)
    wanted = nn.functional.leaky_relu(nn.functional.instance_norm(values), 0.2) + inset[..., 1:-1, 1:-1]
    assert torch.allclose(out, border_of(wanted, border), atol=1e-5)


def test_statistics_survive_a_mean_a_thousand_times_the_deviation():
    values = (1000 + picture(1, 32, 64, 64)).contiguous(memory_format=torch.channels_last)
    scale, shift = Norm(nn.InstanceNorm2d(32, eps=0.0), None, 32).affine(Values.dense(values), own=True)
    exact = values.double()[0].flatten(1)
    assert torch.allclose(scale.double(), 1 / exact.std(1, correction=0), rtol=1e-5)
    assert torch.allclose(shift.double() / scale, -exact.mean(1), rtol=1e-6)


@pytest.mark.parametrize("norm", [nn.Identity(), nn.InstanceNorm2d(8)])
@pytest.mark.parametrize(
    "layer", [nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1, output_padding=1), nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1)]
)
def test_a_transposed_convolution_is_made_of_ordinary_ones(layer, norm):
    x = picture(1, 16, 5, 6)
    with torch.no_grad():
        stage = Stage(layer, norm, torch.float32)
        padded = border_of(x, stage.border).contiguous(memory_format=torch.channels_last)
        assert torch.allclose(stage(padded, own=True).write(slope=1.0)[:, :8], norm(layer(x)), atol=1e-5)


@pytest.mark.parametrize("dtype", list(KERNELS))
def test_enlarging_equals_bilinear_and_nearest_interpolation(dtype):
    x = picture(1, 16, 3, 4).to(dtype).contiguous(memory_format=torch.channels_last)
    for near, mode in [(0.75, "bilinear"), (1.0, "nearest")]:
        out = torch.empty(1, 16, 8, 10, dtype=dtype, memory_format=torch.channels_last)
        KERNELS[dtype].enlarge(8, x, out, 3, 4, 16, near, 1, REFLECT)
        wanted = nn.functional.interpolate(x.float(), scale_factor=2, mode=mode)
        assert torch.allclose(out.float(), border_of(wanted, Border.around(1, REFLECT)), atol=1e-6 if dtype == torch.float32 else 4e-3)


@pytest.mark.parametrize(("height", "width"), [(4, 4), (12, 40), (64, 20)])
def test_the_bordered_convolution_equals_an_ordinary_one_over_any_border(height, width):
    x, weight = picture(1, 32, height + 2, width + 2), picture(64, 32, 3, 3, seed=1)
    got = BorderedConv(weight)(x.contiguous(memory_format=torch.channels_last))
    assert compare.relative_error(got, nn.functional.conv2d(x.double(), weight.double())) < 3e-6


@pytest.mark.parametrize(("height", "width"), [(2, 3), (8, 5), (9, 12)])
def test_the_border_of_a_bordered_stage_fills_up_its_tiles_and_begins_like_padding(height, width):
    x, border = picture(1, 16, height, width), bordered(height, width, REFLECT)
    dense = Values.dense(x.contiguous(memory_format=torch.channels_last))
    out = Raw(dense, torch.stack([torch.ones(16), torch.zeros(16)])).write(border, slope=1.0)
    assert (out.shape[2] - 2) % 4 == (out.shape[3] - 2) % 4 == 0
    assert torch.equal(out[..., : height + 2, : width + 2], border_of(x, Border.around(1, REFLECT)))


@pytest.mark.parametrize("dtype", list(KERNELS))
def test_closing_is_a_convolution_and_tanh(dtype):
    layer, x = nn.Conv2d(16, 3, 7), picture(1, 16, 9, 12)
    with torch.no_grad():
        out = Closing(layer, dtype)(x.to(dtype).contiguous(memory_format=torch.channels_last))
        assert torch.allclose(out, torch.tanh(layer(x)), atol=1e-5 if dtype == torch.float32 else 2e-2)
