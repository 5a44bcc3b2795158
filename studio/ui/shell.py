"""The frame around the tabs: greeting a page, the model picker, files of ours coming back, the strip of pictures."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from studio.checkpoints import extras
from studio.errors import RecipeError, StudioError
from studio.media import read_image
from studio.model_cache import same_file
from studio.recipe import ModelRef, Recipe, Truncation
from studio.ui import facts
from studio.ui.context import Answer, Context, bounds_for_page, endpoint, recipe_to_page
from studio.ui.darkroom import keep as keep_restyled
from studio.ui.darkroom_photos import film_facts
from studio.ui.payloads import Fields, ItemRequest, NameRequest, Payload, UploadRequest, data_url, recipe_from, uploaded_file
from studio.ui.session import Session, StripItem
from studio.ui.widgets import widget
from studio.upscaling import own_refs

log = logging.getLogger(__name__)


def build_top(ctx: Context) -> gr.HTML:
    """Create the bar above the tabs: the studio's name, the model picker, the honest speed."""
    functions = [
        hello_endpoint(ctx),
        endpoint(ctx, NameRequest, model_facts),
        endpoint(ctx, Payload, list_models),
        endpoint(ctx, UploadRequest, open_picture),
    ]
    return widget("top_bar", label="Model", server_functions=functions)


def build_strip(ctx: Context) -> gr.HTML:
    """Create the strip of recent pictures and the status line, below the tabs."""
    return widget("strip", label="Recent pictures", server_functions=[endpoint(ctx, ItemRequest, keep)])


def hello_endpoint(ctx: Context) -> Callable[[Any], Answer]:
    """Return the one function that a page may call without a token: it gives one."""

    def hello(data: Any) -> Answer:
        """Open or find the session of a page and say all that it needs to draw itself."""
        try:
            fields = Fields(data)
            token = fields.identifier("token", default="")
            wanted = remembered(data.get("recipe"))
        except StudioError as error:
            return {"error": str(error)}
        try:
            return greet(ctx, ctx.sessions.open(token), wanted)
        except Exception:
            log.exception("hello failed")
            return {"error": "The studio could not start. The log has the details."}

    return hello


def greet(ctx: Context, session: Session, wanted: Recipe | None) -> Answer:
    """Answer a page: its recipe (where the session was, else what the browser remembers), models, steps and strip."""
    models = facts.list_models(ctx)
    recipe = session.history.current or wanted or Recipe()
    recipe, model = with_model(ctx, recipe, models)
    return {
        "token": session.token,
        "recipe": recipe_to_page(recipe),
        "defaults": recipe_to_page(Recipe()),
        "bounds": bounds_for_page(),
        "models": models,
        "model": model,
        "steps": steps(session),
        "strip": [strip_entry(item) for item in session.strip],
        "settings": {
            "public": ctx.settings.public,
            "allow_import": ctx.settings.allow_import,
            "more_styles": "" if ctx.settings.public or extras.is_installed(extras.STYLES_PACKAGE) else extras.STYLES_HINT,
            "crisp": [{"name": ref.name, "sha256": ref.sha256} for ref in own_refs(ctx.library.list())],
        },
    }


def with_model(ctx: Context, recipe: Recipe, models: list[Answer]) -> tuple[Recipe, Answer | None]:
    """Return the recipe with a model that is installed and loads, and that model's facts; (recipe, None) when there is none."""
    installed = [entry["name"] for entry in models if entry["kind"] == "generator"]
    tries = [name for name in installed if name == recipe.model.name] + [name for name in installed if name != recipe.model.name]
    for name in tries:
        try:
            model = facts.model_facts(ctx, name)
        except StudioError as error:
            log.warning("%s: %s", name, error)
            continue
        if name == recipe.model.name:
            return recipe, model
        return Recipe(model=ModelRef(name=name, sha256=model["sha256"]), truncation=Truncation.fresh(model["c_dim"])), model
    return replace(recipe, model=ModelRef()), None


def remembered(data: Any) -> Recipe | None:
    """Read the recipe that the browser kept; one it cannot have kept from this version is forgotten."""
    if data is None:
        return None
    try:
        return recipe_from(data)
    except RecipeError as error:
        log.info("the browser's recipe is not usable: %s", error)
        return None


def model_facts(ctx: Context, session: Session, request: NameRequest) -> Answer:
    """Load a model and describe it."""
    return facts.model_facts(ctx, request.name)


def list_models(ctx: Context, session: Session, request: Payload) -> Answer:
    """List the installed models."""
    return {"models": facts.list_models(ctx)}


def open_picture(ctx: Context, session: Session, request: UploadRequest) -> Answer:
    """Look into a dropped picture or film: one of ours gives its recipe back, any other is to be restyled (``recipe`` None)."""
    file = uploaded_file(ctx.settings.uploads, request.path)
    film = film_facts(file, request.name)
    recipe = film.recipe if film else read_image(file).recipe
    if recipe is None:
        return {"recipe": None}
    if recipe.restyle is None:
        recipe = check_model(ctx, recipe)
        file.unlink(missing_ok=True)
    name = Path(request.name).name
    return {"recipe": recipe_to_page(recipe), "say": f"Everything is as it was for {name}."}


def check_model(ctx: Context, recipe: Recipe) -> Recipe:
    """Make sure that the model of a recipe is installed, and call it by the name that it has here.

    Raises:
        StudioError: It is not installed.
    """
    entries = ctx.library.list()
    name = same_file(recipe.model, entries) or recipe.model.name
    if name == recipe.model.name and all(entry.name != name for entry in entries):
        raise StudioError(f"This picture was made with the model {name!r}, which is not installed. Import it in Models.")
    return recipe if name == recipe.model.name else replace(recipe, model=ModelRef(name, recipe.model.sha256))


def keep(ctx: Context, session: Session, request: ItemRequest) -> Answer:
    """Star a picture of the strip: it is saved in full quality and starred; taking the star away leaves the file."""
    item = session.find_picture(request.id)
    gallery = ctx.gallery_of(session)
    if not item.kept:
        if not request.on:
            return {"kept": "", "say": "This picture was not kept."}
        made = keep_restyled(ctx, session, item.recipe) if item.recipe.restyle else gallery.add(ctx.engine.render(item.recipe), item.recipe)
        item.kept = str(made.id)
    gallery.star(item.kept, request.on)
    if request.on:
        return {"kept": item.kept, "say": f"Kept {item.kept}."}
    kept, item.kept = item.kept, ""
    return {"kept": "", "say": f"{kept} has no star any more; the file stays."}


def steps(session: Session) -> Answer:
    """Say how far back and forth there is to go."""
    return {"undo": session.history.undo_steps, "redo": session.history.redo_steps}


def strip_entry(item: StripItem) -> Answer:
    """Write one picture of the strip for the page."""
    return {
        "id": item.id,
        "recipe": recipe_to_page(item.recipe),
        "url": data_url(item.thumbnail),
        "kept": item.kept,
        "name": place_name(item.recipe),
    }


def place_name(recipe: Recipe) -> str:
    """Name a picture in a few words: its model and where on the seed plane it is."""
    latent = recipe.latent
    if recipe.restyle is not None:
        return f"{recipe.restyle.source_name or 'photo'}, {recipe.model.name}"
    if latent.ws:
        return f"{recipe.model.name}, own style"
    if latent.x.is_integer() and latent.y.is_integer():
        return f"{recipe.model.name}, seed {int(latent.x + 100 * latent.y)}"
    return f"{recipe.model.name}, {latent.x:.2f} / {latent.y:.2f}"
