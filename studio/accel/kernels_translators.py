"""What lies between the convolutions of a translator, in one pass over memory each: norm, activation, resampling, padding.

A picture's activations are dense memory ``[height, width, channels]``, float32 or bfloat16, channels a multiple of 16.
Nothing is specialised on sizes, so nothing is compiled again for another picture. The kernels come in pairs (``_F32``,
``_BF16``); :data:`KERNELS` finds one by the tensor's dtype. This module does *not* know networks; see ``translators.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numba
import torch

from studio.accel.runtime import RowKernel, row_kernel
from studio.accel.simd import LANES, add, f32_pointer, float_value, fma, load, maximum, mul, splat, store, sub, u16_pointer, widen

ZEROS, REFLECT, REPLICATE = 0, 1, 2
"""How a border is filled."""


@numba.njit
def _source(index: int, size: int, mode: int) -> int:
    """Return which row or column lies under ``index``, -1 for a border of zeros."""
    if 0 <= index < size:
        return index
    if mode == ZEROS:
        return -1
    if mode == REPLICATE:
        return 0 if index < 0 else size - 1
    return -index if index < 0 else max(2 * (size - 1) - index, 0)


@numba.njit
def _fill_borders(out: Any, line: int, width: int, channels: int, pixel: int, left: int, right: int, mode: int) -> None:
    """Fill the ``left`` and ``right`` border of the row at ``line`` whose ``width`` inner pixels are done."""
    zero = splat(numba.float32(0.0))
    for border in range(left + right):
        column = border - left if border < left else width + border - left
        source = _source(column, width, mode)
        target = line + (left + column) * pixel
        for c in range(0, channels, LANES):
            store(out, target + c, zero if source < 0 else load(out, line + (left + source) * pixel + c))


@numba.njit
def _clear(out: Any, line: int, width: int, channels: int, pixel: int) -> None:
    """Write zeros to a whole row of ``width`` pixels."""
    zero = splat(numba.float32(0.0))
    for x in range(width):
        for c in range(0, channels, LANES):
            store(out, line + x * pixel + c, zero)


@numba.njit
def _sums(start: int, stop: int, planes: Any, out: Any, block: Any) -> None:
    """Sum ``v - k`` and its square per channel, for each row; ``k`` is the channel's first value (it keeps precision).

    Rows are those of all planes, one plane after the other. Where ``keeps`` is set, the values are copied to ``out`` on the way,
    those of four planes (``split`` = 1, see :func:`_normalise`) to their places among one another. Arguments: four planes,
    reference [channels], sums [rows, 2, channels] (float32), rows of a plane, width, channels, distance of pixels, distance of
    rows, out, split, keeps.
    """
    reference, sums = f32_pointer(block[4]), f32_pointer(block[5])
    rows, width, channels, pixel, pitch, split, keeps = block[6], block[7], block[8], block[9], block[10], block[12], block[13]
    wide, apart = channels - channels % (4 * LANES), channels << split
    zero = splat(numba.float32(0.0))
    for row in range(start, stop):
        plane, y = row // rows, row % rows
        values, line, target = planes[plane], y * pitch, row * 2 * channels
        to = (((y << split) + (plane >> 1)) * (width << split) + (plane & 1)) * channels
        for c in range(0, wide, 4 * LANES):
            k0, k1 = load(reference, c), load(reference, c + LANES)
            k2, k3 = load(reference, c + 2 * LANES), load(reference, c + 3 * LANES)
            s0, s1, s2, s3 = zero, zero, zero, zero
            q0, q1, q2, q3 = zero, zero, zero, zero
            for x in range(width):
                at = line + x * pixel + c
                v0, v1, v2, v3 = load(values, at), load(values, at + LANES), load(values, at + 2 * LANES), load(values, at + 3 * LANES)
                if keeps:
                    place = to + x * apart + c
                    store(out, place, v0)
                    store(out, place + LANES, v1)
                    store(out, place + 2 * LANES, v2)
                    store(out, place + 3 * LANES, v3)
                v0, v1, v2, v3 = sub(v0, k0), sub(v1, k1), sub(v2, k2), sub(v3, k3)
                s0, s1, s2, s3 = add(s0, v0), add(s1, v1), add(s2, v2), add(s3, v3)
                q0, q1, q2, q3 = fma(v0, v0, q0), fma(v1, v1, q1), fma(v2, v2, q2), fma(v3, v3, q3)
            store(sums, target + c, s0)
            store(sums, target + c + LANES, s1)
            store(sums, target + c + 2 * LANES, s2)
            store(sums, target + c + 3 * LANES, s3)
            store(sums, target + channels + c, q0)
            store(sums, target + channels + c + LANES, q1)
            store(sums, target + channels + c + 2 * LANES, q2)
            store(sums, target + channels + c + 3 * LANES, q3)
        for c in range(wide, channels, LANES):
            k0, s0, q0 = load(reference, c), zero, zero
            for x in range(width):
                v0 = load(values, line + x * pixel + c)
                if keeps:
                    store(out, to + x * apart + c, v0)
                v0 = sub(v0, k0)
                s0, q0 = add(s0, v0), fma(v0, v0, q0)
            store(sums, target + c, s0)
            store(sums, target + channels + c, q0)


def _sums_f32(start: int, stop: int, block: Any) -> None:
    planes = (f32_pointer(block[0]), f32_pointer(block[1]), f32_pointer(block[2]), f32_pointer(block[3]))
    _sums(start, stop, planes, f32_pointer(block[11]), block)


def _sums_bf16(start: int, stop: int, block: Any) -> None:
    planes = (u16_pointer(block[0]), u16_pointer(block[1]), u16_pointer(block[2]), u16_pointer(block[3]))
    _sums(start, stop, planes, u16_pointer(block[11]), block)


def _finish(start: int, stop: int, block: Any) -> None:
    """Turn sums into ``scale`` and ``shift`` such that ``v * scale + shift`` is the normalised ``v``, in float64.

    Rows are channels. Arguments: sums [rows, 2, channels], reference, weight, bias, affine [2, channels], rows, channels,
    count of values per channel, eps.
    """
    sums, reference, weight, bias, affine = (
        f32_pointer(block[0]),
        f32_pointer(block[1]),
        f32_pointer(block[2]),
        f32_pointer(block[3]),
        f32_pointer(block[4]),
    )
    rows, channels, count, eps = block[5], block[6], block[7], float_value(block[8])
    for c in range(start, stop):
        first, second = 0.0, 0.0
        for row in range(rows):
            first += sums[row * 2 * channels + c]
            second += sums[(row * 2 + 1) * channels + c]
        offset = first / count
        variance = max(second / count - offset * offset, 0.0)
        scale = weight[c] / math.sqrt(variance + eps)
        affine[c] = scale
        affine[channels + c] = bias[c] - (reference[c] + offset) * scale


@numba.njit
def _normalise(start: int, stop: int, planes: Any, residual: Any, out: Any, block: Any) -> None:
    """Write ``max(v, slope * v) + residual`` with ``v = value * scale + shift``, borders filled; rows are those of ``out``.

    The values lie in one plane, or (``split`` = 1) in four: one for even rows and columns, even rows and odd columns, and so
    on, as a transposed convolution is computed. Arguments: four planes, affine [2, channels], residual, out, height, width,
    channels, distances of pixels and of rows in a plane, split, top, left, bottom, right, border mode, slope, whether there
    is a residual, from which row and column it counts, its width, distance of pixels in ``out``.
    """
    affine = f32_pointer(block[4])
    height, width, channels, pixel, plane_pitch, split = block[7], block[8], block[9], block[10], block[11], block[12]
    top, left, right, mode = block[13], block[14], block[16], block[17]
    slope, has_residual, inset = splat(float_value(block[18])), block[19], block[20]
    residual_width, out_pixel = block[21], block[22]
    pitch = (left + width + right) * out_pixel
    for row in range(start, stop):
        line = row * pitch
        y = _source(row - top, height, mode)
        if y < 0:
            _clear(out, line, left + width + right, channels, out_pixel)
            continue
        even, odd = planes[2 * (y & split)], planes[2 * (y & split) + split]
        source = (y >> split) * plane_pitch
        beside = ((y + inset) * residual_width + inset) * channels
        for x in range(width):
            plane = odd if x & split else even
            at, to = source + (x >> split) * pixel, line + (left + x) * out_pixel
            for c in range(0, channels, LANES):
                v = fma(load(plane, at + c), load(affine, c), load(affine, channels + c))
                v = maximum(v, mul(v, slope))
                if has_residual:
                    v = add(v, load(residual, beside + x * channels + c))
                store(out, to + c, v)
        _fill_borders(out, line, width, channels, out_pixel, left, right, mode)


def _normalise_f32(start: int, stop: int, block: Any) -> None:
    planes = (f32_pointer(block[0]), f32_pointer(block[1]), f32_pointer(block[2]), f32_pointer(block[3]))
    _normalise(start, stop, planes, f32_pointer(block[5]), f32_pointer(block[6]), block)


def _normalise_bf16(start: int, stop: int, block: Any) -> None:
    planes = (u16_pointer(block[0]), u16_pointer(block[1]), u16_pointer(block[2]), u16_pointer(block[3]))
    _normalise(start, stop, planes, u16_pointer(block[5]), u16_pointer(block[6]), block)


@numba.njit
def _enlarge(start: int, stop: int, values: Any, out: Any, block: Any) -> None:
    """Double both sides: each new pixel is ``near`` of the pixel it lies in and ``1 - near`` of the next one, per axis.

    ``near`` = 0.75 is bilinear (and [1, 3, 3, 1]), 1 is nearest. Rows are those of ``out``. Arguments: values, out, height,
    width (of ``values``), channels, near, border width (on all sides), border mode.
    """
    height, width, channels = block[2], block[3], block[4]
    near, border, mode = float_value(block[5]), block[6], block[7]
    far = numba.float32(1.0) - near
    pitch = (2 * width + 2 * border) * channels
    for row in range(start, stop):
        line = row * pitch
        y = _source(row - border, 2 * height, mode)
        if y < 0:
            _clear(out, line, 2 * width + 2 * border, channels, channels)
            continue
        here = (y >> 1) * width * channels
        beside = _source((y >> 1) + (y & 1) * 2 - 1, height, REPLICATE) * width * channels
        for x in range(2 * width):
            a = (x >> 1) * channels
            b = _source((x >> 1) + (x & 1) * 2 - 1, width, REPLICATE) * channels
            for c in range(0, channels, LANES):
                v = mul(load(values, here + a + c), splat(near * near))
                v = fma(load(values, here + b + c), splat(near * far), v)
                v = fma(load(values, beside + a + c), splat(far * near), v)
                v = fma(load(values, beside + b + c), splat(far * far), v)
                store(out, line + (border + x) * channels + c, v)
        _fill_borders(out, line, 2 * width, channels, channels, border, border, mode)


def _enlarge_f32(start: int, stop: int, block: Any) -> None:
    _enlarge(start, stop, f32_pointer(block[0]), f32_pointer(block[1]), block)


def _enlarge_bf16(start: int, stop: int, block: Any) -> None:
    _enlarge(start, stop, u16_pointer(block[0]), u16_pointer(block[1]), block)


@numba.njit
def _blur_down(start: int, stop: int, values: Any, out: Any, block: Any) -> None:
    """Halve both sides of ``max(v, 0)``, ``v = value * scale + shift``, with [1, 2, 1] / 4 per axis, borders reflected.

    Rows are those of ``out``. Arguments: values, affine [2, channels], out, height, width (of ``values``, even), channels,
    top, left, bottom, right, border mode.
    """
    affine = f32_pointer(block[1])
    height, width, channels, top, left, right, mode = block[3], block[4], block[5], block[6], block[7], block[9], block[10]
    rows, columns = height // 2, width // 2
    pitch = (left + columns + right) * channels
    zero = splat(numba.float32(0.0))
    for row in range(start, stop):
        line = row * pitch
        y = _source(row - top, rows, mode)
        if y < 0:
            _clear(out, line, left + columns + right, channels, channels)
            continue
        for x in range(columns):
            for c in range(0, channels, LANES):
                scale, shift, v = load(affine, c), load(affine, channels + c), zero
                for dy in range(-1, 2):
                    source = _source(2 * y + dy, height, REFLECT) * width
                    for dx in range(-1, 2):
                        share = numba.float32((2 - abs(dy)) * (2 - abs(dx)) / 16)
                        at = (source + _source(2 * x + dx, width, REFLECT)) * channels + c
                        v = fma(maximum(fma(load(values, at), scale, shift), zero), splat(share), v)
                store(out, line + (left + x) * channels + c, v)
        _fill_borders(out, line, columns, channels, channels, left, right, mode)


def _blur_down_f32(start: int, stop: int, block: Any) -> None:
    _blur_down(start, stop, f32_pointer(block[0]), f32_pointer(block[2]), block)


def _blur_down_bf16(start: int, stop: int, block: Any) -> None:
    _blur_down(start, stop, u16_pointer(block[0]), u16_pointer(block[2]), block)


@numba.njit
def _pile_up(start: int, stop: int, values: Any, block: Any) -> None:
    """Add up what the rows of a tall kernel gave, each computed as output channels of its own, a row further down each.

    Rows are those of ``out``. Arguments: values [height + taps - 1, width, taps * channels], bias, out [channels, height,
    width] (float32), height, width, channels, taps.
    """
    bias, out = f32_pointer(block[1]), f32_pointer(block[2])
    height, width, channels, taps = block[3], block[4], block[5], block[6]
    pixel = channels * taps
    for row in range(start, stop):
        for c in range(channels):
            for x in range(width):
                total = bias[c]
                for tap in range(taps):
                    total += widen(values[((row + tap) * width + x) * pixel + tap * channels + c])
                out[(c * height + row) * width + x] = total


def _pile_up_f32(start: int, stop: int, block: Any) -> None:
    _pile_up(start, stop, f32_pointer(block[0]), block)


def _pile_up_bf16(start: int, stop: int, block: Any) -> None:
    _pile_up(start, stop, u16_pointer(block[0]), block)


@dataclass(frozen=True, slots=True)
class Kernels:
    """The kernels for activations of one dtype."""

    sums: RowKernel
    finish: RowKernel
    normalise: RowKernel
    enlarge: RowKernel
    blur_down: RowKernel
    pile_up: RowKernel


_finish_kernel = row_kernel()(_finish)

KERNELS = {
    torch.float32: Kernels(
        row_kernel()(_sums_f32),
        _finish_kernel,
        row_kernel()(_normalise_f32),
        row_kernel()(_enlarge_f32),
        row_kernel()(_blur_down_f32),
        row_kernel()(_pile_up_f32),
    ),
    torch.bfloat16: Kernels(
        row_kernel()(_sums_bf16),
        _finish_kernel,
        row_kernel()(_normalise_bf16),
        row_kernel()(_enlarge_bf16),
        row_kernel()(_blur_down_bf16),
        row_kernel()(_pile_up_bf16),
    ),
}
"""Activation dtype -> kernels; each is compiled when first used, or found in the cache."""
