"""Sizes and layers of uint8 pictures: resizing, thumbnails, flattening. No files."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from studio.errors import MediaError

ImageArray = npt.NDArray[np.uint8]
"""uint8 ``[H, W, 3]`` RGB (or ``[H, W]`` grey, ``[H, W, 4]`` with straight alpha, where it says so)."""


def resize(image: ImageArray, width: int, height: int) -> ImageArray:
    """Resample to exactly ``width x height`` with a Lanczos filter (antialiased when smaller).

    Args:
        image: uint8 ``[H, W]``, ``[H, W, 3]`` or ``[H, W, 4]``; with alpha, hidden colours do not bleed in.
        width: New width in pixels, at least 1.
        height: New height in pixels, at least 1.

    Returns:
        uint8, same number of channels; the input itself (not a copy) when it already has that size.
    """
    if image.shape[:2] == (height, width):
        return image
    return np.array(as_pillow(image).resize((max(1, width), max(1, height)), Image.Resampling.LANCZOS))


def thumbnail(image: ImageArray, side: int) -> ImageArray:
    """Shrink so that the longest side is at most ``side`` pixels, keeping the aspect; never enlarge."""
    height, width = image.shape[:2]
    scale = min(1.0, side / max(height, width))
    return resize(image, max(1, round(width * scale)), max(1, round(height * scale)))


def flatten(image: ImageArray, alpha: ImageArray | None, ground: tuple[int, int, int] = (255, 255, 255)) -> ImageArray:
    """Lay a picture with straight alpha ``[H, W]`` on a plain ground; without alpha it is returned as it is."""
    if alpha is None:
        return image
    weight = alpha[..., None].astype(np.uint16)
    mixed = image * weight + np.asarray(ground, np.uint16) * (255 - weight) + 127
    return (mixed // 255).astype(np.uint8)


def join_alpha(image: ImageArray, alpha: ImageArray | None) -> ImageArray:
    """Put RGB ``[H, W, 3]`` and straight alpha ``[H, W]`` into one ``[H, W, 4]``; without alpha give the image itself."""
    return image if alpha is None else np.dstack([image, alpha])


def contact_sheet(images: Sequence[ImageArray], *, cell: int, gap: int = 8, ground: int = 24) -> ImageArray:
    """Lay pictures out row by row on one dark sheet that is about as wide as it is high.

    Args:
        images: uint8 ``[H, W, 3]`` each, at least one; none larger than ``cell`` on its longest side.
        cell: Side of the square that each picture is centred in, in pixels.
        gap: Pixels between cells and at the edge.
        ground: Grey level of the sheet, 0 to 255.

    Returns:
        uint8 ``[rows * (cell + gap) + gap, columns * (cell + gap) + gap, 3]``.
    """
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    sheet = np.full((rows * (cell + gap) + gap, columns * (cell + gap) + gap, 3), ground, np.uint8)
    for index, image in enumerate(images):
        height, width = image.shape[:2]
        top = gap + index // columns * (cell + gap) + (cell - height) // 2
        left = gap + index % columns * (cell + gap) + (cell - width) // 2
        sheet[top : top + height, left : left + width] = image
    return sheet


def as_pillow(image: ImageArray) -> Image.Image:
    """Wrap uint8 ``[H, W]``, ``[H, W, 1]``, ``[H, W, 3]`` or ``[H, W, 4]`` for Pillow.

    Raises:
        MediaError: It has another type or shape, or no pixels.
    """
    array = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    is_picture = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not is_picture or 0 in array.shape:
        raise MediaError(f"A picture must be uint8 [height, width, 3]; this one is {image.dtype} {list(image.shape)}.")
    return Image.fromarray(np.ascontiguousarray(array))
