"""Some pictures of a film, evenly over its length, and all of them on one sheet: to look a film over at a glance."""

from __future__ import annotations

import os
from contextlib import closing

from studio.media.films import probe_film, read_film
from studio.media.pixels import ImageArray, contact_sheet, flatten, thumbnail

STILLS = 25
CELL = 256


def film_stills(path: str | os.PathLike[str], count: int = STILLS, size: int = CELL) -> list[ImageArray]:
    """Read the pictures in the middle of ``count`` equal parts of a film (fewer where it has fewer), ``uint8 [H, W, 3]``.

    Args:
        path: Any film or animation.
        count: How many.
        size: Longest side.

    Raises:
        MediaError: It is no film, or damaged.
    """
    facts = probe_film(path)
    number = max(1, min(count, facts.frames or count))
    found: list[ImageArray] = []
    for place in range(number):
        with closing(read_film(path, start=facts.duration * (2 * place + 1) / (2 * number), facts=facts)) as frames:  # type: ignore[type-var]
            image = next(iter(frames)).image
        found.append(thumbnail(flatten(image[..., :3], image[..., 3] if image.shape[2] == 4 else None), size))
    return found


def film_sheet(path: str | os.PathLike[str], count: int = STILLS, size: int = CELL) -> ImageArray:
    """Lay a film out on one contact sheet.

    Raises:
        MediaError: It is no film, or damaged.
    """
    return contact_sheet(film_stills(path, count, size), cell=size)
