"""Does the generator repeat its training pictures? Each sample is compared with the nearest of them.

A sample counts as a copy when it lies much nearer to a training picture than that picture's nearest neighbour among the others (the
idea of Alaa et al. 2022, "How Faithful is your Synthetic Data?", section 3.3). Pictures are compared small, 16 x 16, mirrored ones too.
It finds copies, not likenesses: a sample in the manner of a picture is none.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

UInt8 = npt.NDArray[np.uint8]

SIDE = 16
CHUNK = 4096
COPY_SHARE = 0.5
"""Nearer than this share of the real distance is a copy. An average of pictures stays farther: it lies at 0.7 of it at least."""


def small(images: UInt8) -> Tensor:
    """Shrink pictures ``[n, H, W, C]`` by averaging: float ``[n, C * 256]`` from 0 to 1, contrast and all."""
    x = torch.from_numpy(np.ascontiguousarray(images[..., :3])).permute(0, 3, 1, 2).float()
    return F.adaptive_avg_pool2d(x, (SIDE, SIDE)).flatten(1).div_(255)


class NearestReal:
    """The training pictures, shrunk once, to find the nearest to any picture."""

    def __init__(self, parts: Iterator[UInt8], *, mirror: bool) -> None:
        """Take the pictures in parts ``[n, H, W, C]``; ``mirror`` says that the generator also saw them mirrored."""
        self.pictures = torch.cat([small(part).mul_(255).round_().byte() for part in parts])  # bytes: a quarter of the memory
        self.mirror = mirror

    def __len__(self) -> int:
        """Return the number of training pictures."""
        return len(self.pictures)

    def nearest(self, queries: Tensor, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the distance to the nearest training picture, and which it is.

        Args:
            queries: Shrunk pictures ``[n, d]``.
            own: Numbers ``[n]`` of training pictures that the queries are; these do not count.

        Returns:
            Distances ``[n]`` (root of the summed squares) and numbers ``[n]``.
        """
        n = len(queries)
        best, which = torch.full((n,), torch.inf), torch.zeros(n, dtype=torch.int64)
        mirrored = queries.view(n, -1, SIDE, SIDE).flip(3).flatten(1)
        for start in range(0, len(self), CHUNK):
            chunk = self.pictures[start : start + CHUNK].float().div_(255)
            for turned in (queries, mirrored) if self.mirror else (queries,):
                distances = torch.cdist(turned, chunk)
                if own is not None:
                    rows = ((own >= start) & (own < start + len(chunk))).nonzero().flatten()
                    distances[rows, own[rows] - start] = torch.inf
                values, places = distances.min(1)
                which = torch.where(values < best, places + start, which)
                best = torch.minimum(values, best)
        return best, which

    @torch.inference_mode()
    def copies(self, samples: UInt8) -> tuple[float, list[tuple[int, int]]]:
        """Return the share of samples ``[n, H, W, C]`` that are copies, and pairs (sample, training picture) of them."""
        if len(self) < 2:
            return 0.0, []
        distance, which = self.nearest(small(samples))
        spacing, _ = self.nearest(self.pictures[which].float().div_(255), own=which)
        found = (distance < COPY_SHARE * spacing).nonzero().flatten().tolist()
        return len(found) / len(samples), [(int(i), int(which[i])) for i in found]
