"""One differentiable step between two convolutions: instance norm, activation, enlargement, padding, on the CPU's kernels.

The values are those of the four torch layers; torch makes a pass or more over memory for each, and clears and copies besides. The maps
say which row and column each output row and column shows, so that reflection, repetition and doubling are one case. Differentiable once.
"""

import functools
from typing import Any

import torch
from torch import Tensor

from studio.accel import kernels_training as kernels
from studio.accel.simd import LANES


def is_supported(x: Tensor) -> bool:
    """Say whether ``x [n, c, h, w]`` can go through :func:`spread`: on the CPU, float32 or bfloat16, channels a multiple of 16."""
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16) and x.shape[1] % LANES == 0


def spread(x: Tensor, *, eps: float | None, slope: float = 1.0, times: int = 1, padding: int = 0) -> Tensor:
    """Normalise each channel of each picture, apply the activation, repeat each pixel, continue by reflection.

    Args:
        x: ``[n, c, h, w]``; see :func:`is_supported`.
        eps: Added to the variance; None leaves the norm out.
        slope: Of the activation below zero: 0 ReLU, 1 none, between a leaky ReLU.
        times: How often each pixel is repeated each way.
        padding: Pixels on each side, after the enlargement; less than its height and width.

    Returns:
        ``[n, c, times h + 2 padding, times w + 2 padding]``, channels last, in the dtype of ``x``.

    Reference:
        Ulyanov et al. 2016, "Instance Normalization: The Missing Ingredient for Fast Stylization".
    """
    assert is_supported(x), (x.device, x.dtype, x.shape)
    result: Tensor = _Spread.apply(x, eps, slope, times, padding)
    return result


@functools.lru_cache(maxsize=64)
def _maps(size: int, times: int, padding: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return what each output place shows ``[out]``, and the way back: where each source's places begin ``[size + 1]``, and these."""
    enlarged = torch.arange(-padding, size * times + padding).abs()
    shown = torch.minimum(enlarged, 2 * (size * times - 1) - enlarged) // times
    first = torch.zeros(size + 1, dtype=torch.int64)
    first[1:] = torch.bincount(shown, minlength=size).cumsum(0)
    return shown, first, torch.argsort(shown, stable=True)


def _rows(x: Tensor) -> Tensor:
    """Return ``x [n, c, h, w]`` as dense ``[n, h, w, c]``."""
    return x.permute(0, 2, 3, 1).contiguous()


def _kernel(name: str, x: Tensor) -> Any:
    return getattr(kernels, f"{name}_{'BF16' if x.dtype == torch.bfloat16 else 'F32'}")


def _statistics(x: Tensor, eps: float | None) -> tuple[Tensor, Tensor]:
    """Return ``scale`` and ``shift [n, c]`` such that ``x * scale + shift`` is the normalised ``x [n, h, w, c]``."""
    n, h, w, c = x.shape
    if eps is None:
        return torch.ones(n, c), torch.zeros(n, c)
    sums = torch.empty(n, h, 2, c)
    _kernel("ROW_SUMS", x)(n * h, x, sums, w, c)
    mean, square = _means(sums, w)
    scale = torch.rsqrt((square - mean * mean).clamp_min_(0) + eps)
    return scale.float(), (-mean * scale).float()


def _means(sums: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Turn the two sums of each row, ``[n, h, 2, c]`` float32, into means over a picture, ``[n, c]`` float64 each."""
    n, h, _, c = sums.shape
    total = torch.bmm(sums.new_ones(n, 1, h), sums.view(n, h, 2 * c)).view(n, 2, c).double() / (h * width)
    return total[:, 0], total[:, 1]


class _Spread(torch.autograd.Function):
    """See :func:`spread`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float | None, slope: float, times: int, padding: int) -> Tensor:
        """Make two passes: sums, then everything else."""
        x = _rows(x)
        n, h, w, c = x.shape
        scale, shift = _statistics(x, eps)
        rows, columns = _maps(h, times, padding)[0], _maps(w, times, padding)[0]
        out = x.new_empty(n, len(rows), len(columns), c)
        _kernel("SPREAD", x)(
            n * len(rows), x, out, scale, shift, rows, columns, len(rows), len(columns), h, w, c, float(slope)
        )  # fmt: skip
        ctx.save_for_backward(x, scale, shift)
        ctx.how = (eps is not None, float(slope), times, padding)
        return out.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Make two passes: collect the gradient of the normalised values with its sums, then take the norm's part out."""
        x, scale, shift = ctx.saved_tensors
        is_normed, slope, times, padding = ctx.how
        g = _rows(gradients[0])
        n, h, w, c = x.shape
        rows, columns = _maps(h, times, padding), _maps(w, times, padding)
        result, sums = torch.empty_like(x), torch.empty(n, h, 2, c)
        _kernel("GATHER", x)(
            n * h, g, x, result, scale, shift, rows[1], rows[2], columns[1], columns[2], sums, len(rows[0]), len(columns[0]), h, w, c, slope
        )  # fmt: skip
        if is_normed:
            mean, product = _means(sums, w)
            _kernel("CENTRE", x)(n * h, result, x, scale, shift, mean.float(), product.float(), h, w, c)
        return result.permute(0, 3, 1, 2), None, None, None, None
