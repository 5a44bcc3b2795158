"""Zips of film frames: the recipe and the size that the studio wrote into them. The frames themselves are not read.

A zip is untrusted: its directory and every entry are limited in size, nothing is unpacked to disk, and no name in it is used as a path.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from pathlib import Path

from studio.errors import MediaError, RecipeError
from studio.media.files import explained, hash_file, safe_name
from studio.media.film_facts import MAX_FILM_PIXELS
from studio.media.marks import Marks
from studio.media.reading import Header
from studio.recipe import MAX_FILM_JSON_BYTES, Recipe, from_json

MAGIC = b"PK\x03\x04"
FACTS, RECIPE = "film.json", "recipe.json"
MAX_DIRECTORY_BYTES = 16 << 20
"""Of the list of entries: about a quarter of a million frames."""
_END, _END_BYTES = b"PK\x05\x06", 22
_TAIL_BYTES = _END_BYTES + 65_535


def inspect_zip(path: str | os.PathLike[str]) -> Header:
    """Read size and recipe of a film that the studio saved as a zip of frames.

    Raises:
        MediaError: It is no such zip, or damaged.
    """
    place = Path(path)
    label = safe_name(place.name, "the zip")
    _check_directory(place, label)
    try:
        with zipfile.ZipFile(place) as archive:
            facts = json.loads(_read(archive, FACTS) or b"null")
            text = _read(archive, RECIPE)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, RecursionError, OSError) as error:
        raise MediaError(f"{label} is damaged. Save or download it again.", detail=repr(error)) from error
    width, height = (facts.get(side) if isinstance(facts, dict) else None for side in ("width", "height"))
    if not isinstance(width, int) or not isinstance(height, int) or not 0 < width * height <= MAX_FILM_PIXELS:
        raise MediaError(f"{label} is no film of the studio in frames. Drop a picture, a film, or a zip that the studio made.")
    recipe, trouble = _recipe(text)
    return Header(width, height, "ZIP", label, hash_file(place), recipe, trouble, Marks())


def _recipe(text: bytes | None) -> tuple[Recipe | None, str]:
    if text is None:
        return None, ""
    try:
        return from_json(text, MAX_FILM_JSON_BYTES), ""
    except RecipeError as error:
        return None, str(error)


def _read(archive: zipfile.ZipFile, name: str) -> bytes | None:
    """Read one small entry, however large it says that it is; None when it is not there."""
    try:
        with archive.open(name) as entry:
            data = entry.read(MAX_FILM_JSON_BYTES + 1)
    except KeyError:
        return None
    if len(data) > MAX_FILM_JSON_BYTES:
        raise ValueError(f"{name} is too long")
    return data


def _check_directory(place: Path, label: str) -> None:
    """Refuse a zip whose list of entries alone would fill the memory.

    Raises:
        MediaError: It is, or there is no such list.
    """
    with explained(place), place.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read(_TAIL_BYTES)
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_BYTES:
        raise MediaError(f"{label} is damaged or cut short. Save or download it again.")
    length = int.from_bytes(tail[at + 12 : at + 16], "little")
    if length == 0xFFFFFFFF or length > MAX_DIRECTORY_BYTES:
        raise MediaError(f"{label} holds too many entries. Open a smaller one.")
