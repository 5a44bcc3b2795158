"""Places in latent space: seeds, classes and kept style vectors, as ``ws``.

This is *not* where places are mixed (``mixing.py``) or remembered (``studio.model_cache``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from studio.errors import RecipeError
from studio.latents.mixing import blend
from studio.models.common import LatentGenerator
from studio.recipe import SEED_ROW_STEP, Latent, pack_floats, unpack_floats


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
