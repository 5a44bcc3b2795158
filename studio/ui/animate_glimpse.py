"""A few seconds of a film in its final quality, made aside while the page waits: drawn, limited, encoded with their sound."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from studio.errors import StudioError
from studio.film_render import FilmRender
from studio.film_render.sounds import MIDI
from studio.flashes import limit_flashes
from studio.media import FilmFormat, ImageArray, Sound, write_film
from studio.media.mixing import mix_sounds
from studio.recipe import Recipe
from studio.render import opaque
from studio.ui import jobs_drawer
from studio.ui.animate_reel import Reel, ears_of, reel_of
from studio.ui.animate_requests import FrameRequest
from studio.ui.context import Answer, Context
from studio.ui.media_parts import PartRequest, part
from studio.ui.payloads import ItemRequest
from studio.ui.session import Session
from studio.worker import Priority

log = logging.getLogger(__name__)

SECONDS = 5


class StoppedError(Exception):
    """Nobody wants it any more."""


@dataclass(slots=True, eq=False)
class Glimpse:
    """One preview in the making: how far it is, its file, and why there is none."""

    folder: Path
    given: tuple[Path, ...] = ()
    """Folders where sounds are kept, beside the studio's own."""
    id: str = field(default_factory=lambda: secrets.token_urlsafe(6))
    done: int = 0
    total: int = 0
    error: str = ""
    path: Path | None = None
    stopped: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def start(self, engine: Any, recipe: Recipe, index: int) -> None:
        """Begin to make it in a thread of its own."""
        work = threading.Thread(target=self._run, args=(engine, recipe, index), name="studio-glimpse", daemon=True)
        work.start()

    def state(self, patience: float) -> Answer:
        """Wait a moment for the end, and say how far it is."""
        self.ended.wait(patience)
        share = self.done / self.total if self.total else 0.0
        size = self.path.stat().st_size if self.path is not None and self.path.exists() else 0
        return {"id": self.id, "done": self.ended.is_set(), "share": share, "refused": self.error, "size": size}

    def forget(self) -> None:
        """Stop it and remove its file."""
        self.stopped.set()
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _run(self, engine: Any, recipe: Recipe, index: int) -> None:
        try:
            self._make(engine, recipe, index)
        except StoppedError:
            self.error = "Stopped."
        except StudioError as error:
            self.error = str(error)
        except Exception:
            log.exception("the preview failed")
            self.error = "Something went wrong inside the studio. The log has the details."
        finally:
            self.ended.set()

    def _make(self, engine: Any, recipe: Recipe, index: int) -> None:
        film = FilmRender(replace(recipe, precision="auto"), sounds=self.given, engine=engine)
        length = min(film.count, round(SECONDS * film.rate) or 1)
        first = min(index, film.count - length)
        self.total = length
        frames = self._frames(film, range(first, first + length))
        if film.film.flash_limit:
            frames = limit_flashes(frames, film.rate)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"glimpse-{self.id}.mp4"
        sound = self._sound(film, Fraction(first) / film.rate, length)
        write_film(path, frames, rate=film.rate, format=FilmFormat(preset="veryfast"), sound=sound, include_recipe=False, n_frames=length)
        if self.stopped.is_set():
            path.unlink(missing_ok=True)
            raise StoppedError
        self.path = path

    def _frames(self, film: FilmRender, indices: range) -> Iterator[ImageArray]:
        for _, image in film.raws(indices, Priority.SETTLE):
            if self.stopped.is_set():
                raise StoppedError
            self.done += 1
            yield opaque(film.finish(image))

    def _sound(self, film: FilmRender, begin: Fraction, length: int) -> Sound | None:
        parts = [
            (path, ref.start + float(begin))
            for path, ref in zip(film.sound_files, film.film.sounds, strict=True)
            if ref.is_heard and path.suffix.lower() not in MIDI
        ]
        if not parts:
            return None
        mixed = self.folder / f"glimpse-{self.id}.wav"
        mix_sounds(parts, float(length / film.rate), mixed)
        return Sound(mixed)


# ---- what the page asks for ------------------------------------------------------------


def glimpse(ctx: Context, session: Session, request: FrameRequest) -> Answer:
    """Begin to make five seconds from a frame on, in the quality of the film."""
    reel = reel_of(session)
    if reel.shown is None:
        return {"missing": True}
    jobs_drawer.check_limits(ctx, reel.shown)
    _forget_glimpses(reel)
    made = Glimpse(ctx.settings.uploads / "glimpses", ears_of(ctx).given)
    reel.errands[made.id] = made
    made.start(ctx.engine, reel.shown, request.index)
    return made.state(0.0)


def glimpse_state(ctx: Context, session: Session, request: ItemRequest) -> Answer:
    """Say how far a preview is; ``on`` false stops it."""
    made = _glimpse(session, request.id)
    if not request.on:
        made.stopped.set()
    return made.state(0.4)


def glimpse_part(ctx: Context, session: Session, request: PartRequest) -> Answer:
    """Give a part of a preview's file."""
    made = _glimpse(session, request.id)
    if made.path is None:
        raise StudioError("This preview is not there any more. Make it again.")
    return part(made.path, request.offset)


def _glimpse(session: Session, name: str) -> Glimpse:
    made: Glimpse | None = reel_of(session).errands.get(name)
    if made is None:
        raise StudioError("This preview is not there any more. Make it again.")
    return made


def _forget_glimpses(reel: Reel) -> None:
    for made in reel.errands.values():
        made.forget()
    reel.errands.clear()
