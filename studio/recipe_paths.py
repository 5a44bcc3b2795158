"""Values of a recipe by dotted path: ``truncation.psi``, ``latent.classes.3``, ``mixing.0.weights.5``, ``view.zoom``.

Keyframes, the sound matrix, OSC and MIDI all say by such a path what they move. Reading and changing only; nothing acts.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from types import NoneType
from typing import Any

from studio.errors import RecipeError
from studio.recipe import Bounds, Latent, Recipe, bounds_of

FIXED = {"model", "film", "size", "precision", "studio", "version", "ws", "source_name", "source_sha256", "towards"}
"""Entries that stay the same throughout a film."""

_MISSING = {"layers": 1.0}
"""What a list is filled up with when an entry beyond its end is set; 0 elsewhere."""


def bounds_at(recipe: Recipe, path: str) -> Bounds:
    """Return the range of the number at a path.

    Raises:
        RecipeError: The recipe has no such number, or it cannot move.
    """
    return _walk(recipe, path)[1]


def get_value(recipe: Recipe, path: str) -> float:
    """Return the number at a path: switches are 0 or 1, words their place among the choices, an absent cutoff its highest.

    Raises:
        RecipeError: The recipe has no such number, or it cannot move.
    """
    value, bounds = _walk(recipe, path)
    if value is None:
        return float(bounds.high or 0)
    return float(bounds.choices.index(value)) if isinstance(value, str) else float(value)


def set_values(recipe: Recipe, values: Mapping[str, float]) -> Recipe:
    """Return a recipe with numbers changed, each kept within its bounds.

    Raises:
        RecipeError: The recipe has no such number, or it cannot move.
    """
    for path, value in values.items():
        bounds_at(recipe, path)
        recipe = _set(recipe, path.split("."), value)
    return recipe


def get_latent(recipe: Recipe, path: str) -> Latent:
    """Return the latent at a path (``latent``, ``blends.0.latent``, ``mixing.1.latent``, ``truncation.center``).

    Raises:
        RecipeError: There is none.
    """
    found: Any = recipe
    for name in path.split("."):
        found = _step(found, name)
    if found is None and path == "truncation.center":
        return Latent()
    if not isinstance(found, Latent):
        raise _unknown(path)
    return found


def set_latent(recipe: Recipe, path: str, latent: Latent) -> Recipe:
    """Return a recipe with the latent at a path replaced.

    Raises:
        RecipeError: There is none.
    """
    get_latent(recipe, path)
    changed: Recipe = _replace(recipe, path.split("."), latent)
    return changed


def animatable(recipe: Recipe) -> dict[str, Bounds]:
    """List every number that can move, with its range; of lists, the entries that are there."""
    return dict(_list(recipe, ""))


def _list(part: Any, prefix: str) -> Iterator[tuple[str, Bounds]]:
    for item in fields(part):
        value = getattr(part, item.name)
        if item.name in FIXED:
            continue
        path = f"{prefix}{item.name}"
        if is_dataclass(value):
            yield from _list(value, f"{path}.")
        elif item.name == "classes":
            yield from ((f"{path}.{index}", Bounds(0.0, 1.0, help="how much of this class")) for index, _ in value)
        elif isinstance(value, tuple):
            for index, entry in enumerate(value):
                if is_dataclass(entry):
                    yield from _list(entry, f"{path}.{index}.")
                elif not isinstance(entry, str):
                    yield f"{path}.{index}", bounds_of(type(part), item.name)
        elif (value is not None or item.name == "cutoff") and not (isinstance(value, str) and not bounds_of(type(part), item.name).choices):
            yield path, bounds_of(type(part), item.name)


def _walk(recipe: Recipe, path: str) -> tuple[Any, Bounds]:
    """Find the number at a path and its bounds."""
    *parents, last = path.split(".")
    holder: Any = recipe
    owner: tuple[Any, str] = (recipe, "")
    for name in parents:
        if is_dataclass(holder):
            owner = (holder, name)
        holder = _step(holder, name)
    if isinstance(holder, tuple):
        return _entry(owner[0], owner[1], holder, last, path)
    if last in FIXED or not is_dataclass(holder):
        raise _unknown(path)
    value, bounds = _step(holder, last), bounds_of(typing.cast(type, type(holder)), last)
    if not isinstance(value, (bool, int, float, str, NoneType)) or (isinstance(value, (str, NoneType)) and not _is_movable(value, bounds)):
        raise _unknown(path)
    return value, bounds


def _is_movable(value: str | None, bounds: Bounds) -> bool:
    return bool(bounds.choices) if isinstance(value, str) else bounds.high is not None


def _entry(part: Any, name: str, values: tuple[Any, ...], last: str, path: str) -> tuple[float, Bounds]:
    """Read one number of a list; of class weights by class index."""
    if not last.isdigit() or name in FIXED:
        raise _unknown(path)
    index = int(last)
    if name == "classes":
        return dict(values).get(index, 0.0), Bounds(0.0, 1.0, help="how much of this class")
    bounds = bounds_of(type(part), name)
    if bounds.low is None or index >= (bounds.max_length or 0):
        raise _unknown(path)
    return (values[index] if index < len(values) else _MISSING.get(name, 0.0)), bounds


def _step(part: Any, name: str) -> Any:
    if isinstance(part, tuple):
        if name.isdigit() and int(name) < len(part):
            return part[int(name)]
    elif is_dataclass(part) and any(item.name == name for item in fields(part)):
        return getattr(part, name)
    raise _unknown(name)


def _set(part: Any, names: list[str], value: float) -> Any:
    """Rebuild one branch of the recipe around a changed number."""
    name, rest = names[0], names[1:]
    current = _step(part, name)
    if not rest:
        return replace(part, **{name: _fitted(current, bounds_of(type(part), name), value)})
    if isinstance(current, tuple) and len(rest) == 1:
        return replace(part, **{name: _with_entry(current, name, int(rest[0]), bounds_of(type(part), name), value)})
    if isinstance(current, tuple):
        index = int(rest[0])
        return replace(part, **{name: (*current[:index], _set(current[index], rest[1:], value), *current[index + 1 :])})
    return replace(part, **{name: _set(current, rest, value)})


def _with_entry(values: tuple[Any, ...], name: str, index: int, bounds: Bounds, value: float) -> tuple[Any, ...]:
    if name == "classes":
        weights = dict(values)
        weights[index] = min(max(value, 0.0), 1.0)
        return tuple(sorted((number, weight) for number, weight in weights.items() if weight > 0))
    filled = [*values, *([_MISSING.get(name, 0.0)] * (index + 1 - len(values)))]
    filled[index] = _fitted(0.0, bounds, value)
    return tuple(filled)


def _replace(part: Any, names: list[str], value: Any) -> Any:
    name, rest = names[0], names[1:]
    if not rest:
        return replace(part, **{name: value})
    current = getattr(part, name)
    if isinstance(current, tuple):
        index = int(rest[0])
        return replace(part, **{name: (*current[:index], _replace(current[index], rest[1:], value), *current[index + 1 :])})
    return replace(part, **{name: _replace(current, rest, value)})


def _fitted(current: Any, bounds: Bounds, value: float) -> Any:
    """Bring a number into its range and into the type of what it replaces."""
    if isinstance(current, bool):
        return value >= 0.5
    if bounds.choices:
        return bounds.choices[min(max(round(value), 0), len(bounds.choices) - 1)]
    low, high = bounds.low, bounds.high
    kept = min(max(value, value if low is None else low), value if high is None else high)
    return round(kept) if current is None or isinstance(current, int) else float(kept)


def _unknown(path: str) -> RecipeError:
    return RecipeError(f"{path[:80]!r} is nothing in this recipe that can move. Use a path such as truncation.psi or view.zoom.")
