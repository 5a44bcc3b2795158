"""Animated WebP, frame by frame: each is encoded by Pillow and put into the container here.

The container is that of Google's "WebP Container Specification" (chunks VP8X, ANIM, ANMF, XMP). libwebp's own animation
writer would merge frames that are alike, and keep the whole film in memory; here every frame stays one frame.
"""

from __future__ import annotations

import io
import struct
from fractions import Fraction

from studio.errors import MediaError
from studio.media.encoding_job import Job
from studio.media.marks import xmp_packet
from studio.media.pixels import ImageArray, as_pillow

_MAX_SIDE = 16_383
_LONGEST = (1 << 24) - 1
_ALPHA, _XMP, _ANIMATION = 0x10, 0x04, 0x02
_PIXELS = (b"ALPH", b"VP8 ", b"VP8L")
_DO_NOT_BLEND = 0x02


class WebpSink:
    """Write an animated WebP."""

    def __init__(self, job: Job) -> None:
        """Write the head; the length of the whole is filled in at the end."""
        if max(job.width, job.height) > _MAX_SIDE:
            raise MediaError(f"WebP holds at most {_MAX_SIDE} pixels a side; this film has {max(job.width, job.height)}. Use APNG.")
        self._job = job
        self._file = job.part.open("r+b")
        flags = _ANIMATION | _XMP | (_ALPHA if job.has_alpha else 0)
        self._file.write(b"RIFF\0\0\0\0WEBP")
        self._file.write(_chunk(b"VP8X", struct.pack("<I", flags) + _three(job.width - 1) + _three(job.height - 1)))
        self._file.write(_chunk(b"ANIM", struct.pack("<IH", 0, job.format.loops)))

    def write(self, image: ImageArray, begin: Fraction, end: Fraction) -> None:
        """Encode one frame; it stays until the next one's time, rounded to whole milliseconds."""
        stream = io.BytesIO()
        picture, chosen = as_pillow(image), self._job.format
        if chosen.is_lossless:
            picture.save(stream, "WEBP", lossless=True, quality=40, method=2, exact=True)
        else:
            picture.save(stream, "WEBP", quality=chosen.quality, method=4)
        stay = min(_LONGEST, round(1000 * end) - round(1000 * begin))
        head = bytes(6) + _three(self._job.width - 1) + _three(self._job.height - 1) + _three(stay) + bytes([_DO_NOT_BLEND])
        self._file.write(_chunk(b"ANMF", head + _pixel_chunks(stream.getvalue())))

    def finish(self) -> None:
        """Write mark and recipe, and the length of the whole."""
        self._file.write(_chunk(b"XMP ", xmp_packet(composite=self._job.composite, recipe=self._job.recipe)))
        length = self._file.tell() - 8
        if length >= 2**32:
            raise MediaError("An animated WebP holds at most 4 GB. Make it smaller or shorter, or save as MP4.")
        self._file.seek(4)
        self._file.write(struct.pack("<I", length))
        self._file.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _three(number: int) -> bytes:
    return number.to_bytes(3, "little")


def _pixel_chunks(webp: bytes) -> bytes:
    """Give the chunks of a still WebP that hold its pixels."""
    position, kept = 12, []
    while position + 8 <= len(webp):
        length = int.from_bytes(webp[position + 4 : position + 8], "little")
        after = position + 8 + length + length % 2
        if webp[position : position + 4] in _PIXELS:
            kept.append(webp[position:after])
        position = after
    return b"".join(kept)
