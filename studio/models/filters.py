"""Design of the low-pass filters that make StyleGAN3 alias-free: windowed sinc, and its rotationally symmetric cousin.

This is *not* where filters are applied (``ops.py``) and not where a network's rates and cutoffs are chosen (``stylegan3.py``).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor


def kaiser_attenuation(taps: int, width: float) -> float:
    """Return the stop-band attenuation in dB that a Kaiser-windowed filter of ``taps`` taps reaches.

    Args:
        taps: Length of the filter, >= 1.
        width: Width of the whole transition band as a fraction of the Nyquist frequency.

    Reference:
        Kaiser 1974; Karras et al. 2021, "Alias-Free Generative Adversarial Networks", appendix C.
    """
    return 2.285 * (taps - 1) * math.pi * width + 7.95


def kaiser_beta(attenuation: float) -> float:
    """Return the shape parameter of the Kaiser window that reaches an attenuation in dB.

    Reference:
        Kaiser 1974; Karras et al. 2021, appendix C.
    """
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    if attenuation >= 21:
        return 0.5842 * math.pow(attenuation - 21, 0.4) + 0.07886 * (attenuation - 21)
    return 0.0


def design_lowpass(taps: int, *, cutoff: float, half_width: float, sampling_rate: float, radial: bool = False) -> Tensor | None:
    """Design a low-pass filter of unit gain at DC.

    Args:
        taps: Length per axis; 1 means that no filter is needed.
        cutoff: Where the gain falls to one half, in cycles per picture width.
        half_width: Half the width of the transition band, same unit.
        sampling_rate: Samples per picture width of the signal that is filtered; at least twice the cutoff.
        radial: Design a rotationally symmetric filter (jinc) instead of one to be applied along x and then y (sinc).

    Returns:
        float32 ``[taps]`` for the separable kind, ``[taps, taps]`` for the radial one, None for a single tap.

    Reference:
        Karras et al. 2021, appendix C (config R uses the radial form).
    """
    assert taps >= 1
    if taps == 1:
        return None
    nyquist = sampling_rate / 2
    window = np.kaiser(taps, kaiser_beta(kaiser_attenuation(taps, 2 * half_width / nyquist)))
    place = (np.arange(taps) - (taps - 1) / 2) / sampling_rate
    if radial:
        kernel = _jinc(np.hypot(*np.meshgrid(place, place)), cutoff) * np.outer(window, window)
    else:
        kernel = np.sinc(2 * cutoff * place) * window
    return torch.from_numpy(kernel / kernel.sum()).to(torch.float32)


def _jinc(radius: np.ndarray, cutoff: float) -> np.ndarray:
    """Evaluate the impulse response of a disc in the frequency plane, up to a constant factor."""
    at = 2 * math.pi * cutoff * radius
    bessel = torch.special.bessel_j1(torch.from_numpy(at)).numpy()
    return np.where(at > 0, bessel / np.where(at > 0, at, 1.0), 0.5)
