"""Low-pass filters: unit gain at DC, symmetry, and passing below the cutoff what they stop above it."""

import math

import numpy as np
import pytest
import torch

from studio.models.filters import design_lowpass, kaiser_attenuation, kaiser_beta

BAND = {"cutoff": 20.0, "half_width": 13.0, "sampling_rate": 128.0}


@pytest.mark.parametrize("radial", [False, True])
@pytest.mark.parametrize("taps", [5, 12, 24])
def test_a_filter_passes_a_constant_unchanged(taps: int, radial: bool) -> None:
    kernel = design_lowpass(taps, **BAND, radial=radial)
    assert kernel is not None and kernel.dtype == torch.float32
    assert kernel.shape == ((taps, taps) if radial else (taps,))
    assert float(kernel.double().sum()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("radial", [False, True])
@pytest.mark.parametrize("taps", [5, 12])
def test_a_filter_is_symmetric_so_that_it_moves_nothing(taps: int, radial: bool) -> None:
    kernel = design_lowpass(taps, **BAND, radial=radial)
    assert kernel is not None
    assert torch.equal(kernel, kernel.flip(list(range(kernel.ndim))))
    if radial:
        assert torch.equal(kernel, kernel.T)


@pytest.mark.parametrize("radial", [False, True])
def test_a_filter_passes_below_its_cutoff_and_stops_above(radial: bool) -> None:
    kernel = design_lowpass(24, cutoff=20.0, half_width=7.0, sampling_rate=128.0, radial=radial)
    assert kernel is not None
    row = kernel.sum(0) if radial else kernel
    assert abs(_gain(row.numpy(), 8 / 128)) == pytest.approx(1, abs=0.03)
    assert abs(_gain(row.numpy(), 20 / 128)) == pytest.approx(0.5, abs=0.06)
    assert abs(_gain(row.numpy(), 30 / 128)) < 0.03


def _gain(row: np.ndarray, frequency: float) -> complex:
    place = np.arange(len(row)) - (len(row) - 1) / 2
    return complex((row * np.exp(-2j * math.pi * frequency * place)).sum())


def test_a_radial_filter_treats_the_diagonal_like_the_axes_where_a_separable_one_does_not() -> None:
    separable = design_lowpass(24, cutoff=20.0, half_width=7.0, sampling_rate=128.0)
    radial = design_lowpass(24, cutoff=20.0, half_width=7.0, sampling_rate=128.0, radial=True)
    assert separable is not None and radial is not None
    along = abs(_gain(radial.sum(0).numpy(), 20 / 128))
    diagonal = abs(_gain_2d(radial.numpy(), 20 / 128 / math.sqrt(2)))
    assert diagonal == pytest.approx(along, abs=0.01)
    separable_diagonal = abs(_gain(separable.numpy(), 20 / 128 / math.sqrt(2))) ** 2
    assert abs(separable_diagonal - abs(_gain(separable.numpy(), 20 / 128))) > 0.1


def _gain_2d(kernel: np.ndarray, frequency: float) -> complex:
    place = np.arange(len(kernel)) - (len(kernel) - 1) / 2
    x, y = np.meshgrid(place, place)
    return complex((kernel * np.exp(-2j * math.pi * frequency * (x + y))).sum())


def test_one_tap_means_no_filter() -> None:
    assert design_lowpass(1, **BAND) is None


def test_more_taps_or_a_wider_transition_attenuate_more() -> None:
    assert kaiser_attenuation(24, 0.3) > kaiser_attenuation(12, 0.3)
    assert kaiser_attenuation(12, 0.5) > kaiser_attenuation(12, 0.3)
    betas = [kaiser_beta(attenuation) for attenuation in (10, 21, 30, 50, 51, 80)]
    assert betas == sorted(betas) and betas[0] == 0
