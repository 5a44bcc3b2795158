"""The frames of a film through the networks, one by one: every frame is a function of the film, the recipe and its number alone.

What is drawn here is the bare translation; steadying and blending with the original come later and take little time
(:meth:`FilmDrawing.finished`). This is *not* where frames are kept or encoded (``export.py``).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, TypeVar

import torch

from studio._version import __version__
from studio.accel import choose
from studio.engine import Engine, default_engine
from studio.errors import DeviceError
from studio.film_restyle.clip import Clip, split
from studio.media import FilmFrame, ImageArray, hash_bytes
from studio.model_cache import Loaded
from studio.recipe import Recipe, Restyle
from studio.render import Frame
from studio.restyle.controls import finish, network_part
from studio.restyle.films import hold
from studio.restyle.steadying import Pair, steady
from studio.restyler import Cast, Work, cast, choose_styles
from studio.runners import Way
from studio.upscaling import chain_of, enlarger
from studio.worker import Priority

T = TypeVar("T")
Steps = Generator[float, None, T]
Taking = Callable[[int], ImageArray]
"""Gives the translation of a frame by its number."""

MOST_SAMPLES = 6
SAMPLE_EVERY = 10
"""Statistics of a shot come from one frame in so many, from two at least and six at most."""


class FilmDrawing:
    """A film made ready to be drawn; the clip must have been looked through.

    Args:
        recipe: ``model``, ``restyle`` and ``precision`` are read.
        clip: The film.
        engine: Draws; by default the one of scripts.
        max_memory: Most memory to use, in bytes.
        ways: How each model was run before, to go on in the same way.

    Raises:
        StudioError: A model is missing or is no translator.
    """

    def __init__(
        self, recipe: Recipe, clip: Clip, *, engine: Engine | None = None, max_memory: int | None = None, ways: Sequence[str] = ()
    ) -> None:
        assert clip.count, "look() first"
        self.recipe, self.clip = recipe, clip
        self.options = recipe.restyle or Restyle()
        self.engine = default_engine() if engine is None else engine
        self.engine.models.max_models = max(self.engine.models.max_models, 1 + len(self.options.mix) + len(self.options.then))
        self.models = cast(self.engine.models, recipe)
        self.notes: list[str] = []
        self._max_memory = max_memory
        self._enlarge = enlarger(chain_of(self.engine, recipe.enlarge))
        self._device = str(self.engine.device)
        names = [*ways, *[""] * len(self.models.all)]
        found = [self.engine.way(loaded, recipe.precision, name) for loaded, name in zip(self.models.all, names, strict=False)]
        self.ways = [name for name, _ in found]
        self._calls: dict[int, Way] = {id(loaded.network): way for loaded, (_, way) in zip(self.models.all, found, strict=True)}
        self._held: tuple[int, Cast, dict[int, Way]] | None = None

    def facts(self) -> dict[str, Any]:
        """Return everything that the translations depend on, for a manifest."""
        drawn = replace(network_part(self.options), flicker=float(self.options.flicker > 0), source_name="")
        return {
            "schema": 2,
            "studio": __version__,
            "torch": torch.__version__,
            "source": self.clip.sha256,
            "recipe": hash_bytes(replace(self.recipe, restyle=drawn, studio="", film=None, size=None).to_json().encode()),
            "models": [loaded.ref.sha256 or loaded.ref.name for loaded in self.models.all],
            "ways": self.ways,
            "shots": self.clip.cuts,
            "memory": self._max_memory,
            "device": f"{self._device} {torch.backends.cpu.get_cpu_capability()}",
            "threads": torch.get_num_threads(),
        }

    def translations(self, wanted: Container[int], priority: Priority = Priority.BATCH) -> Iterator[tuple[int, ImageArray]]:
        """Draw the wanted frames in order, ``[H, W, 3]`` each, with its number; leaving the loop ends the work.

        Raises:
            DeviceError: The memory of the device is full, or the engine went to another device meanwhile.
        """
        with closing(self.clip.frames()) as frames:  # type: ignore[type-var]
            for frame in frames:
                if frame.index in wanted:
                    yield frame.index, self._translation(frame, priority)

    def plain(self, frame: FilmFrame, priority: Priority = Priority.BATCH) -> ImageArray:
        """Restyle a frame as if it were a photo, finished: what it would be without any care for the others."""
        image, alpha = split(frame.image)
        return finish(image, None, self._draw(self.models, self.options, self._calls, (image, alpha), priority), self.options)

    def finished(self, translation: Taking) -> Iterator[tuple[FilmFrame, ImageArray]]:
        """Finish the film: translations steadied and blended with the original as wanted.

        Yields:
            Each frame of the original, and what became of it, ``[H, W, 3 or 4]``.
        """
        waiting: deque[FilmFrame] = deque()

        def pairs() -> Iterator[Pair]:
            starts = set(self.clip.cuts)
            for frame in self.clip.frames():
                waiting.append(frame)
                yield Pair(split(frame.image)[0], translation(frame.index), frame.index in starts)

        for steadied in steady(pairs(), self.options.flicker):
            frame = waiting.popleft()
            image, alpha = split(frame.image)
            yield frame, finish(image, alpha, steadied, self.options)

    def _translation(self, frame: FilmFrame, priority: Priority) -> ImageArray:
        parts = split(frame.image)
        if self.options.strength <= 0:
            return parts[0]
        if self.options.flicker <= 0:
            return self._draw(self.models, self.options, self._calls, parts, priority)
        models, calls = self._hold(frame.index, priority)
        return self._draw(models, replace(self.options, norm_mode="eval"), calls, parts, priority)

    def _draw(
        self, models: Cast, options: Restyle, calls: dict[int, Way], parts: tuple[ImageArray, ImageArray | None], priority: Priority
    ) -> ImageArray:
        image, alpha = parts
        work = Work(
            models, options, image, alpha, lambda loaded: calls[id(loaded.network)], self._max_memory, self._note, enlarge=self._enlarge
        )
        return self._in_turns(work.translation(), priority)

    def _hold(self, index: int, priority: Priority) -> tuple[Cast, dict[int, Way]]:
        """Return the networks with the statistics of the shot that a frame is in."""
        first, end = self.clip.shot_of(index)
        if self._held is None or self._held[0] != first:
            self._held = None
            count = min(end - first, MOST_SAMPLES, max(2, -(-(end - first) // SAMPLE_EVERY)))
            samples = [self.clip.frame(first + int((end - first) * (k + 0.5) / count)) for k in range(count)]
            self._held = (first, *self._in_turns(self._holding(samples), priority))
        return self._held[1:]

    def _holding(self, samples: list[ImageArray]) -> Steps[tuple[Cast, dict[int, Way]]]:
        """Hold all networks, each with what it will be given: those of a chain with the results of those before."""
        ways, calls = iter(self.ways), dict[int, Way]()
        steady_options = replace(self.options, norm_mode="eval")

        def held(loaded: Loaded, frames: list[ImageArray]) -> Steps[Loaded]:
            loaded.network.norm_mode = self.options.norm_mode
            choose_styles(loaded, self.options)
            scale, forward = self.options.texture_scale, self._calls[id(loaded.network)]
            net = yield from hold(loaded.network, frames, forward=forward, texture_scale=scale, max_memory=self._max_memory)
            calls[id(net)] = self._way(net, next(ways))
            return Loaded(loaded.name, net, loaded.card)

        mixed = []
        for loaded, share in self.models.mixed:
            mixed.append(((yield from held(loaded, samples)), share))
        so_far = Cast(tuple(mixed), ())
        for loaded in self.models.then:
            given = []
            for sample in samples:
                work = Work(so_far, steady_options, sample, None, lambda one: calls[id(one.network)], self._max_memory)
                given.append((yield from work.translation()))
            so_far = Cast(so_far.mixed, (*so_far.then, (yield from held(loaded, given))))
        return so_far, calls

    def _way(self, net: Any, name: str) -> Way:
        """Run a network in a named way."""
        found = [] if name == "module" else choose.fast_paths(net, self.recipe.precision, self.engine.device)
        wanted = next((candidate for candidate in found if candidate.name == name), None)
        return choose.reference(net) if wanted is None else wanted.build()

    def _in_turns(self, steps: Steps[T], priority: Priority) -> T:
        """Take the steps of some work in turns with whatever else the engine draws."""
        if str(self.engine.device) != self._device:
            raise DeviceError(
                f"The studio went over to {self.engine.device}, so this film cannot go on as it began. Start the studio anew."
            )
        ended = list[T]()

        def step() -> None:
            try:
                next(steps)
            except StopIteration as end:
                ended.append(end.value)

        while not ended:
            self.engine.take_turn(step, self.recipe.precision, priority)
        return ended[0]

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)


def restyle_frames(
    recipe: Recipe, path: str | os.PathLike[str], *, engine: Engine | None = None, max_memory: int | None = None
) -> Iterable[Frame]:
    """Restyle a film frame by frame; nothing is kept, and leaving the loop ends the work within a frame.

    Args:
        recipe: ``model``, ``restyle`` (with ``flicker``, ``start`` and ``end``) and ``precision`` are read.
        path: The film.
        engine: Draws; by default the one of scripts.
        max_memory: Most memory to use, in bytes.

    Yields:
        ``Frame(index, total, image)``: ``image uint8 [H, W, 3]``, or ``[H, W, 4]`` for a film with transparency.

    Raises:
        StudioError: The film cannot be read, or a model is missing or is no translator.
    """
    options = recipe.restyle or Restyle()
    clip = Clip(path, options.start, options.end)
    deque(clip.look(), maxlen=0)
    drawing = FilmDrawing(recipe, clip, engine=engine, max_memory=max_memory)
    source = drawing.translations(range(clip.count))
    for frame, image in drawing.finished(lambda _: next(source)[1]):
        yield Frame(frame.index, clip.count, image)
