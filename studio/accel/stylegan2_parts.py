"""The parts of StyleGAN2's fast path: factors per channel from style vectors, and the two kinds of layer.

See ``stylegan2.py`` for what they are put together to, and ``kernels_stylegan2.py`` for the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.accel import kernels_stylegan2 as kernels
from studio.accel.kernels_winograd import WinogradConv, can_convolve
from studio.accel.packed import PackedConv
from studio.accel.simd import LANES
from studio.accel.translator_parts import round_up
from studio.models import ops
from studio.models.stylegan2 import Noise, SynthesisLayer, SynthesisNetwork, ToRGB, draw_noise

SLOPES = {"linear": 1.0, "relu": 0.0, "lrelu": 0.2}
"""Activation -> what it does to negative numbers."""
CHUNKS = 8
"""Into how many parts the rows of a layer are cut, for the threads to share."""
LARGEST = 3e38


def pad_channels(x: Tensor) -> Tensor:
    """Pad the last dimension with zeros to a multiple of the vector length."""
    return F.pad(x, (0, -x.shape[-1] % LANES))


def one_axis(taps: Tensor) -> Tensor | None:
    """Return the four taps ``[4]`` whose outer product is the filter ``[4, 4]``, or None where it has no such form."""
    if taps.shape != (4, 4):
        return None
    axis = taps.detach().float().sum(dim=1)
    return axis if torch.allclose(torch.outer(axis, axis), taps.float(), atol=1e-6) else None


def is_supported(synthesis: SynthesisNetwork) -> bool:
    """Say whether the kernels can do this network: no residual blocks, four separable taps, a leaky ReLU or less."""
    for block in synthesis.blocks():
        layers = [layer for layer in (block.conv0, block.conv1) if layer is not None]
        if block.skip is not None or any(layer.activation not in SLOPES for layer in layers):
            return False
        if one_axis(block.resample_filter) is None or (block.torgb is not None and len(block.torgb.bias) > kernels.COLORS):
            return False
    return True


def enlarging_taps(taps: Tensor) -> tuple[float, float, float, float]:
    """Return the taps of one axis in the order of correlation, with the gain of doubling the size."""
    axis = one_axis(taps)
    assert axis is not None
    a, b, c, d = (2 * axis.flip(0)).tolist()
    return a, b, c, d


class Factors:
    """What style vectors come to: a factor on every input channel (style) and output channel (demodulation) of every layer."""

    def __init__(self, w_dim: int) -> None:
        self.w_dim = w_dim
        self._styles: list[tuple[Tensor, Tensor, int]] = []
        self._energies: list[tuple[Tensor, int, float]] = []
        self.styles_width = self.demod_width = 0

    def add_style(self, weight: Tensor, bias: Tensor, layer: int) -> int:
        """Register an affine layer ``weight [channels, w_dim]`` on style vector ``layer``; return where its styles will lie."""
        place, channels = self.styles_width, round_up(len(bias))
        self.styles_width += channels
        self._styles.append((F.pad(weight, (0, 0, 0, channels - len(bias))), F.pad(bias, (0, channels - len(bias))), layer))
        return place

    def add_demodulation(self, weight: Tensor, style: int, gain: float) -> int:
        """Register a convolution (padded ``[out, in, k, k]``) whose styles lie at ``style``; return where its factors will lie."""
        place = self.demod_width
        self.demod_width += len(weight)
        self._energies.append((weight.square().sum(dim=(2, 3)), style, gain))
        return place

    def pack(self) -> None:
        """Lay everything registered so far side by side."""
        self.weight = torch.cat([weight for weight, _, _ in self._styles]).contiguous()
        self.bias = torch.cat([bias for _, bias, _ in self._styles])
        self.layer = torch.cat([torch.full((len(bias),), layer) for _, bias, layer in self._styles])
        self.energy = torch.cat([energy.flatten() for energy, _, _ in self._energies])
        self.gain = torch.cat([torch.full((len(energy),), gain) for energy, _, gain in self._energies])
        entries, offset = [], 0
        for energy, style, _ in self._energies:
            rows, width = energy.shape
            entries += [(offset + row * width, style, width) for row in range(rows)]
            offset += rows * width
        self.table = torch.tensor(entries, dtype=torch.int64)
        self._styles, self._energies = [], []

    def __call__(self, ws: Tensor) -> Styles:
        """Compute all factors of ``ws [n, num_ws, w_dim]``."""
        ws = ws.float().contiguous()
        n, num_ws, _ = ws.shape
        styles, demod = torch.empty(n, self.styles_width), torch.empty(n, self.demod_width)
        tables = (self.weight, self.bias, ws, self.layer)
        kernels.affine_rows(self.styles_width, styles, *tables, n, self.styles_width, num_ws, self.w_dim, grain=64)
        given = (self.energy, styles, self.table, self.gain)
        kernels.demodulation_rows(self.demod_width, demod, *given, n, self.demod_width, self.styles_width, grain=64)
        return Styles(styles, demod)


@dataclass(frozen=True, slots=True)
class Styles:
    """All factors of a batch: ``scale [n, styles_width]`` and ``demod [n, demod_width]``."""

    scale: Tensor
    demod: Tensor

    def of(self, place: tuple[int, int]) -> Tensor:
        """Return the styles at a layer's place (start and width)."""
        start, width = place
        return self.scale[:, start : start + width]

    def scale_at(self, place: tuple[int, int] | None) -> tuple[int, int]:
        """Return address and step per sample of a layer's styles; without a layer, of any."""
        return self.scale.data_ptr() + 4 * (0 if place is None else place[0]), self.scale.shape[1]

    def demod_at(self, place: int) -> tuple[int, int]:
        """Return address and step per sample of a layer's demodulation."""
        return self.demod.data_ptr() + 4 * place, self.demod.shape[1]


class Layer:
    """What both kinds of styled convolution have: places of their factors, noise, bias, activation."""

    def __init__(self, layer: SynthesisLayer, index: int, factors: Factors) -> None:
        self.index, self.resolution = index, layer.resolution
        affine, gain = layer.affine, ops.ACTIVATIONS[layer.activation][1]
        weight = layer.weight.detach().float()
        self.weight = F.pad(weight, (0, 0, 0, 0, 0, -weight.shape[1] % LANES, 0, -weight.shape[0] % LANES))
        place = factors.add_style(affine.weight.detach().float() * affine.weight_gain, affine.bias.detach().float(), index)
        self.style = (place, self.weight.shape[1])
        self.demod = factors.add_demodulation(self.weight, place, gain)
        self.bias = pad_channels(layer.bias.detach().float() * gain)
        self.noise = layer.noise_const.detach().float().clone() if layer.use_noise else torch.zeros(self.resolution, self.resolution)
        self.amplitude = float(layer.noise_strength) * gain if layer.use_noise else 0.0
        self.slope = SLOPES[layer.activation]
        self.clamp = LARGEST if layer.conv_clamp is None else float(layer.conv_clamp)

    def grain(self, noise: Noise, n: int) -> tuple[Tensor, int, float]:
        """Return the noise of a batch, its step per sample and its amplitude."""
        amplitude = self.amplitude * noise.scale(self.index)
        if noise.mode == "random" and amplitude != 0:
            return draw_noise(noise.generators, n, self.resolution).float().cpu().contiguous(), self.resolution**2, amplitude
        return self.noise, 0, amplitude


class UpLayer(Layer):
    """A styled convolution that doubles the size: one product for all taps, then ``finish_up``."""

    def __init__(self, layer: SynthesisLayer, index: int, factors: Factors, dtype: torch.dtype) -> None:
        super().__init__(layer, index, factors)
        self.taps = enlarging_taps(layer.resample_filter)
        outputs, inputs = self.weight.shape[:2]
        blocks = self.weight.reshape(outputs // LANES, LANES, inputs, kernels.TAPS).permute(2, 0, 3, 1)
        self.product = blocks.reshape(inputs, outputs * kernels.TAPS).to(dtype).contiguous()
        self.finish = kernels.finish_up_bf16 if dtype == torch.bfloat16 else kernels.finish_up_f32
        del self.weight

    def __call__(self, x: Tensor, styles: Styles, noise: Noise, *, following: tuple[int, int]) -> Tensor:
        """Map ``x [n, h, h, in]``, scaled by this layer's styles, to ``[n, 2h, 2h, out]``, scaled by the following layer's."""
        n, side, _, inputs = x.shape
        outputs, pixels = len(self.bias), n * side * side
        parts = torch.empty(pixels + side, self.product.shape[1], dtype=x.dtype)
        parts[pixels:].zero_()
        torch.mm(x.view(pixels, inputs), self.product, out=parts[:pixels])
        y = torch.empty(n, 2 * side, 2 * side, outputs, dtype=x.dtype)
        factors = (*styles.demod_at(self.demod), self.bias, *self.grain(noise, n), *styles.scale_at(following))
        self.finish(n * side, parts, y, *factors, self.slope, self.clamp, side, outputs, n, *self.taps, grain=max(n * side // CHUNKS, 1))
        return y


class ColorLayer:
    """The colours that a block adds to the picture."""

    def __init__(self, layer: ToRGB, index: int, factors: Factors, taps: Tensor) -> None:
        affine, gain = layer.affine, layer.weight_gain
        weight = affine.weight.detach().float() * (affine.weight_gain * gain)
        self.style = factors.add_style(weight, affine.bias.detach().float() * gain, index)
        self.count = len(layer.bias)
        missing = kernels.COLORS - self.count
        self.weight = pad_channels(F.pad(layer.weight.detach().float()[:, :, 0, 0], (0, 0, 0, missing))).contiguous()
        self.bias = F.pad(layer.bias.detach().float(), (0, missing))
        self.clamp = LARGEST if layer.conv_clamp is None else float(layer.conv_clamp)
        self.taps = enlarging_taps(taps)


class SameLayer(Layer):
    """A styled convolution that keeps the size, then ``finish_same``."""

    def __init__(self, layer: SynthesisLayer, index: int, factors: Factors, dtype: torch.dtype) -> None:
        super().__init__(layer, index, factors)
        self.convolve = self._convolution(dtype)
        self.finish = kernels.finish_same_bf16 if dtype == torch.bfloat16 else kernels.finish_same_f32
        del self.weight

    def _convolution(self, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        """Return the quickest way to convolve ``[n, h, h, in]`` to ``[n, h, h, out]``."""
        if dtype == torch.float32 and can_convolve(len(self.weight), self.resolution):
            return WinogradConv(self.weight)
        packed = PackedConv(self.weight, None, dtype, padding=1)
        return lambda x: packed(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).contiguous()

    def __call__(
        self, x: Tensor, styles: Styles, noise: Noise, *, following: tuple[int, int] | None, color: ColorLayer | None, before: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Map ``x [n, h, h, in]`` to ``[n, h, h, out]``, scaled by the following layer's styles, and add this block's colours.

        Without a following layer there are no features; ``before`` is the picture so far, half the size.
        """
        n, side = x.shape[:2]
        raw = self.convolve(x)
        y = None if following is None else torch.empty_like(raw)
        factors = (*styles.demod_at(self.demod), self.bias, *self.grain(noise, n), *styles.scale_at(following))
        image = before
        paint: tuple[Tensor | int | float, ...] = (0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0)
        if color is not None:
            image = torch.empty(n, color.count, side, side)
            place = styles.scale.data_ptr() + 4 * color.style
            paint = (color.weight, place, color.bias, color.count, image, 0 if before is None else before, color.clamp, *color.taps)
        target = 0 if y is None else y
        self.finish(n * side, raw, target, *factors, self.slope, self.clamp, side, len(self.bias), *paint, grain=max(n * side // CHUNKS, 1))
        return y, image
