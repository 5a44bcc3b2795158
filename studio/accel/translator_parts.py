"""The parts of a translator's fast path: packed convolutions, norms as scale and shift, and activations still to be written.

See ``translators.py`` for what they are put together to.
"""

from __future__ import annotations

from dataclasses import dataclass
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


class PackedConv:
    """A convolution whose weights lie in memory as the CPU library likes them, for dense channels-last input."""

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, *, stride: int = 1, padding: int = 0) -> None:
        self.weight = weight.detach().to(dtype).contiguous(memory_format=torch.channels_last)
        self.bias = None if bias is None else bias.detach().to(dtype)
        self.stride, self.padding = [stride] * 2, [padding] * 2
        self.is_packed = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
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
        return F.pad(values, (0, self.channels - values.shape[0])).contiguous()

    def affine(self, planes: list[Tensor], rows: int, *, own: bool) -> Tensor:
        """Return scale and shift, ``[2, channels]``, for the values in the first ``rows`` rows of every plane.

        A plane may hold several pixels of ``channels`` values side by side as the channels of one.
        """
        if not self.can_measure or (self.can_recall and not own):
            return self.fixed
        kernels, width = KERNELS[planes[0].dtype], planes[0].shape[3] * planes[0].shape[1] // self.channels
        reference = planes[0][0, : self.channels, 0, 0].float()
        sums = torch.empty(len(planes), rows, 2, self.channels)
        for plane, target in zip(planes, sums, strict=True):
            kernels.sums(rows, plane, reference, target, width, self.channels)
        affine = torch.empty(2, self.channels)
        total_rows = rows * len(planes)
        sizes = (total_rows, self.channels, total_rows * width, self.eps)
        kernels.finish(self.channels, sums, reference, self.weight, self.offset, affine, *sizes, grain=LANES)
        return affine


@dataclass
class Raw:
    """The values of a convolution, not normalised yet, and the norm's scale and shift for them."""

    planes: list[Tensor]
    affine: Tensor
    height: int
    width: int

    @property
    def channels(self) -> int:
        """Channels of one pixel."""
        return self.affine.shape[1]

    def write(self, border: Border = BARE, *, slope: float = 0.0, residual: Tensor | None = None, inset: int = 0) -> Tensor:
        """Normalise, apply ``max(v, slope v)``, add the inner part of ``residual`` (its border is ``inset``), fill ``border``.

        Returns:
            ``[1, channels, top + height + bottom, left + width + right]``, channels last.
        """
        height, width = border.top + self.height + border.bottom, border.left + self.width + border.right
        out = empty(height, width, self.channels, self.planes[0].dtype)
        addresses, split, pixel = self._addresses()
        other = out if residual is None else residual
        sizes = (self.height, self.width, self.channels, pixel, split, *border)
        KERNELS[out.dtype].normalise(height, *addresses, self.affine, other, out, *sizes, slope, int(residual is not None), inset)
        return out

    def _addresses(self) -> tuple[list[int], int, int]:
        """Return where the values of the four parities of (row, column) begin, whether they are apart, and the pixel's size."""
        first = self.planes[0].data_ptr()
        if len(self.planes) == 1:
            return [first] * 4, 0, self.channels
        step = self.channels * self.planes[0].element_size()
        second = self.planes[1].data_ptr()
        return [first, first + step, second, second + step], 1, 2 * self.channels


class Stage:
    """A convolution and the norm behind it. A border that is not zeros is the input's business.

    The first one wants its input by :func:`split_precision`.
    """

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, norm: nn.Module, dtype: torch.dtype, *, is_first: bool) -> None:
        weight = conv.weight.detach()
        self.is_split = isinstance(conv, nn.ConvTranspose2d)
        if self.is_split:
            self.convs = [PackedConv(half, None, dtype) for half in _rows_apart(pad_channels(weight.transpose(0, 1)))]
        else:
            stride, padding = int(conv.stride[0]), int(conv.padding[0])
            weight = pad_channels(split_weight(weight, dtype), inputs=False) if is_first else pad_channels(weight)
            self.convs = [PackedConv(weight, None, dtype, stride=stride, padding=padding)]
        self.norm = Norm(norm, conv.bias, conv.out_channels)

    def __call__(self, x: Tensor, *, own: bool) -> Raw:
        """Convolve ``x``; a transposed convolution wants one row and column of zeros below and to the right of it.

        Args:
            x: ``[1, in, H, W]``, channels last.
            own: Whether a batch norm uses the picture's own statistics.
        """
        planes = [conv(x).contiguous(memory_format=torch.channels_last) for conv in self.convs]
        rows, columns = planes[-1].shape[2:]
        affine = self.norm.affine(planes, rows, own=own)
        return Raw(planes, affine, rows << self.is_split, columns << self.is_split)


def pad_channels(weight: Tensor, *, inputs: bool = True, outputs: bool = True) -> Tensor:
    """Fill ``weight [out, in, k, k]`` with zeros to a multiple of the vector length in ``out`` and ``in``."""
    out, into = weight.shape[:2]
    return F.pad(weight, (0, 0, 0, 0, 0, round_up(into) - into if inputs else 0, 0, round_up(out) - out if outputs else 0))


def split_precision(img: Tensor, dtype: torch.dtype) -> Tensor:
    """Spread a picture over channels of ``dtype`` so that :func:`split_weight` loses next to nothing of it.

    Rounding the picture and the first layer's weights to bfloat16 is the largest single error of a whole network, and this
    layer is cheap: it gets value and rest of the picture, and the value again for the rest of the weights.

    Args:
        img: ``[n, C, H, W]`` float32.
        dtype: float32 changes nothing; bfloat16 gives ``3 C`` channels.
    """
    value = img.to(dtype)
    if dtype == torch.float32:
        return value
    return torch.cat([value, (img - value).to(dtype), value], 1)


def split_weight(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Spread a first layer's weights ``[out, in, k, k]`` for the input that :func:`split_precision` makes."""
    value = weight.to(dtype).float()
    return weight if dtype == torch.float32 else torch.cat([value, value, weight - value], 1)


def _rows_apart(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Turn a transposed convolution (3x3, stride 2, padding 1, output padding 1) into two ordinary ones.

    Output row ``2 y`` sees input row ``y`` through the middle row of the kernel, row ``2 y + 1`` sees rows ``y`` and
    ``y + 1`` through the outer two; columns likewise. So nothing is multiplied with inserted zeros but one tap in four.

    Args:
        weight: ``[out, in, 3, 3]``.

    Returns:
        Kernels for even rows ``[2 out, in, 1, 2]`` and for odd rows ``[2 out, in, 2, 2]``; the first half of their outputs
        are the even columns.
    """
    even = torch.stack([weight[..., 1], torch.zeros_like(weight[..., 1])], -1)
    columns = torch.cat([even, weight[..., [2, 0]]])
    return columns[:, :, 1:2], columns[:, :, [2, 0]]
