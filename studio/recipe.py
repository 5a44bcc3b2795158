"""The recipe: everything that makes a picture, as frozen data that travels in the picture itself.

The interface builds it, the command line parses it, ``render`` executes it, files carry it and undo is a list of it.
Defaults and bounds live here and nowhere else. This module is *not* concerned with tensors or files: it holds text,
numbers and nothing that can act. A recipe found in a file is untrusted: :func:`from_json` checks type, range and size.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import struct
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar

from studio.errors import RecipeError

SCHEMA_VERSION = 1
MAX_JSON_BYTES = 256 * 1024
SEED_ROW_STEP = 100
"""Seeds between two rows of the seed plane: position (x, y) is seed ``x + 100 y``."""

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
    help: str = ""


def _value(default: Any, help: str, **limits: Any) -> Any:
    """Declare a field with its default, its limits and its one-line help."""
    bounds = Bounds(help=help, **limits)
    return field(default=default, metadata={"bounds": bounds})


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Which network: the name it is installed under, and the SHA-256 of its file (hex, may be empty)."""

    name: str = _value("", "the model's name", max_length=200)
    sha256: str = _value("", "SHA-256 of the model file", max_length=64)


@dataclass(frozen=True, slots=True)
class Latent:
    """One place in a generator's latent space: a point of the seed plane, or style vectors kept in full.

    ``(x, y)`` mixes the four neighbouring integer seeds bilinearly in W; ``(42, 0)`` is exactly seed 42.
    ``ws`` (see :func:`pack_floats`) holds ``[w_dim]`` or ``[num_ws, w_dim]`` float32 values and wins over the plane.
    ``classes`` are ``(class index, weight)`` pairs; empty means the model's average class.
    """

    x: float = _value(0.0, "where on the seed plane, left to right", low=-(2.0**32), high=2.0**32)
    y: float = _value(0.0, "where on the seed plane, row by row", low=-(2.0**26), high=2.0**26)
    ws: str = _value("", "style vectors kept in full", max_length=128 * 1024)
    classes: tuple[tuple[int, float], ...] = _value((), "class weights", max_length=1000)

    @classmethod
    def from_seed(cls, seed: int, classes: Sequence[tuple[int, float]] = ()) -> Latent:
        """Give the place of one integer seed."""
        return cls(x=float(seed), classes=tuple(classes))


@dataclass(frozen=True, slots=True)
class Blend:
    """One more source of an n-way blend in W; the base latent has weight 1."""

    latent: Latent = field(default_factory=Latent)
    weight: float = _value(1.0, "how much of this source", low=0.0, high=16.0)


@dataclass(frozen=True, slots=True)
class StyleMix:
    """One style-mixing source: ``weights[i]`` of layer ``i`` comes from ``latent`` (missing layers: 0)."""

    latent: Latent = field(default_factory=Latent)
    weights: tuple[float, ...] = _value((), "share of each layer", low=0.0, high=1.0, max_length=64)


@dataclass(frozen=True, slots=True)
class Truncation:
    """The truncation trick; ``cutoff`` None truncates every layer, ``center`` None is the average style."""

    psi: float = _value(0.7, "how far from the average; 0 is the average, 1 is raw, over 1 is wild", low=-1.0, high=2.0)
    cutoff: int | None = _value(None, "truncate only the first layers", low=0, high=64)
    center: Latent | None = None


@dataclass(frozen=True, slots=True)
class Noise:
    """Per-pixel noise of StyleGAN2: ``layers`` scales single layers on top of ``strength`` (missing: 1)."""

    mode: str = _value("const", "fine grain: fixed, new for each seed, or none", choices=("const", "random", "none"))
    seed: int = _value(0, "which grain, when it is random", low=0, high=2**32 - 1)
    strength: float = _value(1.0, "how much grain", low=0.0, high=5.0)
    layers: tuple[float, ...] = _value((), "how much grain in each layer", low=-5.0, high=5.0, max_length=64)


@dataclass(frozen=True, slots=True)
class Transform:
    """Where StyleGAN3 puts the picture; translations in picture widths, rotation in degrees, scale as a factor."""

    translate_x: float = _value(0.0, "move right, in picture widths", low=-1.0, high=1.0)
    translate_y: float = _value(0.0, "move down, in picture heights", low=-1.0, high=1.0)
    rotate: float = _value(0.0, "turn, in degrees", low=-180.0, high=180.0)
    scale: float = _value(1.0, "zoom, 1 is as trained", low=0.25, high=4.0)


@dataclass(frozen=True, slots=True)
class Restyle:
    """A translated photo: which picture went in (name and SHA-256 of its file) and how much of the style is kept."""

    source_name: str = _value("", "file name of the photo", max_length=200)
    source_sha256: str = _value("", "SHA-256 of the photo's file", max_length=64)
    strength: float = _value(1.0, "how much of the style; 0 is the photo", low=0.0, high=1.0)
    keep_colors: bool = _value(False, "keep the photo's own colours")
    norm_mode: str = _value("published", "batch norm as the published tool runs it, or in eval mode", choices=("published", "eval"))


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that makes one picture. ``size`` is the longest output side in pixels (None: the model's own)."""

    model: ModelRef = field(default_factory=ModelRef)
    latent: Latent = field(default_factory=Latent)
    blends: tuple[Blend, ...] = _value((), "more sources, blended", max_length=16)
    mixing: tuple[StyleMix, ...] = _value((), "style mixing sources", max_length=16)
    truncation: Truncation = field(default_factory=Truncation)
    noise: Noise = field(default_factory=Noise)
    transform: Transform = field(default_factory=Transform)
    restyle: Restyle | None = None
    size: int | None = _value(None, "longest side in pixels", low=4, high=16384)
    precision: str = _value("exact", "exact (fp32) or auto (the fast mode)", choices=("exact", "auto"))
    studio: str = _value("", "version of the studio that made it", max_length=40)
    version: int = _value(SCHEMA_VERSION, "version of this layout", low=1, high=10**6)

    def to_json(self) -> str:
        """Write the recipe as compact JSON, leaving out what equals the default (``version`` always stays)."""
        data = _encode(self)
        data["version"] = self.version
        return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Recipe:
        """Read a recipe from untrusted JSON.

        Raises:
            RecipeError: The text is too long, not JSON, of a newer version, or holds an unknown or unacceptable value.
        """
        return from_json(text)


def bounds_of(part: type, name: str) -> Bounds:
    """Return the bounds of one field, e.g. ``bounds_of(Truncation, "psi")``."""
    for item in fields(part):
        if item.name == name:
            return typing.cast(Bounds, item.metadata.get("bounds", Bounds()))
    raise AssertionError(f"{part.__name__} has no field {name}")


def pack_floats(values: Sequence[float]) -> str:
    """Pack numbers as base64 text of little-endian float32, the form of ``Latent.ws``."""
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode("ascii")


def unpack_floats(text: str) -> tuple[float, ...]:
    """Undo :func:`pack_floats`.

    Raises:
        RecipeError: The text is not base64, is no whole number of floats, or holds NaN or infinity.
    """
    try:
        raw = base64.b64decode(text, validate=True)
        values = struct.unpack(f"<{len(raw) // 4}f", raw)
    except (binascii.Error, ValueError, struct.error) as error:
        raise RecipeError("ws is damaged: it must be base64 of float32 values. Use the file as it was saved.") from error
    if not all(map(math.isfinite, values)):
        raise RecipeError("ws holds values that are not numbers (NaN or infinity). Use the file as it was saved.")
    return values


def from_json(text: str | bytes) -> Recipe:
    """Read a recipe from untrusted JSON; see :meth:`Recipe.from_json`."""
    if len(text if isinstance(text, bytes) else text.encode("utf-8", "replace")) > MAX_JSON_BYTES:
        raise RecipeError(f"The recipe is longer than {MAX_JSON_BYTES // 1024} KB, which no recipe of the studio is.")
    try:
        data = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constants)
    except (ValueError, RecursionError) as error:
        raise RecipeError("The recipe is not readable JSON. Use a file that the studio saved.", detail=str(error)) from error
    if not isinstance(data, dict):
        raise RecipeError("The recipe is not a JSON object. Use a file that the studio saved.")
    version = data.get("version", SCHEMA_VERSION)
    if isinstance(version, int) and not isinstance(version, bool) and version > SCHEMA_VERSION:
        raise RecipeError(f"The recipe has version {version}, this studio reads up to {SCHEMA_VERSION}. Update the studio.")
    recipe: Recipe = _decode(Recipe, data, "recipe", Bounds())
    return recipe


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


def _encode(part: Any) -> dict[str, Any]:
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
        return _encode(value)
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
