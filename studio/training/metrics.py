"""Is it working? Distances between sets of features, features that need no pretrained network, and diversity.

A random-feature KID is *not* a FID or KID: it compares pictures through a fixed random network (Naeem et al. 2020 found such features fit
pictures that are no photos) and its numbers compare only with each other.
"""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

UInt8 = npt.NDArray[np.uint8]

LITE0_DIRECTIONS = 256
FEATURE_SEED = 20_260
FEATURE_WIDTHS = (24, 48, 96, 160, 256)


class RandomFeatures:
    """Five random strided convolutions with leaky ReLU; the mean and deviation of every map are the features of a picture."""

    def __init__(self, channels: int = 3) -> None:
        generator = torch.Generator().manual_seed(FEATURE_SEED)
        self.weights: list[Tensor] = []
        width = channels
        for wider in FEATURE_WIDTHS:
            weight = torch.randn(wider, width, 3, 3, generator=generator) * math.sqrt(2 / (9 * width))
            self.weights.append(weight)
            width = wider

    @torch.inference_mode()
    def __call__(self, images: UInt8, batch: int = 64) -> Tensor:
        """Return features ``[n, d]`` of uint8 pictures ``[n, H, W, C]`` (float64, on the CPU)."""
        return torch.cat([self._part(images[i : i + batch]) for i in range(0, len(images), batch)])

    def _part(self, images: UInt8) -> Tensor:
        x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float().mul_(1 / 127.5).sub_(1)
        pooled = [x.mean((2, 3)), x.std((2, 3))]
        for weight in self.weights:
            x = F.leaky_relu(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), weight, stride=2), 0.2)
            pooled += [x.mean((2, 3)), x.flatten(2).std(2, correction=0)]
        return torch.cat(pooled, 1).double()


def kid(real: Tensor, fake: Tensor) -> float:
    """Return the unbiased squared MMD under the kernel ``(x.y / d + 1)^3`` (Binkowski et al. 2018, eq. 4), times 1000.

    Features are put on one scale first by the deviation of the real ones, so that no single map rules.

    Args:
        real: Features ``[n, d]``, n at least 2.
        fake: Features ``[m, d]``, m at least 2.
    """
    assert len(real) > 1, len(real)
    assert len(fake) > 1, len(fake)
    scale = real.std(0).clamp_min(1e-6)
    centre = real.mean(0)
    return plain_kid((real - centre) / scale, (fake - centre) / scale)


def plain_kid(x: Tensor, y: Tensor) -> float:
    """Return the unbiased KID times 1000 of features as they are, which is what papers report of Inception's; see :func:`kid`."""

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    n, m = len(x), len(y)
    xx, yy = kernel(x, x), kernel(y, y)
    within = (xx.sum() - xx.diagonal().sum()) / (n * (n - 1)) + (yy.sum() - yy.diagonal().sum()) / (m * (m - 1))
    return float(within - 2 * kernel(x, y).mean()) * 1000


def frechet(real: Tensor, fake: Tensor) -> float:
    """Return the Frechet distance of two Gaussians fitted to features ``[n, d]`` and ``[m, d]`` (Heusel et al. 2017, eq. 6).

    The trace of the root comes from eigenvalues in float64, so fewer pictures than features give a number, too. It is biased: only
    distances from the same number of pictures compare.
    """
    means = real.mean(0) - fake.mean(0)
    first, second = torch.cov(real.T.double()), torch.cov(fake.T.double())
    values, vectors = torch.linalg.eigh(first)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    trace = torch.linalg.eigvalsh(root @ second @ root).clamp_min(0).sqrt().sum()
    return float(means.square().sum() + first.trace() + second.trace() - 2 * trace)


def fd_lite0(real: Tensor, fake: Tensor) -> float:
    """Return the Frechet distance in pooled EfficientNet-Lite0 features ``[n, 1280]``, on their first 256 principal directions.

    So a thousand pictures are enough. It is *not* FID: it compares with itself only, for the same number of pictures, and a network that
    was trained against these features is flattered by it.
    """
    together = torch.cat([real, fake])
    _, _, directions = torch.linalg.svd(together - together.mean(0), full_matrices=False)
    kept = directions[:LITE0_DIRECTIONS].T
    return frechet(real @ kept, fake @ kept)


def kid_lite0(real: Tensor, fake: Tensor) -> float:
    """Return the kernel distance in pooled EfficientNet-Lite0 features ``[n, 1280]``; see :func:`fd_lite0` for what it is not."""
    return plain_kid(real, fake) / 1000


def diversity(images: UInt8) -> float:
    """Return the mean distance (root mean square, 0 to 255) between pairs of pictures shrunk to 16 x 16, uint8 ``[n, H, W, C]``."""
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()
    small = F.interpolate(x, size=(16, 16), mode="area").flatten(1)
    return float(nn.functional.pdist(small).mean() / math.sqrt(small.shape[1]))
