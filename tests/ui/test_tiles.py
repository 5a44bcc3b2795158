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


def test_a_model_with_classes_shows_several_of_them_each_around_its_own_average():
    seen = []

    def make(recipe):
        seen.append(recipe)
        return np.full((32, 32, 3), 100, np.uint8)

    tiles._seeds(make, Recipe(), 14)
    assert [recipe.latent.classes for recipe in seen] == [((index, 1.0),) for index in (0, 3, 7, 10)]
    assert {recipe.truncation.towards for recipe in seen} == {"class"}
    tiles._seeds(make, Recipe(), 0)
    assert {(recipe.latent.classes, recipe.truncation.towards) for recipe in seen[4:]} == {((), "average")}


def test_the_sample_picture_is_always_the_same():
    assert np.array_equal(tiles.sample(), tiles.sample())


def test_an_upscaler_shows_a_piece_of_the_sample_picture_enlarged():
    shown = read_image(tiles.preview_of(tiny()))
    assert (shown.width, shown.height) == (tiles.CARD, tiles.CARD)
