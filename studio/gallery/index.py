"""The index of a picture folder: what is in it, what it is searched by, which pictures are starred and tagged.

The files are the truth: everything here but stars and tags can be read from them again, and a damaged index is put
aside and made anew. It is one SQLite file, so that several windows and processes may use a folder at once; every
operation opens it for itself. This module moves and writes no pictures; that is ``pictures.py``.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from studio.errors import MediaError
from studio.gallery.folder import Changes, Item, Seen, clean, look_at, stamp, walk
from studio.gallery.search import condition, split_tags
from studio.media.marks import recipe_seeds

INDEX_PLACE = ".gallery/index.sqlite3"
"""A folder of its own, so that SQLite's temporary files do not change the time stamp of the pictures' folder."""
UNSETTLED_NS = 2_500_000_000
"""Changes younger than this may share their time stamp with a later one (FAT counts in 2 s), so they are looked at again ..."""
RELOOK_NS = 250_000_000
"""... but not more often than this."""

BUSY_SECONDS = 10.0
"""How long to wait for another process that is writing."""

_VERSION = 3
_BATCH = 200
_ALWAYS = 2**63 - 1
_SCHEMA = """
DROP TABLE IF EXISTS folders;
CREATE TABLE IF NOT EXISTS files (
    id TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, present INTEGER, readable INTEGER, sha256 TEXT,
    width INTEGER, height INTEGER, model TEXT, seeds TEXT, has_recipe INTEGER, words TEXT,
    starred INTEGER NOT NULL DEFAULT 0, tags TEXT NOT NULL DEFAULT '|', seconds REAL NOT NULL DEFAULT 0, frames INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX IF NOT EXISTS files_by_time ON files (present, readable, mtime_ns DESC, id DESC);
CREATE INDEX IF NOT EXISTS files_by_content ON files (sha256, present);
CREATE TABLE folders (path TEXT PRIMARY KEY, mtime_ns INTEGER, trusted_until_ns INTEGER);
"""
_COLUMNS = "id, size, mtime_ns, sha256, width, height, model, seeds, has_recipe, starred, tags, seconds, frames"
_ADDED = ("seconds REAL NOT NULL DEFAULT 0", "frames INTEGER NOT NULL DEFAULT 1")
"""Columns that older versions of the index lack."""

_log = logging.getLogger(__name__)


class Index:
    """The index of one folder; cheap to make, holds nothing open."""

    def __init__(self, folder: Path) -> None:
        """Remember the folder; nothing is read or written."""
        self.folder = folder

    def sync(self) -> Changes:
        """Look at every file of the folder that is new or changed since the last time.

        Raises:
            MediaError: The folder cannot be read or the index cannot be written.
        """
        with self.open() as db:
            known = {row[0]: row[1:] for row in db.execute("SELECT id, size, mtime_ns, present FROM files")}
        started = time.time_ns()
        found, folders = walk(self.folder)
        vanished = [(name,) for name, (_, _, present) in known.items() if present and name not in found]
        with self.write() as db:
            db.executemany("UPDATE files SET present = 0 WHERE id = ?", vanished)
        news = [name for name, status in found.items() if known.get(name) != (*status, 1)]
        renamed = 0
        for start in range(0, len(news), _BATCH):
            sights = [(name, self._inspect(name)) for name in news[start : start + _BATCH]]
            with self.write() as db:
                renamed += sum(_store(db, name, found[name], seen) for name, seen in sights)
        recent = started - UNSETTLED_NS
        unsettled = {name.rpartition("/")[0] for name, (_, written) in found.items() if written > recent}
        until = [started + RELOOK_NS if path in unsettled or seen > recent else _ALWAYS for path, seen in folders.items()]
        with self.write() as db:
            db.execute("DELETE FROM files WHERE present = 0 AND starred = 0 AND tags = '|'")
            db.execute("DELETE FROM folders")
            db.executemany("INSERT INTO folders VALUES (?, ?, ?)", zip(folders, folders.values(), until, strict=True))
        seen_before = sum(1 for name in news if name in known and known[name][2])
        return Changes(len(news) - seen_before - renamed, seen_before, renamed, len(vanished) - renamed)

    def is_current(self) -> bool:
        """Tell quickly whether no folder changed since the last look (a file edited in place goes unseen)."""
        with self.open() as db:
            rows = db.execute("SELECT path, mtime_ns, trusted_until_ns FROM folders").fetchall()
        now = time.time_ns()
        return bool(rows) and all(now < until and stamp(self.folder / path) == seen for path, seen, until in rows)

    def store(self, name: str, seen: Seen | None) -> None:
        """Enter one file that was just written; stars and tags of the same picture under an old name move along."""
        status = (self.folder / name).stat()
        with self.write() as db:
            _store(db, name, (status.st_size, status.st_mtime_ns), seen)

    def forget(self, name: str) -> None:
        """Take a file out of the lists, keeping its star and tags for when it comes back."""
        with self.write() as db:
            db.execute("UPDATE files SET present = 0 WHERE id = ?", (name,))

    def find(self, query: str, *, starred: bool, offset: int, limit: int | None) -> list[Item]:
        """Give the items that a query finds, newest first."""
        where, values = condition(query, starred)
        order = "ORDER BY mtime_ns DESC, id DESC LIMIT ? OFFSET ?"
        with self.open() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM files WHERE {where} {order}",  # noqa: S608 - no text of the user is in it
                (*values, -1 if limit is None else limit, offset),
            ).fetchall()
        return [self._item(row) for row in rows]

    def count(self, query: str, *, starred: bool) -> int:
        """Give how many items a query finds."""
        where, values = condition(query, starred)
        with self.open() as db:
            return int(db.execute(f"SELECT COUNT(*) FROM files WHERE {where}", values).fetchone()[0])  # noqa: S608

    def get(self, name: str) -> Item | None:
        """Give one item, or None when the index has no such file."""
        with self.open() as db:
            row = db.execute(f"SELECT {_COLUMNS} FROM files WHERE present AND readable AND id = ?", (clean(name),)).fetchone()  # noqa: S608
        return self._item(row) if row else None

    def star(self, name: str, on: bool) -> None:
        """Set or clear a star."""
        with self.write() as db:
            db.execute("UPDATE files SET starred = ? WHERE id = ?", (int(on), name))

    def tag(self, name: str, tags: Sequence[str], on: bool) -> None:
        """Add or take away tags."""
        with self.write() as db:
            row = db.execute("SELECT tags FROM files WHERE id = ?", (name,)).fetchone()
            old = split_tags(row[0]) if row else ()
            new = sorted({*old, *tags}) if on else [tag for tag in old if tag not in tags]
            db.execute("UPDATE files SET tags = ? WHERE id = ?", ("|" + "".join(f"{tag}|" for tag in new), name))

    def tally(self, column: str) -> dict[str, int]:
        """Count the pictures per value of ``model`` or ``tags``, most first."""
        assert column in ("model", "tags")
        counts: dict[str, int] = {}
        with self.open() as db:
            for text, number in db.execute(f"SELECT {column}, COUNT(*) FROM files WHERE present AND readable GROUP BY {column}"):  # noqa: S608
                for value in split_tags(text) if column == "tags" else filter(None, (text,)):
                    counts[value] = counts.get(value, 0) + number
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

    @contextlib.contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """Open the index for reading; a damaged one is put aside and made anew."""
        path = self.folder / INDEX_PLACE
        try:
            with contextlib.closing(_connect(path)) as db:
                yield db
        except (sqlite3.OperationalError, OSError) as error:
            raise MediaError(_sentence(error, self.folder), detail=repr(error)) from error
        except sqlite3.DatabaseError as error:
            _put_aside(path, error)
            raise MediaError("The gallery's list was damaged and is made anew. Try again.", detail=repr(error)) from error

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Open the index for one transaction, all or nothing."""
        with self.open() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def _inspect(self, name: str) -> Seen | None:
        try:
            return look_at(self.folder / name)
        except MediaError as error:
            _log.info("not shown in the gallery: %s", error)
            return None

    def _item(self, row: tuple[str, int, int, str, int, int, str, str, int, int, str, float, int]) -> Item:
        name, size, mtime_ns, sha256, width, height, model, seeds, has_recipe, starred, tags, seconds, frames = row
        numbers = tuple(map(int, seeds.split()))
        return Item(
            name,
            self.folder,
            mtime_ns / 1e9,
            width,
            height,
            model,
            numbers,
            bool(has_recipe),
            bool(starred),
            split_tags(tags),
            sha256,
            size,
            seconds=seconds,
            frames=frames,
        )


def _store(db: sqlite3.Connection, name: str, status: tuple[int, int], seen: Seen | None) -> bool:
    """Enter one file; tell whether it is a picture that had another name before."""
    header = seen.header if seen else None
    seconds, frames = (seen.seconds, seen.frames) if seen else (0.0, 1)
    recipe = header.recipe if header else None
    model = clean(recipe.model.name) if recipe else ""
    seeds = " ".join(map(str, recipe_seeds(recipe))) if recipe else ""
    source = recipe.restyle.source_name if recipe and recipe.restyle else ""
    words = clean(f"{name} {model} {source} {seeds}").casefold()
    sha256, width, height = (header.sha256, header.width, header.height) if header else ("", 0, 0)
    db.execute(
        "INSERT INTO files (id, size, mtime_ns, present, readable, sha256, width, height, model, seeds, has_recipe, words, seconds, frames)"
        " VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET size = excluded.size,"
        " mtime_ns = excluded.mtime_ns, present = 1, readable = excluded.readable, sha256 = excluded.sha256, width = excluded.width,"
        " height = excluded.height, model = excluded.model, seeds = excluded.seeds, has_recipe = excluded.has_recipe,"
        " words = excluded.words, seconds = excluded.seconds, frames = excluded.frames",
        (name, *status, int(header is not None), sha256, width, height, model, seeds, int(recipe is not None), words, seconds, frames),
    )
    return bool(sha256) and _adopt(db, name, sha256)


def _adopt(db: sqlite3.Connection, name: str, sha256: str) -> bool:
    """Move star and tags here from the same picture under a name that is gone."""
    row = db.execute("SELECT id, starred, tags FROM files WHERE sha256 = ? AND present = 0 AND id != ?", (sha256, name)).fetchone()
    if row is None:
        return False
    db.execute("UPDATE files SET starred = ?, tags = ? WHERE id = ?", (row[1], row[2], name))
    db.execute("DELETE FROM files WHERE id = ?", (row[0],))
    return True


def _connect(path: Path) -> sqlite3.Connection:
    """Open or make the index file."""
    try:
        return _prepared(path)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        _put_aside(path, error)
        return _prepared(path)


def _put_aside(path: Path, error: sqlite3.DatabaseError) -> None:
    aside = path.with_name(f"damaged-{time.time_ns()}.sqlite3")
    _log.warning("The gallery's index was damaged (%s); it is kept as %s and made anew.", error, aside.name)
    with contextlib.suppress(FileNotFoundError):
        path.replace(aside)


def _prepared(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(exist_ok=True)
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        db.create_function("casefold", 1, str.casefold, deterministic=True)
        if db.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            db.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            known = {row[1] for row in db.execute("PRAGMA table_info(files)")}
            for column in _ADDED:
                if column.split()[0] not in known:
                    db.execute(f"ALTER TABLE files ADD COLUMN {column}")
            db.execute(f"PRAGMA user_version = {_VERSION}")
            db.execute("COMMIT")
    except BaseException:
        db.close()
        raise
    return db


def _sentence(error: sqlite3.OperationalError | OSError, folder: Path) -> str:
    text = str(error)
    if "locked" in text or "busy" in text:
        return f"The gallery in {folder.name} is in use by another program. Try again in a moment."
    if "full" in text:
        return f"The gallery in {folder.name} cannot be updated: the disk is full. Free some space."
    return f"The gallery in {folder.name} cannot be opened or written to ({text}). Check the rights of that folder."
