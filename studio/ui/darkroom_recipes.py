"""Recipes of restyled photos: whose they are, which model they name, and what of them the network has to do with.

This is *not* how a page's recipe is checked (``payloads.py``) nor where the work is done (``darkroom.py``).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from studio.errors import StudioError
from studio.recipe import ModelRef, Recipe, Restyle
from studio.restyle import network_part
from studio.ui.context import Context
from studio.ui.darkroom_photos import Photo
from studio.ui.darkroom_work import RESULT, Key


def reference(ctx: Context, name: str) -> ModelRef:
    """Name a translator the way recipes do.

    Raises:
        StudioError: There is none of that name.
    """
    entry = ctx.library.find(name)
    return ModelRef(name=name, sha256=entry.card.sha256)


def own_recipe(ctx: Context, photo: Photo, recipe: Recipe) -> Recipe:
    """Return a page's recipe as one of this photo or film, with the model as it is installed.

    Raises:
        StudioError: No style is chosen, or there is no such model.
    """
    if not recipe.model.name:
        raise StudioError("Choose a style first.")
    wishes = wishes_of(photo, recipe)
    if photo.film is None:
        wishes = _still(wishes)
    ref = recipe.model if recipe.model.sha256 else reference(ctx, recipe.model.name)
    return Recipe(model=ref, restyle=wishes, precision="auto", enlarge=recipe.enlarge)


def wishes_of(photo: Photo, recipe: Recipe) -> Restyle:
    """Return what a recipe wishes for, with this photo as its source."""
    return replace(recipe.restyle or Restyle(), source_name=photo.name[:200], source_sha256=photo.sha256)


def key_of(photo: Photo, recipe: Recipe) -> Key:
    """Name a translation: the pixels, then the model, then what else the network is told, then the precision."""
    work = replace(_still(network_part(recipe.restyle or Restyle())), source_name="", source_sha256="")
    digest = hashlib.sha256(Recipe(restyle=work, enlarge=recipe.enlarge if work.texture_scale > 1 else ()).to_json().encode()).hexdigest()
    return (RESULT, photo.key, recipe.model.sha256 or recipe.model.name, digest, recipe.precision)


def whole(recipe: Recipe) -> Recipe:
    """Return the recipe in full, from which every strength, colour and mask is blended."""
    return replace(recipe, restyle=network_part(recipe.restyle or Restyle()))


def _still(wishes: Restyle) -> Restyle:
    """Leave out what concerns films only."""
    plain = Restyle()
    return replace(wishes, flicker=plain.flicker, start=plain.start, end=plain.end)
