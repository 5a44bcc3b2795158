"""Restyle: drop photos and films anywhere, choose a style, compare before and after at their own size, keep the result.

What is only about films is in ``restyle_films``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import gradio as gr
import numpy as np

from studio import media
from studio.errors import StudioError
from studio.media import ImageArray
from studio.recipe import Recipe, Restyle, StyleWeight
from studio.ui import gallery, restyle_examples, shell, tiles, train
from studio.ui.context import THUMBNAIL, Answer, Context, endpoint, jpeg, recipe_to_page
from studio.ui.darkroom import darkroom, outcome, store
from studio.ui.darkroom_photos import Photo, film_facts
from studio.ui.darkroom_recipes import own_recipe, reference
from studio.ui.media_parts import PartRequest
from studio.ui.payloads import ItemRequest, NameRequest, Payload, RecipeRequest, data_url, uploaded_file
from studio.ui.restyle_films import film_entry, first_wishes, frame, make_original, order_film, original_part, source_part, tell_film
from studio.ui.restyle_learn import LessonRequest, begin_lesson
from studio.ui.restyle_requests import ArriveRequest, FilmRequest, FrameRequest, PhotoRequest, PhotoTilesRequest, SheetRequest, TileRequest
from studio.ui.session import Session
from studio.ui.train_requests import RunRequest
from studio.ui.widgets import widget
from studio.upscaling import own_refs

log = logging.getLogger(__name__)

TITLE = "Restyle"
FULL_QUALITY = 92
PATIENCE = 0.5
"""Seconds that a request waits for a picture before it says how far it is; the page then asks again."""
ROW = 144
TILE = 192
"""Longest side of a photo in a tile, pixels."""


@dataclass(frozen=True, slots=True)
class Handles:
    """The widgets of the tab."""

    board: gr.HTML


def build(ctx: Context) -> Handles:
    """Create the board with the functions that it calls."""
    functions = [
        endpoint(ctx, Payload, desk),
        endpoint(ctx, ArriveRequest, arrive),
        endpoint(ctx, Payload, examples),
        endpoint(ctx, NameRequest, take_example),
        endpoint(ctx, RecipeRequest, reopen),
        endpoint(ctx, TileRequest, tile),
        endpoint(ctx, PhotoTilesRequest, photo_tiles),
        endpoint(ctx, ItemRequest, original),
        endpoint(ctx, PhotoRequest, sketch),
        endpoint(ctx, PhotoRequest, develop),
        endpoint(ctx, PhotoRequest, save),
        endpoint(ctx, ItemRequest, cancel),
        endpoint(ctx, ItemRequest, put_away),
        endpoint(ctx, SheetRequest, sheet),
        endpoint(ctx, FrameRequest, frame),
        endpoint(ctx, FilmRequest, tell_film),
        endpoint(ctx, FilmRequest, order_film),
        endpoint(ctx, PartRequest, source_part),
        endpoint(ctx, ItemRequest, make_original),
        endpoint(ctx, PartRequest, original_part),
        endpoint(ctx, PartRequest, gallery.film_part),
    ]
    if not ctx.settings.public:
        functions += [
            endpoint(ctx, LessonRequest, begin_lesson),
            *(endpoint(ctx, RunRequest, watch) for watch in (train.run_state, train.snapshot, train.stop_run, train.open_run)),
        ]
    return Handles(widget("restyle", label="Restyle", server_functions=functions))


def desk(ctx: Context, session: Session, request: Payload) -> Answer:
    """List the photos of the session, each with its state, for a page that was just opened."""
    return {"photos": [_entry(ctx, session, photo) for photo in darkroom(ctx, session).photos()]}


def arrive(ctx: Context, session: Session, request: ArriveRequest) -> Answer:
    """Take a photo or film in. A restyled one of ours brings back what it was made from and its settings, or asks for that."""
    room = darkroom(ctx, session)
    file = uploaded_file(ctx.settings.uploads, request.path)
    name = media.safe_name(request.name, "photo")
    try:
        film = film_facts(file, name)
        ours = film.recipe if film else media.inspect_image(file, name=name).recipe
        if ours is not None and ours.restyle is not None and not request.as_photo:
            ours = shell.check_model(ctx, ours)
            found = _reopen(ctx, session, ours, name, "film" if film else "photo")
            if "photo" in found:
                file.unlink(missing_ok=True)
            return found
        photo = room.add(file, name, Recipe(), film)
    except StudioError:
        file.unlink(missing_ok=True)
        raise
    wanted = room.awaited.pop(photo.sha256, None)
    if wanted is not None:
        room.adopt(photo, wanted)
        return {"photo": _entry(ctx, session, photo), "say": f"{name} is as it was."}
    if photo.recipe.restyle is None:
        room.adopt(photo, _usable(ctx, photo, request.recipe))
    notes = " ".join(photo.notes)
    return {"photo": _entry(ctx, session, photo), "say": notes or f"{name}, {photo.width} x {photo.height} pixels."}


def examples(ctx: Context, session: Session, request: Payload) -> Answer:
    """Give the photos that ship with the studio, painted, for an empty desk."""
    return {"examples": [restyle_examples.card(ctx, example) for example in restyle_examples.examples(ctx)]}


def take_example(ctx: Context, session: Session, request: NameRequest) -> Answer:
    """Lay a photo that ships with the studio on the desk."""
    photo = restyle_examples.lay_out(ctx, darkroom(ctx, session), request.name)
    return {"photo": _entry(ctx, session, photo), "say": f"{photo.name}, {photo.width} x {photo.height} pixels."}


def _reopen(ctx: Context, session: Session, recipe: Recipe, name: str, kind: str) -> Answer:
    """Return to a restyled picture or film: what it was made from among that of the session, else a request for it."""
    room, wishes = darkroom(ctx, session), recipe.restyle or Restyle()
    photo = room.find(wishes.source_sha256)
    if photo is not None:
        photo.is_removed = False
        room.adopt(photo, replace(recipe, precision="auto"))
        return {"photo": _entry(ctx, session, photo), "say": f"Everything is as it was for {photo.name}."}
    room.awaited[wishes.source_sha256] = replace(recipe, precision="auto")
    source = wishes.source_name or f"the {kind}"
    return {"missing": source, "say": f"{name} was made from {source}. Drop that {kind} here to go on with it."}


def reopen(ctx: Context, session: Session, request: RecipeRequest) -> Answer:
    """Return to a restyled picture of the strip or the gallery, or to a film."""
    if request.recipe.restyle is None:
        raise StudioError("This picture is not a restyled photo.")
    return _reopen(ctx, session, shell.check_model(ctx, request.recipe), "This picture", "file")


def tile(ctx: Context, session: Session, request: TileRequest) -> Answer:
    """Give the picture of a tile: the small photo that every tile shows, restyled by a translator or in one style of a book."""
    return {"url": data_url(tiles.translator_tile(ctx, ctx.library.find(request.name), request.style), "image/webp")}


def photo_tiles(ctx: Context, session: Session, request: PhotoTilesRequest) -> Answer:
    """Give the pictures of some tiles: a photo of the session, small, in each of the styles; None where one cannot be drawn."""
    room = darkroom(ctx, session)
    photo, urls = room.photo(request.id).at(request.frame), list[str | None]()
    for name, style in request.styles:
        try:
            wishes = Restyle(styles=(StyleWeight(style),) if style else ())
            recipe = own_recipe(ctx, photo, Recipe(model=reference(ctx, name), restyle=wishes))
            urls.append(_large_url(room.sketch(ctx.engine, photo, recipe, TILE), quality=85))
        except StudioError as error:
            log.info("no tile of %s: %s", name, error)
            urls.append(None)
    return {"urls": urls}


def original(ctx: Context, session: Session, request: ItemRequest) -> Answer:
    """Give the photo itself at its own size."""
    room = darkroom(ctx, session)
    picture = room.picture(room.photo(request.id))
    return {"url": _large_url(media.join_alpha(picture.image, picture.alpha))}


def sketch(ctx: Context, session: Session, request: PhotoRequest) -> Answer:
    """Make a small version while the hand moves or while the full one is at work."""
    room = darkroom(ctx, session)
    photo = room.photo(request.id).at(request.frame)
    image = room.sketch(ctx.engine, photo, own_recipe(ctx, photo, request.recipe), request.size)
    return {"url": _large_url(image, quality=85)}


def develop(ctx: Context, session: Session, request: PhotoRequest) -> Answer:
    """Make the full picture; answers how far it is when that takes longer, and is then asked again."""
    room = darkroom(ctx, session)
    photo = room.photo(request.id)
    recipe = room.adopt(photo, own_recipe(ctx, photo, request.recipe))
    photo.frame = photo.at(request.frame).frame
    photo = photo.at(request.frame)
    job = room.job(ctx.engine, photo, recipe)
    if not job.done.wait(PATIENCE) or job.is_dropped:  # dropped for other wishes, which may have overtaken these: asked again if wanted
        return {"pending": True, "share": job.share, "left": job.left}
    image = room.finish(photo, recipe, outcome(job))
    small = jpeg(media.thumbnail(_flat(image), ROW))
    answer: Answer = {"url": _large_url(image), "thumbnail": data_url(small), "width": photo.width, "height": photo.height}
    if request.gather and photo.film is None:
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
    if photo.film is not None:
        raise StudioError(f"{photo.name} is a film. Restyle it as a whole.")
    exact = replace(own_recipe(ctx, photo, request.recipe), precision="exact")
    job = room.job(ctx.engine, photo, exact)
    if not job.done.wait(PATIENCE):
        return {"pending": True, "share": job.share, "left": job.left}
    item = store(ctx, session, photo, exact, outcome(job))
    if ctx.settings.public:
        return {"id": item.id, "say": f"Saved {item.path.name}.", "download": data_url(item.path.read_bytes(), "image/png")}
    return {"id": item.id, "say": f"Saved {item.path.name} to {session.pictures.parent.name}/{session.pictures.name}."}


def sheet(ctx: Context, session: Session, request: SheetRequest) -> Answer:
    """Lay what was saved of a batch out on one contact sheet, as a JPEG file."""
    pictures = ctx.gallery_of(session)
    small = [media.read_image(pictures.thumbnail(name)) for name in request.ids]
    if not small:
        raise StudioError("Nothing was saved, so there is nothing for a contact sheet.")
    whole = media.contact_sheet([media.flatten(one.image, one.alpha) for one in small], cell=gallery.SHEET_CELL)
    encoded = media.encode_image(np.ascontiguousarray(whole), ".jpg", quality=FULL_QUALITY, composite=True)
    return {"name": f"contact-sheet-{len(small)}.jpg", "url": data_url(encoded.data)}


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


def _usable(ctx: Context, photo: Photo, recipe: Recipe) -> Recipe:
    """Return the recipe that a new photo starts with: the page's, with a style that is installed."""
    installed = ctx.library.list()
    names = [entry.name for entry in installed if entry.card.family in tiles.TRANSLATORS]
    name = recipe.model.name if recipe.model.name in names else next(iter(names), "")
    ref = reference(ctx, name) if name else recipe.model
    wishes = replace(recipe.restyle or Restyle(), mask="")
    wishes = first_wishes(ctx, photo.film, wishes) if photo.film else wishes
    enlarge = recipe.enlarge if recipe.enlarge == own_refs(installed) else ()
    return Recipe(model=ref, restyle=wishes, enlarge=enlarge, precision="auto")


def _entry(ctx: Context, session: Session, photo: Photo) -> Answer:
    if not photo.small:
        picture = darkroom(ctx, session).picture(photo)
        photo.small = jpeg(media.thumbnail(media.flatten(picture.image, picture.alpha), ROW))
    return {
        "id": photo.id,
        "name": photo.name,
        "width": photo.width,
        "height": photo.height,
        "sha256": photo.sha256,
        "notes": list(photo.notes),
        "recipe": recipe_to_page(photo.recipe),
        "thumbnail": data_url(photo.small),
        "film": film_entry(ctx, photo),
    }


def _flat(image: ImageArray) -> ImageArray:
    return image if image.shape[2] == 3 else media.flatten(image[..., :3], image[..., 3])


def _large_url(image: ImageArray, quality: int = FULL_QUALITY) -> str:
    """Write a picture for the screen, with its transparency."""
    if image.shape[2] == 4 and max(image.shape[:2]) < 16384:
        return data_url(media.encode_webp(np.ascontiguousarray(image), quality), "image/webp")
    return data_url(jpeg(_flat(image), quality=quality))
