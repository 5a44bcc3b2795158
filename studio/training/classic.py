"""The families from the first GAN to BigGAN: their networks and the numbers of their papers.

Learning rates and discriminator steps differ from the papers where a CPU's small batches and hours ask for it.
"""

from __future__ import annotations

from studio.models.common import Config
from studio.training.family import PLAIN, Describe, Family, picture
from studio.training.settings import Settings

_PROGAN = {
    "loss": "wasserstein",
    "gp_weight": 10.0,
    "drift_weight": 0.001,
    "g_lr": 0.001,
    "d_lr": 0.001,
    "beta1": 0.0,
    "beta2": 0.99,
    "lr_floor": 1.0,
}
_BIGGAN = {
    "loss": "hinge",
    "d_steps": 2,
    "g_lr": 0.0001,
    "d_lr": 0.0004,
    "beta1": 0.0,
    "beta2": 0.999,
    "orthogonal_weight": 0.0001,
}

_FIRST = {"g_lr": 0.0004, "beta1": 0.0, "beta2": 0.99, "r1_gamma": 30.0}
"""The first GAN with R1: on pictures its discriminator wins within seconds otherwise, and the generator ends in grey or grain."""
_BALANCED = {"g_lr": 0.001, "r1_gamma": 1.0, "r1_interval": 4}
"""DCGAN whose discriminator, faster than the generator where batches are small, is held back."""


def _fully_connected(settings: Settings, c_dim: int, img_channels: int) -> tuple[str, Config]:
    shape = {"c_dim": c_dim, "img_resolution": settings.resolution, "img_channels": img_channels}
    return "gan", {**shape, "z_dim": settings.z_dim, "features": [2 * settings.channel_max] * 3}


def _fully_connected_discriminator(settings: Settings, c_dim: int, img_channels: int) -> tuple[str, Config]:
    shape = {"c_dim": c_dim, "img_resolution": settings.resolution, "img_channels": img_channels}
    return "gan-discriminator", {**shape, "features": [2 * settings.channel_max, settings.channel_max]}


def _network(name: str, **switches: bool) -> Describe:
    """Describe a network whose configuration says nothing unusual but some switches."""

    def describe(settings: Settings, c_dim: int, img_channels: int) -> tuple[str, Config]:
        latent = {} if name.endswith("-discriminator") else {"z_dim": settings.z_dim}
        return name, {**picture(settings, c_dim, img_channels), **latent, **switches}

    return describe


_CRITIC = _network("dcgan-discriminator", batch_norm=True)

CLASSIC: dict[str, Family] = {
    "gan": Family(_fully_connected, _fully_connected_discriminator, {**PLAIN, **_FIRST}),
    "dcgan": Family(_network("dcgan"), _CRITIC, {**PLAIN, **_BALANCED}),
    "cgan": Family(_network("cgan"), _CRITIC, {**PLAIN, **_BALANCED}, classes="always"),
    "wgan": Family(
        _network("wgan"),
        _CRITIC,
        {**PLAIN, "loss": "wasserstein", "d_steps": 5, "weight_clip": 0.01, "g_lr": 0.00005, "d_lr": 0.00005},
        optimizer="rmsprop",
    ),
    "wgan-gp": Family(
        _network("wgan-gp", final_conv=True),
        _network("dcgan-discriminator"),
        {**PLAIN, "loss": "wasserstein", "d_steps": 5, "gp_weight": 10.0, "g_lr": 0.0001, "d_lr": 0.0001, "beta1": 0.0, "beta2": 0.9},
    ),
    "sngan": Family(
        _network("sngan", final_conv=True),
        _network("dcgan-discriminator", spectral_norm=True, two_convs=True),
        {**PLAIN, "loss": "hinge", "d_steps": 2, "beta1": 0.0, "beta2": 0.9},
    ),
    "progan": Family(
        _network("progan"),
        _network("progan-discriminator"),
        {**PLAIN, **_PROGAN},
        grows=True,
        batch=32,
    ),
    "biggan": Family(
        _network("biggan", spectral_norm=True),
        _network("biggan-discriminator"),
        {**PLAIN, **_BIGGAN},
        classes="if given",
        deals_out_z=True,
    ),
}
"""Name -> family, in the order of history."""
