"""Preview pictures of models: what the tiles of Restyle and the cards of Models show.

Every translator restyles the same small picture, a landscape that is computed here and belongs to nobody; every generator
shows four of its seeds (a slow one just one). Tiles are made once for each model file and kept in the cache folder.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from studio import media, paths
from studio.media import ImageArray
from studio.models.common import Upscaler
from studio.recipe import Latent, ModelRef, Recipe, Restyle, StyleWeight, Truncation
from studio.render import draw, opaque
from studio.restyle import restyle
from studio.ui.context import Context
from studio.ui.facts import BOOK, UPSCALERS
from studio.upscaling import upscale
from studio.worker import Priority

TRANSLATORS = ("resnet", "unet", BOOK)
TILE = (192, 144)
WIDTH, HEIGHT = 384, 288
CARD = 160
SEEDS = (0, 7, 21, 42)
SLOW_SECONDS = 2.0
QUALITY = 85
VERSION = 2
_SHA = re.compile(r"[0-9a-f]{64}")

Floats = npt.NDArray[np.float64]


def translator_tile(ctx: Context, entry: Any, style: str = "") -> bytes:
    """Return the sample picture restyled by a translator, as WebP; made once and then read from the cache.

    Args:
        ctx: The studio.
        entry: The model.
        style: Of a book of painting styles: which.

    Raises:
        StudioError: The model cannot be loaded, is no translator or has no such style.
    """
    wishes = Restyle(styles=(StyleWeight(style),) if style else ())
    recipe = Recipe(model=ModelRef(entry.name, entry.card.sha256), restyle=wishes, precision="auto")
    engine: Any = ctx.engine
    return cached(entry, lambda: engine.restyle(recipe, sample(), priority=Priority.BATCH), style)


def card_picture(ctx: Context, entry: Any) -> bytes:
    """Return a preview of any installed model, as WebP; made once and then read from the cache.

    Raises:
        StudioError: The model cannot be loaded.
    """
    if entry.card.family in TRANSLATORS:
        return translator_tile(ctx, entry)
    if entry.card.family in UPSCALERS:
        engine: Any = ctx.engine
        return cached(entry, lambda: engine.take_turn(lambda: _enlarged(engine.load(entry.name).network), "exact", Priority.BATCH))
    recipe = Recipe(model=ModelRef(entry.name, entry.card.sha256))
    preview = functools.partial(ctx.engine.preview, size=CARD, priority=Priority.BATCH)
    return cached(entry, lambda: _seeds(preview, recipe, ctx.engine.load(entry.name).network.c_dim))


def cached(entry: Any, make: Callable[[], ImageArray], style: str = "") -> bytes:
    """Return a picture that a model makes, as WebP, from the cache where it was made before; ``style`` tells those of a model apart."""
    path = _tile_path(entry, style)
    if path is not None and path.is_file():
        return path.read_bytes()
    data = media.encode_webp(make(), QUALITY)
    if path is not None:
        with media.atomic_write(path) as file:
            file.write(data)
    return data


def _tile_path(entry: Any, style: str = "") -> Path | None:
    """Name the cached picture after the model file: its hash, or else its place and time; None when there is no file."""
    name = entry.card.sha256
    if not _SHA.fullmatch(name):
        if not Path(entry.path).is_file():
            return None
        status = Path(entry.path).stat()
        name = media.hash_bytes(f"{entry.path} {status.st_size} {status.st_mtime_ns}".encode())
    own = f"-{media.hash_bytes(style.encode())[:16]}" if style else ""
    return paths.cache_folder() / "tiles" / f"{name}{own}-{VERSION}.webp"


def preview_of(network: Any) -> bytes:
    """Return a preview of a network that was just imported, as WebP: some seeds, or the sample picture restyled."""
    if isinstance(network, Upscaler):
        return media.encode_webp(_enlarged(network), QUALITY)
    if not hasattr(network, "num_ws"):
        return media.encode_webp(restyle(network, sample()), QUALITY)
    return media.encode_webp(_seeds(lambda at: opaque(draw(network, at)), Recipe(), network.c_dim), QUALITY)


def _enlarged(network: Upscaler) -> ImageArray:
    """Enlarge a piece of the sample picture."""
    return _square(upscale(network, np.ascontiguousarray(sample()[96:160, 64:128])))


def _seeds(make: Callable[[Recipe], ImageArray], recipe: Recipe, c_dim: int = 0) -> ImageArray:
    """Lay four seeds out in two rows, of as many classes as there are; a network too slow for that shows one."""
    began = time.perf_counter()
    classes = [((number * c_dim // len(SEEDS), 1.0),) if c_dim else () for number in range(len(SEEDS))]
    recipes = [
        replace(recipe, latent=Latent.from_seed(seed, kinds), truncation=Truncation.fresh(c_dim))
        for seed, kinds in zip(SEEDS, classes, strict=True)
    ]
    pictures = [_square(make(recipes[0]))]
    if time.perf_counter() - began > SLOW_SECONDS:
        return pictures[0]
    pictures += [_square(make(one)) for one in recipes[1:]]
    rows = [np.concatenate(pictures[i : i + 2], axis=1) for i in (0, 2)]
    return np.ascontiguousarray(np.concatenate(rows, axis=0))


def _square(image: ImageArray) -> ImageArray:
    return media.resize(image, CARD, CARD)


def sample() -> ImageArray:
    """Compute the small landscape, ``uint8 [144, 192, 3]``: an evening sky over hills and water."""
    rng = np.random.default_rng(11)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / WIDTH
    image = _sky(x, y, rng)
    tints = ((122, 134, 158), (88, 108, 118), (58, 82, 72))
    shore = 0.53
    for number, tint in enumerate(tints):
        ridge = shore - 0.15 + 0.05 * number - _noise1(rng, WIDTH, 3 + 2 * number) * (0.13 - 0.03 * number)
        light = 1 + 0.16 * _noise2(rng, 6 * (number + 1)) + 0.1 * _noise2(rng, 40)
        land = (np.asarray(tint, float) * light[..., None]).clip(0, 255)
        image = np.where((y > ridge[None, :])[..., None], land, image)
    return media.resize(_with_water(image, y, shore, rng).clip(0, 255).astype(np.uint8), *TILE)


def _sky(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    height = (y / 0.5).clip(0, 1)[..., None]
    sky = (1 - height) * np.asarray((86, 128, 178.0)) + height * np.asarray((246, 206, 160.0))
    clouds = (_noise2(rng, 4) + 0.6 * _noise2(rng, 9) + 0.3 * _noise2(rng, 22) - 0.15).clip(0, 1)[..., None]
    sky = sky + clouds * (np.asarray((252, 236, 224.0)) - sky) * 0.85
    distance = np.hypot(x - 0.68, y - 0.27)
    glow = np.exp(-((distance / 0.16) ** 2))[..., None] * 0.5
    sky = sky + glow * (np.asarray((255, 232, 176.0)) - sky)
    return np.where((distance < 0.035)[..., None], np.asarray((255, 246, 214.0)), sky)


def _with_water(image: Floats, y: Floats, shore: float, rng: np.random.Generator) -> Floats:
    first = int(shore * WIDTH)
    rows = np.arange(first, HEIGHT)
    mirrored = np.clip(2 * first - rows + np.rint(rng.normal(0, 1.2, len(rows))).astype(int), 0, first - 1)
    ripples = 1 + 0.07 * _noise2(rng, 60)[rows]
    water = 0.72 * image[mirrored] * ripples[..., None] + 0.28 * np.asarray((52, 78, 104.0))
    result = image.copy()
    result[first:] = water
    bank = _noise1(rng, WIDTH, 5) * 0.06 + 0.69
    grass = np.asarray((74, 92, 44.0)) * (1 + 0.45 * _noise2(rng, 48))[..., None]
    flowers = (rng.random((HEIGHT, WIDTH)) < 0.02)[..., None] & (y > bank[None, :] + 0.012)[..., None]
    grass = np.where(flowers, np.asarray((214, 88, 62.0)), grass)
    return np.where((y > bank[None, :])[..., None], grass, result)


def _noise1(rng: np.random.Generator, length: int, knots: int) -> Floats:
    """Return smooth noise in -1..1 with details at half and quarter size, ``[length]``."""
    total = np.zeros(length)
    for octave in range(4):
        count = knots * 2**octave + 2
        total += np.interp(np.linspace(0, count - 1, length), np.arange(count), rng.uniform(-1, 1, count)) / 2**octave
    return total / 1.9


def _noise2(rng: np.random.Generator, knots: int) -> Floats:
    """Return smooth noise in about -1..1, ``[HEIGHT, WIDTH]``."""
    grid = rng.uniform(-1, 1, (max(2, knots * HEIGHT // WIDTH) + 1, knots + 1))
    rows = np.linspace(0, grid.shape[0] - 1, HEIGHT)
    columns = np.linspace(0, grid.shape[1] - 1, WIDTH)
    along = np.stack([np.interp(columns, np.arange(grid.shape[1]), line) for line in grid])
    return np.stack([np.interp(rows, np.arange(grid.shape[0]), along[:, i]) for i in range(WIDTH)], axis=1)
