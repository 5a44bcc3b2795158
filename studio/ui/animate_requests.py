"""What the page may ask of the Animate tab: every request with its checks."""

from __future__ import annotations

from dataclasses import dataclass

from studio.errors import StudioError
from studio.recipe import MAX_FILM_JSON_BYTES, Film, Latent, Recipe
from studio.ui.payloads import Fields, Payload

MAX_KEY_PICTURES = 12
MAX_PICTURES = 64


@dataclass(frozen=True, slots=True)
class FilmRequest(Payload):
    """A film; ``record`` makes it a step that undo returns to. ``name`` is of a preset."""

    recipe: Recipe
    record: bool
    name: str

    @classmethod
    def read(cls, fields: Fields) -> FilmRequest:
        """Build the request from checked entries."""
        recipe = fields.recipe(max_bytes=MAX_FILM_JSON_BYTES)
        if recipe.film is None:
            raise StudioError("This recipe is a picture, not a film.")
        record, name = fields.flag("record", default=True), fields.text("name", default="")
        return cls(token=fields.identifier("token"), recipe=recipe, record=record, name=name)


@dataclass(frozen=True, slots=True)
class FrameRequest(Payload):
    """A frame of the film that the server has, at most ``size`` pixels on its longest side."""

    index: int
    size: int

    @classmethod
    def read(cls, fields: Fields) -> FrameRequest:
        """Build the request from checked entries."""
        index = fields.integer("index", low=0, high=2**31, default=0)
        return cls(token=fields.identifier("token"), index=index, size=fields.integer("size", low=16, high=2048, default=256))


@dataclass(frozen=True, slots=True)
class StateRequest(Payload):
    """A picture's recipe to put into a film (None: a new one) at a moment."""

    recipe: Recipe | None
    state: Recipe
    time: float

    @classmethod
    def read(cls, fields: Fields) -> StateRequest:
        """Build the request from checked entries."""
        recipe = fields.recipe(max_bytes=MAX_FILM_JSON_BYTES) if fields.has("recipe") else None
        time = fields.number("time", low=0.0, high=36_000.0, default=0.0)
        return cls(token=fields.identifier("token"), recipe=recipe, state=fields.recipe("state"), time=time)


@dataclass(frozen=True, slots=True)
class RouteRequest(Payload):
    """Pictures to go through: recipes, or names in the gallery; and the film whose sound stays."""

    pictures: tuple[Recipe | str, ...]
    film: Film | None

    @classmethod
    def read(cls, fields: Fields) -> RouteRequest:
        """Build the request from checked entries."""
        entries = [Fields(entry) for entry in fields.list("pictures", longest=MAX_PICTURES)]
        pictures = tuple(entry.text("id", longest=400) if entry.has("id") else entry.recipe() for entry in entries)
        old = fields.recipe(max_bytes=MAX_FILM_JSON_BYTES) if fields.has("recipe") else None
        return cls(token=fields.identifier("token"), pictures=pictures, film=old.film if old else None)


@dataclass(frozen=True, slots=True)
class PlacesRequest(Payload):
    """Places to draw small, all else as in the recipe."""

    recipe: Recipe
    latents: tuple[Latent, ...]

    @classmethod
    def read(cls, fields: Fields) -> PlacesRequest:
        """Build the request from checked entries."""
        latents = tuple(Fields({"latent": entry}).latent("latent") for entry in fields.list("latents", longest=MAX_KEY_PICTURES))
        return cls(token=fields.identifier("token"), recipe=fields.recipe(max_bytes=MAX_FILM_JSON_BYTES), latents=latents)


@dataclass(frozen=True, slots=True)
class FileRequest(Payload):
    """A dropped film, sound, MIDI file or preset: where the upload lies, the name it had, the film that it is for."""

    path: str
    name: str
    recipe: Recipe | None

    @classmethod
    def read(cls, fields: Fields) -> FileRequest:
        """Build the request from checked entries."""
        recipe = fields.recipe(max_bytes=MAX_FILM_JSON_BYTES) if fields.has("recipe") else None
        return cls(token=fields.identifier("token"), path=fields.text("path", longest=4096), name=fields.text("name"), recipe=recipe)
