"""One layer of StyleGAN3 packed for the fused kernel: filters as sums of separable ones, weights, two ways to convolve.

This is *not* where layers are put together (``stylegan3.py``) nor where they compute (``kernels_stylegan3.py``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.accel import kernels_winograd as winograd
from studio.accel.kernels_stylegan3 import DOWN_TAPS, MAX_RANK, UP_TAPS, filtered_lrelu
from studio.accel.products import ROWS
from studio.accel.simd import LANES
from studio.models.stylegan3 import SynthesisLayer
from studio.models.stylegan3_plan import LayerPlan

EXACT_TOLERANCE = 3e-6
AUTO_TOLERANCE = 1e-3
"""What a sum of separable filters may leave of a radial one, relative L2."""
CHANNEL_BLOCK = 2 * LANES
TILE_WIDTH, TILE_HEIGHT = 32, 96
LARGEST_CANVAS = 1.65
"""How much larger than its picture, in area, a canvas may be before a direct convolution is faster."""


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


class DirectConv:
    """The convolution of the CPU library, padded so that every place that the filter touches is kept."""

    canvas = 0
    """Side of the picture that is taken, with a border of one before it; 0 is the bare picture."""

    def __init__(self, weight: Tensor) -> None:
        self.kernel = weight.shape[-1]
        self.weight = weight.contiguous(memory_format=torch.channels_last)

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve ``[n, h, w, in]`` to ``[n, h + k - 1, w + k - 1, out]``."""
        if self.kernel == 1:
            return F.linear(x, self.weight[:, :, 0, 0])
        y = F.conv2d(x.permute(0, 3, 1, 2), self.weight, padding=self.kernel - 1)
        return y.permute(0, 2, 3, 1).contiguous()


class CanvasConv:
    """A 3x3 convolution in float32 with a quarter of the multiplications, on a canvas of zeros that the picture is part of.

    Args:
        weight: ``[out, in, 3, 3]``, channels a multiple of :data:`CHANNEL_BLOCK`.
        canvas: Side of the canvas, from :func:`canvas_for`.
    """

    def __init__(self, weight: Tensor, canvas: int) -> None:
        self.canvas = canvas
        self.outputs, self.inputs = weight.shape[:2]
        self.depth = _strip_depth(canvas // winograd.TILE, self.inputs)
        self.weight = winograd.pack(weight)

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve ``[n, canvas, canvas, in]``, the picture one in from the corner; the result is at the corner."""
        n = len(x)
        y = torch.empty(n, self.canvas, self.canvas, self.outputs)
        strips = n * self.canvas // winograd.TILE // self.depth
        winograd.convolve(strips, x, y, self.weight, self.canvas, self.inputs, self.outputs, self.depth)
        return y


def _strip_depth(across: int, inputs: int) -> int:
    """Return how many rows of ``across`` tiles are worked on at a time; 0 where they cannot be."""
    able = [depth for depth in range(1, across + 1) if across % depth == 0 and depth * across % ROWS == 0]
    cached = [depth for depth in able if depth * across * inputs <= winograd.LARGEST_STRIP and depth * winograd.STRIPS <= across]
    return max(cached or able[:1] or [0])


def canvas_for(size: int) -> int:
    """Return the smallest canvas that takes a picture of ``size`` and its border, or 0 if none does without too much waste."""
    for canvas in range(-(-(size + 2) // winograd.TILE) * winograd.TILE, int((size + 2) * math.sqrt(LARGEST_CANVAS)) + 1, winograd.TILE):
        if _strip_depth(canvas // winograd.TILE, 1) > 0:
            return canvas
    return 0


@dataclass(frozen=True)
class FusedLayer:
    """One layer with its constants packed; channels are padded with zeros to a multiple of :data:`CHANNEL_BLOCK`."""

    plan: LayerPlan
    affine: Callable[[Tensor], Tensor]
    input_gain: Tensor
    energy: Tensor
    """Sum of squares of each unit filter over its window, ``[in, out]``."""
    convolve: DirectConv | CanvasConv
    bias: Tensor
    taps: Tensor
    rank: int
    clamp: float

    @classmethod
    def pack(cls, layer: SynthesisLayer, *, dtype: torch.dtype, tolerance: float, is_canvas: bool = False) -> FusedLayer:
        """Copy the constants of a layer; the convolution will run in ``dtype``, on a canvas if asked to and possible."""
        plan, up_filter, down_filter = layer.plan, layer.up_filter, layer.down_filter
        assert up_filter is not None and down_filter is not None
        unit = layer.unit_weight()
        weight = F.pad(unit, (0, 0, 0, 0, 0, -plan.in_channels % CHANNEL_BLOCK, 0, -plan.out_channels % CHANNEL_BLOCK)).to(dtype)
        canvas = canvas_for(plan.in_size) if is_canvas and plan.kernel == 3 else 0
        taps, rank = pack_taps(plan, up_filter, down_filter, gain=math.sqrt(2), tolerance=tolerance)
        return cls(
            plan=plan,
            affine=_frozen_affine(layer),
            input_gain=layer.magnitude_ema.rsqrt(),
            energy=unit.square().sum((2, 3)).T.contiguous(),
            convolve=CanvasConv(weight, canvas) if canvas else DirectConv(weight),
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
        return pad_channels(styles * self.input_gain), pad_channels(demodulation)

    def activate(self, x: Tensor, before: Tensor, after: Tensor, *, dtype: torch.dtype, canvas: int = 0) -> Tensor:
        """Scale by ``before [n, out]``, add the bias, apply the filtered leaky ReLU, scale by ``after [n, out]``.

        Args:
            x: What ``convolve`` gave.
            before: Factors of this layer's demodulation.
            after: Factors of the next layer's modulation.
            dtype: Of the result.
            canvas: What the next layer's ``convolve`` takes.
        """
        plan, (n, pitch, _, channels) = self.plan, x.shape
        y = blank(n, plan.out_size, channels, dtype=dtype, canvas=canvas)
        width, height = _even_tile(plan.out_size, TILE_WIDTH), _even_tile(plan.out_size, TILE_HEIGHT)
        tiles = n * (channels // LANES) * -(-plan.out_size // width) * -(-plan.out_size // height)
        shift = -(plan.padding[0] + 1) % plan.up
        window = (-shift - plan.padding[0] - 1) // plan.up + 1
        halves = (int(x.dtype == torch.bfloat16), int(dtype == torch.bfloat16))
        shape = (channels, plan.in_size + plan.kernel - 1, plan.out_size, plan.up, self.rank, window, shift, width, height)
        places = (pitch, y.shape[1], int(canvas > 0))
        filtered_lrelu(tiles, x, y, *halves, before, self.bias, after, self.taps, *shape, 0.2, self.clamp, *places, grain=2)
        return y


def blank(n: int, size: int, channels: int, *, dtype: torch.dtype, canvas: int) -> Tensor:
    """Make room for pictures: ``[n, size, size, channels]``, or a canvas with a frame of zeros, the rest not set."""
    if canvas == 0:
        return torch.empty(n, size, size, channels, dtype=dtype)
    y = torch.empty(n, canvas, canvas, channels, dtype=dtype)
    y[:, :1], y[:, size + 1 :] = 0, 0
    y[:, 1 : size + 1, :1], y[:, 1 : size + 1, size + 1 :] = 0, 0
    return y


def _frozen_affine(layer: SynthesisLayer) -> Callable[[Tensor], Tensor]:
    affine = layer.affine
    weight, bias = affine.weight.detach() / math.sqrt(affine.weight.shape[1]), affine.bias.detach()
    return lambda w: F.linear(w, weight, bias)


def _even_tile(size: int, about: int) -> int:
    """Return the side of the tiles when ``size`` is cut into equal parts of about ``about``."""
    return -(-size // max(round(size / about), 1))


def pad_channels(x: Tensor) -> Tensor:
    """Pad the last dimension with zeros to a multiple of :data:`CHANNEL_BLOCK`."""
    return F.pad(x, (0, -x.shape[-1] % CHANNEL_BLOCK)).contiguous()
