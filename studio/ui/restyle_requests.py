"""What the page of the restyle tab may ask, checked entry by entry."""

from __future__ import annotations

from dataclasses import dataclass

from studio.recipe import Recipe
from studio.ui.payloads import Fields, Payload

MOST_FRAMES = 10**8
MOST_OF_A_BATCH = 2000
MOST_TILES = 8


@dataclass(frozen=True, slots=True)
class ArriveRequest(Payload):
    """A photo or film that the page uploaded, its name, and the recipe that it should start with."""

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
    """A photo of the session, or a frame of a film, with the recipe to make of it."""

    id: str
    recipe: Recipe
    size: int
    gather: bool
    frame: int

    @classmethod
    def read(cls, fields: Fields) -> PhotoRequest:
        """Build the request from checked entries."""
        return cls(
            token=fields.identifier("token"),
            id=fields.identifier("id"),
            recipe=fields.recipe(),
            size=fields.integer("size", low=64, high=1280, default=640),
            gather=fields.flag("gather", default=True),
            frame=fields.integer("frame", low=0, high=MOST_FRAMES, default=0),
        )


@dataclass(frozen=True, slots=True)
class TileRequest(Payload):
    """The tile of a translator, or of one style of a book of painting styles."""

    name: str
    style: str

    @classmethod
    def read(cls, fields: Fields) -> TileRequest:
        """Build the request from checked entries."""
        style = fields.text("style", longest=200, default="")
        return cls(token=fields.identifier("token"), name=fields.text("name", longest=200), style=style)


@dataclass(frozen=True, slots=True)
class PhotoTilesRequest(Payload):
    """A photo of the session, or a frame of a film, to be shown small in several styles: pairs of a translator and a style of its book."""

    id: str
    frame: int
    styles: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, fields: Fields) -> PhotoTilesRequest:
        """Build the request from checked entries."""
        entries = [Fields(entry) for entry in fields.list("styles", longest=MOST_TILES)]
        styles = tuple((entry.text("name", longest=200), entry.text("style", longest=200, default="")) for entry in entries)
        return cls(fields.identifier("token"), fields.identifier("id"), fields.integer("frame", low=0, high=MOST_FRAMES, default=0), styles)


@dataclass(frozen=True, slots=True)
class FrameRequest(Payload):
    """A frame of a film, as it is; ``size`` 0 is its own."""

    id: str
    frame: int
    size: int

    @classmethod
    def read(cls, fields: Fields) -> FrameRequest:
        """Build the request from checked entries."""
        frame = fields.integer("frame", low=0, high=MOST_FRAMES)
        return cls(fields.identifier("token"), fields.identifier("id"), frame, fields.integer("size", low=0, high=4096, default=0))


@dataclass(frozen=True, slots=True)
class FilmRequest(Payload):
    """A film of the session with the recipe to make of all of it."""

    id: str
    recipe: Recipe

    @classmethod
    def read(cls, fields: Fields) -> FilmRequest:
        """Build the request from checked entries."""
        return cls(token=fields.identifier("token"), id=fields.identifier("id"), recipe=fields.recipe())


@dataclass(frozen=True, slots=True)
class SheetRequest(Payload):
    """Pictures of the gallery that go onto a contact sheet."""

    ids: tuple[str, ...]

    @classmethod
    def read(cls, fields: Fields) -> SheetRequest:
        """Build the request from checked entries."""
        ids = tuple(Fields({"id": entry}).text("id", longest=400) for entry in fields.list("ids", longest=MOST_OF_A_BATCH))
        return cls(token=fields.identifier("token"), ids=ids)
