"""Colours as people see them: sRGB to CIE Lab and back, and blends in Lab. NumPy only.

White is D65, the observer is the 2 degree one. This is *not* a place for ICC profiles; see ``media``.

Reference:
    IEC 61966-2-1 (sRGB); CIE 15:2004, "Colorimetry", section 8.2.1 (Lab).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

BAND_PIXELS = 1 << 20
"""Blending works on bands of about this many pixels, so that a large picture needs little extra memory."""

_RGB_TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
_TO_WHITE = _RGB_TO_XYZ / _RGB_TO_XYZ.sum(1, keepdims=True)
"""Linear RGB to XYZ relative to the white point, so that white is exactly (1, 1, 1)."""
_FROM_WHITE = np.linalg.inv(_TO_WHITE)
_DELTA = 6 / 29


def to_lab(image: Image) -> Floats:
    """Convert ``image [H, W, 3]`` to Lab: ``[H, W, 3]``, L in 0..100, a and b about -128..127."""
    levels = np.arange(256) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4).astype(np.float32)
    t = linear[image] @ _TO_WHITE.T.astype(np.float32)
    f = np.where(t > _DELTA**3, np.cbrt(t), t / (3 * _DELTA**2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1).astype(np.float32)


def from_lab(lab: Floats) -> Image:
    """Convert Lab ``[H, W, 3]`` to sRGB, rounded; colours that sRGB does not have are clipped."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], -1)
    t = np.where(f > _DELTA, f**3, 3 * _DELTA**2 * (f - 4 / 29))
    linear = np.clip(t @ _FROM_WHITE.T.astype(np.float32), 0, 1)
    encoded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    image: Image = np.rint(encoded * 255).astype(np.uint8)
    return image


def blend(
    source: Image,
    result: Image,
    *,
    strength: float,
    keep_colors: bool,
    keep_luminance: bool = False,
    where: Floats | None = None,
) -> Image:
    """Mix a picture and its restyled version in Lab.

    Args:
        source: The picture before, ``[H, W, 3]``.
        result: The picture after, same shape.
        strength: 0 gives ``source``, 1 the full effect, both to the byte.
        keep_colors: Take the lightness of ``result`` but the colour (a and b) of ``source``.
        keep_luminance: Take the colour of ``result`` but the lightness (L) of ``source``.
        where: Weight of each pixel ``[H, W]`` in 0..1 on top of ``strength``; None is 1 everywhere.

    Returns:
        A new picture ``[H, W, 3]``.
    """
    if strength <= 0 or (keep_colors and keep_luminance):
        return np.array(source)
    is_full = strength >= 1 and not keep_colors and not keep_luminance
    if is_full and where is None:
        return np.array(result)
    mixed = np.empty_like(source)
    rows = max(1, BAND_PIXELS // max(1, source.shape[1]))
    for top in range(0, source.shape[0], rows):
        band = slice(top, top + rows)
        before, after = to_lab(source[band]), to_lab(result[band])
        if keep_colors:
            after[..., 1:] = before[..., 1:]
        if keep_luminance:
            after[..., 0] = before[..., 0]
        weight = np.float32(strength) if where is None else np.float32(strength) * where[band][..., None]
        mixed[band] = from_lab(before + weight * (after - before))
        if where is not None:
            mixed[band] = np.where(where[band][..., None] == 0, source[band], mixed[band])
            if is_full:
                mixed[band] = np.where(where[band][..., None] == 1, result[band], mixed[band])
    return mixed
