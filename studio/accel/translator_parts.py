"""Activations on a translator's fast path: where they lie, their norms as scale and shift, and how they are written.

See ``translators.py`` for what they are put together to.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.accel.kernels_translators import KERNELS, ZEROS
from studio.accel.simd import LANES


class Border(NamedTuple):
    """What surrounds an activation in memory, in pixels, and how it is filled."""

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0
    mode: int = ZEROS

    @classmethod
    def around(cls, pixels: int, mode: int) -> Border:
        """Return a border of the same width on all sides."""
        return cls(pixels, pixels, pixels, pixels, mode)


BARE = Border()


def round_up(channels: int) -> int:
    """Return the next multiple of the vector length."""
    return -(-channels // LANES) * LANES


def empty(height: int, width: int, channels: int, dtype: torch.dtype) -> Tensor:
    """Return an activation ``[1, channels, height, width]`` with channels last in memory."""
    return torch.empty((1, channels, height, width), dtype=dtype, memory_format=torch.channels_last)


@dataclass(frozen=True)
class Values:
    """What a convolution left in memory: one plane, or four for the parities of (row, column); see ``_normalise``.

    ``tensors`` keeps the memory alive; ``addresses`` are those of the planes (four times the same without a split), ``pixel``
    and ``pitch`` the distances of pixels and rows in values, ``height`` and ``width`` those of the whole.
    """

    tensors: list[Tensor]
    addresses: list[int]
    pixel: int
    pitch: int
    height: int
    width: int
    split: int = 0

    @classmethod
    def dense(cls, x: Tensor, size: tuple[int, int] | None = None) -> Values:
        """Describe ``x [1, channels, H, W]``, channels last, or the part of ``size`` at its upper left."""
        channels, height, width = x.shape[1:]
        return cls([x], [x.data_ptr()] * 4, channels, width * channels, *(size or (height, width)))

    @property
    def dtype(self) -> torch.dtype:
        """The type of the values."""
        return self.tensors[0].dtype

    def rows(self, first: int, count: int) -> Values:
        """Describe some of the rows of one plane."""
        assert not self.split
        offset = first * self.pitch * self.tensors[0].element_size()
        return replace(self, addresses=[address + offset for address in self.addresses], height=count)


class Norm:
    """A norm as a scale and a shift per channel: fixed ones, or from the picture's own statistics."""

    def __init__(self, layer: nn.Module, conv_bias: Tensor | None, channels: int) -> None:
        self.channels = round_up(channels)
        bias = torch.zeros(channels) if conv_bias is None else conv_bias.detach().float()
        weight, offset, scale, shift = torch.ones(channels), torch.zeros(channels), torch.ones(channels), bias
        self.eps = float(getattr(layer, "eps", 0.0))
        self.can_measure = isinstance(layer, (nn.InstanceNorm2d, nn.BatchNorm2d))
        self.can_recall = not isinstance(layer, nn.InstanceNorm2d)
        if isinstance(layer, (nn.InstanceNorm2d, nn.BatchNorm2d)) and layer.affine:
            weight, offset = layer.weight.detach().float(), layer.bias.detach().float()
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None and layer.running_var is not None
            scale = weight / torch.sqrt(layer.running_var + self.eps)
            shift = offset + (bias - layer.running_mean) * scale
        self.weight, self.offset = self._pad(weight), self._pad(offset)
        self.fixed = torch.stack([self._pad(scale), self._pad(shift)])

    def _pad(self, values: Tensor) -> Tensor:
        return F.pad(values, (0, self.channels - values.shape[0])).clone()

    def measures(self, own: bool) -> bool:
        """Say whether the norm takes the values' own statistics, where a batch norm does so if ``own``."""
        return self.can_measure and (own or not self.can_recall)

    def affine(self, values: Values, *, own: bool) -> Tensor:
        """Return scale and shift, ``[2, channels]``: from the values themselves where the norm measures and ``own`` asks."""
        if not self.measures(own):
            return self.fixed
        reference, sums, count = sum_rows(values, self.channels)
        affine = torch.empty(2, self.channels)
        counts = (len(sums), self.channels, count, self.eps)
        KERNELS[values.dtype].finish(self.channels, sums, reference, self.weight, self.offset, affine, *counts, grain=LANES)
        return affine


def sum_rows(values: Values, channels: int, out: Tensor | None = None) -> tuple[Tensor, Tensor, int]:
    """Sum ``v - k`` and its square for each row and channel.

    Args:
        values: What to sum up.
        channels: Channels of one pixel.
        out: Where to copy the values on the way, ``[1, channels, height, width]`` with channels last.

    Returns:
        ``k [channels]``, the sums ``[rows, 2, channels]`` (all float32), and how many values each channel has in all.
    """
    rows, width = values.height >> values.split, values.width >> values.split
    total_rows = rows << 2 * values.split
    reference = values.tensors[0][0, :channels, 0, 0].float()
    sums = torch.empty(total_rows, 2, channels)
    sizes = (rows, width, channels, values.pixel, values.pitch)
    target = values.addresses[0] if out is None else out.data_ptr()
    KERNELS[values.dtype].sums(total_rows, *values.addresses, reference, sums, *sizes, target, values.split, int(out is not None))
    return reference, sums, total_rows * width


@dataclass(frozen=True)
class Raw:
    """The values of a convolution, not normalised yet, and the norm's scale and shift for them."""

    values: Values
    affine: Tensor

    @property
    def channels(self) -> int:
        """Channels of one pixel."""
        return self.affine.shape[1]

    def write(
        self,
        border: Border = BARE,
        *,
        slope: float = 0.0,
        residual: Tensor | None = None,
        inset: int = 0,
        out: Tensor | None = None,
        first: int = 0,
    ) -> Tensor:
        """Normalise, apply ``max(v, slope v)``, add a residual and fill the border, in one pass.

        Args:
            border: What to leave around the result.
            slope: 0 is ReLU, 1 is none, between is a leaky ReLU.
            residual: What to add, from row and column ``inset`` on.
            inset: See ``residual``.
            out: Where to write, from channel ``first`` on; None makes a new tensor.
            first: See ``out``.

        Returns:
            ``[1, channels, top + height + bottom, left + width + right]``, channels last.
        """
        values = self.values
        height, width = border.top + values.height + border.bottom, border.left + values.width + border.right
        out = empty(height, width, self.channels, values.dtype) if out is None else out
        address = out.data_ptr() + first * out.element_size()
        sizes = (values.height, values.width, self.channels, values.pixel, values.pitch, values.split, *border)
        other = out if residual is None else residual
        more = (slope, int(residual is not None), inset, other.shape[3], out.shape[1])
        KERNELS[out.dtype].normalise(height, *values.addresses, self.affine, other, address, *sizes, *more)
        return out
