"""What pretrained features say of a translated picture: whether it still shows the same things, and whether it is painted alike.

Content is compared place by place in coarse features, style by statistics of fine ones over whole pictures. Both have gradients. This is
*not* a judge that learns (``studio/models/projected.py``).

Reference:
    Johnson et al. 2016, "Perceptual Losses for Real-Time Style Transfer", section 3.2; Gatys et al. 2016 (statistics of features);
    Dumoulin et al. 2017, section 2.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from studio.models.efficientnet_lite import EfficientNetLite0

CONTENT = ("block4", "block10")
"""What a picture shows: features at 1/8 and 1/16 of its side."""
STYLE = ("stem", "expand1", "expand2", "expand3", "expand5")
"""How it is painted: activations at 1/2 to 1/8."""
LEAST_DEVIATION = 0.05
"""Added to the deviation of a map, so that flat maps stay calm."""

Statistics = list[tuple[Tensor, Tensor]]
"""For each layer at each of two scales: channel means ``[..., c]`` and covariances ``[..., c, c]``, of pictures or of a set."""


def content_distance(made: Mapping[str, Tensor], photo: Mapping[str, Tensor], layers: Sequence[str] = CONTENT) -> Tensor:
    """Return how much of what a photo shows is gone, a scalar: 0 for equal pictures; colours as a whole and contrast count little.

    Args:
        made: Features of the translation, ``layers`` among them, each ``[n, c, h, w]``.
        photo: Those of the photo; no gradient flows into them.
        layers: Which are compared.
    """
    differences = [(_instance_normed(made[name]) - _instance_normed(photo[name].detach())).square().mean() for name in layers]
    return torch.stack(differences).sum()


def _instance_normed(x: Tensor) -> Tensor:
    x = x.float()
    deviation, mean = torch.std_mean(x, (2, 3), keepdim=True, correction=0)
    return (x - mean) / (deviation + LEAST_DEVIATION)


def picture_statistics(network: EfficientNetLite0, img: Tensor, full: Mapping[str, Tensor] | None = None) -> Statistics:
    """Return the statistics of each of ``img [n, 3, H, W]`` in [-1, 1], at full size and halved.

    Args:
        network: The frozen features.
        img: 64 px or more a side.
        full: Features of ``img`` at full size, :data:`STYLE` among them, where they are known already.
    """
    scales = (network(img, STYLE) if full is None else full, network(F.avg_pool2d(img, 2), STYLE))
    return [_moments(features[name]) for features in scales for name in STYLE]


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    flat = x.float().flatten(2)
    means = flat.mean(2)
    centred = flat - means[:, :, None]
    return means, centred @ centred.transpose(1, 2) / flat.shape[2]


def statistics(network: EfficientNetLite0, img: Tensor, full: Mapping[str, Tensor] | None = None) -> Statistics:
    """Return the mean over the pictures of :func:`picture_statistics`."""
    return [(means.mean(0), covariances.mean(0)) for means, covariances in picture_statistics(network, img, full)]


def style_distance(found: Statistics, wanted: Statistics) -> Tensor:
    """Return how differently pictures are painted, a scalar: 0 for equal statistics; every layer, scale and moment weighs alike."""
    parts = []
    for (means, covariances), (wanted_means, wanted_covariances) in zip(found, wanted, strict=True):
        parts += [_relative(means, wanted_means, (-1,)), _relative(covariances, wanted_covariances, (-2, -1))]
    return torch.stack(parts).sum()


def _relative(found: Tensor, wanted: Tensor, axes: tuple[int, ...]) -> Tensor:
    return ((found - wanted).square().sum(axes) / wanted.square().sum(axes).clamp_min(1e-12)).mean()


def mean_statistics(network: EfficientNetLite0, batches: Sequence[Tensor]) -> Statistics:
    """Return the mean statistics of equally large batches of pictures, without gradients."""
    with torch.no_grad():
        found = [statistics(network, batch) for batch in batches]
    return [tuple(torch.stack(values).mean(0) for values in zip(*layer, strict=True)) for layer in zip(*found, strict=True)]  # type: ignore[misc]


def shared(found: Statistics, share: Callable[[Tensor], Tensor]) -> Statistics:
    """Return statistics averaged over a team, with gradients; ``share`` is called once, as every message between processes takes time."""
    moments = [moment for layer in found for moment in layer]
    averaged = torch.split(share(torch.cat([moment.flatten() for moment in moments])), [moment.numel() for moment in moments])
    shaped = [part.view_as(moment) for part, moment in zip(averaged, moments, strict=True)]
    return list(zip(shaped[::2], shaped[1::2], strict=True))
