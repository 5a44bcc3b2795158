"""The measures rank what a person would rank."""

import numpy as np
import torch

from studio.training import metrics


def stripes(n: int, seed: int, blur: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, 32, 32, 3)).astype(np.float32)
    for axis in (1, 2):
        images = sum(np.roll(images, k, axis) for k in range(blur)) / blur
    return images.astype(np.uint8)


def test_pictures_of_one_kind_have_a_kid_near_zero_and_blurred_ones_do_not() -> None:
    features = metrics.RandomFeatures()
    real, same, blurred = features(stripes(64, 0)), features(stripes(64, 1)), features(stripes(64, 2, blur=3))
    assert abs(metrics.kid(real, same)) < 0.1 * metrics.kid(real, blurred)


def test_the_features_are_the_same_every_time() -> None:
    images = stripes(4, 0)
    assert torch.equal(metrics.RandomFeatures()(images), metrics.RandomFeatures()(images))


def test_the_kid_does_not_depend_on_the_order_of_pictures() -> None:
    features = metrics.RandomFeatures()
    real, fake = features(stripes(16, 0)), features(stripes(16, 1, blur=2))
    assert np.isclose(metrics.kid(real, fake), metrics.kid(real.flip(0), fake.flip(0)))


def test_copies_of_one_picture_have_no_diversity() -> None:
    one = np.repeat(stripes(1, 0), 5, axis=0)
    assert metrics.diversity(one) == 0.0
    assert metrics.diversity(stripes(5, 0)) > 1.0
