"""The previews of models."""

import numpy as np
from upscalers import tiny

from studio.media import read_image
from studio.recipe import Recipe
from studio.ui import tiles


def plain(drawn):
    def make(recipe):
        drawn.append(recipe.latent.x)
        return np.full((32, 32, 3), 100, np.uint8)

    return make


def test_a_quick_network_shows_four_seeds_in_two_rows():
    drawn = []
    assert tiles._seeds(plain(drawn), Recipe()).shape == (2 * tiles.CARD, 2 * tiles.CARD, 3)
    assert tuple(drawn) == tiles.SEEDS


def test_a_slow_network_is_asked_for_one_seed_only(monkeypatch):
    monkeypatch.setattr(tiles, "SLOW_SECONDS", -1.0)
    drawn = []
    assert tiles._seeds(plain(drawn), Recipe()).shape == (tiles.CARD, tiles.CARD, 3)
    assert len(drawn) == 1


def test_the_sample_picture_is_always_the_same():
    assert np.array_equal(tiles.sample(), tiles.sample())


def test_an_upscaler_shows_a_piece_of_the_sample_picture_enlarged():
    shown = read_image(tiles.preview_of(tiny()))
    assert (shown.width, shown.height) == (tiles.CARD, tiles.CARD)
