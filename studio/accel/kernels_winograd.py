"""3x3 convolution in float32 with a quarter of the multiplications, fused with the products it consists of.

A picture is cut into tiles of 4x4 output pixels; 36 products over the channels give each tile. Strips of tiles stay in
the cache from one step to the next. The points (0, +-3/4, +-3/2, infinity) keep the rounding error at that of a direct
convolution, which those of the literature (0, +-1, +-2) double.

Reference:
    Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks"; on the points Barabasz et al. 2020,
    "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks".
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from studio.accel.products import COLUMNS, ROWS, is_available, pack_columns, product
from studio.accel.runtime import row_kernel
from studio.accel.simd import add, f32_pointer, fma, load, mul, offset_by, splat, store, sub

TILE = 4
FIELD = 6
"""Side of the input field of a tile."""
INNER, OUTER = 0.75, 1.5
"""The finite points besides 0, each with both signs."""
INNER2, OUTER2 = INNER**2, OUTER**2
STRIPS = 4
"""Into how many strips a picture is cut at least, for the threads to share."""
LARGEST_STRIP = 128 * 256
"""Tiles times channels of a strip: what stays in a core's cache, but is enough work for each matrix that is read."""


def pack(weight: Tensor) -> Tensor:
    """Transform ``weight [out, in, 3, 3]`` into the 36 matrices that ``convolve`` multiplies by, packed float32."""
    rows = [[1 / (INNER2 * OUTER2), 0, 0]]
    for point, other in ((INNER, OUTER2), (-INNER, OUTER2), (OUTER, INNER2), (-OUTER, INNER2)):
        scale = 1 / (2 * point * point * (point * point - other))
        rows.append([scale, scale * point, scale * point * point])
    rows.append([0, 0, 1])
    matrix = torch.tensor(rows, dtype=torch.float64)
    spread = torch.einsum("ai,ocij,bj->abco", matrix, weight.double(), matrix).float()
    return pack_columns(spread.reshape(FIELD * FIELD, weight.shape[1], weight.shape[0]))


def can_convolve(channels: int, side: int) -> bool:
    """Say whether :class:`WinogradConv` can do a layer of as many channels in as out, and does it faster than a direct convolution."""
    return is_available() and channels % COLUMNS == 0 and side % (TILE * ROWS) == 0


class WinogradConv:
    """A 3x3 convolution of ``x [n, side, side, in]``, float32, with zeros around it.

    Args:
        weight: ``[out, in, 3, 3]``, sizes as :func:`can_convolve` asks for.
    """

    def __init__(self, weight: Tensor) -> None:
        self.outputs = len(weight)
        self.weight = pack(weight)

    def __call__(self, x: Tensor) -> Tensor:
        """Return ``[n, side, side, out]``."""
        n, side, _, inputs = x.shape
        y = torch.empty(n, side, side, self.outputs)
        rows = side // TILE
        depth = max(rows // STRIPS, 1)
        while depth > 1 and depth * rows * inputs > LARGEST_STRIP:
            depth //= 2
        convolve(n * (rows // depth), x, y, self.weight, side, inputs, self.outputs, depth)
        return y


@njit
def _spread(d0: Any, d1: Any, d2: Any, d3: Any, d4: Any, d5: Any) -> Any:
    """Transform six input values of one axis to the six points."""
    inner, outer = splat(-INNER2), splat(-OUTER2)
    both, across = splat(INNER2 * OUTER2), splat(-INNER2 - OUTER2)
    even_inner, odd_inner = fma(outer, d2, d4), mul(fma(outer, d1, d3), splat(INNER))
    even_outer, odd_outer = fma(inner, d2, d4), mul(fma(inner, d1, d3), splat(OUTER))
    zero = fma(both, d0, fma(across, d2, d4))
    infinite = fma(both, d1, fma(across, d3, d5))
    return (
        zero,
        add(even_inner, odd_inner),
        sub(even_inner, odd_inner),
        add(even_outer, odd_outer),
        sub(even_outer, odd_outer),
        infinite,
    )


@njit
def _gather(m0: Any, m1: Any, m2: Any, m3: Any, m4: Any, m5: Any) -> Any:
    """Transform the products at six points of one axis to four output values."""
    even_inner, odd_inner = add(m1, m2), sub(m1, m2)
    even_outer, odd_outer = add(m3, m4), sub(m3, m4)
    return (
        add(m0, add(even_inner, even_outer)),
        fma(splat(INNER), odd_inner, mul(splat(OUTER), odd_outer)),
        fma(splat(INNER2), even_inner, mul(splat(OUTER2), even_outer)),
        fma(splat(INNER * INNER2), odd_inner, fma(splat(OUTER * OUTER2), odd_outer, m5)),
    )


@njit
def _field_column(source: Any, corner: int, column: int, row_step: int, channels: int, top: bool, bottom: bool, inside: bool) -> Any:
    """Transform one column of a tile's input field; what lies outside the picture is zero."""
    zero = splat(0.0)
    if not inside:
        return zero, zero, zero, zero, zero, zero
    place = corner + column * channels
    first = zero if top else load(source, place)
    last = zero if bottom else load(source, place + 5 * row_step)
    return _spread(
        first,
        load(source, place + row_step),
        load(source, place + 2 * row_step),
        load(source, place + 3 * row_step),
        load(source, place + 4 * row_step),
        last,
    )


@njit
def _spread_tile(source: Any, corner: int, row_step: int, channels: int, edges: Any, out: Any, place: int, step: int) -> None:
    """Transform the field of a tile for sixteen channels and store point ``i`` at ``out[place + i * step]``."""
    top, bottom, left, right = edges
    c0 = _field_column(source, corner, 0, row_step, channels, top, bottom, not left)
    c1 = _field_column(source, corner, 1, row_step, channels, top, bottom, True)
    c2 = _field_column(source, corner, 2, row_step, channels, top, bottom, True)
    c3 = _field_column(source, corner, 3, row_step, channels, top, bottom, True)
    c4 = _field_column(source, corner, 4, row_step, channels, top, bottom, True)
    c5 = _field_column(source, corner, 5, row_step, channels, top, bottom, not right)
    _store_points(out, place, step, c0[0], c1[0], c2[0], c3[0], c4[0], c5[0])
    _store_points(out, place + 6 * step, step, c0[1], c1[1], c2[1], c3[1], c4[1], c5[1])
    _store_points(out, place + 12 * step, step, c0[2], c1[2], c2[2], c3[2], c4[2], c5[2])
    _store_points(out, place + 18 * step, step, c0[3], c1[3], c2[3], c3[3], c4[3], c5[3])
    _store_points(out, place + 24 * step, step, c0[4], c1[4], c2[4], c3[4], c4[4], c5[4])
    _store_points(out, place + 30 * step, step, c0[5], c1[5], c2[5], c3[5], c4[5], c5[5])


@njit
def _store_points(out: Any, place: int, step: int, d0: Any, d1: Any, d2: Any, d3: Any, d4: Any, d5: Any) -> None:
    p0, p1, p2, p3, p4, p5 = _spread(d0, d1, d2, d3, d4, d5)
    store(out, place, p0)
    store(out, place + step, p1)
    store(out, place + 2 * step, p2)
    store(out, place + 3 * step, p3)
    store(out, place + 4 * step, p4)
    store(out, place + 5 * step, p5)


@njit
def _gather_column(points: Any, place: int, step: int) -> Any:
    row = 6 * step
    return _gather(
        load(points, place),
        load(points, place + row),
        load(points, place + 2 * row),
        load(points, place + 3 * row),
        load(points, place + 4 * row),
        load(points, place + 5 * row),
    )


@njit
def _store_pixels(target: Any, place: int, channels: int, m0: Any, m1: Any, m2: Any, m3: Any, m4: Any, m5: Any) -> None:
    y0, y1, y2, y3 = _gather(m0, m1, m2, m3, m4, m5)
    store(target, place, y0)
    store(target, place + channels, y1)
    store(target, place + 2 * channels, y2)
    store(target, place + 3 * channels, y3)


@njit
def _gather_tile(points: Any, place: int, step: int, target: Any, corner: int, row_step: int, channels: int) -> None:
    """Transform a tile's products back for sixteen channels and store its 4x4 pixels."""
    c0 = _gather_column(points, place, step)
    c1 = _gather_column(points, place + step, step)
    c2 = _gather_column(points, place + 2 * step, step)
    c3 = _gather_column(points, place + 3 * step, step)
    c4 = _gather_column(points, place + 4 * step, step)
    c5 = _gather_column(points, place + 5 * step, step)
    _store_pixels(target, corner, channels, c0[0], c1[0], c2[0], c3[0], c4[0], c5[0])
    _store_pixels(target, corner + row_step, channels, c0[1], c1[1], c2[1], c3[1], c4[1], c5[1])
    _store_pixels(target, corner + 2 * row_step, channels, c0[2], c1[2], c2[2], c3[2], c4[2], c5[2])
    _store_pixels(target, corner + 3 * row_step, channels, c0[3], c1[3], c2[3], c3[3], c4[3], c5[3])


@njit
def _multiply(points: Any, step: int, weight: Any, out: Any, out_step: int, tiles: int, inputs: int, outputs: int) -> None:
    """Multiply the ``tiles`` rows of each of the 36 points by that point's matrix."""
    for point in range(FIELD * FIELD):
        for column in range(0, outputs, COLUMNS):
            panel = offset_by(weight, (point * outputs + column) * inputs)
            for row in range(0, tiles, ROWS):
                left = offset_by(points, point * step + row * inputs)
                product(left, inputs, panel, offset_by(out, point * out_step + row * outputs + column), outputs, inputs)


@row_kernel()
def convolve(start: int, stop: int, block: Any) -> None:
    """Convolve ``[n, side, side, in]`` with zeros around it, strip of tiles by strip.

    ``block`` holds 0 input, 1 output ``[n, side, side, out]``, 2 weights of :func:`pack`, 3 side, 4 channels in, 5
    channels out, 6 rows of tiles in a strip.
    """
    source, target, weight = f32_pointer(block[0]), f32_pointer(block[1]), f32_pointer(block[2])
    side, inputs, outputs, depth = block[3], block[4], block[5], block[6]
    across = side // TILE
    tiles, strips = depth * across, across // depth
    step, out_step = tiles * inputs + 16, tiles * outputs + 16  # not a multiple of a page, or all points meet in one cache set
    memory = np.empty(FIELD * FIELD * (step + out_step), np.float32)
    points = f32_pointer(memory.ctypes.data)
    products = offset_by(points, FIELD * FIELD * step)
    for row in range(start, stop):
        sample, strip = row // strips, row % strips
        for tile in range(tiles):
            y, x = (strip * depth + tile // across) * TILE, tile % across * TILE
            edges = (y == 0, y + TILE == side, x == 0, x + TILE == side)
            corner = ((sample * side + y - 1) * side + x - 1) * inputs
            for channel in range(0, inputs, 16):
                _spread_tile(source, corner + channel, side * inputs, inputs, edges, points, tile * inputs + channel, step)
        _multiply(points, step, weight, products, out_step, tiles, inputs, outputs)
        for tile in range(tiles):
            y, x = (strip * depth + tile // across) * TILE, tile % across * TILE
            corner = ((sample * side + y) * side + x) * outputs
            for channel in range(0, outputs, 16):
                _gather_tile(products, tile * outputs + channel, out_step, target, corner + channel, side * outputs, outputs)
    memory[0] = np.float32(0.0)  # numba frees an array after its last use, and a pointer is none
