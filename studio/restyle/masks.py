"""Brush masks: a small greyscale PNG as text in the recipe, spread over the picture with soft edges.

White is restyled, black is kept. This is *not* for masks of any precision: what a brush paints is smooth.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from studio.errors import MediaError, RecipeError
from studio.media import read_image, resize
from studio.recipe import Restyle, bounds_of
from studio.restyle.geometry import Image

Floats = NDArray[np.float32]

LONGEST_SIDE = 512
"""A mask is kept at this size at most; a brush is wider than what is lost."""


def pack_mask(mask: Image) -> str:
    """Turn a mask into text for ``Restyle.mask``: base64 of a greyscale PNG of at most 512 pixels a side.

    Args:
        mask: ``[H, W]`` uint8, 255 where the style goes.

    Raises:
        RecipeError: It has too much detail to travel in a recipe.
    """
    assert mask.ndim == 2 and mask.dtype == np.uint8, mask.shape
    most = bounds_of(Restyle, "mask").max_length or 0
    scale = min(1.0, LONGEST_SIDE / max(mask.shape))
    for smaller in (1, 2, 4):
        height, width = (max(1, round(side * scale / smaller)) for side in mask.shape)
        text = base64.b64encode(_png(resize(mask, width, height))).decode("ascii")
        if len(text) <= most:
            return text
    raise RecipeError("The mask has too much detail to travel with the picture. Paint it with a larger brush.")


def _png(mask: Image) -> bytes:
    """Write ``[H, W]`` as a greyscale PNG without anything else in it."""
    height, width = mask.shape
    rows = b"".join(b"\x02" + row.tobytes() for row in np.diff(mask, axis=0, prepend=np.zeros((1, width), np.uint8)))
    parts = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    chunks = [struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def read_mask(text: str) -> Image:
    """Turn the text of a recipe into a mask ``[h, w]`` uint8; colours count by lightness, transparency as black.

    Raises:
        RecipeError: It is damaged.
    """
    try:
        picture = read_image(base64.b64decode(text, validate=True), max_pixels=4 * LONGEST_SIDE**2, name="the mask")
    except (binascii.Error, ValueError, MediaError) as error:
        raise RecipeError("The mask in this recipe is damaged. Paint it again.", detail=repr(error)) from error
    return grey(picture.image, picture.alpha)


def grey(image: Image, alpha: Image | None = None) -> Image:
    """Turn a picture ``[H, W, 3]`` into a mask ``[H, W]``: its lightness, times its opacity."""
    light = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    if alpha is not None:
        light *= alpha.astype(np.float32) / 255
    mask: Image = np.rint(light).astype(np.uint8)
    return mask


def weights(mask: Image, size: tuple[int, int], feather: float) -> Floats:
    """Spread a mask over a picture of ``size`` (height, width) and soften its edges.

    Args:
        mask: ``[h, w]`` uint8.
        size: Height and width of the picture.
        feather: How far edges are softened, as a share of the picture's longest side.

    Returns:
        ``[height, width]`` float32 in 0..1; exactly 1 and 0 where the mask is white or black all around.
    """
    radius = round(feather * max(mask.shape) / 2)
    # at the mask's own size; three box filters are nearly a Gaussian, and cost the same for any width
    soft: Floats = mask.astype(np.float32) / np.float32(255)
    for _ in range(3 if radius else 0):
        for axis in (0, 1):
            soft = _box(soft, max(1, round(radius / 3)), axis)
    wide = resize(np.rint(soft * 255).astype(np.uint8), size[1], size[0])
    return np.asarray(wide / np.float32(255), np.float32)


def _box(values: Floats, radius: int, axis: int) -> Floats:
    """Average over ``2 radius + 1`` values along an axis, repeating the border."""
    pad = [(0, 0), (0, 0)]
    pad[axis] = (radius + 1, radius)
    sums = np.cumsum(np.pad(values, pad, mode="edge"), axis=axis, dtype=np.float64)
    width = 2 * radius + 1
    high, low = np.take(sums, range(width, sums.shape[axis]), axis), np.take(sums, range(sums.shape[axis] - width), axis)
    return np.asarray((high - low) / width, np.float32)
