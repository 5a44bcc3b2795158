"""The GAN families: which networks, which objective, which numbers. A new family is one entry of :data:`FAMILIES`.

Everything here is what a setting left at ``None`` means; any of it can be changed in the command. This is *not* where steps are taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from studio.errors import TrainingError
from studio.models.common import Config
from studio.training.classic import CLASSIC
from studio.training.family import PLAIN, Describe, Family, picture
from studio.training.objectives import Objective
from studio.training.settings import Settings, require

STYLE_FAMILIES = ("stylegan2", "stylegan3", "stylegan3-r")
GROWN_AFTER = 0.5
"""Share of a run after which progressively grown networks have their full size."""


def _stylegan2(settings: Settings, c_dim: int, img_channels: int) -> tuple[str, Config]:
    style = {"z_dim": settings.z_dim, "w_dim": settings.w_dim, "num_layers": settings.mapping_layers}
    return "stylegan2", {**picture(settings, c_dim, img_channels), **style}


def _stylegan3(settings: Settings, c_dim: int, img_channels: int) -> tuple[str, Config]:
    """Return a small StyleGAN3-t: fewer layers, a thinner margin, a quarter of the width (each layer works at nearly the full size)."""
    return "stylegan3", {
        "z_dim": settings.z_dim,
        "c_dim": c_dim,
        "w_dim": settings.w_dim,
        "img_resolution": settings.resolution,
        "img_channels": img_channels,
        "mapping_layers": settings.mapping_layers,
        "channel_base": max(64, settings.channel_base // 4),
        "channel_max": settings.channel_max,
        "num_layers": 8 if require(settings.resolution) < 128 else 14,
        "margin_size": 6 if require(settings.resolution) < 128 else 10,
        "magnitude_ema_beta": 0.5 ** (require(settings.batch) / 20_000),
    }


def _stylegan3_r(settings: Settings, c_dim: int, img_channels: int) -> tuple[str, Config]:
    """Return config r: pointwise convolutions, round filters, twice the width."""
    name, config = _stylegan3(settings, c_dim, img_channels)
    twice = {part: 2 * config[part] for part in ("channel_base", "channel_max")}
    return name, {**config, **twice, "conv_kernel": 1, "use_radial_filters": True}


def _fastgan(settings: Settings, c_dim: int, img_channels: int) -> tuple[str, Config]:
    return "fastgan", {"z_dim": settings.z_dim, **picture(settings, c_dim, img_channels)}


def _fastgan_discriminator(settings: Settings, c_dim: int, img_channels: int) -> tuple[str, Config]:
    return "fastgan-discriminator", picture(settings, c_dim, img_channels)


def _residual(settings: Settings, c_dim: int, img_channels: int) -> tuple[str, Config]:
    return "stylegan2-discriminator", picture(settings, c_dim, img_channels)


def _strided(settings: Settings, c_dim: int, img_channels: int) -> tuple[str, Config]:
    return "dcgan-discriminator", picture(settings, c_dim, img_channels)


def _projected(settings: Settings, c_dim: int, img_channels: int) -> tuple[str, Config]:
    judging = {"side": settings.feature_side, "batch_norm": settings.judge_norm, "plain_share": settings.plain_share}
    return "projected-discriminator", {**picture(settings, c_dim, img_channels), **judging}


DISCRIMINATORS: Mapping[str, Describe] = {"residual": _residual, "strided": _strided, "projected": _projected}
"""What the setting ``discriminator`` means; any other network of a family is its own, which nobody has to name."""

_PENALISED: Mapping[str, Any] = {"loss": "non-saturating", "d_lr": 0.002, "r1_gamma": None, "r1_interval": 16}
JUDGED: Mapping[str, Mapping[str, Any]] = {
    "residual": _PENALISED,
    "strided": {**_PENALISED, "d_lr": 0.0004, "r1_interval": 8},
    "projected": {
        "loss": "hinge",
        "d_lr": 0.0003,
        "d_steps": 1,
        "r1_gamma": 0.0,
        "r2_gamma": 0.0,
        "gp_weight": 0.0,
        "drift_weight": 0.0,
        "weight_clip": 0.0,
        "style_mixing": 0.0,
        "blur_init_sigma": 6.0,
        "range_weight": 10.0,
        "diversity_weight": 5.0,
        "augment": "diff",
    },
}
"""The numbers that a discriminator needs instead of its family's: one that learns faster steps more slowly, and one that looks through
frozen features needs no penalty, but a late look at details (Sauer et al. 2021; Sauer et al. 2022, "StyleGAN-XL", section 3.2)."""

STYLE: Mapping[str, Any] = {
    **PLAIN,
    "z_dim": 256,
    "g_lr": 0.0025,
    "d_lr": 0.002,
    "beta1": 0.0,
    "beta2": 0.99,
    "lr_floor": 1.0,
    "r1_gamma": None,
    "r1_interval": 16,
    "augment": "ada",
}
"""The numbers of style-based networks (Karras et al. 2020 ADA; 2021, appendix G): these do without style mixing."""

FAMILIES: dict[str, Family] = {
    "stylegan2": Family(
        _stylegan2,
        _residual,
        {**STYLE, "style_mixing": 0.9},
        classes="if given",
        resolution=64,
        batch=32,
    ),
    "stylegan3": Family(_stylegan3, _residual, STYLE, classes="if given", resolution=32, batch=16),
    "stylegan3-r": Family(_stylegan3_r, _residual, {**STYLE, "blur_init_sigma": 10.0}, classes="if given", resolution=32, batch=16),
    "fastgan": Family(
        _fastgan,
        _fastgan_discriminator,
        {**PLAIN, "z_dim": 256, "loss": "hinge", "lr_floor": 1.0, "augment": "diff"},
        resolution=64,
        batch=8,
    ),
    **CLASSIC,
}
"""Name -> family. The papers' numbers, except where a CPU's small batches and hours ask for others (learning rates, steps)."""


def discriminator(settings: Settings, c_dim: int, img_channels: int) -> tuple[str, Config]:
    """Return family and configuration of a run's discriminator."""
    named = DISCRIMINATORS.get(settings.discriminator or "")
    return (named or FAMILIES[settings.family].discriminator)(settings, c_dim, img_channels)


def objective(settings: Settings) -> Objective:
    """Return what the networks of resolved settings play for.

    Raises:
        TrainingError: The loss is unknown.
    """
    return Objective(
        loss=require(settings.loss),
        r1_gamma=require(settings.r1_gamma),
        r2_gamma=require(settings.r2_gamma),
        gp_weight=require(settings.gp_weight),
        drift_weight=require(settings.drift_weight),
        weight_clip=require(settings.weight_clip),
        orthogonal_weight=require(settings.orthogonal_weight),
        range_weight=require(settings.range_weight),
    )


def c_dim(settings: Settings, classes: Sequence[str]) -> int:
    """Return how many classes the networks of a family are told of.

    Raises:
        TrainingError: The family needs classes and there are none.
    """
    rule = FAMILIES[settings.family].classes
    if rule == "always" and len(classes) < 2:
        raise TrainingError(f"{settings.family} learns classes, but this folder has none. Put each kind of picture in a sub-folder.")
    return 0 if rule == "never" else len(classes)


def optimizer(settings: Settings, network: nn.Module, lr: float, lazy_interval: int) -> torch.optim.Optimizer:
    """Return the family's optimiser, corrected for a penalty that comes every ``lazy_interval`` steps (Karras et al. 2020, app. B).

    Every group remembers its full learning rate as ``full_lr``.
    """
    ratio = lazy_interval / (lazy_interval + 1) if lazy_interval else 1.0
    groups = [{"params": list(network.parameters()), "full_lr": lr * ratio}]
    if FAMILIES[settings.family].optimizer == "rmsprop" and settings.discriminator is None:
        return torch.optim.RMSprop(groups, lr=lr * ratio)
    betas = (require(settings.beta1) ** ratio, require(settings.beta2) ** ratio)
    return torch.optim.Adam(groups, lr=lr * ratio, betas=betas, eps=1e-8, fused=True)


def level(progress: float, finest: int) -> float:
    """Return how far progressively grown networks are: 0 for 4 px, ``finest`` for the full size (Karras et al. 2018, figure 2).

    Each size is held for as long as the next one then takes to fade in; the full size has the last part of the time to itself.
    """
    stages = 2 * finest * min(1.0, progress / GROWN_AFTER)
    steady, fading = divmod(stages, 2)
    return float(min(finest, steady + max(0.0, fading - 1)))
