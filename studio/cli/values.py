"""What people type on the command line, as values: seeds, classes, pairs of numbers, recipes. No typer, no torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from studio.errors import RecipeError
from studio.recipe import MAX_FILM_JSON_BYTES, Blend, Latent, Recipe, Truncation, bounds_of, from_json

MAX_SEEDS = 100_000


def parse_seeds(text: str) -> list[int]:
    """Read seeds such as ``0-7,42``, in the order given.

    Raises:
        RecipeError: It is something else, or more than 100,000 seeds.
    """
    seeds: list[int] = []
    for part in (piece.strip() for piece in text.split(",")):
        match = re.fullmatch(r"(\d{1,10})(?:\s*-\s*(\d{1,10}))?", part)
        if match is None:
            raise RecipeError(f"seeds={part!r} is not understood. Use whole numbers and ranges, such as 0-7,42.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or max(first, last) >= 2**32:
            raise RecipeError(f"seeds={part!r} is out of range. Use rising numbers from 0 to {2**32 - 1}.")
        if len(seeds) + last - first >= MAX_SEEDS:
            raise RecipeError(f"seeds={text[:40]!r} are more than {MAX_SEEDS:,}. Make them in several runs.")
        seeds.extend(range(first, last + 1))
    return seeds


def parse_classes(text: str, names: Sequence[str] = ()) -> tuple[tuple[int, float], ...]:
    """Read classes such as ``3``, ``3:0.5,7:0.5`` or ``lemon:2,apple`` as ``(index, weight)`` pairs.

    Args:
        text: Numbers or names, each with an optional weight.
        names: The names that the model gives its classes.

    Raises:
        RecipeError: A class is neither a number nor one of the names, or a weight is no number.
    """
    known = {name.casefold(): index for index, name in enumerate(names)}
    pairs = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, colon, amount = part.rpartition(":") if ":" in part else (part, "", "1")
        index = known.get(name.strip().casefold(), int(name) if name.strip().isdecimal() and len(name) < 10 else None)
        if index is None:
            choice = f"the model's {len(names)} classes, such as {', '.join(names[:5])}" if names else "a number"
            raise RecipeError(f"class={name!r} is unknown. Use {choice}.")
        try:
            pairs.append((index, float(amount)))
        except ValueError as error:
            raise RecipeError(f"class={part!r} has a weight that is no number. Use e.g. {name}{colon}0.5.") from error
    return tuple(pairs)


def parse_pair(text: str, name: str) -> tuple[float, float]:
    """Read two numbers such as ``0.1,-0.2``.

    Raises:
        RecipeError: It is something else.
    """
    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError as error:
        raise RecipeError(f"{name}={text!r} is not understood. Use two numbers, such as 0.1,-0.2.") from error
    return first, second


def parse_numbers(text: str | None, name: str) -> tuple[float, ...] | None:
    """Read numbers such as ``1,0.5,0``; None stays None.

    Raises:
        RecipeError: It is something else.
    """
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise RecipeError(f"{name}={text!r} is not understood. Use numbers, such as 1,0.5,0.") from error


def parse_bytes(text: str | None) -> int | None:
    """Read an amount of memory such as ``2GB``, ``1.5 GiB`` or ``500MB`` in bytes; None stays None.

    Raises:
        RecipeError: It is something else.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", text.strip().lower())
    if match is None or (match[3] and not match[2]):
        raise RecipeError(f"max_memory={text!r} is not understood. Use an amount such as 2GB or 500MB.")
    unit: int = (1024 if match[3] else 1000) ** "_kmgt".index(match[2] or "_")
    return round(float(match[1]) * unit)


def parse_blends(text: str | None, classes: Sequence[tuple[int, float]] = ()) -> tuple[Blend, ...] | None:
    """Read seeds with weights such as ``7:0.5,9``, the sources of a blend; None stays None.

    Args:
        text: Seeds, each with an optional weight; the picture's own seed weighs 1.
        classes: Classes of every source.

    Raises:
        RecipeError: A seed or a weight is no number.
    """
    if text is None:
        return None
    blends = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        seed, _, weight = part.partition(":")
        try:
            blends.append(Blend(Latent.from_seed(int(seed), classes), float(weight or 1)))
        except ValueError as error:
            raise RecipeError(f"blend={part!r} is not understood. Use seeds with weights, such as 7:0.5,9.") from error
    return tuple(blends)


def parse_place(text: str | None, classes: Sequence[tuple[int, float]] = ()) -> Latent | None:
    """Read a place in latent space: a seed, or the place of a recipe or picture; None stays None.

    Raises:
        RecipeError: It is no seed, and no file that holds a recipe.
    """
    if text is None:
        return None
    return Latent.from_seed(int(text), classes) if re.fullmatch(r"\d{1,10}", text) else read_recipe(Path(text)).latent


def centered(truncation: Truncation, text: str | None, classes: Sequence[tuple[int, float]] = ()) -> Truncation:
    """Pull towards what was typed: ``class``, ``average``, or a place (see :func:`parse_place`); None changes nothing.

    Raises:
        RecipeError: It is neither of the words, no seed, and no file that holds a recipe.
    """
    if text is None:
        return truncation
    if text in bounds_of(Truncation, "towards").choices:
        return replace(truncation, center=None, towards=text)
    if not re.fullmatch(r"\d{1,10}", text) and not Path(text).is_file():
        raise RecipeError(f"{text} is no file. Say class or average, or give a seed, a recipe (.json) or a picture that the studio made.")
    return replace(truncation, center=parse_place(text, classes))


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from a JSON file, or from a picture or film that the studio made.

    Raises:
        RecipeError: The file is missing, or holds no recipe.
        MediaError: It is neither JSON nor a picture or film.
    """
    if not path.is_file():
        raise RecipeError(f"{path} does not exist or is no file. Name a recipe (.json) or a picture that the studio made.")
    if path.suffix.lower() == ".json":
        if path.stat().st_size > MAX_FILM_JSON_BYTES:
            raise RecipeError(f"{path.name} is longer than {MAX_FILM_JSON_BYTES >> 20} MB, which no recipe of the studio is.")
        return from_json(path.read_bytes(), MAX_FILM_JSON_BYTES)
    from studio.media import inspect_media

    picture = inspect_media(path)
    if picture.recipe is None:
        reason = picture.recipe_error or "It was not made by the studio, or was saved without its recipe."
        raise RecipeError(f"{path.name} holds no recipe. {reason}")
    return picture.recipe


def checked(recipe: Recipe) -> Recipe:
    """Return the recipe when every value is within its bounds.

    Raises:
        RecipeError: One is not.
    """
    return from_json(recipe.to_json(), MAX_FILM_JSON_BYTES)
