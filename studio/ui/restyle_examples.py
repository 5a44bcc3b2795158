"""The photos that Restyle shows, already painted, to somebody who has none at hand.

They and their list (file, style, source, licence) lie in ``photos`` among the shipped models.
"""

from __future__ import annotations

import functools
import json
import secrets
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from studio import media
from studio.checkpoints import ModelEntry
from studio.errors import StudioError
from studio.recipe import Recipe, Restyle, StyleWeight
from studio.ui import tiles
from studio.ui.context import Answer, Context
from studio.ui.darkroom import Darkroom
from studio.ui.darkroom_photos import Photo
from studio.ui.darkroom_recipes import reference
from studio.ui.facts import BOOK
from studio.ui.payloads import data_url
from studio.worker import Priority

SIDE = 320


@dataclass(frozen=True, slots=True)
class Example:
    """A shipped photo and the style of a book that suits it."""

    path: Path
    style: str
    credit: str
    book: ModelEntry

    @property
    def name(self) -> str:
        """Return what the file is called."""
        return self.path.name

    def recipe(self, ctx: Context) -> Recipe:
        """Return what it is shown with."""
        return Recipe(model=reference(ctx, self.book.name), restyle=Restyle(styles=(StyleWeight(self.style),)), precision="auto")


def examples(ctx: Context) -> list[Example]:
    """List the shipped photos whose style is installed."""
    folder = ctx.settings.pretrained / "photos"
    index = folder / "photos.json"
    if not index.is_file():
        return []
    books = {style: entry for entry in reversed(ctx.library.list()) if entry.card.family == BOOK for style in entry.card.classes}
    return [
        Example(folder / item["file"], item["style"], f"{item['source']}, {item['licence']}", books[item["style"]])
        for item in json.loads(index.read_text("utf-8"))
        if item["style"] in books
    ]


def card(ctx: Context, example: Example) -> Answer:
    """Describe an example for the page, with its picture; made once and then read from the cache."""
    image = media.thumbnail(media.read_image(example.path).image, SIDE)
    engine: Any = ctx.engine
    paint = functools.partial(engine.restyle, example.recipe(ctx), image, priority=Priority.BATCH)
    painted = tiles.cached(example.book, paint, f"{example.name} {example.style}")
    return {"name": example.name, "style": example.style, "credit": example.credit, "url": data_url(painted, "image/webp")}


def lay_out(ctx: Context, room: Darkroom, name: str) -> Photo:
    """Put an example on the desk, as if it had been dropped.

    Raises:
        StudioError: There is none of this name, or the desk is full.
    """
    example = next((example for example in examples(ctx) if example.name == name), None)
    if example is None:
        raise StudioError(f"There is no example {name!r}. Drop a photo of yours instead.")
    ctx.settings.uploads.mkdir(parents=True, exist_ok=True)
    file = ctx.settings.uploads / f"{secrets.token_hex(8)}{example.path.suffix}"
    shutil.copyfile(example.path, file)
    photo = room.add(file, example.name, Recipe())
    wished = example.recipe(ctx)
    room.adopt(photo, replace(wished, restyle=replace(wished.restyle or Restyle(), source_name=photo.name, source_sha256=photo.sha256)))
    return photo
