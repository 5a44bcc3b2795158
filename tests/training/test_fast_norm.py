"""The fast instance norm is torch's, in value and gradient."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from studio.training.fast_norm import FastInstanceNorm, speed_up_norms


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_equal_those_of_torch(layout: torch.memory_format) -> None:
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(2, 5, 6, 7, generator=generator) * 3 + 2).to(memory_format=layout)
    weight = torch.randn(2, 5, 6, 7, generator=generator)
    ours, theirs = x.clone().requires_grad_(True), x.clone().requires_grad_(True)
    out, expected = FastInstanceNorm(1e-5)(ours), F.instance_norm(theirs)
    (out * weight).sum().backward()
    (expected * weight).sum().backward()
    assert torch.allclose(out, expected, atol=1e-5)
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-5)


def test_only_norms_without_parameters_are_replaced_and_names_stay() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.InstanceNorm2d(4), nn.InstanceNorm2d(4, affine=True))
    names = list(network.state_dict())
    speed_up_norms(network)
    assert [type(m).__name__ for m in network] == ["Conv2d", "FastInstanceNorm", "InstanceNorm2d"]
    assert list(network.state_dict()) == names
