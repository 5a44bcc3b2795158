"""Copies of training pictures are found, mirrored and noisy ones too; pictures of the same kind, and averages, are none."""

from collections.abc import Iterator

import numpy as np

from studio.training.copies import NearestReal


def faces(n: int, seed: int) -> np.ndarray:
    """Pictures from one family with six degrees of freedom, uint8 ``[n, 32, 32, 3]``."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:32, 0:32] / 32
    waves = np.stack(
        [np.sin(2 * np.pi * (a * x + b * y) + c) for a, b, c in ((1, 0, 0.3), (0, 1, 1), (1, 1, 2), (2, 1, 0), (1, 2, 4), (2, 2, 1))]
    )
    images = 128 + 20 * np.tensordot(rng.normal(size=(n, 6)), waves, 1)
    return np.repeat(images[..., None], 3, 3).clip(0, 255).astype(np.uint8)


def halves(images: np.ndarray) -> Iterator[np.ndarray]:
    yield images[: len(images) // 2]
    yield images[len(images) // 2 :]


def test_a_copy_is_found_even_mirrored_and_noisy() -> None:
    real = faces(300, 1)
    nearest = NearestReal(halves(real), mirror=True)
    noise = np.random.default_rng(5).integers(-6, 7, real[:20].shape)
    samples = (real[:20].astype(int) + noise).clip(0, 255).astype(np.uint8)
    samples[10:] = samples[10:, :, ::-1]
    share, pairs = nearest.copies(samples)
    assert share == 1.0
    assert pairs == [(i, i) for i in range(20)]
    assert NearestReal(halves(real), mirror=False).copies(samples)[0] < 0.9


def test_other_pictures_of_the_same_kind_are_no_copies() -> None:
    real, others = faces(300, 1), faces(200, 2)
    assert NearestReal(halves(real), mirror=True).copies(others)[0] < 0.1


def test_an_average_of_pictures_is_no_copy() -> None:
    rng = np.random.default_rng(0)
    real = rng.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    average = real.mean(0, keepdims=True).astype(np.uint8)
    assert NearestReal(halves(real), mirror=True).copies(average)[0] == 0.0


def test_pictures_in_parts_of_any_size_give_the_same_distances(monkeypatch) -> None:
    from studio.training import copies

    real, samples = faces(50, 1), faces(10, 2)
    whole = NearestReal(halves(real), mirror=True).nearest(copies.small(samples))
    monkeypatch.setattr(copies, "CHUNK", 7)
    parts = NearestReal(iter([real[:1], real[1:]]), mirror=True).nearest(copies.small(samples))
    assert np.allclose(whole[0], parts[0], atol=1e-4)
    assert (whole[1] == parts[1]).all()
