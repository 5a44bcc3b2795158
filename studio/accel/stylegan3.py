"""Fast StyleGAN3 synthesis on CPUs: packed weights, channels innermost, and one fused kernel for everything between convolutions.

The maths is that of ``models/stylegan3.py``; this is *not* a second network, and it holds copies of the weights that do
not follow later changes. Convolutions run in bfloat16 where that was asked for and pays; filters always run in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.accel.candidate import Candidate
from studio.accel.kernels_stylegan3 import DOWN_TAPS, MAX_RANK, UP_TAPS, filtered_lrelu
from studio.accel.runtime import bfloat16_wins, tune_allocator
from studio.accel.simd import LANES
from studio.models.stylegan3 import StyleGAN3Generator, SynthesisLayer, SynthesisNetwork, check_request
from studio.models.stylegan3_plan import LayerPlan

EXACT_TOLERANCE = 3e-6
AUTO_TOLERANCE = 1e-3
"""What a sum of separable filters may leave of a radial one, relative L2."""
CHANNEL_BLOCK = 2 * LANES
TILE_WIDTH, TILE_HEIGHT = 32, 96


def candidates(net: StyleGAN3Generator, precision: str, device: torch.device) -> list[Candidate]:
    """Return the fast paths of a StyleGAN3 generator: on a CPU the fused kernels, for ``auto`` also with bfloat16; else half precision.

    Args:
        net: The generator, in eval mode.
        precision: ``exact`` (relative L2 under 1e-5) or ``auto`` (PSNR over 45 dB).
        device: Where the pictures are to be made.
    """
    if device.type != "cpu":
        return [Candidate("half", partial(HalfSynthesis, net.synthesis))] if precision == "auto" else []
    if not all(is_supported(layer) for layer in net.synthesis.layers):
        return []
    tolerance = AUTO_TOLERANCE if precision == "auto" else EXACT_TOLERANCE
    build = partial(FusedSynthesis, net.synthesis, tolerance=tolerance)
    found = [Candidate("numba", partial(build, dtype=torch.float32))]
    if precision == "auto" and bfloat16_wins():
        found.append(Candidate("numba-bf16", partial(build, dtype=torch.bfloat16)))
    return found


def is_supported(layer: SynthesisLayer) -> bool:
    """Say whether the fused kernel can do this layer: the published filter lengths, symmetric, or no filters at all."""
    plan, up, down = layer.plan, layer.up_filter, layer.down_filter
    if plan.is_rgb:
        return up is None and down is None
    if up is None or down is None or up.ndim != 1:
        return False
    is_published = plan.down == 2 and len(up) == UP_TAPS * plan.up and len(down) == DOWN_TAPS
    if not is_published or not all(torch.allclose(down, other, atol=1e-7) for other in (down.flip(0), down.mT if down.ndim == 2 else down)):
        return False
    columns, rows = separate(down, EXACT_TOLERANCE)
    return down.ndim == 1 or bool((columns.T @ rows - down).norm() <= 2 * EXACT_TOLERANCE * down.norm())


def separate(taps: Tensor, tolerance: float) -> tuple[Tensor, Tensor]:
    """Write a symmetric filter as a short sum of separable ones, ``sum_i columns[i] rows[i]^T``.

    Args:
        taps: ``[taps]`` (separable as it is) or ``[taps, taps]``, symmetric.
        tolerance: Largest remainder, relative L2.

    Returns:
        ``columns [rank, taps]`` and ``rows [rank, taps]``; the rank is at most :data:`MAX_RANK`.
    """
    if taps.ndim == 1:
        return taps[None], taps[None]
    values, vectors = torch.linalg.eigh(taps.double())
    order = values.abs().argsort(descending=True)
    values, vectors = values[order], vectors[:, order]
    remainder = values.square().flip(0).cumsum(0).flip(0).sqrt() / values.norm()
    rank = min(max(int((remainder > tolerance).sum()), 1), MAX_RANK)
    rows = vectors[:, :rank].T
    return (rows * values[:rank, None]).float(), rows.float()


def pack_taps(plan: LayerPlan, up_filter: Tensor, down_filter: Tensor, *, gain: float, tolerance: float) -> tuple[Tensor, int]:
    """Lay out the taps of a layer as the kernel reads them, with the gains of upsampling and activation included.

    Returns:
        Vertical and horizontal upsampling taps ``[up, 6]`` each, half of each symmetric horizontal downsampling filter
        ``[rank, 6]``, the vertical ones ``[rank, 12]``, all in one row; and the rank.
    """
    phases = up_filter.flip(0).view(UP_TAPS, plan.up).T.flip(0) * plan.up
    columns, rows = separate(down_filter, tolerance)
    parts = [phases, phases * gain, rows[:, : DOWN_TAPS // 2], columns]
    return torch.cat([part.float().reshape(-1) for part in parts]), len(rows)


@dataclass(frozen=True)
class FusedLayer:
    """One layer with its constants packed; channels are padded with zeros to a multiple of :data:`CHANNEL_BLOCK`."""

    plan: LayerPlan
    affine: Callable[[Tensor], Tensor]
    input_gain: Tensor
    energy: Tensor
    """Sum of squares of each unit filter over its window, ``[in, out]``."""
    weight: Tensor
    bias: Tensor
    taps: Tensor
    rank: int
    clamp: float

    @classmethod
    def pack(cls, layer: SynthesisLayer, *, dtype: torch.dtype, tolerance: float) -> FusedLayer:
        """Copy the constants of a layer; the convolution will run in ``dtype``."""
        plan, up_filter, down_filter = layer.plan, layer.up_filter, layer.down_filter
        assert up_filter is not None and down_filter is not None
        unit = layer.unit_weight()
        weight = F.pad(unit, (0, 0, 0, 0, 0, -plan.in_channels % CHANNEL_BLOCK, 0, -plan.out_channels % CHANNEL_BLOCK)).to(dtype)
        taps, rank = pack_taps(plan, up_filter, down_filter, gain=math.sqrt(2), tolerance=tolerance)
        return cls(
            plan=plan,
            affine=_frozen_affine(layer),
            input_gain=layer.magnitude_ema.rsqrt(),
            energy=unit.square().sum((2, 3)).T.contiguous(),
            weight=weight.contiguous(memory_format=torch.channels_last),
            bias=F.pad(layer.bias, (0, -plan.out_channels % CHANNEL_BLOCK)),
            taps=taps,
            rank=rank,
            clamp=math.inf if layer.conv_clamp is None else float(layer.conv_clamp),
        )

    def scales(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return the factors on the input ``[n, in]`` and on what the convolution gives ``[n, out]``, padded."""
        styles = self.affine(w)
        styles = styles * styles.square().mean(1, keepdim=True).rsqrt()
        demodulation = (styles.square() @ self.energy + 1e-8).rsqrt()
        return _pad_channels(styles * self.input_gain), _pad_channels(demodulation)

    def convolve(self, x: Tensor) -> Tensor:
        """Convolve ``[n, h, w, in]`` (already scaled) with the packed weight: ``[n, h', w', out]``."""
        if self.plan.kernel == 1:
            return F.linear(x, self.weight[:, :, 0, 0])
        y = F.conv2d(x.permute(0, 3, 1, 2), self.weight, padding=self.plan.kernel - 1)
        return y.permute(0, 2, 3, 1).contiguous()

    def activate(self, x: Tensor, before: Tensor, after: Tensor, dtype: torch.dtype) -> Tensor:
        """Scale by ``before [n, out]``, add the bias, apply the filtered leaky ReLU, scale by ``after [n, out]``."""
        plan, (n, size, _, channels) = self.plan, x.shape
        y = torch.empty(n, plan.out_size, plan.out_size, channels, dtype=dtype)
        width, height = _even_tile(plan.out_size, TILE_WIDTH), _even_tile(plan.out_size, TILE_HEIGHT)
        tiles = n * (channels // LANES) * -(-plan.out_size // width) * -(-plan.out_size // height)
        shift = -(plan.padding[0] + 1) % plan.up
        window = (-shift - plan.padding[0] - 1) // plan.up + 1
        halves = (int(x.dtype == torch.bfloat16), int(dtype == torch.bfloat16))
        shape = (channels, size, plan.out_size, plan.up, self.rank, window, shift, width, height)
        filtered_lrelu(tiles, x, y, *halves, before, self.bias, after, self.taps, *shape, 0.2, self.clamp, grain=2)
        return y


def _frozen_affine(layer: SynthesisLayer) -> Callable[[Tensor], Tensor]:
    affine = layer.affine
    weight, bias = affine.weight.detach() / math.sqrt(affine.weight.shape[1]), affine.bias.detach()
    return lambda w: F.linear(w, weight, bias)


def _even_tile(size: int, about: int) -> int:
    """Return the side of the tiles when ``size`` is cut into equal parts of about ``about``."""
    return -(-size // max(round(size / about), 1))


def _pad_channels(x: Tensor) -> Tensor:
    return F.pad(x, (0, -x.shape[-1] % CHANNEL_BLOCK)).contiguous()


class FusedSynthesis:
    """Synthesis with the signature of :class:`studio.models.stylegan3.SynthesisNetwork`, on a CPU, for inference.

    Args:
        synthesis: The network to copy.
        dtype: What convolutions run in, and what is kept between layers.
        tolerance: What a sum of separable filters may leave of a radial one, relative L2.
    """

    @torch.no_grad()
    def __init__(self, synthesis: SynthesisNetwork, *, dtype: torch.dtype, tolerance: float) -> None:
        tune_allocator()
        filtered_lrelu.compile()
        self.dtype = dtype
        *layers, rgb = synthesis.layers
        self.layers = [FusedLayer.pack(deepcopy(layer), dtype=self.dtype, tolerance=tolerance) for layer in layers]
        self.rgb, self.input = deepcopy(rgb), deepcopy(synthesis.input)
        self.input_weight = (self.input.weight.detach() / math.sqrt(self.input.channels)).to(dtype)
        self.output_scale = synthesis.output_scale

    @torch.no_grad()
    def __call__(
        self,
        ws: Tensor,
        *,
        noise_mode: str = "const",
        noise_strength: float = 1.0,
        noise_layers: Sequence[float] = (),
        noise_generator: Any = None,
        transform: Tensor | None = None,
    ) -> Tensor:
        """Make pictures; see :meth:`studio.models.stylegan3.SynthesisNetwork.forward`."""
        check_request(ws, len(self.layers) + 2, self.input.affine.weight.shape[1], transform)
        first, *others, last = ws.to(torch.float32).unbind(1)
        scales = [layer.scales(w) for layer, w in zip(self.layers, others, strict=True)]
        rgb_scale, _ = self.rgb.scales(last)
        before = [scale for scale, _ in scales] + [_pad_channels(rgb_scale)]
        x = self._features(first, transform, before[0])
        for index, layer in enumerate(self.layers):
            dtype = self.dtype if index + 1 < len(self.layers) else torch.float32
            x = layer.activate(layer.convolve(x), scales[index][1], before[index + 1], dtype)
        return self._to_rgb(x)

    def _features(self, w: Tensor, transform: Tensor | None, scale: Tensor) -> Tensor:
        freqs, phases, amplitudes = self.input.placement(w, transform)
        place = self.input.grid()[:, None]
        along_x = place * freqs[:, None, :, 0] + phases[:, None]
        along_y = place * freqs[:, None, :, 1]
        waves = torch.sin((along_x[:, None] + along_y[:, :, None]) * (2 * math.pi)) * amplitudes[:, None, None]
        x = F.linear(waves.to(self.dtype), self.input_weight)
        return (_pad_channels(x) * scale[:, None, None]).to(self.dtype)

    def _to_rgb(self, x: Tensor) -> Tensor:
        weight = self.rgb.weight[:, :, 0, 0]
        y = F.linear(x[..., : weight.shape[1]], weight, self.rgb.bias)
        if self.rgb.conv_clamp is not None:
            y = y.clamp(-self.rgb.conv_clamp, self.rgb.conv_clamp)
        return (y * self.output_scale).permute(0, 3, 1, 2).contiguous()


class HalfSynthesis:
    """The plain synthesis with its finest layers in float16, as the published networks run on a GPU."""

    FINEST = 4
    """How many of the finest resolutions are computed in float16."""

    def __init__(self, synthesis: SynthesisNetwork) -> None:
        self.net = deepcopy(synthesis)
        plans = synthesis.plans
        self.dtypes = [torch.float16 if plan.after.rate * 2**self.FINEST > plans[-1].after.rate else torch.float32 for plan in plans]

    @torch.no_grad()
    def __call__(
        self,
        ws: Tensor,
        *,
        noise_mode: str = "const",
        noise_strength: float = 1.0,
        noise_layers: Sequence[float] = (),
        noise_generator: Any = None,
        transform: Tensor | None = None,
    ) -> Tensor:
        """Make pictures; see :meth:`studio.models.stylegan3.SynthesisNetwork.forward`."""
        first, *others = ws.to(torch.float32).unbind(1)
        x = self.net.input(first, transform)
        for layer, w, dtype in zip(self.net.layers, others, self.dtypes, strict=True):
            x = layer(x.to(dtype), w)
        pictures: Tensor = x.to(torch.float32) * self.net.output_scale
        return pictures
