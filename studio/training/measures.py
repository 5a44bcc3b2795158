"""Everything that is measured of samples: distances from the real pictures, diversity, copies. The real side is worked out once.

With the standard Inception file ``kid`` and ``fid`` are among the figures; without it the distances are ``random_feature_kid``, ``swd``
(sliced Wasserstein), ``fd_lite0`` and ``kid_lite0`` (EfficientNet-Lite0's features), which compare only with themselves. This is *not*
where a run is judged: see ``diagnosis.py``.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from studio.features.likeness import pooled_features
from studio.features.weights import load_features
from studio.training import metrics
from studio.training.copies import NearestReal
from studio.training.swd import SMALLEST_LEVEL, sliced_wasserstein

UInt8 = npt.NDArray[np.uint8]

DIVERSITY_PICTURES = 64
COPY_PICTURES = 256


class Measures:
    """Measures samples against one set of real pictures."""

    def __init__(
        self, real: UInt8, *, inception: str = "", training: Callable[[], Iterator[UInt8]] | None = None, mirror: bool = False
    ) -> None:
        """Work out what is needed of the real side.

        Args:
            real: Pictures ``[n, H, W, C]`` to compare with, n at least 2.
            inception: Path of the standard Inception file, or empty.
            training: Gives all training pictures in parts; without it no copies are sought.
            mirror: Whether the training also showed them mirrored.

        Raises:
            TrainingError: The Inception file is not the standard one.
        """
        self.real = opaque(real)
        self._random = metrics.RandomFeatures(self.real.shape[-1])
        self._real_features = self._random(self.real)
        self._real_diversity = max(metrics.diversity(self.real[:DIVERSITY_PICTURES]), 1e-9)
        self._lite0 = load_features()
        self._real_lite0 = pooled_features(self._lite0, coloured(self.real))
        self._nearest = NearestReal(map(opaque, training()), mirror=mirror) if training else None
        self._inception: Callable[[UInt8], Tensor] | None = None
        if inception:
            from studio.training.inception import load_inception

            self._inception = load_inception(Path(inception))
            self._real_inception = self._inception(self.real)

    def distance(self, images: UInt8) -> float:
        """Return the random-feature KID of pictures ``[n, H, W, C]``, n at least 2."""
        return metrics.kid(self._real_features, self._random(opaque(images)))

    def __call__(self, fake: UInt8) -> dict[str, float]:
        """Measure as many samples ``[n, H, W, C]`` as there are real ones; ``score`` is what "best" means, lower is better."""
        fake = opaque(fake)
        distance = self.distance(fake)
        values = {"score": distance, "random_feature_kid": distance}
        if min(fake.shape[1:3]) >= SMALLEST_LEVEL and fake.shape == self.real.shape:
            values["swd"] = float(np.mean(list(sliced_wasserstein(self.real, fake).values())))
        lite0 = pooled_features(self._lite0, coloured(fake))
        values["fd_lite0"] = metrics.fd_lite0(self._real_lite0, lite0)
        values["kid_lite0"] = metrics.kid_lite0(self._real_lite0, lite0)
        values["diversity"] = metrics.diversity(fake[:DIVERSITY_PICTURES]) / self._real_diversity
        if self._nearest is not None:
            values["copies"] = self._nearest.copies(fake[:COPY_PICTURES])[0]
        if self._inception is not None:
            features = self._inception(fake)
            values["kid"] = metrics.plain_kid(self._real_inception, features)
            values["fid"] = metrics.frechet(self._real_inception, features)
            values["score"] = values["kid"]
        return values


def coloured(images: UInt8) -> UInt8:
    """Give grey pictures ``[n, H, W, 1]`` three equal channels; others are as they were."""
    return np.repeat(images, 3, -1) if images.shape[-1] == 1 else images


def opaque(images: UInt8) -> UInt8:
    """Lay pictures with transparency ``[n, H, W, 4]`` on white; others are as they were."""
    if images.shape[-1] != 4:
        return images
    alpha = images[..., 3:].astype(np.uint16)
    return ((images[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
