"""Ways that nobody drew: loops through simplex noise, and random walks that turn back. Displacements from a start, as arrays.

Both are functions of the moment alone: a walk is laid out in full from its seed, then read at any moment.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import numpy.typing as npt
from opensimplex import OpenSimplex

from studio.errors import RecipeError

Array = npt.NDArray[np.float64]

NOISE_DEVIATION = 0.3689
"""Standard deviation of two-dimensional OpenSimplex noise over the plane, by which it is brought to 1."""
MOST_NUMBERS = 1 << 25
"""Most coordinates of all steps of a walk together (65,000 steps of 512)."""
FIELD_STEP = 10_000.0
"""How far apart in the noise the coordinates lie."""


class NoiseLoop:
    """Smooth noise of unit variance in every coordinate; in a loop it is read along a circle, so that it closes perfectly.

    Args:
        seed: Which noise.
        dim: Number of coordinates.
        speed: How far to go through the noise per second; 1 is about one feature.
        period: Length of the loop in seconds; None goes straight on for ever.
        cycles: How often to go round in one loop.

    Reference:
        Perlin 2001, "Noise Hardware"; Spencer 2014, OpenSimplex.
    """

    def __init__(self, seed: int, dim: int, *, speed: float, period: float | None, cycles: int = 1) -> None:
        self._noise, self._dim = OpenSimplex(seed), dim
        self._speed, self._period, self._cycles = speed, period, cycles

    def at(self, time: float) -> Array:
        """Return the displacement ``[dim]`` at a moment; all zero at time 0."""
        return (self._read(time) - self._start) / NOISE_DEVIATION

    @cached_property
    def _start(self) -> Array:
        return self._read(0.0)

    def _read(self, time: float) -> Array:
        x, y = self._speed * time, 0.0
        if self._period is not None:
            angle = math.tau * ((time * self._cycles / self._period) % 1.0)
            radius = self._speed * self._period / (math.tau * self._cycles)
            x, y = radius * math.cos(angle), radius * math.sin(angle)
        return np.array([self._noise.noise2(x, y + FIELD_STEP * number) for number in range(self._dim)])


class Walk:
    """A random walk with smooth speed: velocities are drawn at even moments and change linearly between them.

    Args:
        seed: Which walk.
        dim: Number of coordinates.
        speed: New velocities per second.
        length: How many seconds are laid out.
        loop: Close it after ``length`` seconds, with the same velocity.

    Raises:
        RecipeError: It has too many steps.
    """

    def __init__(self, seed: int, dim: int, *, speed: float, length: float, loop: bool) -> None:
        steps = max(3, round(speed * length)) if loop else max(1, math.ceil(speed * length)) + 1
        if steps * dim > MOST_NUMBERS:
            raise RecipeError(f"A walk of {steps} steps is too long. Use at most {MOST_NUMBERS // dim}: a shorter film or a lower speed.")
        self._step = length / steps
        velocities = np.random.RandomState(seed).randn(steps if loop else steps + 1, dim)
        if loop:
            velocities -= velocities.mean(0)
            velocities = np.concatenate([velocities, velocities[:1]])
        velocities *= math.sqrt(1.5) if speed > 0 else 0.0
        self._velocities = velocities
        middle = (velocities[1:] + velocities[:-1]) / 2
        self._places = np.concatenate([np.zeros((1, dim)), np.cumsum(middle, 0)])
        self._length, self._loop = length, loop

    def at(self, time: float) -> Array:
        """Return the displacement ``[dim]`` at a moment, about one standard deviation away per step; zero at time 0."""
        place = (time % self._length if self._loop else min(max(time, 0.0), self._length)) / self._step
        knot = min(int(place), len(self._places) - 2)
        u = place - knot
        first, second = self._velocities[knot], self._velocities[knot + 1]
        there: Array = self._places[knot] + u * first + u * u / 2 * (second - first)
        return there


def turn_back(values: Array, bound: Array) -> Array:
    """Reflect coordinates at ``-bound`` and ``bound`` as often as needed; those within stay as they are."""
    folded: Array = bound - np.abs((values + bound) % (4 * bound) - 2 * bound)
    return np.where(np.abs(values) <= bound, values, folded)
