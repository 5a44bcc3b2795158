"""A camera and a light over a finished picture: zoom, move, turn, contrast and flash. Works with pictures of any model."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from studio.media.pixels import ImageArray
from studio.recipe import View


def apply_view(image: ImageArray, view: View) -> ImageArray:
    """Look at a picture through a view.

    Args:
        image: ``uint8 [H, W, 3]`` or ``[H, W, 4]``; opacity is moved along but not lit.
        view: See :class:`studio.recipe.View`.

    Returns:
        A picture of the same size; the same array when the view changes nothing. What lies outside is mirrored.
    """
    if view == View():
        return image
    moved = image if (view.zoom, view.x, view.y, view.rotate) == (1.0, 0.0, 0.0, 0.0) else _moved(image, view)
    return moved if (view.contrast, view.flash) == (1.0, 0.0) else _lit(moved, view)


def _moved(image: ImageArray, view: View) -> ImageArray:
    height, width = image.shape[:2]
    angle = math.radians(view.rotate)
    cos, sin = math.cos(angle) / view.zoom, math.sin(angle) / view.zoom
    center_x, center_y = width / 2, height / 2
    from_x, from_y = center_x + view.x * width, center_y + view.y * height
    matrix = [cos, -sin, center_x - cos * from_x + sin * from_y, sin, cos, center_y - sin * from_x - cos * from_y]
    corners = [
        (matrix[0] * x + matrix[1] * y + matrix[2], matrix[3] * x + matrix[4] * y + matrix[5]) for x in (0, width) for y in (0, height)
    ]
    over = max(max(-x, x - width, -y, y - height, 0.0) for x, y in corners)
    margin = math.ceil(over) + 2 if over > 0 else 0
    padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric") if margin else image
    matrix[2] += margin
    matrix[5] += margin
    source = Image.fromarray(np.ascontiguousarray(padded))
    return np.asarray(source.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC))


def _lit(image: ImageArray, view: View) -> ImageArray:
    values = (np.arange(256) - 128.0) * view.contrast + 128.0
    table = np.clip(np.round(np.clip(values, 0, 255) / max(1 - view.flash, 1 / 255)), 0, 255).astype(np.uint8)
    lit: ImageArray = image.copy()
    lit[..., :3] = table[image[..., :3]]
    return lit
