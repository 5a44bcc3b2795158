"""Restyle: drop photos anywhere, choose a style, compare before and after at the photo's own size, keep the result."""

from __future__ import annotations

from dataclasses import dataclass, replace

import gradio as gr
import numpy as np

from studio import media
from studio.errors import StudioError
from studio.media import ImageArray
from studio.recipe import Recipe, Restyle
from studio.ui import shell, tiles
from studio.ui.context import THUMBNAIL, Answer, Context, endpoint, jpeg, recipe_to_page
from studio.ui.darkroom import Photo, darkroom, outcome, reference, store
from studio.ui.payloads import Fields, ItemRequest, NameRequest, Payload, RecipeRequest, data_url, uploaded_file
from studio.ui.session import Session
from studio.ui.widgets import widget

TITLE = "Restyle"
FULL_QUALITY = 92
PATIENCE = 0.5
"""Seconds that a request waits for a picture before it says how far it is; the page then asks again."""
ROW = 144


@dataclass(frozen=True, slots=True)
class Handles:
    """The widgets of the tab."""

    board: gr.HTML


@dataclass(frozen=True, slots=True)
class ArriveRequest(Payload):
    """A photo that the page uploaded, its name, and the recipe that it should start with."""

    path: str
    name: str
    recipe: Recipe
    as_photo: bool

    @classmethod
    def read(cls, fields: Fields) -> ArriveRequest:
        """Build the request from checked entries."""
        return cls(
            token=fields.identifier("token"),
            path=fields.text("path", longest=4096),
            name=fields.text("name", longest=400),
            recipe=fields.recipe(),
            as_photo=fields.flag("as_photo"),
        )


@dataclass(frozen=True, slots=True)
class PhotoRequest(Payload):
    """A photo of the session with the recipe to make of it."""

    id: str
    recipe: Recipe
    size: int
    gather: bool

    @classmethod
    def read(cls, fields: Fields) -> PhotoRequest:
        """Build the request from checked entries."""
        return cls(
            token=fields.identifier("token"),
            id=fields.identifier("id"),
            recipe=fields.recipe(),
            size=fields.integer("size", low=64, high=1280, default=640),
            gather=fields.flag("gather", default=True),
        )


def build(ctx: Context) -> Handles:
    """Create the board with the functions that it calls."""
    functions = [
        endpoint(ctx, Payload, desk),
        endpoint(ctx, ArriveRequest, arrive),
        endpoint(ctx, RecipeRequest, reopen),
        endpoint(ctx, NameRequest, tile),
        endpoint(ctx, ItemRequest, original),
        endpoint(ctx, PhotoRequest, sketch),
        endpoint(ctx, PhotoRequest, develop),
        endpoint(ctx, PhotoRequest, save),
        endpoint(ctx, ItemRequest, cancel),
        endpoint(ctx, ItemRequest, put_away),
    ]
    return Handles(widget("restyle", label="Restyle", server_functions=functions))


def desk(ctx: Context, session: Session, request: Payload) -> Answer:
    """List the photos of the session, each with its state, for a page that was just opened."""
    return {"photos": [_entry(ctx, session, photo) for photo in darkroom(ctx, session).photos()]}


def arrive(ctx: Context, session: Session, request: ArriveRequest) -> Answer:
    """Take a photo in. A restyled picture of ours brings back its photo and settings; when the photo is not here, it is asked for."""
    room = darkroom(ctx, session)
    file = uploaded_file(ctx.settings.uploads, request.path)
    name = media.safe_name(request.name, "photo")
    try:
        ours = None if request.as_photo else media.inspect_image(file, name=name).recipe
        if ours is not None and ours.restyle is not None:
            ours = shell.check_model(ctx, ours)
            found = _reopen(ctx, session, ours, name)
            if "photo" in found:
                file.unlink(missing_ok=True)
            return found
        photo = room.add(file, name, Recipe())
    except StudioError:
        file.unlink(missing_ok=True)
        raise
    wanted = room.awaited.pop(photo.sha256, None)
    if wanted is not None:
        room.adopt(photo, wanted)
        return {"photo": _entry(ctx, session, photo), "say": f"{name} is as it was."}
    if photo.recipe.restyle is None:
        room.adopt(photo, _usable(ctx, request.recipe))
    notes = " ".join(photo.notes)
    return {"photo": _entry(ctx, session, photo), "say": notes or f"{name}, {photo.width} x {photo.height} pixels."}


def _reopen(ctx: Context, session: Session, recipe: Recipe, name: str) -> Answer:
    """Return to a restyled picture: its photo among those of the session, else a request for it."""
    room, wishes = darkroom(ctx, session), recipe.restyle or Restyle()
    photo = room.find(wishes.source_sha256)
    if photo is not None:
        photo.is_removed = False
        room.adopt(photo, replace(recipe, precision="auto"))
        return {"photo": _entry(ctx, session, photo), "say": f"Everything is as it was for {photo.name}."}
    room.awaited[wishes.source_sha256] = replace(recipe, precision="auto")
    source = wishes.source_name or "the photo"
    return {"missing": source, "say": f"{name} was made from {source}. Drop that photo here to go on with it."}


def reopen(ctx: Context, session: Session, request: RecipeRequest) -> Answer:
    """Return to a restyled picture of the strip or the gallery."""
    if request.recipe.restyle is None:
        raise StudioError("This picture is not a restyled photo.")
    return _reopen(ctx, session, shell.check_model(ctx, request.recipe), "This picture")


def tile(ctx: Context, session: Session, request: NameRequest) -> Answer:
    """Give the picture of a translator's tile: the small photo that every tile shows, restyled."""
    return {"url": data_url(tiles.translator_tile(ctx, ctx.library.find(request.name)), "image/webp")}


def original(ctx: Context, session: Session, request: ItemRequest) -> Answer:
    """Give the photo itself at its own size."""
    room = darkroom(ctx, session)
    picture = room.picture(room.photo(request.id))
    return {"url": _large_url(media.join_alpha(picture.image, picture.alpha))}


def sketch(ctx: Context, session: Session, request: PhotoRequest) -> Answer:
    """Make a small version while the hand moves or while the full one is at work."""
    room = darkroom(ctx, session)
    photo = room.photo(request.id)
    image = room.sketch(ctx.engine, photo, _own(ctx, session, photo, request.recipe), request.size)
    return {"url": _large_url(image, quality=85)}


def develop(ctx: Context, session: Session, request: PhotoRequest) -> Answer:
    """Make the full picture; answers how far it is when that takes longer, and is then asked again."""
    room = darkroom(ctx, session)
    photo = room.photo(request.id)
    recipe = room.adopt(photo, _own(ctx, session, photo, request.recipe))
    job = room.job(ctx.engine, photo, recipe)
    if not job.done.wait(PATIENCE):
        return {"pending": True, "share": job.share, "left": job.left}
    image = room.finish(photo, recipe, outcome(job))
    small = jpeg(media.thumbnail(_flat(image), ROW))
    answer: Answer = {"url": _large_url(image), "thumbnail": data_url(small), "width": photo.width, "height": photo.height}
    if request.gather:
        answer["item"] = shell.strip_entry(session.add_picture(recipe, jpeg(_flat(image), size=THUMBNAIL)))
    if job.seconds:
        answer["speed"] = {"device": ctx.engine.status().device, "ms": job.seconds * 1000, "runner": "", "note": ctx.engine.status().note}
    network = ctx.engine.load(recipe.model.name).network
    answer["batch_norm"] = hasattr(network, "modules") and any("BatchNorm" in type(part).__name__ for part in network.modules())
    return answer


def save(ctx: Context, session: Session, request: PhotoRequest) -> Answer:
    """Make the picture in full quality and write it to the gallery; asked again like :func:`develop`."""
    room = darkroom(ctx, session)
    photo = room.photo(request.id)
    exact = replace(_own(ctx, session, photo, request.recipe), precision="exact")
    job = room.job(ctx.engine, photo, exact)
    if not job.done.wait(PATIENCE):
        return {"pending": True, "share": job.share, "left": job.left}
    item = store(ctx, session, photo, exact, outcome(job))
    if ctx.settings.public:
        return {"id": item.id, "say": f"Saved {item.path.name}.", "download": data_url(item.path.read_bytes(), "image/png")}
    return {"id": item.id, "say": f"Saved {item.path.name} to {session.pictures.parent.name}/{session.pictures.name}."}


def cancel(ctx: Context, session: Session, request: ItemRequest) -> Answer:
    """Stop waiting for the work on a photo."""
    room = darkroom(ctx, session)
    room.cancel(room.photo(request.id))
    return {"say": "Cancelled."}


def put_away(ctx: Context, session: Session, request: ItemRequest) -> Answer:
    """Take a photo off the row (``on``), or put it back."""
    room = darkroom(ctx, session)
    photo = room.photo(request.id)
    photo.is_removed = request.on
    if request.on:
        room.cancel(photo)
        return {"say": f"{photo.name} is off the row."}
    return {"photo": _entry(ctx, session, photo), "say": f"{photo.name} is back."}


def _own(ctx: Context, session: Session, photo: Photo, recipe: Recipe) -> Recipe:
    """Return a page's recipe as one of this photo, with the model as it is installed.

    Raises:
        StudioError: There is no such model, or it does not restyle photos.
    """
    if not recipe.model.name:
        raise StudioError("Choose a style first.")
    wishes = replace(recipe.restyle or Restyle(), source_name=photo.name[:200], source_sha256=photo.sha256)
    ref = recipe.model if recipe.model.sha256 else reference(ctx, recipe.model.name)
    return Recipe(model=ref, restyle=wishes, precision="auto")


def _usable(ctx: Context, recipe: Recipe) -> Recipe:
    """Return the recipe that a new photo starts with: the page's, with a style that is installed."""
    names = [entry.name for entry in ctx.library.list() if entry.card.family in tiles.TRANSLATORS]
    name = recipe.model.name if recipe.model.name in names else next(iter(names), "")
    ref = reference(ctx, name) if name else recipe.model
    return Recipe(model=ref, restyle=recipe.restyle or Restyle(), precision="auto")


def _entry(ctx: Context, session: Session, photo: Photo) -> Answer:
    picture = darkroom(ctx, session).picture(photo)
    small = media.thumbnail(media.flatten(picture.image, picture.alpha), ROW)
    return {
        "id": photo.id,
        "name": photo.name,
        "width": photo.width,
        "height": photo.height,
        "sha256": photo.sha256,
        "notes": list(photo.notes),
        "recipe": recipe_to_page(photo.recipe),
        "thumbnail": data_url(jpeg(small)),
    }


def _flat(image: ImageArray) -> ImageArray:
    return image if image.shape[2] == 3 else media.flatten(image[..., :3], image[..., 3])


def _large_url(image: ImageArray, quality: int = FULL_QUALITY) -> str:
    """Write a picture for the screen, with its transparency."""
    if image.shape[2] == 4 and max(image.shape[:2]) < 16384:
        return data_url(media.encode_webp(np.ascontiguousarray(image), quality), "image/webp")
    return data_url(jpeg(_flat(image), quality=quality))
