"""The parts of StyleGAN2 between its matrix products, fused into four passes over channels-last memory.

``affine_rows`` and ``demodulation_rows`` turn style vectors into factors per channel; ``finish_up_*`` and
``finish_same_*`` take the raw result of a convolution through smoothing, demodulation, noise, bias, leaky ReLU and
clamp to the input of the next one, already scaled by its styles; the latter adds the layer's colours to the picture on
the way. Arithmetic is float32; features are float32 or bfloat16. Channels come in multiples of ``simd.LANES``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from studio.accel.runtime import row_kernel
from studio.accel.simd import (
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
    total,
    u16_pointer,
)

COLORS = 4
"""Colour channels that ``finish_same`` computes; the weights of missing ones are zero."""
TAPS = 9
"""Taps of the transposed convolution, each a product of its own in the input of ``finish_up``."""


@row_kernel()
def affine_rows(start: int, stop: int, block: Any) -> None:
    """Compute ``out[sample, i] = weight[i] . ws[sample, layer[i]] + bias[i]``.

    ``out [n, rows]``, ``weight [rows, width]``, ``bias [rows]``, ``ws [n, num_ws, width]``, ``layer [rows]`` int64.
    """
    out, weight, bias, ws, layer = f32_pointer(block[0]), f32_pointer(block[1]), f32_pointer(block[2]), f32_pointer(block[3]), block[4]
    n, rows, num_ws, width = block[5], block[6], block[7], block[8]
    layers = i64_pointer(layer)
    whole = width - width % 16
    for row in range(start, stop):
        for sample in range(n):
            begin = (sample * num_ws + layers[row]) * width
            sums = splat(0.0)
            for k in range(0, whole, 16):
                sums = fma(load(weight, row * width + k), load(ws, begin + k), sums)
            value = total(sums)
            for k in range(whole, width):
                value += weight[row * width + k] * ws[begin + k]
            out[sample * rows + row] = value + bias[row]


@row_kernel()
def demodulation_rows(start: int, stop: int, block: Any) -> None:
    """Compute ``out[sample, i] = gain[i] / sqrt(energy[offset[i] :] . styles[sample, place[i] :] ** 2 + 1e-8)``.

    ``out [n, rows]``, ``energy`` flat, ``styles [n, styles_width]``, ``table [rows, 3]`` int64: offset, place, width.
    """
    out, energy, styles, gain = f32_pointer(block[0]), f32_pointer(block[1]), f32_pointer(block[2]), f32_pointer(block[4])
    table, n, rows, styles_width = i64_pointer(block[3]), block[5], block[6], block[7]
    for row in range(start, stop):
        offset, place, width = table[row * 3], table[row * 3 + 1], table[row * 3 + 2]
        for sample in range(n):
            begin = sample * styles_width + place
            sums = splat(0.0)
            for k in range(0, width, 16):
                style = load(styles, begin + k)
                sums = fma(load(energy, offset + k), mul(style, style), sums)
            out[sample * rows + row] = gain[row] / np.sqrt(total(sums) + np.float32(1e-8))


@njit
def _smooth_down(source: Any, above: int, here: int, below: int, tap: int, taps: Any) -> Any:
    """Filter vertically what horizontal tap ``tap`` of three input pixels below each other gives.

    Returns the values of the even and the odd output row; ``source`` holds taps as blocks of 16 channels.
    """
    a, b, c, d = taps
    row, column = 3 * 16, tap * 16
    first = load(source, above + row + column)
    second = add(load(source, here + column), load(source, above + 2 * row + column))
    third = load(source, here + row + column)
    fourth = add(load(source, below + column), load(source, here + 2 * row + column))
    fifth = load(source, below + row + column)
    even = fma(a, first, fma(b, second, fma(c, third, mul(d, fourth))))
    odd = fma(a, second, fma(b, third, fma(c, fourth, mul(d, fifth))))
    return even, odd


@njit
def _smooth_across(left: Any, here: Any, right: Any, taps: Any) -> Any:
    """Filter horizontally; each argument is a pixel's three taps. Returns the even and the odd output column."""
    a, b, c, d = taps
    second = add(here[0], left[2])
    fourth = add(right[0], here[2])
    even = fma(a, left[1], fma(b, second, fma(c, here[1], mul(d, fourth))))
    odd = fma(a, second, fma(b, here[1], fma(c, fourth, mul(d, right[1]))))
    return even, odd


@njit
def _activate(value: Any, scale: Any, shift: Any, slope: Any, clamp: Any) -> Any:
    """Compute ``clamp(lrelu(value * scale + shift))``."""
    value = fma(value, scale, shift)
    value = maximum(value, mul(value, slope))
    return maximum(minimum(value, clamp), sub(splat(0.0), clamp))


@njit
def _finish_up(start: int, stop: int, block: Any, source: Any, target: Any) -> None:
    """Finish the rows ``2 i`` and ``2 i + 1`` of an upsampling layer for each input row ``i``.

    ``source`` holds, per input pixel and block of 16 channels, the products of the nine taps of the transposed convolution
    (``[n, side, side, width / 16, 9, 16]``), and one row of zeros behind; ``target`` is ``[n, 2 side, 2 side, width]``.
    ``block`` holds 2 demodulation and 3 its step per sample, 4 bias, 5 noise, 6 its step per sample, 7 its amplitude, 8
    styles of the next layer and 9 their step, 10 slope, 11 clamp, 12 side, 13 width, 14 n, 15 to 18 taps of one axis.
    """
    demod, demod_step, bias = f32_pointer(block[2]), block[3], f32_pointer(block[4])
    noise, noise_step, amplitude = f32_pointer(block[5]), block[6], float_value(block[7])
    styles, styles_step, slope, clamp = f32_pointer(block[8]), block[9], splat(float_value(block[10])), splat(float_value(block[11]))
    side, width, samples = block[12], block[13], block[14]
    taps = (splat(float_value(block[15])), splat(float_value(block[16])), splat(float_value(block[17])), splat(float_value(block[18])))
    pixel, size = TAPS * width, 2 * side
    nothing = samples * side * side * pixel
    zero = splat(0.0)
    for row in range(start, stop):
        sample, y = row // side, row % side
        here = row * side * pixel
        above = here - side * pixel if y > 0 else nothing
        below = here + side * pixel if y + 1 < side else nothing
        grain = sample * noise_step + 2 * y * size
        out = (sample * size + 2 * y) * size * width
        for channel in range(0, width, 16):
            scale, shift = load(demod, sample * demod_step + channel), load(bias, channel)
            style = load(styles, sample * styles_step + channel)
            left_even = left_odd = (zero, zero, zero)
            place = channel * TAPS
            even0, odd0 = _smooth_down(source, above + place, here + place, below + place, 0, taps)
            even1, odd1 = _smooth_down(source, above + place, here + place, below + place, 1, taps)
            even2, odd2 = _smooth_down(source, above + place, here + place, below + place, 2, taps)
            here_even, here_odd = (even0, even1, even2), (odd0, odd1, odd2)
            for x in range(side):
                if x + 1 < side:
                    step = (x + 1) * pixel + place
                    even0, odd0 = _smooth_down(source, above + step, here + step, below + step, 0, taps)
                    even1, odd1 = _smooth_down(source, above + step, here + step, below + step, 1, taps)
                    even2, odd2 = _smooth_down(source, above + step, here + step, below + step, 2, taps)
                    right_even, right_odd = (even0, even1, even2), (odd0, odd1, odd2)
                else:
                    right_even = right_odd = (zero, zero, zero)
                first, second = _smooth_across(left_even, here_even, right_even, taps)
                third, fourth = _smooth_across(left_odd, here_odd, right_odd, taps)
                spot, spot_below = grain + 2 * x, grain + 2 * x + size
                place_out = out + 2 * x * width + channel
                under = place_out + size * width
                first = _activate(first, scale, add(shift, splat(noise[spot] * amplitude)), slope, clamp)
                second = _activate(second, scale, add(shift, splat(noise[spot + 1] * amplitude)), slope, clamp)
                third = _activate(third, scale, add(shift, splat(noise[spot_below] * amplitude)), slope, clamp)
                fourth = _activate(fourth, scale, add(shift, splat(noise[spot_below + 1] * amplitude)), slope, clamp)
                store(target, place_out, mul(first, style))
                store(target, place_out + width, mul(second, style))
                store(target, under, mul(third, style))
                store(target, under + width, mul(fourth, style))
                left_even, left_odd = here_even, here_odd
                here_even, here_odd = right_even, right_odd


@row_kernel()
def finish_up_bf16(start: int, stop: int, block: Any) -> None:
    """Finish an upsampling layer from bfloat16 to bfloat16."""
    _finish_up(start, stop, block, u16_pointer(block[0]), u16_pointer(block[1]))


@row_kernel()
def finish_up_f32(start: int, stop: int, block: Any) -> None:
    """Finish an upsampling layer from float32 to float32."""
    _finish_up(start, stop, block, f32_pointer(block[0]), f32_pointer(block[1]))


@njit
def upsample_row(image: Any, before: Any, sample: int, y: int, size: int, colors: int, taps: Any, line: Any) -> None:
    """Write row ``y`` of ``image [n, colors, size, size]`` as the smoothed enlargement of ``before`` (half the size)."""
    a, b, c, d = taps
    half = size // 2
    i = y // 2
    top, first, second = (i - 1, a, c) if y % 2 == 0 else (i, b, d)
    line[0] = line[half + 1] = np.float32(0.0)
    for color in range(colors):
        plane = (sample * colors + color) * half * half
        above = first if top >= 0 else np.float32(0.0)
        below = second if top + 1 < half else np.float32(0.0)
        up = plane + max(top, 0) * half
        down = plane + min(top + 1, half - 1) * half
        for x in range(half):
            line[x + 1] = above * before[up + x] + below * before[down + x]
        out = ((sample * colors + color) * size + y) * size
        for x in range(half):
            image[out + 2 * x] = a * line[x] + c * line[x + 1]
            image[out + 2 * x + 1] = b * line[x + 1] + d * line[x + 2]


@njit
def clear_row(image: Any, sample: int, y: int, size: int, colors: int) -> None:
    """Fill row ``y`` of ``image [n, colors, size, size]`` with zeros."""
    for color in range(colors):
        out = ((sample * colors + color) * size + y) * size
        for x in range(size):
            image[out + x] = np.float32(0.0)


@njit
def style_colors(out: Any, weight: Any, styles: Any, begin: int, width: int) -> None:
    """Modulate the colour weights ``[COLORS, width]`` by one sample's styles."""
    for color in range(COLORS):
        for channel in range(0, width, 16):
            store(out, color * width + channel, mul(load(weight, color * width + channel), load(styles, begin + channel)))


@njit
def _finish_same(start: int, stop: int, block: Any, source: Any, target: Any) -> None:
    """Finish the rows of a layer that keeps its size, and add its colours to the picture.

    ``source`` and ``target`` are ``[n, side, side, width]``; a target address of 0 means that only colours are wanted.
    ``block`` is that of ``_finish_up`` up to 13, then 14 colour weights ``[COLORS, width]``, 15 their styles (with the
    step in 9), 16 their biases, 17 the number of colours or 0, 18 the picture ``[n, colors, side, side]`` to write, 19
    the picture so far, half the size, or 0, 20 clamp of the colours, 21 to 24 taps of one axis.
    """
    demod, demod_step, bias = f32_pointer(block[2]), block[3], f32_pointer(block[4])
    noise, noise_step, amplitude = f32_pointer(block[5]), block[6], float_value(block[7])
    styles, styles_step, slope, clamp = f32_pointer(block[8]), block[9], splat(float_value(block[10])), splat(float_value(block[11]))
    side, width = block[12], block[13]
    color_weight, color_styles, color_bias = f32_pointer(block[14]), f32_pointer(block[15]), f32_pointer(block[16])
    colors, image, before, limit = block[17], f32_pointer(block[18]), f32_pointer(block[19]), float_value(block[20])
    taps = (float_value(block[21]), float_value(block[22]), float_value(block[23]), float_value(block[24]))
    has_target, has_before = block[1] != 0, block[19] != 0
    line = np.empty(side + 2, np.float32)
    scratch = np.empty(COLORS * width, np.float32)
    paint = f32_pointer(scratch.ctypes.data)
    for row in range(start, stop):
        sample, y = row // side, row % side
        if colors > 0:
            if row == start or y == 0:
                style_colors(paint, color_weight, color_styles, sample * styles_step, width)
            if has_before:
                upsample_row(image, before, sample, y, side, colors, taps, line)
            else:
                clear_row(image, sample, y, side, colors)
        for x in range(side):
            place = (row * side + x) * width
            grain = splat(noise[sample * noise_step + y * side + x] * amplitude)
            red, green, blue, alpha = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
            for channel in range(0, width, 16):
                scale, shift = load(demod, sample * demod_step + channel), add(load(bias, channel), grain)
                value = _activate(load(source, place + channel), scale, shift, slope, clamp)
                if has_target:
                    store(target, place + channel, mul(value, load(styles, sample * styles_step + channel)))
                red = fma(value, load(paint, channel), red)
                green = fma(value, load(paint, width + channel), green)
                blue = fma(value, load(paint, 2 * width + channel), blue)
                alpha = fma(value, load(paint, 3 * width + channel), alpha)
            if colors > 0:
                light = (total(red), total(green), total(blue), total(alpha))
                for color in range(colors):
                    value_out = min(max(light[color] + color_bias[color], -limit), limit)
                    image[((sample * colors + color) * side + y) * side + x] += value_out
    scratch[0] = np.float32(0.0)  # numba frees an array after its last use, and a pointer is none


@row_kernel()
def finish_same_bf16(start: int, stop: int, block: Any) -> None:
    """Finish a layer that keeps its size from bfloat16 to bfloat16."""
    _finish_same(start, stop, block, u16_pointer(block[0]), u16_pointer(block[1]))


@row_kernel()
def finish_same_f32(start: int, stop: int, block: Any) -> None:
    """Finish a layer that keeps its size from float32 to float32."""
    _finish_same(start, stop, block, f32_pointer(block[0]), f32_pointer(block[1]))
