"""From what is typed to the recipe of a film: the way through seeds, its length, its sounds. Nothing is drawn here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.cli import common, values
from studio.errors import RecipeError
from studio.recipe import Film, Latent, Recipe
from studio.recipe_film import LatentKey, LatentLane, SoundRef, parse_rate

if TYPE_CHECKING:
    from studio.engine import Engine
    from studio.model_cache import Loaded

SECONDS_PER_SEED = 4.0
RECIPE_SUFFIXES = (".json", ".png", ".jpg", ".jpeg", ".webp", ".mp4", ".m4v", ".mov", ".webm", ".gif", ".apng", ".zip")
DEFAULT_PRESET = "lucid"
NO_PRESET = "none"


def sources(source: str, engine: Engine) -> tuple[list[Recipe], list[Loaded]]:
    """Tell a recipe from models: give what to start from, and the model of each film."""
    if Path(source).suffix.lower() in RECIPE_SUFFIXES and "," not in source:
        recipe = values.read_recipe(Path(source))
        return [recipe], [common.open_model(engine, None, recipe)]
    models = [common.open_model(engine, name.strip()) for name in source.split(",") if name.strip()]
    if not models:
        raise RecipeError("No model was named. Name one that 'studio models' lists, a model file, or a recipe.")
    return [common.begun(Recipe(precision="auto"), loaded) for loaded in models], models


def shares(seeds: list[int] | None, grid: int) -> list[list[int] | None]:
    """Share the seeds among the films side by side."""
    if not 1 <= grid <= 64:
        raise RecipeError(f"grid={grid} is not possible. Use 1 to 64 films side by side.")
    if seeds is None or grid == 1:
        return [seeds] * grid
    if len(seeds) % grid:
        raise RecipeError(f"{len(seeds)} seeds cannot be shared among {grid} films. Give {grid}, {2 * grid}, {3 * grid} ... seeds.")
    each = len(seeds) // grid
    return [seeds[at : at + each] for at in range(0, len(seeds), each)]


def moving(recipe: Recipe, seeds: list[int] | None, pairs: Any, path: str | None, loop: bool | None) -> Recipe:
    """Give a recipe its way: through seeds, or its own, or about its place."""
    film = recipe.film or Film()
    film = film if loop is None else replace(film, loop=loop)
    if seeds is not None:
        keys = tuple(LatentKey(float(number), Latent.from_seed(seed, pairs)) for number, seed in enumerate(seeds))
        lanes = tuple(lane for lane in film.latents if lane.target != "latent")
        film = replace(film, latents=(*lanes, LatentLane("latent", path or ("spline" if len(seeds) > 1 else "noise"), keys)))
        return replace(recipe, latent=keys[0].latent, film=film)
    if recipe.film is None and recipe.model.name == "":
        raise RecipeError("No seeds were given. Use e.g. --seeds 1,5,9, or name a recipe.")
    if recipe.film is None:
        film = replace(film, latents=(LatentLane("latent", path or "noise", (LatentKey(0.0, recipe.latent),)),))
    return replace(recipe, film=film)


def timed(recipe: Recipe, fps: str | None, seconds: float | None, files: Sequence[tuple[Path, bool]], start: float, seeds: Any) -> Recipe:
    """Give a film its length and speed, and spread its seeds over it."""
    film = recipe.film
    assert film is not None
    length = seconds
    if length is None and files:
        length = _length_of(files[0][0]) - start
    if length is None and seeds is not None:
        length = SECONDS_PER_SEED * len(seeds)
    rate = film.fps if fps is None else str(parse_rate(fps))
    film = replace(film, fps=rate, seconds=film.seconds if length is None else round(length, 3))
    if seeds is not None:
        stops = max(1, len(seeds) if film.loop else len(seeds) - 1)
        *others, lane = film.latents
        keys = tuple(replace(key, time=number * film.seconds / stops) for number, key in enumerate(lane.keys))
        film = replace(film, latents=(*others, replace(lane, keys=keys)))
    return replace(recipe, film=film)


def _length_of(file: Path) -> float:
    from studio.hearing import hear

    return float(hear(file).duration)


def sounds_of(files: Sequence[tuple[Path, bool]], start: float) -> tuple[SoundRef, ...]:
    """Refer to sound files, each heard or only steering, from a moment in seconds on."""
    from studio.film_render import refer_to

    return tuple(refer_to(file, start=start, is_heard=is_heard) for file, is_heard in files)


def hearing(recipe: Recipe, sounds: tuple[SoundRef, ...], preset: str | None, loaded: Loaded) -> Recipe:
    """Let a film move with its sounds."""
    film = recipe.film
    assert film is not None
    if sounds:
        recipe = replace(recipe, film=replace(film, sounds=sounds))
    name = preset or (DEFAULT_PRESET if sounds and not film.matrix else NO_PRESET)
    if name == NO_PRESET:
        return recipe if preset is None else replace(recipe, film=replace(film, sounds=sounds or film.sounds, matrix=()))
    if not (sounds or film.sounds):
        raise RecipeError(f"preset={name} moves with a sound, but there is none. Use e.g. --audio song.flac.")
    from studio.mapping import apply_preset, find_preset

    return apply_preset(recipe, find_preset(name), int(getattr(loaded.network, "c_dim", 0)))


def shaped(
    recipe: Recipe, seeds: Any, psi: float | None, side: int | None, flash_limit: bool | None, precision: str | None, *, given: bool
) -> Recipe:
    """Set what belongs to the picture and its file; ``given``: the recipe was a film already."""
    assert recipe.film is not None
    film = recipe.film if flash_limit is None else replace(recipe.film, flash_limit=flash_limit)
    return replace(
        recipe,
        film=film,
        truncation=common.adjusted(recipe.truncation, psi=psi),
        size=recipe.size if side is None else side,
        precision=precision or (recipe.precision if given else "auto"),
    )
