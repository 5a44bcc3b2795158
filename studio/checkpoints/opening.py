"""Opening a model file for reading, and putting its name before every error. It does not look inside, and needs no torch."""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from studio.checkpoints.records import shorten
from studio.errors import CheckpointError, DamagedFileError, StudioError, TooBigError, UnknownModelError, UnsafeFileError

MAX_FILE_BYTES = 16 << 30
READ_BYTES = 4 << 20
KINDS = (UnsafeFileError, DamagedFileError, UnknownModelError, TooBigError, CheckpointError, StudioError)


@dataclass(frozen=True, slots=True)
class Source:
    """An open file: a window onto its bytes, its size and SHA-256."""

    data: memoryview
    size: int
    sha256: str


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Map a regular file into memory, read-only; its pages are read when they are needed.

    Raises:
        StudioError: It is not there, no file, empty, or larger than 16 GB.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError as error:
        raise UnknownModelError("is not there. Check the name.", detail=str(path)) from error
    except OSError as error:
        raise CheckpointError(f"cannot be opened: {error.strerror}.", detail=str(path)) from error
    try:
        size = _checked_size(os.fstat(descriptor))
        digest = hashlib.sha256()
        while block := os.read(descriptor, READ_BYTES):
            digest.update(block)
        yield Source(memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)), size, digest.hexdigest())
    finally:
        os.close(descriptor)


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Put the file's name before every sentence; anything unforeseen means that the file is damaged."""
    shown = shorten(name)
    try:
        yield
    except StudioError as error:
        kind = next(kind for kind in KINDS if isinstance(error, kind))
        raise kind(f"{shown} {error}", detail=error.detail) from error
    except MemoryError as error:
        raise TooBigError(f"{shown} needs more memory than there is.", detail=repr(error)) from error
    except Exception as error:
        raise DamagedFileError(f"{shown} is damaged or makes no sense to the studio. Download it again.", detail=repr(error)) from error


def _checked_size(status: os.stat_result) -> int:
    if not stat.S_ISREG(status.st_mode):
        raise UnknownModelError("is not a file. Choose the model file itself.")
    if status.st_size > MAX_FILE_BYTES:
        raise TooBigError(f"is {status.st_size / 2**30:.0f} GB; the studio opens files up to 16 GB.")
    if status.st_size == 0:
        raise DamagedFileError("is empty. Download it again.")
    return status.st_size
