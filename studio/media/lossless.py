"""One frame to bytes and back without loss, many times faster than PNG: as PAM (netpbm) when small, else as QOI (qoiformat.org).

For frames that only wait to be encoded, so that storing them costs little beside drawing them. This is *not* for files that people
are given, which are PNG with recipe and mark of origin (``writing``), and it reads nothing but what it wrote.
"""

from __future__ import annotations

from fractions import Fraction

import av
import av.error
import numpy as np

from studio.errors import MediaError
from studio.media.pixels import ImageArray

PLAIN_PIXELS = 1 << 16
"""Frames up to this size are drawn in less time than it takes to make them smaller."""

_FORMATS = {3: "rgb24", 4: "rgba"}
_KINDS = {3: "RGB", 4: "RGB_ALPHA"}
_END = b"ENDHDR\n"


def pack_frame(image: ImageArray) -> bytes:
    """Write one frame, uint8 ``[H, W, 3 or 4]``, as the bytes of a PAM or QOI file; equal pixels give equal bytes."""
    height, width, channels = image.shape
    if height * width <= PLAIN_PIXELS:
        header = f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {channels}\nMAXVAL 255\nTUPLTYPE {_KINDS[channels]}\n"
        return header.encode() + _END + image.tobytes()
    context = av.VideoCodecContext.create("qoi", "w")
    context.width, context.height = width, height
    context.pix_fmt = _FORMATS[channels]
    context.time_base = Fraction(1)
    context.thread_count = 1
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=_FORMATS[channels])
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def unpack_frame(data: bytes) -> ImageArray:
    """Read what :func:`pack_frame` wrote.

    Raises:
        MediaError: It is something else, or damaged.
    """
    try:
        return _plain(data) if data.startswith(b"P7\n") else _decoded(data)
    except (av.error.FFmpegError, ValueError, KeyError) as error:
        raise MediaError("A stored frame is damaged.") from error


def _plain(data: bytes) -> ImageArray:
    header, _, pixels = data.partition(_END)
    facts = dict(line.split(" ", 1) for line in header.decode("ascii").splitlines()[1:])
    shape = [int(facts[name]) for name in ("HEIGHT", "WIDTH", "DEPTH")]
    image: ImageArray = np.frombuffer(pixels, np.uint8).reshape(shape).copy()
    return image


def _decoded(data: bytes) -> ImageArray:
    context = av.VideoCodecContext.create("qoi", "r")
    context.thread_count = 1
    (frame,) = context.decode(av.Packet(data)) or context.decode(None)
    return np.asarray(frame.to_ndarray(), np.uint8)
