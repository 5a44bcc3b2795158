"""The card of a model: what it is, where it came from and what its licence says, as JSON beside the weights.

This module is *not* concerned with tensors. A card read from a file is untrusted: types and lengths are checked.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from studio.errors import DamagedFileError

MAX_CARD_BYTES = 4 << 20
MAX_TEXT = 2000
MAX_CLASSES = 100_000

LICENCE_NVIDIA = (
    "Not stated in the file. Weights from NVIDIA's repositories are for research and evaluation (non-commercial) "
    "unless their author says otherwise."
)
LICENCE_UNKNOWN = "Not stated in the file. Ask whoever gave it to you before you publish or sell what it makes."


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model is and where it came from.

    ``sha256`` is of the file it was loaded from, ``source_sha256`` of the file it was once imported from.
    ``resolution`` is the side of its pictures, 0 for any size. ``notes`` are warnings in plain words.
    """

    name: str = ""
    family: str = ""
    sha256: str = ""
    source_name: str = ""
    source_sha256: str = ""
    source_format: str = ""
    resolution: int = 0
    classes: tuple[str, ...] = ()
    licence: str = LICENCE_UNKNOWN
    origin: str = "unknown"
    notes: tuple[str, ...] = ()
    parameters: int = 0
    direction: str = ""
    """What a translator does, in words: "photo to Monet"."""
    credit: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the card as JSON-able data."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: object) -> ModelCard:
        """Read a card from JSON data (parsed, or as text); unknown fields are ignored.

        Raises:
            DamagedFileError: A field has the wrong type or is far too long.
        """
        if isinstance(data, (str, bytes)):
            data = _parse(data)
        if not isinstance(data, dict):
            raise DamagedFileError("has a card that makes no sense.")
        defaults = cls()
        values: dict[str, Any] = {}
        for field in fields(cls):
            if field.name in data:
                values[field.name] = _checked(field.name, data[field.name], getattr(defaults, field.name))
        return replace(defaults, **values)


def _parse(text: str | bytes) -> Any:
    if len(text) > MAX_CARD_BYTES:
        raise DamagedFileError("has a card of more than 4 MB.")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError("has a card that cannot be read.", detail=str(error)) from error


def _checked(name: str, value: object, default: object) -> object:
    """Check one field against the type of its default."""
    if isinstance(default, tuple):
        if isinstance(value, list) and len(value) <= MAX_CLASSES and all(isinstance(v, str) and len(v) <= MAX_TEXT for v in value):
            return tuple(value)
    elif type(value) is type(default):
        if isinstance(value, str) and len(value) <= MAX_TEXT:
            return value
        if isinstance(value, int) and 0 <= value < 2**53:
            return value
    raise DamagedFileError(f"has a card whose {name} makes no sense.")
