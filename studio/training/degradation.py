"""What an enlarger learns to undo: originals made small, soft, grainy and compressed, each to another degree.

Everything is drawn from one generator, so that a resumed run meets the same pictures. This is *not* augmentation: the original, which is
the answer, stays as it is.

Reference:
    Wang et al. 2021, "Real-ESRGAN", section 3.1 (one round of it; two rounds teach a network to smooth pictures that are small but clean,
    which those of generators are).
"""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

UInt8 = npt.NDArray[np.uint8]

FILTERS = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
CLEAN = 0.3
"""Share of pictures that are made smaller and nothing else."""
SOFTEST = 0.6
"""Widest blur, in pixels of the small picture."""
LOUDEST = 8.0
"""Strongest grain, in levels."""
COARSEST, FINEST = 60, 95
"""JPEG qualities."""


def degrade(originals: UInt8, scale: int, rng: np.random.Generator) -> UInt8:
    """Make originals uint8 ``[n, S, S, 3]`` into what a network is given: ``[n, S / scale, S / scale, 3]``."""
    return np.stack([_degraded(original, scale, rng) for original in originals])


def _degraded(original: UInt8, scale: int, rng: np.random.Generator) -> UInt8:
    side = len(original) // scale
    is_clean = rng.random() < CLEAN
    sigma, grain, quality = (float(value) for value in rng.random(3))
    kind = FILTERS[rng.integers(len(FILTERS))]
    noise = rng.standard_normal((side, side, 1 if rng.random() < 0.5 else 3))
    picture = Image.fromarray(original)
    if not is_clean:
        picture = picture.filter(ImageFilter.GaussianBlur(sigma * SOFTEST * scale))
    small: UInt8 = np.asarray(picture.resize((side, side), kind))
    if is_clean:
        return small
    small = np.clip(small + noise * (grain * LOUDEST), 0, 255).round().astype(np.uint8)
    if rng.random() < 0.5:
        return small
    packed = io.BytesIO()
    Image.fromarray(small).save(packed, "JPEG", quality=int(COARSEST + quality * (FINEST - COARSEST)))
    unpacked: UInt8 = np.asarray(Image.open(packed))
    return unpacked
