"""A first look at training pictures before they are all read: some of them, cut as the network will see them. Nothing is stored."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from studio.training import data
from studio.training.crops import square_crop
from studio.training.film_pictures import FILM_RATE
from studio.training.sources import find_sources

UInt8 = npt.NDArray[np.uint8]


def preview(
    place: Path, *, resolution: int, crop: str, channels: int = 3, most: int = 96, film_rate: float = FILM_RATE
) -> tuple[int, UInt8]:
    """Cut a few pictures, spread over a folder, zip or film, as :func:`studio.training.data.prepare` would.

    Where ``crop`` is ``none`` the middle square stands for the random crops of the training.

    Returns:
        The number of files, and pictures ``[n, resolution, resolution, channels]``.

    Raises:
        TrainingError: The place is missing or empty, or no file in it is readable.
    """
    sources, _ = find_sources([place.resolve()])
    chosen = [sources[int(i)] for i in np.linspace(0, len(sources) - 1, min(most, len(sources)))]
    problems: data.Problems = {"broken": [], "duplicates": []}
    images: list[UInt8] = []
    decoded = data.decode(chosen, lambda p: data.fit(p, resolution=resolution, crop=crop), channels, problems, film_rate)
    for pixels, _, _ in decoded:
        images.append(square_crop(pixels, "centre"))
        if len(images) == most:
            break
    if not images:
        raise data.nothing_readable(len(chosen), problems)
    return len(sources), np.stack(images)
