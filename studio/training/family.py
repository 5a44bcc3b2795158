"""What a GAN family is: two networks and the numbers of its paper. The families themselves are in ``families.py`` and ``classic.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from studio.models.common import Config
from studio.training.settings import Settings, require

Describe = Callable[[Settings, int, int], tuple[str, Config]]
"""(settings, number of classes, colour channels) to the name of a network in ``models.common.FAMILIES`` and its configuration."""

PLAIN: Mapping[str, Any] = {
    "z_dim": 128,
    "g_lr": 0.0002,
    "d_lr": 0.0002,
    "beta1": 0.5,
    "beta2": 0.999,
    "loss": "non-saturating",
    "d_steps": 1,
    "lr_floor": 0.0,
    "r1_gamma": 0.0,
    "r2_gamma": 0.0,
    "gp_weight": 0.0,
    "drift_weight": 0.0,
    "weight_clip": 0.0,
    "orthogonal_weight": 0.0,
    "range_weight": 0.0,
    "diversity_weight": 0.0,
    "r1_interval": 1,
    "style_mixing": 0.0,
    "blur_init_sigma": 0.0,
    "augment": "none",
}
"""The numbers of DCGAN, which most families start from."""


@dataclass(frozen=True)
class Family:
    """One way to train: two networks, the numbers of its paper, and what it does with classes."""

    generator: Describe
    discriminator: Describe
    numbers: Mapping[str, Any] = field(default_factory=lambda: PLAIN)
    classes: str = "never"
    """``never`` looks at them, takes them ``if given``, or ``always`` needs them."""
    optimizer: str = "adam"
    grows: bool = False
    """Whether the networks have a ``level`` that follows the clock (progressive growing)."""
    deals_out_z: bool = False
    """Whether each layer gets an equal part of z (BigGAN's skip-z); a ``z_dim`` that nobody asked for is rounded up to that."""
    resolution: int = 32
    batch: int = 64


def channels(settings: Settings) -> list[int]:
    """Return the width at 4, 8, ... pixels: ``channel_base / resolution``, at most ``channel_max``."""
    resolutions = [4 << i for i in range(require(settings.resolution).bit_length() - 2)]
    return [min(settings.channel_base // r, settings.channel_max) for r in resolutions]


def picture(settings: Settings, c_dim: int, img_channels: int) -> Config:
    """Return what every configuration says."""
    return {"c_dim": c_dim, "img_resolution": settings.resolution, "img_channels": img_channels, "channels": channels(settings)}
