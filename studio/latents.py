"""Where a picture comes from: seeds, classes, truncation, style mixing, blends and the StyleGAN3 transform.

Pure functions over a generator ``G`` and style vectors ``ws``. This is *not* a place for pixels, files or caches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from studio.errors import RecipeError
from studio.models.common import LatentGenerator
from studio.recipe import SEED_ROW_STEP, Latent, Recipe, StyleMix, Transform, Truncation, pack_floats, unpack_floats

GROUPS = ("coarse", "middle", "fine")
"""Names of the layer groups, from pose and composition to colour and texture."""

COARSE_UP_TO = 8
MIDDLE_UP_TO = 32

Places = Callable[[Latent], Tensor]
"""Gives the style vectors ``[1, num_ws, w_dim]`` of one latent; an engine passes one that remembers."""


def seed_to_z(seeds: Iterable[int], z_dim: int) -> Tensor:
    """Draw the input noise of integer seeds as all StyleGAN tools do, so that seed 42 is the picture people know.

    Args:
        seeds: Whole numbers; they wrap into 0 .. 2^32 - 1.
        z_dim: Length of one noise vector.

    Returns:
        ``z [n, z_dim]`` float32 on the CPU.
    """
    rows = [np.random.RandomState(int(seed) % 2**32).randn(z_dim) for seed in seeds]
    return torch.from_numpy(np.stack(rows).astype(np.float32))


def seed_of(latent: Latent) -> int:
    """Return the integer seed nearest to a place of the seed plane, wrapped into 0 .. 2^32 - 1."""
    return (round(latent.x) + SEED_ROW_STEP * round(latent.y)) % 2**32


def class_vector(pairs: Sequence[tuple[int, float]], c_dim: int) -> Tensor:
    """Mix class labels: the weighted sum of their one-hot vectors, weights made to sum to one.

    Without pairs every class weighs the same; the label embedding is affine, so that is its mean: the average class.

    Args:
        pairs: ``(class index, weight >= 0)``.
        c_dim: Number of classes of the model.

    Returns:
        ``c [1, c_dim]`` float32 with sum 1 (``[1, 0]`` for a model without classes).

    Raises:
        RecipeError: A class that the model does not have, a negative weight, or weights that are all zero.
    """
    if c_dim == 0:
        if pairs:
            raise RecipeError(f"class={pairs[0][0]} was asked for, but this model has no classes. Leave the class out.")
        return torch.zeros(1, 0)
    if not pairs:
        return torch.full((1, c_dim), 1.0 / c_dim)
    c = torch.zeros(1, c_dim)
    for index, weight in pairs:
        if not 0 <= index < c_dim:
            raise RecipeError(f"class={index} is unknown: this model has {c_dim} classes. Use 0 to {c_dim - 1}.")
        if not (math.isfinite(weight) and weight >= 0):
            raise RecipeError(f"The weight of class {index} is {weight}, but a weight cannot be negative. Use 0 or more.")
        c[0, index] += weight
    total = float(c.sum())
    if total <= 0:
        raise RecipeError("All class weights are zero, so there is no class to show. Give at least one a weight above 0.")
    return c / total


def place_to_ws(G: LatentGenerator, latent: Latent) -> Tensor:
    """Find the style vectors of one place: kept ones as they are, others from the four neighbours on the seed plane.

    The four neighbouring seeds go through the mapping as one batch of fixed shape, each with the same class, and are mixed
    bilinearly in W. The result therefore depends on the latent alone, never on what else is being rendered.

    Args:
        G: The generator.
        latent: The place; ``(42, 0)`` is exactly seed 42, ``(0, 1)`` is seed 100.

    Returns:
        ``ws [1, num_ws, w_dim]`` without truncation, on the device of ``G``.

    Raises:
        RecipeError: Kept style vectors of another model's shape, or an unknown class.
    """
    device = G.w_avg.device
    if latent.ws:
        return _kept_ws(G, latent.ws).to(device)
    left, top = math.floor(latent.x), math.floor(latent.y)
    across, down = latent.x - left, latent.y - top
    corners = [(0, 0), (1, 0), (0, 1), (1, 1)]
    z = seed_to_z([left + dx + SEED_ROW_STEP * (top + dy) for dx, dy in corners], G.z_dim)
    c = class_vector(latent.classes, G.c_dim).expand(len(corners), -1) if G.c_dim or latent.classes else None
    with torch.no_grad():
        ws: Tensor = G.mapping(z.to(device), None if c is None else c.to(device))
    shares = [(across if dx else 1 - across) * (down if dy else 1 - down) for dx, dy in corners]
    return blend([ws[n : n + 1] for n in range(len(corners))], shares)


def _kept_ws(G: LatentGenerator, text: str) -> Tensor:
    values = torch.tensor(unpack_floats(text), dtype=torch.float32)
    if values.numel() == G.w_dim:
        return values.expand(1, G.num_ws, G.w_dim)
    if values.numel() == G.num_ws * G.w_dim:
        return values.view(1, G.num_ws, G.w_dim)
    raise RecipeError(
        f"ws holds {values.numel()} numbers, but this model needs {G.w_dim} (one style) or {G.num_ws * G.w_dim} "
        f"({G.num_ws} layers of {G.w_dim}). Open it with the model it was made with."
    )


def keep_ws(ws: Tensor) -> Latent:
    """Keep style vectors ``[num_ws, w_dim]``, ``[1, num_ws, w_dim]`` or ``[w_dim]`` in a latent, bit for bit as float32."""
    return Latent(ws=pack_floats(ws.detach().to("cpu", torch.float32).flatten().tolist()))


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


def layer_groups(G: LatentGenerator) -> dict[str, list[int]]:
    """Split the style layers by the resolution they act at: coarse 4-8, middle 16-32, fine 64 and more.

    A network without layers at 8 px or below (StyleGAN3 starts at 16) is split into thirds instead.

    Returns:
        ``{"coarse": [...], "middle": [...], "fine": [...]}``; every layer is in exactly one group.
    """
    groups: dict[str, list[int]] = {name: [] for name in GROUPS}
    resolutions = G.layer_resolutions
    by_size = min(resolutions) <= COARSE_UP_TO
    for layer, resolution in enumerate(resolutions):
        if by_size:
            place = 0 if resolution <= COARSE_UP_TO else 1 if resolution <= MIDDLE_UP_TO else 2
        else:
            place = layer * len(GROUPS) // len(resolutions)
        groups[GROUPS[place]].append(layer)
    return groups


def layer_weights(G: LatentGenerator, text: str) -> tuple[float, ...]:
    """Read layers from words and numbers, e.g. ``coarse``, ``0-3,5`` or ``middle,9:0.5``, as one weight per layer.

    Returns:
        ``num_ws`` weights: 1 (or the number after the colon) for the named layers, 0 elsewhere.

    Raises:
        RecipeError: A word that is no group, or a layer that the model does not have.
    """
    groups = layer_groups(G)
    weights = [0.0] * G.num_ws
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, amount = part.partition(":")
        try:
            first, _, last = name.partition("-")
            layers = groups[name] if name in groups else list(range(int(first), int(last or first) + 1))
            weight = float(amount) if amount else 1.0
        except ValueError as error:
            raise RecipeError(f"layers={part!r} is not understood. Use {', '.join(GROUPS)}, or numbers such as 0-3,5.") from error
        if any(not 0 <= layer < G.num_ws for layer in layers):
            raise RecipeError(f"layers={part} is too high: this model has {G.num_ws} style layers (num_ws). Use 0 to {G.num_ws - 1}.")
        if not 0 <= weight <= 1:
            raise RecipeError(f"layers={part} has a weight outside 0 to 1. Use 0 for none of the other style, 1 for all of it.")
        for layer in layers:
            weights[layer] = weight
    return tuple(weights)


def recipe_to_ws(G: LatentGenerator, recipe: Recipe, places: Places | None = None) -> Tensor:
    """Turn everything a recipe says about style into style vectors: place, blends, mixing, truncation, in this order.

    The first three are affine in W, so truncating at the end equals truncating every source.

    Args:
        G: The generator.
        recipe: The recipe.
        places: Looks up the style vectors of a latent; by default :func:`place_to_ws`.

    Returns:
        ``ws [1, num_ws, w_dim]``, ready for ``G.synthesis``.

    Raises:
        RecipeError: A value that this model cannot serve.
    """
    find: Places = places if places is not None else lambda latent: place_to_ws(G, latent)
    ws = find(recipe.latent)
    if recipe.blends:
        ws = blend([ws, *(find(part.latent) for part in recipe.blends)], [1.0, *(part.weight for part in recipe.blends)])
    ws = _mix_all(ws, recipe.mixing, find)
    return truncate(ws, _center(G, recipe.truncation, find), recipe.truncation.psi, recipe.truncation.cutoff)


def _mix_all(ws: Tensor, mixing: Sequence[StyleMix], find: Places) -> Tensor:
    for source in mixing:
        ws = mix(ws, find(source.latent), source.weights)
    return ws


def _center(G: LatentGenerator, truncation: Truncation, find: Places) -> Tensor:
    return G.w_avg if truncation.center is None else find(truncation.center)


def transform_matrix(transform: Transform) -> Tensor:
    """Give the matrix that StyleGAN3's input layer takes for a wanted move, turn and zoom of the picture.

    The picture is scaled, then turned, then moved; the network samples its input at the inverse of that.

    Args:
        transform: Moves in picture widths, rotation in degrees (counter-clockwise), scale as a factor.

    Returns:
        The inverse matrix, ``[3, 3]`` float32 on the CPU; the identity for the default transform.

    Reference:
        Karras et al. 2021, "Alias-Free Generative Adversarial Networks", section 3 and appendix F (transformed Fourier features).
    """
    angle = math.radians(transform.rotate)
    cos, sin = math.cos(angle) * transform.scale, math.sin(angle) * transform.scale
    forward = torch.tensor([[cos, sin, transform.translate_x], [-sin, cos, transform.translate_y], [0.0, 0.0, 1.0]], dtype=torch.float64)
    inverse: Tensor = torch.linalg.inv(forward)
    return inverse.to(torch.float32)


def has_transform(transform: Transform) -> bool:
    """Tell whether a transform does anything."""
    return transform != Transform()
