"""How much memory a picture will take, and which way of restyling it fits: decided before any work starts.

A small picture goes through the network whole. A larger one is streamed (``streaming.py``), which is as exact. When even the two
maps at the resolution of the residual blocks are too large, it is cut into tiles with statistics of samples (``frozen.py``), and
a note says so. This is *not* a guard while the work goes on.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from typing import Any

import psutil
import torch

from studio.errors import DeviceError
from studio.models.common import Translator
from studio.restyle.geometry import padded_side, working_size
from studio.restyle.stores import Memory, Spool
from studio.restyle.streaming import STRIP_PIXELS, Keep

WHOLE_PIXELS = 1 << 20
"""Pictures up to this size go through the network at once, which is a few per cent faster; larger ones can be interrupted."""

BYTES_AROUND = 100
"""Per pixel of a picture that goes through whole: itself as bytes and floats, the result, and what blending needs."""
BYTES_STREAMED = 16
"""Per pixel of a streamed one: the picture, the result, a blend of both, and alpha."""
BLENDING = 160 << 20
"""What blending a band in Lab takes."""
STRIP_MAPS = 8
"""Maps of one strip that are alive at once, counted at the width of the first layer."""
STRIP_SIZES = (1 << 19, STRIP_PIXELS, 1 << 17)
"""Pixels in a strip that are tried, largest first; the fewer, the more often rows between strips are computed twice."""
TILE_SIDES = (1024, 768, 512, 384, 256)
"""Sides of the tiles that are tried, largest first, where even the blocks' maps are too large."""
MIN_FREE_DISK = 1 << 30

PLENTY = 0.5
"""Share of the limit that a picture may take whose maps at full resolution are kept too, to save time. That is for networks that
blur between the scales, which run their first stage three times otherwise; where it runs twice, memory costs as much as computing ..."""
LARGE_PIXELS = 10_000_000
"""... and for pictures larger than the frames of a film, which must not depend on what is free: the last bit may change with it."""

TILED_NOTE = (
    "This picture was restyled in tiles with statistics from samples of it, because it is larger than the memory allows: "
    "there are no seams, but colours may differ a little from those of an exact run."
)


@dataclass(frozen=True)
class Plan:
    """How a picture will be restyled: ``whole``, ``streamed`` or ``tiled``, and what that takes in bytes."""

    way: str
    needed: int
    keep: Keep = None
    strip_pixels: int = STRIP_PIXELS
    tile: int = 0
    note: str = ""
    keeps_whole: bool = False


def plan(net: Translator, height: int, width: int, *, max_memory: int | None = None, itemsize: int = 4, in_pieces: bool = False) -> Plan:
    """Choose how to restyle a picture.

    Args:
        net: The translator, on its device.
        height: Rows of the picture.
        width: Columns of the picture.
        max_memory: Most memory to use, in bytes; None: what is free on the network's device.
        itemsize: Bytes of a value on the way that streams.
        in_pieces: The blocks' strength is changed, which only the streaming can.

    Raises:
        DeviceError: Nothing fits. Says how much is needed, how much there is, and what size would fit.
    """
    free = free_memory(net)
    limit = free if max_memory is None else min(free, max_memory)
    needed = estimate_memory(net, height, width)
    fits_whole = needed <= limit and not in_pieces
    if not can_stream(net) or (fits_whole and height * width <= WHOLE_PIXELS):
        if needed <= limit:
            return Plan("whole", needed)
        raise _too_large(height, width, needed, limit, "may be used" if max_memory is not None and free >= max_memory else "are free")
    streamed = _streamed(net, height, width, itemsize, limit)
    if streamed is not None:
        return streamed
    if fits_whole:
        return Plan("whole", needed)
    around, each = height * width * BYTES_STREAMED + BLENDING, _bytes_per_pixel(net.family, net.config)
    for side in TILE_SIDES:
        seen = min(side + 2 * halo(net.config), height + 8) * min(side + 2 * halo(net.config), width + 8)
        if around + seen * each <= limit:
            return Plan("tiled", int(around + seen * each), tile=side, note=TILED_NOTE)
    needed = int(around + (TILE_SIDES[-1] + 2 * halo(net.config)) ** 2 * each)
    raise _too_large(height, width, needed, limit, "may be used" if max_memory is not None and free >= max_memory else "are free")


def _streamed(net: Translator, height: int, width: int, itemsize: int, limit: int) -> Plan | None:
    """Return how to stream a picture within the limit, or None when it cannot be."""
    config = net.config
    rows, columns, ngf = padded_side(net, height), padded_side(net, width), int(config["ngf"])
    factor = 2 ** int(config["n_downs"])
    full_map = rows * columns * ngf * itemsize
    is_blurred = "antialias" in (config["downsample"], config["upsample"])
    around = height * width * BYTES_STREAMED + BLENDING
    has_room = shutil.disk_usage(tempfile.gettempdir()).free > full_map + MIN_FREE_DISK
    in_memory, spooled = maps_in_memory(full_map, rows, int(config["n_downs"])), 2 * full_map // factor
    for pixels in STRIP_SIZES:
        strip = max(pixels, columns * 2 * factor) * ngf * itemsize * STRIP_MAPS * (1 + is_blurred)
        for keep, maps in ((Memory, in_memory), (Spool if has_room else None, spooled)):
            needed = around + strip + maps
            if needed <= limit and (pixels == STRIP_SIZES[-1] or strip <= needed / 3):
                keeps_whole = is_blurred and height * width > LARGE_PIXELS and keep is Memory and needed + full_map <= limit * PLENTY
                return Plan("streamed", needed + keeps_whole * full_map, keep=keep, strip_pixels=pixels, keeps_whole=keeps_whole)
    return None


def maps_in_memory(full_map: int, rows: int, n_downs: int) -> int:
    """Return the bytes of the maps that are held at once where half-resolution ones are kept, from those of ``rows`` at full resolution."""
    share = {1: 1.0, 2: 0.5}.get(n_downs, 0.75)
    return int(share * full_map) + full_map // rows


def can_stream(net: Any) -> bool:
    """Say whether a network can be run over strips: a residual one, without the noise of dropout."""
    return bool(net.family == "resnet" and int(net.config.get("n_downs", 0)) > 0 and not net.dropout_on and not net.training)


def halo(config: dict[str, Any]) -> int:
    """Return how far around a pixel a residual network looks, in pixels, rounded up to its multiple."""
    downs, factor = int(config["n_downs"]), 2 ** int(config["n_downs"])
    reach = 3 + 2 * factor * int(config["n_blocks"]) + 3 + 4 * sum(2**level for level in range(downs + 1))
    return int(reach + -reach % factor)


def check_memory(net: Translator, height: int, width: int, *, max_memory: int | None = None, itemsize: int = 4) -> None:
    """Raise before any work starts when a picture is too large for the memory; see :func:`plan`.

    Raises:
        DeviceError: Says how much is needed, how much there is, and what size would fit.
    """
    plan(net, height, width, max_memory=max_memory, itemsize=itemsize)


def left_around(net: Translator, height: int, width: int, *, max_memory: int | None = None) -> int:
    """Return what memory is left for the network once a picture that is reduced and enlarged again has its own, in bytes.

    Raises:
        DeviceError: Nothing is left.
    """
    free = free_memory(net)
    limit = free if max_memory is None else min(free, max_memory)
    needed = height * width * BYTES_AROUND
    if needed >= limit:
        raise _too_large(height, width, needed, limit, "may be used" if max_memory is not None and free >= max_memory else "are free")
    return limit - needed


def estimate_memory(net: Translator, height: int, width: int) -> int:
    """Estimate the memory that a picture takes when it goes through at once, on top of the network itself, in bytes.

    Counts the widest layers of the plain network in float32, which is an upper bound for the fast paths.
    """
    seen = working_size(net, height, width)
    pixels = padded_side(net, seen[0]) * padded_side(net, seen[1])
    return int(pixels * _bytes_per_pixel(net.family, net.config) + height * width * BYTES_AROUND)


def _bytes_per_pixel(family: str, config: dict[str, Any]) -> float:
    """Return what the widest moment of a network takes per pixel of its input (fitted to measured peaks, rounded up)."""
    if family == "style-transfer":
        return 16.0 * int(config["width"])
    if family == "any-style":
        return 360.0
    ngf = int(config["ngf"])
    if family == "unet":
        return 10.0 * ngf
    is_plain = (config.get("downsample"), config.get("upsample")) == ("strided", "transposed")
    return (500 + 9 * ngf) * (1.0 if is_plain else 1.4)


def _too_large(height: int, width: int, needed: int, limit: int, kind: str) -> DeviceError:
    share = 0.98 * (limit / needed) ** 0.5
    fits = f"{max(1, int(width * share))} x {max(1, int(height * share))}"
    return DeviceError(
        f"The picture ({width} x {height}) needs about {needed / 1e9:.1f} GB of memory and {limit / 1e9:.1f} GB {kind}. "
        f"Reduce it to {fits} or choose a smaller model."
    )


def free_memory(net: Translator) -> int:
    """Return the free memory of the device that the network is on, in bytes."""
    if isinstance(net, torch.nn.Module):
        device = next(net.parameters()).device
        if device.type == "cuda":
            return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
