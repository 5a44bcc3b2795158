"""Pairs for pix2pix: found by name or side by side, laid on each other, and refused in words where there are none."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.errors import TrainingError
from studio.training.pairs import prepare_pairs


def save(file: Path, red: int, *, width: int = 48, height: int = 40, seed: int = 0) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(seed).integers(0, 60, (height, width, 3), dtype=np.uint8)
    image[..., 0] = red
    Image.fromarray(image).save(file)


def reds(pictures, index: int) -> tuple[int, int]:
    """The red values of both sides of a pair."""
    pair = pictures.picture(index)
    return int(pair[0, 0, 0]), int(pair[0, 0, 3])


def test_two_folders_pair_by_name_whatever_the_suffix(tmp_path: Path) -> None:
    for k in range(3):
        save(tmp_path / "outline" / f"{k}.png", 10 + k)
        save(tmp_path / "photo" / f"{k}.bmp", 100 + k, width=96, height=80)
    save(tmp_path / "photo" / "lonely.png", 1)
    pairs = prepare_pairs([tmp_path / "outline"], [tmp_path / "photo"], resolution=20)
    assert (len(pairs), pairs.channels, pairs.picture(0).shape) == (3, 6, (20, 24, 6))
    assert [reds(pairs, k) for k in range(3)] == [(10, 100), (11, 101), (12, 102)]
    assert pairs.report.broken == (("lonely.png", "no partner of this name"),)
    turned = prepare_pairs([tmp_path / "outline"], [tmp_path / "photo"], resolution=20, direction="BtoA")
    assert reds(turned, 0) == (100, 10)


def test_equal_pictures_stay_in_their_pairs(tmp_path: Path) -> None:
    for k in range(3):
        save(tmp_path / "a" / f"{k}.png", 7)
        save(tmp_path / "b" / f"{k}.png", 50 + k)
    pairs = prepare_pairs([tmp_path / "a"], [tmp_path / "b"], resolution=20)
    assert [reds(pairs, k) for k in range(3)] == [(7, 50), (7, 51), (7, 52)]


def test_one_folder_holds_pairs_side_by_side(tmp_path: Path) -> None:
    for k in range(2):
        image = np.zeros((40, 81, 3), np.uint8)
        image[:, :40, 0], image[:, 41:, 0] = 10 + k, 200 + k
        (tmp_path / "train").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / "train" / f"{k}.png")
    pairs = prepare_pairs([tmp_path], [], resolution=40)
    assert [reds(pairs, k) for k in range(2)] == [(10, 200), (11, 201)]
    assert int(pairs.picture(0)[:, :, 0].max()) == 10
    assert reds(prepare_pairs([tmp_path], [], resolution=40, direction="BtoA"), 1) == (201, 11)


def test_one_folder_may_hold_the_two_sides_as_sub_folders(tmp_path: Path) -> None:
    save(tmp_path / "A" / "1.png", 10)
    save(tmp_path / "B" / "1.png", 20)
    assert reds(prepare_pairs([tmp_path], [], resolution=20), 0) == (10, 20)


def test_partners_of_different_shape_are_left_out_and_said(tmp_path: Path) -> None:
    for k in range(2):
        save(tmp_path / "a" / f"{k}.png", 1)
        save(tmp_path / "b" / f"{k}.png", 2, width=48 if k else 40, height=40 if k else 48)
    pairs = prepare_pairs([tmp_path / "a"], [tmp_path / "b"], resolution=20)
    assert len(pairs) == 1
    assert pairs.report.broken == (("0.png", "48 x 40 and 40 x 48 are of different shape"),)


def test_folders_without_a_shared_name_are_refused_with_a_way_on(tmp_path: Path) -> None:
    save(tmp_path / "a" / "one.png", 1)
    save(tmp_path / "b" / "two.png", 2)
    with pytest.raises(TrainingError, match=r"none of the 1 pictures .* among the 1 .*one\.png has none.*train cyclegan or cut"):
        prepare_pairs([tmp_path / "a"], [tmp_path / "b"], resolution=20)


@pytest.mark.parametrize("width", [30, 40, 60, 71])
def test_upright_square_and_ordinary_wide_pictures_are_no_pairs(tmp_path: Path, width: int) -> None:
    save(tmp_path / "a" / "one.png", 1, width=width)
    with pytest.raises(TrainingError, match=rf"pix2pix needs pairs.*{width} x 40 is not twice as wide as high.*Give two folders"):
        prepare_pairs([tmp_path / "a"], [], resolution=20)
