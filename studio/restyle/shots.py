"""Where a film cuts from one shot to the next, from small copies of its frames.

A frame is compared with the one before it by its colours and by its places; both must change at once, and one of them much more
than it did over the last moments, so that neither a fast pan nor a lamp that is switched on counts. A flash is no cut: when a film is
back at what it showed before within two frames, the shot goes on. Slow dissolves are not found: both sides count as one shot.

Reference:
    Boreczky and Rowe 1996, "Comparison of video shot boundary detection techniques" (histograms; two thresholds).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

COLOURS, PLACES = 0.35, 0.08
"""How much of the colours, and of the places' brightness, must have changed; 0 to 1."""
TIMES_USUAL = 3.0
"""... and one of them so many times as much as is usual in the last frames."""
USUAL_FRAMES = 8
FLASH_FRAMES = 2
SIDE = 32
BINS = 8


@dataclass(frozen=True, slots=True)
class _Look:
    """A frame reduced to what is compared."""

    colours: Floats
    places: Floats

    def differs(self, other: _Look) -> tuple[float, float]:
        return float(np.abs(self.colours - other.colours).sum() / 2), float(np.abs(self.places - other.places).mean())


class ShotFinder:
    """Takes the frames of a film one after another; :attr:`cuts` are the numbers of the frames with which shots begin."""

    def __init__(self) -> None:
        self.cuts = [0]
        self._count = 0
        self._last: _Look | None = None
        self._before: _Look | None = None
        self._usual: deque[tuple[float, float]] = deque(maxlen=USUAL_FRAMES)

    def add(self, image: Image) -> None:
        """Take the next frame, ``[H, W, 3 or 4]``."""
        look = _look(image)
        if self._last is not None:
            self._compare(look, self._last)
        self._last = look
        self._count += 1

    def _compare(self, look: _Look, last: _Look) -> None:
        difference = look.differs(last)
        usual = np.median(np.array(self._usual or [(0.0, 0.0)]), axis=0)
        since = self._count - self.cuts[-1]
        if self._before is not None and since <= FLASH_FRAMES and not _is_other(look.differs(self._before)):
            self.cuts.pop()
            self._before = None
        elif _is_other(difference) and bool((np.array(difference) > TIMES_USUAL * usual).any()):
            self._before = last if since > FLASH_FRAMES or self._before is None else self._before
            self.cuts.append(self._count)
        else:
            self._usual.append(difference)


def _is_other(difference: tuple[float, float]) -> bool:
    return difference[0] > COLOURS and difference[1] > PLACES


def _look(image: Image) -> _Look:
    """Reduce a frame: every so many pixels averaged by blocks, and how its colours are spread."""
    height, width = image.shape[:2]
    rows, columns = (np.linspace(0, side, min(SIDE, side) + 1).astype(int) for side in (height, width))
    step_y, step_x = max(1, height // (8 * SIDE)), max(1, width // (8 * SIDE))
    picked = image[::step_y, ::step_x, :3].astype(np.float32)
    sums = np.add.reduceat(np.add.reduceat(picked, rows[:-1] // step_y, axis=0), columns[:-1] // step_x, axis=1)
    ones = np.ones(picked.shape[:2], np.float32)
    counts = np.add.reduceat(np.add.reduceat(ones, rows[:-1] // step_y, axis=0), columns[:-1] // step_x, axis=1)
    small = sums / counts[..., None]
    places = small @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    cells = (small // (256 // BINS)).astype(int)
    index = (cells[..., 0] * BINS + cells[..., 1]) * BINS + cells[..., 2]
    spread = np.bincount(index.ravel(), minlength=BINS**3).astype(np.float32)
    return _Look(spread / spread.sum(), places.astype(np.float32))
