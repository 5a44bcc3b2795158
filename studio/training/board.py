"""TensorBoard event files of a run, written by tensorboardX where it is installed. Everything in them also is in the run's own log."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from studio.training.settings import Tick

MISSING = "TensorBoard files are not written: tensorboardX is not installed (pip install tensorboardX adds it)."
QUALITY = frozenset(
    {"score", "random_feature_kid", "random_feature_kid_of_photos", "swd", "kid", "fid", "diversity", "copies", "l1_levels"}
)


def is_available() -> bool:
    """Tell whether event files can be written."""
    return importlib.util.find_spec("tensorboardX") is not None


class Board:
    """Writes ticks as event files below ``tensorboard/`` in a run's folder; does nothing where it is off."""

    def __init__(self, folder: Path, *, is_on: bool) -> None:
        self._folder = folder / "tensorboard"
        self._is_on = is_on and is_available()
        self._writer: Any = None

    def tell(self, tick: Tick) -> None:
        """Write one tick; after a resume or a rollback what lies beyond it in earlier files is hidden."""
        if not self._is_on:
            return
        if self._writer is None or tick.kind == "rollback":
            self._open(tick.step)
        for name, value in tick.values.items():
            self._writer.add_scalar(f"{_group(name)}/{name}", value, tick.step)
        if tick.kind == "step":
            self._writer.add_scalar("speed/images_per_second", tick.images_per_second, tick.step)
            self._writer.add_scalar("speed/kimg", tick.cur_nimg / 1000, tick.step)
        if tick.kind == "snapshot" and tick.file is not None:
            with Image.open(tick.file) as sheet:
                self._writer.add_image("samples", np.asarray(sheet.convert("RGB")), tick.step, dataformats="HWC")

    def _open(self, step: int) -> None:
        from tensorboardX.writer import SummaryWriter

        self.close()
        self._writer = SummaryWriter(str(self._folder), purge_step=step)

    def close(self) -> None:
        """Write what is still held back."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _group(name: str) -> str:
    """Return the heading under which TensorBoard shows a value."""
    if name in QUALITY:
        return "quality"
    return {"sign": "signs", "grad": "gradients"}.get(name.rpartition("_")[2], "training")
