"""Bring a picture of one size and aspect into another. No files."""

from __future__ import annotations

import numpy as np

from studio.errors import MediaError
from studio.media.pixels import ImageArray, resize

FIT_MODES = ("pad", "mirror", "crop", "stretch")
_MAX_SIDE = 16_384


def fit_frame(image: ImageArray, width: int, height: int, mode: str = "pad", *, ground: tuple[int, int, int] = (0, 0, 0)) -> ImageArray:
    """Resample with a Lanczos filter to exactly ``width x height``.

    Args:
        image: uint8 ``[H, W, 3]``, or ``[H, W, 4]`` with straight alpha.
        width: New width, 1 to 16384 pixels.
        height: New height, likewise.
        mode: ``pad`` shows all of the picture on a ground, ``mirror`` fills the edges with its reflection, ``crop`` fills
            the frame and cuts the middle out, ``stretch`` changes the aspect.
        ground: Colour of the edges of ``pad``; with alpha they are transparent.

    Returns:
        uint8 ``[height, width, channels]``; the input itself when it already has that size.

    Raises:
        MediaError: The size or mode is impossible.
    """
    if not (1 <= width <= _MAX_SIDE and 1 <= height <= _MAX_SIDE):
        raise MediaError(f"{width} x {height} pixels are not possible. Use 1 to {_MAX_SIDE} a side.")
    if mode not in FIT_MODES:
        raise MediaError(f"mode={mode!r} is not possible. Choose from {', '.join(FIT_MODES)}.")
    old_height, old_width = image.shape[:2]
    if (old_width, old_height) == (width, height):
        return image
    if mode == "stretch":
        return resize(image, width, height)
    choose = max if mode == "crop" else min
    scale = choose(width / old_width, height / old_height)
    new_width, new_height = max(1, round(old_width * scale)), max(1, round(old_height * scale))
    scaled = resize(image, new_width, new_height)
    left, top = abs(new_width - width) // 2, abs(new_height - height) // 2
    if mode == "crop":
        return np.ascontiguousarray(scaled[top : top + height, left : left + width])
    edges = [(top, height - new_height - top), (left, width - new_width - left), (0, 0)]
    if mode == "mirror":
        return np.pad(scaled, edges, mode="symmetric")
    colors = [*ground, 0][: image.shape[2]]
    return np.dstack([np.pad(scaled[..., index], edges[:2], constant_values=color) for index, color in enumerate(colors)])
