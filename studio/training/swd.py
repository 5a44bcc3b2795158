"""Sliced Wasserstein distance between two sets of pictures, scale by scale: no trained network at all.

Patches of 7 x 7 pixels from each level of a Laplacian pyramid, put on one scale per colour, are compared along random lines
(Karras et al. 2018, "Progressive Growing of GANs", section 5). Large scales tell of composition, the finest of texture. Its numbers compare
only with each other at the same number of pictures.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

UInt8 = npt.NDArray[np.uint8]

PATCH = 7
SMALLEST_LEVEL = 16
LINES = 128
MOST_PATCHES = 16_384
SEED = 20_261
BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)


def sliced_wasserstein(real: UInt8, fake: UInt8, *, patches: int = 64) -> dict[int, float]:
    """Return the distance times 1000 at each level of the pyramid, by the level's side in pixels.

    Args:
        real: Pictures ``[n, H, W, C]``, at least 16 pixels high and wide.
        fake: As many pictures of the same size.
        patches: Patches from each picture and level.
    """
    assert real.shape == fake.shape, (real.shape, fake.shape)
    patches = max(1, min(patches, MOST_PATCHES // len(real)))
    generator = torch.Generator().manual_seed(SEED)
    distances = {}
    for a, b in zip(laplacian_pyramid(real), laplacian_pyramid(fake), strict=True):
        seed = int(torch.randint(2**31, (), generator=generator))
        sets = [_normalised(_patches(level, patches, torch.Generator().manual_seed(seed))) for level in (a, b)]
        distances[min(a.shape[2:])] = 1000 * _along_lines(sets[0], sets[1], generator)
    return distances


def laplacian_pyramid(images: UInt8) -> list[Tensor]:
    """Split uint8 ``[n, H, W, C]`` into bands, float ``[n, C, h, w]`` from fine to coarse, down to 16 pixels (Burt & Adelson 1983)."""
    level = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    bands = []
    while min(level.shape[2:]) // 2 >= SMALLEST_LEVEL:
        smaller = _blur(level)[:, :, ::2, ::2]
        bands.append(level - _larger(smaller, level.shape[2:]))
        level = smaller
    return [*bands, level]


def _kernel(channels: int) -> Tensor:
    line = torch.tensor(BINOMIAL) / 16
    return (line[:, None] * line[None]).expand(channels, 1, 5, 5).contiguous()


def _blur(img: Tensor) -> Tensor:
    return F.conv2d(F.pad(img, (2, 2, 2, 2), mode="reflect"), _kernel(img.shape[1]), groups=img.shape[1])


def _larger(img: Tensor, size: torch.Size) -> Tensor:
    """Double a level: its pixels with zeros between, blurred, times 4."""
    spread = img.new_zeros(*img.shape[:2], *size)
    spread[:, :, ::2, ::2] = img
    return _blur(spread).mul_(4)


def _patches(img: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Cut ``count`` patches from each picture at random places: ``[n * count, C, 7, 7]``."""
    n, channels, height, width = img.shape
    tops = torch.randint(0, height - PATCH + 1, (n, count, 1, 1), generator=generator) + torch.arange(PATCH)[:, None]
    lefts = torch.randint(0, width - PATCH + 1, (n, count, 1, 1), generator=generator) + torch.arange(PATCH)[None]
    places = (tops * width + lefts).view(n, 1, -1).expand(n, channels, -1)
    cut = img.reshape(n, channels, -1).gather(2, places)
    return cut.view(n, channels, count, PATCH, PATCH).transpose(1, 2).flatten(0, 1)


def _normalised(patches: Tensor) -> Tensor:
    """Give every colour mean 0 and deviation 1 over all patches, and lay each patch out as one vector."""
    mean = patches.mean((0, 2, 3), keepdim=True)
    deviation = patches.std((0, 2, 3), keepdim=True).clamp_min(1e-6)
    return ((patches - mean) / deviation).flatten(1)


def _along_lines(a: Tensor, b: Tensor, generator: torch.Generator) -> float:
    """Return the mean distance of sorted projections onto random unit vectors (Rabin et al. 2011)."""
    lines = F.normalize(torch.randn(a.shape[1], LINES, generator=generator), dim=0)
    return float(((a @ lines).sort(0).values - (b @ lines).sort(0).values).abs().mean())
