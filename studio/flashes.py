"""Keep films from flashing: at most three large flashes in any second, as WCAG 2.2 (success criterion 2.3.1) asks.

A flash is a pair of opposing changes of relative luminance by 10 % or more where the darker is below 0.80, or of saturated red, over
a quarter of the picture. The limiter sees one frame at a time and looks back only, so that it works on a stream; what it gives depends
on the frames alone. It is no medical device.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction

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
MEMORY_SECONDS = Fraction(1, 3)
"""Changes of single places this far apart still count as one change of the picture."""

_GRID = 32
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
        counter.take(*_measure(frame))
        worst = max(worst, counter.most)
    return FlashReport(counter.general.total, counter.red.total, worst / 2)


class FlashLimiter:
    """The limiter, to be fed frame by frame in order."""

    def __init__(self, rate: Fraction | float) -> None:
        self._counter = _Counter(rate)
        self._last: Image | None = None

    def take(self, frame: Image) -> Image:
        """Return the frame that may be shown in place of ``frame``."""
        trial = deepcopy(self._counter)
        trial.take(*_measure(frame))
        if self._last is not None and trial.most > 2 * FLASHES_PER_SECOND:
            frame, trial = self._damped(frame, self._last)
        self._counter, self._last = trial, frame
        return frame

    def _damped(self, frame: Image, last: Image) -> tuple[Image, _Counter]:
        change = frame.astype(np.float32) - last
        for share in _SHARES:
            shown = np.round(last + share * change).astype(np.uint8)
            trial = deepcopy(self._counter)
            trial.take(*_measure(shown))
            if trial.most <= 2 * FLASHES_PER_SECOND:
                return shown, trial
        raise AssertionError("a frame that stays the same changes nothing")


class _Counter:
    """Counts the large changes of luminance and of red."""

    def __init__(self, rate: Fraction | float) -> None:
        self.general = _Changes(LUMINANCE_STEP, DARK_BELOW, Fraction(rate))
        self.red = _Changes(RED_STEP, np.inf, Fraction(rate))

    @property
    def most(self) -> int:
        """Changes within the last second, of whichever kind has more."""
        return max(len(self.general.recent), len(self.red.recent))

    def take(self, luminance: Array, red: Array) -> None:
        self.general.take(luminance)
        self.red.take(red)


class _Changes:
    """Follows one value at many places and notes when a quarter of them has turned."""

    def __init__(self, step: float, dark_below: float, rate: Fraction) -> None:
        self._step, self._dark_below = step, dark_below
        self._second, self._memory = rate, max(1, int(rate * MEMORY_SECONDS))
        self._frame = -1
        self._last_turn = 0
        self._since = -1
        self.recent: deque[int] = deque()
        self.total = 0
        self._low = self._high = self._way = self._when = np.zeros(0)

    def take(self, values: Array) -> None:
        self._frame += 1
        if self._frame == 0:
            self._low, self._high = values.copy(), values.copy()
            self._way, self._when = np.zeros(values.shape, np.int8), np.full(values.shape, -1)
        self._turn_places(values)
        for way in (1, -1):
            fresh = (self._way == way) & (self._when > self._since) & (self._when > self._frame - self._memory)
            if self._last_turn != way and fresh.mean() >= AREA:
                self._last_turn, self._since = way, self._frame
                self.recent.append(self._frame)
                self.total += 1
        while self.recent and self._frame - self.recent[0] >= self._second:
            self.recent.popleft()

    def _turn_places(self, values: Array) -> None:
        """Note at each place the last low and high, and a turn when the value left it by a step."""
        self._low, self._high = np.minimum(self._low, values), np.maximum(self._high, values)
        rises = (self._way <= 0) & (values >= self._low + self._step) & (self._low < self._dark_below)
        falls = (self._way >= 0) & (values <= self._high - self._step) & (values < self._dark_below) & ~rises
        self._way = np.where(rises, 1, np.where(falls, -1, self._way)).astype(np.int8)
        self._when = np.where(rises | falls, self._frame, self._when)
        self._high, self._low = np.where(rises, values, self._high), np.where(falls, values, self._low)


def _measure(frame: Image) -> tuple[Array, Array]:
    """Return relative luminance and saturated red, each on a grid of at most 32 x 32 places."""
    steps = [max(1, side // (4 * _GRID)) for side in frame.shape[:2]]
    linear = _LINEAR[frame[:: steps[0], :: steps[1], :3]]
    rows, columns = (min(_GRID, side) for side in linear.shape[:2])
    edges = [np.linspace(0, side, parts, endpoint=False).astype(int) for side, parts in zip(linear.shape[:2], (rows, columns), strict=True)]
    sums = np.add.reduceat(np.add.reduceat(linear, edges[0], 0), edges[1], 1)
    sizes = np.outer(np.diff([*edges[0], linear.shape[0]]), np.diff([*edges[1], linear.shape[1]]))
    means = sums / sizes[..., None]
    total = means.sum(2)
    red = np.maximum(means[..., 0] - means[..., 1] - means[..., 2], 0.0)
    is_red = means[..., 0] >= RED_SHARE * np.maximum(total, 1e-6)
    luminance = means @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    return luminance.astype(np.float32), np.where(is_red, red, 0.0).astype(np.float32)
