"""Convolutions on a translator's fast path, their weights packed and rearranged once.

See ``translators.py`` for what they are put together to.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.accel.kernels_translators import KERNELS, ZEROS
from studio.accel.kernels_winograd import TILE
from studio.accel.kernels_winograd_bordered import BorderedConv
from studio.accel.packed import PackedConv
from studio.accel.translator_parts import BARE, Border, Norm, Raw, Values, round_up


class Stage:
    """A convolution and the norm behind it; ``border`` is what it wants around its input.

    The first one of a network (``is_first``) wants its input by :func:`split_precision`. The input of one with several
    ``input_parts`` is that many activations side by side, each with its channels filled up by itself. One that
    ``is_bordered`` (3x3, float32) wants a border in place of padding, see :func:`bordered`.
    """

    def __init__(
        self,
        conv: nn.Conv2d | nn.ConvTranspose2d,
        norm: nn.Module,
        dtype: torch.dtype,
        *,
        is_first: bool = False,
        is_bordered: bool = False,
        input_parts: int = 1,
    ) -> None:
        weight = conv.weight.detach()
        self.norm, self.border = Norm(norm, conv.bias, conv.out_channels), BARE
        self.is_split, kernel = isinstance(conv, nn.ConvTranspose2d), conv.kernel_size[0]
        if self.is_split:
            assert kernel in (3, 4), kernel
            weight = torch.cat([pad_channels(part) for part in weight.transpose(0, 1).chunk(input_parts, 1)], 1)
            weights = three_apart(weight) if kernel == 3 else (four_apart(weight),)
            self.border = Border(0, 0, 1, 1) if kernel == 3 else Border.around(1, ZEROS)
            self.convs: list[Callable[[Tensor], Tensor]] = [PackedConv(w, None, dtype) for w in weights]
        elif is_bordered:
            self.convs = [BorderedConv(pad_channels(weight))]
        else:
            stride, padding = int(conv.stride[0]), int(conv.padding[0])
            weight = pad_channels(split_weight(weight, dtype), inputs=False) if is_first else pad_channels(weight)
            self.convs = [PackedConv(weight, None, dtype, stride=stride, padding=padding)]

    def __call__(self, x: Tensor, *, own: bool, size: tuple[int, int] | None = None) -> Raw:
        """Convolve.

        Args:
            x: ``[1, in, H, W]``, channels last.
            own: Whether a batch norm uses the picture's own statistics.
            size: Height and width of what counts in the result, where that is not all.
        """
        values = self.values(x, size)
        return Raw(values, self.norm.affine(values, own=own))

    def values(self, x: Tensor, size: tuple[int, int] | None = None) -> Values:
        """Convolve without looking at the norm; see above."""
        tensors = [conv(x).contiguous(memory_format=torch.channels_last) for conv in self.convs]
        return self._parities(tensors) if self.is_split else Values.dense(tensors[0], size)

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


def bordered(height: int, width: int, mode: int) -> Border:
    """Return the border around an activation that a stage with ``is_bordered`` wants: a pixel, and more to fill up the tiles."""
    return Border(1, 1, 1 + -height % TILE, 1 + -width % TILE, mode)


class Closing:
    """The last convolution, of many channels to the few of a picture, and tanh.

    The rows of its kernel become output channels of their own, which are added up afterwards: as many multiplications, but
    the libraries' vectors, made for many output channels, are filled.
    """

    def __init__(self, conv: nn.Conv2d, dtype: torch.dtype) -> None:
        assert conv.bias is not None
        weight = pad_channels(conv.weight.detach(), outputs=False)
        self.channels, _, self.taps, _ = weight.shape
        self.conv = PackedConv(weight.permute(2, 0, 1, 3).flatten(0, 1)[:, :, None], None, dtype)
        self.bias = conv.bias.detach().float().clone()

    def __call__(self, x: Tensor) -> Tensor:
        """Return ``tanh`` of the convolution of ``x [1, in, H, W]`` without padding, float32 in the usual layout."""
        values = self.conv(x).contiguous(memory_format=torch.channels_last)
        height, width = values.shape[2] - self.taps + 1, values.shape[3]
        out = torch.empty(1, self.channels, height, width)
        KERNELS[values.dtype].pile_up(height, values, self.bias, out, height, width, self.channels, self.taps)
        return out.tanh_()


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
