"""Restyle a picture of any size with an image translator: same size and aspect out as in.

Pixels in, pixels out; this module does *not* read files, choose devices or know fast paths (they come in as ``forward``).
A residual network sees the picture at its own size, continued by reflection to the multiple that it needs. A U-Net sees it at
the size it was trained at, and its answer is brought back to full size with the detail of the original.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.errors import StudioError
from studio.models.common import Translator
from studio.recipe import Restyle
from studio.restyle import frozen, memory, streaming
from studio.restyle.controls import finish
from studio.restyle.geometry import (
    Image,
    enlarge_with_detail,
    image_to_img,
    img_to_image,
    mirrored,
    padded_side,
    reflect,
    working_size,
)
from studio.restyle.parts import NO_MARGIN, Margin, Parts
from studio.restyle.plain import PlainParts

log = logging.getLogger(__name__)

Forward = Callable[[Tensor], Tensor]
Enlarge = Callable[[Image, int, int], Image]
"""Makes a picture so many pixels wide and high."""
T = TypeVar("T")
Steps = Generator[float, None, T]
"""Yields the share that is done after each strip of work, and returns the result."""

FEATURES = "features"


class CancelledError(StudioError):
    """Somebody asked to stop."""


def restyle(
    net: Translator,
    image: Image,
    *,
    alpha: Image | None = None,
    options: Restyle | None = None,
    max_memory: int | None = None,
    forward: Forward | None = None,
    progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    note: Callable[[str], None] | None = None,
    **wishes: Any,
) -> Image:
    """Translate a picture and bring it back at its own size.

    Args:
        net: The translator.
        image: ``[H, W, 3]`` RGB, any size from 1x1 on.
        alpha: ``[H, W]`` opacity. It passes through unchanged; colours under fully transparent pixels neither influence the
            result nor change.
        options: What is wanted, except ``norm_mode``, ``then`` and ``mix``, which are the engine's business.
        max_memory: Most memory to use, in bytes; None: what is free.
        forward: What runs instead of ``net`` (a fast path of it).
        progress: Told the share that is done, 0 to 1, after each strip of work.
        should_stop: Asked before each strip of work.
        note: Told, in a sentence, what was done otherwise than asked.
        **wishes: Single entries of ``options``, such as ``strength=0.5``.

    Returns:
        ``[H, W, 3]``, or ``[H, W, 4]`` when ``alpha`` is given.

    Raises:
        DeviceError: The picture is too large for the memory; nothing was started.
        StudioError: The network does not take or give RGB or greyscale.
        CancelledError: ``should_stop`` said so.
    """
    wanted = Restyle(**wishes) if options is None else options
    if wanted.strength <= 0:
        check_channels(net)
        memory.check_memory(net, *image.shape[:2], max_memory=max_memory)
        return finish(image, alpha, image, wanted)
    steps = translate(net, image, alpha=alpha, options=wanted, max_memory=max_memory, forward=forward, note=note)
    return finish(image, alpha, exhaust(steps, progress, should_stop), wanted)


def exhaust(steps: Steps[T], progress: Callable[[float], None] | None = None, should_stop: Callable[[], bool] | None = None) -> T:
    """Take all steps of some work and return its result.

    Raises:
        CancelledError: ``should_stop`` said so.
    """
    while True:
        if should_stop is not None and should_stop():
            steps.close()
            raise CancelledError("Cancelled.")
        try:
            share = next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        if progress is not None:
            progress(share)


def translate(
    net: Translator,
    image: Image,
    *,
    alpha: Image | None = None,
    options: Restyle,
    max_memory: int | None = None,
    forward: Forward | None = None,
    note: Callable[[str], None] | None = None,
    strip_pixels: int | None = None,
    enlarge: Enlarge | None = None,
) -> Steps[Image]:
    """Run the network on a picture: the part of restyling that takes time, in full strength in Lab.

    Args:
        net: The translator.
        image: ``[H, W, 3]``.
        alpha: ``[H, W]``; hidden colours do not count.
        options: ``strength`` (in features), ``texture_scale`` and ``detail`` are read.
        max_memory: Most memory to use, in bytes.
        forward: What runs instead of ``net``.
        note: Told what was done otherwise than asked.
        strip_pixels: How much of the picture is worked on at a time where it is streamed; None: as the memory allows.
        enlarge: What makes a picture with larger strokes as large as the photo; None: smoothly, with fine detail of the photo.

    Yields:
        The share that is done. Every step may be taken in another thread, and other work may be done between two.

    Returns:
        ``[H, W, 3]``.

    Raises:
        DeviceError: The picture is too large for the memory; nothing was started.
        StudioError: The network does not take or give RGB or greyscale.
    """
    assert image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8, image.shape
    check_channels(net)
    shown = image if alpha is None else without_hidden(image, alpha)
    gain = 1.0
    if options.strength_space == FEATURES and options.strength < 1:
        if memory.can_stream(net):
            gain = options.strength
        elif note is not None:
            note("This network has no residual blocks, so its strength is a blend of colours.")
    height, width = working_size(net, *image.shape[:2], texture_scale=options.texture_scale)
    if (height, width) == image.shape[:2]:
        result = yield from _run(net, shown, forward, max_memory, note, gain, strip_pixels)
        return result
    left = memory.left_around(net, *image.shape[:2], max_memory=max_memory)
    memory.plan(net, height, width, max_memory=left)
    img = image_to_img(shown)
    small = F.interpolate(img, size=(height, width), mode="bicubic", antialias=True, align_corners=False).clamp_(-1, 1)
    seen = img_to_image(small)
    result = yield from _run(net, seen, forward, left, note, gain, strip_pixels)
    if enlarge is not None and height < image.shape[0]:
        return enlarge(result, image.shape[1], image.shape[0])
    return img_to_image(enlarge_with_detail(image_to_img(result), small, img, amount=options.detail))


def check_channels(net: Translator) -> None:
    """Raise StudioError when a network is not one for colour or greyscale pictures."""
    if net.img_channels_in not in (1, 3) or net.img_channels_out not in (1, 3):
        words = f"takes {net.img_channels_in} and gives {net.img_channels_out} channels"
        raise StudioError(f"This network {words}; restyling needs one for colour (3) or greyscale (1) pictures. Choose another model.")


def without_hidden(image: Image, alpha: Image) -> Image:
    """Put the mean visible colour under fully transparent pixels, so that hidden colours do not colour the result."""
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return image
    mean = np.rint(image[~hidden].mean(0)).astype(np.uint8)
    return np.where(hidden[..., None], mean, image)


def _run(
    net: Translator,
    image: Image,
    forward: Forward | None,
    max_memory: int | None,
    note: Callable[[str], None] | None,
    gain: float,
    strip_pixels: int | None,
) -> Steps[Image]:
    """Run the network on a picture at the picture's own size, the way that fits."""
    parts = fast_parts(forward)
    itemsize = 4 if parts is None else parts.dtype.itemsize
    plan = memory.plan(net, *image.shape[:2], max_memory=max_memory, itemsize=itemsize, in_pieces=gain != 1)
    if note is not None and plan.note:
        note(plan.note)
    picture = Photo(net, image)
    if plan.way == "whole":
        with torch.no_grad():
            result = (forward or net)(picture.rows(0, picture.height))
        picture.take(0, 0, result)
        return picture.result
    if plan.way == "tiled":
        yield from _no_grad(_tiled(net, picture, plan.tile))
        return picture.result
    layout = streaming.Layout(
        picture.height,
        picture.width,
        strip_pixels or plan.strip_pixels,
        keep=plan.keep,
        own=net.norm_mode == "published",
        gain=gain,
        keeps_whole=plan.keeps_whole,
    )
    try:
        yield from _no_grad(streaming.stream(parts or PlainParts(net), net.config, picture, picture.take_rows, layout))
    except (StudioError, torch.OutOfMemoryError, MemoryError):
        raise
    except Exception:
        give_up = getattr(forward, "give_up", None)
        if parts is None or give_up is None:
            raise
        log.exception("a fast path failed; the plain module goes on")
        give_up()
        again = yield from _run(net, image, forward, max_memory, note, gain, strip_pixels)
        return again
    return picture.result


def _no_grad(steps: Any) -> Steps[None]:
    """Take steps without gradients, whatever the caller's thread has set."""
    while True:
        with torch.no_grad():
            share = next(steps, None)
        if share is None:
            return
        yield share


def fast_parts(forward: Forward | None) -> Parts | None:
    """Return the pieces that a fast path is made of, if it has any."""
    way = getattr(forward, "way", forward)
    if not hasattr(way, "stages") or not hasattr(way, "closing"):
        return None
    from studio.restyle.fast import FastParts

    fast: Any = way
    return FastParts(fast)


def _tiled(net: Any, picture: Photo, tile: int) -> Any:
    """Run a picture in tiles with statistics of samples."""
    reach = memory.halo(net.config)
    count = max(1, min(frozen.MOST_SAMPLES, (tile + 2 * reach) ** 2 // frozen.SAMPLE_SIDE**2))
    samples = frozen.sample_tiles(picture, picture.height, picture.width, count=count)
    twin = frozen.freeze(net, frozen.measure(net, samples))
    yield 0.0
    size = (picture.height, picture.width)
    yield from frozen.run_tiles(twin, picture, picture.take, size, tile=tile, halo=reach)


class Photo:
    """A picture on its way through a network: rows of it as the network wants them, and the rows that come back."""

    def __init__(self, net: Any, image: Image) -> None:
        self.image, self.result = image, np.empty_like(image)
        self.device = next(net.parameters()).device if isinstance(net, torch.nn.Module) else torch.device("cpu")
        self.is_grey = net.img_channels_in == 1
        self.height, self.width = (padded_side(net, side) for side in image.shape[:2])

    def rows(self, top: int, bottom: int, margin: Margin = NO_MARGIN) -> Tensor:
        """Return rows of the picture, continued by reflection, ``[1, C, n, width]`` float32 in [-1, 1]."""
        height = self.image.shape[0]
        rows = self.image[mirrored(height, bottom, torch.device("cpu"))[top:].numpy()] if bottom > height else self.image[top:bottom]
        img = reflect(image_to_img(rows).to(self.device), bottom - top, self.width)
        if self.is_grey:
            img = (img * img.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
        if not any(margin[:4]):
            return img
        return F.pad(img, (margin.left, margin.right, margin.top, margin.bottom), mode="reflect")

    def take_rows(self, top: int, values: Tensor) -> None:
        """Put whole rows of the network's answer into the result."""
        self.take(top, 0, values)

    def take(self, top: int, left: int, values: Tensor) -> None:
        """Put part of the network's answer ``[1, C, h, w]`` into the result; what lies beyond the picture is left out."""
        height, width = self.image.shape[:2]
        rows, columns = min(values.shape[2], height - top), min(values.shape[3], width - left)
        if rows > 0 and columns > 0:
            part = values[..., :rows, :columns].expand(1, 3, rows, columns)
            self.result[top : top + rows, left : left + columns] = img_to_image(part)
