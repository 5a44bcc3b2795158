"""Cutting a square from a picture: centre, smart (where the subject is), or padded to keep everything.

``none`` is listed for pictures that keep their shape (translators take random crops of them later). Arrays only, no files.
"""

import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]

CROPS = ("centre", "smart", "pad", "none")
PAPER_TOLERANCE = 28.0
"""Colour distance (0 to 441) within which a pixel counts as the paper behind the subject."""
SEARCHED_PIXELS = 2_000_000
"""The subject of a larger picture is searched in every second, third ... pixel: the search takes some 60 bytes for each."""


def square_crop(pixels: UInt8, crop: str) -> UInt8:
    """Return a square view or copy of ``pixels [H, W, C]`` by the rule ``crop`` (see :data:`CROPS`)."""
    height, width = pixels.shape[:2]
    if crop == "pad":
        side = max(height, width)
        return _window(pixels, (height - side) // 2, (width - side) // 2, side)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    if crop == "smart":
        top, left, side = smart_window(pixels)
    return _window(pixels, top, left, side)


def _window(pixels: UInt8, top: int, left: int, side: int) -> UInt8:
    """Cut a square that may reach beyond the picture; what lies outside continues the nearest edge."""
    rows = np.clip(np.arange(top, top + side), 0, pixels.shape[0] - 1)
    columns = np.clip(np.arange(left, left + side), 0, pixels.shape[1] - 1)
    return pixels[rows][:, columns]


def subject_map(pixels: UInt8) -> tuple[npt.NDArray[np.float64], float]:
    """Say where the subject is.

    The paper is the median colour. Strokes thinner than about 2 % of the picture (handwriting, frame lines) are worn away.

    Returns:
        A map ``[H, W]`` of distance from the paper colour, and the share of pixels that are paper.
    """
    rgb = pixels[..., :3].astype(np.float64)
    paper = np.median(rgb.reshape(-1, 3), axis=0)
    distance = np.sqrt(((rgb - paper) ** 2).sum(-1))
    share = float((distance < PAPER_TOLERANCE).mean())
    radius = max(1, round(min(pixels.shape[:2]) * 0.02))
    worn = np.maximum(_box(np.minimum(distance, 200.0), radius) - PAPER_TOLERANCE, 0.0)
    border = max(1, round(min(pixels.shape[:2]) * 0.06))
    worn[:border] = worn[-border:] = 0.0
    worn[:, :border] = worn[:, -border:] = 0.0
    return worn, share


def _box(values: npt.NDArray[np.float64], radius: int) -> npt.NDArray[np.float64]:
    """Average over ``2 radius + 1`` pixels in both directions (edges repeated)."""
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (radius + 1, radius)
        sums = np.cumsum(np.pad(values, pad, mode="edge"), axis=axis)
        n = 2 * radius + 1
        upper, lower = (sums[n:], sums[:-n]) if axis == 0 else (sums[:, n:], sums[:, :-n])
        values = (upper - lower) / n
    return values


def smart_window(pixels: UInt8) -> tuple[int, int, int]:
    """Choose the square that holds the subject: ``(top, left, side)``.

    A subject on paper (more than 35 % of one colour) is framed with a margin, never tighter than 0.7 of the shorter side; any other
    picture keeps a square of the full shorter side, moved to where most is going on.
    """
    height, width = pixels.shape[:2]
    step = int(np.ceil((height * width / SEARCHED_PIXELS) ** 0.5))
    if step > 1:
        row, column, length = smart_window(pixels[::step, ::step])
        side = step * length
        return _place(step * row + side / 2, side, height), _place(step * column + side / 2, side, width), side
    short = min(height, width)
    subject, paper_share = subject_map(pixels)
    if subject.sum() < 1.0:
        return (height - short) // 2, (width - short) // 2, short
    (top, bottom), (left, right) = (_extent(subject.sum(axis)) for axis in (1, 0))
    if paper_share < 0.35:
        cy, cx = (float((np.arange(n) * subject.sum(axis)).sum() / subject.sum()) for n, axis in ((height, 1), (width, 0)))
        side = short
    else:
        cy, cx = (top + bottom) / 2, (left + right) / 2
        side = round(min(max(1.12 * max(bottom - top, right - left), 0.7 * short), 1.12 * short))
    return _place(cy, side, height), _place(cx, side, width), side


def _extent(profile: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the interval that holds all but the outer 1 % of a profile on either side."""
    cumulated = np.cumsum(profile) / profile.sum()
    return float(np.searchsorted(cumulated, 0.01)), float(np.searchsorted(cumulated, 0.99) + 1)


def _place(centre: float, side: int, length: int) -> int:
    """Return the start of a window around ``centre`` that stays inside when it fits, and is centred when it does not."""
    if side >= length:
        return (length - side) // 2
    return int(min(max(round(centre - side / 2), 0), length - side))
