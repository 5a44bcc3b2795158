"""Work that a test hands to several processes at once; a child imports it from here."""

from pathlib import Path

import numpy as np

from studio.gallery import Gallery
from studio.media import create_exclusive
from studio.recipe import Latent, ModelRef, Recipe


def add_many(arguments):
    folder, cache, worker = arguments
    gallery = Gallery(folder, cache)
    ids = []
    for value in range(10 * worker, 10 * worker + 6):
        recipe = Recipe(model=ModelRef("pomona"), latent=Latent.from_seed(value))
        ids.append(gallery.add(np.full((8, 10, 3), value, np.uint8), recipe).id)
        gallery.star(ids[-1])
        gallery.items("pomona")
    return ids


def create_names(arguments):
    folder, process = arguments
    names = (f"a-{number:04d}.png" for number in range(1, 10_000))
    return [create_exclusive(Path(folder), names, f"{process}".encode()).name for _ in range(20)]
