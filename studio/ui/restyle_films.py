"""Films in the restyle tab: what one is, its frames one at a time, what it will take, and its place in the list of jobs.

How a film is restyled is in ``film_restyle``; how a single frame is developed is no different from a photo (``restyle.py``).
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from studio import media
from studio.errors import StudioError
from studio.film_restyle import Estimate, film_range, film_suffix, forecast, sound_note
from studio.jobs import Job, JobQueue
from studio.media import FilmFacts
from studio.recipe import Restyle
from studio.restyler import cast
from studio.ui import jobs_drawer
from studio.ui.context import Answer, Context, jpeg
from studio.ui.darkroom import darkroom
from studio.ui.darkroom_photos import Order, Photo
from studio.ui.darkroom_recipes import own_recipe
from studio.ui.media_parts import PartRequest, part
from studio.ui.payloads import ItemRequest, data_url
from studio.ui.restyle_original import Original
from studio.ui.restyle_requests import FilmRequest, FrameRequest
from studio.ui.session import Session

FRAME_QUALITY = 92
SCRUB_QUALITY = 80
PATIENCE = 0.5


def frame(ctx: Context, session: Session, request: FrameRequest) -> Answer:
    """Give one frame of a film as it is, at its own size or small."""
    room = darkroom(ctx, session)
    shown = _film(ctx, session, request.id).at(request.frame)
    picture = room.picture(shown)
    image = media.flatten(picture.image, picture.alpha)
    if 0 < request.size < max(image.shape[:2]):
        return {"url": data_url(jpeg(image, size=request.size, quality=SCRUB_QUALITY)), "frame": shown.frame}
    return {"url": data_url(jpeg(np.ascontiguousarray(image), quality=FRAME_QUALITY)), "frame": shown.frame}


def tell_film(ctx: Context, session: Session, request: FilmRequest) -> Answer:
    """Say what restyling a film will take with these wishes, before anything is begun; ``refused`` says why it cannot be.

    ``again`` says that it will be known better in a moment.
    """
    photo = _film(ctx, session, request.id)
    recipe = own_recipe(ctx, photo, request.recipe)
    facts, options = photo.film, recipe.restyle or Restyle()
    assert facts is not None
    notes = [*photo.notes, sound_note(facts, film_suffix(facts))]
    once = darkroom(ctx, session).seconds(photo, recipe)
    try:
        check_range(ctx, facts, options)
        networks = [loaded.network for loaded in cast(ctx.engine.models, recipe).all]  # type: ignore[attr-defined]
        found = forecast(facts, options, networks, once=once or 0.0)
    except StudioError as error:
        return {"lines": [], "notes": [note for note in notes if note], "refused": str(error)}
    free = shutil.disk_usage(_disk(ctx)).free
    if found.disk_bytes > free:
        notes.append("There is not enough room on the disk for its frames: choose a shorter range, or free some.")
    again = darkroom(ctx, session).measure(ctx.engine, photo.at(photo.frame), recipe)
    return {"lines": _lines(found, once is not None, free), "notes": [note for note in notes if note], "refused": "", "again": again}


def order_film(ctx: Context, session: Session, request: FilmRequest) -> Answer:
    """Put a film, or a part of it to try, into the list of jobs; the result goes to the gallery. Its own wishes stay as they are."""
    photo = _film(ctx, session, request.id)
    recipe = own_recipe(ctx, photo, request.recipe)
    facts, options = photo.film, recipe.restyle or Restyle()
    assert facts is not None
    begin, length = check_range(ctx, facts, options)

    def add(queue: JobQueue, visitor: str) -> Job:
        return queue.add_restyle(recipe, photo.file, pictures=session.pictures, visitor=visitor)

    answer = jobs_drawer.place_order(ctx, session, add)
    photo.orders.append(Order(answer["id"], float(begin), float(length)))
    return {**answer, "orders": orders(photo)}


def make_original(ctx: Context, session: Session, request: ItemRequest) -> Answer:
    """Begin to make the original of the newest finished job of a film playable, or say how far that is; ``on`` false stops it."""
    photo = _film(ctx, session, request.id)
    order = _finished(ctx, photo)
    assert photo.film is not None
    made = photo.original
    if made is None or (made.start, made.seconds) != (order.start, order.seconds) or made.error:
        if made is not None:
            made.forget()
        photo.original = made = Original(photo.file, photo.film, order.start, order.seconds)
        made.begin()
    if not request.on:
        made.forget()
    return made.state(PATIENCE)


def original_part(ctx: Context, session: Session, request: PartRequest) -> Answer:
    """Give a part of that original."""
    made = _film(ctx, session, request.id).original
    if made is None:
        raise StudioError("This film is not there any more. Ask for it again.")
    return part(made.path, request.offset)


def _finished(ctx: Context, photo: Photo) -> Order:
    """Return the newest order that is done; of those that were cleared from the list nobody knows, so the newest of all."""
    if not photo.orders:
        raise StudioError("No film was made of this one yet. Restyle it first.")
    done = {job.id for job in jobs_drawer.queue_of(ctx).list() if job.state == "done"}
    return next((order for order in reversed(photo.orders) if order.job in done), photo.orders[-1])


def source_part(ctx: Context, session: Session, request: PartRequest) -> Answer:
    """Give a part of a film's own file, for the page to play it beside the restyled one."""
    return part(_film(ctx, session, request.id).file, request.offset)


def film_entry(ctx: Context, photo: Photo) -> Answer | None:
    """Describe a film for the page; None for a photo."""
    facts = photo.film
    if facts is None:
        return None
    sound = "none" if facts.sound is None else _codec(facts.sound.codec)
    about = "" if facts.is_exact else "about "
    return {
        "seconds": float(facts.duration),
        "rate": float(facts.rate),
        "frames": facts.frames,
        "lines": [
            ["Length", f"{clock(float(facts.duration))}, {about}{facts.frames} frames"],
            ["Rate", f"{'varies, ' if facts.is_variable else ''}{float(facts.rate):.4g} frames per second"],
            ["Sound", sound],
        ],
        "most": jobs_drawer.PUBLIC_SECONDS if ctx.settings.public else 0,
        "frame": photo.frame,
        "orders": orders(photo),
    }


def orders(photo: Photo) -> list[Answer]:
    """List the films that were made of one, the oldest first."""
    return [{"id": order.job, "start": order.start, "seconds": order.seconds} for order in photo.orders]


def first_wishes(ctx: Context, facts: FilmFacts, wishes: Restyle) -> Restyle:
    """Return the wishes that a new film starts with: all of it, or as much as this server restyles."""
    most = jobs_drawer.PUBLIC_SECONDS if ctx.settings.public else float("inf")
    return replace(wishes, mask="", start=0.0, end=most if float(facts.duration) > most else None)


def check_range(ctx: Context, facts: FilmFacts, options: Restyle) -> tuple[Any, Any]:
    """Return where the range of a film begins and how long it is, in seconds.

    Raises:
        StudioError: There is nothing in it, or it is longer than a public server restyles.
    """
    begin, length = film_range(facts, options)
    if ctx.settings.public and length > jobs_drawer.PUBLIC_SECONDS:
        raise StudioError(f"This public studio restyles up to {jobs_drawer.PUBLIC_SECONDS:g} seconds of a film. Choose a shorter range.")
    return begin, length


def clock(seconds: float) -> str:
    """Write a length as minutes and seconds."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}" if whole >= 3600 else f"{whole // 60}:{whole % 60:02}"


def _film(ctx: Context, session: Session, name: str) -> Photo:
    photo = darkroom(ctx, session).photo(name)
    if photo.film is None:
        raise StudioError(f"{photo.name} is a picture, not a film.")
    return photo


def _lines(found: Estimate, is_timed: bool, free_disk: int) -> list[list[str]]:
    free_memory = int(psutil.virtual_memory().available)
    return [
        ["Frames", str(found.frames)],
        ["Time", f"about {_duration(found.seconds)}" if is_timed else "known when this frame is drawn"],
        ["Disk meanwhile", f"{_bytes(found.disk_bytes)} of {_bytes(free_disk)} free"],
        ["Memory meanwhile", f"{_bytes(found.memory_bytes)} of {_bytes(free_memory)} free"],
    ]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = seconds / 60
    return f"{round(minutes)} min" if minutes < 90 else f"{minutes / 60:.1f} hours"


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


def _codec(name: str) -> str:
    return "PCM" if name.startswith(("pcm_", "adpcm_")) else {"opus": "Opus", "vorbis": "Vorbis"}.get(name, name.upper())


def _disk(ctx: Context) -> Path:
    """Return the nearest folder that is there already of where the frames will be kept."""
    home = jobs_drawer.queue_of(ctx).home
    return next(folder for folder in (home, *home.parents) if folder.is_dir())
