"""SHA-256 of files, without holding them in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

BLOCK = 4 << 20


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def copy_and_hash(source: Path, target: Path, tell: Callable[[float], object]) -> str:
    """Copy a file and return the SHA-256 of what was copied; ``tell`` hears the share done."""
    digest = hashlib.sha256()
    total = max(source.stat().st_size, 1)
    done = 0
    with source.open("rb", buffering=0) as inside, target.open("xb") as outside:
        while block := inside.read(BLOCK):
            outside.write(block)
            digest.update(block)
            done += len(block)
            tell(min(done / total, 1.0))
    return digest.hexdigest()
