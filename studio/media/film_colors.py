"""Decoded video frames to upright sRGB pixels: matrix, range, alpha, square pixels, rotation. No files.

The matrix is the one that the film names, else BT.601 for standard definition and BT.709 above, as players do (Rec. ITU-R
BT.601-7 and BT.709-6). Range is limited unless the film says full. High dynamic range is not tone-mapped.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from studio.media.pixels import ImageArray

LIMITED, FULL = 1, 2
MATRIX_601, MATRIX_709, MATRIX_2020 = 5, 1, 9
"""Numbers of libswscale."""
_MATRICES = {1: MATRIX_709, 4: 4, 5: MATRIX_601, 6: MATRIX_601, 7: 7, 9: MATRIX_2020, 10: MATRIX_2020}
"""libavutil's colour spaces (ITU-T H.273) to libswscale's."""
_HDR_CURVES = (16, 18)

CAREFUL = int(
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.BITEXACT
)
"""How libswscale converts: rounded, chroma in full, the same on every processor."""


class Upright:
    """Convert the frames of one film to RGB or RGBA of one size; keeps libswscale's tables between frames."""

    def __init__(self, first: Any, pixel_aspect: Fraction) -> None:
        """Learn size, alpha and rotation from the first decoded frame."""
        self.has_alpha = has_alpha(first.format.name)
        wide = pixel_aspect if Fraction(1, 4) <= pixel_aspect <= 4 else Fraction(1)
        self._width, self._height = max(1, round(first.width * wide)), first.height
        self._turn = _orientation(first)
        self._reformatter = VideoReformatter()

    @property
    def size(self) -> tuple[int, int]:
        """Give width and height of the upright picture."""
        return (self._height, self._width) if self._turn[0] else (self._width, self._height)

    @property
    def rotation(self) -> int:
        """Give the turn in degrees clockwise (flips aside)."""
        is_turned, flips_x, flips_y = self._turn
        return (90 if flips_x else 270) if is_turned else (180 if flips_x and flips_y else 0)

    def image(self, frame: Any) -> ImageArray:
        """Give a frame as upright uint8 ``[H, W, 3]``, or ``[H, W, 4]`` with straight alpha."""
        matrix, value_range = _color(frame)
        converted = self._reformatter.reformat(
            frame,
            width=self._width,
            height=self._height,
            format="rgba" if self.has_alpha else "rgb24",
            src_colorspace=matrix,
            src_color_range=value_range,
            dst_color_range=FULL,
            interpolation=CAREFUL,
            threads=1,
        )
        image: ImageArray = np.asarray(converted.to_ndarray(), np.uint8)
        is_turned, flips_x, flips_y = self._turn
        image = image.transpose(1, 0, 2) if is_turned else image
        image = image[:, ::-1] if flips_x else image
        return np.ascontiguousarray(image[::-1] if flips_y else image)


def has_alpha(pixel_format: str) -> bool:
    """Tell whether a libav pixel format has an alpha plane (or a palette with alpha)."""
    layout = av.VideoFormat(pixel_format, 16, 16)
    return bool(layout.has_palette) or any(part.is_alpha for part in layout.components)


def color_notes(frame: Any) -> tuple[str, ...]:
    """Say what of a film's colours is only approximate."""
    if int(frame.color_trc or 0) in _HDR_CURVES:
        return ("It has a high dynamic range; its colours are only approximate.",)
    return ()


def _color(frame: Any) -> tuple[int | None, int | None]:
    """Give libswscale's matrix and range of a frame; None for frames that are RGB already."""
    name = frame.format.name
    if name.startswith(("rgb", "bgr", "gbr", "argb", "abgr", "0", "pal", "mono", "x2")):
        return None, None
    is_large = frame.width >= 1280 or frame.height >= 720
    matrix = _MATRICES.get(int(frame.colorspace), MATRIX_709 if is_large else MATRIX_601)
    is_full = int(frame.color_range) == FULL or name.startswith("yuvj")
    return matrix, FULL if is_full else LIMITED


def _orientation(frame: Any) -> tuple[bool, bool, bool]:
    """Read the display matrix of a frame: transposed, then flipped left-right, then flipped top-bottom.

    The matrix is that of ISO/IEC 14496-12, section 8.3.2: ``x' = a x + c y``, ``y' = b x + d y``. Quarter turns only.
    """
    for item in frame.side_data:
        if item.type.name != "DISPLAYMATRIX":
            continue
        a, b, _, c, d = np.frombuffer(bytes(item), np.int32)[:5].tolist()
        if abs(b) + abs(c) > abs(a) + abs(d):
            return True, c < 0, b < 0
        return False, a < 0, d < 0
    return False, False, False
