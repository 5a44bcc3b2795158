"""Geometric augmentations: pixel blits (exact) and free turns, zooms, stretches and shifts (one matrix, one careful resampling).

Matrices act on pixels counted from the picture's centre, x to the right and y down; beyond its edges the picture is mirrored.
This is *not* the pipe (``augment.py``), which says what happens with which probability.

Reference:
    Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data", appendix B.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from studio.training.trainer import StepRandom

SYM6 = (
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633, 0.4910559419267466, 0.787641141030194,
    0.3379294217276218, -0.07263752278646252, -0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148,
)  # fmt: skip
"""The low-pass filter of the sixth symlet (Daubechies 1992): orthogonal to its own shifts by two, and nearly symmetric."""
CENTRE = 5
"""Which tap lies just before the middle."""
LEAN = CENTRE + 0.5 - sum(index * tap for index, tap in enumerate(SYM6)) / math.sqrt(2)
"""By how many fine samples the filter leans to one side, which places must allow for: it is not quite symmetric."""


def happens(n: int, p: float, random: StepRandom) -> Tensor:
    """Draw for each of ``n`` pictures whether something happens to it, bool ``[n]``."""
    return random.uniform(n) < p


def choose(values: Tensor, neutral: float, p: float, random: StepRandom) -> Tensor:
    """Keep each of ``values [n]`` with probability ``p``, else take the neutral value."""
    return torch.where(happens(len(values), p, random), values, torch.full_like(values, neutral))


def _eye(n: int) -> Tensor:
    return torch.eye(3).repeat(n, 1, 1)


def _turn(angle: Tensor) -> Tensor:
    matrix = _eye(len(angle))
    matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos()
    matrix[:, 1, 0] = angle.sin()
    matrix[:, 0, 1] = -matrix[:, 1, 0]
    return matrix


def _scale(x: Tensor, y: Tensor) -> Tensor:
    matrix = _eye(len(x))
    matrix[:, 0, 0], matrix[:, 1, 1] = x, y
    return matrix


def _move(x: Tensor, y: Tensor) -> Tensor:
    matrix = _eye(len(x))
    matrix[:, 0, 2], matrix[:, 1, 2] = x, y
    return matrix


def blit_matrices(n: int, p: float, random: StepRandom, *, height: int, width: int) -> Tensor:
    """Draw mirrors, quarter turns and whole-pixel shifts of up to an eighth of the picture: ``[n, 3, 3]``, old places to new."""
    sign = 1 - 2 * (random.uniform(n) * 2).floor()
    matrix = _scale(choose(sign, 1.0, p, random), torch.ones(n))
    quarter = (random.uniform(n) * 4).floor() * (math.pi / 2)
    matrix = _turn(choose(quarter, 0.0, p, random)).round() @ matrix
    shift = (random.uniform(n, 2) * 0.25 - 0.125) * torch.tensor([width, height])
    moved = happens(n, p, random)[:, None] * shift.round()
    return _move(moved[:, 0], moved[:, 1]) @ matrix


def free_matrices(n: int, p: float, random: StepRandom, *, height: int, width: int) -> Tensor:
    """Draw zooms, free turns, stretches and shifts: ``[n, 3, 3]``, old places to new."""
    turn_p = 1 - math.sqrt(1 - p)
    zoom = choose(torch.exp2(random.normal(n) * 0.2), 1.0, p, random)
    matrix = _scale(zoom, zoom)
    matrix = _turn(choose((random.uniform(n) * 2 - 1) * math.pi, 0.0, turn_p, random)) @ matrix
    stretch = choose(torch.exp2(random.normal(n) * 0.2), 1.0, p, random)
    matrix = _scale(stretch, 1 / stretch) @ matrix
    matrix = _turn(choose((random.uniform(n) * 2 - 1) * math.pi, 0.0, turn_p, random)) @ matrix
    shift = happens(n, p, random)[:, None] * random.normal(n, 2) * 0.125 * torch.tensor([width, height])
    return _move(shift[:, 0], shift[:, 1]) @ matrix


def _is_identity(matrices: Tensor) -> Tensor:
    return (matrices == torch.eye(3)).flatten(1).all(1)


def move(img: Tensor, blits: Tensor, frees: Tensor) -> Tensor:
    """Apply blits, then free changes, to ``img [n, C, H, W]``.

    A picture that only blits fall on has its pixels carried over one by one, unchanged; one that nothing falls on stays as it is.
    """
    is_free = ~_is_identity(frees)
    is_blit = ~is_free & ~_is_identity(blits)
    for chosen, change, matrices in ((is_blit, carry, blits), (is_free, warp, frees @ blits)):
        if chosen.any():
            places = chosen.nonzero()[:, 0].to(img.device)
            img = img.index_copy(0, places, change(img[places], matrices[chosen]))
    return img


def _sources(matrices: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return where in the old picture the new places ``x [w]``, ``y [h]`` come from: two ``[n, h, w]``, in pixels from the centre."""
    inverse = torch.linalg.inv(matrices)[:, :, :, None, None]
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return tuple(inverse[:, i, 0] * grid_x + inverse[:, i, 1] * grid_y + inverse[:, i, 2] for i in (0, 1))


def carry(img: Tensor, matrices: Tensor) -> Tensor:
    """Carry pixels over exactly: ``matrices [n, 3, 3]`` are mirrors, quarter turns and whole shifts."""
    n, channels, height, width = img.shape
    x, y = _sources(matrices, torch.arange(width) - (width - 1) / 2, torch.arange(height) - (height - 1) / 2)
    column = _mirrored((x + (width - 1) / 2).round().long(), width)
    row = _mirrored((y + (height - 1) / 2).round().long(), height)
    index = (row * width + column).to(img.device).view(n, 1, -1).expand(-1, channels, -1)
    return img.flatten(2).gather(2, index).view_as(img)


def _mirrored(index: Tensor, size: int) -> Tensor:
    """Fold places beyond the edges back, the edge between two pixels being the mirror."""
    folded = index % (2 * size)
    return torch.where(folded < size, folded, 2 * size - 1 - folded)


def warp(img: Tensor, matrices: Tensor) -> Tensor:
    """Resample pictures at twice their size between two orthogonal filters, so that no change blurs much or makes steps."""
    height, width = img.shape[2:]
    finer = doubling(height).to(img) @ img @ doubling(width).to(img).T
    x, y = ((torch.arange(-CENTRE, 2 * size + CENTRE) + 0.5 + LEAN) / 2 - size / 2 for size in (width, height))
    from_x, from_y = _sources(matrices, x, y)
    grid = torch.stack([(2 * from_x - LEAN) / width, (2 * from_y - LEAN) / height], 3).to(img)
    sampled: Tensor = _Sample.apply(finer, grid)
    return halving(height).to(img) @ sampled @ halving(width).to(img).T


def doubling(size: int) -> Tensor:
    """Return what doubles the samples of a line of ``size`` pixels, mirrored at its ends: ``[2 size, size]``."""
    fine, tap = torch.meshgrid(torch.arange(2 * size), torch.arange(len(SYM6)), indexing="ij")
    offset = fine + CENTRE - tap
    is_on = offset % 2 == 0
    matrix = torch.zeros(2 * size, size)
    taps = torch.tensor(SYM6)[tap] * math.sqrt(2)
    matrix.index_put_((fine[is_on], _mirrored(offset[is_on] // 2, size)), taps[is_on], accumulate=True)
    return matrix


def halving(size: int) -> Tensor:
    """Return what undoes :func:`doubling` for a line with :data:`CENTRE` more samples at both ends: ``[size, 2 size + 10]``."""
    matrix = torch.zeros(size, 2 * size + 2 * CENTRE)
    for pixel in range(size):
        matrix[pixel, 2 * pixel : 2 * pixel + len(SYM6)] = torch.tensor(SYM6) / math.sqrt(2)
    return matrix


class _Sample(torch.autograd.Function):
    """Bilinear sampling, mirrored beyond the edges, which can be differentiated any number of times in the picture (it is linear)."""

    @staticmethod
    def forward(ctx: Any, img: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = img.shape
        return F.grid_sample(img, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (grid,) = ctx.saved_tensors
        return _Scatter.apply(gradient, grid, ctx.shape), None


class _Scatter(torch.autograd.Function):
    """The adjoint of :class:`_Sample`."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        empty = gradient.new_zeros(()).expand(shape)
        scattered: Tensor = torch.ops.aten.grid_sampler_2d_backward(gradient, empty, grid, 0, 2, False, [True, False])[0]
        return scattered

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = ctx.saved_tensors
        return _Sample.apply(gradient, grid), None, None
