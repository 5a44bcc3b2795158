"""From a recipe to style vectors: its place, blends, mixing and truncation, in this order.

This is *not* where a picture is drawn from them (``studio.render``).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from studio.latents.mixing import blend, mix, truncate
from studio.latents.places import place_to_ws
from studio.models.common import LatentGenerator
from studio.recipe import Latent, Recipe

Places = Callable[[Latent], Tensor]
"""Gives the style vectors ``[1, num_ws, w_dim]`` of one latent; an engine passes one that remembers."""


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
    for source in recipe.mixing:
        ws = mix(ws, find(source.latent), source.weights)
    truncation = recipe.truncation
    center = G.w_avg if truncation.center is None else find(truncation.center)
    return truncate(ws, center, truncation.psi, truncation.cutoff)
