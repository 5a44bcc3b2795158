"""Dataclasses to JSON and back: every value has a type, a range and a length, and nothing else gets in.

It knows no particular part of a recipe; ``recipe.py`` and its neighbours declare theirs with :func:`declare`. What is
read here is untrusted.
"""

from __future__ import annotations

import json
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar

from studio.errors import RecipeError

_CONTROL = re.compile("[\\x00-\\x1f\\x7f\\ud800-\\udfff]")
"""Letters that no name holds and that files, databases and terminals stumble over."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a value may be: a numeric range, a set of words, or a largest length."""

    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    max_length: int | None = None
    pattern: str = ""
    """Regular expression that a whole text must match."""
    help: str = ""


def declare(default: Any, help: str, **limits: Any) -> Any:
    """Declare a field with its default, its limits and its one-line help."""
    bounds = Bounds(help=help, **limits)
    return field(default=default, metadata={"bounds": bounds})


def bounds_of(part: type, name: str) -> Bounds:
    """Return the bounds of one field, e.g. ``bounds_of(Truncation, "psi")``."""
    for item in fields(part):
        if item.name == name:
            return typing.cast(Bounds, item.metadata.get("bounds", Bounds()))
    raise AssertionError(f"{part.__name__} has no field {name}")


def parse_object(text: str | bytes, most_bytes: int, what: str = "recipe") -> dict[str, Any]:
    """Read untrusted JSON that must be one object, no longer than ``most_bytes``; ``what`` names it in errors.

    Raises:
        RecipeError: It is too long, not JSON, or no object.
    """
    if len(text if isinstance(text, bytes) else text.encode("utf-8", "replace")) > most_bytes:
        raise RecipeError(f"The {what} is longer than {most_bytes // 1024} KB, which no {what} of the studio is.")
    try:
        data = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constants)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"The {what} is not readable JSON. Use a file that the studio saved.", detail=str(error)) from error
    if not isinstance(data, dict):
        raise RecipeError(f"The {what} is not a JSON object. Use a file that the studio saved.")
    return data


def decode(kind: type[T], data: Any, path: str) -> T:
    """Make a part from JSON values; ``path`` is how errors name it.

    Raises:
        RecipeError: An entry is unknown, of the wrong kind, out of range or too long.
    """
    return typing.cast(T, _decode(kind, data, path, Bounds()))


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ValueError("a key appears twice")
    return data


def _no_constants(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


@cache
def _hints(part: type) -> dict[str, Any]:
    return typing.get_type_hints(part)


def encode(part: Any) -> dict[str, Any]:
    """Turn a dataclass into a JSON object without the fields that equal their default."""
    default = type(part)()
    data: dict[str, Any] = {}
    for item in fields(part):
        value = getattr(part, item.name)
        if value != getattr(default, item.name):
            data[item.name] = _encode_value(value)
    return data


def _encode_value(value: Any) -> Any:
    if is_dataclass(value):
        return encode(value)
    if isinstance(value, tuple):
        return [_encode_value(entry) for entry in value]
    return value


def _decode(kind: Any, value: Any, path: str, bounds: Bounds) -> Any:
    """Check one JSON value against a type hint and its bounds."""
    if isinstance(kind, types.UnionType):
        options = [option for option in kind.__args__ if option is not type(None)]
        return None if value is None else _decode(options[0], value, path, bounds)
    if is_dataclass(kind):
        return _decode_part(typing.cast(type, kind), value, path)
    if typing.get_origin(kind) is tuple:
        return _decode_tuple(kind, value, path, bounds)
    if kind is bool:
        return _expect(isinstance(value, bool), value, path, "true or false")
    if kind is str:
        _expect(isinstance(value, str) and not _CONTROL.search(value), value, path, "plain text")
        if bounds.choices and value not in bounds.choices:
            raise RecipeError(f"{path}={_shown(value)} is not known. Use one of: {', '.join(bounds.choices)}.")
        _check_length(value, path, bounds)
        if bounds.pattern and not re.fullmatch(bounds.pattern, value):
            raise RecipeError(f"{path}={_shown(value)} is not understood. Use {bounds.help}.")
        return value
    return _decode_number(kind, value, path, bounds)


def _decode_number(kind: type, value: Any, path: str, bounds: Bounds) -> float | int:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    _expect(is_number and abs(value) < 1e15 and math.isfinite(value), value, path, "a number")
    if kind is int:
        _expect(float(value).is_integer(), value, path, "a whole number")
    low, high = bounds.low, bounds.high
    if (low is not None and value < low) or (high is not None and value > high):
        raise RecipeError(f"{path}={value} is out of range. Use {low:.15g} to {high:.15g}.")
    return int(value) if kind is int else float(value)


def _decode_part(kind: type[T], value: Any, path: str) -> T:
    _expect(isinstance(value, Mapping), value, path, "an object")
    known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(value) - set(known))
    if unknown:
        raise RecipeError(f"{path} has an unknown entry {unknown[0][:60]!r}. Use a file that the studio saved.")
    hints = _hints(typing.cast(type, kind))
    parts = {
        name: _decode(hints[name], entry, f"{path}.{name}", known[name].metadata.get("bounds", Bounds())) for name, entry in value.items()
    }
    return kind(**parts)


def _decode_tuple(kind: Any, value: Any, path: str, bounds: Bounds) -> tuple[Any, ...]:
    _expect(isinstance(value, list), value, path, "a list")
    _check_length(value, path, bounds)
    args = kind.__args__
    if len(args) == 2 and args[1] is Ellipsis:
        element = Bounds(low=bounds.low, high=bounds.high)
        return tuple(_decode(args[0], entry, f"{path}[{i}]", element) for i, entry in enumerate(value))
    _expect(len(value) == len(args), value, path, f"a list of {len(args)}")
    return tuple(_decode(arg, entry, f"{path}[{i}]", Bounds()) for i, (arg, entry) in enumerate(zip(args, value, strict=True)))


def _check_length(value: Sequence[Any], path: str, bounds: Bounds) -> None:
    if bounds.max_length is not None and len(value) > bounds.max_length:
        raise RecipeError(f"{path} has {len(value)} entries or letters; the most is {bounds.max_length}.")


def _expect(holds: bool, value: T, path: str, wanted: str) -> T:
    if not holds:
        raise RecipeError(f"{path}={_shown(value)} is not {wanted}. Use a file that the studio saved.")
    return value


def _shown(value: Any) -> str:
    """Write an untrusted value shortly, on one line, without walking into it."""
    if isinstance(value, (list, dict)):
        return "[...]" if isinstance(value, list) else "{...}"
    return repr(value[:40]) if isinstance(value, str) else str(value)[:40]
