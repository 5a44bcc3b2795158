"""What ``None`` means in the settings, family by family, and which trainer a family has.

A new family is one entry in :data:`FAMILIES`, its defaults, and a trainer class. Schedules are *not* here: they are in the trainers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio import paths
from studio.errors import TrainingError
from studio.models.common import Config
from studio.training import data, families, start, translator_presets
from studio.training.family import channels
from studio.training.settings import Settings
from studio.training.settings import require as require
from studio.training.team import Team
from studio.training.trainer import choose_device

if TYPE_CHECKING:
    from studio.training.trainer import Trainer

TRANSLATORS = translator_presets.TRANSLATORS
FAMILIES = (*families.FAMILIES, *TRANSLATORS)

FIXED_FIELDS = (
    "family", "data", "target", "film_rate", "resolution", "img_channels", "crop",
    "channel_base", "channel_max", "z_dim", "w_dim", "mapping_layers",
    "ngf", "ndf", "n_blocks", "load_size", "network", "antialias", "direction", "seed",
    "discriminator", "feature_side", "plain_share", "judge_norm", "scale", "teacher", "learns",
)  # fmt: skip
"""What a run cannot change once it has started."""

LEAST_PROJECTED = 32
"""The smallest pictures that pretrained features say something about, pixels."""
SMALL_SIDE = 128
"""Shorter side of the pictures that only an enlarger's teacher enlarges, pixels."""
UNUSED_Z_DIM = 256
"""What translators have always written into their settings."""
UNUSED_ANTIALIAS = False
"""What picture generators have always written there."""


def resolve(settings: Settings) -> Settings:
    """Fill in every ``None`` that the family decides, and check the rest.

    Raises:
        TrainingError: The family is unknown, folders are missing from the command, or a number is out of range.
    """
    if settings.family not in FAMILIES:
        raise TrainingError(f"family={settings.family!r} is not known. Use one of: {', '.join(FAMILIES)}.")
    if settings.family in TRANSLATORS:
        return dataclasses.replace(translator_presets.resolve(settings), z_dim=settings.z_dim or UNUSED_Z_DIM)
    if settings.lambda_content or settings.lambda_style:
        raise TrainingError("lambda_content and lambda_style are for translators: a generator has no photo to keep to. Leave them out.")
    if settings.target:
        raise TrainingError(f"{settings.family} learns from one set of pictures; leave the second folder out.")
    return _resolve_gan(dataclasses.replace(settings, antialias=UNUSED_ANTIALIAS))


def _resolve_gan(settings: Settings) -> Settings:
    """Fill in what the family's table says, and the numbers that follow from resolution and batch."""
    settings = start.adopt(settings)
    family = families.FAMILIES[settings.family]
    resolution = settings.resolution or family.resolution
    if resolution < 8 or resolution & (resolution - 1):
        raise TrainingError(f"resolution={resolution} is no power of two. Use 32, 64, 128 or 256.")
    if settings.img_channels not in (3, 4):
        raise TrainingError(f"img_channels={settings.img_channels} is not possible. Use 3 (colours) or 4 (colours and transparency).")
    batch = settings.batch or family.batch
    settings = dataclasses.replace(settings, discriminator=_judge(settings))
    numbers = {**family.numbers, **families.JUDGED.get(settings.discriminator or "", {})}
    numbers["blur_init_sigma"] = max(numbers["blur_init_sigma"], family.numbers["blur_init_sigma"])
    if batch % 4:
        numbers["diversity_weight"] = 0.0  # no pairs that stay together in a team
    open_fields = {name: value for name, value in numbers.items() if getattr(settings, name) is None}
    resolved = dataclasses.replace(
        settings,
        resolution=resolution,
        batch=batch,
        crop=settings.crop or "smart",
        ema_kimg=_or(settings.ema_kimg, batch * 10 / 32),
        **open_fields,
    )
    if family.deals_out_z and settings.z_dim is None:
        z_dim, layers = require(resolved.z_dim), len(channels(resolved))
        resolved = dataclasses.replace(resolved, z_dim=z_dim + -z_dim % layers)
    resolved = dataclasses.replace(resolved, r1_gamma=_or(resolved.r1_gamma, 0.0008 * resolution**2 / batch))
    families.objective(resolved)
    _check_judge(resolved)
    return resolved


def _check_judge(settings: Settings) -> None:
    """Check what the settings say of the discriminator."""
    kind, resolution = settings.discriminator, require(settings.resolution)
    if kind is not None and kind not in families.DISCRIMINATORS:
        raise TrainingError(f"discriminator={kind!r} is not known. Use {' or '.join(families.DISCRIMINATORS)}, or leave it out.")
    if kind == "projected" and resolution < LEAST_PROJECTED:
        raise TrainingError(f"discriminator='projected' needs pictures of {LEAST_PROJECTED} px or more, not {resolution}.")
    if not 0 <= settings.plain_share < 1:
        raise TrainingError(f"plain_share={settings.plain_share} is out of range. Use 0 (no plain discriminator) to 0.9.")


def _judge(settings: Settings) -> str | None:
    """Choose the discriminator of a StyleGAN: the command's, the run's, that of the run or file it starts from, else by the device."""
    if settings.discriminator is not None or settings.family not in families.STYLE_FAMILIES:
        return settings.discriminator
    before = start.earlier_settings(settings)
    if before is not None:
        return before.discriminator
    started = start.origin(settings)
    has_own = started is not None and started.judge is not None
    if has_own or choose_device(settings.device).type == "cuda":
        return "residual"
    resolution = settings.resolution or families.FAMILIES[settings.family].resolution
    return "projected" if resolution >= LEAST_PROJECTED else "strided"


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def generator(settings: Settings, *, c_dim: int, channels_out: int, started: start.Origin | None = None) -> tuple[str, Config]:
    """Return family and configuration of the generator; ``started`` is what a fine-tuned run comes from."""
    if started is not None:
        return started.generator(c_dim, channels_out)
    return families.FAMILIES[settings.family].generator(settings, c_dim, channels_out)


def discriminator(settings: Settings, *, c_dim: int, channels_in: int, started: start.Origin | None = None) -> tuple[str, Config]:
    """Return family and configuration of the discriminator; ``started`` is what a fine-tuned run comes from."""
    described = families.discriminator(settings, c_dim, channels_in)
    return described if started is None else started.discriminator(described, c_dim)


def load_pictures(settings: Settings, folders: tuple[str, ...], *, progress: Callable[[int, int], None] | None = None) -> data.Pictures:
    """Open the decoded pictures of some folders; ``progress`` is called with (done, total) while they are decoded for the first time."""
    size = settings.load_size if settings.family in TRANSLATORS else settings.resolution
    return data.prepare(
        [Path(f) for f in folders],
        resolution=require(size),
        crop=require(settings.crop),
        channels=settings.img_channels,
        film_rate=settings.film_rate,
        progress=progress,
    )


def load_pairs(settings: Settings, *, progress: Callable[[int, int], None] | None = None) -> data.Pictures:
    """Open the decoded pairs of a pix2pix run, the source on the first three channels; ``progress`` as in :func:`load_pictures`."""
    from studio.training.pairs import prepare_pairs

    first, second = ([Path(f) for f in folders] for folders in (settings.data, settings.target))
    return prepare_pairs(first, second, resolution=require(settings.load_size), direction=settings.direction, progress=progress)


def load_all_pictures(settings: Settings) -> list[data.Pictures]:
    """Open every set of pictures of a run; the first time this decodes them into the cache."""
    if settings.family == "pix2pix":
        return [load_pairs(settings)]
    target = dataclasses.replace(settings, load_size=SMALL_SIDE) if settings.family == "enlarge" else settings
    practice = (str(paths.practice_folder()),) if translator_presets.is_own_style(settings) else ()
    sets = ((settings, settings.data), (target, settings.target or practice))
    return [load_pictures(sized, folders) for sized, folders in sets if folders]


def build_trainer(settings: Settings, team: Team | None = None) -> Trainer:
    """Build the trainer of a family from resolved settings.

    Raises:
        TrainingError: Folders hold no pictures, or the team cannot share the batch evenly.
    """
    team = team or Team()
    if require(settings.batch) % team.size:
        raise TrainingError(f"batch={settings.batch} cannot be shared evenly by {team.size} processes. Use a multiple of {team.size}.")
    from studio.training.cut import CutTrainer
    from studio.training.cyclegan import CycleTrainer
    from studio.training.enlarge import EnlargeTrainer
    from studio.training.gan import GanTrainer
    from studio.training.own_style import OwnStyleTrainer
    from studio.training.pix2pix import PairTrainer
    from studio.training.style_book import StyleTrainer

    if settings.family == "pix2pix":
        return PairTrainer(settings, load_pairs(settings), team)
    if settings.family == "enlarge":
        return EnlargeTrainer(settings, load_all_pictures(settings), team)
    if settings.family in TRANSLATORS:
        kinds: dict[str, Any] = {"cyclegan": CycleTrainer, "style": StyleTrainer if settings.target else OwnStyleTrainer}
        trainer: Trainer = kinds.get(settings.family, CutTrainer)(settings, *load_all_pictures(settings), team)
        return trainer
    return GanTrainer(settings, load_pictures(settings, settings.data), team)
