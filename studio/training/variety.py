"""Keeps samples of one kind from being all alike: two of them should look as different as two real pictures of that kind do.

A conditional generator that learns from few pictures is tempted to draw one good picture of each kind; no single judgement tells. Here two
samples of the same class are compared in pretrained features, and what they lack to the real pictures' difference is a penalty. It ends
where the real difference is reached. This is *not* a measure (``metrics.diversity``).

Reference:
    Mao et al. 2019, "Mode Seeking Generative Adversarial Networks", section 3.2; Yang et al. 2019 (diversity-sensitive conditional GANs).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from studio.errors import TrainingError
from studio.features.likeness import perceptual_distance
from studio.models.efficientnet_lite import EfficientNetLite0
from studio.models.projected import SMALLEST_SIDE, colours, enlarged
from studio.training.data import Pictures
from studio.training.trainer import to_float

TAPS = ("block4", "block10")
"""Shapes and parts, rather than grain."""
PICTURES = 24
"""Real pictures of each class that say how different its pictures are."""


class Variety:
    """The difference that real pictures of each class have, and the penalty for samples that have less."""

    def __init__(self, network: EfficientNetLite0, pictures: Pictures, members: Sequence[np.ndarray]) -> None:
        """Measure the real pictures.

        Args:
            network: The frozen features.
            pictures: The training pictures.
            members: The numbers of each class's pictures; one entry where there are no classes.
        """
        self._network = network
        rng = np.random.Generator(np.random.PCG64(0))
        levels = []
        for numbers in members:
            chosen = rng.permutation(numbers)[:PICTURES]
            img = to_float(pictures.batch(chosen), network.stem.weight.device)
            with torch.no_grad():
                levels.append(self.differences(img, img.roll(1, 0)).mean() if len(chosen) > 1 else img.new_zeros(()))
        self.levels = torch.stack(levels)

    def differences(self, first: Tensor, second: Tensor) -> Tensor:
        """Return how different pictures ``[n, C, H, W]`` are, pair by pair: ``[n]``."""
        side = max(SMALLEST_SIDE, first.shape[-1])
        a, b = enlarged(colours(first), side), enlarged(colours(second), side)
        return perceptual_distance(self._network, a, b, TAPS).view(-1, len(first)).mean(0)

    def penalty(self, fake: Tensor, c: Tensor | None, share: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Return ``max(0, 1 - d)^2``, where d is the mean difference of pairs as a share of the real one; a scalar.

        Args:
            fake: Samples ``[2 n, C, H, W]``; the second half repeats the classes of the first.
            c: Their classes, ``[2 n, c_dim]``.
            share: Averages over a team.
        """
        first, second = fake.chunk(2)
        wanted = self.levels[0] if c is None else self.levels[c[: len(first)].argmax(1)]
        ratio = (self.differences(first, second) / wanted.clamp_min(1e-6)).mean()
        return F.relu(1 - (ratio if share is None else share(ratio))).square()


def check_batch(batch: int, processes: int) -> None:
    """Make sure that pairs of samples stay on one process.

    Raises:
        TrainingError: They cannot.
    """
    if batch % (4 * processes):
        raise TrainingError(f"batch={batch}: use a multiple of {4 * processes}, so that pairs stay together, or diversity_weight=0.")
