"""Restyling in turns: the strips of a picture, the models of a mixture or a chain, one turn of the worker after another.

Between two turns a preview may be drawn and somebody may cancel. This is *not* how a network runs over a picture
(``studio.restyle``) nor whose turn it is (``worker.py``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from studio.errors import MediaError, RecipeError
from studio.media import ImageArray, read_image
from studio.model_cache import Loaded, ModelCache
from studio.models.common import Upscaler
from studio.recipe import Recipe, Restyle, StyleShare, StyleWeight
from studio.restyle.controls import finish, mix
from studio.restyle.masks import pack_mask
from studio.restyle.picture import CancelledError, Enlarge, translate
from studio.worker import Priority, Worker

if TYPE_CHECKING:
    from studio.engine import Engine

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
        if isinstance(loaded.network, Upscaler):
            raise RecipeError(f"{loaded.name} enlarges pictures and cannot restyle photos. Choose a translator.")
    books = [loaded for loaded in found.all if hasattr(loaded.network, "style_weights")]
    if options.styles and not books:
        raise RecipeError(f"{found.all[0].name} has one style of its own. Choose a book of painting styles, or leave the styles out.")
    for book in books if options.styles else ():
        style_weights(options.styles, book.card.classes)
    return found


def choose_styles(loaded: Loaded, options: Restyle) -> None:
    """Tell a book of painting styles which ones to paint in; any other model is left alone.

    Raises:
        RecipeError: The book has no such style, or all weights are zero.
    """
    if not hasattr(loaded.network, "style_weights"):
        return
    loaded.network.style_weights = style_weights(options.styles, loaded.card.classes) if options.styles else None


def style_weights(styles: Sequence[StyleWeight], names: Sequence[str]) -> Tensor:
    """Return the weights of a book's styles, ``[len(names)]``, in sum 1.

    Raises:
        RecipeError: One of them is not in the book, or all weights are zero.
    """
    weights = torch.zeros(len(names))
    for style in styles:
        if style.name not in names:
            raise RecipeError(f"The style {style.name!r} is not in this book. It has: {', '.join(names)}.")
        weights[list(names).index(style.name)] += style.weight
    if not weights.any():
        raise RecipeError("The weights of all styles are 0, so nothing would be painted. Give at least one of them some.")
    return weights / weights.sum()


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
    enlarge: Enlarge | None = None
    """What makes painted pictures with large strokes as large as the photo; None: smoothly."""

    def steps(self) -> Steps[ImageArray]:
        """Do the work; every step is one turn. Yields the share that is done, returns the finished picture."""
        if self.options.strength <= 0:
            return finish(self.image, self.alpha, self.image, self.options)
        result = yield from self.translation()
        return finish(self.image, self.alpha, result, self.options)

    def translation(self) -> Steps[ImageArray]:
        """Do the networks' part of the work and return its result, ``[H, W, 3]``, which is not blended with the picture yet."""
        count, results = len(self.cast.all), list[tuple[ImageArray, float]]()
        for done, (loaded, share) in enumerate(self.cast.mixed):
            results.append(((yield from self._one(loaded, self.image, done, count)), share))
        result = mix(results)
        for done, loaded in enumerate(self.cast.then, len(results)):
            result = yield from self._one(loaded, result, done, count)
        return result

    def _one(self, loaded: Loaded, image: ImageArray, done: int, count: int) -> Steps[ImageArray]:
        """Translate a picture with one model."""
        loaded.network.norm_mode = self.options.norm_mode
        choose_styles(loaded, self.options)
        runner = self.runner(loaded)
        steps = translate(
            loaded.network,
            image,
            alpha=self.alpha,
            options=self.options,
            max_memory=self.max_memory,
            forward=runner,
            note=self.note,
            enlarge=self.enlarge,
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


def restyle(
    model: str | os.PathLike[str] | Recipe,
    image: ImageArray | str | os.PathLike[str],
    alpha: ImageArray | None = None,
    *,
    mix: Mapping[str, float] | None = None,
    then: Sequence[str] = (),
    mask: ImageArray | None = None,
    precision: str = "exact",
    max_memory: int | None = None,
    progress: Progress | None = None,
    should_stop: Stop | None = None,
    note: Callable[[str], None] | None = None,
    **wishes: Any,
) -> ImageArray:
    """Redraw a picture with a translator at the picture's own size.

    For example ``studio.restyle("monet", "photo.jpg", strength=0.7, texture_scale=2, mix={"cezanne": 0.4})``.

    Args:
        model: The name of an installed translator, a model file, or a whole recipe (then only ``max_memory`` and the functions
            below count, the rest is in the recipe).
        image: ``uint8 [H, W, 3]`` RGB, ``[H, W, 4]`` with straight alpha, ``[H, W]`` grey, or a picture file.
        alpha: ``uint8 [H, W]`` opacity, which passes through.
        mix: More translators with their shares of a mixture; ``model`` has what is left of 1.
        then: Translators that are applied to the result, one after another.
        mask: ``uint8 [h, w]``, 255 where the style goes; any size of the same aspect.
        precision: ``exact`` (float32, always the same) or ``auto`` (the fast mode).
        max_memory: Most memory to use, in bytes; None: what is free.
        progress: Told the share that is done, 0 to 1.
        should_stop: Asked between strips whether to stop.
        note: Told, in a sentence, what was done otherwise than asked.
        **wishes: Entries of :class:`studio.recipe.Restyle`, such as ``strength``, ``texture_scale`` and ``keep_colors``.

    Returns:
        ``uint8 [H, W, 3]``, or ``[H, W, 4]`` for a picture with transparency.

    Raises:
        StudioError: The model is not installed or is no translator, a value is out of range, the file is no single picture, or
            the picture is too large for the memory.
        CancelledError: ``should_stop`` said so.
    """
    from studio.engine import default_engine

    engine = default_engine()
    pixels, opacity = _layers(image, alpha)
    if isinstance(model, Recipe):
        recipe = model
    else:
        shares = tuple(StyleShare(_loaded(engine, name).ref, share) for name, share in (mix or {}).items())
        chain = tuple(_loaded(engine, name).ref for name in then)
        packed = {} if mask is None else {"mask": pack_mask(mask)}
        options = Restyle(**{**wishes, **packed, "mix": shares, "then": chain})
        recipe = Recipe(model=_loaded(engine, model).ref, restyle=options, precision=precision)
        recipe = Recipe.from_json(recipe.to_json())
    return engine.restyle(recipe, pixels, opacity, max_memory=max_memory, progress=progress, should_stop=should_stop, note=note)


def _loaded(engine: Engine, model: str | os.PathLike[str]) -> Loaded:
    """Load an installed model by its name, or a model file."""
    return engine.open(model) if Path(model).is_file() else engine.load(str(model))


def _layers(image: ImageArray | str | os.PathLike[str], alpha: ImageArray | None) -> tuple[ImageArray, ImageArray | None]:
    """Split a picture into colour and opacity.

    Raises:
        MediaError: It is an animation, or no picture.
    """
    if isinstance(image, (str, os.PathLike)):
        picture = read_image(image)
        if picture.n_frames > 1:
            raise MediaError(f"{picture.name} has {picture.n_frames} frames. Use the command studio restyle, which restyles every frame.")
        return picture.image, picture.alpha if alpha is None else alpha
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)) or 0 in image.shape:
        raise MediaError(f"A picture must be uint8 [height, width, 3]; this one is {image.dtype} {list(image.shape)}.")
    if image.ndim == 2 or image.shape[2] == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2), alpha
    if image.shape[2] == 4 and alpha is None:
        return np.ascontiguousarray(image[..., :3]), np.ascontiguousarray(image[..., 3])
    return np.ascontiguousarray(image[..., :3]), alpha
