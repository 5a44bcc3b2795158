"""Where training pictures come from: files, members of a zip, or frames of a film; the first folder below the top is the class.

A picture can be named by itself; a zip is read in place, nothing is unpacked to disk. This module does *not* decode: see ``data.py``.
"""

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from studio.errors import TrainingError

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
FILM_SUFFIXES = frozenset({".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".ogv"})
LARGEST_MEMBER = 256 << 20
"""Bytes that one picture in a zip may unpack to."""


@dataclass(frozen=True)
class Source:
    """One file: its name for reports, its class ("" for none), what changes when it changes, and how to read it.

    ``film`` is where it lies when it is a film, whose frames are the pictures; None for a picture.
    """

    name: str
    group: str
    stamp: str
    open: Callable[[], BinaryIO]
    film: Path | None = None


def is_film_name(path: Path) -> bool:
    """Tell whether a file is called like a film."""
    return path.suffix.lower() in FILM_SUFFIXES


def find_sources(places: Sequence[Path]) -> tuple[list[tuple[Source, int]], tuple[str, ...]]:
    """List the pictures and films in folders, zips, films and pictures, each with its label; a single place with sub-folders has classes.

    Raises:
        TrainingError: A place is missing, is no zip, or holds no picture.
    """
    found: list[Source] = []
    for place in places:
        sources = _sources(place)
        if not sources:
            raise TrainingError(f"{place}: no pictures in it. Use JPEG, PNG or WebP files, or films; sub-folders become classes.")
        found += sources
    names = sorted({source.group for source in found if source.group})
    if len(places) > 1 or len(names) < 2 or any(not source.group for source in found):
        return [(source, 0) for source in found], ()
    return [(source, names.index(source.group)) for source in found], tuple(names)


def _sources(place: Path) -> list[Source]:
    if place.is_dir():
        return _folder(place)
    is_named = place.suffix.lower() in PICTURE_SUFFIXES | FILM_SUFFIXES
    return [_file(place, "")] if is_named and place.is_file() else _zip(place)


def _folder(folder: Path) -> list[Source]:
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in PICTURE_SUFFIXES | FILM_SUFFIXES and f.is_file())
    return [_file(f, f.relative_to(folder).parts[0] if f.parent != folder else "") for f in files]


def _file(file: Path, group: str) -> Source:
    stat = file.stat()
    film = file if is_film_name(file) else None
    return Source(file.name, group, f"{file}|{stat.st_size}|{stat.st_mtime_ns}", lambda: file.open("rb"), film)


def _zip(path: Path) -> list[Source]:
    if not path.is_file():
        raise TrainingError(f"{path}: there is no such folder, picture, zip or film. Check the path, or choose a folder of pictures.")
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted(archive.infolist(), key=lambda m: m.filename)
    except (zipfile.BadZipFile, OSError) as error:
        raise TrainingError(f"{path.name}: this is no picture, and no folder, zip or film of pictures. Choose one of them.") from error
    wanted = [m for m in members if not m.is_dir() and PurePosixPath(m.filename).suffix.lower() in PICTURE_SUFFIXES]
    wanted = [m for m in wanted if not m.filename.startswith("__MACOSX/")]
    tops = {PurePosixPath(m.filename).parts[0] for m in wanted}
    depth = 1 if len(tops) == 1 and all(len(PurePosixPath(m.filename).parts) > 1 for m in wanted) else 0
    return [_member(path, m, depth) for m in wanted]


def _member(path: Path, member: zipfile.ZipInfo, depth: int) -> Source:
    """Describe one member; ``depth`` 1 skips a single top folder that holds everything."""
    parts = PurePosixPath(member.filename).parts[depth:]

    def read() -> BinaryIO:
        if member.file_size > LARGEST_MEMBER:
            raise OSError(f"unpacks to more than {LARGEST_MEMBER >> 20} MB")
        try:
            with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
                return io.BytesIO(stream.read(LARGEST_MEMBER + 1))
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise OSError(f"cannot be unpacked ({error})") from error

    return Source(parts[-1], parts[0] if len(parts) > 1 else "", f"{path}|{member.filename}|{member.CRC}|{member.file_size}", read)
