"""Restyle a picture of any size with an image translator: same size and aspect out as in.

Pixels in, pixels out; this module does *not* read files, choose devices or know fast paths (they come in as ``forward``).
A residual network sees the picture at its own size, continued by reflection to the multiple that it needs. A U-Net sees it at
the size it was trained at, and its answer is brought back to full size with the detail of the original.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from studio import lab
from studio.errors import DeviceError, StudioError
from studio.models.common import Translator

Image = NDArray[np.uint8]
Forward = Callable[[Tensor], Tensor]

LONGEST_TO_TRAINED = 8
"""A picture longer than this many times a U-Net's trained size is squeezed on its long side."""


def restyle(
    net: Translator,
    image: Image,
    *,
    alpha: Image | None = None,
    strength: float = 1.0,
    keep_colors: bool = False,
    max_memory: int | None = None,
    forward: Forward | None = None,
) -> Image:
    """Translate a picture and bring it back at its own size.

    Args:
        net: The translator.
        image: ``[H, W, 3]`` RGB, any size from 1x1 on.
        alpha: ``[H, W]`` opacity. It passes through unchanged; colours under fully transparent pixels neither influence the
            result nor change.
        strength: 0 gives the picture itself, 1 the full style; between, a blend in Lab.
        keep_colors: Keep the picture's own colours and take only lightness from the style.
        max_memory: Most memory to use, in bytes; None: what is free.
        forward: What runs instead of ``net`` (a fast path of it).

    Returns:
        ``[H, W, 3]``, or ``[H, W, 4]`` when ``alpha`` is given.

    Raises:
        DeviceError: The picture is too large for the memory; nothing was started.
        StudioError: The network does not take or give RGB or greyscale.
    """
    assert image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8, image.shape
    check_memory(net, *image.shape[:2], max_memory=max_memory)
    if strength <= 0:
        result = image
    else:
        shown = image if alpha is None else _without_hidden(image, alpha)
        result = lab.blend(image, _translate(net, shown, forward or net), strength=strength, keep_colors=keep_colors)
    if alpha is None:
        return np.array(result)
    result = np.where(alpha[..., None] == 0, image, result)
    return np.dstack([result, alpha])


def _without_hidden(image: Image, alpha: Image) -> Image:
    """Put the mean visible colour under fully transparent pixels, so that hidden colours do not colour the result."""
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return image
    mean = np.rint(image[~hidden].mean(0)).astype(np.uint8)
    return np.where(hidden[..., None], mean, image)


@torch.no_grad()
def _translate(net: Translator, image: Image, forward: Forward) -> Image:
    """Run the network on a picture of any size."""
    device = next(net.parameters()).device if isinstance(net, torch.nn.Module) else torch.device("cpu")
    img = image_to_img(image).to(device)
    if net.img_channels_in not in (1, 3) or net.img_channels_out not in (1, 3):
        words = f"takes {net.img_channels_in} and gives {net.img_channels_out} channels"
        raise StudioError(f"This network {words}; restyling needs one for colour (3) or greyscale (1) pictures. Choose another model.")
    height, width = working_size(net, *image.shape[:2])
    if (height, width) == image.shape[:2]:
        result = _padded_run(net, img, forward)
    else:
        small = F.interpolate(img, size=(height, width), mode="bicubic", antialias=True, align_corners=False).clamp_(-1, 1)
        result = enlarge_with_detail(_padded_run(net, small, forward), small, img)
    return img_to_image(result)


def _padded_run(net: Translator, img: Tensor, forward: Forward) -> Tensor:
    """Continue ``img [1, 3, H, W]`` by reflection to what the network takes, run it, cut back; always three channels."""
    if net.img_channels_in == 1:
        img = (img * img.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    height, width = img.shape[2:]
    result = forward(reflect(img, padded_side(net, height), padded_side(net, width)))
    return result[..., :height, :width].expand(1, 3, height, width)


def image_to_img(image: Image) -> Tensor:
    """Turn ``image [H, W, 3]`` uint8 into ``img [1, 3, H, W]`` float32 in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float().div_(127.5).sub_(1)


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
    rows, columns = (_mirrored(have, want, img.device) for have, want in zip(img.shape[2:], (height, width), strict=True))
    if img.shape[2] != height:
        img = img[:, :, rows]
    return img if img.shape[3] == width else img[:, :, :, columns]


def _mirrored(have: int, want: int, device: torch.device) -> Tensor:
    """Return which of ``have`` rows stands at each of ``want``: 0 1 2 1 0 1 ... for 3 (one row is repeated)."""
    period = max(1, 2 * (have - 1))
    index = torch.arange(want, device=device) % period
    return torch.minimum(index, period - index) if have > 1 else torch.zeros_like(index)


def working_size(net: Translator, height: int, width: int) -> tuple[int, int]:
    """Return the size a picture has when the network sees it, before padding.

    A residual network sees the picture as it is. A U-Net has one trained size, which becomes the short side.
    """
    if net.family != "unet":
        return height, width
    trained = net.min_size
    scale = trained / min(height, width)
    longest = LONGEST_TO_TRAINED * trained
    return min(max(trained, round(height * scale)), longest), min(max(trained, round(width * scale)), longest)


def enlarge_with_detail(result: Tensor, small: Tensor, img: Tensor) -> Tensor:
    """Bring a translation of a reduced picture to the size of the original and give it back the original's detail.

    The translation is enlarged smoothly. What reducing took from the lightness of the original is added, times the slope
    with which the translation follows that lightness around each place (a guided filter's linear model), so edges become
    sharp where the translation has an edge too, and nothing is added where it goes its own way.

    Args:
        result: Translation of ``small``, ``[1, 3, h, w]``.
        small: The reduced picture, ``[1, 3, h, w]``.
        img: The original, ``[1, 3, H, W]``.

    Returns:
        ``[1, 3, H, W]``.

    Reference:
        He, Sun and Tang 2013, "Guided Image Filtering", equations 5 and 6; He and Sun 2015, "Fast Guided Filter".
    """
    size = img.shape[2:]
    smooth = F.interpolate(result, size=size, mode="bicubic", antialias=True, align_corners=False)
    if size[0] * size[1] <= result.shape[2] * result.shape[3]:
        return smooth
    guide, full_guide = small.mean(1, keepdim=True), img.mean(1, keepdim=True)
    mean, mean_result = _box(guide), _box(result)
    variance = _box(guide * guide) - mean * mean
    slope = (_box(guide * result) - mean * mean_result) / (variance + 0.01)
    slope = F.interpolate(slope.clamp_(-1, 1.5), size=size, mode="bilinear", align_corners=False)
    lost = full_guide - F.interpolate(guide, size=size, mode="bicubic", align_corners=False)
    return smooth + slope * lost


def _box(x: Tensor, radius: int = 4) -> Tensor:
    """Average over ``2 radius + 1`` pixels each way, fewer at the border."""
    return F.avg_pool2d(x, 2 * radius + 1, stride=1, padding=radius, count_include_pad=False)


def estimate_memory(net: Translator, height: int, width: int) -> int:
    """Estimate the memory that restyling a picture takes on top of the network itself, in bytes.

    Counts the widest layers of the plain network in float32, which is an upper bound for the fast paths.
    """
    seen = working_size(net, height, width)
    pixels = padded_side(net, seen[0]) * padded_side(net, seen[1])
    return int(pixels * _bytes_per_pixel(net.family, net.config) + height * width * BYTES_AROUND)


BYTES_AROUND = 100
"""Per pixel of the picture: itself as bytes and floats, the result, and what blending needs."""


def _bytes_per_pixel(family: str, config: dict[str, Any]) -> float:
    """Return what the widest moment of a network takes per pixel of its input (fitted to measured peaks, rounded up)."""
    ngf = int(config["ngf"])
    if family == "unet":
        return 10.0 * ngf
    is_plain = (config.get("downsample"), config.get("upsample")) == ("strided", "transposed")
    return (500 + 9 * ngf) * (1.0 if is_plain else 1.4)


def check_memory(net: Translator, height: int, width: int, *, max_memory: int | None = None) -> None:
    """Raise before any work starts when a picture is too large for the memory.

    Args:
        net: The translator, on its device.
        height: Rows of the picture.
        width: Columns of the picture.
        max_memory: Most memory to use, in bytes; None: what is free on the network's device.

    Raises:
        DeviceError: Says how much is needed, how much there is, and what size would fit.
    """
    needed, free = estimate_memory(net, height, width), _free_memory(net)
    limit = free if max_memory is None else min(free, max_memory)
    if needed <= limit:
        return
    share = 0.98 * (limit / needed) ** 0.5
    fits = f"{max(1, int(width * share))} x {max(1, int(height * share))}"
    kind = "are free" if max_memory is None or free < max_memory else "may be used"
    raise DeviceError(
        f"The picture ({width} x {height}) needs about {needed / 1e9:.1f} GB of memory and {limit / 1e9:.1f} GB {kind}. "
        f"Reduce it to {fits} or choose a smaller model."
    )


def _free_memory(net: Translator) -> int:
    """Return the free memory of the device that the network is on, in bytes."""
    if isinstance(net, torch.nn.Module):
        device = next(net.parameters()).device
        if device.type == "cuda":
            return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
