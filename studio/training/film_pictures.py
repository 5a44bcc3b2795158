"""A film as training pictures: one frame every so often. This is *not* how films are restyled: nothing is written, sound is ignored."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from studio.errors import MediaError

UInt8 = npt.NDArray[np.uint8]

FILM_RATE = 1.0
"""Pictures for each second of a film, unless told otherwise."""


def film_pictures(film: Path, rate: float, channels: int) -> Iterator[tuple[str, UInt8]]:
    """Give a frame every ``1 / rate`` seconds: its name (with the time) and its pixels ``[H, W, channels]``, upright and in sRGB.

    Raises:
        OSError: It is no film, or is damaged; what comes before the damage is given first.
    """
    from studio.media.films import read_film

    wanted = 0
    try:
        for frame in read_film(film):
            if frame.time * rate >= wanted:
                wanted = int(frame.time * rate) + 1
                yield f"{film.name} at {float(frame.time):.2f} s", _with_channels(frame.image, channels)
    except MediaError as error:
        raise OSError(str(error)) from error


def _with_channels(pixels: UInt8, channels: int) -> UInt8:
    """Add an opaque alpha channel, or leave one out, so that ``[H, W, channels]`` results."""
    if pixels.shape[2] < channels:
        return np.concatenate([pixels, np.full((*pixels.shape[:2], 1), 255, np.uint8)], 2)
    return np.ascontiguousarray(pixels[..., :channels])
