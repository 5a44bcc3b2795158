"""Explore: travel through what a generator can make, with the picture following the hand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import gradio as gr

from studio.errors import StudioError
from studio.recipe import Latent, Recipe
from studio.ui import shell
from studio.ui.context import THUMBNAIL, Answer, Context, endpoint, image_url, jpeg, recipe_to_page, speed
from studio.ui.payloads import Fields, Payload, RecipeRequest, data_url
from studio.ui.session import Session
from studio.ui.widgets import widget
from studio.upscaling import own_to
from studio.worker import Priority

TITLE = "Explore"
FULL_QUALITY = 95
CELL = 72
MOST_TIMES, MOST_CRISP = 4, 1024
"""A picture is shown at most so many times larger than it was made, and enlarged for the screen up to so many pixels."""
MAX_CELLS = 4


@dataclass(frozen=True, slots=True)
class Handles:
    """The widgets of the tab."""

    board: gr.HTML


@dataclass(frozen=True, slots=True)
class SettleRequest(Payload):
    """A recipe to draw in full quality, and whether its picture goes into the strip."""

    recipe: Recipe
    gather: bool

    @classmethod
    def read(cls, fields: Fields) -> SettleRequest:
        """Build the request from checked entries."""
        return cls(token=fields.identifier("token"), recipe=fields.recipe(), gather=fields.flag("gather", default=True))


@dataclass(frozen=True, slots=True)
class SaveRequest(Payload):
    """A recipe whose picture goes into the gallery, and whether one larger than the model's own is enlarged crisply."""

    recipe: Recipe
    crisp: bool

    @classmethod
    def read(cls, fields: Fields) -> SaveRequest:
        """Build the request from checked entries."""
        return cls(token=fields.identifier("token"), recipe=fields.recipe(), crisp=fields.flag("crisp"))


@dataclass(frozen=True, slots=True)
class CellsRequest(Payload):
    """Integer places of the seed plane to draw small, all else as in the recipe."""

    recipe: Recipe
    places: tuple[tuple[int, int], ...]

    @classmethod
    def read(cls, fields: Fields) -> CellsRequest:
        """Build the request from checked entries."""
        places = []
        for entry in fields.list("places", longest=MAX_CELLS):
            pair = Fields({"pair": entry}).numbers("pair", low=-(2.0**26), high=2.0**26, longest=2)
            if len(pair) != 2:
                raise StudioError("places is not a list of (x, y).")
            places.append((round(pair[0]), round(pair[1])))
        return cls(token=fields.identifier("token"), recipe=fields.recipe(), places=tuple(places))


def build(ctx: Context) -> Handles:
    """Create the board with the functions that it calls."""
    functions = [
        endpoint(ctx, RecipeRequest, preview),
        endpoint(ctx, SettleRequest, settle),
        endpoint(ctx, RecipeRequest, record),
        endpoint(ctx, RecipeRequest, crisp),
        endpoint(ctx, SaveRequest, save),
        endpoint(ctx, Payload, undo),
        endpoint(ctx, Payload, redo),
        endpoint(ctx, Payload, before),
        endpoint(ctx, CellsRequest, plane_cells),
    ]
    return Handles(widget("latent_board", label="Explore", server_functions=functions))


def preview(ctx: Context, session: Session, request: RecipeRequest) -> Answer:
    """Draw a recipe quickly while the hand moves."""
    image = ctx.engine.preview(request.recipe, request.size)
    return {"url": image_url(image), **speed(ctx)}


def record(ctx: Context, session: Session, request: RecipeRequest) -> Answer:
    """Make a recipe one step that undo returns to."""
    with session.lock:
        session.history.push(request.recipe)
        return {"steps": shell.steps(session)}


def settle(ctx: Context, session: Session, request: SettleRequest) -> Answer:
    """Draw a recipe in full quality, in the model's own size, when the hand let go; ``gather`` puts it into the strip."""
    image = ctx.engine.render(replace(request.recipe, size=None))
    answer: Answer = {"url": image_url(image, quality=FULL_QUALITY)}
    if request.gather:
        answer["item"] = shell.strip_entry(session.add_picture(request.recipe, jpeg(image, size=THUMBNAIL)))
    return answer


def crisp(ctx: Context, session: Session, request: RecipeRequest) -> Answer:
    """Draw a recipe in full quality and enlarged for the screen; ``url`` is None where the model's own size is large enough."""
    side = ctx.engine.load(request.recipe.model.name).network.img_resolution
    size = min(side * MOST_TIMES, request.size or 0, MOST_CRISP)
    chain = request.recipe.enlarge or own_to(ctx.engine, side, size)
    if size <= side or not chain:
        return {"url": None}
    image = ctx.engine.render(replace(request.recipe, size=None, enlarge=chain))
    return {"url": image_url(image, quality=FULL_QUALITY)}


def undo(ctx: Context, session: Session, request: Payload) -> Answer:
    """Go back one step."""
    with session.lock:
        recipe = session.history.undo()
        return _step(session, recipe, "There is nothing to undo.")


def redo(ctx: Context, session: Session, request: Payload) -> Answer:
    """Go forward one step again."""
    with session.lock:
        recipe = session.history.redo()
        return _step(session, recipe, "There is nothing to redo.")


def before(ctx: Context, session: Session, request: Payload) -> Answer:
    """Draw the step before this one, to compare with (the page forgets it when it is reloaded)."""
    recipe = session.history.before
    return {"url": image_url(ctx.engine.render(replace(recipe, size=None)), quality=FULL_QUALITY) if recipe else None}


def save(ctx: Context, session: Session, request: SaveRequest) -> Answer:
    """Render in full quality and write the picture to the gallery."""
    exact = replace(request.recipe, precision="exact")
    if request.crisp and not exact.enlarge and exact.size:
        exact = replace(exact, enlarge=own_to(ctx.engine, ctx.engine.load(exact.model.name).network.img_resolution, exact.size))
    item = ctx.gallery_of(session).add(ctx.engine.render(exact), exact)
    if ctx.settings.public:
        return {"id": item.id, "say": f"Saved {item.path.name}.", "download": data_url(item.path.read_bytes(), "image/png")}
    return {"id": item.id, "say": f"Saved {item.path.name} to {session.pictures.parent.name}/{session.pictures.name}."}


def plane_cells(ctx: Context, session: Session, request: CellsRequest) -> Answer:
    """Draw small pictures for the coarse map of the seed plane."""
    cells = []
    for x, y in request.places:
        latent = Latent(x=float(x), y=float(y), classes=request.recipe.latent.classes)
        recipe = replace(request.recipe, latent=latent, mixing=(), blends=())
        cells.append(image_url(ctx.engine.preview(recipe, CELL, priority=Priority.BATCH), size=CELL, quality=75))
    return {"cells": cells}


def _step(session: Session, recipe: Recipe | None, otherwise: str) -> Answer:
    if recipe is None:
        return {"recipe": None, "say": otherwise, "steps": shell.steps(session)}
    return {"recipe": recipe_to_page(recipe), "steps": shell.steps(session)}
