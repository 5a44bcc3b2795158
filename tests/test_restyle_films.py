"""Restyled films: what holds them together from frame to frame, what is kept of them, and what becomes of sound and times."""

import itertools

import numpy as np
import pytest
import torch
from toys import toy_translator

from studio.models.common import build
from studio.restyle import films, frozen
from studio.restyle.geometry import image_to_img
from studio.restyle.motion import find_motion, lightness, warped_error
from studio.restyle.picture import exhaust
from studio.restyle.shots import ShotFinder
from studio.restyle.steadying import Pair, film_error, steady


def scene(seed, height=96, width=512):
    """A smooth, coloured, photo-like picture."""
    coarse = torch.from_numpy(np.random.default_rng(seed).random((1, 3, height // 8, width // 8), np.float32))
    fine = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)
    return (fine[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)


def pan(count, seed=0, *, step=2, height=64, width=96):
    """Frames of a camera that moves to the right over a scene."""
    wide = scene(seed, height, width + step * count + 8)
    return [np.ascontiguousarray(wide[:, step * k : step * k + width]) for k in range(count)]


def hold(net, frames, **wishes):
    return exhaust(films.hold(net, frames, **wishes))


def test_motion_points_to_where_things_are_in_the_other_frame():
    frames = pan(6, step=3)
    here, there = lightness(frames[3]), lightness(frames[2])
    forth, back = find_motion(here, there)
    inner = (slice(12, -12), slice(16, -16))
    assert np.abs(forth.flow[inner] - (3, 0)).max() < 0.3
    assert np.abs(back.flow[inner] + (3, 0)).max() < 0.3
    assert forth.trust[inner].min() == 1 and not forth.trust[:, -2:].any(), "what comes from outside cannot be seen in both"
    two = find_motion(here, lightness(frames[4]))[0].then(find_motion(lightness(frames[4]), lightness(frames[5]))[0])
    assert np.abs(two.flow[inner] + (6, 0)).max() < 0.5


def test_the_warped_error_is_zero_for_what_moves_along_and_grows_with_what_does_not():
    frames = pan(3)
    motion, _ = find_motion(lightness(frames[2]), lightness(frames[1]))
    noise = np.random.default_rng(0).normal(0, 12, frames[0].shape)
    noisy = np.clip(frames[2] + noise, 0, 255).astype(np.uint8)
    calm, restless = warped_error(motion, frames[2], frames[1]), warped_error(motion, noisy, frames[1])
    assert calm < 0.004
    assert restless == pytest.approx(12 * (2 / np.pi) ** 0.5 / 255, rel=0.1)


def test_cuts_are_found_where_they_are_and_a_flash_or_a_pan_is_none():
    finder, flash = ShotFinder(), np.full((64, 96, 3), 255, np.uint8)
    dark = scene(7, 64, 200) // 3
    shots = [pan(12, 1, step=6), pan(9, 2), [np.ascontiguousarray(dark[:, k : k + 96]) for k in range(10)]]
    shots[1][4] = flash
    for frame in itertools.chain.from_iterable(shots):
        finder.add(frame)
    assert finder.cuts == [0, 12, 21]


@pytest.mark.parametrize("settings", [{}, {"norm": "batch"}, {"norm": "instance-affine", "upsample": "resize", "downsample": "antialias"}])
def test_statistics_of_one_frame_give_that_frame_as_it_would_be_alone(settings):
    net = toy_translator()
    if settings:
        net = build("resnet", {"ngf": 4, "n_blocks": 2, **settings}).eval().requires_grad_(False)
    frame = pan(1)[0]
    held = hold(net, [frame])
    img = image_to_img(frame)
    assert held is not net and held.norm_mode == "eval"
    torch.testing.assert_close(held(img), net(img), atol=1e-4, rtol=0)


def test_statistics_of_a_unet_are_held_too():
    net = build("unet", {"ngf": 4, "n_downs": 5, "norm": "instance", "dropout": False}).eval().requires_grad_(False)
    frame = pan(1, height=32, width=64)[0]
    held = hold(net, [frame])
    torch.testing.assert_close(held(image_to_img(frame)), net(image_to_img(frame)), atol=1e-4, rtol=0)


def test_held_statistics_do_not_change_with_what_comes_into_the_picture():
    net = toy_translator()
    frames = pan(2, step=0)
    frames[1][40:, 60:] = 255
    held = hold(net, frames)
    far = (..., slice(0, 24), slice(0, 24))
    before, after = (image_to_img(frame) for frame in frames)
    torch.testing.assert_close(held(before)[far], held(after)[far], atol=1e-5, rtol=0)
    assert (net(before)[far] - net(after)[far]).abs().mean() > 0.01


def test_statistics_that_do_not_fit_into_memory_come_from_fewer_frames_or_tiles():
    net, frames = toy_translator(), pan(4, height=300, width=400)
    whole, one = hold(net, frames), hold(net, frames, max_memory=180 << 20)
    norms = [layer for layer in whole.modules() if isinstance(layer, frozen.BatchNorm)]
    fewer = [layer for layer in one.modules() if isinstance(layer, frozen.BatchNorm)]
    assert any((a.running_mean != b.running_mean).any() for a, b in zip(norms, fewer, strict=True))


def noisy(frames, seed=0):
    """A restless restyling: inverted, with its own grain in every frame."""
    random = np.random.default_rng(seed)
    return [np.clip(255.0 - frame + random.normal(0, 15, frame.shape), 0, 255).astype(np.uint8) for frame in frames]


def test_the_steadier_the_smaller_the_error_and_at_nought_nothing_changes():
    frames = pan(12)
    styled = noisy(frames)
    errors = []
    for flicker in (0.0, 0.3, 0.8, 1.0):
        made = list(steady((Pair(a, b) for a, b in zip(frames, styled, strict=True)), flicker))
        assert len(made) == 12
        errors.append(film_error(Pair(a, b) for a, b in zip(frames, made, strict=True)))
        if not flicker:
            assert all(a is b for a, b in zip(made, styled, strict=True))
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < errors[0] / 3


def test_a_frame_depends_on_its_neighbours_of_the_same_shot_alone():
    frames = [*pan(6, 1), *pan(6, 2)]
    styled = noisy(frames)

    def made(first, last):
        pairs = (Pair(frames[k], styled[k], k in (0, 6)) for k in range(first, last))
        return list(steady(pairs, 0.8))

    whole = made(0, 12)
    for a, b in zip(made(6, 12), whole[6:], strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(made(0, 6), whole[:6], strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(made(1, 6)[2], whole[3])


def test_what_is_uncovered_is_not_mixed_with_what_covered_it():
    ground, red = scene(3, 64, 96), np.uint8([230, 20, 20])
    frames = []
    for k in range(5):
        frame = ground.copy()
        frame[16:48, 8 + 8 * k : 40 + 8 * k] = red
        frames.append(frame)
    made = list(steady((Pair(frame, frame) for frame in frames), 1.0))
    trail = made[2][20:44, 10:22].astype(int) - frames[2][20:44, 10:22]
    assert np.abs(trail).mean() < 6
