"""The sound matrix: features become levels that move a film, and presets are matrices with a name.

A preset is data: it is read with the same checks as a recipe and can do nothing but move values of one. What a level does to a
value is told in ``timeline/``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from studio import paths
from studio.audio import envelope
from studio.errors import RecipeError
from studio.hearing import Heard
from studio.media.files import atomic_write
from studio.recipe import Latent, Recipe
from studio.recipe_codec import declare, decode, encode, parse_object
from studio.recipe_film import PATHS, Film, LatentKey, LatentLane, Mapping

Levels = npt.NDArray[np.float32]

MAX_PRESET_BYTES = 2 * 1024 * 1024
MAX_LEVELS = 1 << 28
"""Most levels of a film: frames times entries of the matrix (1 GB)."""
FACTORY = Path(__file__).resolve().parent / "presets"
_CLASS = re.compile(r"latent\.classes\.(\d+)")


@dataclass(frozen=True, slots=True)
class Preset:
    """A matrix to start from. ``path``, ``speed``, ``bound`` and ``places`` are for films whose latent has no keyframes of its own."""

    name: str = declare("", "small letters, digits and hyphens", pattern=r"[a-z0-9][a-z0-9-]{0,59}", max_length=60)
    label: str = declare("", "what it is called", max_length=60)
    help: str = declare("", "what it does, in one sentence", max_length=300)
    path: str = declare("", "how it moves from the first place; empty: not", choices=("", *PATHS))
    speed: float = declare(0.25, "steps or turns per second", low=0.0, high=20.0)
    bound: float = declare(2.0, "a walk turns back this far from the average, times psi", low=0.1, high=10.0)
    places: tuple[Latent, ...] = declare((), "places to go to, evenly spaced", max_length=64)
    matrix: tuple[Mapping, ...] = declare((), "what moves with what is heard", max_length=256)


def levels(film: Film, heard: Sequence[Heard | None]) -> tuple[Levels, ...]:
    """Turn what is heard into the levels that move a film.

    Args:
        film: Its rate, length, sounds and matrix.
        heard: What was heard in each of ``film.sounds`` (see :func:`studio.hearing.hear`); None, or none at all, is silence.

    Returns:
        For every entry of the matrix ``[count]`` float32 within 0..1.

    Raises:
        RecipeError: A feature that the sound does not have, or a film that is too long for its matrix.
    """
    if film.count * len(film.matrix) > MAX_LEVELS:
        raise RecipeError(f"{film.count} frames with {len(film.matrix)} entries in the sound matrix are too many. Use fewer of either.")
    return tuple(_level(film, entry, heard[entry.sound] if entry.sound < len(heard) else None) for entry in film.matrix)


def _level(film: Film, entry: Mapping, source: Heard | None) -> Levels:
    if source is None:
        return np.zeros(film.count, np.float32)
    start = film.sounds[entry.sound].start if entry.sound < len(film.sounds) else 0.0
    raw = source.at_frames(entry.feature, film.rate, film.count, start - entry.envelope.delay)
    return envelope(raw, film.rate, entry.envelope)


def presets() -> dict[str, Preset]:
    """Return all presets by name: those that come with the studio, then the user's, which may replace them.

    A user's file that is damaged is left out.
    """
    found = [load_preset(path) for path in sorted(FACTORY.glob("*.json"))]
    for path in sorted(user_folder().glob("*.json")):
        try:
            found.append(load_preset(path))
        except RecipeError:
            continue
    return {preset.name: preset for preset in found}


def find_preset(name: str) -> Preset:
    """Return a preset by its name.

    Raises:
        RecipeError: There is none.
    """
    known = presets()
    if name not in known:
        raise RecipeError(f"preset={name[:60]!r} is not known. Use one of: {', '.join(known)}.")
    return known[name]


def user_folder() -> Path:
    """Return the folder of the user's own presets."""
    return paths.home_folder() / "presets"


def load_preset(path: str | os.PathLike[str]) -> Preset:
    """Read a preset from a JSON file of any origin.

    Raises:
        RecipeError: It cannot be read, or is no preset.
    """
    place = Path(path)
    try:
        if place.stat().st_size > MAX_PRESET_BYTES:
            raise RecipeError(f"{place.name} is longer than {MAX_PRESET_BYTES >> 20} MB, which no preset is.")
        text = place.read_bytes()
    except OSError as error:
        raise RecipeError(f"{place.name} cannot be read ({error.strerror}). Choose a preset file (.json).") from error
    return parse_preset(text)


def parse_preset(text: str | bytes) -> Preset:
    """Read a preset from untrusted JSON.

    Raises:
        RecipeError: It is no preset; the sentence names the value.
    """
    preset = decode(Preset, parse_object(text, MAX_PRESET_BYTES, "preset"), "preset")
    if not preset.name:
        raise RecipeError("The preset has no name. Give it one of small letters, digits and hyphens.")
    return preset


def save_preset(preset: Preset) -> Path:
    """Keep a preset in the user's folder; one of the same name is replaced.

    Raises:
        RecipeError: Its name or a value is not acceptable.
        MediaError: The disk is full or the folder cannot be written to.
    """
    text = json.dumps(encode(preset), indent=1, ensure_ascii=False, allow_nan=False)
    parse_preset(text)
    place = user_folder() / f"{preset.name}.json"
    with atomic_write(place) as file:
        file.write(text.encode())
    return place


def apply_preset(recipe: Recipe, preset: Preset, c_dim: int = 0) -> Recipe:
    """Give a film the matrix of a preset; keyframes and sounds stay.

    Args:
        recipe: A picture becomes a film of the usual length.
        preset: Where it moves classes, those that the model does not have are left out.
        c_dim: Number of classes of the model.
    """
    film = recipe.film or Film()
    matrix = tuple(entry for entry in preset.matrix if _has_class(entry.target, c_dim))
    return replace(recipe, film=replace(film, matrix=matrix, latents=_moved(recipe, film, preset)))


def _has_class(target: str, c_dim: int) -> bool:
    found = _CLASS.fullmatch(target)
    return found is None or int(found[1]) < c_dim


def _moved(recipe: Recipe, film: Film, preset: Preset) -> tuple[LatentLane, ...]:
    """Let the latent move as the preset wants, unless it has at least two keyframes or a way of its own."""
    own = next((lane for lane in film.latents if lane.target == "latent"), None)
    if not preset.path or (own is not None and (len(own.keys) > 1 or own.path not in ("spline", "linear"))):
        return film.latents
    first = own.keys[0].latent if own is not None and own.keys else recipe.latent
    stops = [first, *preset.places]
    step = film.seconds / len(stops)
    keys = tuple(LatentKey(number * step, latent) for number, latent in enumerate(stops))
    bound = min(max(preset.bound * abs(recipe.truncation.psi), 0.1), 10.0)
    lane = LatentLane("latent", preset.path, keys, speed=preset.speed, bound=bound)
    return (lane, *(other for other in film.latents if other.target != "latent"))
