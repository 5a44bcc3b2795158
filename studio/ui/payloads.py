"""Everything that comes from a page, checked before anything acts on it: type, size, range, finite.

A page is not trusted: every function of it can be called by anyone with any JSON. Bounds of recipes live in ``recipe.py``.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from studio.errors import RecipeError, StudioError
from studio.recipe import MAX_JSON_BYTES, Latent, Recipe, from_json

P = TypeVar("P", bound="Payload")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Fields:
    """Read the entries of one JSON object, each with its own check."""

    def __init__(self, data: object) -> None:
        """Take what the page sent.

        Raises:
            StudioError: It is not a JSON object.
        """
        if not isinstance(data, Mapping):
            raise StudioError("The page sent something that is not a request of the studio.")
        self._data = data

    def has(self, name: str) -> bool:
        """Say whether the entry is there and not null."""
        return self._data.get(name) is not None

    def text(self, name: str, *, longest: int = 200, default: str | None = None) -> str:
        """Read a text of at most ``longest`` letters."""
        value = self._data.get(name, default)
        if not isinstance(value, str) or len(value) > longest:
            raise StudioError(f"{name} is not a text of up to {longest} letters.")
        return value

    def identifier(self, name: str, *, default: str | None = None) -> str:
        """Read a short name made of letters, digits, ``-`` and ``_``."""
        value = self.text(name, longest=64, default=default)
        if value and not _TOKEN.fullmatch(value):
            raise StudioError(f"{name} is not an identifier of the studio.")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Read true or false."""
        value = self._data.get(name, default)
        if not isinstance(value, bool):
            raise StudioError(f"{name} is not true or false.")
        return value

    def number(self, name: str, *, low: float, high: float, default: float | None = None) -> float:
        """Read a finite number from ``low`` to ``high``."""
        value = self._data.get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or not low <= value <= high:
            raise StudioError(f"{name} is not a number from {low:g} to {high:g}.")
        return float(value)

    def integer(self, name: str, *, low: int, high: int, default: int | None = None) -> int:
        """Read a whole number from ``low`` to ``high``."""
        value = self.number(name, low=low, high=high, default=default)
        if not value.is_integer():
            raise StudioError(f"{name} is not a whole number.")
        return int(value)

    def list(self, name: str, *, longest: int, default: tuple[Any, ...] | None = None) -> list[Any]:
        """Read a list of at most ``longest`` entries; the entries are still unchecked."""
        value = self._data.get(name, default)
        if not isinstance(value, (list, tuple)) or len(value) > longest:
            raise StudioError(f"{name} is not a list of up to {longest} entries.")
        return list(value)

    def mapping(self, name: str) -> Mapping[str, Any]:
        """Read a JSON object; its entries are still unchecked."""
        value = self._data.get(name)
        if not isinstance(value, Mapping):
            raise StudioError(f"{name} is not an object.")
        return value

    def numbers(self, name: str, *, low: float, high: float, longest: int) -> tuple[float, ...]:
        """Read a list of finite numbers."""
        entries = self.list(name, longest=longest)
        return tuple(Fields({name: entry}).number(name, low=low, high=high) for entry in entries)

    def recipe(self, name: str = "recipe", *, max_bytes: int = MAX_JSON_BYTES) -> Recipe:
        """Read a recipe with the checks of ``recipe.py``; those of films may be longer."""
        return recipe_from(self._data.get(name), max_bytes)

    def latent(self, name: str) -> Latent:
        """Read one place in latent space with the checks of ``recipe.py``."""
        return recipe_from({"latent": self._data.get(name)}).latent

    def picture(self, name: str, *, most_bytes: int) -> bytes:
        """Read a picture that a page sent as a data URL (webcam, masks)."""
        value = self.text(name, longest=most_bytes * 4 // 3 + 100)
        try:
            head, _, body = value.partition(",")
            if not head.startswith("data:image/"):
                raise ValueError(head)
            return base64.b64decode(body, validate=True)
        except ValueError as error:
            raise StudioError(f"{name} is not a picture.") from error


@dataclass(frozen=True, slots=True)
class Payload:
    """What every request carries: the token of the session. Subclass it and read more entries in ``read``."""

    token: str

    most_bytes: ClassVar[int] = MAX_JSON_BYTES

    @classmethod
    def read(cls: type[P], fields: Fields) -> P:
        """Build the payload from checked entries."""
        return cls(token=fields.identifier("token"))


@dataclass(frozen=True, slots=True)
class RecipeRequest(Payload):
    """A recipe to draw; ``size`` is the longest side that the page can show."""

    recipe: Recipe
    size: int | None = None

    @classmethod
    def read(cls, fields: Fields) -> RecipeRequest:
        """Build the request from checked entries."""
        size = fields.integer("size", low=16, high=4096) if fields.has("size") else None
        return cls(token=fields.identifier("token"), recipe=fields.recipe(), size=size)


@dataclass(frozen=True, slots=True)
class ItemRequest(Payload):
    """A picture of the strip or the gallery, and whether something about it is on."""

    id: str
    on: bool = True

    @classmethod
    def read(cls, fields: Fields) -> ItemRequest:
        """Build the request from checked entries."""
        return cls(token=fields.identifier("token"), id=fields.text("id"), on=fields.flag("on", default=True))


@dataclass(frozen=True, slots=True)
class NameRequest(Payload):
    """The name of a model."""

    name: str

    @classmethod
    def read(cls, fields: Fields) -> NameRequest:
        """Build the request from checked entries."""
        return cls(token=fields.identifier("token"), name=fields.text("name"))


@dataclass(frozen=True, slots=True)
class UploadRequest(Payload):
    """A file that Gradio's upload route stored: where, and the name it had."""

    path: str
    name: str

    @classmethod
    def read(cls, fields: Fields) -> UploadRequest:
        """Build the request from checked entries."""
        return cls(token=fields.identifier("token"), path=fields.text("path", longest=4096), name=fields.text("name"))


def recipe_from(data: object, max_bytes: int = MAX_JSON_BYTES) -> Recipe:
    """Read a recipe that a page sent as a JSON object.

    Raises:
        RecipeError: A value is missing its type or leaves its bounds.
    """
    try:
        text = json.dumps(data, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise RecipeError("The recipe holds a value that is not a number.") from error
    return from_json(text, max_bytes)


def uploaded_file(folder: Path, path: str) -> Path:
    """Return an uploaded file after making sure that it lies in the upload folder.

    Raises:
        StudioError: The path leads anywhere else, or the file is gone.
    """
    try:
        file = Path(path).resolve(strict=True)
    except (OSError, ValueError) as error:
        raise StudioError("The file did not arrive. Drop it again.") from error
    if not file.is_relative_to(folder.resolve()) or not file.is_file():
        raise StudioError("The page named a file that it did not upload.")
    return file


def data_url(data: bytes, mime: str = "image/jpeg") -> str:
    """Write bytes as a data URL, the form in which pictures go to the page."""
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"
