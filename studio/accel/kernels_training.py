"""What lies between the convolutions of a translator in training, forward and backward, each in one pass over memory.

Instance norm, activation, nearest enlargement and padding are one: ``out[r, c] = act(x[rows[r], columns[c]] * scale + shift)``.
Activations are dense ``[n, height, width, channels]``, float32 or bfloat16, channels a multiple of 16. The kernels come in pairs
(``*_F32``, ``*_BF16``). This module does *not* know networks or autograd; see ``training_ops.py``.
"""

from __future__ import annotations

from typing import Any

import numba

from studio.accel.runtime import row_kernel
from studio.accel.simd import (
    LANES,
    add,
    f32_pointer,
    float_value,
    fma,
    i64_pointer,
    load,
    maximum,
    minimum,
    mul,
    splat,
    store,
    sub,
    u16_pointer,
)


@numba.njit
def _row_sums(start: int, stop: int, x: Any, block: Any) -> None:
    """Sum values and squares per channel of each row.

    Rows are those of all pictures. Arguments: x, sums [rows, 2, channels] (float32), width, channels.
    """
    sums, width, channels = f32_pointer(block[1]), block[2], block[3]
    zero = splat(numba.float32(0.0))
    for row in range(start, stop):
        line = row * width * channels
        for c in range(0, channels, LANES):
            s0, q0, s1, q1 = zero, zero, zero, zero
            for i in range(0, width - 1, 2):
                v0, v1 = load(x, line + i * channels + c), load(x, line + (i + 1) * channels + c)
                s0, q0 = add(s0, v0), fma(v0, v0, q0)
                s1, q1 = add(s1, v1), fma(v1, v1, q1)
            if width % 2:
                v0 = load(x, line + (width - 1) * channels + c)
                s0, q0 = add(s0, v0), fma(v0, v0, q0)
            store(sums, row * 2 * channels + c, add(s0, s1))
            store(sums, (row * 2 + 1) * channels + c, add(q0, q1))


@numba.njit
def _spread(start: int, stop: int, x: Any, out: Any, block: Any) -> None:
    """Write ``act(x * scale + shift)`` wherever the maps say.

    Rows are output rows of all pictures. Arguments: x, out, scale and shift [n, channels] (float32), row map [out rows], column map
    [out width] (int64), out rows, out width, rows, width, channels, slope of the activation below zero (1: none).
    """
    scale, shift = f32_pointer(block[2]), f32_pointer(block[3])
    row_map, column_map = i64_pointer(block[4]), i64_pointer(block[5])
    out_rows, out_width, rows, width, channels = block[6], block[7], block[8], block[9], block[10]
    slope, zero = splat(float_value(block[11])), splat(numba.float32(0.0))
    for row in range(start, stop):
        n = row // out_rows
        source = (n * rows + row_map[row % out_rows]) * width * channels
        target = row * out_width * channels
        for c in range(0, channels, LANES):
            a, b = load(scale, n * channels + c), load(shift, n * channels + c)
            for i in range(out_width):
                v = fma(load(x, source + column_map[i] * channels + c), a, b)
                v = fma(minimum(v, zero), slope, maximum(v, zero))
                store(out, target + i * channels + c, v)


@numba.njit
def _gather(start: int, stop: int, g: Any, x: Any, out: Any, block: Any) -> None:
    """Collect the gradient of every value from wherever it was spread, times the activation's slope; and its sums per channel.

    Rows are those of all pictures. Arguments: g (of the output), x, out (as x), scale and shift [n, channels], first of each row's
    places [rows + 1] and the places, the same of the columns (int64), sums [rows, 2, channels] of the gradient and of its product with
    the normalised value, out rows, out width, rows, width, channels, slope.
    """
    scale, shift = f32_pointer(block[3]), f32_pointer(block[4])
    row_first, row_places = i64_pointer(block[5]), i64_pointer(block[6])
    column_first, column_places = i64_pointer(block[7]), i64_pointer(block[8])
    sums = f32_pointer(block[9])
    out_rows, out_width, rows, width, channels = block[10], block[11], block[12], block[13], block[14]
    slope = float_value(block[15])
    steep, zero, one = splat(slope), splat(numba.float32(0.0)), splat(numba.float32(1.0))
    huge = splat(numba.float32(1e30))
    for row in range(start, stop):
        n, r = row // rows, row % rows
        line = row * width * channels
        for c in range(0, channels, LANES):
            a, b = load(scale, n * channels + c), load(shift, n * channels + c)
            s0, s1 = zero, zero
            for i in range(width):
                value = zero
                for j in range(row_first[r], row_first[r + 1]):
                    there = (n * out_rows + row_places[j]) * out_width
                    for k in range(column_first[i], column_first[i + 1]):
                        value = add(value, load(g, (there + column_places[k]) * channels + c))
                normal = fma(load(x, line + i * channels + c), a, b)
                is_positive = minimum(maximum(mul(normal, huge), zero), one)
                value = mul(value, fma(is_positive, sub(one, steep), steep))
                store(out, line + i * channels + c, value)
                s0, s1 = add(s0, value), fma(value, normal, s1)
            store(sums, row * 2 * channels + c, s0)
            store(sums, (row * 2 + 1) * channels + c, s1)


@numba.njit
def _centre(start: int, stop: int, g: Any, x: Any, block: Any) -> None:
    """Turn the gradient of a normalised value into that of the value, in place: ``scale * (g - mean - normal * slope)``.

    Rows are those of all pictures. Arguments: g, x, scale, shift, mean and slope [n, channels] (float32), rows, width, channels.
    """
    scale, shift, mean, slope = f32_pointer(block[2]), f32_pointer(block[3]), f32_pointer(block[4]), f32_pointer(block[5])
    rows, width, channels = block[6], block[7], block[8]
    for row in range(start, stop):
        n, line = row // rows, row * width * channels
        for c in range(0, channels, LANES):
            at = n * channels + c
            a, b, m, s = load(scale, at), load(shift, at), load(mean, at), load(slope, at)
            for i in range(width):
                place = line + i * channels + c
                normal = fma(load(x, place), a, b)
                store(g, place, mul(a, sub(sub(load(g, place), m), mul(normal, s))))


def _row_sums_f32(start: int, stop: int, block: Any) -> None:
    _row_sums(start, stop, f32_pointer(block[0]), block)


def _row_sums_bf16(start: int, stop: int, block: Any) -> None:
    _row_sums(start, stop, u16_pointer(block[0]), block)


def _spread_f32(start: int, stop: int, block: Any) -> None:
    _spread(start, stop, f32_pointer(block[0]), f32_pointer(block[1]), block)


def _spread_bf16(start: int, stop: int, block: Any) -> None:
    _spread(start, stop, u16_pointer(block[0]), u16_pointer(block[1]), block)


def _gather_f32(start: int, stop: int, block: Any) -> None:
    _gather(start, stop, f32_pointer(block[0]), f32_pointer(block[1]), f32_pointer(block[2]), block)


def _gather_bf16(start: int, stop: int, block: Any) -> None:
    _gather(start, stop, u16_pointer(block[0]), u16_pointer(block[1]), u16_pointer(block[2]), block)


def _centre_f32(start: int, stop: int, block: Any) -> None:
    _centre(start, stop, f32_pointer(block[0]), f32_pointer(block[1]), block)


def _centre_bf16(start: int, stop: int, block: Any) -> None:
    _centre(start, stop, u16_pointer(block[0]), u16_pointer(block[1]), block)


ROW_SUMS_F32, ROW_SUMS_BF16 = row_kernel()(_row_sums_f32), row_kernel()(_row_sums_bf16)
SPREAD_F32, SPREAD_BF16 = row_kernel()(_spread_f32), row_kernel()(_spread_bf16)
GATHER_F32, GATHER_BF16 = row_kernel()(_gather_f32), row_kernel()(_gather_bf16)
CENTRE_F32, CENTRE_BF16 = row_kernel()(_centre_f32), row_kernel()(_centre_bf16)
