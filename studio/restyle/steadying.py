"""Keep a restyled film from flickering: mix each frame with its neighbours where the film itself shows the same thing.

Neighbours on both sides are brought along the motion of the *original* film, which does not flicker; where something is covered,
uncovered or changes its look there, they do not count. A frame depends on its neighbours as they came from the network, never on
mixed ones, so nothing trails behind and any frame can be made without those before it. Frames of different shots never meet. This
is *not* what keeps colours from pulsing in the first place (``frozen.py``).

Reference:
    Ruder, Dosovitskiy and Brox 2016, "Artistic Style Transfer for Videos", section 4 (warped neighbours, occlusions).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from studio.restyle.motion import Image, Motion, find_motion, lightness, warped_error

SHARES = (1.0, 0.6)
"""How much neighbours at distance 1 and 2 count at most; tapered, since an even mean changes more when one frame leaves it."""
REACH = len(SHARES)


@dataclass(slots=True)
class Pair:
    """A frame of a film before and after restyling, ``[H, W, 3]`` each, and whether a shot begins with it."""

    original: Image
    styled: Image
    begins: bool = False


@dataclass(slots=True)
class _Held:
    """A frame that is still needed."""

    pair: Pair
    shot: int
    grey: Image
    forth: Motion | None = field(default=None)
    """To the next frame."""
    back: Motion | None = field(default=None)
    """To the frame before."""


def steady(pairs: Iterable[Pair], flicker: float) -> Iterator[Image]:
    """Give the restyled frames of a film, steadied.

    Args:
        pairs: The film, in order.
        flicker: 0 leaves every frame as it is, 1 mixes it with all its neighbours.

    Yields:
        One ``[H, W, 3]`` for each pair, up to two frames late.
    """
    if flicker <= 0:
        yield from (pair.styled for pair in pairs)
        return
    held = deque[_Held](maxlen=2 * REACH + 1)
    ready, shot = 0, 0
    for pair in pairs:
        shot += pair.begins
        held.append(_joined(held, pair, shot))
        ready += 1
        if ready > REACH:
            yield _mixed(held, len(held) - 1 - REACH, flicker)
            ready -= 1
    for place in range(len(held) - ready, len(held)):
        yield _mixed(held, place, flicker)


def _joined(held: deque[_Held], pair: Pair, shot: int) -> _Held:
    """Take a frame in, with the motion to and from the one before it."""
    new = _Held(pair, shot, lightness(pair.original))
    if held and held[-1].shot == shot:
        held[-1].forth, new.back = find_motion(held[-1].grey, new.grey)
    return new


def _mixed(held: deque[_Held], place: int, flicker: float) -> Image:
    """Mix a frame with its neighbours."""
    here = held[place]
    total = here.pair.styled.astype(np.float32)
    weight = np.ones(total.shape[:2], np.float32)
    for step in (-1, 1):
        motion: Motion | None = None
        for distance in range(1, REACH + 1):
            other = place + step * distance
            if not 0 <= other < len(held) or held[other].shot != here.shot:
                break
            between = held[other - step]
            link = between.forth if step > 0 else between.back
            assert link is not None, "frames of one shot are linked"
            motion = link if motion is None else motion.then(link)
            counts = np.float32(SHARES[distance - 1] * flicker**distance) * motion.weights(here.grey, held[other].grey)
            total += counts[..., None] * motion.bring(held[other].pair.styled)
            weight += counts
    mixed: Image = np.rint(total / weight[..., None]).astype(np.uint8)
    return mixed


def film_error(pairs: Iterable[Pair]) -> float:
    """Measure the flicker of a restyled film: the mean :func:`warped_error` of neighbours within its shots.

    Returns:
        In [0, 1]; not a number when no two frames can be compared.
    """
    errors, last = list[float](), None
    for pair in pairs:
        grey = lightness(pair.original)
        if last is not None and not pair.begins:
            motion, _ = find_motion(grey, last[0])
            errors.append(warped_error(motion, pair.styled, last[1]))
        last = (grey, pair.styled)
    known = [error for error in errors if error == error]
    return float(np.mean(known)) if known else float("nan")
