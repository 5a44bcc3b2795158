"""A feature made fit to move something: between 0 and 1, with the attack and release that the eye likes."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from studio.recipe_film import Envelope

Array = npt.NDArray[np.float32]


def envelope(values: npt.ArrayLike, rate: Fraction | float, settings: Envelope) -> Array:
    """Shape a feature: clip, gate, power, attack and release, smoothing, inversion, in this order.

    ``delay`` is not applied here but where the feature is read (a fraction of a frame then counts too).

    Args:
        values: One raw value per frame, ``[count]``.
        rate: Frames per second.
        settings: See :class:`studio.recipe_film.Envelope`. The percentile of ``clip`` is that of the peaks, so that silence
            between them does not count.

    Returns:
        ``[count]`` within 0..1. A feature that never changes is silence.
    """
    level = _normal(np.nan_to_num(np.asarray(values, np.float64)), settings.clip)
    level = np.where(level >= settings.gate, level, 0.0) ** settings.power
    level = follow(level, float(rate), settings.attack, settings.release)
    level = smooth(level, settings.smooth * float(rate))
    return np.clip(1 - level if settings.invert else level, 0, 1).astype(np.float32)


def _normal(values: npt.NDArray[np.float64], clip: float) -> npt.NDArray[np.float64]:
    if not len(values):
        return values
    padded = np.concatenate([[-np.inf], values, [-np.inf]])
    is_peak = (values >= padded[:-2]) & (values >= padded[2:]) & (values > values.min())
    low, high = float(values.min()), float(np.percentile(values[is_peak], clip)) if is_peak.any() else 0.0
    if high - low <= 1e-9 * max(abs(high), 1e-6):
        return np.zeros_like(values)
    return np.clip((values - low) / (high - low), 0, 1)


def follow(values: npt.NDArray[np.float64], rate: float, attack: float, release: float) -> npt.NDArray[np.float64]:
    """Follow a level: upwards in ``attack`` and downwards in ``release`` seconds (to 63 %); 0 is at once."""
    up, down = (1.0 if seconds <= 0 else -math.expm1(-1 / (seconds * rate)) for seconds in (attack, release))
    if up == down == 1.0:
        return values
    level, out = 0.0, []
    for value in values.tolist():
        level += (value - level) * (up if value > level else down)
        out.append(level)
    return np.array(out)


def smooth(values: npt.NDArray[np.float64], deviation: float) -> npt.NDArray[np.float64]:
    """Smooth with a Gaussian of a standard deviation in frames; the ends are continued as they are."""
    radius = math.ceil(4 * deviation)
    if deviation < 0.05 or not len(values):
        return values
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2)
    smoothed: npt.NDArray[np.float64] = np.convolve(np.pad(values, radius, mode="edge"), kernel / kernel.sum(), mode="valid")
    return smoothed
