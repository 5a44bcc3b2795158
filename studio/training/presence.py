"""Which process trains a run: a small file in its folder, so that none is trained twice and a dead process is told from a live one.

A process is known by its number *and* the moment it began: numbers are used again. This is *not* a lock; it starts and ends nothing.
"""

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from studio.errors import TrainingError
from studio.media.files import atomic_write, sweep_parts
from studio.training.state import RunFolder

FOREIGN_SECONDS = 600.0
"""A process on another machine (a shared folder) counts as alive for this long after its last sign."""
SAME_START_SECONDS = 1.0


@dataclass(frozen=True)
class Holder:
    """The live process that trains a run."""

    pid: int
    is_here: bool
    """Whether it runs on this machine, where it can be asked to stop."""


def holder(folder: RunFolder) -> Holder | None:
    """Return the live process that trains a run, or None."""
    try:
        entry = json.loads(folder.running_file.read_text())
        pid, began, host = int(entry["pid"]), float(entry["began"]), str(entry["host"])
        age = time.time() - folder.running_file.stat().st_mtime
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if host != platform.node():
        return Holder(pid, False) if age < FOREIGN_SECONDS else None
    return Holder(pid, True) if _is_alive(pid, began) else None


def _is_alive(pid: int, began: float) -> bool:
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - began) < SAME_START_SECONDS and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def claim(folder: RunFolder, pid: int | None = None) -> None:
    """Note that a process (this one, unless another is named) trains the run from now on; what a killed one left half-written goes.

    Raises:
        TrainingError: Another process does already.
    """
    pid = os.getpid() if pid is None else pid
    other = holder(folder)
    if other is not None and (other.pid != pid or not other.is_here):
        raise TrainingError(f"The run {folder.path.name!r} is being trained already, by process {other.pid}. Stop that one first.")
    for old in (folder.stop_request, folder.save_request, folder.error_file):
        old.unlink(missing_ok=True)
    for place in (folder.path, folder.path / "snapshots"):
        sweep_parts(place)
    entry = {"pid": pid, "began": psutil.Process(pid).create_time(), "host": platform.node()}
    with atomic_write(folder.running_file) as file:
        file.write(json.dumps(entry).encode())


def beat(folder: RunFolder) -> None:
    """Give a sign of life, for those who watch from another machine."""
    with contextlib.suppress(OSError):
        os.utime(folder.running_file)


@contextlib.contextmanager
def present(folder: RunFolder) -> Iterator[None]:
    """Claim the run for the block that trains it.

    Raises:
        TrainingError: Another process trains it already.
    """
    claim(folder)
    try:
        yield
    finally:
        folder.running_file.unlink(missing_ok=True)
