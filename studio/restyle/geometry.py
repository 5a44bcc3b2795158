"""Pixels and sizes: from bytes to floats and back, continuing by reflection, enlarging with the original's detail.

Pure functions. This is *not* where networks run; see ``picture.py``.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from studio.models.common import Translator

Image = NDArray[np.uint8]

LONGEST_TO_TRAINED = 8
"""A picture longer than this many times a U-Net's trained size is squeezed on its long side."""


def image_to_img(image: Image) -> Tensor:
    """Turn ``image [H, W, 3]`` uint8 into ``img [1, 3, H, W]`` float32 in [-1, 1]."""
    return torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1)[None].float().div_(127.5).sub_(1)


def img_to_image(img: Tensor) -> Image:
    """Turn ``img [1, 3, H, W]`` into ``image [H, W, 3]`` uint8 by the translators' convention, ``(x + 1) / 2 * 255`` rounded."""
    scaled = torch.nan_to_num(img[0].float()).add(1).mul_(127.5).round_().clamp_(0, 255)
    image: Image = scaled.to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
    return image


def padded_side(net: Translator, pixels: int) -> int:
    """Return the side a network is given for a side of ``pixels``: the next multiple, and at least its smallest."""
    wanted = max(pixels, net.min_size)
    return wanted + -wanted % net.multiple_of


def reflect(img: Tensor, height: int, width: int) -> Tensor:
    """Continue ``img [n, C, H, W]`` below and to the right to ``height`` and ``width`` by reflection, as often as needed."""
    rows, columns = (mirrored(have, want, img.device) for have, want in zip(img.shape[2:], (height, width), strict=True))
    if img.shape[2] != height:
        img = img[:, :, rows]
    return img if img.shape[3] == width else img[:, :, :, columns]


def mirrored(have: int, want: int, device: torch.device) -> Tensor:
    """Return which of ``have`` rows stands at each of ``want``: 0 1 2 1 0 1 ... for 3 (one row is repeated)."""
    period = max(1, 2 * (have - 1))
    index = torch.arange(want, device=device) % period
    return torch.minimum(index, period - index) if have > 1 else torch.zeros_like(index)


def working_size(net: Translator, height: int, width: int, *, texture_scale: float = 1.0) -> tuple[int, int]:
    """Return the size a picture has when the network sees it, before padding.

    A residual network sees the picture as it is, or smaller by ``texture_scale``, so that its strokes are that much larger. A
    U-Net has one trained size, which becomes the short side; it cannot see less, only more.
    """
    if net.family != "unet":
        if texture_scale == 1:
            return height, width
        return max(1, round(height / texture_scale)), max(1, round(width / texture_scale))
    trained = net.min_size
    scale = max(1.0, 1 / texture_scale) * trained / min(height, width)
    longest = LONGEST_TO_TRAINED * trained
    return min(max(trained, round(height * scale)), longest), min(max(trained, round(width * scale)), longest)


def enlarge_with_detail(result: Tensor, small: Tensor, img: Tensor, *, amount: float = 1.0) -> Tensor:
    """Bring a translation of a reduced picture to the size of the original and give it back the original's detail.

    The translation is enlarged smoothly. What reducing took from the lightness of the original is added, times the slope
    with which the translation follows that lightness around each place (a guided filter's linear model), so edges become
    sharp where the translation has an edge too, and nothing is added where it goes its own way.

    Args:
        result: Translation of ``small``, ``[1, 3, h, w]``.
        small: The reduced picture, ``[1, 3, h, w]``.
        img: The original, ``[1, 3, H, W]``.
        amount: How much of the detail is given back, 0 to 1.

    Returns:
        ``[1, 3, H, W]``.

    Reference:
        He, Sun and Tang 2013, "Guided Image Filtering", equations 5 and 6; He and Sun 2015, "Fast Guided Filter".
    """
    size = img.shape[2:]
    smooth = F.interpolate(result, size=size, mode="bicubic", antialias=True, align_corners=False)
    if amount <= 0 or size[0] * size[1] <= result.shape[2] * result.shape[3]:
        return smooth
    guide, full_guide = small.mean(1, keepdim=True), img.mean(1, keepdim=True)
    mean, mean_result = _box(guide), _box(result)
    variance = _box(guide * guide) - mean * mean
    slope = (_box(guide * result) - mean * mean_result) / (variance + 0.01)
    slope = F.interpolate(slope.clamp_(-1, 1.5), size=size, mode="bilinear", align_corners=False)
    lost = full_guide - F.interpolate(guide, size=size, mode="bicubic", align_corners=False)
    return smooth + amount * slope * lost


def _box(x: Tensor, radius: int = 4) -> Tensor:
    """Average over ``2 radius + 1`` pixels each way, fewer at the border."""
    return F.avg_pool2d(x, 2 * radius + 1, stride=1, padding=radius, count_include_pad=False)
