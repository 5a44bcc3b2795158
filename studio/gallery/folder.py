"""What is in a picture folder, as the file system tells it: names, sizes and times, and the items made of them.

Pictures and films alike; what a film looks like inside is asked of ``media`` alone.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from studio.errors import MediaError
from studio.media import SUFFIXES, Header, hash_file, inspect_image, probe_film, sweep_parts
from studio.media.marks import recipe_seeds

TRASH = "trash"
FILM_SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".gif", ".apng", ".webp")
"""Files that may be films; those that hold a single picture are pictures."""
_ANIMATIONS = (".gif", ".apng", ".webp")
_MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of the gallery.

    Attributes:
        id: Its name within the folder, such as ``pomona-0042.png`` or ``fruit/pomona-0042.png``.
        folder: The gallery's folder.
        created: When the file was written, in seconds since 1970.
        model: Name of the model, empty when the file carries no recipe.
        seeds: Integer seeds of the recipe: its own place first, then what was blended and mixed in.
        sha256: Of the file.
        seconds: How long a film is; 0 for pictures.
        frames: How many it has; 1 for pictures.
    """

    id: str
    folder: Path
    created: float
    width: int
    height: int
    model: str
    seeds: tuple[int, ...]
    has_recipe: bool
    starred: bool
    tags: tuple[str, ...]
    sha256: str
    size_bytes: int
    note: str = ""
    seconds: float = 0.0
    frames: int = 1

    @property
    def is_film(self) -> bool:
        """Tell a film from a picture."""
        return self.seconds > 0

    @property
    def path(self) -> Path:
        """Give the place of the file."""
        return self.folder / self.id

    @property
    def name(self) -> str:
        """Give the file name without folders."""
        return self.id.rpartition("/")[2]

    @property
    def label(self) -> str:
        """Describe it in a few words, for a caption or a screen reader."""
        seed = f"seed {self.seeds[0]}" if self.seeds else ""
        return ", ".join(filter(None, (self.model, seed))) or self.name


@dataclass(frozen=True, slots=True)
class Changes:
    """How many files a look into the folder found new, changed, renamed and gone."""

    added: int = 0
    changed: int = 0
    renamed: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a file holds: its header, and how long it is when it is a film."""

    header: Header
    seconds: float = 0.0
    frames: int = 1


def look_at(path: Path) -> Seen:
    """Learn what is in a picture or film without decoding more than one frame.

    Raises:
        MediaError: It is neither, or damaged.
    """
    if not path.name.lower().endswith(FILM_SUFFIXES):
        return Seen(inspect_image(path))
    try:
        facts = probe_film(path)
    except MediaError:
        if not path.name.lower().endswith(_ANIMATIONS):
            raise
        return Seen(inspect_image(path))
    kind, digest = facts.container.upper(), hash_file(path)
    header = Header(facts.width, facts.height, kind, facts.name, digest, facts.recipe, facts.recipe_error, facts.marks)
    return Seen(header, float(facts.duration), facts.frames)


def item_of(path: Path, folder: Path, seen: Seen) -> Item:
    """Describe a file that was just written, before it has a star or tags."""
    status, header = path.stat(), seen.header
    recipe = header.recipe
    return Item(
        id=path.relative_to(folder).as_posix(),
        folder=folder,
        created=status.st_mtime_ns / 1e9,
        width=header.width,
        height=header.height,
        model=recipe.model.name if recipe else "",
        seeds=recipe_seeds(recipe) if recipe else (),
        has_recipe=recipe is not None,
        starred=False,
        tags=(),
        sha256=header.sha256,
        size_bytes=status.st_size,
        seconds=seen.seconds,
        frames=seen.frames,
    )


def walk(folder: Path) -> tuple[dict[str, tuple[int, int]], dict[str, int]]:
    """List the pictures below ``folder``, without hidden ones and the trash.

    Returns:
        ``{name: (bytes, time in ns)}`` of the files, and ``{path: time in ns}`` of the folders themselves (``""`` is the top).
    """
    files: dict[str, tuple[int, int]] = {}
    folders: dict[str, int] = {}
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        folders[inside] = stamp(folder / inside)
        has_parts = False
        for entry in _scan(folder / inside):
            name = f"{inside}/{entry.name}" if inside else entry.name
            has_parts = has_parts or entry.name.endswith(".part")
            if entry.name.startswith(".") or name == TRASH or name != clean(name):
                continue
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    waiting += [name] if name.count("/") < _MAX_DEPTH else []
                elif entry.name.lower().endswith(SUFFIXES + FILM_SUFFIXES) and entry.is_file():
                    status = entry.stat()
                    files[name] = (status.st_size, status.st_mtime_ns)
        if has_parts:
            sweep_parts(folder / inside)
    return files, folders


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def stamp(folder: Path) -> int:
    """Give when names in a folder last changed, in ns, or -1 when it is gone."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return -1


def clean(text: str) -> str:
    """Replace what UTF-8, and so SQLite, cannot hold."""
    return text.encode("utf-8", "replace").decode()
