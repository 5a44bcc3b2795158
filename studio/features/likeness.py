"""How alike pictures are to a network that has seen a million photographs: pair by pair, and to the nearest of many.

The perceptual distance is LPIPS without its learnt weights, on EfficientNet-Lite0; it has a gradient. Pooled features say what a picture
is *of* rather than where its edges lie. This is *not* a measure of art: look at the pictures, too.

Reference:
    Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.models.efficientnet_lite import TAPS, EfficientNetLite0

UInt8 = npt.NDArray[np.uint8]

POOLED_SIDE = 128
"""Side at which pictures are pooled, pixels; those of another size are brought to it."""
BATCH = 32


def perceptual_distance(network: EfficientNetLite0, first: Tensor, second: Tensor, taps: tuple[str, ...] = TAPS) -> Tensor:
    """Return how different pictures look, ``[n]``: 0 for equal ones, about 6 for strangers (each tap gives up to 4).

    Args:
        network: The frozen features.
        first: ``[n, 3, H, W]`` in [-1, 1], 32 px or more a side.
        second: Of the same shape.
        taps: Which features are compared; each is scaled to unit length at every place, and all weigh alike.
    """
    together = network(torch.cat([first, second]), taps)
    total = first.new_zeros(len(first))
    for features in together.values():
        a, b = F.normalize(features.float(), dim=1, eps=1e-8).chunk(2)
        total = total + (a - b).square().sum(1).mean((1, 2))
    return total


@torch.inference_mode()
def pooled_features(network: EfficientNetLite0, images: UInt8) -> Tensor:
    """Return one vector for each of uint8 ``[n, H, W, 3]``, seen at 128 px: float64 ``[n, 1280]`` on the CPU."""
    device = network.stem.weight.device
    parts = []
    for start in range(0, len(images), BATCH):
        levels = torch.from_numpy(np.ascontiguousarray(images[start : start + BATCH])).to(device).permute(0, 3, 1, 2).float()
        if levels.shape[2:] != (POOLED_SIDE, POOLED_SIDE):
            levels = F.interpolate(levels, size=(POOLED_SIDE, POOLED_SIDE), mode="bicubic", antialias=True).clamp(0, 255)
        parts.append(network.pooled(levels / 127.5 - 1).double().cpu())
    return torch.cat(parts)


class NearestPictures:
    """Finds, for any picture, the most alike of a set that was pooled once; likeness is the cosine between features, up to 1."""

    def __init__(self, network: EfficientNetLite0, parts: Iterable[UInt8]) -> None:
        """Pool the set, given in parts uint8 ``[n, H, W, 3]``."""
        self._network = network
        self._vectors = F.normalize(torch.cat([pooled_features(network, part) for part in parts]), dim=1)

    def __len__(self) -> int:
        """Return the number of pictures in the set."""
        return len(self._vectors)

    def nearest(self, images: UInt8, count: int = 1) -> tuple[Tensor, Tensor]:
        """Return likenesses ``[n, count]`` and numbers ``[n, count]`` of the pictures most like uint8 ``[n, H, W, 3]``, best first."""
        queries = F.normalize(pooled_features(self._network, images), dim=1)
        found = (queries @ self._vectors.T).topk(min(count, len(self)), dim=1)
        return found.values, found.indices
