"""What ``None`` means for the translators, and the networks they train: at sizes and rates that a CPU can work with.

Published values are named where ours differ: CUT has no plain identity loss there (Park et al. 2020, eq. 5), but in the few thousand
steps that a CPU takes its colours drift from one tint to the next without; for the same reason its rate does not grow with the batch.
Schedules are *not* here: they are in the trainers.
"""

from __future__ import annotations

import dataclasses

from studio.errors import TrainingError
from studio.models.common import Config
from studio.training.settings import Settings

TRANSLATORS = ("cyclegan", "cut", "fastcut", "pix2pix", "style", "enlarge")
DIRECTIONS = ("AtoB", "BtoA")
NETWORKS = ("resnet", "unet")
DEEPEST_UNET = 8
SCALES = (2, 4)
LEARNS = ("row", "network")
BOOK = "styles"
"""The shipped book, which a style of one's own is added to unless ``start_from`` names another."""
ENLARGER: Config = {"ngf": 48, "n_convs": 12}
PROJECTED_RATE = 0.0003
"""Learning rate of judges that look through pretrained features: they learn fast."""


def is_own_style(settings: Settings) -> bool:
    """Tell whether a run adds a style to a book that is there: paintings were named, and no photos."""
    return settings.family == "style" and not settings.target


def resolve(settings: Settings) -> Settings:
    """Fill in every ``None`` that the family decides, and check the rest.

    Raises:
        TrainingError: A folder is missing from the command, or a value is out of range.
    """
    _check(settings)
    if settings.family == "style":
        return _resolve_style(settings)
    if settings.family == "enlarge":
        return _resolve_enlarger(settings)
    resolution, batch = settings.resolution or 128, settings.batch or 4
    if resolution % 4 or resolution < 32:
        raise TrainingError(f"resolution={resolution} is not possible: a translator's crops need a multiple of 4, at least 32.")
    is_projected = settings.discriminator == "projected"
    if is_projected and (resolution % 32 or resolution < 64):
        raise TrainingError(f"resolution={resolution} is not possible: projected patches need crops of a multiple of 32, at least 64.")
    load_size = settings.load_size or resolution * 3 // 2
    if load_size < resolution:
        raise TrainingError(f"load_size={load_size} is smaller than the crops ({resolution}). Use {resolution} or more.")
    is_contrastive = settings.family in ("cut", "fastcut")
    rate = 0.0002 * (1 if is_contrastive else batch**0.5)
    augment = settings.augment or "none"
    pipe = settings.augment_pipe or ("translation,cutout" if augment == "diff" else None)
    nce, nce_identity, identity = {"cut": (1.0, 1.0, 2.0), "fastcut": (4.0, 0.0, 0.0)}.get(settings.family, (0.0, 0.0, 5.0))
    return dataclasses.replace(
        settings,
        resolution=resolution,
        batch=batch,
        crop="none",
        load_size=load_size,
        g_lr=rate if settings.g_lr is None else settings.g_lr,
        d_lr=(PROJECTED_RATE if is_projected else rate) if settings.d_lr is None else settings.d_lr,
        lambda_content=float(is_projected) if settings.lambda_content is None else settings.lambda_content,
        lambda_style=float(is_projected) if settings.lambda_style is None else settings.lambda_style,
        ema_kimg=1.0 if settings.ema_kimg is None else settings.ema_kimg,
        augment=augment,
        augment_pipe=pipe,
        antialias=is_contrastive if settings.antialias is None else settings.antialias,
        lambda_nce=nce if settings.lambda_nce is None else settings.lambda_nce,
        lambda_identity=identity if settings.lambda_identity is None else settings.lambda_identity,
        lambda_nce_identity=nce_identity if settings.lambda_nce_identity is None else settings.lambda_nce_identity,
    )


def _resolve_style(settings: Settings) -> Settings:
    """Fill in what painting styles need: larger crops than other translators, as strokes are judged over some distance."""
    resolution = settings.resolution or 192
    if resolution % 4 or resolution < 64:
        raise TrainingError(f"resolution={resolution} is not possible: styles are learnt on crops of a multiple of 4, at least 64.")
    load_size = settings.load_size or resolution * 4 // 3
    if load_size < resolution:
        raise TrainingError(f"load_size={load_size} is smaller than the crops ({resolution}). Use {resolution} or more.")
    return dataclasses.replace(
        settings,
        resolution=resolution,
        batch=settings.batch or 4,
        crop="none",
        load_size=load_size,
        g_lr=0.002 if settings.g_lr is None else settings.g_lr,
        ema_kimg=0.5 if settings.ema_kimg is None else settings.ema_kimg,
        augment=settings.augment or "none",
        antialias=False,
        lambda_content=1.0 if settings.lambda_content is None else settings.lambda_content,
        lambda_style=1.0 if settings.lambda_style is None else settings.lambda_style,
        lambda_smooth=(1.5 if is_own_style(settings) else 0.7) if settings.lambda_smooth is None else settings.lambda_smooth,
    )


def _resolve_enlarger(settings: Settings) -> Settings:
    """Fill in what an enlarger needs: crops of originals whose small versions its layers can see across."""
    resolution, scale = settings.resolution or 32 * settings.scale, settings.scale
    if scale not in SCALES:
        raise TrainingError(f"scale={scale} is not possible. Use {' or '.join(map(str, SCALES))}.")
    if resolution % 32 or resolution < 64:
        raise TrainingError(f"resolution={resolution} is not possible: originals are cut to a multiple of 32, at least 64.")
    load_size = settings.load_size or max(resolution, 256)
    if load_size < resolution:
        raise TrainingError(f"load_size={load_size} is smaller than the crops ({resolution}). Use {resolution} or more.")
    return dataclasses.replace(
        settings,
        resolution=resolution,
        batch=settings.batch or 8,
        crop="none",
        load_size=load_size,
        g_lr=0.0005 if settings.g_lr is None else settings.g_lr,
        ema_kimg=1.0 if settings.ema_kimg is None else settings.ema_kimg,
        augment=settings.augment or "none",
        antialias=False,
        lambda_content=1.0 if settings.lambda_content is None else settings.lambda_content,
        lambda_style=0.0,
    )


def _check(settings: Settings) -> None:
    if settings.learns not in LEARNS:
        raise TrainingError(f"learns={settings.learns!r} is not known. Use one of: {', '.join(LEARNS)}.")
    if settings.family not in ("pix2pix", "enlarge", "style") and not settings.target:
        raise TrainingError(f"{settings.family} needs two folders: pictures to translate, then pictures in the wanted style.")
    if settings.direction not in DIRECTIONS:
        raise TrainingError(f"direction={settings.direction!r} is not known. Use one of: {', '.join(DIRECTIONS)}.")
    if settings.family != "pix2pix" and settings.direction != "AtoB":
        raise TrainingError(f"direction={settings.direction!r} is for pix2pix. Name the folders of {settings.family} the other way round.")
    if settings.network not in ("", *NETWORKS):
        raise TrainingError(f"network={settings.network!r} is not known. Use one of: {', '.join(NETWORKS)}.")
    if settings.network == "unet" and settings.family in ("cut", "fastcut"):
        raise TrainingError(f"{settings.family} compares the layers of a resnet; network='unet' has none of them. Leave network out.")
    if settings.discriminator not in (None, "projected"):
        raise TrainingError(f"discriminator={settings.discriminator!r} is for picture generators. Use projected, or leave it out.")
    if settings.discriminator and settings.family == "style":
        raise TrainingError("discriminator='projected' judges pictures, but styles are learnt from statistics alone. Leave it out.")
    if settings.discriminator and settings.family == "enlarge":
        raise TrainingError("discriminator='projected' judges pictures without an answer, but an enlarger knows it. Leave it out.")
    if settings.family == "enlarge" and settings.target and not settings.teacher:
        raise TrainingError("The second folder holds small pictures that only a teacher can enlarge. Name one: --set teacher=FILE.param")
    if settings.discriminator and settings.family == "pix2pix":
        raise TrainingError("discriminator='projected' judges single pictures, but pix2pix judges pairs. Leave it out.")
    if settings.family == "pix2pix" and (settings.lambda_content or settings.lambda_style):
        raise TrainingError("lambda_content and lambda_style are for pictures without partners; pix2pix has lambda_l1. Leave them out.")
    if settings.augment == "ada":
        raise TrainingError("augment='ada' adapts to what a picture generator does. Use diff, fixed or none for a translator.")
    if not 1 <= settings.zoom <= 4:
        raise TrainingError(f"zoom={settings.zoom} is out of range: 1 keeps strokes at one size, 4 is the most.")


def translator(settings: Settings, n_styles: int = 1) -> tuple[str, Config]:
    """Return family and configuration of a translator; only a book of styles has ``n_styles``.

    A residual network has resize-convolutions, which leave no checkerboard; with ``antialias`` it blurs before halving and after
    doubling instead, as CUT does (Park et al. 2020, appendix C.1), so that no pattern can hide near the limit of a grid.

    A U-Net (pix2pix unless told otherwise) halves as often as the crops allow; its norms are instance norms, so that a batch never
    changes a picture (published: batch norm), and it has no dropout, which Isola et al. 2017 (section 3.1) found to add little.
    """
    if settings.family == "style":
        return "style-transfer", {"n_styles": n_styles}
    if settings.family == "enlarge":
        return "compact", {**ENLARGER, "scale": settings.scale}
    if (settings.network or ("unet" if settings.family == "pix2pix" else "resnet")) == "resnet":
        scaling = {"downsample": "strided", "upsample": "resize", "resize_mode": "nearest"}
        if settings.antialias:
            scaling = {"downsample": "antialias", "upsample": "antialias"}
        return "resnet", {"ngf": settings.ngf, "n_blocks": settings.n_blocks, **scaling}
    side = settings.resolution or 0
    depth = max(n for n in range(2, DEEPEST_UNET + 1) if side % 2**n == 0)
    return "unet", {"ngf": settings.ngf, "n_downs": depth, "norm": "instance", "dropout": False}


def judge(settings: Settings) -> tuple[str, Config]:
    """Return family and configuration of a discriminator; that of pix2pix sees the source and the result, six channels."""
    if settings.discriminator == "projected":
        return "projected-patches", {"side": settings.resolution}
    return "patchgan", {"ndf": settings.ndf} | ({"img_channels": 6} if settings.family == "pix2pix" else {})


def words(settings: Settings) -> str:
    """Say what the trained model does: the words of the settings, or ``A to B`` with the names of the folders."""
    if settings.words or settings.family not in TRANSLATORS:
        return settings.words
    if settings.family == "style":
        return "photo to painting"
    if settings.family == "enlarge":
        return f"{settings.scale} times larger"
    names = [
        ", ".join(part.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] for part in places) for places in (settings.data, settings.target)
    ]
    first, second = names if names[1] else ("left half", "right half")
    return f"{second} to {first}" if settings.direction == "BtoA" else f"{first} to {second}"
