"""Augmentations that the discriminator sees and the generator cannot leak, with a strength that adapts (ADA).

Geometric and colour changes ("bgc" of Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data",
appendix B): each one is applied to each picture with probability ``p``. Differentiable in the picture, once.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from studio.training.trainer import StepRandom

LUMA = 1 / math.sqrt(3)


class Augment:
    """Apply the pipe with strength ``p`` (0 to 0.8; above that the changes would leak into the made pictures)."""

    def __init__(self, p: float = 0.0) -> None:
        self.p = p

    def __call__(self, img: Tensor, random: StepRandom) -> Tensor:
        """Augment ``img [n, 3, H, W]``; at ``p = 0`` the tensor itself comes back and no random number is drawn."""
        if self.p <= 0:
            return img
        moved = _warp(img, geometric_matrices(len(img), self.p, random).to(img.device))
        return moved if img.shape[1] != 3 else recolour(moved, colour_matrices(len(img), self.p, random).to(img.device))


def _happens(n: int, p: float, random: StepRandom) -> Tensor:
    return random.uniform(n) < p


def _eye(n: int, size: int) -> Tensor:
    return torch.eye(size).repeat(n, 1, 1)


def _turn(angle: Tensor) -> Tensor:
    matrix = _eye(len(angle), 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos()
    matrix[:, 1, 0] = angle.sin()
    matrix[:, 0, 1] = -matrix[:, 1, 0]
    return matrix


def _scale(x: Tensor, y: Tensor) -> Tensor:
    matrix = _eye(len(x), 3)
    matrix[:, 0, 0], matrix[:, 1, 1] = x, y
    return matrix


def _move(x: Tensor, y: Tensor) -> Tensor:
    matrix = _eye(len(x), 3)
    matrix[:, 0, 2], matrix[:, 1, 2] = x, y
    return matrix


def geometric_matrices(n: int, p: float, random: StepRandom) -> Tensor:
    """Draw mirror, quarter turns, moves, zoom, stretch and free turns: ``[n, 3, 3]`` in coordinates from -1 to 1."""
    zero = torch.zeros(n)

    def draw(values: Tensor, neutral: Tensor, chance: float = p) -> Tensor:
        return torch.where(_happens(n, chance, random), values, neutral)

    one = torch.ones(n)
    free_turn = 1 - math.sqrt(1 - p)
    matrix = _scale(draw(-one, one, p / 2), one)
    matrix = _turn(draw((random.uniform(n) * 4).floor() * (math.pi / 2), zero)) @ matrix
    matrix = _move(draw(random.uniform(n) * 0.5 - 0.25, zero), draw(random.uniform(n) * 0.5 - 0.25, zero)) @ matrix
    zoom = draw(torch.exp2(random.normal(n) * 0.2), one)
    matrix = _scale(zoom, zoom) @ matrix
    matrix = _turn(draw((random.uniform(n) * 2 - 1) * math.pi, zero, free_turn)) @ matrix
    stretch = draw(torch.exp2(random.normal(n) * 0.2), one)
    matrix = _scale(stretch, 1 / stretch) @ matrix
    matrix = _turn(draw((random.uniform(n) * 2 - 1) * math.pi, zero, free_turn)) @ matrix
    shift_x, shift_y = draw(random.normal(n) * 0.25, zero), draw(random.normal(n) * 0.25, zero)
    return _move(shift_x, shift_y) @ matrix


def _warp(img: Tensor, matrices: Tensor) -> Tensor:
    """Resample pictures under the inverse of ``matrices``, mirrored beyond the edge."""
    inverse = torch.linalg.inv(matrices)[:, :2]
    grid = F.affine_grid(inverse, list(img.shape), align_corners=False)
    return F.grid_sample(img, grid.to(img.dtype), mode="bilinear", padding_mode="reflection", align_corners=False)


def colour_matrices(n: int, p: float, random: StepRandom) -> Tensor:
    """Draw brightness, contrast, luma flip, hue turn and saturation: ``[n, 4, 4]`` acting on (r, g, b, 1)."""

    def draw(values: Tensor, neutral: float, chance: float = p) -> Tensor:
        return torch.where(_happens(n, chance, random), values, torch.full((n,), neutral))

    grey = torch.tensor([LUMA, LUMA, LUMA, 0.0])
    onto_grey = torch.outer(grey, grey)
    matrix = _eye(n, 4)
    matrix[:, :3, 3] = draw(random.normal(n) * 0.2, 0.0)[:, None]
    contrast = draw(torch.exp2(random.normal(n) * 0.5), 1.0)
    matrix = torch.diag_embed(torch.stack([contrast, contrast, contrast, torch.ones(n)], 1)) @ matrix
    flip = draw((random.uniform(n) * 2).floor(), 0.0)[:, None, None]
    matrix = (torch.eye(4) - 2 * onto_grey * flip) @ matrix
    matrix = _hue(draw((random.uniform(n) * 2 - 1) * math.pi, 0.0)) @ matrix
    saturation = draw(torch.exp2(random.normal(n)), 1.0)[:, None, None]
    return (onto_grey + (torch.eye(4) - onto_grey) * saturation) @ matrix


def _hue(angle: Tensor) -> Tensor:
    """Return turns around the grey axis (Rodrigues' formula), ``[n, 4, 4]``."""
    cross = torch.tensor([[0.0, -LUMA, LUMA], [LUMA, 0.0, -LUMA], [-LUMA, LUMA, 0.0]])
    turn = _eye(len(angle), 4)
    sine, cosine = angle.sin()[:, None, None], angle.cos()[:, None, None]
    turn[:, :3, :3] = torch.eye(3) + sine * cross + (1 - cosine) * (cross @ cross)
    return turn


def recolour(img: Tensor, matrices: Tensor) -> Tensor:
    """Apply colour matrices ``[n, 4, 4]`` to ``img [n, 3, H, W]``."""
    moved = torch.einsum("nij,njhw->nihw", matrices[:, :3, :3].to(img.dtype), img)
    return moved + matrices[:, :3, 3, None, None].to(img.dtype)
