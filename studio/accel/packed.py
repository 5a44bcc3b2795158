"""Convolutions of the CPU library with weights laid out once, as it likes them. Shared by the fast paths of all families."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.accel.runtime import has_bfloat16_units


def can_pack(dtype: torch.dtype) -> bool:
    """Say whether the CPU library lays out weights of this type here: bfloat16 only where it also calculates in it."""
    if dtype == torch.bfloat16:
        return has_bfloat16_units()
    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


class PackedConv:
    """A convolution whose weights lie in memory as the CPU library likes them, for dense channels-last input."""

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, *, stride: int = 1, padding: int = 0) -> None:
        self.weight = weight.detach().to(dtype, copy=True).contiguous(memory_format=torch.channels_last)
        self.bias = None if bias is None else bias.detach().to(dtype, copy=True)
        self.stride, self.padding = [stride] * 2, [padding] * 2
        self.is_packed = can_pack(dtype)
        if self.is_packed:
            likely = [1, weight.shape[1], 128, 128]
            pack = torch.ops.mkldnn._reorder_convolution_weight
            self.weight = pack(self.weight, self.padding, self.stride, [1, 1], 1, likely)

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve ``x [1, in, H, W]``."""
        if not self.is_packed:
            return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, self.padding, self.stride, [1, 1], 1, "none", [], ""
        )
        return result
