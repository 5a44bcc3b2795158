"""The mean style of a class: where truncation pulls to when a picture should stay what it is.

The average over all classes (``G.w_avg``) looks like the most common one, so that pulling towards it turns a rare class into a common
one. This is *not* where a recipe's truncation is done (``styles.py``) or where means are remembered (``studio.model_cache``).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from studio.errors import RecipeError
from studio.latents.places import seed_to_z
from studio.models.common import LatentGenerator

CENTER_SEEDS = 256
"""Seeds 0 .. 255 and their opposites stand for all: with pomona 2.5 % of a class's spread off the mean of 32768 (512 seeds: 4.3 %)."""
CHUNK = 128

ClassMeans = Callable[[int], Tensor]
"""Gives the mean style ``[num_ws, w_dim]`` of a class; an engine passes one that remembers."""


def mean_of_class(G: LatentGenerator, index: int) -> Tensor:
    """Measure the mean style of one class, from the noise of seeds 0 .. 255 and the opposite of each.

    Noise and its opposite cancel all of the mapping that is odd, so that the same number of vectors comes nearer to the mean, and
    families whose style is the latent itself give it exactly. It is a pure function of the weights and remembers nothing.

    Args:
        G: The generator, in eval mode.
        index: The class.

    Returns:
        ``[num_ws, w_dim]`` float32 on the device of ``G``.

    Raises:
        RecipeError: The model has no such class.

    Reference:
        Hammersley and Morton 1956, "A new Monte Carlo technique: antithetic variates".
    """
    if not 0 <= index < G.c_dim:
        raise RecipeError(f"class={index} is unknown: this model has {G.c_dim} classes. Use 0 to {G.c_dim - 1}.")
    device = G.w_avg.device
    c = torch.zeros(CHUNK, G.c_dim, device=device)
    c[:, index] = 1.0
    half = seed_to_z(range(CENTER_SEEDS), G.z_dim)
    total = torch.zeros(G.num_ws, G.w_dim, dtype=torch.float32, device=device)
    with torch.no_grad():
        for z in torch.split(torch.cat([half, -half]), CHUNK):
            total += G.mapping(z.to(device), c).float().mean(0)
    return total / (2 * CENTER_SEEDS // CHUNK)


def class_center(G: LatentGenerator, c: Tensor, means: ClassMeans | None = None) -> Tensor:
    """Find the centre of truncation for class weights: the weighted sum of the mean styles of the classes.

    What all classes share of the weights is the average class, whose centre is ``G.w_avg``. So even weights, which are what a picture
    without a class has, give exactly ``w_avg``, weights may go from there to any class without a jump, and only the classes that
    stand out are measured. With ``truncate(ws, class_center(G, c), psi)`` a batch of any classes is truncated at once.

    Args:
        G: The generator, in eval mode.
        c: Class weights ``[n, c_dim]``, each row >= 0 and of sum 1; one-hot rows for pure classes, ``[n, 0]`` without classes.
        means: Looks up the mean style of a class; by default :func:`mean_of_class`, measured once per class and call.

    Returns:
        ``[n, num_ws, w_dim]`` on the device of ``G``.

    Raises:
        RecipeError: ``c`` is not as wide as the model has classes.

    Reference:
        The published tool of Sauer et al. 2022, "StyleGAN-XL: Scaling StyleGAN to Large Diverse Datasets", keeps one running mean of
        W per class and truncates around it; Dobler et al. 2022, "Art Creation with Multi-Conditional StyleGANs" (conditional
        truncation). Here the mean is measured, so that any class-conditional model will do.
    """
    if c.ndim != 2 or c.shape[1] != G.c_dim:
        raise RecipeError(f"c has shape {list(c.shape)}, but this model has {G.c_dim} classes. Give weights of shape [n, {G.c_dim}].")
    average = G.w_avg.float().expand(G.num_ws, G.w_dim)
    find = means if means is not None else lambda index: mean_of_class(G, index)
    known: dict[int, Tensor] = {}
    rows = []
    for weights in c.double().cpu().tolist():
        even = min(weights, default=0.0)
        above = {index: weight - even for index, weight in enumerate(weights) if weight > even}
        row = average * (1.0 - sum(above.values()))
        for index, weight in above.items():
            if index not in known:
                known[index] = find(index).to(average)
            row = row + weight * known[index]
        rows.append(row)
    return torch.stack(rows) if rows else average.new_zeros(0, G.num_ws, G.w_dim)
