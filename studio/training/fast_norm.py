"""Instance norm for training on a CPU: channels stay last in memory, so that no convolution around it has to re-order its input.

torch's own goes through batch norm, which works channel by channel; half of a translator's step was spent on copies because of that. The
values are the same. This is *not* for inference: see ``studio/accel``.
"""

from typing import Any

import torch
from torch import Tensor, nn


class _Normalise(torch.autograd.Function):
    """``(x - mean) / sqrt(var + eps)`` per picture and channel; differentiable once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:
        """Normalise ``x [n, c, h, w]``."""
        x = x.contiguous(memory_format=torch.channels_last)
        n, c, h, w = x.shape
        y, _, inverse_deviation = torch.native_group_norm(x, None, None, n, c, h * w, c, eps)
        ctx.save_for_backward(y, inverse_deviation)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return ``(g - mean(g) - y mean(g y)) / deviation``, the means as matrix products over the pixels."""
        y, inverse_deviation = ctx.saved_tensors
        n, c, h, w = y.shape

        def rows(x: Tensor) -> Tensor:
            return x.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1).reshape(n, h * w, c)

        gradient, normal = rows(gradients[0]), rows(y)
        scale = inverse_deviation.float().view(n, 1, c)
        ones = gradient.new_ones(n, 1, h * w)
        mean = torch.bmm(ones, gradient).float() / (h * w)
        slope = torch.bmm(ones, gradient * normal).float() / (h * w)
        dtype = gradient.dtype
        result = torch.addcmul((-mean * scale).to(dtype), gradient, scale.to(dtype)).addcmul_(normal, (-slope * scale).to(dtype))
        return result.view(n, h, w, c).permute(0, 3, 1, 2), None


class FastInstanceNorm(nn.Module):
    """A stand-in for :class:`torch.nn.InstanceNorm2d` without parameters."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each channel of each picture of ``x [n, c, h, w]``."""
        result: Tensor = _Normalise.apply(x, self.eps)
        return result


def speed_up_norms(network: nn.Module) -> None:
    """Replace the instance norms of a network in place; they have no parameters, so its state stays the same."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.InstanceNorm2d) and not child.affine and not child.track_running_stats:
                setattr(module, name, FastInstanceNorm(child.eps))
