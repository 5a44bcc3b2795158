"""What sound does to time: it steps from keyframe to keyframe, or speeds a path up and slows it down.

Both are sums from the first frame on, worked out once for the whole film, so that any frame can be asked for alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from studio.recipe_film import Mapping

Levels = npt.NDArray[np.float32]

THRESHOLD = 0.5
"""A trigger goes off when its level rises to this."""


@dataclass(frozen=True, slots=True)
class Steps:
    """For every frame how many triggers there were, and which share of the way to the newest keyframe is done."""

    counts: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float64]


def rising_edges(level: Levels) -> npt.NDArray[np.int64]:
    """Return the frames at which a level rises to the threshold; one that starts high does not count."""
    is_high = np.asarray(level) >= THRESHOLD
    return np.flatnonzero(is_high[1:] & ~is_high[:-1]) + 1


def make_steps(entries: Sequence[tuple[Mapping, Levels]], count: int, rate: Fraction) -> Steps | None:
    """Collect the triggers of one target; each glides in its own time, but is there before the next one.

    Args:
        entries: The matrix entries with mode ``trigger`` and their levels; ``amount`` scales the level.
        count: Number of frames.
        rate: Frames per second.
    """
    if not entries:
        return None
    glides = {int(edge): entry.glide for entry, level in entries for edge in rising_edges(np.asarray(level) * entry.amount)}
    edges = np.array(sorted(glides), np.int64)
    counts = np.searchsorted(edges, np.arange(count), side="right")
    shares = np.ones(count)
    for number, edge in enumerate(edges):
        following = int(edges[number + 1]) if number + 1 < len(edges) else count
        frames = max(1.0, min(glides[int(edge)] * float(rate), float(following - edge)))
        inside = np.arange(edge, following)
        shares[edge:following] = np.minimum((inside - edge + 1) / frames, 1.0)
    return Steps(counts, shares)


def make_clock(
    entries: Sequence[tuple[Mapping, Levels]], count: int, rate: Fraction, *, keeps_length: bool
) -> npt.NDArray[np.float64] | None:
    """Say which moment of a path each frame shows when sound changes its speed.

    Args:
        entries: The matrix entries on the speed; each adds ``amount * level`` to the usual speed of 1. It never runs backwards.
        count: Number of frames.
        rate: Frames per second.
        keeps_length: Scale the whole so that the path ends when it would have; otherwise it gets further.

    Returns:
        Seconds ``[count]``, or None when no entry acts.
    """
    if not entries:
        return None
    speed = np.ones(count)
    for entry, level in entries:
        speed += entry.amount * np.asarray(level, np.float64)
    way = np.concatenate([[0.0], np.cumsum(np.maximum(speed, 0.0))])
    length = float(count / rate)
    if keeps_length:
        return way[:-1] * (length / way[-1]) if way[-1] > 0 else np.arange(count) / float(rate)
    return way[:-1] / float(rate)
