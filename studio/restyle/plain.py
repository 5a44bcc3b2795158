"""The pieces of a residual translator with torch alone: exact, on any device. See ``parts.py`` for what each one does."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.models.translator_layers import BlurDown, BlurUp
from studio.restyle.parts import NO_MARGIN, Margin, Moments, Rows

MODES = {"zeros": 0, "reflect": 1, "replicate": 2}
_FILLS = ("constant", "reflect", "replicate")
_NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d, nn.Identity)


class PlainParts:
    """A :class:`studio.models.translators.ResnetTranslator` in pieces, float32."""

    dtype = torch.float32

    def __init__(self, net: Any) -> None:
        self.config, self.device = net.config, next(net.parameters()).device
        layers = [layer for part in net.model.children() for layer in getattr(part, "conv_block", [part])]
        convs: list[Any] = [layer for layer in layers if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))]
        self._convs, self._last = convs[:-1], convs[-1]
        self._norms: list[Any] = [layer for layer in layers if isinstance(layer, _NORMS)]
        self._blur = [layer for layer in layers if isinstance(layer, BlurDown)]
        self._enlarge = [layer for layer in layers if isinstance(layer, (BlurUp, nn.Upsample))]

    def channels(self, stage: int) -> int:
        """Return the channels of a stage's map."""
        return int(self._convs[stage].out_channels)

    def measures(self, stage: int, own: bool) -> bool:
        """Say whether the norm needs the picture's moments."""
        norm = self._norms[stage]
        return isinstance(norm, nn.InstanceNorm2d) or (isinstance(norm, nn.BatchNorm2d) and own)

    def affine(self, stage: int, moments: Moments | None, *, gain: float = 1.0) -> tuple[Tensor, Tensor]:
        """Return scale and shift ``[C, 1, 1]``; the bias of the convolution, which is never added, is in the shift."""
        norm, bias = self._norms[stage], self._convs[stage].bias
        zero = torch.zeros(self.channels(stage), dtype=torch.float64, device=self.device)
        weight, offset = (zero + 1, zero) if getattr(norm, "weight", None) is None else (norm.weight.double(), norm.bias.double())
        mean, shift = zero, zero if bias is None else bias.double()
        if moments is not None:
            mean, variance, shift = moments.mean.to(self.device), moments.deviations.to(self.device) / moments.count, zero
            weight = weight / torch.sqrt(variance + norm.eps)
        elif isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None and norm.running_var is not None
            mean = norm.running_mean.double()
            weight = weight / torch.sqrt(norm.running_var.double() + norm.eps)
        scale, shift = gain * weight, gain * (offset + (shift - mean) * weight)
        return scale.float()[:, None, None], shift.float()[:, None, None]

    def convolve(self, stage: int, source: Rows, top: int, bottom: int) -> Tensor:
        """Compute some rows of a stage without its bias."""
        downs, blocks = self.config["n_downs"], self.config["n_blocks"]
        weight = self._convs[stage].weight
        if stage == 0:
            return F.conv2d(_taken(source, top - 3, bottom + 3, 3, 1), weight)
        if stage <= downs:
            if self.config["downsample"] == "strided":
                return F.conv2d(_taken(source, 2 * top - 1, 2 * bottom, 1, 0), weight, stride=2)
            return F.conv2d(_taken(source, top - 1, bottom + 1, 1, 0), weight)
        if stage <= downs + 2 * blocks:
            return F.conv2d(_taken(source, top - 1, bottom + 1, 1, MODES[self.config["block_padding"]]), weight)
        if self.config["upsample"] == "transposed":
            below = bottom // 2 + 1
            margin = Margin(0, 0, max(0, below - source.height), 1)
            x = source.rows(top // 2, min(below, source.height), margin)
            return F.conv_transpose2d(x, weight, stride=2, padding=1)[:, :, : bottom - top, : 2 * x.shape[3] - 2]
        return F.conv2d(self._doubled(stage - downs - 2 * blocks - 1, source, top - 1, bottom + 1), weight)

    def _doubled(self, level: int, source: Rows, top: int, bottom: int) -> Tensor:
        """Return rows of the enlarged activation, with the margin of a pixel that the convolution wants."""
        first, last = max(0, top // 2 - 1), min(source.height, -(-bottom // 2) + 1)
        x = self._enlarge[level](source.rows(first, last))
        above, below = max(0, -top), max(0, bottom - 2 * source.height)
        x = x[:, :, top + above - 2 * first : bottom - below - 2 * first]
        mode = MODES[self.config["resize_padding"]] if self.config["upsample"] == "resize" else 0
        return _padded(x, Margin(above, 1, below, 1, mode))

    def moments(self, raw: Tensor, out: Tensor | None = None) -> Moments:
        """Measure a strip: summed per row in float32 around a reference, and then in float64."""
        if out is not None:
            out.copy_(raw)
        values = raw.permute(0, 2, 3, 1)[0]
        reference = values[0].mean(0)
        centred = values - reference
        first = centred.sum(1).double().sum(0)
        second = centred.square_().sum(1).double().sum(0)
        return Moments.of_sums(values.shape[0] * values.shape[1], reference, first, second)

    def view(self, values: Tensor) -> Tensor:
        """Return the strip itself."""
        return values

    def write(
        self,
        raw: Tensor,
        affine: Any,
        margin: Margin = NO_MARGIN,
        *,
        slope: float = 0.0,
        residual: Tensor | None = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """Normalise, activate, add, pad."""
        x = raw if affine is None else torch.addcmul(affine[1], raw, affine[0])
        if slope != 1.0:
            x = F.leaky_relu(x, slope) if slope else F.relu(x)
        if residual is not None:
            x = x + residual
        x = _padded(x, margin)
        return x if out is None else out.copy_(x)

    def blur(self, raw: Tensor, affine: Any, *, cut: int) -> Tensor:
        """Normalise, activate and halve."""
        layer: Any = next(blur for blur in self._blur if blur.filt.shape[0] == raw.shape[1])
        result: Tensor = layer(self.write(raw, affine))
        return result[:, :, cut:]

    def close(self, act: Tensor) -> Tensor:
        """Run the last convolution and tanh."""
        return torch.tanh(self._last(act))


def _taken(source: Rows, top: int, bottom: int, sides: int, mode: int) -> Tensor:
    """Return rows of an activation; where they reach beyond its edge, and at the sides, they are filled up by ``mode``."""
    above, below = max(0, -top), max(0, bottom - source.height)
    return source.rows(top + above, bottom - below, Margin(above, sides, below, sides, mode))


def _padded(x: Tensor, margin: Margin) -> Tensor:
    if not any(margin[:4]):
        return x
    return F.pad(x, (margin.left, margin.right, margin.top, margin.bottom), mode=_FILLS[margin.mode])
