"""Curves from 0 to 1: how one keyframe goes on to the next.

Reference:
    Penner 2002, "Programming Macromedia Flash MX", chapter 7 (easing equations).
"""

from __future__ import annotations

import math
from collections.abc import Callable

_BOUNCE = 7.5625
_BOUNCE_WIDTH = 2.75


def ease(name: str, u: float) -> float:
    """Bend the share ``u`` of the way between two keyframes.

    Args:
        name: One of ``recipe_film.EASINGS``; ``hold`` stays at 0 until ``u = 1``.
        u: 0..1; values outside are taken as the nearest end.

    Returns:
        The share 0..1; 0 at 0 and 1 at 1 for every curve.
    """
    u = min(max(u, 0.0), 1.0)
    if u in (0.0, 1.0) or name == "linear":
        return u
    if name == "hold":
        return 0.0
    if name == "smoothstep":
        return u * u * (3 - 2 * u)
    if name == "bounce":
        return _bounce(u)
    way, _, curve = name.rpartition("-")
    power = _POWERS[curve]
    if way == "ease-in":
        return power(u)
    if way == "ease-out":
        return 1 - power(1 - u)
    return power(2 * u) / 2 if u < 0.5 else 1 - power(2 - 2 * u) / 2


def _bounce(u: float) -> float:
    """Fall and bounce three times, each time lower."""
    for end, middle, height in ((1.0, 0.0, 0.0), (2.0, 1.5, 0.75), (2.5, 2.25, 0.9375), (math.inf, 2.625, 0.984375)):
        if u < end / _BOUNCE_WIDTH:
            return _BOUNCE * (u - middle / _BOUNCE_WIDTH) ** 2 + height
    raise AssertionError("the last bounce has no end")


_POWERS: dict[str, Callable[[float], float]] = {
    "quad": lambda u: u * u,
    "cubic": lambda u: u * u * u,
    "sine": lambda u: 1 - math.cos(u * math.pi / 2),
}
