"""Ways through latent space: through keyframes (linear, slerp, spline), in a circle, or wandering off.

A path answers one question: the style vectors at a moment. ``pulse`` is how much is added to every coordinate of z just then (for
places that have no z, along the way in W that this takes on average).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from studio.latents import lerp, slerp
from studio.recipe import Latent
from studio.recipe_film import LatentLane
from studio.timeline.lanes import Spot, Track
from studio.timeline.space import Space, mix_classes
from studio.timeline.wander import NoiseLoop, Walk, turn_back

Distance = Callable[[Tensor, Tensor], float]

SAMPLES_PER_KEY = 64
FEWEST_SAMPLES, MOST_SAMPLES = 256, 4096


class Path(Protocol):
    """The style vectors ``[1, num_ws, w_dim]`` at a moment in seconds."""

    def at(self, time: float, pulse: float) -> Tensor:
        """Return where the path is at a moment."""


class KeyedPath:
    """A way through keyframes.

    ``linear`` in W; ``slerp`` in Z where both ends are whole seeds (else the arc in W about the average); ``spline`` in W, twice
    continuously differentiable, closed in a loop, natural at open ends.

    Args:
        space: The latent space.
        latents: The keyframes in order.
        track: Their times.
        kind: ``linear``, ``slerp`` or ``spline``.
        is_fleeting: The path is for one frame only, whose class weights are its own.

    Reference:
        de Boor 1978, "A Practical Guide to Splines", chapter IV; White 2016, "Sampling Generative Networks", section 2.1.
    """

    def __init__(self, space: Space, latents: Sequence[Latent], track: Track, kind: str, *, is_fleeting: bool = False) -> None:
        self._space, self._latents, self._track, self._kind = space, latents, track, kind
        self._places = space.find_all(latents) if is_fleeting else [space.find(latent) for latent in latents]
        is_spline = kind == "spline" and len(latents) > (2 if track.period is None else 1)
        self._curve = _second_derivatives(torch.cat(self._places), track) if is_spline else None

    def at(self, time: float, pulse: float = 0.0) -> Tensor:
        """Return where the path is at a moment."""
        return self.at_spot(self._track.at(time), pulse)

    def at_spot(self, spot: Spot, pulse: float = 0.0) -> Tensor:
        """Return where the path is between two keyframes."""
        if spot.u in (0.0, 1.0):
            return self._at_key(spot.left if spot.u == 0 else spot.right, pulse)
        if self._kind == "slerp":
            return self._on_arc(spot, pulse)
        first, second = self._places[spot.left], self._places[spot.right]
        ws = lerp(first, second, spot.u)
        if self._curve is not None:
            width = self._track.knots[spot.left + 1] - self._track.knots[spot.left]
            a, b = 1 - spot.u, spot.u
            bend = (a**3 - a) * self._curve[spot.left] + (b**3 - b) * self._curve[spot.right]
            ws = ws + (bend * (width**2 / 6)).to(ws)
        return pushed(self._space, ws, pulse)

    def _at_key(self, number: int, pulse: float) -> Tensor:
        latent = self._latents[number]
        z = self._space.noise_behind(latent) if pulse and len(self._latents) == 1 else None
        return pushed(self._space, self._places[number], pulse) if z is None else self._space.map(z + pulse, latent.classes)

    def _on_arc(self, spot: Spot, pulse: float) -> Tensor:
        first, second = self._latents[spot.left], self._latents[spot.right]
        a, b = self._space.noise_behind(first), self._space.noise_behind(second)
        if a is not None and b is not None:
            classes = mix_classes(first.classes, second.classes, spot.u, self._space.G.c_dim)
            return self._space.map(slerp(a, b, spot.u) + pulse, classes)
        center = self._space.center
        arc = slerp(self._places[spot.left] - center, self._places[spot.right] - center, spot.u)
        return pushed(self._space, arc + center, pulse)


class CirclePath:
    """A circle in W about the first keyframe, through the second when ``amount`` is 1, in the plane of the third.

    Keyframes that are missing are drawn from the lane's seed. It goes round ``cycles`` times in a loop, else ``speed`` times a second.
    """

    def __init__(self, space: Space, latents: Sequence[Latent], lane: LatentLane, period: float | None) -> None:
        drawn = [Latent(float((lane.seed + number) % 2**32), classes=latents[0].classes) for number in range(1, 3)]
        self._center, start, side = (space.find(latent) for latent in [*latents, *drawn[len(latents) - 1 :]][:3])
        across = start - self._center
        radius = across.norm()
        unit = across / radius.clamp_min(1e-12)
        up = side - self._center
        up = up - (up * unit).sum() * unit
        self._across, self._up = lane.amount * across, lane.amount * radius * up / up.norm().clamp_min(1e-12)
        self._turns = lane.cycles / period if period is not None else lane.speed
        self._space = space

    def at(self, time: float, pulse: float = 0.0) -> Tensor:
        """Return where the circle is at a moment."""
        angle = math.tau * ((time * self._turns) % 1.0)
        ws = self._center + math.cos(angle) * self._across + math.sin(angle) * self._up
        return pushed(self._space, ws, pulse)


class WanderPath:
    """Wanders off the first keyframe: through simplex noise, or as a random walk that turns back at ``bound``.

    From a whole seed it wanders in Z, where every coordinate has variance 1; from other places in W, in standard deviations.

    Reference:
        The walk that turns back is that of Lucid Sonic Dreams, made a closed curve where the film loops.
    """

    def __init__(self, space: Space, latent: Latent, lane: LatentLane, length: float, period: float | None) -> None:
        self._space, self._latent, self._lane = space, latent, lane
        z = space.noise_behind(latent)
        self._is_z = z is not None
        start = (space.find(latent)[0] - space.center) / space.deviation if z is None else z[0]
        self._start = start.double().cpu().numpy()
        dim = self._start.shape[-1]
        self._way: NoiseLoop | Walk
        if lane.path == "noise":
            self._way = NoiseLoop(lane.seed, dim, speed=lane.speed, period=period, cycles=lane.cycles)
        else:
            self._way = Walk(lane.seed, dim, speed=lane.speed, length=length, loop=period is not None)

    def at(self, time: float, pulse: float = 0.0) -> Tensor:
        """Return where the path is at a moment."""
        there = self._start + self._lane.amount * self._way.at(time)
        if self._lane.path == "walk":
            there = turn_back(there, np.maximum(self._lane.bound, np.abs(self._start)))
        moved = torch.from_numpy(there).float().to(self._space.device)
        if self._is_z:
            return self._space.map(moved[None] + pulse, self._latent.classes)
        ws = (self._space.center + self._space.deviation * moved)[None]
        return pushed(self._space, ws, pulse)


class EvenPath:
    """Another path at constant speed: equal times are equal distances from frame to frame.

    Args:
        path: The path.
        start: Where its way begins, in seconds.
        end: Where it ends.
        samples: How finely it is measured.
        is_closed: The end is the beginning.
        distance: How far two places are apart; by default their distance in W.
    """

    def __init__(
        self, path: Path, start: float, end: float, *, samples: int, is_closed: bool = False, distance: Distance | None = None
    ) -> None:
        self._path, self._start, self._end, self._is_closed = path, start, end, is_closed
        self._times = np.linspace(start, end, samples + 1)
        measure = _distance_in_w if distance is None else distance
        before = path.at(float(self._times[0]), 0.0)
        way = [0.0]
        for time in self._times[1:]:
            here = path.at(float(time), 0.0)
            way.append(way[-1] + float(measure(before, here)))
            before = here
        self._way = np.array(way)

    def at(self, time: float, pulse: float = 0.0) -> Tensor:
        """Return where the path is when it has gone its share of the whole way."""
        share = (time - self._start) / (self._end - self._start)
        if self._is_closed:
            share %= 1.0
        if self._way[-1] <= 0:
            return self._path.at(time, pulse)
        return self._path.at(float(np.interp(share * self._way[-1], self._way, self._times)), pulse)


def pushed(space: Space, ws: Tensor, pulse: float) -> Tensor:
    """Move style vectors as adding ``pulse`` to every coordinate of z would on average."""
    return ws + pulse * space.pulse if pulse else ws


def _distance_in_w(first: Tensor, second: Tensor) -> float:
    return float((second - first).norm())


def _second_derivatives(places: Tensor, track: Track) -> Tensor:
    """Solve for the second derivatives of the cubic spline through ``places [k, num_ws, w_dim]`` at the track's knots."""
    total = len(places)
    closed = track.period is not None
    widths = torch.tensor(np.diff(track.knots), dtype=torch.float64)
    values = places.double().cpu().flatten(1)
    matrix = torch.zeros(total, total, dtype=torch.float64)
    right = torch.zeros_like(values)
    for here in range(total):
        if not closed and here in (0, total - 1):
            matrix[here, here] = 1.0
            continue
        before, after = (here - 1) % total, (here + 1) % total
        left_width, right_width = widths[here - 1], widths[here]
        matrix[here, here] += (left_width + right_width) / 3
        matrix[here, before] += left_width / 6
        matrix[here, after] += right_width / 6
        right[here] = (values[after] - values[here]) / right_width - (values[here] - values[before]) / left_width
    solved: Tensor = torch.linalg.solve(matrix, right)
    return solved.view_as(places).to(places.device, torch.float64 if places.device.type == "cpu" else torch.float32)


def make_path(
    space: Space,
    latents: Sequence[Latent],
    track: Track,
    *,
    lane: LatentLane,
    length: float,
    period: float | None,
    distance: Distance | None = None,
    is_fleeting: bool = False,
) -> Path:
    """Build the path of a lane; see :class:`studio.recipe_film.LatentLane`.

    Args:
        space: The latent space.
        latents: The lane's keyframes in the order of ``track``, at least one.
        track: Their times.
        lane: Which kind, and its numbers.
        length: How many seconds will be asked for.
        period: Length of the loop, or None.
        distance: For ``constant_speed``.
        is_fleeting: The path is for one frame only, whose class weights are its own.
    """
    path: Path
    start, end = 0.0, length
    if lane.path == "circle":
        path = CirclePath(space, latents, lane, period)
    elif lane.path in ("noise", "walk"):
        path = WanderPath(space, latents[0], lane, length, period)
    else:
        path = KeyedPath(space, latents, track, lane.path, is_fleeting=is_fleeting)
        start, end = track.knots[0], track.knots[-1]
    if not lane.constant_speed or end <= start:
        return path
    samples = min(max(SAMPLES_PER_KEY * len(latents), FEWEST_SAMPLES), MOST_SAMPLES)
    return EvenPath(path, start, end, samples=samples, is_closed=period is not None, distance=distance)
