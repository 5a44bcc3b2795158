"""The arithmetic of style vectors: truncation, style mixing, blends, and the ways from one point to another.

Every operation is a pure function of tensors. This is *not* where a recipe says what is mixed (``styles.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from studio.errors import RecipeError


def truncate(ws: Tensor, w_avg: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
    """Pull style vectors towards the average style (the truncation trick).

    ``psi = 1`` changes nothing, ``psi = 0`` gives ``w_avg`` in every layer, a negative ``psi`` mirrors the style through the average.

    Args:
        ws: One style vector per synthesis layer, ``[n, num_ws, w_dim]``.
        w_avg: The centre: the running mean of W kept by the mapping network ``[w_dim]``, or any ``[num_ws, w_dim]``.
        psi: Interpolation weight, no unit; artists stay between -1 and 1.5.
        cutoff: Truncate layers ``0 .. cutoff - 1`` only; None truncates all.

    Returns:
        A new tensor with the shape, dtype and device of ``ws``.

    Raises:
        RecipeError: ``cutoff`` is negative or more than the layers of the model.

    Reference:
        Karras et al. 2019, "A Style-Based Generator Architecture for GANs", section 3.1 and appendix B.
    """
    num_ws = ws.shape[1]
    if cutoff is not None and cutoff > num_ws:
        raise RecipeError(f"truncation_cutoff={cutoff} is too high: this model has {num_ws} style layers (num_ws). Use 0 to {num_ws}.")
    if cutoff is not None and cutoff < 0:
        raise RecipeError(f"truncation_cutoff={cutoff} is negative. Use 0 to {num_ws}.")
    if psi == 1:
        return ws.clone()
    center = w_avg.to(ws).expand_as(ws)
    pulled = center.lerp(ws, psi)
    if cutoff is not None:
        pulled[:, cutoff:] = ws[:, cutoff:]
    return pulled


def mix(ws: Tensor, other: Tensor, weights: Sequence[float]) -> Tensor:
    """Mix styles layer by layer: layer ``i`` becomes ``ws + weights[i] * (other - ws)``.

    Args:
        ws: The base, ``[n, num_ws, w_dim]``.
        other: The source, same shape (or ``n = 1``).
        weights: Share of the source per layer, 0..1; missing layers keep the base.

    Returns:
        A new tensor shaped like ``ws``; weights of 0 and 1 copy exactly.

    Raises:
        RecipeError: More weights than the model has layers.

    Reference:
        Karras et al. 2019, "A Style-Based Generator Architecture for GANs", section 3.1 (style mixing).
    """
    num_ws = ws.shape[1]
    if len(weights) > num_ws:
        raise RecipeError(
            f"The style mix has weights for {len(weights)} layers, but this model has {num_ws} (num_ws). Use at most {num_ws}."
        )
    share = torch.zeros(num_ws, dtype=ws.dtype, device=ws.device)
    share[: len(weights)] = torch.tensor(list(weights), dtype=ws.dtype, device=ws.device)
    return torch.lerp(ws, other.to(ws).expand_as(ws), share.view(1, -1, 1))


def blend(sources: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Blend any number of style vectors in W, weights made to sum to one.

    Args:
        sources: Tensors ``[1, num_ws, w_dim]``, at least one.
        weights: One weight >= 0 per source.

    Returns:
        ``ws [1, num_ws, w_dim]``; a single source comes back exactly.

    Raises:
        RecipeError: All weights are zero.
    """
    assert len(sources) == len(weights) > 0, "one weight per source"
    total = float(sum(weights))
    if not total > 0:
        raise RecipeError("All blend weights are zero, so there is nothing to show. Give at least one a weight above 0.")
    used = [(source, weight / total) for source, weight in zip(sources, weights, strict=True) if weight > 0]
    if len(used) == 1:
        return used[0][0].clone()
    return torch.stack([source * share for source, share in used]).sum(0)


def lerp(a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """Go straight from ``a`` (``t = 0``) to ``b`` (``t = 1``): the way of W."""
    return torch.lerp(a, b, t)


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Go from ``a`` to ``b`` along the arc between their directions, lengths mixed linearly: the way of Z.

    Args:
        a: Vectors ``[..., dim]``.
        b: Vectors shaped like ``a``.
        t: 0 gives ``a``, 1 gives ``b``.

    Returns:
        Vectors shaped like ``a``; where the two are (nearly) parallel or opposite the straight line is taken.

    Reference:
        Shoemake 1985, "Animating Rotation with Quaternion Curves"; White 2016, "Sampling Generative Networks", section 2.1.
    """
    length_a, length_b = a.norm(dim=-1, keepdim=True), b.norm(dim=-1, keepdim=True)
    unit_a, unit_b = a / length_a.clamp_min(1e-12), b / length_b.clamp_min(1e-12)
    angle = torch.acos((unit_a * unit_b).sum(-1, keepdim=True).clamp(-1, 1))
    sine = torch.sin(angle)
    arc = (torch.sin((1 - t) * angle) * unit_a + torch.sin(t * angle) * unit_b) / sine.clamp_min(1e-12)
    return torch.where(sine < 1e-4, torch.lerp(a, b, t), arc * torch.lerp(length_a, length_b, t))
