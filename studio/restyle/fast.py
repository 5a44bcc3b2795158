"""The pieces of a residual translator on a CPU's fast path; see ``parts.py`` for what each one does.

The convolutions of the CPU library add zeros around a strip by themselves where the network pads with zeros, so at such layers a
strip gets a row more on each side, whose results are left out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from studio.accel.kernels_translators import KERNELS, REFLECT, ZEROS
from studio.accel.kernels_winograd import TILE
from studio.accel.translator_convs import Stage, split_precision
from studio.accel.translator_parts import BARE, Border, Raw, Values, empty, sum_rows
from studio.accel.translators import MODES, FastResnet
from studio.restyle.parts import NO_MARGIN, Margin, Moments, Rows


class FastParts:
    """A :class:`studio.accel.translators.FastResnet` in pieces; it shares the packed weights."""

    def __init__(self, fast: FastResnet) -> None:
        self.config, self.dtype, self.device = fast.config, fast.dtype, torch.device("cpu")
        self._stages: list[Stage] = fast.stages
        self._closing, self._is_bordered = fast.closing, fast.is_bordered

    def channels(self, stage: int) -> int:
        """Return the channels of a stage's map, filled up to the vector length."""
        return self._stages[stage].norm.channels

    def measures(self, stage: int, own: bool) -> bool:
        """Say whether the norm needs the picture's moments."""
        return self._stages[stage].norm.measures(own)

    def affine(self, stage: int, moments: Moments | None, *, gain: float = 1.0) -> Tensor:
        """Return scale and shift, ``[2, C]`` float32."""
        norm = self._stages[stage].norm
        if moments is None:
            return norm.fixed * gain
        scale = norm.weight.double() / torch.sqrt(moments.deviations / moments.count + norm.eps)
        return (gain * torch.stack([scale, norm.offset - moments.mean * scale])).float()

    def convolve(self, stage: int, source: Rows, top: int, bottom: int) -> Values:
        """Compute some rows of a stage."""
        downs, blocks = self.config["n_downs"], self.config["n_blocks"]
        layer = self._stages[stage]
        if stage == 0:
            above, below = max(0, 3 - top), max(0, bottom + 3 - source.height)
            img = source.rows(top - 3 + above, bottom + 3 - below, Margin(above, 3, below, 3, REFLECT))
            return layer.values(split_precision(img, self.dtype).contiguous(memory_format=torch.channels_last))
        if stage <= downs:
            if self.config["downsample"] == "strided":
                lead = min(top, 1)
                return layer.values(source.rows(2 * (top - lead), 2 * bottom)).rows(lead, bottom - top)
            return _zero_padded(layer, source, top, bottom)
        if stage <= downs + 2 * blocks:
            return self._in_block(layer, source, top, bottom)
        if self.config["upsample"] == "transposed":
            below = bottom // 2 + 1
            margin = Margin(0, 0, max(0, below - source.height), 1, ZEROS)
            return layer.values(source.rows(top // 2, min(below, source.height), margin))
        return self._resized(layer, source, top, bottom)

    def _in_block(self, layer: Stage, source: Rows, top: int, bottom: int) -> Values:
        """Run a 3x3 convolution of a residual block."""
        mode = MODES[self.config["block_padding"]]
        if mode == ZEROS and not self._is_bordered:
            return _zero_padded(layer, source, top, bottom)
        above, below, count = max(0, 1 - top), max(0, bottom + 1 - source.height), bottom - top
        more, wider = (-count % TILE, -source.width % TILE) if self._is_bordered else (0, 0)
        x = source.rows(top - 1 + above, bottom + 1 - below, Margin(above, 1, below + more, 1 + wider, mode))
        return layer.values(x, (count, source.width))

    def _resized(self, layer: Stage, source: Rows, top: int, bottom: int) -> Values:
        """Enlarge some rows, then run a 3x3 convolution."""
        is_resize = self.config["upsample"] == "resize"
        padding = int(is_resize and self.config["resize_padding"] != "zeros")
        near = 1.0 if is_resize and self.config["resize_mode"] == "nearest" else 0.75
        first, last = max(0, top // 2 - 1), min(source.height, bottom // 2 + 1)
        x = source.rows(first, last)
        channels, height, width = x.shape[1:]
        out = empty(2 * (height + padding), 2 * (width + padding), channels, self.dtype)
        KERNELS[self.dtype].enlarge(out.shape[2], x, out, height, width, channels, near, padding, REFLECT)
        if padding:
            return layer.values(out[:, :, top - 2 * first : bottom - 2 * first + 2])
        above = max(0, top - 1)
        values = layer.values(out[:, :, above - 2 * first : min(2 * source.height, bottom + 1) - 2 * first])
        return values.rows(top - above, bottom - top)

    def moments(self, raw: Values, out: Tensor | None = None) -> Moments:
        """Measure a strip: summed per row in float32 around a reference, and then in float64."""
        reference, sums, count = sum_rows(raw, _channels(raw), out)
        total = sums.double().sum(0)
        return Moments.of_sums(count, reference, total[0], total[1])

    def view(self, values: Tensor) -> Values:
        """Describe a strip that was stored."""
        return Values.dense(values)

    def write(
        self,
        raw: Values,
        affine: Tensor | None,
        margin: Margin = NO_MARGIN,
        *,
        slope: float = 0.0,
        residual: Tensor | None = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """Normalise, activate, add, pad, in one pass."""
        if affine is None and out is not None and residual is None and slope == 1.0 and not raw.split and margin == NO_MARGIN:
            return out.copy_(_dense(raw))
        if affine is None:
            channels = _channels(raw)
            affine = torch.stack([torch.ones(channels), torch.zeros(channels)])
        return Raw(raw, affine).write(Border(*margin), slope=slope, residual=residual, out=out)

    def blur(self, raw: Values, affine: Tensor, *, cut: int) -> Tensor:
        """Normalise, activate and halve, in one pass."""
        height, width, channels = raw.height, raw.width, affine.shape[1]
        out = empty(height // 2, width // 2, channels, self.dtype)
        KERNELS[self.dtype].blur_down(height // 2, raw.addresses[0], affine, out, height, width, channels, *BARE)
        return out[:, :, cut:]

    def close(self, act: Tensor) -> Tensor:
        """Run the last convolution and tanh."""
        return self._closing(act)


def _zero_padded(layer: Stage, source: Rows, top: int, bottom: int) -> Values:
    """Run a 3x3 convolution that pads with zeros by itself."""
    first = max(0, top - 1)
    return layer.values(source.rows(first, min(source.height, bottom + 1))).rows(top - first, bottom - top)


def _channels(values: Values) -> int:
    """Return the channels of one pixel."""
    return values.tensors[-1].shape[1] // (4 if len(values.tensors) == 1 else 2) if values.split else values.pixel


def _dense(values: Values) -> Tensor:
    """Return values that are not split as a view ``[1, C, height, width]``."""
    whole = values.tensors[0]
    first = (values.addresses[0] - whole.data_ptr()) // (values.pitch * whole.element_size())
    return whole[:, :, first : first + values.height, : values.width]
