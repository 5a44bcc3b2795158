"""Laws of the view over a picture."""

import numpy as np
import pytest

from studio.media.views import apply_view
from studio.recipe import View


@pytest.fixture
def image():
    y, x = np.mgrid[0:48, 0:64]
    return np.stack([x * 3, y * 4, (x + y) * 2], 2).astype(np.uint8)


def test_the_usual_view_is_the_very_picture(image):
    assert apply_view(image, View()) is image


def test_a_zoom_shows_the_middle_larger(image):
    zoomed = apply_view(image, View(zoom=2.0))
    assert zoomed.shape == image.shape
    middle = image[12:36, 16:48].repeat(2, 0).repeat(2, 1)
    assert np.abs(zoomed[4:-4, 4:-4].astype(int) - middle[4:-4, 4:-4]).max() <= 4


def test_a_move_to_the_right_and_down_moves_the_picture_there_and_mirrors_what_was_outside(image):
    moved = apply_view(image, View(x=0.25, y=0.25))
    assert np.abs(moved[12:, 16:].astype(int) - image[:-12, :-16]).max() <= 1
    assert np.abs(moved[12:, :16].astype(int) - moved[12:, 16:32][:, ::-1]).max() <= 1


def test_a_half_turn_is_a_half_turn_and_a_quarter_goes_counter_clockwise(image):
    assert np.abs(apply_view(image, View(rotate=180)).astype(int) - image[::-1, ::-1]).max() <= 1
    square = image[:, :48]
    assert np.abs(apply_view(square, View(rotate=90)).astype(int) - np.rot90(square)).max() <= 1


def test_a_zoom_out_is_filled_with_mirror_images(image):
    small = apply_view(image, View(zoom=0.5))
    assert np.abs(small[12:36, 16:48].astype(int) - image[::2, ::2]).max() < 12
    assert np.abs(small[12:36, 8:16].astype(int) - small[12:36, 16:24][:, ::-1]).max() < 12


def test_contrast_keeps_grey_and_flash_lowers_the_white_point():
    grey = np.full((4, 4, 4), 128, np.uint8)
    assert np.array_equal(apply_view(grey, View(contrast=3.0)), grey)
    steps = np.array([0, 64, 128, 192, 255], np.uint8)[None, :, None].repeat(3, 2)
    assert apply_view(steps, View(contrast=0.0)).min() == apply_view(steps, View(contrast=0.0)).max() == 128
    assert apply_view(steps, View(flash=0.5))[0, :, 0].tolist() == [0, 128, 255, 255, 255]


def test_opacity_is_moved_but_not_lit(image):
    alpha = np.dstack([image, image[..., 0]])
    lit = apply_view(alpha, View(flash=0.9))
    assert np.array_equal(lit[..., 3], alpha[..., 3]) and lit[..., :3].max() == 255
    assert apply_view(alpha, View(zoom=2.0)).shape == alpha.shape
