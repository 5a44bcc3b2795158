"""The engine: models in memory, the device, and who draws next.

One per process. It loads models by name, keeps a few, draws previews by the fastest checked way and saved pictures by the
exact one. This is *not* a place for how a picture is made (``render.py``, ``restyler.py``), which way is fastest (``fastest.py``),
what happens when memory is full (``fallback.py``) or what is on the page.
"""

from __future__ import annotations

import functools
import os
import statistics
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from studio import checkpoints, paths
from studio.accel import runtime
from studio.accel.device import full_floats, pick_device
from studio.errors import RecipeError
from studio.fallback import CANNOT_GO_ON, Fallback, attempt
from studio.fastest import Fastest
from studio.latents import recipe_to_ws
from studio.media import ImageArray, thumbnail
from studio.model_cache import Loaded, ModelCache
from studio.recipe import ModelRef, Recipe, Restyle
from studio.render import Frame, Grid, draw, draw_sheet, opaque
from studio.restyler import Work, cast, in_turns
from studio.runners import Preparer, Way
from studio.upscaling import SHORT_TILE, TILE, chain_of, enlarger, upscale_to
from studio.worker import Priority, Worker

T = TypeVar("T")


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
        self, library: Any = None, *, device: str = "auto", precision: str = "auto", max_models: int = 5, compilers: bool = True
    ) -> None:
        runtime.tune_allocator()
        self.library = checkpoints.Library(paths.models_folder(), paths.pretrained_folder()) if library is None else library
        self.precision = precision
        self.models = ModelCache(self.library, pick_device(device), max_models)
        self.worker = Worker()
        self.fastest = Fastest(self.models, self.worker, compilers=compilers)
        self._fallback = Fallback(self.models, self.worker)
        self._finalizer = weakref.finalize(self, _end, self.fastest.preparer, self.worker)
        self._times: deque[float] = deque(maxlen=20)
        self._last: tuple[str, str, str] = ("", "", "")
        self.last_preview = 0.0
        """When somebody last looked, by ``time.monotonic()``."""

    @property
    def device(self) -> torch.device:
        """Where networks run; a full GPU makes it the CPU."""
        return self.models.device

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
        loaded, precision = self.generator(recipe.model), None if recipe.precision == "exact" else recipe.precision
        if not recipe.enlarge:
            return self._draw(loaded, recipe, priority, precision)
        image = self._draw(loaded, replace(recipe, size=None), priority, precision)
        return self.enlarge(image, recipe, priority=priority)

    def enlarge(self, image: ImageArray, recipe: Recipe, *, priority: Priority = Priority.SETTLE) -> ImageArray:
        """Make a picture larger by a recipe's upscalers, up to its size, a tile in each turn.

        Args:
            image: ``uint8 [H, W, 3 or 4]``.
            recipe: ``enlarge`` and ``size`` are read.
            priority: Whose turns it takes.

        Raises:
            RecipeError: One of the models is no upscaler, or the result would be too large.
            CheckpointError: One of them is not installed.
        """
        networks = chain_of(self, recipe.enlarge)
        tile = TILE if priority >= Priority.BATCH else SHORT_TILE
        return upscale_to(networks, image, recipe.size, tile=tile, turn=lambda task: self.take_turn(task, "exact", priority))

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
            recipe: ``model``, ``restyle``, ``enlarge`` (for large strokes) and ``precision`` are read.
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
            runner=lambda loaded: None if precision == "exact" else self.fastest.runner(loaded, precision),
            max_memory=max_memory,
            note=note,
            enlarge=enlarger(chain_of(self, recipe.enlarge)),
        )

        def task() -> ImageArray:
            return in_turns(
                self.worker,
                priority,
                work.steps(),
                around=lambda: full_floats(self.device, precision),
                progress=progress,
                should_stop=should_stop,
            )

        return self._fallback.attempt(models.all, task)

    def ws(self, recipe: Recipe) -> Tensor:
        """Return the style vectors of a recipe, ``[1, num_ws, w_dim]`` on the CPU (see ``latents.keep_ws``)."""
        loaded = self.generator(recipe.model)
        return self.worker.run(Priority.PREVIEW, lambda: recipe_to_ws(loaded.network, recipe, loaded.place, loaded.mean).cpu())

    def mix_grid(self, recipes: Grid, cell: int = 128, *, priority: Priority = Priority.SETTLE) -> Iterator[Frame]:
        """Draw a sheet of pictures (see ``render.mix_recipes``) cell by cell; leaving the loop cancels the rest.

        Args:
            recipes: Rows of recipes; None leaves a cell empty.
            cell: Side of a cell in pixels.
            priority: Whose turn the cells take.

        Yields:
            The sheet so far after each cell; see :func:`studio.render.draw_sheet`.

        Raises:
            RecipeError: The sheet would be empty or too large.
            StudioError: As for :meth:`preview`.
        """
        return draw_sheet(recipes, cell, functools.partial(self.preview, priority=priority))

    def way(self, loaded: Loaded, precision: str, name: str = "", *, timeout: float = 60.0) -> tuple[str, Way]:
        """Return a way to run a model that stays the same for a whole film, and its name: the named one if it is to be had.

        Otherwise it is the fastest that is ready after ``timeout`` seconds; in ``exact`` precision always the plain module.
        """
        return self.fastest.way(loaded, precision, name, timeout)

    def take_turn(self, task: Callable[[], T], precision: str, priority: Priority = Priority.BATCH) -> T:
        """Run a piece of a long work such as a film; it never goes on on another device, because its pieces must fit together.

        Raises:
            DeviceError: The device's memory is full.
        """

        def piece() -> T:
            with full_floats(self.device, precision):
                return task()

        return attempt(lambda: self.worker.run(priority, piece), CANNOT_GO_ON)

    def prepare(self, name: str, precision: str | None = None, *, timeout: float | None = None) -> str:
        """Load a model and wait until its fastest way is found, so that a series is drawn by one way throughout.

        Returns:
            The name of the way in use.
        """
        runner = self.fastest.runner(self.load(name), precision or self.precision)
        runner.settled.wait(timeout)
        return runner.name

    def status(self) -> EngineStatus:
        """Say where and how the last picture was drawn, and how long previews take."""
        model, precision, runner = self._last
        return EngineStatus(
            device=str(self.device),
            precision=precision or self.precision,
            runner=runner or "module",
            milliseconds=statistics.median(self._times) if self._times else 0.0,
            model=model,
            preparing=self.fastest.preparer.busy_with is not None,
            note=self._fallback.note or self.models.note,
        )

    def close(self) -> None:
        """End the background threads, as the end of the process does; the engine cannot be used afterwards."""
        self._finalizer()

    def _draw(self, loaded: Loaded, recipe: Recipe, priority: Priority, precision: str | None) -> ImageArray:
        """Draw with a generator when the turn comes, by its runner of a precision or (None) by the module itself."""

        def task() -> ImageArray:
            runner = self.fastest.runner(loaded, precision) if precision else None
            start = time.perf_counter()
            with full_floats(self.device, precision):
                image = draw(loaded.network, recipe, places=loaded.place, means=loaded.mean, synthesis=runner)
            if priority == Priority.PREVIEW:
                self.last_preview = time.monotonic()
                self._seen((loaded.name, precision or "exact", runner.name if runner else "module"), time.perf_counter() - start)
            return image

        return self._fallback.attempt([loaded], lambda: self.worker.run(priority, task))

    def _seen(self, way: tuple[str, str, str], seconds: float) -> None:
        if way != self._last:
            self._times.clear()
            self._last = way
        self._times.append(seconds * 1000)


def _end(preparer: Preparer, worker: Worker) -> None:
    """End the thread that builds before the one that it asks to time what it built."""
    preparer.close()
    worker.close()


@functools.cache
def default_engine() -> Engine:
    """Return the engine of scripts, which :func:`studio.render` and :func:`studio.restyle` use."""
    return Engine(compilers=False)
