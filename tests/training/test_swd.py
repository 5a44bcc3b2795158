"""The sliced Wasserstein distance: zero for equal sets, and it tells texture from composition by the level that grows."""

import numpy as np
import torch
from torch.nn import functional as F

from studio.training.swd import laplacian_pyramid, sliced_wasserstein


def clouds(n: int, side: int, seed: int) -> np.ndarray:
    """Pictures with structure at every scale, uint8 ``[n, side, side, 3]``."""
    generator = torch.Generator().manual_seed(seed)
    x = sum(F.interpolate(torch.randn(n, 3, s, s, generator=generator), size=side, mode="bicubic") * s**-0.5 for s in (2, 4, 8, 16, side))
    return (x.permute(0, 2, 3, 1) * 40 + 128).clamp(0, 255).byte().numpy()


def test_a_set_lies_nowhere_from_itself_and_near_another_of_its_kind() -> None:
    a, b = clouds(32, 32, 1), clouds(32, 32, 2)
    assert set(sliced_wasserstein(a, a).values()) == {0.0}
    same = sliced_wasserstein(a, b)
    other = sliced_wasserstein(a, np.zeros_like(a) + b[:1])
    assert set(same) == {32, 16}
    assert all(same[level] < other[level] for level in same)


def test_noise_shows_at_the_finest_level_and_not_at_the_coarsest() -> None:
    a = clouds(48, 64, 1)
    noise = np.random.default_rng(0).normal(0, 12, a.shape)
    checker = np.where(np.indices((64, 64)).sum(0) % 2, 30, -30)[None, :, :, None]
    noisy = (a.astype(float) + checker * (noise > 0)).clip(0, 255).astype(np.uint8)
    found, usual = sliced_wasserstein(a, noisy), sliced_wasserstein(a, clouds(48, 64, 3))
    assert found[64] > 3 * usual[64]
    assert found[16] < usual[16]


def test_the_bands_of_a_pyramid_sum_to_the_picture() -> None:
    image = clouds(2, 64, 4)
    bands = laplacian_pyramid(image)
    assert [band.shape[-1] for band in bands] == [64, 32, 16]
    from studio.training import swd

    whole = bands[-1]
    for band in bands[-2::-1]:
        whole = band + swd._larger(whole, band.shape[2:])
    wanted = torch.from_numpy(image).permute(0, 3, 1, 2).float() / 127.5 - 1
    assert torch.allclose(whole, wanted, atol=1e-5)


def test_it_equals_the_exact_distance_of_sorted_values_along_one_line() -> None:
    from studio.training import swd

    a, b = torch.randn(50, 4), torch.randn(50, 4) + 1
    lines = F.normalize(torch.randn(4, swd.LINES, generator=torch.Generator().manual_seed(3)), dim=0)
    wanted = np.mean([np.abs(np.sort(a.numpy() @ v) - np.sort(b.numpy() @ v)).mean() for v in lines.numpy().T])
    assert abs(swd._along_lines(a, b, torch.Generator().manual_seed(3)) - wanted) < 1e-5
