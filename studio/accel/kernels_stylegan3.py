"""The filtered leaky ReLU of StyleGAN3 as one pass over the picture: scale, bias, upsample, leaky ReLU, clamp, downsample, scale.

Works on pictures with the channels innermost, sixteen channels at a time, tile by tile, so that what lies between the
filters never leaves the first-level cache. Filters have six taps per phase on the way up and twelve on the way down; a
filter that is not separable comes as a sum of ``rank`` separable ones. This module is *not* where that sum, or the
layout of the arguments, is decided; see ``stylegan3.py``.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from studio.accel.runtime import row_kernel
from studio.accel.simd import LANES, add, f32_pointer, float_value, fma, load, maximum, minimum, mul, prefetch, splat, store, u16_pointer

UP_TAPS = 6
"""Taps per phase of the upsampling filter."""
DOWN_TAPS = 12
"""Taps of the downsampling filter, which halves the rate and is symmetric."""
MAX_RANK = 4
"""Most separable filters that a downsampling filter may be the sum of."""
RING = 8
"""Input rows kept at a time: six for the filter, one for the second of two output phases, rounded up."""


_fast = numba.njit(forceinline=True, fastmath={"contract", "nsz"})
_plain = numba.njit(fastmath={"contract", "nsz"})


@_fast
def _six(taps: Any, at: Any) -> Any:
    return (splat(taps[at]), splat(taps[at + 1]), splat(taps[at + 2]), splat(taps[at + 3]), splat(taps[at + 4]), splat(taps[at + 5]))


@_fast
def _dot(values: Any, taps: Any) -> Any:
    even = fma(values[4], taps[4], fma(values[2], taps[2], mul(values[0], taps[0])))
    odd = fma(values[5], taps[5], fma(values[3], taps[3], mul(values[1], taps[1])))
    return add(even, odd)


@_fast
def _folded(row: Any, at: Any) -> Any:
    return (
        add(load(row, at), load(row, at + 11 * LANES)),
        add(load(row, at + LANES), load(row, at + 10 * LANES)),
        add(load(row, at + 2 * LANES), load(row, at + 9 * LANES)),
        add(load(row, at + 3 * LANES), load(row, at + 8 * LANES)),
        add(load(row, at + 4 * LANES), load(row, at + 7 * LANES)),
        add(load(row, at + 5 * LANES), load(row, at + 6 * LANES)),
    )


@_plain
def _fill(row: Any, start: Any, stop: Any) -> None:
    zero = splat(np.float32(0))
    for x in range(start, stop):
        store(row, x * LANES, zero)


@_plain
def _read_row(
    source: Any, is_half: Any, at: Any, step: Any, row: Any, first: Any, count: Any, size: Any, scale: Any, bias: Any, ahead: Any
) -> None:
    """Bring columns ``first ... first + count`` of an input row in, scaled and biased; zero outside ``0 ... size``."""
    left = min(max(-first, 0), count)
    right = max(min(size - first, count), left)
    _fill(row, 0, left)
    if is_half:
        half = u16_pointer(source)
        for x in range(left, right):
            prefetch(half, at + (first + x) * step + ahead, 0)
            store(row, x * LANES, fma(load(half, at + (first + x) * step), scale, bias))
    else:
        full = f32_pointer(source)
        for x in range(left, right):
            prefetch(full, at + (first + x) * step + ahead, 0)
            store(row, x * LANES, fma(load(full, at + (first + x) * step), scale, bias))
    _fill(row, right, count)


@_plain
def _filter_rows(ring: Any, width: Any, first: Any, taps: Any, at: Any, row: Any) -> None:
    """Upsample vertically: one row of the finer grid from six rows of the ring."""
    weights = _six(taps, at)
    a, b, c = (first & 7) * width, ((first + 1) & 7) * width, ((first + 2) & 7) * width
    d, e, f = ((first + 3) & 7) * width, ((first + 4) & 7) * width, ((first + 5) & 7) * width
    for x in range(0, width, LANES):
        six = (load(ring, a + x), load(ring, b + x), load(ring, c + x), load(ring, d + x), load(ring, e + x), load(ring, f + x))
        store(row, x, _dot(six, weights))


@_plain
def _activate(row: Any, groups: Any, up: Any, taps: Any, slope: Any, clamp: Any, fine: Any) -> None:
    """Upsample horizontally and apply the leaky ReLU and the clamp: ``groups * up`` fine samples."""
    slopes, high, low = splat(slope), splat(clamp), splat(-clamp)
    for phase in range(up):
        weights = _six(taps, phase * UP_TAPS)
        for group in range(groups):
            x = group * LANES
            six = (
                load(row, x),
                load(row, x + LANES),
                load(row, x + 2 * LANES),
                load(row, x + 3 * LANES),
                load(row, x + 4 * LANES),
                load(row, x + 5 * LANES),
            )
            value = _dot(six, weights)
            value = maximum(value, mul(value, slopes))
            store(fine, (group * up + phase) * LANES, maximum(minimum(value, high), low))


@_plain
def _shrink_row(fine: Any, first: Any, count: Any, taps: Any, rank: Any, coarse: Any) -> None:
    """Downsample horizontally: ``count`` samples for each of ``rank`` filters, one after the other for each place."""
    if rank == 1:
        one = _six(taps, 0)
        for x in range(count):
            store(coarse, x * LANES, _dot(_folded(fine, (first + 2 * x) * LANES), one))
    elif rank == 2:
        one, two = _six(taps, 0), _six(taps, 6)
        for x in range(count):
            pairs = _folded(fine, (first + 2 * x) * LANES)
            store(coarse, 2 * x * LANES, _dot(pairs, one))
            store(coarse, (2 * x + 1) * LANES, _dot(pairs, two))
    else:
        one, two, three = _six(taps, 0), _six(taps, 6), _six(taps, 12)
        for x in range(count):
            pairs = _folded(fine, (first + 2 * x) * LANES)
            store(coarse, rank * x * LANES, _dot(pairs, one))
            store(coarse, (rank * x + 1) * LANES, _dot(pairs, two))
            store(coarse, (rank * x + 2) * LANES, _dot(pairs, three))
        if rank == 4:
            four = _six(taps, 18)
            for x in range(count):
                store(coarse, (4 * x + 3) * LANES, _dot(_folded(fine, (first + 2 * x) * LANES), four))


@_fast
def _pair(start: Any, a: Any, b: Any, weight_a: Any, weight_b: Any) -> Any:
    return fma(b, weight_b, fma(a, weight_a, start))


@_plain
def _spread(coarse: Any, rank: Any, index: Any, width: Any, taps: Any, sums: Any, newest: Any) -> None:
    """Downsample vertically: add two fine rows (``coarse``, and ``width * rank`` further on) to the five newest output rows.

    The newest row begins here with the first of the ``rank`` filters; the oldest of six is finished by :func:`_finish`.
    """
    a0, a1, a2, a3, a4 = splat(taps[0]), splat(taps[2]), splat(taps[4]), splat(taps[6]), splat(taps[8])
    b0, b1, b2, b3, b4 = splat(taps[1]), splat(taps[3]), splat(taps[5]), splat(taps[7]), splat(taps[9])
    row0, row1, row2 = newest % 6 * width, (newest + 5) % 6 * width, (newest + 4) % 6 * width
    row3, row4 = (newest + 3) % 6 * width, (newest + 2) % 6 * width
    second = width * rank
    zero = splat(np.float32(0))
    for x in range(0, width, LANES):
        a = load(coarse, x * rank + index * LANES)
        b = load(coarse, second + x * rank + index * LANES)
        begun = load(sums, row0 + x) if index > 0 else zero
        store(sums, row0 + x, _pair(begun, a, b, a0, b0))
        store(sums, row1 + x, _pair(load(sums, row1 + x), a, b, a1, b1))
        store(sums, row2 + x, _pair(load(sums, row2 + x), a, b, a2, b2))
        store(sums, row3 + x, _pair(load(sums, row3 + x), a, b, a3, b3))
        store(sums, row4 + x, _pair(load(sums, row4 + x), a, b, a4, b4))


@_plain
def _finish(
    coarse: Any, rank: Any, width: Any, taps: Any, row: Any, target: Any, is_half: Any, at: Any, step: Any, scale: Any, ahead: Any
) -> None:
    """Add the last two fine rows to the oldest output row and give it away, scaled."""
    half, full = u16_pointer(target), f32_pointer(target)
    first_a, first_b = splat(taps[10]), splat(taps[11])
    second = width * rank * LANES
    for x in range(width):
        place = x * rank * LANES
        value = _pair(load(row, x * LANES), load(coarse, place), load(coarse, second + place), first_a, first_b)
        for index in range(1, rank):
            weight_a, weight_b = splat(taps[DOWN_TAPS * index + 10]), splat(taps[DOWN_TAPS * index + 11])
            place += LANES
            value = _pair(value, load(coarse, place), load(coarse, second + place), weight_a, weight_b)
        value = mul(value, scale)
        if is_half:
            prefetch(half, at + x * step + ahead, 1)
            store(half, at + x * step, value)
        else:
            prefetch(full, at + x * step + ahead, 1)
            store(full, at + x * step, value)


@_plain
def _tile(block: Any, sample: Any, channel: Any, x0: Any, y0: Any, scratch: Any) -> None:
    """Compute one tile of sixteen channels; see :func:`filtered_lrelu` for the arguments in ``block``."""
    source, target, is_half_in, is_half_out = block[0], block[1], block[2] != 0, block[3] != 0
    channels, in_size, out_size, up, rank = block[8], block[9], block[10], block[11], block[12]
    window, shift, pitch_in, pitch_out, inset = block[13], block[14], block[19], block[20], block[21]
    width, height = min(block[15], out_size - x0), min(block[16], out_size - y0)
    taps = f32_pointer(block[7])
    slope, clamp = float_value(block[17]), float_value(block[18])
    scale_in = load(f32_pointer(block[4]), sample * channels + channel)
    bias = load(f32_pointer(block[5]), channel)
    scale_out = load(f32_pointer(block[6]), sample * channels + channel)

    group0 = (2 * x0 + shift) // up
    groups = (2 * (x0 + width - 1) + DOWN_TAPS - 1 + shift) // up + 1 - group0
    lead = 2 * x0 + shift - group0 * up
    columns = groups + UP_TAPS - 1
    ring = f32_pointer(scratch)
    middle = f32_pointer(scratch + 4 * LANES * RING * columns)
    fine = f32_pointer(scratch + 4 * LANES * (RING + 1) * columns)
    sums_at = scratch + 4 * LANES * ((RING + 1) * columns + groups * up)
    sums = f32_pointer(sums_at)
    coarse_at = sums_at + 4 * LANES * 6 * width
    coarse = f32_pointer(coarse_at)
    _fill(sums, 0, 6 * width)

    read = (2 * y0 + shift) // up + window
    for pair in range(y0, y0 + height + DOWN_TAPS // 2 - 1):
        for half in range(2):
            at = 2 * pair + half + shift
            first = at // up + window
            while read < first + UP_TAPS:
                row = f32_pointer(scratch + 4 * LANES * columns * (read & 7))
                if 0 <= read < in_size:
                    start = (sample * pitch_in + read) * pitch_in * channels + channel
                    ahead = pitch_in * channels
                    _read_row(source, is_half_in, start, channels, row, group0 + window, columns, in_size, scale_in, bias, ahead)
                else:
                    _fill(row, 0, columns)
                read += 1
            _filter_rows(ring, columns * LANES, first, taps, at % up * UP_TAPS, middle)
            _activate(middle, groups, up, f32_pointer(block[7] + 4 * UP_TAPS * up), slope, clamp, fine)
            line = f32_pointer(coarse_at + 4 * LANES * half * width * rank)
            _shrink_row(fine, lead, width, f32_pointer(block[7] + 8 * UP_TAPS * up), rank, line)
        down = f32_pointer(block[7] + 8 * UP_TAPS * up + 4 * DOWN_TAPS // 2 * rank)
        done = pair - (DOWN_TAPS // 2 - 1)
        if done >= y0:
            start = ((sample * pitch_out + done + inset) * pitch_out + x0 + inset) * channels + channel
            oldest = f32_pointer(sums_at + 4 * LANES * width * ((pair + 1) % 6))
            _finish(coarse, rank, width, down, oldest, target, is_half_out, start, channels, scale_out, pitch_out * channels)
        for index in range(rank):
            down = f32_pointer(block[7] + 8 * UP_TAPS * up + 4 * (DOWN_TAPS // 2 * rank + DOWN_TAPS * index))
            _spread(coarse, rank, index, width * LANES, down, sums, pair)


@row_kernel()
def filtered_lrelu(start: int, stop: int, block: Any) -> None:
    """Compute tiles ``start ... stop``, counted by channel block, then column, row and sample.

    Slots: 0 input ``[n, pitch, pitch, channels]``, of which the first ``in_size`` rows and columns are the picture, 1
    output, 2 and 3 whether they are bfloat16, 4 factor on the input ``[n, channels]``, 5 bias ``[channels]``, 6 factor on the output
    ``[n, channels]``, 7 taps (see :func:`studio.accel.stylegan3.pack_taps`), 8 channels, 9 in_size, 10 out_size, 11
    upsampling factor, 12 rank, 13 first input sample of the first group of ``up`` fine samples, 14 how many samples of
    that group lie before the first one that is used, 15 and 16 width and height of a tile, 17 slope, 18 clamp, 19 and 20
    side of the whole input and output, 21 how many rows and columns of the output come before the picture.
    """
    channels, out_size, up, rank, tile_width, tile_height = block[8], block[10], block[11], block[12], block[15], block[16]
    across, down, blocks = -(-out_size // tile_width), -(-out_size // tile_height), channels // LANES
    groups = (2 * tile_width + DOWN_TAPS) // up + 3
    floats = LANES * ((RING + 1) * (groups + UP_TAPS) + groups * up + (6 + 2 * rank) * tile_width)
    memory = np.empty(floats + LANES, np.float32)
    scratch = (memory.ctypes.data + 63) // 64 * 64
    for task in range(start, stop):
        rest = task // blocks
        _tile(
            block, rest // across // down, task % blocks * LANES, rest % across * tile_width, rest // across % down * tile_height, scratch
        )
    memory[0] = 0
