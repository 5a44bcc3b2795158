"""Random square pieces of whole pictures, which is what translators train on; and the middles, which sheets and measures compare.

Pictures may have six channels, a pair of pictures lying on each other: both are cut, zoomed and mirrored alike. This is *not* ``crops.py``,
which cuts the one square that a picture generator sees.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

from studio.training.data import Pictures

UInt8 = npt.NDArray[np.uint8]


def random_crops(pictures: Pictures, n: int, *, side: int, zoom: float, mirror: bool, rng: np.random.Generator) -> UInt8:
    """Draw ``n`` square pieces of random pictures, uint8 ``[n, side, side, channels]``.

    Args:
        pictures: Whole pictures, none of them with a side shorter than ``side``.
        n: How many pieces.
        side: Side of a piece, pixels.
        zoom: 1 cuts pieces of ``side`` pixels. Above 1 the cut side is drawn between ``side`` and ``zoom * side`` (its logarithm is
            uniform, the picture is the limit) and the piece is shrunk, so that strokes and subjects are met at more than one size.
            Nothing is ever enlarged: that would teach blur.
        mirror: Whether half of the pieces are mirrored.
        rng: The only source of randomness.
    """
    crops = []
    for index in rng.integers(len(pictures), size=n):
        image = pictures.picture(int(index))
        cut = side if zoom <= 1 else min(round(side * zoom ** rng.random()), *image.shape[:2])
        top, left = (int(rng.integers(length - cut + 1)) for length in image.shape[:2])
        crop = shrink(image[top : top + cut, left : left + cut], side)
        crops.append(crop[:, ::-1] if mirror and rng.random() < 0.5 else crop)
    return np.stack(crops)


def shrink(image: UInt8, side: int) -> UInt8:
    """Resize a square ``[S, S, channels]`` to ``[side, side, channels]``, three channels at a time."""
    if len(image) == side:
        return image
    parts = [
        np.asarray(Image.fromarray(np.ascontiguousarray(image[..., k : k + 3])).resize((side, side), Image.Resampling.LANCZOS))
        for k in range(0, image.shape[2], 3)
    ]
    return np.concatenate(parts, 2)


def middle_squares(pictures: Pictures, n: int, side: int) -> UInt8:
    """Return the middles of ``n`` pictures spread over a set, in a fixed order: uint8 ``[n, side, side, channels]``."""
    middles = []
    for index in np.linspace(0, len(pictures) - 1, n).astype(int):
        image = pictures.picture(int(index))
        top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
        middles.append(image[top : top + side, left : left + side])
    return np.stack(middles)
