"""A film made ready: ask for any frame as an ordinary recipe, or for many as style vectors.

Everything that needs the whole film (splines, distances, what sound adds up to) is worked out once; then every frame is a pure
function of its number. Nothing is drawn here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor

from studio.errors import RecipeError
from studio.latents import ClassMeans, Places, keep_ws, recipe_to_ws
from studio.models.common import LatentGenerator
from studio.recipe import Latent, Recipe
from studio.recipe_film import Film, Mapping
from studio.recipe_paths import get_latent, get_value, set_latent, set_values
from studio.timeline.lanes import Track, make_track, value_at
from studio.timeline.paths import Distance
from studio.timeline.space import Space
from studio.timeline.triggers import Levels, Steps, make_steps
from studio.timeline.ways import Way, make_ways


@dataclass(frozen=True, slots=True)
class FrameStyles:
    """Several frames: ``ws [n, num_ws, w_dim]`` ready for synthesis, and each frame's recipe (noise, transform, view ...).

    The latents of these recipes are only stand-ins where a place moves; :meth:`Timeline.still` gives whole ones.
    """

    ws: Tensor
    recipes: tuple[Recipe, ...]


@dataclass(frozen=True, slots=True)
class _Number:
    """A number that moves: its keyframes, if any, and what sound does to it."""

    track: Track | None
    values: tuple[float, ...]
    steps: Steps | None
    entries: tuple[tuple[Mapping, Levels], ...]

    def at(self, index: int, time: float, usual: float) -> float:
        value = usual
        if self.track is not None:
            steps = self.steps
            spot = self.track.at(time) if steps is None else self.track.stepped(int(steps.counts[index]), float(steps.shares[index]))
            value = value_at(self.values, spot)
        for entry, level in self.entries:
            heard = entry.amount * float(level[index])
            value = value * (1 + heard) if entry.mode == "multiply" else value + heard
        return value


class Timeline:
    """A film of a recipe, ready to be asked for frames.

    Args:
        recipe: A recipe with a ``film``.
        G: The generator. It is needed as soon as a place in latent space moves otherwise than along the seed plane.
        levels: What is heard: one array ``[count]`` of 0..1 per entry of ``film.matrix`` (see ``studio.mapping.levels``);
            empty is silence.
        places: Looks up style vectors; see :func:`studio.latents.recipe_to_ws`.
        means: Looks up the mean styles of classes; see there.
        space: The latent space of ``G``, if it is at hand: what was found out about it is then not looked for again.
        distance: How different two styles ``[1, num_ws, w_dim]`` look, for lanes of constant speed; by default their distance in W.

    Raises:
        RecipeError: The recipe is no film, or moves something that it does not have.
    """

    def __init__(
        self,
        recipe: Recipe,
        G: LatentGenerator | None = None,
        *,
        levels: Sequence[Levels] = (),
        places: Places | None = None,
        means: ClassMeans | None = None,
        space: Space | None = None,
        distance: Distance | None = None,
    ) -> None:
        if recipe.film is None:
            raise RecipeError("This recipe is a picture, not a film. Give it a film first.")
        self.film: Film = recipe.film
        self.rate: Fraction = self.film.rate
        self.count: int = self.film.count
        assert len(levels) in (0, len(self.film.matrix)), "one array of levels per entry of the matrix"
        assert all(len(level) == self.count for level in levels), "one level per frame"
        self._base = replace(recipe, film=None)
        self._space = Space(G, places, means) if space is None and G is not None else space
        self._period = float(self.count / self.rate) if self.film.loop else None
        heard = list(zip(self.film.matrix, levels, strict=True)) if levels else []
        self._ways = make_ways(self._base, self.film, heard, self._space, distance)
        for way in self._ways:
            self._base = set_latent(self._base, way.target, way.stand_in(0))
        self._numbers = {target: self._number(target, heard) for target in self._targets()}

    def time_of(self, index: int) -> Fraction:
        """Return the exact moment of a frame in seconds."""
        return self.film.time_of(index)

    def values(self, index: int) -> dict[str, float]:
        """Return every number that moves, by its path, as it is at one frame: keyframes first, then sound. Bounds are kept later."""
        index %= self.count
        return self._values(index, self._stage(index))

    def still(self, index: int) -> Recipe:
        """Return one frame as the recipe of an ordinary picture, which the studio draws, edits and saves like any other.

        Raises:
            RecipeError: A place moves through latent space and no generator was given, or a value does not suit it.
        """
        index %= self.count
        recipe = self._moved(index)
        for way in self._ways:
            if way.needs_space:
                latent = get_latent(recipe, way.target)
                recipe = set_latent(recipe, way.target, replace(_kept(way.ws(index, latent)), classes=way.classes(index, latent)))
        return recipe

    def styles(self, indices: Iterable[int]) -> FrameStyles:
        """Return the style vectors of several frames, equal bit for bit to those of :meth:`still`, whatever is asked for together.

        Raises:
            RecipeError: As for :meth:`still`.
        """
        frames = [self._style(index % self.count) for index in indices]
        if not frames:
            raise RecipeError("No frames were asked for. Ask for at least one.")
        return FrameStyles(torch.cat([ws for ws, _ in frames]), tuple(recipe for _, recipe in frames))

    def _style(self, index: int) -> tuple[Tensor, Recipe]:
        recipe = self._moved(index)
        space = self._found_space()
        moving: dict[int, Tensor] = {}
        for way in self._ways:
            if way.needs_space:
                latent = get_latent(recipe, way.target)
                ws = way.ws(index, latent)
                marker = replace(latent, classes=way.classes(index, latent))
                recipe = set_latent(recipe, way.target, marker)
                moving[id(marker)] = ws

        def find(latent: Latent) -> Tensor:
            ws = moving.get(id(latent))
            return space.find(latent) if ws is None else ws

        return recipe_to_ws(space.G, recipe, find, space.mean), recipe

    def _moved(self, index: int) -> Recipe:
        """Return the recipe of a frame with all its numbers, places still to be filled in."""
        stage = self._stage(index)
        return set_values(stage, self._values(index, stage))

    def _stage(self, index: int) -> Recipe:
        recipe = self._base
        for way in self._ways:
            recipe = set_latent(recipe, way.target, way.stand_in(index))
        return recipe

    def _values(self, index: int, stage: Recipe) -> dict[str, float]:
        time = float(self.film.time_of(index))
        return {target: number.at(index, time, get_value(stage, target)) for target, number in self._numbers.items()}

    def _targets(self) -> list[str]:
        """List the paths of the numbers that move, each once; a lane without keyframes moves nothing."""
        places = {way.target for way in self._ways}
        lanes = [lane.target for lane in self.film.lanes if lane.keys]
        heard = [entry.target for entry in self.film.matrix if not _is_about_places(entry, places)]
        targets = list(dict.fromkeys([*lanes, *heard]))
        for target in targets:
            get_value(self._base, target)
        return targets

    def _number(self, target: str, heard: Sequence[tuple[Mapping, Levels]]) -> _Number:
        mine = [(entry, level) for entry, level in heard if entry.target == target]
        triggers = [pair for pair in mine if pair[0].mode == "trigger"]
        entries = tuple(pair for pair in mine if pair[0].mode in ("add", "multiply"))
        keys = next((lane.keys for lane in reversed(self.film.lanes) if lane.target == target and lane.keys), ())
        if not keys:
            return _Number(None, (), None, entries)
        track, order = make_track(keys, self._period)
        return _Number(track, tuple(keys[number].value for number in order), make_steps(triggers, self.count, self.rate), entries)

    def _found_space(self) -> Space:
        if self._space is None:
            raise RecipeError("This film moves through a model's latent space. Give the model to make its frames.")
        return self._space


def _is_about_places(entry: Mapping, places: set[str]) -> bool:
    return entry.target in places or (entry.target.rpartition(".")[0] in places and entry.target.rpartition(".")[2] in Way.PARTS)


def _kept(ws: Tensor) -> Latent:
    """Keep style vectors in a latent, once when all layers have the same."""
    return keep_ws(ws[0, 0] if bool((ws == ws[:, :1]).all()) else ws)


def frame_recipe(G: LatentGenerator, recipe: Recipe, index: int, levels: Sequence[Levels] = ()) -> Recipe:
    """Return one frame of a film as the recipe of an ordinary picture; see :class:`Timeline`."""
    return Timeline(recipe, G, levels=levels).still(index)


def frame_styles(G: LatentGenerator, recipe: Recipe, indices: Iterable[int], levels: Sequence[Levels] = ()) -> FrameStyles:
    """Return the style vectors of several frames of a film; see :class:`Timeline`."""
    return Timeline(recipe, G, levels=levels).styles(indices)
