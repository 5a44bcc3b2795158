"""The browser's camera restyled as it comes, or a walk over the seed plane, live; snapshots and recordings of both.

Pictures of the camera come as small JPEGs, are redrawn at once by the fast path and forgotten. The page keeps two of them on
their way and never a queue. This is *not* how a network runs (``studio.restyler``) nor the camera itself (``assets/live.js``).
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from studio import media
from studio.errors import StudioError
from studio.media.recordings import recording_suffix, rewrap
from studio.recipe import Recipe, Restyle
from studio.ui import shell
from studio.ui.context import THUMBNAIL, Answer, Context, endpoint, image_url, jpeg, speed
from studio.ui.darkroom import darkroom, keep
from studio.ui.darkroom_recipes import reference
from studio.ui.explore import CellsRequest, SaveRequest, plane_cells, save
from studio.ui.pace import Pace
from studio.ui.payloads import Fields, Payload, RecipeRequest, data_url, uploaded_file
from studio.ui.restyle import tile
from studio.ui.restyle_requests import TileRequest
from studio.ui.session import Session
from studio.ui.widgets import widget
from studio.worker import Priority

PART = "camera"
SIDES = (128, 192, 256, 384, 512, 768)
"""The sizes on offer: the shorter side of what the network sees, in pixels."""
PUBLIC_SIDE = 256
MOST_BYTES = 2 << 20
PUBLIC_BYTES = 200 << 10
PUBLIC_RATE, PUBLIC_RATE_OF_ALL = 10.0, 30.0
PUBLIC_SNAPSHOTS = 40
SECONDS = 1800
PUBLIC_SECONDS = 120
STRETCH = 2.5
"""How much longer than the shorter side the longer one may be."""


@dataclass(frozen=True, slots=True)
class Handles:
    """The widgets of the tab."""

    board: gr.HTML


@dataclass(frozen=True, slots=True)
class FrameRequest(Payload):
    """One picture of the camera and what to make of it."""

    recipe: Recipe
    picture: bytes

    @classmethod
    def read(cls, fields: Fields) -> FrameRequest:
        """Build the request from checked entries."""
        return cls(token=fields.identifier("token"), recipe=fields.recipe(), picture=fields.picture("picture", most_bytes=MOST_BYTES))


@dataclass(frozen=True, slots=True)
class FileRequest(Payload):
    """A file that the page uploaded (a whole picture of the camera, a recording) and the recipe that goes with it."""

    path: str
    recipe: Recipe
    side: int

    @classmethod
    def read(cls, fields: Fields) -> FileRequest:
        """Build the request from checked entries."""
        return cls(
            token=fields.identifier("token"),
            path=fields.text("path", longest=4096),
            recipe=fields.recipe(),
            side=fields.integer("side", low=16, high=4096, default=256),
        )


def build(ctx: Context) -> Handles:
    """Create the board with the functions that it calls."""
    functions = [
        endpoint(ctx, Payload, limits),
        endpoint(ctx, TileRequest, tile),
        endpoint(ctx, FrameRequest, frame),
        endpoint(ctx, FileRequest, snapshot),
        endpoint(ctx, RecipeRequest, step),
        endpoint(ctx, RecipeRequest, still),
        endpoint(ctx, CellsRequest, plane_cells),
        endpoint(ctx, FileRequest, keep_recording),
    ]
    return Handles(widget("camera", label="Camera", server_functions=functions))


def limits(ctx: Context, session: Session, request: Payload) -> Answer:
    """Say what may be asked for here."""
    public = ctx.settings.public
    return {
        "sides": [side for side in SIDES if not public or side <= PUBLIC_SIDE],
        "seconds": PUBLIC_SECONDS if public else SECONDS,
        "rate": PUBLIC_RATE if public else 0,
        "keeps": not public,
    }


def frame(ctx: Context, session: Session, request: FrameRequest) -> Answer:
    """Redraw one picture of the camera and forget it. On a public server that asks too often: ``wait`` seconds."""
    wait = pace(ctx, session)
    if wait:
        return {"wait": wait}
    image = media.read_image(request.picture, max_pixels=(STRETCH * SIDES[-1] ** 2), name="The camera's picture").image
    most_side, most_bytes = (PUBLIC_SIDE, PUBLIC_BYTES) if ctx.settings.public else (SIDES[-1], MOST_BYTES)
    if min(image.shape[:2]) > most_side or max(image.shape[:2]) > STRETCH * most_side or len(request.picture) > most_bytes:
        raise StudioError(f"The camera's pictures may have up to {most_side} pixels here. Choose a smaller size.")
    recipe = _as_camera(ctx, request.recipe)
    engine: Any = ctx.engine
    with _turn(ctx):
        start = time.perf_counter()
        result = engine.restyle(recipe, image, priority=Priority.PREVIEW)
        milliseconds = (time.perf_counter() - start) * 1000
    return {"url": image_url(result), "ms": milliseconds, "device": engine.status().device}


def step(ctx: Context, session: Session, request: RecipeRequest) -> Answer:
    """Draw one place of a walk over the seed plane."""
    wait = pace(ctx, session)
    if wait:
        return {"wait": wait}
    side = min(request.size or 256, PUBLIC_SIDE if ctx.settings.public else SIDES[-1])
    answer = {"url": image_url(ctx.engine.preview(request.recipe, side)), **speed(ctx)}
    return {**answer, "ms": answer["speed"]["ms"]}


def snapshot(ctx: Context, session: Session, request: FileRequest) -> Answer:
    """Restyle a whole picture of the camera in full quality, its strokes as large as on the screen; to the gallery and the strip.

    The picture joins the photos of Restyle without being shown there, so that the snapshot can be gone on with.
    """
    file = uploaded_file(ctx.settings.uploads, request.path)
    try:
        room = darkroom(ctx, session)
        taken = session.parts.get(PART, 0)
        if ctx.settings.public and taken >= PUBLIC_SNAPSHOTS:
            raise StudioError(f"{PUBLIC_SNAPSHOTS} snapshots are as many as this public studio keeps for one visit.")
        photo = room.add(file, f"camera {time.strftime('%Y-%m-%d %H.%M.%S')}.png", Recipe())
    finally:
        file.unlink(missing_ok=True)
    session.parts[PART] = taken + 1
    photo.is_removed = True
    recipe = _as_camera(ctx, request.recipe)
    assert recipe.restyle is not None
    strokes = recipe.restyle.texture_scale * max(1.0, min(photo.width, photo.height) / request.side)
    recipe = room.adopt(photo, replace(recipe, restyle=replace(recipe.restyle, texture_scale=min(8.0, strokes))))
    item = keep(ctx, session, recipe)
    picture = media.read_image(item.path).image
    return {**_kept(ctx, session, item), "item": shell.strip_entry(session.add_picture(recipe, jpeg(picture, size=THUMBNAIL)))}


def still(ctx: Context, session: Session, request: RecipeRequest) -> Answer:
    """Draw a place of a walk in full quality; to the gallery and the strip."""
    recipe = replace(request.recipe, precision="auto", restyle=None, film=None)
    answer = save(ctx, session, SaveRequest(request.token, recipe, crisp=False))
    small = jpeg(np.ascontiguousarray(ctx.engine.preview(recipe, THUMBNAIL)), size=THUMBNAIL)
    return {**answer, "item": shell.strip_entry(session.add_picture(recipe, small))}


def keep_recording(ctx: Context, session: Session, request: FileRequest) -> Answer:
    """Put a recording into the gallery, with its length and its recipe; on a public server the page keeps it itself."""
    file = uploaded_file(ctx.settings.uploads, request.path)
    try:
        if ctx.settings.public:
            raise StudioError("A public studio keeps no recordings. Your browser saved it to your downloads.")
        recipe = request.recipe if request.recipe.restyle is None else _as_camera(ctx, request.recipe)
        folder: Path = session.pictures
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".recording-{secrets.token_hex(6)}{recording_suffix(file)}"
        try:
            rewrap(file, part, recipe, composite=recipe.restyle is not None)
            item = ctx.gallery_of(session).add_film(part, recipe)
        finally:
            part.unlink(missing_ok=True)
    finally:
        file.unlink(missing_ok=True)
    return {"id": item.id, "say": f"Saved {item.path.name} to {folder.parent.name}/{folder.name}."}


def _kept(ctx: Context, session: Session, item: Any) -> Answer:
    if ctx.settings.public:
        return {"id": item.id, "say": f"Saved {item.path.name}.", "download": data_url(item.path.read_bytes(), "image/png")}
    return {"id": item.id, "say": f"Saved {item.path.name} to {session.pictures.parent.name}/{session.pictures.name}."}


def _as_camera(ctx: Context, recipe: Recipe) -> Recipe:
    """Return what is wanted of a camera's pictures: an installed style, the fast mode, nothing that only films and files have.

    Raises:
        StudioError: No style is chosen, or it is not installed.
    """
    if not recipe.model.name:
        raise StudioError("Choose a style first.")
    wishes = replace(recipe.restyle or Restyle(), source_name="camera", source_sha256="", mask="", start=0.0, end=None)
    ref = recipe.model if recipe.model.sha256 else reference(ctx, recipe.model.name)
    return Recipe(model=ref, restyle=wishes, precision="auto")


def _turn(ctx: Context) -> threading.Lock:
    """Return the lock that one live picture holds while the network runs, so that its time can be told apart from waiting."""
    lock: threading.Lock = ctx.sessions.parts.setdefault("camera-turn", threading.Lock())
    return lock


def pace(ctx: Context, session: Session) -> float:
    """Return 0, or on a public server the seconds to wait for the next picture; a visitor's own pace is asked first."""
    if not ctx.settings.public:
        return 0.0
    own: Pace = session.parts.setdefault("camera-pace", Pace(PUBLIC_RATE, 2))
    everybody: Pace = ctx.sessions.parts.setdefault("camera-pace", Pace(PUBLIC_RATE_OF_ALL, 4))
    return own.wait() or everybody.wait()
