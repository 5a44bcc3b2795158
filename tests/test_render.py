"""From recipe to pixels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_networks import ToyGenerator

from studio.errors import RecipeError
from studio.recipe import Latent, Noise, Recipe, Transform, Truncation
from studio.render import draw, fit, mix_recipes, opaque, synthesize, to_image, to_uint8


def test_pixels_are_those_of_stylegan_clamped_and_truncated():
    levels = torch.tensor([-2.0, -1.0, -0.999, 0.0, 0.9999, 1.0, 3.0])
    wanted = [min(255, max(0, int(x * 127.5 + 128))) for x in levels.tolist()]
    assert to_uint8(levels.view(1, 1, 1, -1)).flatten().tolist() == wanted


def test_pictures_are_uint8_height_width_channels():
    for channels, shown in [(1, 3), (2, 3), (3, 3), (4, 4), (5, 3)]:
        image = to_image(torch.zeros(1, channels, 6, 8))
        assert image.shape == (6, 8, shown) and image.dtype == np.uint8
    assert len(np.unique(to_image(torch.randn(1, 1, 4, 4)).std(axis=2))) == 1


def test_transparent_pixels_show_neutral_grey():
    image = np.zeros((1, 2, 4), np.uint8)
    image[0, 1] = (10, 20, 30, 255)
    assert opaque(image).tolist() == [[[128, 128, 128], [10, 20, 30]]]


def test_size_is_the_longest_side_and_none_changes_nothing():
    image = np.zeros((20, 10, 3), np.uint8)
    assert fit(image, 40).shape == (40, 20, 3)
    assert fit(image, None) is image and fit(image, 20) is image


def test_a_recipe_gives_the_same_picture_again():
    G, recipe = ToyGenerator(), Recipe(latent=Latent(x=3.5, y=1), size=24)
    first = draw(G, recipe)
    assert first.shape == (24, 24, 3) and first.dtype == np.uint8
    assert np.array_equal(first, draw(G, recipe))
    assert not np.array_equal(first, draw(G, replace(recipe, latent=Latent(x=4))))


@pytest.mark.parametrize(("channels", "shown"), [(1, 3), (3, 3), (4, 4)])
def test_grey_and_transparent_models_draw(channels, shown):
    assert draw(ToyGenerator(channels=channels), Recipe()).shape == (16, 16, shown)


def test_random_noise_follows_its_seed_and_not_the_batch():
    G, recipe = ToyGenerator(), Recipe(noise=Noise(mode="random", seed=5))
    ws = torch.randn(3, G.num_ws, G.w_dim)
    together = synthesize(G, ws, recipe)
    for index in range(3):
        assert torch.allclose(together[index], synthesize(G, ws[index : index + 1], recipe)[0], atol=1e-6)
    assert not torch.equal(together, synthesize(G, ws, replace(recipe, noise=Noise(mode="random", seed=6))))


def test_drawing_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    draw(ToyGenerator(), Recipe(noise=Noise(mode="random")))
    assert torch.equal(before, torch.get_rng_state())


def test_a_transform_reaches_only_models_that_have_one():
    recipe = Recipe(transform=Transform(translate_x=0.25))
    moved, still = draw(ToyGenerator(has_transform=True), recipe), draw(ToyGenerator(has_transform=True), Recipe())
    assert np.array_equal(moved, np.roll(still, 4, axis=1))
    with pytest.raises(RecipeError, match="cannot move, turn or zoom"):
        draw(ToyGenerator(), recipe)


def test_a_grid_mixes_each_row_with_each_column():
    base = Recipe(truncation=Truncation(psi=1))
    rows, cols = [Latent(x=1), Latent(x=2)], [Latent(x=3), Latent(x=4), Latent(x=5)]
    grid = mix_recipes(base, rows, cols, (1, 0))
    assert [[cell.latent.x for cell in line] for line in grid] == [[1, 1, 1], [2, 2, 2]]
    assert [cell.mixing[0].latent.x for cell in grid[0]] == [3, 4, 5]
    framed = mix_recipes(base, rows, cols, (1, 0), headers=True)
    assert framed[0][0] is None and framed[0][2].latent.x == 4 and framed[2][0].latent.x == 2
    assert [line[1:] for line in framed[1:]] == grid


def test_a_grid_with_no_weight_shows_the_row_and_with_all_the_column():
    G, row, col = ToyGenerator(), Latent(x=1), Latent(x=2)
    for weights, shown in [((0,) * G.num_ws, row), ((1,) * G.num_ws, col)]:
        cell = mix_recipes(Recipe(), [row], [col], weights)[0][0]
        assert np.array_equal(draw(G, cell), draw(G, Recipe(latent=shown)))
