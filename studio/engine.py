"""The engine: models in memory, the device, and who draws next.

One per process. It loads models by name, keeps a few, draws previews by the fastest checked way and saved pictures by the
exact one. This is *not* a place for how a picture is made (``render.py``, ``restyle.py``) or what is on the page.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import statistics
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from studio import checkpoints, paths
from studio.accel import choose, runtime
from studio.accel.device import pick_device
from studio.errors import DeviceError, RecipeError
from studio.latents import recipe_to_ws
from studio.media import ImageArray, thumbnail
from studio.model_cache import Loaded, ModelCache
from studio.recipe import ModelRef, Recipe, Restyle
from studio.render import BACKDROP, Frame, draw, opaque
from studio.restyler import Work, cast, in_turns
from studio.runners import NEEDS_COMPILER, Preparer, Runner
from studio.worker import Priority, Worker

log = logging.getLogger(__name__)

T = TypeVar("T")
Grid = Sequence[Sequence[Recipe | None]]
Way = Callable[..., Tensor]

MAX_SHEET_PIXELS = 64 * 10**6


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What the top bar shows, e.g. ``cpu · 14 ms``."""

    device: str
    precision: str
    runner: str
    """The way in use: ``module``, ``numba`` ..."""
    milliseconds: float
    """Median of the last previews; 0 when there was none yet."""
    model: str = ""
    preparing: bool = False
    """Faster ways are being built."""
    note: str = ""
    """A sentence when something was done otherwise than asked."""


class Engine:
    """Models in memory, drawn with one at a time. Every method may be called from any thread.

    Args:
        library: Finds models by name; by default the shipped ones and the user's models folder.
        device: ``cpu``, ``cuda``, ``mps`` or ``auto``, which the environment's ``STUDIO_DEVICE`` may decide.
        precision: Of previews: ``auto`` (the fast mode) or ``exact``.
        max_models: How many models are kept in memory.
        compilers: Also prepare fast paths that take a compiler minutes: for processes that live long.

    Raises:
        DeviceError: The device is not there.
    """

    def __init__(
        self, library: Any = None, *, device: str = "auto", precision: str = "auto", max_models: int = 3, compilers: bool = True
    ) -> None:
        runtime.tune_allocator()
        self.library = checkpoints.Library(paths.models_folder(), paths.pretrained_folder()) if library is None else library
        self.device = pick_device(device)
        self.precision = precision
        self.models = ModelCache(self.library, self.device, max_models)
        self.worker = Worker()
        self._compilers = compilers
        self._preparer = Preparer(self.worker)
        self._finalizer = weakref.finalize(self, _end, self._preparer, self.worker)
        self._lock = threading.Lock()
        self._times: deque[float] = deque(maxlen=20)
        self._last: tuple[str, str, str] = ("", "", "")
        self._note = ""
        self.last_preview = 0.0
        """When somebody last looked, by ``time.monotonic()``."""

    def load(self, name: str) -> Loaded:
        """Load a model by its name in the library, or return it from memory; the least used one makes room.

        Raises:
            CheckpointError: There is no such model, or its file is damaged.
        """
        return self.models.load(name)

    def open(self, path: str | os.PathLike[str]) -> Loaded:
        """Load a model from any supported file under the name of the file, without installing it.

        Raises:
            CheckpointError: The file is no model that the studio knows.
        """
        return self.models.open(path)

    def generator(self, ref: ModelRef) -> Loaded:
        """Load the latent generator that a recipe names.

        Raises:
            RecipeError: The recipe names no model, or a translator.
            CheckpointError: No such model is installed.
        """
        loaded = self.models.find(ref)
        if loaded.is_translator:
            raise RecipeError(f"{loaded.name} turns photos into pictures and needs a photo. Use it in Restyle.")
        return loaded

    def unload(self, name: str) -> None:
        """Forget a model that is in memory (before its file is renamed or removed)."""
        self.models.unload(name)

    def preview(self, recipe: Recipe, size: int | None = None, *, priority: Priority = Priority.PREVIEW) -> ImageArray:
        """Draw quickly, by the fastest way that is ready, at most ``size`` pixels on the longest side.

        Returns:
            ``uint8 [H, W, 3]``; transparency lies on neutral grey.

        Raises:
            StudioError: The model is not there, or a value in the recipe does not suit it.
        """
        loaded = self.generator(recipe.model)
        image = opaque(self._draw(loaded, replace(recipe, size=None), priority, self.precision))
        return image if size is None else thumbnail(image, size)

    def render(self, recipe: Recipe, *, priority: Priority = Priority.SETTLE) -> ImageArray:
        """Draw to keep: in the recipe's size and precision, ``exact`` by the plain module, always the same.

        Returns:
            ``uint8 [H, W, 3]``, or ``[H, W, 4]`` for a model with transparency.

        Raises:
            StudioError: The model is not there, or a value in the recipe does not suit it.
        """
        return self._draw(self.generator(recipe.model), recipe, priority, None if recipe.precision == "exact" else recipe.precision)

    def restyle(
        self,
        recipe: Recipe,
        image: ImageArray,
        alpha: ImageArray | None = None,
        *,
        priority: Priority = Priority.RESTYLE,
        max_memory: int | None = None,
        progress: Callable[[float], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
        note: Callable[[str], None] | None = None,
    ) -> ImageArray:
        """Redraw a photo with a translator at the photo's own size, in the recipe's precision (``auto``: the fastest way).

        A large photo takes many turns, between which previews are drawn.

        Args:
            recipe: ``model``, ``restyle`` and ``precision`` are read.
            image: ``uint8 [H, W, 3]`` RGB.
            alpha: ``uint8 [H, W]`` opacity, which passes through.
            priority: Whose turn it takes.
            max_memory: Most memory to use, in bytes; None: what is free.
            progress: Told the share that is done, 0 to 1.
            should_stop: Asked between turns whether nobody wants the result any more.
            note: Told, in a sentence, what was done otherwise than asked.

        Returns:
            ``uint8 [H, W, 3]``, or ``[H, W, 4]`` when ``alpha`` is given.

        Raises:
            StudioError: The model is not there or is no translator, or the photo is too large for the memory.
            CancelledError: ``should_stop`` said so.
        """
        models, precision = cast(self.models, recipe), recipe.precision
        work = Work(
            models,
            recipe.restyle or Restyle(),
            image,
            alpha,
            runner=lambda loaded: None if precision == "exact" else self._runner(loaded, precision),
            max_memory=max_memory,
            note=note,
        )

        def attempt() -> ImageArray:
            around = functools.partial(self._full_floats, precision)
            return in_turns(self.worker, priority, work.steps(), around=around, progress=progress, should_stop=should_stop)

        return self._with_room(models.all, attempt)

    def ws(self, recipe: Recipe) -> Tensor:
        """Return the style vectors of a recipe, ``[1, num_ws, w_dim]`` on the CPU (see ``latents.keep_ws``)."""
        loaded = self.generator(recipe.model)
        return self.worker.run(Priority.PREVIEW, lambda: recipe_to_ws(loaded.network, recipe, loaded.place).cpu())

    def mix_grid(self, recipes: Grid, cell: int = 128, *, priority: Priority = Priority.SETTLE) -> Iterator[Frame]:
        """Draw a sheet of pictures (see ``render.mix_recipes``) cell by cell; leaving the loop cancels the rest.

        Args:
            recipes: Rows of recipes; None leaves a cell empty.
            cell: Side of a cell in pixels.
            priority: Whose turn the cells take.

        Yields:
            After each cell the sheet so far: ``Frame.image uint8 [rows * cell, columns * cell, 3]``, one array that is drawn on.

        Raises:
            RecipeError: The sheet would be too large.
            StudioError: As for :meth:`preview`.
        """
        columns = max((len(row) for row in recipes), default=0)
        if not columns or len(recipes) * columns * cell * cell > MAX_SHEET_PIXELS:
            raise RecipeError(
                f"A sheet of {len(recipes)} x {columns} cells of {cell} pixels is empty or too large. Use fewer or smaller cells."
            )
        sheet = np.full((len(recipes) * cell, columns * cell, 3), BACKDROP[0], np.uint8)
        cells = [(y, x, recipe) for y, row in enumerate(recipes) for x, recipe in enumerate(row) if recipe is not None]
        for index, (y, x, recipe) in enumerate(cells):
            image = self.preview(recipe, cell, priority=priority)
            top, left = y * cell + (cell - image.shape[0]) // 2, x * cell + (cell - image.shape[1]) // 2
            sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
            yield Frame(index, len(cells), sheet)

    def way(self, loaded: Loaded, precision: str, name: str = "", *, timeout: float = 60.0) -> tuple[str, Way]:
        """Return a way to run a model that stays the same for a whole film, and its name: the named one if it is to be had.

        Otherwise it is the fastest that is ready after ``timeout`` seconds; in ``exact`` precision always the plain module.
        """
        if precision == "exact" or name == "module":
            return "module", choose.reference(loaded.network)
        runner = self._runner(loaded, precision)
        runner.settled.wait(timeout)
        candidates = [] if name in ("", runner.name) else choose.fast_paths(loaded.network, precision, self.device)
        wanted = next((candidate for candidate in candidates if candidate.name == name), None)
        return (runner.name, runner.way) if wanted is None else (name, self.worker.run(Priority.BATCH, wanted.build))

    def take_turn(self, task: Callable[[], T], precision: str, priority: Priority = Priority.BATCH) -> T:
        """Run a piece of a long work such as a film; it never goes on on another device, because its pieces must fit together.

        Raises:
            DeviceError: The device's memory is full.
        """

        def piece() -> T:
            with self._full_floats(precision):
                return task()

        try:
            return _try(lambda: self.worker.run(priority, piece))
        except _DeviceFullError as error:
            raise DeviceError("There is not enough memory to go on. Close other programs, then continue.") from error

    def prepare(self, name: str, precision: str | None = None, *, timeout: float | None = None) -> str:
        """Load a model and wait until its fastest way is found, so that a series is drawn by one way throughout.

        Returns:
            The name of the way in use.
        """
        runner = self._runner(self.load(name), precision or self.precision)
        runner.settled.wait(timeout)
        return runner.name

    def status(self) -> EngineStatus:
        """Say where and how the last picture was drawn, and how long previews take."""
        model, precision, runner = self._last
        milliseconds = statistics.median(self._times) if self._times else 0.0
        return EngineStatus(
            device=str(self.device),
            precision=precision or self.precision,
            runner=runner or "module",
            milliseconds=milliseconds,
            model=model,
            preparing=self._preparer.busy_with is not None,
            note=self._note or self.models.note,
        )

    def close(self) -> None:
        """End the background threads, as the end of the process does; the engine cannot be used afterwards."""
        self._finalizer()

    def _runner(self, loaded: Loaded, precision: str) -> Runner:
        """Return the runner of a model, and have its fast paths prepared when it is new."""
        with self._lock:
            runner = loaded.runners.get(precision)
            if runner is None:
                network = loaded.network
                found = choose.fast_paths(network, precision, self.device)
                wanted = [candidate for candidate in found if self._compilers or candidate.name not in NEEDS_COMPILER]
                runner = Runner(
                    choose.reference(network),
                    wanted,
                    functools.partial(choose.sample, network),
                    precision=precision,
                    build_in_turn=self.device.type == "cuda",
                )
                loaded.runners[precision] = runner
                self._preparer.add(runner)
            return runner

    def _draw(self, loaded: Loaded, recipe: Recipe, priority: Priority, precision: str | None) -> ImageArray:
        """Draw with a generator when the turn comes, by its runner of a precision or (None) by the module itself."""

        def task() -> ImageArray:
            runner = self._runner(loaded, precision) if precision else None
            start = time.perf_counter()
            with self._full_floats(precision):
                image = draw(loaded.network, recipe, places=loaded.place, synthesis=runner)
            if priority == Priority.PREVIEW:
                self.last_preview = time.monotonic()
                self._seen((loaded.name, precision or "exact", runner.name if runner else "module"), time.perf_counter() - start)
            return image

        return self._with_room([loaded], lambda: self.worker.run(priority, task))

    def _seen(self, way: tuple[str, str, str], seconds: float) -> None:
        if way != self._last:
            self._times.clear()
            self._last = way
        self._times.append(seconds * 1000)

    def _full_floats(self, precision: str | None) -> AbstractContextManager[Any]:
        """Keep a GPU from rounding to TF32, except in the fast mode."""
        if precision == "auto" or self.device.type != "cuda":
            return nullcontext()
        return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)

    def _with_room(self, models: Sequence[Loaded], attempt: Callable[[], T]) -> T:
        """Try something with some models; when the device's memory is full, forget the others, then go on on the CPU.

        Raises:
            DeviceError: The computer's own memory is full.
        """
        with contextlib.suppress(_DeviceFullError):
            return _try(attempt)
        self.models.unload_others(*(loaded.name for loaded in models))
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            with contextlib.suppress(_DeviceFullError):
                return _try(attempt)
        if self.device.type != "cpu":
            log.warning("the memory of %s is full; going on on the CPU", self.device)
            self.worker.run(Priority.PREVIEW, lambda: self._move_to_cpu(models))
        try:
            return _try(attempt)
        except _DeviceFullError as error:
            raise DeviceError("There is not enough memory for this. Close other programs or use a smaller size.") from error

    def _move_to_cpu(self, models: Sequence[Loaded]) -> None:
        self.device = self.models.device = torch.device("cpu")
        self._note = "The GPU's memory is full, so pictures are made on the CPU now, which is slower."
        for loaded in models:
            loaded.forget()
            loaded.network.to("cpu")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _end(preparer: Preparer, worker: Worker) -> None:
    """End the thread that builds before the one that it asks to time what it built."""
    preparer.close()
    worker.close()


def _try(attempt: Callable[[], T]) -> T:
    try:
        return attempt()
    except (RuntimeError, MemoryError) as error:
        if not _is_memory_error(error):
            raise
        raise _DeviceFullError from error


class _DeviceFullError(Exception):
    """There was no memory left on the device."""


def _is_memory_error(error: Exception) -> bool:
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(part in str(error).lower() for part in words)


@functools.cache
def default_engine() -> Engine:
    """Return the engine of scripts, which :func:`studio.render` and :func:`studio.restyle` use."""
    return Engine(compilers=False)
