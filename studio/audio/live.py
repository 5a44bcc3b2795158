"""Envelopes of sound that is heard now: the same meaning as those of films, without knowing what comes next.

A film's envelope sees the whole piece (``envelopes.py``). Here each value is shaped as it comes, at moments that need not be even.
"""

from __future__ import annotations

import math
from collections import deque

from studio.recipe_film import Envelope

_STAGES = 2
"""Smoothers one after the other; together they have the standard deviation of the film's Gaussian, and come that much later."""


class LiveEnvelope:
    """One follower: gate, power, attack and release, smoothing, inversion, in the order of :func:`studio.audio.envelope`.

    The value comes in normalised, 0 for silence and 1 for its percentile ``clip``. A ``delay`` is kept; what should come earlier comes now.
    """

    def __init__(self, settings: Envelope) -> None:
        self._settings = settings
        self._level = 0.0
        self._stages = [0.0] * _STAGES
        self._time = 0.0
        self._late: deque[tuple[float, float]] = deque()
        self._held = 0.0

    def take(self, value: float, seconds: float) -> float:
        """Shape the next value.

        Args:
            value: What is heard, 0..1.
            seconds: Time since the value before.

        Returns:
            The level, 0..1.
        """
        settings = self._settings
        value = self._delayed(min(max(value, 0.0), 1.0), seconds)
        level: float = value**settings.power if value >= settings.gate else 0.0
        time = settings.attack if level > self._level else settings.release
        self._level += (level - self._level) * _share(seconds, time)
        level = self._level
        for number in range(_STAGES):
            self._stages[number] += (level - self._stages[number]) * _share(seconds, settings.smooth / math.sqrt(_STAGES))
            level = self._stages[number]
        return min(max(1 - level if settings.invert else level, 0.0), 1.0)

    def _delayed(self, value: float, seconds: float) -> float:
        """Return the most of what was heard ``delay`` seconds ago since the last time it was asked for."""
        if self._settings.delay <= 0:
            return value
        self._time += seconds
        self._late.append((self._time, value))
        passed = []
        while self._late and self._late[0][0] <= self._time - self._settings.delay + 1e-9:
            passed.append(self._late.popleft()[1])
        self._held = max(passed, default=self._held)
        return self._held


def _share(seconds: float, time: float) -> float:
    """Return how much of the way is gone after some seconds when 63 % of it take ``time``; all of it when that is no time."""
    return 1.0 if time <= 0 else -math.expm1(-max(seconds, 0.0) / time)
