"""Keep films from flashing: at most three large flashes in any second, as WCAG 2.2 (success criterion 2.3.1) asks.

A flash is a pair of opposing changes of relative luminance by 10 % or more where the darker is below 0.80, or of saturated red, over
a quarter of the picture. The limiter sees one frame at a time and looks back only, so that it works on a stream; what it gives depends
on the frames alone. It is no medical device.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]

LUMINANCE_STEP = 0.1
DARK_BELOW = 0.8
RED_STEP = 20 / 320
RED_SHARE = 0.8
AREA = 0.25
FLASHES_PER_SECOND = 3
MOST_CHANGES = 2 * FLASHES_PER_SECOND
"""A frame adds one change of a kind at most, so that only frames that come after so many need to be tried."""
MEMORY_SECONDS = Fraction(1, 3)
"""Changes of single places this far apart still count as one change of the picture."""

_GRID = 32
_STEPS: Array = np.array([LUMINANCE_STEP, RED_STEP], np.float32)[:, None, None]
_WEIGHTS: Array = np.array([[0.2126, 0.7152, 0.0722], [1, -1, -1], [1 - RED_SHARE, -RED_SHARE, -RED_SHARE]], np.float32)
"""Of red, green and blue: relative luminance, red over the others, and whether red has its share of all."""
_DARK_BELOW: Array = np.array([DARK_BELOW, np.inf], np.float32)[:, None, None]
_SHARES = (0.5, 0.25, 0.125, 0.0625, 0.0)
_LINEAR: Array = np.array(
    [value / 255 / 12.92 if value / 255 <= 0.04045 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in range(256)], np.float32
)


@dataclass(frozen=True, slots=True)
class FlashReport:
    """What was counted: changes (two make a flash) of luminance and of red, and the most flashes in any second."""

    general: int
    red: int
    worst_second: float

    @property
    def is_safe(self) -> bool:
        """Say whether no second has more than three flashes."""
        return self.worst_second <= FLASHES_PER_SECOND


def limit_flashes(frames: Iterable[Image], rate: Fraction | float) -> Iterator[Image]:
    """Pass frames on, damping those that would be one flash too many.

    A damped frame stays nearer to the frame given before it: the largest of a few shares of the change that makes no flash.

    Args:
        frames: ``uint8 [H, W, 3]`` or ``[H, W, 4]``, all of one size.
        rate: Frames per second.

    Yields:
        One frame for each, untouched where nothing is wrong (the same array).
    """
    limiter = FlashLimiter(rate)
    for frame in frames:
        yield limiter.take(frame)


def count_flashes(frames: Iterable[Image], rate: Fraction | float) -> FlashReport:
    """Count the changes of a film as the limiter does."""
    counter = _Counter(rate)
    worst = 0
    for frame in frames:
        counter.take(_measure(frame))
        worst = max(worst, counter.most)
    return FlashReport(counter.total[0], counter.total[1], worst / 2)


class FlashLimiter:
    """The limiter, to be fed frame by frame in order."""

    def __init__(self, rate: Fraction | float) -> None:
        self._counter = _Counter(rate)
        self._last: Image | None = None

    def take(self, frame: Image) -> Image:
        """Return the frame that may be shown in place of ``frame``."""
        is_near = self._counter.most >= MOST_CHANGES
        trial = self._counter.copy() if is_near else self._counter
        trial.take(_measure(frame))
        if self._last is not None and trial.most > MOST_CHANGES:
            frame, trial = self._damped(frame, self._last)
        self._counter, self._last = trial, frame
        return frame

    def _damped(self, frame: Image, last: Image) -> tuple[Image, _Counter]:
        change = frame.astype(np.float32) - last
        for share in _SHARES:
            shown = np.round(last + share * change).astype(np.uint8)
            trial = self._counter.copy()
            trial.take(_measure(shown))
            if trial.most <= MOST_CHANGES:
                return shown, trial
        raise AssertionError("a frame that stays the same changes nothing")


class _Counter:
    """Follows luminance and red at many places, and notes when a quarter of them has turned. Of each pair, luminance comes first."""

    def __init__(self, rate: Fraction | float) -> None:
        self._second, self._memory = Fraction(rate), max(1, int(rate * MEMORY_SECONDS))
        self._frame = -1
        self._last_turn, self._since = [0, 0], [-1, -1]
        self.total = [0, 0]
        self._recent: tuple[deque[int], deque[int]] = (deque(), deque())
        self._low = self._high = self._way = self._when = np.zeros(0)

    @property
    def most(self) -> int:
        """Changes within the last second, of whichever kind has more."""
        return max(map(len, self._recent))

    def copy(self) -> _Counter:
        """Return one that counts on by itself. The arrays are shared: they are replaced, never written to."""
        other = copy(self)
        other._last_turn, other._since, other.total = self._last_turn.copy(), self._since.copy(), self.total.copy()
        other._recent = (self._recent[0].copy(), self._recent[1].copy())
        return other

    def take(self, values: Array) -> None:
        """Take the next frame, ``[2, rows, columns]``."""
        self._frame += 1
        if self._frame == 0:
            self._low, self._high = values.copy(), values.copy()
            self._way, self._when = np.zeros(values.shape, np.int8), np.full(values.shape, -1)
        if self._turn_places(values):
            for way in (1, -1):
                self._note(way)
        for recent in self._recent:
            while recent and self._frame - recent[0] >= self._second:
                recent.popleft()

    def _turn_places(self, values: Array) -> bool:
        """Note at each place the last low and high, and a turn when the value left it by a step; tell whether there was a turn."""
        self._low, self._high = np.minimum(self._low, values), np.maximum(self._high, values)
        rises = (values - self._low >= _STEPS) & (self._way <= 0)
        falls = (self._high - values >= _STEPS) & (self._way >= 0)
        if not (rises.any() or falls.any()):
            return False
        rises &= self._low < _DARK_BELOW
        falls &= (values < _DARK_BELOW) & ~rises
        turned = rises | falls
        self._way = np.where(rises, 1, np.where(falls, -1, self._way)).astype(np.int8)
        self._when = np.where(turned, self._frame, self._when)
        self._high, self._low = np.where(rises, values, self._high), np.where(falls, values, self._low)
        return True

    def _note(self, way: int) -> None:
        """Count a change where a quarter of the places has turned this way since the last one."""
        since = np.array([max(since, self._frame - self._memory) for since in self._since])[:, None, None]
        shares = ((self._way == way) & (self._when > since)).mean((1, 2))
        for kind in (0, 1):
            if self._last_turn[kind] != way and shares[kind] >= AREA:
                self._last_turn[kind], self._since[kind] = way, self._frame
                self._recent[kind].append(self._frame)
                self.total[kind] += 1


def _measure(frame: Image) -> Array:
    """Return relative luminance and saturated red, ``[2, rows, columns]``, each on a grid of at most 32 x 32 places."""
    steps = [max(1, side // (4 * _GRID)) for side in frame.shape[:2]]
    linear = cv2.LUT(np.ascontiguousarray(frame[:: steps[0], :: steps[1], :3]), _LINEAR)
    height, width = (min(_GRID, side) for side in linear.shape[:2])
    means = cv2.resize(linear, (width, height), interpolation=cv2.INTER_AREA).reshape(height, width, 3)
    weighed = cv2.transform(means, _WEIGHTS)
    values = np.empty((2, height, width), np.float32)
    values[0] = weighed[..., 0]
    values[1] = np.maximum(weighed[..., 1], 0) * (weighed[..., 2] >= 0)
    return values
