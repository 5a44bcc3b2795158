"""A film that is made while it is watched: no last frame, and its levels come one moment at a time.

What moves how is told by ``plan.py`` and ``ways.py`` as for any film; only time is kept here. Fed with the levels of a film at that
film's rate, it gives that film's frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from studio.errors import RecipeError
from studio.recipe import Recipe
from studio.recipe_film import Mapping
from studio.timeline.plan import Timeline
from studio.timeline.space import Space
from studio.timeline.triggers import THRESHOLD
from studio.timeline.ways import Way


@dataclass(slots=True)
class Passage:
    """How far one place has come: the moment of its path, the speed it goes on with, and its triggers."""

    time: float = 0.0
    speed: float = 1.0
    count: int = 0
    since: float = 0.0
    """Seconds since the last trigger, that frame included."""
    glide: float = 0.0
    is_high: dict[int, bool] = field(default_factory=dict)
    """By matrix entry, whether its level was over the threshold."""


class LiveTimeline(Timeline):
    """A film without an end.

    Args:
        recipe: A recipe with a ``film``. Its length is that of the way through latent space; a loop goes on for ever.
        space: The latent space of the generator; one may serve many, so that a change of the recipe takes no time.
        passages: Where an earlier one had come, by target, when the recipe was changed while it plays; it is written to.

    Raises:
        RecipeError: As for :class:`Timeline`.
    """

    def __init__(self, recipe: Recipe, space: Space, *, passages: dict[str, Passage] | None = None) -> None:
        if recipe.film is None:
            raise RecipeError("This recipe is a picture, not a film. Give it a film first.")
        film = replace(recipe.film, fps="1")
        self._levels = tuple(np.zeros(film.count, np.float32) for _ in film.matrix)
        self._passages = {} if passages is None else passages
        super().__init__(replace(recipe, film=film), space.G, levels=self._levels, space=space)
        self._ways = [replace(way, clock=np.zeros(self.count)) for way in self._ways]

    def play(self, levels: Sequence[float], seconds: float, *, pace: float = 1.0) -> Recipe:
        """Go on and return what is to be seen as the recipe of an ordinary picture.

        Args:
            levels: One level of 0..1 per entry of the film's matrix.
            seconds: Time since the picture before; 0 for the first.
            pace: How much faster than usual the places move.

        Raises:
            RecipeError: A value does not suit the recipe.
        """
        for level, value in zip(self._levels, levels, strict=True):
            level[0] = value
        for way in self._ways:
            self._pass(way, self._passages.setdefault(way.target, Passage()), levels, seconds, pace)
        return self.still(0)

    def _pass(self, way: Way, passage: Passage, levels: Sequence[float], seconds: float, pace: float) -> None:
        passage.time += passage.speed * pace * seconds
        entries = list(enumerate(zip(self.film.matrix, levels, strict=True)))
        pushes = [entry.amount * level for _, (entry, level) in entries if entry.target == f"{way.target}.speed"]
        passage.speed = max(0.0, 1.0 + sum(pushes))
        assert way.clock is not None
        way.clock[0] = passage.time
        passage.since += seconds
        for number, (entry, level) in entries:
            if entry.mode == "trigger" and entry.target == way.target:
                self._trigger(passage, number, entry, level, seconds)
        if way.steps is not None:
            way.steps.counts[0] = passage.count
            way.steps.shares[0] = min(1.0, passage.since / passage.glide) if passage.glide > 0 else 1.0

    def _trigger(self, passage: Passage, number: int, entry: Mapping, level: float, seconds: float) -> None:
        is_high = entry.amount * level >= THRESHOLD
        if is_high and not passage.is_high.get(number, True):
            passage.count += 1
            passage.since, passage.glide = seconds, entry.glide
        passage.is_high[number] = is_high
