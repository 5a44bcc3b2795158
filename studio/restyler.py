"""Restyling in turns: the strips of a picture, the models of a mixture or a chain, one turn of the worker after another.

Between two turns a preview may be drawn and somebody may cancel. This is *not* how a network runs over a picture
(``studio.restyle``) nor whose turn it is (``worker.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from studio.errors import RecipeError
from studio.media import ImageArray
from studio.model_cache import Loaded, ModelCache
from studio.recipe import Recipe, Restyle
from studio.restyle.controls import finish, mix
from studio.restyle.picture import CancelledError, translate
from studio.worker import Priority, Worker

T = TypeVar("T")
Steps = Generator[float, None, T]
Progress = Callable[[float], None]
Stop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Cast:
    """The models of one restyling: those that are mixed, with their shares, and those that follow."""

    mixed: tuple[tuple[Loaded, float], ...]
    then: tuple[Loaded, ...]

    @property
    def all(self) -> list[Loaded]:
        """List them in the order in which they run."""
        return [*(loaded for loaded, _ in self.mixed), *self.then]


def cast(models: ModelCache, recipe: Recipe) -> Cast:
    """Load the models that a recipe names.

    Raises:
        RecipeError: One of them is no translator, or the recipe names none.
        CheckpointError: One of them is not installed.
    """
    options = recipe.restyle or Restyle()
    shares = [(entry.model, entry.share) for entry in options.mix if entry.share > 0]
    taken = sum(share for _, share in shares)
    mixed = [(models.find(recipe.model), max(0.0, 1 - taken)), *((models.find(ref), share) for ref, share in shares)]
    found = Cast(tuple(entry for entry in mixed if entry[1] > 0), tuple(models.find(ref) for ref in options.then))
    for loaded in found.all:
        if not loaded.is_translator:
            raise RecipeError(f"{loaded.name} makes pictures from seeds and cannot restyle photos. Choose a translator.")
    return found


@dataclass(frozen=True, slots=True)
class Work:
    """One picture to restyle. ``runner`` gives a model's fastest way, or None for its module."""

    cast: Cast
    options: Restyle
    image: ImageArray
    alpha: ImageArray | None
    runner: Callable[[Loaded], Any]
    max_memory: int | None = None
    note: Callable[[str], None] | None = None

    def steps(self) -> Steps[ImageArray]:
        """Do the work; every step is one turn. Yields the share that is done, returns the finished picture."""
        if self.options.strength <= 0:
            return finish(self.image, self.alpha, self.image, self.options)
        count, results = len(self.cast.all), list[tuple[ImageArray, float]]()
        for done, (loaded, share) in enumerate(self.cast.mixed):
            results.append(((yield from self._one(loaded, self.image, done, count)), share))
        result = mix(results)
        for done, loaded in enumerate(self.cast.then, len(results)):
            result = yield from self._one(loaded, result, done, count)
        return finish(self.image, self.alpha, result, self.options)

    def _one(self, loaded: Loaded, image: ImageArray, done: int, count: int) -> Steps[ImageArray]:
        """Translate a picture with one model."""
        loaded.network.norm_mode = self.options.norm_mode
        runner = self.runner(loaded)
        steps = translate(
            loaded.network, image, alpha=self.alpha, options=self.options, max_memory=self.max_memory, forward=runner, note=self.note
        )
        while True:
            try:
                share = next(steps)
            except StopIteration as end:
                result: ImageArray = end.value
                return result
            yield (done + share) / count


def in_turns(
    worker: Worker,
    priority: Priority,
    steps: Steps[T],
    *,
    around: Callable[[], AbstractContextManager[Any]],
    progress: Progress | None = None,
    should_stop: Stop | None = None,
) -> T:
    """Take each step of some work as a turn of its own and return the result.

    Args:
        worker: Whose thread does it.
        priority: Whose turn comes first.
        steps: The work.
        around: What holds during a step (how the device computes).
        progress: Told the share that is done after each step.
        should_stop: Asked before each step.

    Raises:
        CancelledError: ``should_stop`` said so.
    """
    ended = list[T]()

    def step() -> float:
        with around():
            try:
                return next(steps)
            except StopIteration as end:
                ended.append(end.value)
                return 1.0

    while not ended:
        if should_stop is not None and should_stop():
            worker.run(Priority.PREVIEW, steps.close)
            raise CancelledError("Cancelled.")
        share = worker.run(priority, step)
        if progress is not None:
            progress(share)
    return ended[0]
