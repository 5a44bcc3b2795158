"""Reliable files: atomic writes, names that are safe everywhere, hashes. It knows nothing of what is in them.

A file either has its old content, or its new content, or was never there; no crash, full disk or second process
leaves half of one. Temporary files sit beside their target, begin with a dot and end in ``.part``.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import secrets
import stat
import time
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import psutil

from studio.errors import MediaError

MAX_NAME_BYTES = 120
FOREIGN_PART_SECONDS = 7 * 24 * 3600.0
"""Age at which a leftover of another computer (a shared folder) is taken for dead."""

_PART_NAME = re.compile(r"\..*\.(?P<host>[0-9a-f]{8})-(?P<pid>\d{1,10})-[0-9a-f]{8}\.part")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_FULL = {errno.ENOSPC, errno.EFBIG, *(getattr(errno, name) for name in ("EDQUOT",) if hasattr(errno, name))}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EINVAL}
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF}
_BLOCK = 1 << 20


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], *, sync: bool = True) -> Iterator[BinaryIO]:
    """Open a file for writing that takes the place of ``path`` only when all of it is on the disk.

    The folder is made when it is missing. The bytes go to a temporary file in the same folder; leaving the block
    flushes, syncs and renames it. When anything fails, in the block or after it, the temporary file is removed and
    ``path`` is as it was.

    Args:
        path: The file.
        sync: False trusts the system to put the bytes on the disk in time: for files that nobody misses after a power cut. The
            end of the process costs nothing either way.

    Yields:
        A binary file, writable and seekable.

    Raises:
        MediaError: The disk is full, the folder cannot be written to, or another error of the system.
    """
    target = Path(path)
    with explained(target), _part_file(target) as (file, part):
        yield file
        if not sync:
            file.close()
            part.replace(target)
            return
        _finish(file)
        part.replace(target)
        sync_folder(target.parent)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give the path of a temporary file for a library that opens files itself; otherwise as :func:`atomic_write`.

    Yields:
        An empty file beside ``path``. What is in it when the block ends takes the place of ``path``.

    Raises:
        MediaError: As in :func:`atomic_write`.
    """
    target = Path(path)
    with explained(target), _part_file(target) as (file, part):
        file.close()
        yield part
        with part.open("r+b") as written:
            _finish(written)
        part.replace(target)
        sync_folder(target.parent)


def create_exclusive(folder: Path, names: Iterable[str], data: bytes) -> Path:
    """Write ``data`` atomically under the first of ``names`` that no other process has taken; never overwrite.

    Args:
        folder: Where to; made when it is missing.
        names: Candidates in order, such as ``a-0001.png, a-0002.png, ...``.
        data: The whole content.

    Returns:
        The path that was created.

    Raises:
        MediaError: As in :func:`atomic_write`, or every name is taken.
    """
    with explained(folder), _part_file(folder / "new") as (file, part):
        file.write(data)
        _finish(file)
        for name in names:
            if _publish(part, folder / name):
                sync_folder(folder)
                return folder / name
    raise MediaError(f"{folder.name}: every name is taken. Choose another folder.")


def move_exclusive(source: Path, folder: Path, names: Iterable[str]) -> Path:
    """Move a file into ``folder`` under the first free name; never overwrite, never lose it.

    Raises:
        MediaError: The file is gone, the folder cannot be written to, or every name is taken.
    """
    with explained(source):
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            if _publish(source, folder / name):
                sync_folder(folder)
                sync_folder(source.parent)
                return folder / name
    raise MediaError(f"{folder.name}: every name is taken. Choose another folder.")


def numbered_names(name: str) -> Iterator[str]:
    """Give ``a.png``, ``a (2).png``, ``a (3).png`` ... for finding one that is free."""
    yield name
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - a name, not a place
    for number in range(2, 100_000):
        yield f"{stem} ({number}){suffix}"


def sweep_parts(folder: Path) -> int:
    """Remove the ``.part`` files in ``folder`` whose process has ended; give how many there were.

    A file of a process that still runs on this computer stays, and so does a young one from another computer.
    """
    removed = 0
    for path in folder.glob(".*.part") if folder.is_dir() else ():
        match = _PART_NAME.fullmatch(path.name)
        with contextlib.suppress(OSError):
            if match and _is_stale(match["host"], int(match["pid"]), path.stat().st_mtime):
                path.unlink()
                removed += 1
    return removed


def hash_bytes(data: bytes) -> str:
    """Give the SHA-256 of ``data`` as 64 hexadecimal letters."""
    return hashlib.sha256(data).hexdigest()


def hash_file(path: str | os.PathLike[str]) -> str:
    """Give the SHA-256 of a file as 64 hexadecimal letters, reading it in blocks.

    Raises:
        MediaError: The file cannot be read.
    """
    digest = hashlib.sha256()
    with explained(Path(path)), Path(path).open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def read_regular(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Read a whole regular file, checking kind and size before the first byte.

    Raises:
        MediaError: It is missing, unreadable, a folder, a device or pipe, or longer than ``max_bytes``.
    """
    place = Path(path)
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    with explained(place):
        if place.is_dir():
            raise MediaError(f"{place.name} is a folder. Choose a file in it.")
        with os.fdopen(os.open(place, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise MediaError(f"{place.name} is not an ordinary file. Copy it to a folder first.")
            if status.st_size > max_bytes:
                raise MediaError(f"{place.name} is {status.st_size / 1e6:.0f} MB; the most is {max_bytes / 1e6:.0f} MB.")
            return file.read(max_bytes + 1)[:max_bytes]


def safe_name(name: str, fallback: str = "file") -> str:
    """Turn any text into a file name that every system takes and that names no other folder.

    Folders, control and invisible letters, ``<>:"|?*`` and leading dots go; reserved Windows names get an
    underscore; the rest is cut to 120 bytes of UTF-8 with the suffix kept.
    """
    base = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    base = "".join(" " if letter.isspace() else letter for letter in base if letter.isspace() or unicodedata.category(letter)[0] != "C")
    base = re.sub(r'[<>:"|?*]', "-", base).strip(" ").lstrip(".").strip(" .")
    if _RESERVED.fullmatch(base):
        base = f"_{base}"
    stem, suffix = os.path.splitext(base)  # noqa: PTH122 - a name, not a place
    suffix = suffix if len(suffix.encode()) <= 16 else ""
    stem = stem if suffix else base
    cut = stem.encode()[: MAX_NAME_BYTES - len(suffix.encode())].decode("utf-8", "ignore").rstrip(" .")
    return cut + suffix if cut else fallback


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` in the block into a :class:`MediaError` of one sentence about ``path``."""
    try:
        yield
    except OSError as error:
        raise MediaError(_sentence(error, path), detail=repr(error)) from error


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut, where the system knows how to."""
    if os.name == "nt":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


@contextlib.contextmanager
def _part_file(target: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Open a new temporary file beside ``target``; it is gone when the block ends, unless it was renamed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    token = f"{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
    part = target.with_name(f".{target.name[:60]}.{token}.part")
    handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file, part
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


def _finish(file: BinaryIO) -> None:
    """Put the bytes on the disk and let go of the file (Windows renames only closed files)."""
    file.flush()
    os.fsync(file.fileno())
    file.close()


def _publish(source: Path, target: Path) -> bool:
    """Rename ``source`` to ``target`` if that name is free, whoever else wants it; tell whether it worked."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _publish_without_links(source, target)
    source.unlink()
    return True


def _publish_without_links(source: Path, target: Path) -> bool:
    """Do the same on a file system that has no hard links: take the name with an empty file, then replace it."""
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except FileExistsError:
        return False
    try:
        source.replace(target)
    except BaseException:
        target.unlink()
        raise
    return True


def _is_stale(host: str, pid: int, written: float) -> bool:
    if host != _host():
        return time.time() - written > FOREIGN_PART_SECONDS
    try:
        return bool(psutil.Process(pid).create_time() > written + 1.0)
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def _host() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _sentence(error: OSError, path: Path) -> str:
    """Say in one sentence what the system's error means for ``path``."""
    name = path.name or str(path)
    if error.errno in _FULL:
        return f"{name}: the disk is full. Free some space or choose another folder; nothing was overwritten."
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return f"{name}: no permission. Choose another folder, or change the rights of this one."
    if isinstance(error, FileNotFoundError):
        return f"{name} was not found. It may have been moved, renamed or deleted."
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        return f"{name}: a part of its path is a file, not a folder. Choose another folder."
    if error.errno == errno.ENAMETOOLONG:
        return f"{name[:40]}...: the name is too long. Use a shorter one."
    return f"{name}: the system refused ({error.strerror or type(error).__name__}). Try again, or choose another folder."
