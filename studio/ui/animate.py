"""Animate: pictures on a timeline, moved by keyframes and by sound, with a live preview in time with what is heard.

How a film changes is in ``animate_film``, sound in ``animate_sound``, the prepared timeline in ``animate_reel``; films are made by the
list of jobs (``jobs_drawer``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import gradio as gr

from studio import mapping, media
from studio.errors import MediaError, StudioError
from studio.latents import keep_ws, recipe_classes
from studio.recipe import MAX_FILM_JSON_BYTES, Film, Latent, Recipe, from_json
from studio.recipe_film import EASINGS, PATHS
from studio.ui import animate_film, animate_sound, jobs_drawer, shell
from studio.ui.animate_glimpse import glimpse, glimpse_part, glimpse_state
from studio.ui.animate_reel import Reel, make_plan, preview, reel_of, still
from studio.ui.animate_requests import FileRequest, FilmRequest, FrameRequest, PlacesRequest, RouteRequest, StateRequest
from studio.ui.context import Answer, Context, endpoint, image_url, recipe_to_page, speed
from studio.ui.facts import class_names
from studio.ui.media_parts import PartRequest, part
from studio.ui.payloads import ItemRequest, Payload, data_url, uploaded_file
from studio.ui.session import Session
from studio.ui.widgets import widget
from studio.worker import Priority

TITLE = "Animate"
PREVIEW_QUALITY = 80
KEY_PICTURE = 96
SAVED_SHOWN = 24
SOUND_SUFFIXES = (".mp3", ".wav", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".wma", ".mid", ".midi")

PATH_WORDS = {
    "spline": "Smooth",
    "linear": "Straight",
    "slerp": "Arc",
    "plane": "Along the seed plane",
    "circle": "Circle",
    "noise": "Drift around the first",
    "walk": "Wander",
}


@dataclass(frozen=True, slots=True)
class Handles:
    """The widgets of the tab."""

    page: gr.HTML


def build(ctx: Context) -> Handles:
    """Create the page with the functions that it calls."""
    functions = [
        endpoint(ctx, Payload, desk),
        endpoint(ctx, FilmRequest, adopt),
        endpoint(ctx, FilmRequest, curves),
        endpoint(ctx, Payload, undo),
        endpoint(ctx, Payload, redo),
        endpoint(ctx, FrameRequest, frame),
        endpoint(ctx, FrameRequest, frame_recipe),
        endpoint(ctx, PlacesRequest, key_pictures),
        endpoint(ctx, StateRequest, add_state),
        endpoint(ctx, Payload, saved),
        endpoint(ctx, RouteRequest, make_route),
        endpoint(ctx, FileRequest, open_file),
        endpoint(ctx, ItemRequest, listen_state),
        endpoint(ctx, FilmRequest, use_preset),
        endpoint(ctx, FilmRequest, save_preset),
        endpoint(ctx, PartRequest, sound_part),
        endpoint(ctx, FrameRequest, glimpse),
        endpoint(ctx, ItemRequest, glimpse_state),
        endpoint(ctx, PartRequest, glimpse_part),
        endpoint(ctx, jobs_drawer.RenderRequest, jobs_drawer.render),
    ]
    return Handles(widget("animate", label="Animate", server_functions=functions))


def desk(ctx: Context, session: Session, request: Payload) -> Answer:
    """Say what the tab needs once: the film at hand, its steps, the menus."""
    animate_sound.sweep_sounds(ctx)
    reel = reel_of(session)
    kinds = [{"name": name, **_kind(media.KINDS[name])} for name in media.available_kinds()]
    return {
        "recipe": recipe_to_page(reel.shown) if reel.shown else None,
        "defaults": recipe_to_page(replace(Recipe(), film=Film()))["film"],
        "steps": _steps(reel),
        "presets": animate_sound.preset_menu(),
        "features": animate_sound.feature_menu(),
        "kinds": kinds,
        "easings": list(EASINGS),
        "paths": [[name, PATH_WORDS[name]] for name in PATHS],
        "limits": jobs_drawer.limits(ctx),
    }


def _kind(kind: media.Kind) -> Answer:
    """Say what can be chosen for one kind of film."""
    entry = {"label": kind.label, "crf": kind.crf, "worst": kind.max_crf, "preset": kind.preset}
    return {**entry, "presets": list(kind.presets), "chromas": list(kind.chromas)}


# ---- the film ----------------------------------------------------------------------------------------------------------


def adopt(ctx: Context, session: Session, request: FilmRequest) -> Answer:
    """Take the film as the hand left it, and say what can move in it and what is heard."""
    return _adopted(ctx, session, request.recipe, record=request.record)


def _adopted(ctx: Context, session: Session, recipe: Recipe, *, record: bool = True, say: str = "") -> Answer:
    reel, film = reel_of(session), recipe.film
    assert film is not None
    jobs_drawer.check_limits(ctx, recipe)
    recipe = shell.check_model(ctx, recipe)
    plan = make_plan(ctx, recipe) if record else None
    with reel.lock:
        reel.shown = recipe
        if plan is not None:
            reel.history.push(recipe)
            reel._plan = (recipe, plan)
    if not ctx.settings.public:
        reel.sounds |= {ref.sha256 for ref in film.sounds}
    loaded = ctx.engine.load(recipe.model.name)
    classes = class_names(loaded.card, loaded.network.c_dim)
    return {
        "recipe": recipe_to_page(recipe),
        "steps": _steps(reel),
        "count": film.count,
        "rate": float(film.rate),
        "seconds": float(film.count / film.rate),
        "targets": animate_film.targets(recipe, loaded.network, classes),
        "sounds": [animate_sound.facts(ctx, ref) for ref in film.sounds],
        "say": say,
    }


def undo(ctx: Context, session: Session, request: Payload) -> Answer:
    """Go back one step of the film."""
    recipe = reel_of(session).history.undo()
    return _adopted(ctx, session, recipe, record=False) if recipe else {"recipe": None, "say": "There is nothing to undo."}


def redo(ctx: Context, session: Session, request: Payload) -> Answer:
    """Go forward one step of the film again."""
    recipe = reel_of(session).history.redo()
    return _adopted(ctx, session, recipe, record=False) if recipe else {"recipe": None, "say": "There is nothing to do again."}


def curves(ctx: Context, session: Session, request: FilmRequest) -> Answer:
    """Give the level of every entry of the film's matrix over time, for meters and drawings."""
    jobs_drawer.check_limits(ctx, request.recipe)
    assert request.recipe.film is not None
    return {"levels": animate_sound.curves(ctx, request.recipe.film)}


def frame(ctx: Context, session: Session, request: FrameRequest) -> Answer:
    """Draw one frame of the film small and quickly. ``missing``: this server does not know the film (any more)."""
    reel = reel_of(session)
    if reel.shown is None:
        return {"missing": True}
    plan = reel.plan(ctx)
    image = preview(ctx, plan, request.index, request.size)
    values = {path: round(value, 5) for path, value in plan.values(request.index).items()}
    return {"url": image_url(image, quality=PREVIEW_QUALITY), "index": request.index, "values": values, **speed(ctx)}


def frame_recipe(ctx: Context, session: Session, request: FrameRequest) -> Answer:
    """Give one frame as the recipe of a picture, to go on with it in Explore."""
    reel = reel_of(session)
    if reel.shown is None:
        return {"missing": True}
    return {"recipe": recipe_to_page(still(ctx, reel.plan(ctx), request.index))}


def key_pictures(ctx: Context, session: Session, request: PlacesRequest) -> Answer:
    """Draw small pictures of places, for the keyframes."""
    base = replace(request.recipe, film=None)
    images = (ctx.engine.preview(replace(base, latent=latent), KEY_PICTURE, priority=Priority.SETTLE) for latent in request.latents)
    return {"urls": [image_url(image, size=KEY_PICTURE, quality=75) for image in images]}


# ---- pictures become films ---------------------------------------------------------------------------------------------


def add_state(ctx: Context, session: Session, request: StateRequest) -> Answer:
    """Put a picture into the film as a keyframe; without a film it begins one."""
    state = shell.check_model(ctx, request.state)
    if request.recipe is None:
        film = Film(fps=jobs_drawer.usual_rate(ctx))
        recipe = animate_film.add_state(replace(animate_film.bare(state), film=film), state, _place(ctx, state), 0.0)
        return _adopted(ctx, session, recipe, say="A film begins with this picture. Go on in time and add another.")
    recipe = animate_film.add_state(request.recipe, state, _place(ctx, state), request.time)
    return _adopted(ctx, session, recipe, say=f"Added at {request.time:.2f} s.")


def saved(ctx: Context, session: Session, request: Payload) -> Answer:
    """List the newest pictures of the gallery that a film could go through, with small pictures."""
    gallery = ctx.gallery_of(session)
    found: list[Answer] = []
    for item in gallery.items("", limit=4 * SAVED_SHOWN):
        if not item.has_recipe or getattr(item, "is_film", False) or len(found) == SAVED_SHOWN:
            continue
        recipe = gallery.recipe(item.id)
        if recipe is None or recipe.restyle is not None or recipe.film is not None:
            continue
        try:
            url = media_url(gallery.thumbnail(item.id))
        except (MediaError, OSError):
            continue
        found.append({"id": item.id, "name": item.label, "starred": item.starred, "model": recipe.model.name, "url": url})
    return {"pictures": found}


def media_url(path: Path) -> str:
    """Return a small picture of the gallery for the page."""
    return data_url(path.read_bytes(), "image/webp")


def make_route(ctx: Context, session: Session, request: RouteRequest) -> Answer:
    """Make a looping film through chosen pictures; those of other models than the first, and restyled photos, are left out."""
    gallery = ctx.gallery_of(session)
    recipes = [gallery.recipe(entry) if isinstance(entry, str) else entry for entry in request.pictures]
    found = [shell.check_model(ctx, recipe) for recipe in recipes if recipe is not None and recipe.restyle is None]
    fitting = [recipe for recipe in found if recipe.model.name == found[0].model.name]
    left_out = len(request.pictures) - len(fitting)
    film = request.film or Film(fps=jobs_drawer.usual_rate(ctx))
    route = animate_film.route([(recipe, _place(ctx, recipe)) for recipe in fitting], film)
    route = jobs_drawer.within_limits(ctx, route)
    say = f"A film through {len(fitting)} {'picture' if len(fitting) == 1 else 'pictures'}. Space plays it, Render makes it."
    if left_out:
        say += f" {left_out} left out: of another model, or restyled."
    return _adopted(ctx, session, route, say=say)


def _place(ctx: Context, recipe: Recipe) -> Latent:
    """Return where a picture is; one that is itself a mix keeps its style vectors in full."""
    if not recipe.mixing and not recipe.blends:
        return recipe.latent
    raw = replace(recipe, film=None, truncation=replace(recipe.truncation, psi=1.0))
    return replace(keep_ws(ctx.engine.ws(raw)), classes=recipe_classes(ctx.engine.load(recipe.model.name).network, recipe))


# ---- files, sound, presets ---------------------------------------------------------------------------------------------


def open_file(ctx: Context, session: Session, request: FileRequest) -> Answer:
    """Look into a dropped file: a film of ours comes back whole, a sound joins the film, a preset moves it."""
    file, suffix = uploaded_file(ctx.settings.uploads, request.path), Path(request.name).suffix.lower()
    if suffix in SOUND_SUFFIXES:
        return animate_sound.listen(ctx, reel_of(session), file, request.name)
    if suffix == ".json":
        return _open_json(ctx, session, request, file)
    found = media.inspect_media(file)
    if found.recipe is not None and found.recipe.film is not None:
        file.unlink(missing_ok=True)
        return _adopted(ctx, session, found.recipe, say=f"Everything is as it was for {Path(request.name).name}.")
    facts = media.probe_film(file) if media.is_film(file) else None
    if facts is None or facts.sound is None:
        raise StudioError(f"{Path(request.name).name} was not made by the studio and holds no sound.")
    return animate_sound.listen(ctx, reel_of(session), file, request.name)


def listen_state(ctx: Context, session: Session, request: ItemRequest) -> Answer:
    """Say how far the listening to a sound is; ``on`` false stops it."""
    return animate_sound.listen_state(reel_of(session), request.id, is_wanted=request.on)


def _open_json(ctx: Context, session: Session, request: FileRequest, file: Path) -> Answer:
    preset = animate_sound.read_preset(file)
    if preset is None:
        recipe = from_json(file.read_bytes()[: MAX_FILM_JSON_BYTES + 1], MAX_FILM_JSON_BYTES)
        if recipe.film is None:
            raise StudioError(f"{Path(request.name).name} is the recipe of a picture, not of a film.")
        return _adopted(ctx, session, recipe, say=f"Everything is as it was for {Path(request.name).name}.")
    if request.recipe is None:
        raise StudioError("Make a film first; then a preset can move it.")
    recipe = animate_sound.use_preset(request.recipe, preset, _c_dim(ctx, request.recipe))
    return _adopted(ctx, session, recipe, say=f"{preset.label or preset.name} moves the film now.")


def use_preset(ctx: Context, session: Session, request: FilmRequest) -> Answer:
    """Give the film the matrix of a preset."""
    preset = mapping.find_preset(request.name)
    recipe = animate_sound.use_preset(request.recipe, preset, _c_dim(ctx, request.recipe))
    return _adopted(ctx, session, recipe, say=f"{preset.label or preset.name}: {preset.help}")


def save_preset(ctx: Context, session: Session, request: FilmRequest) -> Answer:
    """Keep the film's matrix as a preset of one's own, and give it as JSON to share; public servers only give it."""
    preset, text = animate_sound.own_preset(request.recipe, request.name)
    if not ctx.settings.public:
        mapping.save_preset(preset)
    say = f"{preset.label} goes to your downloads." if ctx.settings.public else f"{preset.label} is among the presets now."
    return {"name": f"{preset.name}.json", "json": text, "presets": animate_sound.preset_menu(), "say": say}


def _c_dim(ctx: Context, recipe: Recipe) -> int:
    return int(ctx.engine.load(recipe.model.name).network.c_dim)


def sound_part(ctx: Context, session: Session, request: PartRequest) -> Answer:
    """Give a part of a sound's file, for the page to play it."""
    file = animate_sound.sound_file(ctx, reel_of(session), request.id)
    return part(file, request.offset)


def _steps(reel: Reel) -> Answer:
    return {"undo": reel.history.undo_steps, "redo": reel.history.redo_steps}
