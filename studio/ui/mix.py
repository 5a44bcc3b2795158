"""Mix: rows take the place, columns lend their style in chosen layers; every cell is a picture to adopt."""

from __future__ import annotations

from dataclasses import dataclass, replace

import gradio as gr

from studio.errors import StudioError
from studio.latents import keep_ws, recipe_classes
from studio.recipe import Latent, Recipe
from studio.render import mix_recipes
from studio.ui import shell
from studio.ui.context import Answer, Context, endpoint, image_url, recipe_to_page, speed
from studio.ui.payloads import Fields, Payload, RecipeRequest
from studio.ui.session import Session
from studio.ui.widgets import widget
from studio.worker import Priority

TITLE = "Mix"
MAX_SIDE = 8
MAX_CELLS = 8
CELL_QUALITY = 85


@dataclass(frozen=True, slots=True)
class Handles:
    """The widgets of the tab."""

    board: gr.HTML


@dataclass(frozen=True, slots=True)
class CellsRequest(Payload):
    """Cells ``(row, column)`` of a mixing grid to draw; row or column 0 is the sources themselves."""

    recipe: Recipe
    rows: tuple[Latent, ...]
    cols: tuple[Latent, ...]
    weights: tuple[float, ...]
    cells: tuple[tuple[int, int], ...]
    size: int

    @classmethod
    def read(cls, fields: Fields) -> CellsRequest:
        """Build the request from checked entries."""
        rows = tuple(Fields({"row": entry}).latent("row") for entry in fields.list("rows", longest=MAX_SIDE))
        cols = tuple(Fields({"column": entry}).latent("column") for entry in fields.list("cols", longest=MAX_SIDE))
        cells = tuple(_cell(entry, len(rows), len(cols)) for entry in fields.list("cells", longest=MAX_CELLS))
        return cls(
            token=fields.identifier("token"),
            recipe=fields.recipe(),
            rows=rows,
            cols=cols,
            weights=fields.numbers("weights", low=0.0, high=1.0, longest=64),
            cells=cells,
            size=fields.integer("size", low=16, high=1024),
        )


def build(ctx: Context) -> Handles:
    """Create the board with the functions that it calls."""
    functions = [endpoint(ctx, CellsRequest, mix_cells), endpoint(ctx, RecipeRequest, source)]
    return Handles(widget("mix_board", label="Mix", server_functions=functions))


def mix_cells(ctx: Context, session: Session, request: CellsRequest) -> Answer:
    """Draw some cells of the grid, small."""
    grid = mix_recipes(request.recipe, request.rows, request.cols, request.weights, headers=True)
    urls = []
    for row, column in request.cells:
        recipe = grid[row][column]
        if recipe is None:
            raise StudioError("The corner of the grid has no picture.")
        image = ctx.engine.preview(recipe, request.size, priority=Priority.SETTLE)
        urls.append(image_url(image, size=request.size, quality=CELL_QUALITY))
    return {"cells": urls, **speed(ctx)}


def source(ctx: Context, session: Session, request: RecipeRequest) -> Answer:
    """Turn a picture into one place in latent space; a picture that is itself a mix keeps its style vectors in full."""
    if request.recipe.restyle is not None:
        raise StudioError("A restyled photo has no place among the seeds. Drag a picture that a generator made.")
    recipe = shell.check_model(ctx, request.recipe)
    latent = recipe.latent
    if recipe.mixing or recipe.blends:
        raw = replace(recipe, truncation=replace(recipe.truncation, psi=1.0))
        latent = replace(keep_ws(ctx.engine.ws(raw)), classes=recipe_classes(ctx.engine.load(recipe.model.name).network, recipe))
    return {"latent": recipe_to_page(Recipe(latent=latent))["latent"]}


def _cell(entry: object, rows: int, cols: int) -> tuple[int, int]:
    pair = Fields({"pair": entry}).numbers("pair", low=0, high=MAX_SIDE, longest=2)
    if len(pair) != 2 or pair[0] > rows or pair[1] > cols or not all(place.is_integer() for place in pair):
        raise StudioError("cells is not a list of (row, column) of the grid.")
    return int(pair[0]), int(pair[1])
