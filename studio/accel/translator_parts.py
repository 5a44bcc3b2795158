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
        self.weight = weight.detach().to(dtype, copy=True).contiguous(memory_format=torch.channels_last)
        self.bias = None if bias is None else bias.detach().to(dtype, copy=True)
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
    def dense(cls, x: Tensor) -> Values:
        """Describe ``x [1, channels, H, W]``, channels last."""
        channels, height, width = x.shape[1:]
        return cls([x], [x.data_ptr()] * 4, channels, width * channels, height, width)

    @property
    def dtype(self) -> torch.dtype:
        """The type of the values."""
        return self.tensors[0].dtype


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

    def affine(self, values: Values, *, own: bool) -> Tensor:
        """Return scale and shift, ``[2, channels]``: from the values themselves where the norm measures and ``own`` asks."""
        if not self.can_measure or (self.can_recall and not own):
            return self.fixed
        kernels, rows, width = KERNELS[values.dtype], values.height >> values.split, values.width >> values.split
        total_rows = rows << 2 * values.split
        reference = values.tensors[0][0, : self.channels, 0, 0].float()
        sums = torch.empty(total_rows, 2, self.channels)
        sizes = (rows, width, self.channels, values.pixel, values.pitch)
        kernels.sums(total_rows, *values.addresses, reference, sums, *sizes)
        affine = torch.empty(2, self.channels)
        counts = (total_rows, self.channels, total_rows * width, self.eps)
        kernels.finish(self.channels, sums, reference, self.weight, self.offset, affine, *counts, grain=LANES)
        return affine


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
            residual: What to add, with a border of ``inset`` pixels on all sides that is passed over.
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
        tensors = (self.affine, out if residual is None else residual, address)
        KERNELS[out.dtype].normalise(height, *values.addresses, *tensors, *sizes, slope, int(residual is not None), inset, out.shape[1])
        return out


class Stage:
    """A convolution and the norm behind it; ``border`` is what it wants around its input.

    The first one of a network (``is_first``) wants its input by :func:`split_precision`. The input of one with several
    ``input_parts`` is that many activations side by side, each with its channels filled up by itself.
    """

    def __init__(
        self, conv: nn.Conv2d | nn.ConvTranspose2d, norm: nn.Module, dtype: torch.dtype, *, is_first: bool = False, input_parts: int = 1
    ) -> None:
        weight = conv.weight.detach()
        self.norm, self.border = Norm(norm, conv.bias, conv.out_channels), BARE
        self.is_split, kernel = isinstance(conv, nn.ConvTranspose2d), conv.kernel_size[0]
        if self.is_split:
            assert kernel in (3, 4), kernel
            weight = torch.cat([pad_channels(part) for part in weight.transpose(0, 1).chunk(input_parts, 1)], 1)
            weights = three_apart(weight) if kernel == 3 else (four_apart(weight),)
            self.border = Border(0, 0, 1, 1) if kernel == 3 else Border.around(1, ZEROS)
            self.convs = [PackedConv(w, None, dtype) for w in weights]
        else:
            stride, padding = int(conv.stride[0]), int(conv.padding[0])
            weight = pad_channels(split_weight(weight, dtype), inputs=False) if is_first else pad_channels(weight)
            self.convs = [PackedConv(weight, None, dtype, stride=stride, padding=padding)]

    def __call__(self, x: Tensor, *, own: bool) -> Raw:
        """Convolve ``x [1, in, H, W]``, channels last; ``own``: whether a batch norm uses the picture's own statistics."""
        tensors = [conv(x).contiguous(memory_format=torch.channels_last) for conv in self.convs]
        values = self._parities(tensors) if self.is_split else Values.dense(tensors[0])
        return Raw(values, self.norm.affine(values, own=own))

    def _parities(self, tensors: list[Tensor]) -> Values:
        """Say where the four parities of a transposed convolution lie in what its ordinary convolutions gave."""
        last, channels = tensors[-1], self.norm.channels
        size, pixel = last.element_size(), last.shape[1]
        pitch, height, width = last.shape[3] * pixel, 2 * last.shape[2], 2 * last.shape[3]
        if len(tensors) == 2:
            addresses = [tensor.data_ptr() + column * channels * size for tensor in tensors for column in (0, 1)]
            return Values(tensors, addresses, pixel, pitch, height, width, 1)
        places = [row * (pitch + 2 * channels) + column * (pixel + channels) for row in (0, 1) for column in (0, 1)]
        return Values(tensors, [last.data_ptr() + place * size for place in places], pixel, pitch, height - 2, width - 2, 1)


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


def three_apart(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Turn a transposed convolution (3x3, stride 2, padding 1, output padding 1) into two ordinary ones.

    Output row ``2 y`` sees input row ``y`` through the middle row of the kernel, row ``2 y + 1`` sees rows ``y`` and
    ``y + 1`` through the outer two; columns likewise. So nothing is multiplied with inserted zeros but one tap in four.

    Args:
        weight: ``[out, in, 3, 3]``.

    Returns:
        Kernels for even rows ``[2 out, in, 1, 2]`` and for odd rows ``[2 out, in, 2, 2]``; the first half of their outputs
        are the even columns. They want one row and column of zeros below and to the right of the input.
    """
    even = torch.stack([weight[..., 1], torch.zeros_like(weight[..., 1])], -1)
    columns = torch.cat([even, weight[..., [2, 0]]])
    return columns[:, :, 1:2], columns[:, :, [2, 0]]


def four_apart(weight: Tensor) -> Tensor:
    """Turn a transposed convolution (4x4, stride 2, padding 1) into an ordinary one.

    Output row ``2 y`` sees input rows ``y - 1`` and ``y``, row ``2 y + 1`` sees ``y`` and ``y + 1``; columns likewise. Over an
    input with one row and column of zeros on all sides, the odd rows are therefore what even rows would be one further down.

    Args:
        weight: ``[out, in, 4, 4]``.

    Returns:
        ``[4 out, in, 2, 2]``: even rows and columns, even rows and odd columns, odd rows and even columns, odd both.
    """
    rows = torch.cat([weight[:, :, [3, 1]], weight[:, :, [2, 0]]])
    return torch.cat([half for part in rows.chunk(2) for half in (part[..., [3, 1]], part[..., [2, 0]])])
