"""The files of a training run: states (the last two and the best), snapshots, the log. Everything is written atomically.

States are safetensors with a JSON header: nothing in them can run. Shipped weights are *not* written here: ``export.py`` does that.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from studio.checkpoints.tensors import read_tensors, write_tensors
from studio.errors import CheckpointError, TrainingError
from studio.media.files import atomic_write
from studio.training.trainer import UInt8

STATE_VERSION = 1
KEPT_STATES = 2


@dataclass(frozen=True)
class RunFolder:
    """Where one run keeps its files."""

    path: Path

    @property
    def settings_file(self) -> Path:
        """The resolved settings of the run."""
        return self.path / "settings.json"

    @property
    def log_file(self) -> Path:
        """One line of JSON per tick."""
        return self.path / "log.jsonl"

    @property
    def best_file(self) -> Path:
        """The state with the lowest score so far."""
        return self.path / "best.safetensors"

    @property
    def running_file(self) -> Path:
        """Which process trains this run at present; see ``presence.py``."""
        return self.path / "running.json"

    @property
    def error_file(self) -> Path:
        """Why the run ended, when it ended with an error: one sentence."""
        return self.path / "error.txt"

    @property
    def output_file(self) -> Path:
        """What the process of the run wrote to its error stream."""
        return self.path / "output.txt"

    @property
    def stop_request(self) -> Path:
        """An empty file that asks the run to save and stop."""
        return self.path / "stop.request"

    @property
    def save_request(self) -> Path:
        """An empty file that asks the run to save now."""
        return self.path / "save.request"

    def write_settings(self, text: str) -> None:
        """Write the settings atomically."""
        with atomic_write(self.settings_file) as written:
            written.write(text.encode())

    def states(self) -> list[Path]:
        """Return the states, oldest first."""
        return sorted(self.path.glob("state-*.safetensors"))

    def snapshots(self) -> list[Path]:
        """Return the sample sheets, oldest first."""
        return sorted((self.path / "snapshots").glob("*.png"))

    def write_state(self, step: int, tensors: Mapping[str, Tensor], header: Mapping[str, Any], *, is_best: bool) -> Path:
        """Write the state after ``step`` steps, then drop all but the last two; a best one is kept beside them."""
        file = self.path / f"state-{step:09d}.safetensors"
        write_tensors(file, tensors, {"version": STATE_VERSION, "step": step, **header})
        if is_best:
            part = self.best_file.with_suffix(".part")
            part.unlink(missing_ok=True)
            _link_or_copy(file, part)
            part.replace(self.best_file)
        for old in self.states()[:-KEPT_STATES]:
            old.unlink()
        return file

    def read_newest_state(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return the newest state that can be read, or None for a fresh run.

        Raises:
            TrainingError: There are states, but none of them can be read.
        """
        states = self.states()
        for file in reversed(states):
            try:
                tensors, header = read_tensors(file)
            except (CheckpointError, OSError):
                continue
            if header.get("version") == STATE_VERSION:
                return tensors, header
        if states:
            raise TrainingError(f"{self.path}: no state of this run can be read. Choose another name for a new run.")
        return None

    def write_snapshot(self, step: int, image: UInt8) -> Path:
        """Write a sample sheet."""
        file = self.path / "snapshots" / f"{step:09d}.png"
        with atomic_write(file) as written:
            Image.fromarray(image).save(written, format="PNG", compress_level=3)
        return file


def _link_or_copy(source: Path, target: Path) -> None:
    """Make ``target`` the same file as ``source``, without a second copy where the file system can."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
