"""The drawer of films in the making, reachable from every tab: what is asked of the list of jobs, and what strangers may ask of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from studio.errors import StudioError
from studio.film_render import Look
from studio.jobs import Job, JobQueue
from studio.media import FilmFormat, available_kinds
from studio.media.fitting import FIT_MODES
from studio.recipe import MAX_FILM_JSON_BYTES, Recipe
from studio.ui.context import Answer, Context, endpoint
from studio.ui.media_parts import PartRequest, part
from studio.ui.payloads import Fields, ItemRequest, Payload, data_url
from studio.ui.session import Session
from studio.ui.settings import Settings
from studio.ui.widgets import widget
from studio.upscaling import upscaler_of

PART = "jobs"
ACTIONS = ("pause", "resume", "cancel", "remove", "move")
PUBLIC_SECONDS, PUBLIC_RATE, PUBLIC_SIDE, PUBLIC_JOBS = 30.0, 30, 512, 2
MAX_SHOWN = 60


@dataclass(frozen=True, slots=True)
class RenderRequest(Payload):
    """A film to make, and how."""

    recipe: Recipe
    format: FilmFormat
    look: Look

    @classmethod
    def read(cls, fields: Fields) -> RenderRequest:
        """Build the request from checked entries."""
        kind, fit = fields.text("kind", default="h264"), fields.text("fit", default="pad")
        if kind not in available_kinds() or fit not in FIT_MODES:
            raise StudioError("This installation cannot write such a film. Choose another format.")
        width, height = (fields.integer(side, low=0, high=16_384, default=0) for side in ("width", "height"))
        upscaler = fields.text("upscaler", default="")
        shape = Look(width, height, fit, upscaler=upscaler) if width and height else Look(upscaler=upscaler)
        crf = fields.integer("crf", low=0, high=63) if fields.has("crf") else None
        preset, chroma = fields.text("preset", default=""), fields.text("chroma", default="")
        recipe = fields.recipe(max_bytes=MAX_FILM_JSON_BYTES)
        wanted = FilmFormat(kind=kind, crf=crf, preset=preset or None, chroma=chroma or None)
        return cls(token=fields.identifier("token"), recipe=recipe, format=wanted, look=shape)


@dataclass(frozen=True, slots=True)
class JobRequest(Payload):
    """A job, and what is to be done with it."""

    id: str
    action: str
    place: int

    @classmethod
    def read(cls, fields: Fields) -> JobRequest:
        """Build the request from checked entries."""
        action = fields.text("action")
        if action not in ACTIONS:
            raise StudioError("The page asked for something that cannot be done with a film.")
        place = fields.integer("place", low=0, high=1000, default=0)
        return cls(token=fields.identifier("token"), id=fields.identifier("id"), action=action, place=place)


def build(ctx: Context) -> gr.HTML:
    """Create the drawer with the functions that it calls."""
    functions = [
        endpoint(ctx, Payload, jobs),
        endpoint(ctx, ItemRequest, job_picture),
        endpoint(ctx, PartRequest, job_part),
        endpoint(ctx, JobRequest, change_job),
        endpoint(ctx, Payload, clear_jobs),
    ]
    return widget("jobs", label="Films in the making", server_functions=functions)


def open_queue(settings: Settings, engine: Any) -> JobQueue:
    """Open the list of jobs of a studio and begin to work it off; beside the models, or for strangers among their passing pictures."""
    queue = JobQueue((settings.galleries if settings.public else settings.models.parent) / "jobs", engine, sounds=passing_sounds(settings))
    queue.start()
    return queue


def passing_sounds(settings: Settings) -> Path | None:
    """Return where the sounds of strangers are kept for as long as they are here; None where everybody is at home."""
    return settings.galleries / "sounds" if settings.public else None


def queue_of(ctx: Context) -> JobQueue:
    """Return the list of jobs; one that nobody works off where there is no real engine."""
    queue: JobQueue | None = ctx.sessions.parts.get(PART)
    if queue is None:
        queue = ctx.sessions.parts.setdefault(PART, JobQueue(ctx.settings.models.parent / "jobs"))
    return queue


def render(ctx: Context, session: Session, request: RenderRequest) -> Answer:
    """Order a film; it goes to the gallery when it is done."""
    check_limits(ctx, request.recipe, request.look)
    if request.look.upscaler:
        upscaler_of(ctx.engine.load(request.look.upscaler))
    film, title = request.recipe, _title(request.recipe)

    def add(queue: JobQueue, visitor: str) -> Job:
        return queue.add(film, look=request.look, format=request.format, pictures=session.pictures, visitor=visitor, title=title)

    return place_order(ctx, session, add)


def place_order(ctx: Context, session: Session, add: Callable[[JobQueue, str], Job]) -> Answer:
    """Put a film into the list; ``add`` is given the list and whose film it is.

    Raises:
        StudioError: A stranger has enough films in the making.
    """
    queue, visitor = queue_of(ctx), _visitor(ctx, session)
    waiting = [job for job in queue.list(visitor) if job.state in ("running", "waiting", "paused")]
    if ctx.settings.public and len(waiting) >= PUBLIC_JOBS:
        raise StudioError(f"You have {PUBLIC_JOBS} films in the making. Wait for one, or remove it.")
    job = add(queue, visitor or "")
    ahead = f" {len(waiting)} before it." if waiting else ""
    return {"id": job.id, "say": f"The film is in the making: {job.total} frames.{ahead} You may close the page."}


def jobs(ctx: Context, session: Session, request: Payload) -> Answer:
    """List the films in the making and the ones that ended."""
    queue = queue_of(ctx)
    found = queue.list(_visitor(ctx, session))[:MAX_SHOWN]
    order = [job.id for job in found if job.state == "waiting"]
    return {"jobs": [_entry(queue, job, order) for job in found]}


def job_picture(ctx: Context, session: Session, request: ItemRequest) -> Answer:
    """Give the latest small picture of a film in the making."""
    queue = queue_of(ctx)
    path = queue.thumbnail(_mine(ctx, session, request.id).id)
    return {"url": data_url(path.read_bytes(), "image/webp") if path else None}


def job_part(ctx: Context, session: Session, request: PartRequest) -> Answer:
    """Give a part of a finished file that the Gallery does not show: frames in a zip."""
    job = _mine(ctx, session, request.id)
    if job.result is None or job.state != "done":
        raise StudioError("This film is not finished.")
    return part(job.result, request.offset)


def change_job(ctx: Context, session: Session, request: JobRequest) -> Answer:
    """Pause, go on, cancel, forget a film, or give it another turn."""
    queue, job = queue_of(ctx), _mine(ctx, session, request.id)
    if request.action == "move":
        queue.move(job.id, request.place)
    else:
        getattr(queue, request.action)(job.id)
    return jobs(ctx, session, request)


def clear_jobs(ctx: Context, session: Session, request: Payload) -> Answer:
    """Forget what has ended; the films stay in the gallery."""
    queue_of(ctx).clear(_visitor(ctx, session))
    return jobs(ctx, session, request)


def _mine(ctx: Context, session: Session, name: str) -> Job:
    job, visitor = queue_of(ctx).get(name), _visitor(ctx, session)
    if visitor is not None and job.visitor != visitor:
        raise StudioError("This film is not in the list any more.")
    return job


def _visitor(ctx: Context, session: Session) -> str | None:
    """Name whose jobs these are: on one's own computer everything, on a public server those of the session."""
    return hashlib.sha256(session.token.encode()).hexdigest()[:24] if ctx.settings.public else None


def _entry(queue: JobQueue, job: Job, order: list[str]) -> Answer:
    path = queue.thumbnail(job.id)
    return {
        "id": job.id,
        "title": job.title,
        "state": job.state,
        "label": job.label,
        "share": job.share if job.phase != "encoding" or job.state == "done" else 1.0,
        "note": job.error or job.note,
        "item": job.item,
        "file": job.result.name if job.result is not None and job.result.suffix == ".zip" else "",
        "place": order.index(job.id) if job.id in order else -1,
        "waiting": len(order),
        "stamp": path.stat().st_mtime_ns // 10**6 if path is not None and path.exists() else 0,
    }


def _title(recipe: Recipe) -> str:
    film = recipe.film
    assert film is not None
    sound = next((Path(ref.name).stem[:40] for ref in film.sounds if ref.is_heard), "")
    return ", ".join(filter(None, (recipe.model.name, f"{film.seconds:g} s", sound)))


# ---- what strangers may ask for ----------------------------------------------------------------------------------------


def limits(ctx: Context) -> Answer:
    """Say how long, fast and large films may be here; 0 is without a limit."""
    if not ctx.settings.public:
        return {"seconds": 0, "rate": 0, "side": 0}
    return {"seconds": PUBLIC_SECONDS, "rate": PUBLIC_RATE, "side": PUBLIC_SIDE}


def usual_rate(ctx: Context) -> str:
    """Return the rate that a new film has."""
    return "24" if ctx.settings.public else "30"


def check_limits(ctx: Context, recipe: Recipe, look: Look | None = None) -> None:
    """Refuse what a public server does not make.

    Raises:
        StudioError: Too long, too fast or too large for one.
    """
    film = recipe.film
    if film is None:
        raise StudioError("This recipe is a picture, not a film.")
    if not ctx.settings.public:
        return
    if film.seconds > PUBLIC_SECONDS or film.rate > PUBLIC_RATE:
        raise StudioError(f"Films on this server are at most {PUBLIC_SECONDS:g} seconds at {PUBLIC_RATE} frames per second.")
    if look is not None and look.upscaler:
        raise StudioError("Films on this server are not enlarged by a network. Choose Lanczos.")
    side = max(recipe.size or 0, *((look.width or 0, look.height or 0) if look else (0,)))
    if side > PUBLIC_SIDE:
        raise StudioError(f"Films on this server are at most {PUBLIC_SIDE} pixels large.")


def within_limits(ctx: Context, recipe: Recipe) -> Recipe:
    """Shorten a film to what this server makes."""
    film = recipe.film
    if film is None or not ctx.settings.public or film.seconds <= PUBLIC_SECONDS:
        return recipe
    share = PUBLIC_SECONDS / film.seconds
    places = tuple(replace(lane, keys=tuple(replace(key, time=key.time * share) for key in lane.keys)) for lane in film.latents)
    lanes = tuple(replace(lane, keys=tuple(replace(key, time=key.time * share) for key in lane.keys)) for lane in film.lanes)
    return replace(recipe, film=replace(film, seconds=PUBLIC_SECONDS, latents=places, lanes=lanes))
