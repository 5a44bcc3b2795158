"""What keeps a discriminator of few pictures from learning by heart: it has to rebuild the real ones from what it saw of them.

FastGAN compares with LPIPS, which needs a network trained on other people's pictures. Here the plain difference (L1) and the difference of
gradients at three scales take its place: colours and places from the first, edges and texture from the second.

Reference:
    Liu et al. 2021, "Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image Synthesis", section 3.2, eq. 3 to 5.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from studio.models.fastgan import quarter

SCALES = 3


def rebuilding(made: Tensor, wanted: Tensor) -> Tensor:
    """Return ``E|made - wanted|`` plus the mean, over three scales, of the same for their gradients; a scalar."""
    loss = F.l1_loss(made, wanted)
    for _ in range(SCALES):
        for axis in (2, 3):
            loss = loss + F.l1_loss(made.diff(dim=axis), wanted.diff(dim=axis)) / SCALES
        if min(made.shape[2:]) < 4:
            break
        made, wanted = F.avg_pool2d(made, 2), F.avg_pool2d(wanted, 2)
    return loss


def judge_real(D: Any, img: Tensor, quadrants: Tensor) -> tuple[Tensor, Tensor]:
    """Judge real pictures and ask how well the discriminator can rebuild them.

    Args:
        D: A discriminator with ``judge_and_rebuild``.
        img: Real pictures as the discriminator sees them (augmented), ``[n, C, H, W]``.
        quadrants: Which quarter of each is rebuilt from finer features, ``[n]``.

    Returns:
        Logits ``[n, ...]`` and the loss, a scalar.
    """
    logits, whole, part = D.judge_and_rebuild(img, quadrants)
    loss = rebuilding(whole, _sized(img, whole)) + rebuilding(part, _sized(quarter(img, quadrants), part))
    return logits, loss


def _sized(img: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(img.detach().float(), size=like.shape[2:], mode="area")
