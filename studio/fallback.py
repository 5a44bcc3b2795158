"""What to do when a device's memory is full: forget the models that are not in use, then go on on the CPU.

This is *not* how much memory a work may take (``studio.restyle`` reckons that before it starts) nor which device comes first
(``accel/device.py``).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from studio.errors import DeviceError
from studio.model_cache import Loaded, ModelCache
from studio.worker import Priority, Worker

log = logging.getLogger(__name__)

T = TypeVar("T")

CANNOT_BEGIN = "There is not enough memory for this. Close other programs or use a smaller size."
CANNOT_GO_ON = "There is not enough memory to go on. Close other programs, then continue."


class MemoryFullError(DeviceError):
    """There was no memory left on the device."""


def attempt(task: Callable[[], T], sentence: str = CANNOT_BEGIN) -> T:
    """Try something once.

    Raises:
        MemoryFullError: There was too little memory for it, which ``sentence`` says to the user.
    """
    try:
        return task()
    except (RuntimeError, MemoryError) as error:
        if not _is_memory_error(error):
            raise
        raise MemoryFullError(sentence) from error


class Fallback:
    """Tries again with more room, in the end on the CPU, where the models then stay.

    Args:
        models: The models, which are forgotten and moved.
        worker: Whose thread runs networks.
    """

    def __init__(self, models: ModelCache, worker: Worker) -> None:
        self.note = ""
        """A sentence once the CPU took over."""
        self._models = models
        self._worker = worker

    def attempt(self, models: Sequence[Loaded], task: Callable[[], T]) -> T:
        """Try something with some models; when the device's memory is full, forget the others, then go on on the CPU.

        Raises:
            MemoryFullError: The computer's own memory is full.
        """
        with contextlib.suppress(MemoryFullError):
            return attempt(task)
        self._models.unload_others(*(loaded.name for loaded in models))
        if self._models.device.type == "cuda":
            torch.cuda.empty_cache()
            with contextlib.suppress(MemoryFullError):
                return attempt(task)
        if self._models.device.type != "cpu":
            log.warning("the memory of %s is full; going on on the CPU", self._models.device)
            self._worker.run(Priority.PREVIEW, lambda: self._move_to_cpu(models))
        return attempt(task)

    def _move_to_cpu(self, models: Sequence[Loaded]) -> None:
        self._models.device = torch.device("cpu")
        self.note = "The GPU's memory is full, so pictures are made on the CPU now, which is slower."
        for loaded in models:
            loaded.forget()
            loaded.network.to("cpu")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _is_memory_error(error: Exception) -> bool:
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(part in str(error).lower() for part in words)
