"""The operations that StyleGAN networks share: resampling, modulated convolution, biased activation, filtered leaky ReLU.

Pure functions in plain torch: any device, any float dtype, differentiable as often as one likes. This is *not* where
speed tricks for one processor live; see ``studio/accel``. Filters stay in the dtype of the picture, whatever autocast says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Padding = int | Sequence[int]
"""One number for all sides, or ``(left, right, top, bottom)``; negative numbers crop."""

ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "linear": (lambda x: x, 1.0),
    "relu": (F.relu, math.sqrt(2)),
    "lrelu": (lambda x: F.leaky_relu(x, 0.2), math.sqrt(2)),
    "tanh": (torch.tanh, 1.0),
    "sigmoid": (torch.sigmoid, 1.0),
    "elu": (F.elu, 1.0),
    "selu": (F.selu, 1.0),
    "softplus": (F.softplus, 1.0),
    "swish": (F.silu, math.sqrt(2)),
}
"""Name of the activation -> the function and the gain that keeps the variance."""

HOMOGENEOUS = frozenset({"linear", "relu", "lrelu"})
"""Activations where ``f(gain * x) = gain * f(x)``, so that a gain can be moved to where it costs nothing."""


def setup_filter(taps: Sequence[float] | Sequence[Sequence[float]] | Tensor | None) -> Tensor:
    """Make a low-pass filter from its taps, normalised to sum 1.

    Args:
        taps: One dimension (the filter is its outer product; 8 or more taps stay one-dimensional and are applied in
            each direction), two dimensions, or None for the filter that changes nothing.

    Returns:
        float32, ``[height, width]`` or ``[taps]``.
    """
    taps = torch.as_tensor([[1.0]] if taps is None else taps, dtype=torch.float32)
    if taps.ndim == 0:
        taps = taps[None]
    if taps.ndim == 1 and len(taps) < 8:
        taps = torch.outer(taps, taps)
    return taps / taps.sum()


def upfirdn2d(
    x: Tensor, taps: Tensor | None, *, up: int = 1, down: int = 1, padding: Padding = 0, gain: float = 1.0, flip: bool = False
) -> Tensor:
    """Insert zeros, pad, filter and subsample each channel of a batch of pictures.

    Args:
        x: ``[n, c, h, w]``.
        taps: A filter as :func:`setup_filter` makes it, or None for none.
        up: Each pixel is followed by ``up - 1`` zeros in both directions.
        down: Every ``down``-th pixel of the result is kept.
        padding: Zeros around the upsampled picture; negative crops.
        gain: Factor on the result; ``up ** 2`` keeps the brightness.
        flip: Correlate with the taps instead of convolving.

    Returns:
        ``[n, c, (h * up + top + bottom - taps) // down + 1, ...]`` in the dtype of ``x``.

    Reference:
        Karras et al. 2021, "Alias-Free Generative Adversarial Networks", appendix; the operation is that of any
        polyphase resampler.
    """
    if taps is None:
        taps = x.new_ones(1, 1)
    sides = [padding] * 4 if isinstance(padding, int) else list(padding)
    if taps.ndim == 2:
        kernel = (taps if flip else taps.flip(0, 1)) * gain
        return _resample(x, kernel, up=(up, up), down=(down, down), padding=sides)
    row = (taps if flip else taps.flip(0)) * math.sqrt(gain)
    x = _resample(x, row[None, :], up=(1, up), down=(1, down), padding=[*sides[:2], 0, 0])
    return _resample(x, row[:, None], up=(up, 1), down=(down, 1), padding=[0, 0, *sides[2:]])


def upsample2d(x: Tensor, taps: Tensor) -> Tensor:
    """Double the size of ``x [n, c, h, w]``, centred, with the brightness kept."""
    size = taps.shape[-1]
    before, after = (size + 1) // 2, (size - 2) // 2
    return upfirdn2d(x, taps, up=2, padding=(before, after, before, after), gain=4.0)


def downsample2d(x: Tensor, taps: Tensor) -> Tensor:
    """Halve the size of ``x [n, c, h, w]``, centred, with the brightness kept."""
    size = taps.shape[-1]
    before, after = (size - 1) // 2, (size - 2) // 2
    return upfirdn2d(x, taps, down=2, padding=(before, after, before, after))


def bias_act(
    x: Tensor, bias: Tensor | None = None, *, act: str = "linear", gain: float | None = None, clamp: float | None = None
) -> Tensor:
    """Add a bias per channel (dimension 1), apply the activation, then the gain, then clamp to ``+-clamp``.

    ``gain`` None is the activation's own gain (sqrt 2 for ``lrelu``).
    """
    function, own_gain = ACTIVATIONS[act]
    if bias is not None:
        x = x + bias.to(x.dtype).reshape([-1 if axis == 1 else 1 for axis in range(x.ndim)])
    x = function(x)
    gain = own_gain if gain is None else gain
    if gain != 1:
        x = x * gain
    return x if clamp is None else x.clamp(-clamp, clamp)


def filtered_lrelu(
    x: Tensor,
    up_taps: Tensor | None,
    down_taps: Tensor | None,
    bias: Tensor | None = None,
    *,
    up: int = 1,
    down: int = 1,
    padding: Padding = 0,
    gain: float = math.sqrt(2),
    slope: float = 0.2,
    clamp: float | None = None,
) -> Tensor:
    """Apply a leaky ReLU at a higher sampling rate, so that it makes no aliases.

    The order is bias, upsampling with ``padding``, ``clamp(gain * lrelu)``, downsampling; see :func:`upfirdn2d` for the
    filters and sizes.

    Reference:
        Karras et al. 2021, "Alias-Free Generative Adversarial Networks", section 3.
    """
    x = bias_act(x, bias)
    x = upfirdn2d(x, up_taps, up=up, padding=padding, gain=float(up**2))
    x = F.leaky_relu(x, slope) * gain
    if clamp is not None:
        x = x.clamp(-clamp, clamp)
    return upfirdn2d(x, down_taps, down=down)


def demodulation(weight: Tensor, styles: Tensor) -> Tensor:
    """Return the factors ``[n, out]`` that give each modulated filter unit norm.

    Args:
        weight: ``[out, in, height, width]``.
        styles: ``[n, in]``.

    Reference:
        Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", section 2.2, equation 3.
    """
    energy = weight.float().square().sum(dim=(2, 3))
    return (styles.float().square() @ energy.t() + 1e-8).rsqrt()


def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    *,
    demodulate: bool = True,
    up: int = 1,
    padding: int = 0,
    taps: Tensor | None = None,
    noise: Tensor | None = None,
    gain: float = 1.0,
) -> Tensor:
    """Convolve each sample with its own filters: ``weight`` scaled per input channel by ``styles``.

    The activations are scaled instead of the weights, before and after one ordinary convolution, which is the same
    linear map, batches well and keeps the weights constant.

    Args:
        x: ``[n, in, h, w]``.
        weight: ``[out, in, k, k]``, applied as a correlation (``up = 1``) or as the transposed convolution (``up = 2``).
        styles: ``[n, in]``.
        demodulate: Scale each sample's filters to unit norm.
        up: 1, or 2 to double the size on the way, smoothed with ``taps``.
        padding: Zeros around the (upsampled) picture.
        taps: Low-pass filter of ``up = 2``.
        noise: Added after demodulation; broadcast against ``[n, out, h, w]``.
        gain: Factor on the result, noise included.

    Returns:
        ``[n, out, h * up, w * up]`` for ``padding = k // 2``, in the dtype that the convolution computes in.

    Reference:
        Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", section 2.2.
    """
    if x.dtype == torch.float16 and demodulate:  # demodulation undoes both factors, and nothing overflows in between
        weight = weight / weight.abs().amax(dim=(1, 2, 3), keepdim=True)
        styles = styles / styles.abs().amax(dim=1, keepdim=True) / math.sqrt(weight[0].numel())
    scale = demodulation(weight, styles) * gain if demodulate else styles.new_full((), gain)
    x = x * styles.to(x.dtype)[:, :, None, None]
    x = conv2d_up(x, weight.to(x.dtype), taps=taps, padding=padding) if up == 2 else F.conv2d(x, weight.to(x.dtype), padding=padding)
    scale = scale.to(x.dtype).reshape(*scale.shape, 1, 1) if demodulate else scale.to(x.dtype)
    if noise is None:
        return x * scale if demodulate or gain != 1 else x
    return torch.addcmul((noise * gain).to(x.dtype), x, scale)


def modulated_mix(x: Tensor, weight: Tensor, styles: Tensor) -> Tensor:
    """Mix the channels of ``x [n, in, h, w]`` by ``weight [out, in]`` scaled by ``styles [n, in]``: ``[n, out, h, w]``.

    The same as :func:`modulated_conv2d` with 1x1 filters and no demodulation; with few outputs it is cheaper to scale
    the weights.
    """
    own = (weight * styles[:, None, :]).to(x.dtype)
    n, channels, height, width = x.shape
    if x.is_contiguous():
        return (own @ x.view(n, channels, height * width)).view(n, -1, height, width)
    pixels = x.permute(0, 2, 3, 1).reshape(n, height * width, channels)
    return (pixels @ own.transpose(1, 2)).view(n, height, width, -1).permute(0, 3, 1, 2)


def conv2d_up(x: Tensor, weight: Tensor, *, taps: Tensor | None, padding: int) -> Tensor:
    """Double the size of ``x [n, in, h, w]`` with a transposed convolution and smooth the result.

    ``weight [out, in, k, k]``; with ``padding = k // 2`` the result is ``[n, out, 2h, 2w]``.
    """
    size, k = 1 if taps is None else taps.shape[-1], weight.shape[-1]
    before, after = padding + (size + 1) // 2 - (k - 1), padding + (size - 2) // 2 - (k - 2)
    x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
    return upfirdn2d(x, taps, padding=(before, after, before, after), gain=4.0)


def conv2d_down(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, taps: Tensor | None, padding: int) -> Tensor:
    """Smooth ``x [n, in, h, w]``, halve its size with a strided convolution by ``weight [out, in, k, k]``, add ``bias [out]``."""
    size = 1 if taps is None else taps.shape[-1]
    before, after = padding + (size - 1) // 2, padding + (size - 2) // 2
    if weight.shape[-1] == 1:
        return F.conv2d(upfirdn2d(x, taps, down=2, padding=(before, after, before, after)), weight, bias)
    return F.conv2d(upfirdn2d(x, taps, padding=(before, after, before, after)), weight, bias, stride=2)


def _resample(x: Tensor, kernel: Tensor, *, up: tuple[int, int], down: tuple[int, int], padding: Sequence[int]) -> Tensor:
    """Resample by ``up`` and ``down`` per direction (vertical first), correlating with ``kernel [height, width]``."""
    result: Tensor = _Resample.apply(x, kernel, up, down, tuple(padding))
    return result


class _Resample(torch.autograd.Function):
    """Zero insertion, padding, depthwise correlation, subsampling; its gradient is one of its own kind.

    Written as a function of its own because the general second derivative of a depthwise convolution is slow, and the
    taps need no gradient. Padding is (left, right, top, bottom).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, up: tuple[int, int], down: tuple[int, int], padding: tuple[int, ...]) -> Tensor:
        """Compute the resampled picture."""
        ctx.save_for_backward(kernel)
        ctx.settings = up, down, padding, x.shape
        return _correlate(x, kernel, up=up, down=down, padding=padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        """Resample the other way round: up and down swapped, the taps mirrored."""
        (kernel,) = ctx.saved_tensors
        up, down, (left, _, top, _), shape = ctx.settings
        before, after = [], []
        for axis, start in ((1, left), (0, top)):
            taps, length = kernel.shape[axis], gradients[0].shape[2 + axis]
            first = taps - 1 - start
            needed = shape[2 + axis] * up[axis] - up[axis] + 1 + taps - 1
            before.append(first)
            after.append(needed - length * down[axis] - first)
        sides = (before[0], after[0], before[1], after[1])
        return _resample(gradients[0], kernel.flip(0, 1), up=down, down=up, padding=sides), None, None, None, None


def _correlate(x: Tensor, kernel: Tensor, *, up: tuple[int, int], down: tuple[int, int], padding: Sequence[int]) -> Tensor:
    channels = x.shape[1]
    if up != (1, 1):
        x = _insert_zeros(x, up)
    left, right, top, bottom = padding
    if left == right and top == bottom and left >= 0 and top >= 0:
        inside = (top, left)
    else:
        x, inside = F.pad(x, (left, right, top, bottom)), (0, 0)
    taps = kernel.to(x.dtype).expand(channels, 1, *kernel.shape)
    with torch.autocast(x.device.type, enabled=False):
        return F.conv2d(x, taps, padding=inside, stride=down, groups=channels)


def _insert_zeros(x: Tensor, up: tuple[int, int]) -> Tensor:
    n, c, h, w = x.shape
    is_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    layout = torch.channels_last if is_last else torch.contiguous_format
    spread = torch.empty((n, c, h * up[0], w * up[1]), dtype=x.dtype, device=x.device, memory_format=layout).zero_()
    spread[:, :, :: up[0], :: up[1]] = x
    return spread
