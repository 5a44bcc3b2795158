"""3x3 convolution in float32 with a quarter of the multiplications, of pictures of any size that bring their border along.

See ``kernels_winograd.py`` for the arithmetic. The border may hold anything (reflected pixels, for the translators), and the
buffers are filled up to whole tiles, whose surplus is computed and never read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from studio.accel.kernels_winograd import FIELD, LARGEST_STRIP, STRIPS, TILE, _gather_tile, _multiply, _spread_tile, pack
from studio.accel.products import COLUMNS, ROWS, is_available
from studio.accel.runtime import row_kernel
from studio.accel.simd import f32_pointer, offset_by


def can_convolve(channels: int) -> bool:
    """Say whether :class:`BorderedConv` can do a layer of as many channels in as out."""
    return is_available() and channels % COLUMNS == 0


class BorderedConv:
    """A 3x3 convolution of ``weight [out, in, 3, 3]``, both multiples of 32, without padding of its own."""

    def __init__(self, weight: Tensor) -> None:
        self.outputs = len(weight)
        self.weight = pack(weight)

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve a picture and its border.

        Args:
            x: ``[1, in, 4 a + 2, 4 b + 2]`` float32, channels last.

        Returns:
            ``[1, out, 4 a, 4 b]``, channels last.
        """
        inputs, height, width = x.shape[1], x.shape[2] - 2, x.shape[3] - 2
        rows, across = height // TILE, width // TILE
        assert height % TILE == 0 and width % TILE == 0, (height, width)
        y = torch.empty((1, self.outputs, height, width), memory_format=torch.channels_last)
        depth = max(1, min(LARGEST_STRIP // (across * inputs), rows // STRIPS))
        convolve_bordered(-(-rows // depth), x, y, self.weight, rows, across, inputs, self.outputs, depth)
        return y


@row_kernel()
def convolve_bordered(start: int, stop: int, block: Any) -> None:
    """Convolve a picture in strips of tiles.

    ``block`` holds 0 input ``[4 rows + 2, 4 across + 2, in]``, 1 output ``[4 rows, 4 across, out]``, 2 weights of ``pack``,
    3 rows of tiles, 4 tiles across, 5 channels in, 6 channels out, 7 rows of tiles in a strip.
    """
    source, target, weight = f32_pointer(block[0]), f32_pointer(block[1]), f32_pointer(block[2])
    rows, across, inputs, outputs, depth = block[3], block[4], block[5], block[6], block[7]
    pitch, out_pitch = (TILE * across + 2) * inputs, TILE * across * outputs
    most = (depth * across + ROWS - 1) // ROWS * ROWS
    step, out_step = most * inputs + 16, most * outputs + 16  # not a multiple of a page, or all points meet in one cache set
    memory = np.empty(FIELD * FIELD * (step + out_step), np.float32)
    points = f32_pointer(memory.ctypes.data)
    products = offset_by(points, FIELD * FIELD * step)
    for strip in range(start, stop):
        first = strip * depth
        tiles = (min(first + depth, rows) - first) * across
        for tile in range(tiles):
            corner = (first + tile // across) * TILE * pitch + tile % across * TILE * inputs
            for channel in range(0, inputs, 16):
                place = tile * inputs + channel
                _spread_tile(source, corner + channel, pitch, inputs, (False, False, False, False), points, place, step)
        _multiply(points, step, weight, products, out_step, (tiles + ROWS - 1) // ROWS * ROWS, inputs, outputs)
        for tile in range(tiles):
            corner = (first + tile // across) * TILE * out_pitch + tile % across * TILE * outputs
            for channel in range(0, outputs, 16):
                _gather_tile(products, tile * outputs + channel, out_step, target, corner + channel, out_pitch, outputs)
    memory[0] = np.float32(0.0)  # numba frees an array after its last use, and a pointer is none
