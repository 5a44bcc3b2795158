"""Colour augmentations as one matrix, filtering in four bands, and corruptions (noise, cutout).

This is *not* the pipe (``augment.py``), which says what happens with which probability.

Reference:
    Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data", appendix B.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from studio.training.augment_geometry import choose, happens
from studio.training.trainer import StepRandom

LUMA = 1 / math.sqrt(3)
SYM2 = (-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025)
"""The low-pass filter of the second symlet (Daubechies 1992)."""
EXPECTED_POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)
"""The share of a natural picture's power in each band, the coarsest first (it falls as one over the frequency)."""


def colour_matrices(n: int, p: float, random: StepRandom) -> Tensor:
    """Draw brightness, contrast, luma flip, hue turn and saturation: ``[n, 4, 4]`` acting on (r, g, b, 1)."""
    grey = torch.tensor([LUMA, LUMA, LUMA, 0.0])
    onto_grey = torch.outer(grey, grey)
    matrix = torch.eye(4).repeat(n, 1, 1)
    matrix[:, :3, 3] = choose(random.normal(n) * 0.2, 0.0, p, random)[:, None]
    contrast = choose(torch.exp2(random.normal(n) * 0.5), 1.0, p, random)
    matrix = torch.diag_embed(torch.stack([contrast, contrast, contrast, torch.ones(n)], 1)) @ matrix
    flip = choose((random.uniform(n) * 2).floor(), 0.0, p, random)[:, None, None]
    matrix = (torch.eye(4) - 2 * onto_grey * flip) @ matrix
    matrix = hue_turn(choose((random.uniform(n) * 2 - 1) * math.pi, 0.0, p, random)) @ matrix
    saturation = choose(torch.exp2(random.normal(n)), 1.0, p, random)[:, None, None]
    return (onto_grey + (torch.eye(4) - onto_grey) * saturation) @ matrix


def hue_turn(angle: Tensor) -> Tensor:
    """Return turns around the grey axis (Rodrigues' formula), ``[n, 4, 4]``."""
    cross = torch.tensor([[0.0, -LUMA, LUMA], [LUMA, 0.0, -LUMA], [-LUMA, LUMA, 0.0]])
    turn = torch.eye(4).repeat(len(angle), 1, 1)
    sine, cosine = angle.sin()[:, None, None], angle.cos()[:, None, None]
    turn[:, :3, :3] = torch.eye(3) + sine * cross + (1 - cosine) * (cross @ cross)
    return turn


def recolour(img: Tensor, matrices: Tensor) -> Tensor:
    """Apply colour matrices ``[n, 4, 4]`` to ``img [n, C, H, W]``.

    Grey pictures (C = 1) become the mean of what their three equal colours become; of RGBA (C = 4) the alpha stays as it is; pictures
    of any other number of channels are returned as they are.
    """
    matrices = matrices.to(img)
    if img.shape[1] == 1:
        gain, offset = matrices[:, :3, :3].sum(2).mean(1), matrices[:, :3, 3].mean(1)
        return img * gain[:, None, None, None] + offset[:, None, None, None]
    if img.shape[1] not in (3, 4):
        return img
    moved = torch.einsum("nij,njhw->nihw", matrices[:, :3, :3], img[:, :3]) + matrices[:, :3, 3, None, None]
    return moved if img.shape[1] == 3 else torch.cat([moved, img[:, 3:]], 1)


def filter_bank() -> Tensor:
    """Return the four band-pass filters, coarsest first, ``[4, 43]``: octaves that add up to a single one in the middle."""
    low = torch.tensor(SYM2, dtype=torch.float64)
    high = low * torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    smooth, rough = (_convolve(taps, taps.flip(0)) / 2 for taps in (low, high))
    bands, passed = [], torch.ones(1, dtype=torch.float64)
    for octave in range(3):
        bands.append(_convolve(passed, _spread(rough, 1 << octave)))
        passed = _convolve(passed, _spread(smooth, 1 << octave))
    length = len(passed)
    return torch.stack([F.pad(band, [(length - len(band)) // 2] * 2) for band in (passed, *reversed(bands))]).float()


def _convolve(a: Tensor, b: Tensor) -> Tensor:
    return F.conv1d(a[None, None], b.flip(0)[None, None], padding=len(b) - 1)[0, 0]


def _spread(taps: Tensor, step: int) -> Tensor:
    """Put ``step - 1`` zeros between taps."""
    spread = taps.new_zeros((len(taps) - 1) * step + 1)
    spread[::step] = taps
    return spread


def band_gains(n: int, p: float, random: StepRandom) -> Tensor:
    """Draw how much each band is made stronger or weaker, ``[n, 4]``; the expected power of a picture stays the same."""
    power = torch.tensor(EXPECTED_POWER)
    gains = torch.ones(n, len(power))
    for band in range(len(power)):
        change = torch.ones(n, len(power))
        change[:, band] = choose(torch.exp2(random.normal(n)), 1.0, p, random)
        gains = gains * change / (power * change.square()).sum(1, keepdim=True).sqrt()
    return gains


def refilter(img: Tensor, gains: Tensor) -> Tensor:
    """Weigh the four bands of ``img [n, C, H, W]`` by ``gains [n, 4]``, along rows and columns, mirrored at the edges."""
    n, channels, height, width = img.shape
    taps = (gains @ filter_bank()).to(img).repeat_interleave(channels, 0)
    margin = taps.shape[1] // 2
    flat = _mirror_pad(img, margin).reshape(1, n * channels, height + 2 * margin, width + 2 * margin)
    flat = F.conv2d(flat, taps[:, None, None, :], groups=n * channels)
    return F.conv2d(flat, taps[:, None, :, None], groups=n * channels).view_as(img)


def _mirror_pad(img: Tensor, margin: int) -> Tensor:
    """Add a mirrored margin of any width, also one wider than the picture."""
    for axis in (2, 3):
        size = img.shape[axis]
        index = torch.arange(-margin, size + margin, device=img.device) % (2 * size)
        img = img.index_select(axis, torch.where(index < size, index, 2 * size - 1 - index))
    return img


def add_noise(img: Tensor, p: float, random: StepRandom) -> Tensor:
    """Add noise of a random strength (half-normal, 0.1) to some pictures."""
    strength = choose((random.normal(len(img)) * 0.1).abs(), 0.0, p, random)
    return img + (random.normal(*img.shape) * strength[:, None, None, None]).to(img)


def cut_out(img: Tensor, p: float, random: StepRandom) -> Tensor:
    """Make a square of half the side, anywhere, grey (zero) in some pictures."""
    n, _, height, width = img.shape
    centre, is_cut = random.uniform(n, 2), happens(n, p, random)
    if not is_cut.any():
        return img
    columns = ((torch.arange(width) + 0.5) / width - centre[:, :1]).abs() < 0.25
    rows = ((torch.arange(height) + 0.5) / height - centre[:, 1:]).abs() < 0.25
    hole = rows[:, None, :, None] & columns[:, None, None, :] & is_cut[:, None, None, None]
    return img.masked_fill(hole.to(img.device), 0)
