"""Importing a foreign file: copy it into a folder of our own, parse it in a child process with limits, take the result.

The child (``importer``) gets memory, time and file-size limits and writes a safetensors file; whatever happens to it, the
folder is deleted. This module does *not* parse anything itself and needs no torch.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from studio import errors
from studio.checkpoints.card import ModelCard
from studio.checkpoints.digest import copy_and_hash, file_sha256
from studio.errors import CheckpointError, DamagedFileError, StudioError, TooBigError, UnknownModelError

PREFIX = ".import-"
BASE_SECONDS = 120
SECONDS_PER_GB = 60
MAX_FILE_BYTES = 16 << 30
MAX_LINE = 8 << 20
SPARE_DISK = 256 << 20


@dataclass(frozen=True, slots=True)
class Imported:
    """What the child made: a model in the studio's own format, still in quarantine, and its card."""

    weights: Path
    card: ModelCard


class Quarantine:
    """A private folder beside the models that exists only as long as an import; use it as a context manager."""

    def __init__(self, models_folder: Path) -> None:
        self.models_folder = models_folder
        self.folder = Path()

    def __enter__(self) -> Quarantine:
        """Make the folder, and sweep those of imports that died."""
        for stale in self.models_folder.glob(f"{PREFIX}*"):
            if not _is_alive(stale.name):
                shutil.rmtree(stale, ignore_errors=True)
        prefix = f"{PREFIX}{os.getpid()}-{int(psutil.Process().create_time())}-"
        self.folder = Path(tempfile.mkdtemp(dir=self.models_folder, prefix=prefix))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Delete everything that was not installed."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, source: Path, tell: Callable[[float, str], object]) -> Imported:
        """Copy a file in, parse the copy in a child process and return the result.

        Raises:
            StudioError: The file was refused; or the child ran out of memory or time.
        """
        copy = self.folder / "source"
        sha256 = self._copy(source, copy, tell)
        weights = self.folder / "result.safetensors"
        answer = self._child(copy, weights, source.name, tell)
        card = ModelCard.from_json(answer)
        if not weights.is_file():
            raise DamagedFileError(f"{source.name} could not be read; nothing was installed.")
        return Imported(weights, replace(card, sha256=file_sha256(weights), source_sha256=card.source_sha256 or sha256))

    def _copy(self, source: Path, target: Path, tell: Callable[[float, str], object]) -> str:
        if not source.is_file():
            raise UnknownModelError(f"{source.name} is not there, or is not a file. Choose the model file itself.")
        size = source.stat().st_size
        if size > MAX_FILE_BYTES:
            raise TooBigError(f"{source.name} is {size / 2**30:.0f} GB; the studio opens files up to 16 GB.")
        free = shutil.disk_usage(self.models_folder).free
        if 2 * size + SPARE_DISK > free:
            raise CheckpointError(f"{source.name} needs {2 * size / 2**30:.1f} GB of disk for the import; {free / 2**30:.1f} GB are free.")
        try:
            return copy_and_hash(source, target, lambda share: tell(0.3 * share, "Copying"))
        except OSError as error:
            raise CheckpointError(f"{source.name} cannot be copied: {error.strerror}.", detail=str(error)) from error

    def _child(self, copy: Path, weights: Path, name: str, tell: Callable[[float, str], object]) -> Any:
        limit = BASE_SECONDS + SECONDS_PER_GB * (copy.stat().st_size >> 30)
        command = [sys.executable, "-m", "studio.checkpoints.importer", str(copy), str(weights), name]
        child = subprocess.Popen(  # noqa: S603 - our own module, no shell
            command,
            cwd=self.folder,
            env=_environment(self.folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        timer = threading.Timer(limit, child.kill)
        timer.start()
        started = time.monotonic()
        try:
            for message in _messages(child):
                if "share" in message:
                    tell(0.3 + 0.6 * float(message["share"]), str(message.get("what", "")))
                elif "error" in message:
                    raise _rebuilt(message)
                elif "card" in message:
                    return message["card"]
        finally:
            timer.cancel()
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()
        why = f"took longer than {limit} seconds to read" if time.monotonic() - started >= limit else "needs more memory than it may use"
        raise TooBigError(f"{name} {why}; nothing was installed.", detail=f"the child ended with {child.returncode}")


def _messages(child: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """Read the child's answers, one JSON object a line."""
    assert child.stdout is not None
    while line := child.stdout.readline(MAX_LINE):
        with contextlib.suppress(ValueError, RecursionError):
            message = json.loads(line)
            if isinstance(message, dict):
                yield message


def _rebuilt(message: dict[str, Any]) -> StudioError:
    """Turn the child's refusal into the same error here."""
    kind = getattr(errors, str(message["error"]), StudioError)
    if not isinstance(kind, type) or not issubclass(kind, StudioError):
        kind = StudioError
    return kind(str(message.get("sentence", "")), detail=str(message.get("detail", "")))


def _environment(folder: Path) -> dict[str, str]:
    """Give the child what Python needs to find the studio, and two threads."""
    package = Path(__file__).resolve().parents[2]
    search = os.pathsep.join(part for part in (str(package), os.environ.get("PYTHONPATH", "")) if part)
    return os.environ | {
        "PYTHONPATH": search,
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "2",
        "TMPDIR": str(folder),
    }


def _is_alive(folder_name: str) -> bool:
    """Tell whether the import that made a folder is still running."""
    try:
        pid, started = (int(part) for part in folder_name[len(PREFIX) :].split("-")[:2])
        return int(psutil.Process(pid).create_time()) == started
    except (ValueError, psutil.Error):
        return False
