"""Laws of the flash limiter: never more than three large flashes in a second, and nothing else is touched."""

from fractions import Fraction

import numpy as np
import pytest

from studio.flashes import FLASHES_PER_SECOND, FlashLimiter, count_flashes, limit_flashes


def blink(count, every, *, size=(36, 48), area=1.0, low=0, high=255, channels=3, red=False):
    frames = []
    for index in range(count):
        frame = np.full((*size, channels), low, np.uint8)
        if (index // every) % 2:
            frame[: round(size[0] * area), :, slice(0, 1) if red else slice(0, 3)] = high
        frames.append(frame)
    return frames


def events_in_every_second(frames, rate):
    return max(
        count_flashes(frames[start : start + int(rate)], rate).worst_second for start in range(0, max(1, len(frames) - int(rate)), 3)
    )


@pytest.mark.parametrize(("rate", "every"), [(30, 1), (30, 2), (24, 3), (60, 4), (Fraction(30000, 1001), 2), (120, 5)])
def test_a_strobe_comes_out_with_at_most_three_flashes_in_any_second(rate, every):
    frames = blink(int(3 * rate), every)
    assert count_flashes(frames, rate).worst_second > FLASHES_PER_SECOND
    shown = list(limit_flashes(frames, rate))
    report = count_flashes(shown, rate)
    assert report.is_safe and len(shown) == len(frames)
    assert events_in_every_second(shown, rate) <= FLASHES_PER_SECOND
    assert report.general >= 6, "three flashes a second are still shown"


@pytest.mark.parametrize(
    "frames",
    [
        blink(90, 6, area=0.2),
        blink(90, 2, low=100, high=115),
        blink(90, 1, low=245, high=255),
        blink(90, 10),
        [np.full((20, 20, 3), min(index * 3, 255), np.uint8) for index in range(90)],
    ],
    ids=["a small area", "faint", "both bright", "three in two seconds", "a fade"],
)
def test_what_is_no_danger_passes_untouched(frames):
    shown = list(limit_flashes(frames, 30))
    assert all(after is before for before, after in zip(frames, shown, strict=True))
    assert count_flashes(frames, 30).is_safe


def test_red_flashes_count_although_they_are_dark():
    frames = blink(90, 2, high=90, red=True)
    report = count_flashes(frames, 30)
    assert report.red > 0 and report.general == 0 and not report.is_safe
    assert count_flashes(list(limit_flashes(frames, 30)), 30).is_safe


def test_a_flash_is_a_pair_of_opposing_changes():
    frames = blink(4 * 10, 10)
    report = count_flashes(frames, 30)
    assert report.general == 3 and report.worst_second == 1.5
    up = [np.full((8, 8, 3), value, np.uint8) for value in (0, 90, 140, 180, 200)]
    assert count_flashes(up, 30).general == 1


def test_the_edge_of_the_area_is_a_quarter():
    assert count_flashes(blink(60, 2, size=(32, 32), area=0.25), 30).general > 0
    assert count_flashes(blink(60, 2, size=(32, 32), area=0.21), 30).general == 0


def test_the_limiter_looks_back_only_and_is_the_same_every_time():
    frames = blink(60, 2)
    whole = list(limit_flashes(frames, 30))
    again = list(limit_flashes(frames[:40], 30))
    assert all(np.array_equal(a, b) for a, b in zip(whole, again, strict=False))
    limiter = FlashLimiter(30)
    assert all(np.array_equal(limiter.take(frame), shown) for frame, shown in zip(frames, whole, strict=True))


def test_noise_and_transparency_and_tiny_pictures_are_taken():
    random = np.random.RandomState(0)
    for shape in ((1, 1, 3), (7, 200, 4), (300, 40, 3)):
        frames = [random.randint(0, 256, shape).astype(np.uint8) for _ in range(40)]
        shown = list(limit_flashes(frames, 25))
        assert count_flashes(shown, 25).is_safe and shown[0].shape == shape


def test_nothing_in_gives_nothing_out():
    assert list(limit_flashes([], 30)) == [] and count_flashes([], 30).is_safe


@pytest.mark.parametrize(("width", "period"), [(1024, 16), (512, 8), (1080, 16)])
def test_stripes_that_are_finer_than_the_grid_of_places_are_seen(width, period):
    """Fifteen of every sixteen columns alternate between black and white; a measure that looks at every sixteenth sees nothing."""
    frames = [np.zeros((64, width, 3), np.uint8) for _ in range(60)]
    for frame in frames[::2]:
        frame[:, np.arange(width) % period != 0] = 255
    assert not count_flashes(frames, 30).is_safe and count_flashes(limit_flashes(frames, 30), 30).is_safe
