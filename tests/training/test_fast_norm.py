"""The fused layers between convolutions are torch's, in value and gradient."""

import pytest
import torch
from torch import nn

from studio.accel.training_ops import spread
from studio.training.fast_norm import speed_up_norms


def layers_of(*, norm, slope, times, padding):
    """The torch layers that one fused step stands for."""
    return nn.Sequential(
        nn.InstanceNorm2d(16) if norm else nn.Identity(),
        nn.LeakyReLU(slope) if slope < 1 else nn.Identity(),
        nn.Upsample(scale_factor=times) if times > 1 else nn.Identity(),
        nn.ReflectionPad2d(padding),
    )


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("norm", "slope", "times", "padding"), [(True, 0.0, 2, 1), (True, 0.2, 1, 0), (True, 1.0, 1, 3), (False, 1.0, 2, 3)]
)
def test_values_and_gradients_equal_those_of_torch(layout, norm, slope, times, padding):
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(2, 16, 6, 7, generator=generator) * 3 + 2).to(memory_format=layout)
    ours, theirs = x.clone().requires_grad_(True), x.clone().requires_grad_(True)
    out = spread(ours, eps=1e-5 if norm else None, slope=slope, times=times, padding=padding)
    expected = layers_of(norm=norm, slope=slope, times=times, padding=padding)(theirs)
    weight = torch.randn(expected.shape, generator=generator)
    (out * weight).sum().backward()
    (expected * weight).sum().backward()
    assert torch.allclose(out, expected, atol=1e-5)
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-4)


def test_bfloat16_stays_within_its_own_rounding():
    x = torch.randn(1, 32, 9, 8, generator=torch.Generator().manual_seed(1)).requires_grad_(True)
    half = x.detach().bfloat16().requires_grad_(True)
    out, expected = (
        spread(half, eps=1e-5, slope=0.0, padding=1),
        layers_of(norm=False, slope=0.0, times=1, padding=1)(nn.InstanceNorm2d(32)(x)),
    )
    out.float().square().sum().backward()
    expected.square().sum().backward()
    assert out.dtype == half.grad.dtype == torch.bfloat16
    assert torch.allclose(out.float(), expected, atol=0.03)
    assert (half.grad.float() - x.grad).abs().max() < 0.05 * x.grad.abs().max() + 0.05


def test_a_network_is_fused_without_a_change_of_its_names_or_its_answer():
    network = nn.Sequential(nn.Conv2d(3, 16, 1), nn.InstanceNorm2d(16), nn.ReLU(), nn.ReflectionPad2d(1), nn.Conv2d(16, 16, 3), nn.Tanh())
    names, x = list(network.state_dict()), torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = network(x)
    speed_up_norms(network)
    assert [type(m).__name__ for m in network] == ["Conv2d", "FusedLayers", "Identity", "Identity", "Conv2d", "Tanh"]
    assert list(network.state_dict()) == names
    assert torch.allclose(network(x), expected, atol=1e-5)


def test_only_norms_without_parameters_are_fused():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.InstanceNorm2d(4, affine=True), nn.ReLU())
    speed_up_norms(network)
    assert [type(m).__name__ for m in network] == ["Conv2d", "InstanceNorm2d", "ReLU"]


def test_channels_that_fill_no_register_go_through_the_layers_one_by_one():
    network = nn.Sequential(nn.InstanceNorm2d(5), nn.ReflectionPad2d(1))
    x = torch.randn(1, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    expected = network(x)
    speed_up_norms(network)
    assert torch.equal(network(x), expected)
