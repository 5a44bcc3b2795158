"""Keyframes in time: between which two a moment lies, how far along, and what a number is then.

A :class:`Track` knows times and easings only, so that numbers and places in latent space share it. In a loop the way goes on
from the last keyframe to the first. This is *not* concerned with what the values mean.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from studio.recipe_film import Keyframe, LatentKey
from studio.timeline.easings import ease


class Spot(NamedTuple):
    """Where a moment lies: from keyframe ``left`` the share ``u`` (eased, 0..1) of the way to keyframe ``right``."""

    left: int
    right: int
    u: float


@dataclass(frozen=True, slots=True)
class Track:
    """The times and easings of keyframes, in order. ``period`` (seconds) closes it to a loop; None leaves it open."""

    times: tuple[float, ...]
    easings: tuple[str, ...]
    period: float | None

    @property
    def knots(self) -> tuple[float, ...]:
        """The times, and for a loop the first one again one period later."""
        return self.times if self.period is None else (*self.times, self.times[0] + self.period)

    def at(self, time: float) -> Spot:
        """Find where a moment lies; before the first and after the last keyframe of an open track is at that keyframe."""
        if len(self.times) == 1:
            return Spot(0, 0, 0.0)
        knots = self.knots
        if self.period is not None:
            time = knots[0] + (time - knots[0]) % self.period
        left = bisect_right(knots, time) - 1
        if left < 0:
            return Spot(0, 0, 0.0)
        if left >= len(knots) - 1:
            return Spot((len(knots) - 1) % len(self.times), (len(knots) - 1) % len(self.times), 0.0)
        share = (time - knots[left]) / (knots[left + 1] - knots[left])
        return Spot(left, (left + 1) % len(self.times), ease(self.easings[left], share))

    def stepped(self, steps: int, share: float) -> Spot:
        """Find where the ``steps``-th trigger leads: each goes one keyframe on, round and round; ``share`` of the way is done."""
        total = len(self.times)
        if steps <= 0 or total == 1:
            return Spot(0, 0, 0.0)
        return Spot((steps - 1) % total, steps % total, ease("smoothstep", share))


def make_track(keys: Sequence[Keyframe | LatentKey], period: float | None) -> tuple[Track, list[int]]:
    """Order keyframes by time; of several at one time the last counts, and those at or after the end of a loop do not.

    Args:
        keys: At least one keyframe.
        period: Length of the loop in seconds, or None.

    Returns:
        The track, and for each of its keyframes the number it has in ``keys``.
    """
    at_time = {key.time: number for number, key in enumerate(keys) if period is None or key.time < period}
    if not at_time:
        at_time = {0.0: 0}
    order = [at_time[time] for time in sorted(at_time)]
    times = tuple(sorted(at_time))
    return Track(times, tuple(keys[number].easing for number in order), period), order


def lane_value(keys: Sequence[Keyframe], time: float, period: float | None = None) -> float:
    """Return the value of a lane of numbers at a moment.

    Args:
        keys: At least one keyframe, in any order.
        time: Seconds.
        period: Length of the loop in seconds; None when the film does not loop.
    """
    track, order = make_track(keys, period)
    return value_at([keys[number].value for number in order], track.at(time))


def value_at(values: Sequence[float], spot: Spot) -> float:
    """Return the number at a spot."""
    left, right = values[spot.left], values[spot.right]
    return left + (right - left) * spot.u if spot.u < 1 else right
