"""The frames of a film in the making: a file of lossless pictures, one after another, and a list of where they are and their hashes.

A frame counts as finished when it is on the list and its bytes have the hash that is noted there; whatever else a crash, a full disk
or a power cut leaves behind is made again. The manifest says how the frames were made, so that only equal ones ever meet in one film.
This is *not* where frames are drawn or encoded.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from studio.errors import MediaError
from studio.media import ImageArray, atomic_write, sweep_parts
from studio.media.files import explained
from studio.media.lossless import pack_frame, unpack_frame

MANIFEST = "manifest.json"
OWNER = "owner.json"
DIGEST_BYTES = 32
SAME_START_SECONDS = 1.0


class DamagedFrameError(Exception):
    """A frame is not what the list says; it must be made again."""


class FrameStore:
    """The frames ``0 .. count - 1`` of one film.

    Args:
        folder: Where they are.
        count: How many there will be.
        worker: A word for this one of several that fill the same folder.
    """

    def __init__(self, folder: Path, count: int, worker: str = "") -> None:
        self.folder, self.count = folder, count
        self._log = folder / (f"frames-{worker}.log" if worker else "frames.log")
        self._digests = np.zeros((count, DIGEST_BYTES), np.uint8)
        self._known = np.zeros(count, bool)
        self._spans = np.zeros((count, 3), np.int64)
        self._files = [_data_of(self._log)]

    @property
    def done(self) -> int:
        """How many frames are finished."""
        return int(self._known.sum())

    @property
    def frame_bytes(self) -> int:
        """How large a stored frame is on average; 0 before there is one."""
        return int(self._spans[self._known, 2].sum()) // max(1, self.done)

    def manifest(self) -> dict[str, Any]:
        """Return how the frames in the folder were made; empty when there are none or the manifest is damaged."""
        try:
            found = json.loads((self.folder / MANIFEST).read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def begin(self, manifest: dict[str, Any]) -> bool:
        """Go on with the frames that are there, or begin anew when they were made in another way.

        Args:
            manifest: Everything that the frames depend on.

        Returns:
            False when frames had to be thrown away.

        Raises:
            MediaError: The folder cannot be written to.
        """
        entry = {**manifest, "count": self.count}
        old = self.manifest()
        kept = old == entry or not list(self.folder.glob("frames*.log"))
        with explained(self.folder):
            if not kept:
                self.clear()
            self.folder.mkdir(parents=True, exist_ok=True)
            sweep_parts(self.folder)
        if old != entry:
            with atomic_write(self.folder / MANIFEST) as file:
                file.write((json.dumps(entry, indent=1, sort_keys=True) + "\n").encode())
        self.verify()
        return kept

    def verify(self) -> None:
        """Read the lists of all workers and check every frame on them against its hash."""
        self._known[:] = False
        for log in sorted(self.folder.glob("frames*.log")):
            for line in _whole_lines(log):
                with contextlib.suppress(ValueError):
                    number, digest, start, length = line.split(" ")
                    self._note(int(number), bytes.fromhex(digest), _data_of(log), int(start), int(length))
        for index in map(int, np.flatnonzero(self._known)):
            self._known[index] = self._fits(index, self._bytes(index))

    def missing(self) -> Iterator[int]:
        """Give the numbers of the frames that are not finished, in order; they may be finished meanwhile."""
        return (index for index in range(self.count) if not self._known[index])

    def add(self, index: int, image: ImageArray) -> None:
        """Store a frame, uint8 ``[H, W, 3 or 4]``: first its bytes, then its line in the list.

        Raises:
            MediaError: The disk is full.
        """
        data, file = pack_frame(image), _data_of(self._log)
        digest = hashlib.sha256(data).digest()
        with explained(self._log):
            start = _append(file, data)
            _append(self._log, f"{index} {digest.hex()} {start} {len(data)}\n".encode())
        self._note(index, digest, file, start, len(data))

    def read(self, index: int) -> ImageArray:
        """Return a frame as it was stored.

        Raises:
            DamagedFrameError: It is not there, or has changed; it counts as missing from now on.
        """
        data = self._bytes(index)
        if not self._fits(index, data):
            self._known[index] = False
            raise DamagedFrameError(f"frame {index} is gone or has changed")
        return unpack_frame(data)

    def hashes(self) -> list[str]:
        """Return the SHA-256 of every finished frame as it is stored, in order; "" for those that are missing."""
        return [bytes(digest).hex() if known else "" for digest, known in zip(self._digests, self._known, strict=True)]

    def clear(self) -> None:
        """Remove everything but the note of who works here."""
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != OWNER:
                path.unlink()

    def remove(self) -> None:
        """Remove the folder, when the film is done or not wanted any more."""
        with explained(self.folder):
            if self.folder.exists():
                shutil.rmtree(self.folder)

    def _note(self, index: int, digest: bytes, file: Path, start: int, length: int) -> None:
        """Take down where a frame is."""
        if not (0 <= index < self.count and len(digest) == DIGEST_BYTES and start >= 0 and length > 0):
            raise ValueError("no such frame")
        if file not in self._files:
            self._files.append(file)
        self._digests[index] = np.frombuffer(digest, np.uint8)
        self._spans[index] = self._files.index(file), start, length
        self._known[index] = True

    def _bytes(self, index: int) -> bytes:
        """Return what is stored of a frame, if anything."""
        file, start, length = map(int, self._spans[index])
        try:
            with self._files[file].open("rb") as data:
                is_whole = start + length <= data.seek(0, os.SEEK_END)
                data.seek(start)
                return data.read(length) if is_whole else b""
        except OSError:
            return b""

    def _fits(self, index: int, data: bytes) -> bool:
        return bool(hashlib.sha256(data).digest() == self._digests[index].tobytes())


@contextlib.contextmanager
def working_in(folder: Path, name: str = "") -> Iterator[None]:
    """Note in a folder that this process makes a film there, so that no second one does.

    Raises:
        MediaError: Another process does already.
    """
    me = {"pid": os.getpid(), "began": psutil.Process().create_time(), "host": platform.node()}
    owner = folder / OWNER
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        other = _read_owner(owner)
        if other is not None and other != me and is_running(other):
            raise MediaError(f"{name or folder.name} is being made already, by process {other.get('pid')}. Wait for it, or stop it first.")
        with atomic_write(owner) as file:
            file.write(json.dumps(me).encode())
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            owner.unlink(missing_ok=True)


def is_running(owner: dict[str, Any]) -> bool:
    """Tell whether a noted process ``{pid, began, host}`` still runs; of other machines that is not known and taken for granted."""
    if owner.get("host") != platform.node():
        return True
    try:
        process = psutil.Process(int(owner["pid"]))
        is_same = abs(process.create_time() - float(owner["began"])) < SAME_START_SECONDS
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, KeyError, TypeError, ValueError):
        return False


def _read_owner(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _whole_lines(path: Path) -> Iterator[str]:
    """Give the lines of a list; one that was cut off by a crash is cut off the file too, so that the next begins on its own."""
    with path.open("r+b") as file:
        whole = 0
        for line in file:
            if not line.endswith(b"\n"):
                file.truncate(whole)
                break
            whole += len(line)
            yield line.decode("ascii", "replace").rstrip("\n")


def _data_of(log: Path) -> Path:
    """Return the file of the frames on a list."""
    return log.with_suffix(".data")


def _append(path: Path, data: bytes) -> int:
    """Add bytes to a file in one write and return where they begin; a disk that is full leaves no part of them."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
    try:
        before = os.fstat(handle).st_size
        if os.write(handle, data) != len(data):
            os.ftruncate(handle, before)
            raise OSError(errno.ENOSPC, "No space left on device")
        return before
    finally:
        os.close(handle)
