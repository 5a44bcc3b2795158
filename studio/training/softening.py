"""Blurring what the discriminator sees at the start of a run, so that it cannot judge details before there are any.

StyleGAN3 in its rotation-free form (config r) collapses early without it (Karras et al. 2021, appendix G.2). This is *not* an augmentation:
it has no randomness and is gone once it has faded.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from studio.training.settings import Settings, require
from studio.training.trainer import Clock

FADE_KIMG = 200.0 / 32
"""Thousand pictures until the blur is gone, for each picture of a batch (the published schedule) ..."""
FADE_SHARE = 0.2
"""... but no more than this share of the run."""
PUBLISHED_SIDE = 256
"""Smaller pictures get a blur that is smaller in proportion."""


class Softening:
    """A Gaussian blur whose width falls from ``blur_init_sigma`` to nothing."""

    def __init__(self, settings: Settings, *, is_fresh: bool = True) -> None:
        scale = min(1.0, require(settings.resolution) / PUBLISHED_SIDE)
        self.first = require(settings.blur_init_sigma) * scale if is_fresh else 0.0
        self.fade_pictures = FADE_KIMG * require(settings.batch) * 1000
        self.sigma = self.first

    def follow(self, clock: Clock) -> None:
        """Set the width for where the run stands."""
        self.sigma = self.first * max(0.0, 1 - max(clock.cur_nimg / self.fade_pictures, clock.progress / FADE_SHARE))

    def __call__(self, img: Tensor) -> Tensor:
        """Blur ``img [n, C, H, W]``; once the width is under a third of a pixel the tensor itself comes back."""
        reach = int(self.sigma * 3)
        if reach < 1:
            return img
        places = torch.arange(-reach, reach + 1, device=img.device, dtype=img.dtype)
        taps = torch.exp(-0.5 * (places / self.sigma).square())
        taps = taps / taps.sum()
        channels = img.shape[1]
        rows, columns = taps.view(1, 1, -1, 1).expand(channels, 1, -1, 1), taps.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
        return F.conv2d(F.conv2d(_edge_pad(img, reach), rows, groups=channels), columns, groups=channels)


def _edge_pad(img: Tensor, reach: int) -> Tensor:
    """Repeat the edges outwards, also by more than the picture's side."""
    for axis in (2, 3):
        places = torch.arange(-reach, img.shape[axis] + reach, device=img.device).clamp(0, img.shape[axis] - 1)
        img = img.index_select(axis, places)
    return img
