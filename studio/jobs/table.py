"""The list of jobs in SQLite, shared by any number of threads and processes. Every operation is one transaction; nothing stays open.

This is *not* where jobs are worked off. A job that runs belongs to a process; when that has ended without a word, the job waits again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from studio.errors import MediaError, StudioError
from studio.film_render.store import is_running
from studio.jobs.job import Job, JobError, recipes_from_json, wishes_from_json
from studio.media import atomic_write

log = logging.getLogger(__name__)

BUSY_SECONDS = 10.0
SPARE_BYTES = 128 << 10
_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, title TEXT NOT NULL, state TEXT NOT NULL, phase TEXT NOT NULL DEFAULT '', done INTEGER NOT NULL DEFAULT 0,
    total INTEGER NOT NULL, seconds_left REAL, note TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT '', recipes TEXT NOT NULL,
    wishes TEXT NOT NULL, pictures TEXT, out TEXT, result TEXT, item TEXT NOT NULL DEFAULT '', sha256 TEXT NOT NULL DEFAULT '',
    visitor TEXT NOT NULL DEFAULT '', created REAL NOT NULL, finished REAL, request TEXT NOT NULL DEFAULT '',
    owner TEXT NOT NULL DEFAULT '', place INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, place);
"""
_COLUMNS = (
    "id, title, state, phase, done, total, seconds_left, note, error, recipes, wishes, pictures, out, result, item, sha256, visitor,"
    " created, finished, request"
)
_ORDER = """
CASE state WHEN 'running' THEN 0 WHEN 'waiting' THEN 1 WHEN 'paused' THEN 2 ELSE 3 END,
CASE WHEN state IN ('running', 'waiting', 'paused') THEN place ELSE -COALESCE(finished, created) END, place
"""


class Table:
    """The jobs in one file; cheap to make."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._spare = path.with_name("spare")

    def add(self, **values: Any) -> None:
        """Enter a job at the end."""
        names = ", ".join(values)
        marks = ", ".join("?" for _ in values)
        with self.write() as db:
            db.execute(
                f"INSERT INTO jobs ({names}, place) VALUES ({marks}, (SELECT COALESCE(MAX(place), 0) + 1 FROM jobs))",  # noqa: S608
                tuple(values.values()),
            )

    def list(self, visitor: str | None = None) -> list[Job]:
        """Give all jobs, or those of one visitor: the running one first, then the waiting ones in order, at last what has ended."""
        where, values = ("", ()) if visitor is None else ("WHERE visitor = ?", (visitor,))
        with self.open() as db:
            rows = db.execute(f"SELECT {_COLUMNS} FROM jobs {where} ORDER BY {_ORDER}", values).fetchall()  # noqa: S608
        return [job for job in map(_job, rows) if job is not None]

    def get(self, id: str) -> Job:
        """Give one job.

        Raises:
            JobError: It is not in the list.
        """
        with self.open() as db:
            row = db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (id,)).fetchone()  # noqa: S608
        job = _job(row) if row else None
        if job is None:
            raise JobError("This job is not in the list any more.")
        return job

    def set(self, id: str, **values: Any) -> None:
        """Change what a job says."""
        names = ", ".join(f"{name} = ?" for name in values)
        with self.write() as db:
            db.execute(f"UPDATE jobs SET {names} WHERE id = ?", (*values.values(), id))  # noqa: S608

    def request(self, id: str) -> str:
        """Tell what a running job is asked to do; ``remove`` when it is gone from the list."""
        with self.open() as db:
            row = db.execute("SELECT request FROM jobs WHERE id = ?", (id,)).fetchone()
        return str(row[0]) if row else "remove"

    def change(self, id: str, decide: Callable[[str], dict[str, Any] | None]) -> str:
        """Change a job depending on its state; ``decide`` gives the new values, or None to leave it.

        Returns:
            The state that it was in.

        Raises:
            JobError: It is not in the list.
        """
        with self.write() as db:
            self._release(db)
            row = db.execute("SELECT state FROM jobs WHERE id = ?", (id,)).fetchone()
            if row is None:
                raise JobError("This job is not in the list any more.")
            values = decide(row[0])
            if values:
                names = ", ".join(f"{name} = ?" for name in values)
                db.execute(f"UPDATE jobs SET {names} WHERE id = ?", (*values.values(), id))  # noqa: S608
        return str(row[0])

    def claim(self) -> Job | None:
        """Take the next waiting job for this process; None when there is none."""
        with self.write() as db:
            self._release(db)
            row = db.execute("SELECT id FROM jobs WHERE state = 'waiting' ORDER BY place LIMIT 1").fetchone()
            if row is None:
                return None
            db.execute(
                "UPDATE jobs SET state = 'running', phase = '', seconds_left = NULL, note = '', error = '', request = '', owner = ?"
                " WHERE id = ?",
                (json.dumps(_me()), row[0]),
            )
        return self.get(row[0])

    def move(self, id: str, place: int) -> None:
        """Put a waiting job at a place among the waiting ones; 0 is next."""
        with self.write() as db:
            waiting = [row[0] for row in db.execute("SELECT id FROM jobs WHERE state = 'waiting' ORDER BY place")]
            if id not in waiting:
                raise JobError("Only jobs that wait can be moved.")
            waiting.remove(id)
            waiting.insert(max(0, place), id)
            first = db.execute("SELECT COALESCE(MAX(place), 0) FROM jobs").fetchone()[0] + 1
            db.executemany("UPDATE jobs SET place = ? WHERE id = ?", [(first + number, name) for number, name in enumerate(waiting)])

    def remove(self, id: str) -> None:
        """Take a job out of the list."""
        with self.write() as db:
            db.execute("DELETE FROM jobs WHERE id = ?", (id,))

    def states(self) -> dict[str, str]:
        """Give the state of every job, also of those that this studio cannot read."""
        with self.open() as db:
            return dict(db.execute("SELECT id, state FROM jobs").fetchall())

    def _release(self, db: sqlite3.Connection) -> None:
        for id, owner, request in db.execute("SELECT id, owner, request FROM jobs WHERE state = 'running'").fetchall():
            try:
                is_orphan = not is_running(json.loads(owner))
            except ValueError:
                is_orphan = True
            if is_orphan:
                state = {"pause": "paused", "cancel": "cancelled", "remove": "cancelled"}.get(request, "waiting")
                db.execute("UPDATE jobs SET state = ?, owner = '', request = '', phase = '' WHERE id = ?", (state, id))

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep what SQLite needs beside the list for as long as the block lasts, and a spare of disk space: see :meth:`make_room`."""
        with self.open():
            self.make_room(taken=False)
            yield
        self._spare.unlink(missing_ok=True)

    def make_room(self, *, taken: bool = True) -> None:
        """Give the spare space back, so that a full disk can still be noted in the list; or (``taken=False``) set it aside again."""
        if taken:
            self._spare.unlink(missing_ok=True)
        elif not self._spare.exists():
            with contextlib.suppress(MediaError), atomic_write(self._spare) as file:
                file.write(os.urandom(SPARE_BYTES))

    @contextlib.contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """Open the list for reading; a damaged one is put aside and made anew."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(_prepared(self.path)) as db:
                yield db
        except (sqlite3.OperationalError, OSError) as error:
            raise JobError(_sentence(error), detail=repr(error)) from error
        except sqlite3.DatabaseError as error:
            aside = self.path.with_name(f"damaged-{time.time_ns()}.sqlite3")
            log.warning("the list of jobs was damaged (%s); it is kept as %s and made anew", error, aside.name)
            with contextlib.suppress(FileNotFoundError):
                self.path.replace(aside)
            raise JobError("The list of jobs was damaged and is made anew. Try again.", detail=repr(error)) from error

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Open the list for one transaction, all or nothing."""
        with self.open() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")


def _prepared(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        db.execute("PRAGMA synchronous = NORMAL")
        if db.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {_VERSION}")
            db.execute("COMMIT")
    except BaseException:
        db.close()
        raise
    return db


def _job(row: tuple[Any, ...]) -> Job | None:
    """Read a row; one that this studio cannot read (a newer one wrote it) is passed over."""
    values = dict(zip((name.strip() for name in _COLUMNS.split(",")), row, strict=True))
    try:
        values["recipes"] = recipes_from_json(values["recipes"])
        values["wishes"] = wishes_from_json(values["wishes"])
    except (StudioError, ValueError, TypeError, KeyError) as error:
        log.warning("the job %s cannot be read: %s", values["id"], error)
        return None
    for name in ("pictures", "out", "result"):
        values[name] = Path(values[name]) if values[name] else None
    return Job(**values)


def _me() -> dict[str, Any]:
    return {"pid": os.getpid(), "began": psutil.Process().create_time(), "host": platform.node()}


def _sentence(error: sqlite3.OperationalError | OSError) -> str:
    text = str(error)
    if "locked" in text or "busy" in text:
        return "The list of jobs is in use by another program. Try again in a moment."
    if "full" in text:
        return "The list of jobs cannot be written: the disk is full. Free some space."
    return f"The list of jobs cannot be opened or written ({text}). Check the rights of the studio's folder."
