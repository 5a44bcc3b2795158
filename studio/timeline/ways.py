"""One moving place of a recipe: its lane of keyframes, and everything that sound does to it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from studio.errors import RecipeError
from studio.recipe import Latent, Recipe
from studio.recipe_film import Film, LatentKey, LatentLane, Mapping
from studio.recipe_paths import get_latent
from studio.timeline.lanes import Spot, Track, make_track
from studio.timeline.paths import Distance, KeyedPath, Path, make_path
from studio.timeline.space import Classes, Space, mix_classes, pull_classes
from studio.timeline.triggers import Levels, Steps, make_clock, make_steps

REMEMBERED_PATHS = 4
"""Paths kept for different class weights; when sound moves the classes every frame has its own."""

Heard = Sequence[tuple[Mapping, Levels]]


@dataclass(frozen=True, eq=False)
class Way:
    """Where one latent of the recipe is at every frame. Made by :func:`make_ways`."""

    PARTS: ClassVar[tuple[str, ...]] = ("pulse", "speed")
    """What sound may do to a way besides pulling and stepping: ``latent.pulse``, ``latent.speed``."""

    target: str
    lane: LatentLane
    latents: tuple[Latent, ...]
    track: Track
    film: Film
    space: Space | None
    distance: Distance | None
    pulses: tuple[tuple[Mapping, Levels], ...]
    pulls: tuple[tuple[tuple[Mapping, Levels], ...], ...]
    clock: npt.NDArray[np.float64] | None
    steps: Steps | None
    has_classes: bool
    """Keyframes or sound move the class weights of this latent themselves."""

    @property
    def needs_space(self) -> bool:
        """Say whether only the generator knows where this is; a place on the seed plane is known without."""
        return bool(self.lane.path != "plane" or self.pulses or self.pulls)

    @property
    def period(self) -> float | None:
        """Length of the loop in seconds, or None."""
        return float(self.film.count / self.film.rate) if self.film.loop else None

    def time(self, index: int) -> float:
        """Return the moment of the path that a frame shows."""
        return float(self.film.time_of(index)) if self.clock is None else float(self.clock[index])

    def spot(self, index: int) -> Spot:
        """Return between which keyframes a frame lies."""
        if self.steps is not None:
            return self.track.stepped(int(self.steps.counts[index]), float(self.steps.shares[index]))
        return self.track.at(self.time(index))

    def stand_in(self, index: int) -> Latent:
        """Return the place on the seed plane between the two keyframes, with their class weights mixed."""
        spot = self.spot(index)
        first, second = self.latents[spot.left], self.latents[spot.right]
        classes = mix_classes(first.classes, second.classes, spot.u, 0 if self.space is None else self.space.G.c_dim)
        if self.lane.path != "plane":
            return Latent(first.x, first.y, classes=classes)
        return Latent(first.x + (second.x - first.x) * spot.u, first.y + (second.y - first.y) * spot.u, classes=classes)

    def ws(self, index: int, latent: Latent) -> Tensor:
        """Return the style vectors of a frame before truncation, ``[1, num_ws, w_dim]``.

        Args:
            index: 0 .. count - 1.
            latent: The stand-in with everything that numbers changed in it: its classes (and on the plane its place) count.

        Raises:
            RecipeError: No generator was given.
        """
        space = self.space
        if space is None:
            raise RecipeError("This film moves through a model's latent space. Give the model to make its frames.")
        pulse = sum(entry.amount * float(level[index]) for entry, level in self.pulses)
        if self.lane.path == "plane":
            ws = KeyedPath(space, [latent], Track((0.0,), ("linear",), None), "linear").at(0.0, pulse)
        else:
            path = self._path(space, latent.classes if self.has_classes else None)
            is_stepped = self.steps is not None and isinstance(path, KeyedPath)
            ws = path.at_spot(self.spot(index), pulse) if is_stepped and isinstance(path, KeyedPath) else path.at(self.time(index), pulse)
        for stage in self.pulls:
            start = ws
            for place, share in self._shares(stage, index):
                ws = ws + share * (space.find(place) - start)
        return ws

    def classes(self, index: int, latent: Latent) -> Classes:
        """Return the class weights of a frame, pulled as its style vectors are; ``latent`` as for :meth:`ws`."""
        classes, space = latent.classes, self.space
        for stage in self.pulls if space is not None else ():
            pulls = [(place.classes, share) for place, share in self._shares(stage, index)]
            classes = pull_classes(classes, pulls, 0 if space is None else space.G.c_dim)
        return classes

    def _shares(self, stage: Heard, index: int) -> list[tuple[Latent, float]]:
        """Give the places that a frame is pulled towards at once: shares that sum to more than one are scaled down to one."""
        pulls = [(entry.latent, entry.amount * float(level[index])) for entry, level in stage]
        total = sum(abs(share) for _, share in pulls)
        scale = 1 / total if total > 1 else 1.0
        return [(place, share * scale) for place, share in pulls if share and place is not None]

    def _path(self, space: Space, classes: Classes | None) -> Path:
        path = self._paths.get(classes)
        if path is None:
            latents = self.latents if classes is None else tuple(replace(latent, classes=classes) for latent in self.latents)
            path = make_path(
                space,
                latents,
                self.track,
                lane=replace(self.lane, constant_speed=self.lane.constant_speed and self.steps is None),
                length=self._length,
                period=self.period,
                distance=self.distance,
                is_fleeting=classes is not None,
            )
            self._paths[classes] = path
            if len(self._paths) > REMEMBERED_PATHS:
                self._paths.popitem(last=False)
        return path

    @cached_property
    def _paths(self) -> OrderedDict[Classes | None, Path]:
        return OrderedDict()

    @property
    def _length(self) -> float:
        length = float(self.film.count / self.film.rate)
        return length if self.clock is None else max(length, float(self.clock[-1]))


def make_ways(recipe: Recipe, film: Film, heard: Heard, space: Space | None, distance: Distance | None) -> list[Way]:
    """Collect the places of a recipe that move: those with a lane, and those that only sound moves.

    Raises:
        RecipeError: The recipe has no such place, or sound pulls towards nothing.
    """
    lanes = {lane.target: lane for lane in film.latents}
    for entry in film.matrix:
        target = _place_of(entry)
        if target is not None and target not in lanes:
            lanes[target] = LatentLane(target, path="linear")
    return [_make_way(recipe, film, lane, heard, space, distance) for lane in lanes.values()]


def _make_way(recipe: Recipe, film: Film, lane: LatentLane, heard: Heard, space: Space | None, distance: Distance | None) -> Way:
    own = get_latent(recipe, lane.target)
    keys = lane.keys or (LatentKey(0.0, own),)
    mine = [(entry, level) for entry, level in heard if _place_of(entry) == lane.target]
    triggers = [pair for pair in mine if pair[0].mode == "trigger"]
    period = float(film.count / film.rate) if film.loop else None
    track, order = make_track(keys, period)
    if triggers and period is None and len(track.times) > 1:
        span = track.times[-1] - track.times[0]
        track = replace(track, period=span + span / (len(track.times) - 1))
    is_endless = not film.loop and lane.path in ("circle", "noise", "walk")
    speeds = [pair for pair in mine if pair[0].target == f"{lane.target}.speed"]
    numbers = {*(number.target for number in film.lanes if number.keys), *(entry.target for entry in film.matrix)}
    return Way(
        target=lane.target,
        lane=lane,
        latents=tuple(keys[number].latent for number in order),
        track=track,
        film=film,
        space=space,
        distance=distance,
        pulses=tuple(pair for pair in mine if pair[0].target == f"{lane.target}.pulse"),
        pulls=tuple(_stages([pair for pair in mine if pair[0].mode == "toward"])),
        clock=make_clock(speeds, film.count, film.rate, keeps_length=not is_endless),
        steps=make_steps(triggers, film.count, film.rate),
        has_classes=any(target.startswith(f"{lane.target}.classes.") for target in numbers),
    )


def _place_of(entry: Mapping) -> str | None:
    """Return the path of the latent that a matrix entry acts on as a whole; None when it moves a number."""
    target, _, part = entry.target.rpartition(".")
    if part in Way.PARTS and target:
        return target
    if entry.mode == "toward":
        if entry.latent is None:
            raise RecipeError(f"{entry.feature} pulls {entry.target} towards no place. Choose a place for it to go to.")
        return entry.target
    is_place = entry.target.rpartition(".")[2] in ("latent", "center")
    return entry.target if entry.mode == "trigger" and is_place else None


def _stages(pulls: Sequence[tuple[Mapping, Levels]]) -> Iterator[tuple[tuple[Mapping, Levels], ...]]:
    """Group pulls that follow each other and listen to one family of features (chroma.0, chroma.1 ...): they share one pull."""
    stage: list[tuple[Mapping, Levels]] = []
    for entry, level in pulls:
        if stage and entry.feature.partition(".")[0] != stage[0][0].feature.partition(".")[0]:
            yield tuple(stage)
            stage = []
        stage.append((entry, level))
    if stage:
        yield tuple(stage)
