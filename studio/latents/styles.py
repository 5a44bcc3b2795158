"""From a recipe to style vectors: its place, blends, mixing and truncation, in this order.

This is *not* where a picture is drawn from them (``studio.render``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor

from studio.latents.centers import ClassMeans, class_center
from studio.latents.mixing import blend, mix, truncate
from studio.latents.places import class_vector, place_to_ws
from studio.models.common import LatentGenerator
from studio.recipe import Latent, Recipe

Places = Callable[[Latent], Tensor]
"""Gives the style vectors ``[1, num_ws, w_dim]`` of one latent; an engine passes one that remembers."""

FEWEST_WEIGHT = 1e-4


def recipe_to_ws(G: LatentGenerator, recipe: Recipe, places: Places | None = None, means: ClassMeans | None = None) -> Tensor:
    """Turn everything a recipe says about style into style vectors: place, blends, mixing, truncation, in this order.

    The first three are affine in W, so truncating at the end equals truncating every source. That holds as well where each source
    has the centre of its own class: the centre of the whole is blended and mixed just like the styles.

    Args:
        G: The generator.
        recipe: The recipe.
        places: Looks up the style vectors of a latent; by default :func:`place_to_ws`.
        means: Looks up the mean style of a class; by default :func:`studio.latents.mean_of_class`.

    Returns:
        ``ws [1, num_ws, w_dim]``, ready for ``G.synthesis``.

    Raises:
        RecipeError: A value that this model cannot serve.
    """
    find: Places = places if places is not None else lambda latent: place_to_ws(G, latent)
    truncation = recipe.truncation
    ws = _combined(recipe, find)
    center = _center(G, recipe, means) if truncation.center is None else find(truncation.center)
    return truncate(ws, center, truncation.psi, truncation.cutoff)


def recipe_classes(G: LatentGenerator, recipe: Recipe) -> tuple[tuple[int, float], ...]:
    """Return the class weights of a whole recipe, blended and mixed like its styles and then averaged over the layers.

    They are what style vectors that are kept in full should say of themselves, so that truncation still knows their class.

    Raises:
        RecipeError: A class that the model does not have.
    """
    if not _has_classes(G, recipe):
        return ()
    weights = _combined(recipe, lambda latent: class_vector(latent.classes, G.c_dim).expand(1, G.num_ws, G.c_dim))
    return tuple((index, weight) for index, weight in enumerate(weights.mean((0, 1)).tolist()) if weight >= FEWEST_WEIGHT)


def _combined(recipe: Recipe, find: Places) -> Tensor:
    """Blend and mix what ``find`` gives of each source, ``[1, num_ws, any]``: affine in it."""
    found = find(recipe.latent)
    if recipe.blends:
        found = blend([found, *(find(part.latent) for part in recipe.blends)], [1.0, *(part.weight for part in recipe.blends)])
    for source in recipe.mixing:
        found = mix(found, find(source.latent), source.weights)
    return found


def _center(G: LatentGenerator, recipe: Recipe, means: ClassMeans | None) -> Tensor:
    """Give what a recipe without a centre of its own is pulled towards; exactly ``w_avg`` where no class is asked for."""
    truncation = recipe.truncation
    if truncation.towards != "class" or truncation.psi == 1 or not _has_classes(G, recipe):
        return G.w_avg
    return _combined(recipe, lambda latent: class_center(G, class_vector(latent.classes, G.c_dim), means))


def _has_classes(G: LatentGenerator, recipe: Recipe) -> bool:
    return G.c_dim > 0 and any(latent.classes for latent in _sources(recipe))


def _sources(recipe: Recipe) -> Iterator[Latent]:
    yield recipe.latent
    yield from (part.latent for part in recipe.blends)
    yield from (source.latent for source in recipe.mixing)
