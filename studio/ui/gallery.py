"""Gallery: everything that was made, to search, star, tag, look at and return to."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from studio import media
from studio.errors import MediaError, StudioError
from studio.media import ImageArray
from studio.recipe import Latent, Recipe, Transform, Truncation
from studio.ui import shell
from studio.ui.context import Answer, Context, endpoint, jpeg, recipe_to_page
from studio.ui.media_parts import PartRequest, part
from studio.ui.payloads import Fields, ItemRequest, Payload, data_url
from studio.ui.session import Session
from studio.ui.widgets import widget

TITLE = "Gallery"
MAX_PAGE = 240
MAX_THUMBNAILS = 32
MAX_CHOSEN = 200
LARGE = 1600
SHEET_CELL = 256
MAX_DOWNLOAD = 256 * 2**20
MIME = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}


@dataclass(frozen=True, slots=True)
class Handles:
    """The widgets of the tab."""

    page: gr.HTML


@dataclass(frozen=True, slots=True)
class BrowseRequest(Payload):
    """Which part of which search to list."""

    query: str
    starred: bool
    offset: int
    limit: int

    @classmethod
    def read(cls, fields: Fields) -> BrowseRequest:
        """Build the request from checked entries."""
        return cls(
            token=fields.identifier("token"),
            query=fields.text("query", default=""),
            starred=fields.flag("starred"),
            offset=fields.integer("offset", low=0, high=10**7, default=0),
            limit=fields.integer("limit", low=1, high=MAX_PAGE, default=MAX_PAGE),
        )


@dataclass(frozen=True, slots=True)
class ItemsRequest(Payload):
    """Several pictures of the gallery by their names."""

    ids: tuple[str, ...]

    @classmethod
    def read(cls, fields: Fields) -> ItemsRequest:
        """Build the request from checked entries."""
        ids = tuple(Fields({"id": entry}).text("id", longest=400) for entry in fields.list("ids", longest=MAX_CHOSEN))
        return cls(token=fields.identifier("token"), ids=ids)


@dataclass(frozen=True, slots=True)
class TagRequest(Payload):
    """A tag to put on a picture or to take away."""

    id: str
    tag: str
    on: bool

    @classmethod
    def read(cls, fields: Fields) -> TagRequest:
        """Build the request from checked entries."""
        return cls(token=fields.identifier("token"), id=fields.text("id", longest=400), tag=fields.text("tag"), on=fields.flag("on"))


def build(ctx: Context) -> Handles:
    """Create the page with the functions that it calls."""
    functions = [
        endpoint(ctx, BrowseRequest, browse),
        endpoint(ctx, ItemsRequest, thumbnails),
        endpoint(ctx, ItemRequest, look),
        endpoint(ctx, PartRequest, film_part),
        endpoint(ctx, ItemRequest, star),
        endpoint(ctx, TagRequest, tag),
        endpoint(ctx, ItemsRequest, recipes),
        endpoint(ctx, ItemRequest, return_to),
        endpoint(ctx, ItemsRequest, remove),
        endpoint(ctx, ItemsRequest, restore),
        endpoint(ctx, ItemRequest, download),
        endpoint(ctx, ItemsRequest, sheet),
    ]
    return Handles(widget("gallery", label="Gallery", server_functions=functions))


def browse(ctx: Context, session: Session, request: BrowseRequest) -> Answer:
    """List a part of what a search finds, newest first, and what could be searched for."""
    gallery = ctx.gallery_of(session)
    found = gallery.items(request.query, starred=request.starred, offset=request.offset, limit=request.limit)
    return {
        "items": [_entry(item) for item in found],
        "total": gallery.count(request.query, starred=request.starred),
        "all": gallery.count(),
        "models": list(gallery.models())[:40],
        "tags": list(gallery.tags())[:40],
        "folder": "" if ctx.settings.public else str(gallery.folder),
    }


def thumbnails(ctx: Context, session: Session, request: ItemsRequest) -> Answer:
    """Give small pictures; one whose file is gone or damaged is null."""
    gallery = ctx.gallery_of(session)
    return {"urls": {name: _thumbnail(gallery, name) for name in request.ids[:MAX_THUMBNAILS]}}


def look(ctx: Context, session: Session, request: ItemRequest) -> Answer:
    """Give one picture large, with its recipe in words."""
    gallery = ctx.gallery_of(session)
    item = gallery.item(request.id)
    if item.is_film:
        recipe, url = gallery.recipe(request.id), _thumbnail(gallery, request.id)
    else:
        picture = media.read_image(item.path)
        recipe = picture.recipe
        url = data_url(jpeg(media.flatten(picture.image, picture.alpha), size=LARGE, quality=92))
    return {
        **_entry(item),
        "url": url,
        "lines": _lines(item, recipe, _class_names(ctx, item.model)),
        "recipe": recipe_to_page(recipe) if recipe else None,
    }


def film_part(ctx: Context, session: Session, request: PartRequest) -> Answer:
    """Give a part of a film's file, for the page to play it."""
    return part(ctx.gallery_of(session).item(request.id).path, request.offset)


def star(ctx: Context, session: Session, request: ItemRequest) -> Answer:
    """Set or clear a star."""
    return _entry(ctx.gallery_of(session).star(request.id, request.on))


def tag(ctx: Context, session: Session, request: TagRequest) -> Answer:
    """Put a tag on a picture or take it away."""
    return _entry(ctx.gallery_of(session).tag(request.id, request.tag, request.on))


def recipes(ctx: Context, session: Session, request: ItemsRequest) -> Answer:
    """Give the recipes of several pictures, those that have one."""
    gallery = ctx.gallery_of(session)
    found = ((name, gallery.recipe(name)) for name in request.ids)
    return {"recipes": [_found(name, recipe) for name, recipe in found if recipe is not None]}


def return_to(ctx: Context, session: Session, request: ItemRequest) -> Answer:
    """Give the recipe of one picture to go back to; its model must be installed."""
    recipe = ctx.gallery_of(session).recipe(request.id)
    if recipe is None:
        raise StudioError("This picture carries no recipe, so there is nothing to return to.")
    return _found(request.id, shell.check_model(ctx, recipe))


def remove(ctx: Context, session: Session, request: ItemsRequest) -> Answer:
    """Move pictures to the gallery's trash; the answer says how to get them back."""
    gallery = ctx.gallery_of(session)
    trashed = [gallery.remove(name) for name in request.ids]
    return {"trashed": trashed, "say": f"Removed {_count(len(trashed))}. Undo brings it back." if trashed else "Nothing was removed."}


def restore(ctx: Context, session: Session, request: ItemsRequest) -> Answer:
    """Bring pictures back from the trash."""
    gallery = ctx.gallery_of(session)
    back = [gallery.restore(name).id for name in request.ids]
    return {"ids": back, "say": f"Brought back {_count(len(back))}."}


def download(ctx: Context, session: Session, request: ItemRequest) -> Answer:
    """Give a picture's file to keep elsewhere: as it is (``on``), or without its recipe (the mark of origin stays)."""
    item = ctx.gallery_of(session).item(request.id)
    if item.size_bytes > MAX_DOWNLOAD:
        raise MediaError(f"{item.name} is too large to send to the page. It is at {item.path}.")
    data = item.path.read_bytes() if request.on else _without_recipe(item.path)
    return {"name": item.name, "url": data_url(data, MIME.get(item.path.suffix.lower(), "application/octet-stream"))}


def sheet(ctx: Context, session: Session, request: ItemsRequest) -> Answer:
    """Lay pictures out on one contact sheet, or the frames of one film, as a JPEG file."""
    gallery = ctx.gallery_of(session)
    pictures: list[ImageArray] = []
    is_composite = False
    items = [gallery.item(name) for name in request.ids]
    if len(items) == 1 and items[0].is_film:
        is_composite = _is_composite(media.inspect_media(items[0].path))
        encoded = media.encode_image(media.film_sheet(items[0].path), ".jpg", quality=92, composite=is_composite)
        return {"name": f"{items[0].path.stem}-sheet.jpg", "url": data_url(encoded.data)}
    for item in items:
        if item.is_film:
            pictures += media.film_stills(item.path, 1, SHEET_CELL)
            continue
        picture = media.read_image(item.path)
        pictures.append(media.thumbnail(media.flatten(picture.image, picture.alpha), SHEET_CELL))
        is_composite = is_composite or _is_composite(picture)
    if not pictures:
        raise StudioError("Choose some pictures first.")
    whole = media.contact_sheet(pictures, cell=SHEET_CELL)
    encoded = media.encode_image(np.ascontiguousarray(whole), ".jpg", quality=92, composite=is_composite)
    return {"name": f"contact-sheet-{len(pictures)}.jpg", "url": data_url(encoded.data)}


def _entry(item: Any) -> Answer:
    return {
        "id": item.id,
        "name": item.name,
        "label": item.label,
        "model": item.model,
        "starred": item.starred,
        "tags": list(item.tags),
        "width": item.width,
        "height": item.height,
        "has_recipe": item.has_recipe,
        "seconds": item.seconds,
    }


def _found(name: str, recipe: Recipe) -> Answer:
    return {"id": name, "name": Path(name).name, "recipe": recipe_to_page(recipe)}


def _class_names(ctx: Context, model: str) -> tuple[str, ...]:
    found = [entry.card.classes for entry in ctx.library.list() if entry.name == model]
    return tuple(found[0]) if found else ()


def _thumbnail(gallery: Any, name: str) -> str | None:
    try:
        return data_url(gallery.thumbnail(name).read_bytes(), "image/webp")
    except (MediaError, OSError):
        return None


def _lines(item: Any, recipe: Recipe | None, classes: tuple[str, ...]) -> list[list[str]]:
    """Write a picture's recipe as (what, value) pairs in plain words."""
    lines = [["Size", f"{item.width} x {item.height}"], ["Made", time.strftime("%d %B %Y, %H:%M", time.localtime(item.created))]]
    if item.is_film:
        lines.insert(1, ["Length", f"{item.seconds:.1f} s, {item.frames} pictures"])
    if recipe is None:
        return [*lines, ["Recipe", "none in this file"]]
    lines.append(["Model", recipe.model.name])
    if recipe.restyle is not None:
        photo = recipe.restyle
        lines += [["Photo", photo.source_name or "unnamed"], ["Strength", f"{photo.strength:.2f}"]]
        return [*lines, ["Colours", "kept from the photo"]] if photo.keep_colors else lines
    lines.append(["Place", _place(recipe.latent)])
    if recipe.latent.classes:
        shares = ((classes[index] if index < len(classes) else str(index), weight) for index, weight in recipe.latent.classes)
        lines.append(["Kinds", ", ".join(f"{name} {weight:.0%}" for name, weight in shares)])
    lines.append(["psi", _truncation(recipe.truncation, has_classes=bool(recipe.latent.classes))])
    lines += [["Style from", _place(mix.latent)] for mix in recipe.mixing]
    lines += [["Blended with", f"{_place(blend.latent)} x {blend.weight:.2f}"] for blend in recipe.blends]
    if recipe.noise.mode != "const" or recipe.noise.strength != 1:
        lines.append(["Noise", f"{recipe.noise.mode}, {recipe.noise.strength:.2f}"])
    move = recipe.transform
    if move != Transform():
        turned = f"turned {move.rotate:.0f}\N{DEGREE SIGN}, zoom {move.scale:.2f}"
        lines.append(["Frame", f"right {move.translate_x:.2f}, down {move.translate_y:.2f}, {turned}"])
    return lines


def _truncation(truncation: Truncation, *, has_classes: bool) -> str:
    words = [f"{truncation.psi:.2f}"]
    if truncation.center is not None:
        words.append(f"towards {_place(truncation.center)}")
    elif truncation.towards == "class" and has_classes:
        words.append("towards the average of its kind")
    if truncation.cutoff is not None:
        words.append(f"first {truncation.cutoff} layers")
    return ", ".join(words)


def _place(latent: Latent) -> str:
    if latent.ws:
        return "own style"
    if latent.x.is_integer() and latent.y.is_integer():
        return f"seed {int(latent.x + 100 * latent.y)}"
    return f"{latent.x:.2f} / {latent.y:.2f}"


def _without_recipe(path: Path) -> bytes:
    picture = media.read_image(path)
    encoded = media.encode_image(
        picture.image, path.suffix.lower(), alpha=picture.alpha, icc=picture.icc, composite=_is_composite(picture), include_recipe=False
    )
    return encoded.data


def _is_composite(picture: media.Picture | media.Header) -> bool:
    """Say whether a photo went into a picture, which its recipe or its mark of origin knows."""
    return (picture.recipe is not None and picture.recipe.restyle is not None) or picture.marks.digital_source_type.startswith("composite")


def _count(number: int) -> str:
    return "1 picture" if number == 1 else f"{number} pictures"
