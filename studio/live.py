"""Playing live: what is heard now moves a recipe through the same matrix, presets and envelopes as a film.

It knows neither microphones nor pages: levels come in, ordinary recipes go out. This is *not* for films, whose frames depend on nothing
but their number (``timeline/``, ``mapping.py``); here every picture goes on from the one before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from studio.audio.live import LiveEnvelope
from studio.errors import RecipeError
from studio.flashes import FlashLimiter
from studio.latents import ClassMeans, Places
from studio.mapping import Preset, apply_preset
from studio.models.common import LatentGenerator
from studio.recipe import Recipe
from studio.recipe_film import Film
from studio.recipe_film import Mapping as Entry
from studio.recipe_paths import set_values
from studio.timeline.live import LiveTimeline, Passage
from studio.timeline.space import Space

LONGEST_STEP = 1.0
"""Seconds: a pause that is longer counts as this much."""
STEPS_LAID_OUT, SHORTEST, LONGEST = 128.0, 30.0, 600.0
"""How much of a wandering is laid out before it comes round again: steps, and seconds."""
TICKS_PER_SECOND, MOST_TICKS = 60, 30

Key = tuple[Entry, int]
Heard = Mapping[tuple[str, float], float]
"""What is heard, 0 for silence and 1 for full, by feature and by the percentile that counts as full (``Envelope.clip``)."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What a timeline was made of; another one is made when this changes."""

    recipe: Recipe
    preset: Preset
    space: Space


class Performance:
    """One recipe being played. Its time goes on from picture to picture; a change of the recipe or matrix goes on from there too."""

    def __init__(self) -> None:
        self._part: _Part | None = None
        self._timeline: LiveTimeline | None = None
        self._space: Space | None = None
        self._passages: dict[str, Passage] = {}
        self._envelopes: dict[Key, LiveEnvelope] = {}
        self._keys: list[Key] = []
        self._moving: list[int] = []
        """Which entries of the preset the model can follow."""
        self._then: float | None = None
        self.levels: tuple[float, ...] = ()
        """The level of every entry of the preset's matrix in the last picture, 0..1."""

    def play(
        self,
        recipe: Recipe,
        preset: Preset,
        heard: Heard,
        time: float,
        *,
        G: LatentGenerator,
        places: Places | None = None,
        means: ClassMeans | None = None,
        pace: float = 1.0,
    ) -> Recipe:
        """Return the next picture as an ordinary recipe.

        Args:
            recipe: What is played, as it is in silence.
            preset: The matrix, and how the place wanders. Classes that the model does not have are left out.
            heard: What is heard now; what is missing is silence.
            time: Seconds on a clock that only goes forward; a picture that is late changes nothing.
            G: The generator.
            places: Looks up style vectors; see :func:`studio.latents.recipe_to_ws`.
            means: Looks up the mean styles of classes; see there.
            pace: How much faster than the preset says the place wanders; 0 stays.

        Raises:
            RecipeError: The matrix moves something that the recipe does not have.
        """
        seconds = 0.0 if self._then is None else min(max(time - self._then, 0.0), LONGEST_STEP)
        self._then = time if self._then is None else max(self._then, time)
        if self._space is None or self._space.G is not G:
            self._space = Space(G, places, means)
        timeline = self._made(recipe, preset, self._space)
        self.levels = tuple(self._level(key, heard, seconds) for key in self._keys)
        return timeline.play([self.levels[number] for number in self._moving], seconds, pace=pace)

    def _level(self, key: Key, heard: Heard, seconds: float) -> float:
        entry = key[0]
        return self._envelopes[key].take(heard.get((entry.feature, entry.envelope.clip), 0.0), seconds)

    def _made(self, recipe: Recipe, preset: Preset, space: Space) -> LiveTimeline:
        part = _Part(recipe, preset, space)
        if self._timeline is None or part != self._part:
            seconds = min(LONGEST, max(SHORTEST, STEPS_LAID_OUT / max(preset.speed, 0.01)))
            film = apply_preset(replace(recipe, film=Film(seconds=float(round(seconds)), loop=True)), preset, space.G.c_dim)
            self._timeline = LiveTimeline(film, space, passages=self._passages)
            self._part, self._keys = part, _keys(preset.matrix)
            used = set(_keys(self._timeline.film.matrix))
            self._moving = [number for number, key in enumerate(self._keys) if key in used]
            self._envelopes = {key: self._envelopes.get(key) or LiveEnvelope(key[0].envelope) for key in self._keys}
        return self._timeline


def _keys(matrix: tuple[Entry, ...]) -> list[Key]:
    """Name every entry so that its envelope is found again when its amount changes: itself without it, and which of several such."""
    seen: Counter[Entry] = Counter()
    found: list[Key] = []
    for entry in matrix:
        plain = replace(entry, amount=0.0)
        found.append((plain, seen[plain]))
        seen[plain] += 1
    return found


def scaled(preset: Preset, amount: float) -> Preset:
    """Return a preset that moves everything ``amount`` times as much."""
    entries = tuple(replace(entry, amount=min(max(entry.amount * amount, -2.0), 2.0)) for entry in preset.matrix)
    return replace(preset, matrix=entries)


def with_values(recipe: Recipe, values: Mapping[str, float]) -> Recipe:
    """Return a recipe with numbers that came from outside, each kept within its bounds; those that it does not have are left out."""
    for path, value in values.items():
        try:
            recipe = set_values(recipe, {path: value})
        except RecipeError:
            continue
    return recipe


class LiveFlashes:
    """The flash limiter for pictures that come when they come: each counts for as long as it was on the screen."""

    def __init__(self) -> None:
        self._limiter: FlashLimiter | None = None
        self._shape: tuple[int, ...] = ()
        self._then = 0.0

    def take(self, image: Any, time: float) -> Any:
        """Return the picture ``uint8 [H, W, 3]`` that may be shown; ``time`` in seconds. Up to 60 a second are counted rightly."""
        if self._limiter is None or image.shape != self._shape:
            self._limiter, self._shape, self._then = FlashLimiter(TICKS_PER_SECOND), image.shape, time
            self._last = image
        ticks = round((time - self._then) * TICKS_PER_SECOND)
        for _ in range(min(max(ticks - 1, 0), MOST_TICKS)):
            self._limiter.take(self._last)
        self._then = max(self._then, time)
        self._last = self._limiter.take(image)
        return self._last
