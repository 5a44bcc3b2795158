"""From a recipe to a picture: the one place where a generator's floats become pixels.

Pure functions over a generator, plus :func:`render` for scripts. This is *not* a place for devices, caches or order;
see ``engine.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from studio.errors import RecipeError
from studio.latents import ClassMeans, Places, has_transform, recipe_to_ws, transform_matrix
from studio.media import ImageArray, flatten, resize
from studio.media.views import apply_view
from studio.models.common import LatentGenerator, Synthesis
from studio.recipe import Latent, Recipe, StyleMix

Grid = Sequence[Sequence[Recipe | None]]

MAX_SHEET_PIXELS = 64 * 10**6
BACKDROP = (128, 128, 128)
"""The grey behind transparent pictures where only opaque ones can be shown."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a series in the making: the ``index``-th of ``total``, ``image uint8 [H, W, C]``."""

    index: int
    total: int
    image: ImageArray


def to_uint8(img: Tensor) -> Tensor:
    """Turn a generator's floats into pixels the way StyleGAN does: ``x * 127.5 + 128``, clamped and truncated.

    Args:
        img: ``[n, C, H, W]``, any float type, around [-1, 1].

    Returns:
        ``uint8 [n, H, W, C]`` on the same device.
    """
    return (img.permute(0, 2, 3, 1).float() * 127.5 + 128).clamp(0, 255).to(torch.uint8)


def to_image(img: Tensor) -> ImageArray:
    """Turn one picture ``[1, C, H, W]`` of a generator into ``uint8 [H, W, 3]``, or ``[H, W, 4]`` when C is 4.

    One channel is shown as grey; of unusual channel counts the first (or first three) are shown.
    """
    image: ImageArray = to_uint8(img)[0].cpu().numpy()
    channels = image.shape[2]
    if channels in (3, 4):
        return image
    return np.repeat(image[..., :1], 3, axis=2) if channels < 3 else np.ascontiguousarray(image[..., :3])


def opaque(image: ImageArray) -> ImageArray:
    """Lay a picture with transparency over neutral grey; others come back as they are."""
    return image if image.shape[2] == 3 else flatten(image[..., :3], image[..., 3], BACKDROP)


def fit(image: ImageArray, size: int | None) -> ImageArray:
    """Scale a picture with Lanczos so that its longest side is ``size`` pixels; None leaves it alone."""
    height, width = image.shape[:2]
    if size is None or max(height, width) == size:
        return image
    scale = size / max(height, width)
    return resize(image, max(1, round(width * scale)), max(1, round(height * scale)))


def synthesize(G: LatentGenerator, ws: Tensor, recipe: Recipe, synthesis: Synthesis | None = None) -> Tensor:
    """Run the generator on style vectors with the recipe's noise and transform.

    Random noise is drawn for each picture from a generator of its own, seeded by the recipe, so that the number of pictures
    made at once never changes one.

    Args:
        G: The generator.
        ws: ``[n, num_ws, w_dim]``.
        recipe: Only ``noise`` and ``transform`` are read.
        synthesis: What to call; by default ``G.synthesis``.

    Returns:
        ``img [n, C, H, W]`` float32.

    Raises:
        RecipeError: A transform for a model that has none.
    """
    call: Synthesis = G.synthesis if synthesis is None else synthesis
    noise, matrix = recipe.noise, None
    if has_transform(recipe.transform):
        if not G.has_transform:
            raise RecipeError("This model cannot move, turn or zoom its picture; only StyleGAN3 can. Reset the transform.")
        matrix = transform_matrix(recipe.transform).to(ws.device)
    if not G.has_noise:
        return call(ws, transform=matrix)
    grain = [torch.Generator().manual_seed(noise.seed) for _ in range(ws.shape[0])] if noise.mode == "random" else None
    return call(
        ws, noise_mode=noise.mode, noise_strength=noise.strength, noise_layers=noise.layers, noise_generator=grain, transform=matrix
    )


def draw(
    G: LatentGenerator,
    recipe: Recipe,
    *,
    places: Places | None = None,
    means: ClassMeans | None = None,
    synthesis: Synthesis | None = None,
) -> ImageArray:
    """Make the picture of a recipe with a generator that is at hand.

    Args:
        G: The generator; ``recipe.model`` is not looked at.
        recipe: The recipe.
        places: Looks up style vectors; see :func:`studio.latents.recipe_to_ws`.
        means: Looks up the mean styles of classes; see there.
        synthesis: A fast path of ``G.synthesis``; by default the module itself, which is deterministic.

    Returns:
        ``uint8 [H, W, 3]``, or ``[H, W, 4]`` for a model with transparency, ``recipe.size`` pixels on the longest side.

    Raises:
        RecipeError: A value that this model cannot serve.
    """
    with torch.no_grad():
        ws = recipe_to_ws(G, recipe, places, means)
        return fit(apply_view(to_image(synthesize(G, ws, recipe, synthesis)), recipe.view), recipe.size)


def mix_recipes(
    base: Recipe, rows: Sequence[Latent], cols: Sequence[Latent], weights: Sequence[float], *, headers: bool = False
) -> list[list[Recipe | None]]:
    """Lay out a style-mixing grid: each cell is its row's place with the column's style in the weighted layers.

    Args:
        base: Everything else that the cells share.
        rows: Places down the side.
        cols: Places across the top.
        weights: Share of the column per layer; see :func:`studio.latents.layer_weights`.
        headers: Add the sources themselves as a first row and column (the corner is None).

    Returns:
        Recipes ``[row][column]``.
    """
    plain = replace(base, mixing=(), blends=())
    grid: list[list[Recipe | None]] = [
        [replace(plain, latent=row, mixing=(StyleMix(col, tuple(weights)),)) for col in cols] for row in rows
    ]
    if not headers:
        return grid
    beside = [[replace(plain, latent=row), *cells] for row, cells in zip(rows, grid, strict=True)]
    return [[None, *(replace(plain, latent=col) for col in cols)], *beside]


def draw_sheet(recipes: Grid, cell: int, draw_cell: Callable[[Recipe, int], ImageArray]) -> Iterator[Frame]:
    """Draw a sheet of pictures cell by cell; leaving the loop leaves out the rest.

    Args:
        recipes: Rows of recipes; None leaves a cell empty.
        cell: Side of a cell in pixels.
        draw_cell: Makes a picture of at most that many pixels on the longest side, ``uint8 [h, w, 3]``.

    Yields:
        After each cell the sheet so far: ``Frame.image uint8 [rows * cell, columns * cell, 3]``, one array that is drawn on.

    Raises:
        RecipeError: The sheet would be empty or too large.
    """
    columns = max((len(row) for row in recipes), default=0)
    if not columns or len(recipes) * columns * cell * cell > MAX_SHEET_PIXELS:
        raise RecipeError(
            f"A sheet of {len(recipes)} x {columns} cells of {cell} pixels is empty or too large. Use fewer or smaller cells."
        )
    sheet = np.full((len(recipes) * cell, columns * cell, 3), BACKDROP[0], np.uint8)
    cells = [(y, x, recipe) for y, row in enumerate(recipes) for x, recipe in enumerate(row) if recipe is not None]
    for index, (y, x, recipe) in enumerate(cells):
        image = draw_cell(recipe, cell)
        top, left = y * cell + (cell - image.shape[0]) // 2, x * cell + (cell - image.shape[1]) // 2
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
        yield Frame(index, len(cells), sheet)


def render(recipe: Recipe) -> ImageArray:
    """Make the picture of a recipe, loading its model from the shipped ones or the user's models folder.

    Returns:
        ``uint8 [H, W, 3]``, or ``[H, W, 4]`` for a model with transparency.

    Raises:
        StudioError: The model is not installed, or a value in the recipe does not suit it.
    """
    from studio.engine import default_engine

    return default_engine().render(recipe)
