"""How a film moves from one frame to another: dense optical flow, where it can be trusted, and how far a restyled film departs from it.

The only place that knows OpenCV. Arrays in, arrays out; this is *not* where frames are mixed (``steadying.py``).

Reference:
    Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search" (the flow); Sundaram, Brox and Keutzer 2010, "Dense Point
    Trajectories by GPU-accelerated Large Displacement Optical Flow", section 3 (where forward and backward flow agree); Lai et
    al. 2018, "Learning Blind Video Temporal Consistency", sections 3.2 and 4.1 (trust by colour, and the warping error).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

FLOW_PIXELS = 1 << 20
"""Motion in larger frames is looked for at this size; it is smooth enough for that."""
SMALLEST_SIDE = 16
"""OpenCV's search needs frames of at least this size; smaller ones count as not moving."""
COLOUR_TRUST = 50.0
"""A place counts by ``exp(-50 d^2)``, where d is the difference of the film itself along its motion, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Motion:
    """Where each pixel of a frame is found in another one.

    Attributes:
        flow: Pixels to the right and down, ``[H, W, 2]``.
        trust: 1 where forward and backward motion agree and the place is inside the other frame, else 0, ``[H, W]``.
    """

    flow: Floats
    trust: Floats

    def then(self, further: Motion) -> Motion:
        """Follow a second motion from where the first one leads."""
        joined = np.dstack([further.flow, further.trust])
        found = _remap(joined, self.flow)
        return Motion(self.flow + found[..., :2], self.trust * found[..., 2])

    def bring(self, image: Image) -> Image:
        """Bring the other frame ``[H, W]`` or ``[H, W, C]`` to where its things are in this one."""
        return np.asarray(_remap(image, self.flow, cv2.INTER_CUBIC), np.uint8)

    def weights(self, here: Image, there: Image) -> Floats:
        """Say how far each place is the same thing in both frames, 0 to 1, from the film's lightness ``[H, W]``."""
        difference = (here.astype(np.float32) - _remap(there, self.flow).astype(np.float32)) / np.float32(255)
        weights: Floats = self.trust * np.exp(np.float32(-COLOUR_TRUST) * difference * difference)
        return weights


def lightness(image: Image) -> Image:
    """Return what motion is looked for in: ``[H, W]`` of a frame ``[H, W, 3 or 4]``."""
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image[..., :3]), cv2.COLOR_RGB2GRAY), np.uint8)


def find_motion(here: Image, there: Image) -> tuple[Motion, Motion]:
    """Find the motion between two frames.

    Args:
        here: Lightness of one frame, ``[H, W]``.
        there: Lightness of the other.

    Returns:
        The motion from the first to the second, and back. The same frames always give the same motion.
    """
    height, width = here.shape
    if min(height, width) < SMALLEST_SIDE:
        still = Motion(np.zeros((height, width, 2), np.float32), np.ones((height, width), np.float32))
        return still, still
    cv2.setNumThreads(1)  # OpenCV cuts the picture up by the number of threads, and its result depends on that
    forth, back = _flow(here, there), _flow(there, here)
    return Motion(forth, _agreement(forth, back)), Motion(back, _agreement(back, forth))


def warped_error(motion: Motion, here: Image, there: Image) -> float:
    """Measure how far two neighbours of a restyled film differ beyond what moved, in [0, 1].

    Args:
        motion: From ``here`` to ``there``, found in the original film.
        here: A restyled frame, ``[H, W, 3]``.
        there: The one before it.

    Returns:
        The mean absolute difference over all places that can be seen in both; not a number where there is none.

    Reference:
        Lai et al. 2018, section 4.1 (there squared; absolute differences are easier to read).
    """
    mask = motion.trust > 0
    if not mask.any():
        return float("nan")
    warped = _remap(there[..., :3], motion.flow, cv2.INTER_LINEAR)
    difference = np.abs(here[..., :3].astype(np.float32) - warped.astype(np.float32)).mean(2)
    return float(difference[mask].mean(dtype=np.float64) / 255)


def _flow(here: Image, there: Image) -> Floats:
    """Return dense inverse search flow, ``[H, W, 2]``, found at a reduced size where the frames are large."""
    height, width = here.shape
    scale = min(1.0, (FLOW_PIXELS / (height * width)) ** 0.5)
    size = (max(SMALLEST_SIDE, round(width * scale)), max(SMALLEST_SIDE, round(height * scale)))
    library: Any = cv2
    search = library.DISOpticalFlow_create(library.DISOPTICAL_FLOW_PRESET_MEDIUM)
    if scale == 1:
        return np.asarray(search.calc(here, there, None), np.float32)
    small = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (here, there)]
    flow = cv2.resize(search.calc(*small, None), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(flow * np.array([width / size[0], height / size[1]], np.float32), np.float32)


def _agreement(forth: Floats, back: Floats) -> Floats:
    """Return 1 where going there and back leads to about the same place, and the place is inside the frame."""
    height, width = forth.shape[:2]
    there_and_back = forth + _remap(back, forth)
    size = (forth * forth).sum(2) + (_remap(back, forth) ** 2).sum(2)
    agrees = (there_and_back * there_and_back).sum(2) < 0.01 * size + 0.5
    x, y = np.arange(width, dtype=np.float32) + forth[..., 0], np.arange(height, dtype=np.float32)[:, None] + forth[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    trust: Floats = (agrees & inside).astype(np.float32)
    return trust


def _remap(values: Any, flow: Floats, how: int = cv2.INTER_LINEAR) -> Any:
    """Look values up where a motion leads; beyond the border its last pixels repeat."""
    height, width = flow.shape[:2]
    x = np.arange(width, dtype=np.float32) + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    return cv2.remap(values, x, y, how, borderMode=cv2.BORDER_REPLICATE)
