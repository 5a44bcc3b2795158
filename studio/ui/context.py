"""What every tab is given, and how a page's request becomes a checked call and an answer.

This is *not* a place for what one tab does: handlers live beside their tab and take ``(ctx, session, request)``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from studio.errors import StudioError
from studio.media import ImageArray, encode_jpeg, thumbnail
from studio.recipe import Bounds, Recipe, Restyle, bounds_of
from studio.ui.payloads import Fields, Payload, data_url
from studio.ui.session import Session, SessionGoneError, SessionStore
from studio.ui.settings import Settings
from studio.worker import Priority

log = logging.getLogger(__name__)

Answer = dict[str, Any]
"""What goes back to the page: JSON. ``{"error": sentence}`` when it could not be done."""

P = TypeVar("P", bound=Payload)
PREVIEW_QUALITY = 85
THUMBNAIL = 160


class Drawer(Protocol):
    """What the interface needs of the engine (see ``studio.engine.Engine``)."""

    def preview(self, recipe: Recipe, size: int | None = None, *, priority: Priority = Priority.PREVIEW) -> ImageArray:
        """Draw quickly, ``uint8 [H, W, 3]``."""
        ...

    def render(self, recipe: Recipe, *, priority: Priority = Priority.SETTLE) -> ImageArray:
        """Draw in full quality, ``uint8 [H, W, 3 or 4]``."""
        ...

    def ws(self, recipe: Recipe) -> Any:
        """Return the style vectors of a recipe."""
        ...

    def load(self, name: str) -> Any:
        """Load a model by name and keep it."""
        ...

    def status(self) -> Any:
        """Say which device, precision and code path is in use, and its milliseconds."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """The parts that all tabs share. ``gallery_of`` gives a visitor's own gallery."""

    settings: Settings
    engine: Drawer
    library: Any
    sessions: SessionStore
    gallery_of: Callable[[Session], Any]


def endpoint(ctx: Context, kind: type[P], handler: Callable[[Context, Session, P], Answer]) -> Callable[[Any], Answer]:
    """Make a handler callable from the page: check the request, find the session, turn errors into one sentence.

    Pass the result in ``server_functions`` of a widget; the page calls it as ``studio.call(server, "handler_name", {...})``.
    """

    def serve(data: Any) -> Answer:
        try:
            request = kind.read(Fields(data))
            with ctx.sessions.call(request.token) as session:
                return handler(ctx, session, request)
        except SessionGoneError as error:
            return {"error": str(error), "gone": True}
        except StudioError as error:
            log.info("%s: %s %s", handler.__name__, error, error.detail)
            return {"error": str(error)}
        except Exception:
            log.exception("%s failed", handler.__name__)
            return {"error": "Something went wrong inside the studio. The log has the details."}

    serve.__name__ = handler.__name__
    serve.__doc__ = handler.__doc__
    return serve


def image_url(image: ImageArray, *, size: int | None = None, quality: int = PREVIEW_QUALITY) -> str:
    """Return a picture ``uint8 [H, W, 3]`` as a JPEG data URL, at most ``size`` pixels on its longest side."""
    return data_url(jpeg(image, size=size, quality=quality))


def jpeg(image: ImageArray, *, size: int | None = None, quality: int = PREVIEW_QUALITY) -> bytes:
    """Return a picture as JPEG bytes, at most ``size`` pixels on its longest side."""
    plain = np.ascontiguousarray(image[..., :3])
    return encode_jpeg(thumbnail(plain, size) if size and size < max(plain.shape[:2]) else plain, quality)


def speed(ctx: Context) -> Answer:
    """Say what the top bar shows: device, model time, code path."""
    status = ctx.engine.status()
    return {"speed": {"device": status.device, "ms": status.milliseconds, "runner": status.runner, "note": status.note}}


def recipe_to_page(recipe: Recipe) -> Answer:
    """Return a recipe as a JSON object with every entry present, the form in which the page edits it."""
    return asdict(recipe)


def bounds_for_page() -> dict[str, Answer]:
    """Return help, range and default of every recipe value by its dotted path, e.g. ``truncation.psi``."""
    found: dict[str, Answer] = {}
    _collect(Recipe(), "", found)
    _collect(Restyle(), "restyle.", found)
    return found


def _collect(part: Any, prefix: str, found: dict[str, Answer]) -> None:
    for item in fields(part):
        value = getattr(part, item.name)
        if is_dataclass(value):
            _collect(value, f"{prefix}{item.name}.", found)
            continue
        if "bounds" not in item.metadata:
            continue
        bounds: Bounds = bounds_of(type(part), item.name)
        found[prefix + item.name] = {
            "low": bounds.low,
            "high": bounds.high,
            "choices": list(bounds.choices),
            "help": bounds.help,
            "default": value if not isinstance(value, tuple) else list(value),
        }
