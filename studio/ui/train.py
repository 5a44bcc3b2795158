"""Train: choose pictures, a family and minutes; watch the run; open the model in Explore or Restyle. On one's own computer only.

A run is a process of its own (``training/runs.py``) and its folder is the truth: this tab may close at any moment and finds it again.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from studio.errors import StudioError
from studio.media import read_image
from studio.training import presence, presets, runs
from studio.training import words as plain
from studio.training.settings import Settings
from studio.training.state import RunFolder
from studio.ui import train_words as words
from studio.ui.context import Answer, Context, endpoint, image_url
from studio.ui.facts import kind_of
from studio.ui.payloads import ItemRequest, NameRequest, Payload, uploaded_file
from studio.ui.session import Session
from studio.ui.train_pictures import Gathering, Job, gather, look, look_at_pairs, read_path, recent
from studio.ui.train_requests import GatherRequest, PlanRequest, RunRequest
from studio.ui.widgets import widget

log = logging.getLogger(__name__)

TITLE = "Train"
LOCAL_ONLY = True
"""Public servers do not have this tab: it reads any folder of the computer and uses it for hours."""
PART = "train"
PATIENCE = 0.4
SAVE_PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Handles:
    """The widgets of the tab."""

    page: gr.HTML


@dataclass(slots=True, eq=False)
class Desk:
    """What the tab keeps while the studio runs; nothing of it is needed to find a run again."""

    jobs: dict[str, Job] = field(default_factory=dict)
    gatherings: dict[str, Gathering] = field(default_factory=dict)
    logs: dict[str, runs.Log] = field(default_factory=dict)


def build(ctx: Context) -> Handles:
    """Create the page with the functions that it calls."""
    functions = [
        endpoint(ctx, Payload, overview),
        endpoint(ctx, PlanRequest, begin_look),
        endpoint(ctx, PlanRequest, begin_forecast),
        endpoint(ctx, ItemRequest, job_state),
        endpoint(ctx, ItemRequest, stop_job),
        endpoint(ctx, NameRequest, begin_gather),
        endpoint(ctx, GatherRequest, add_file),
        endpoint(ctx, ItemRequest, end_gather),
        endpoint(ctx, PlanRequest, begin_run),
        endpoint(ctx, RunRequest, run_state),
        endpoint(ctx, RunRequest, snapshot),
        endpoint(ctx, RunRequest, stop_run),
        endpoint(ctx, RunRequest, continue_run),
        endpoint(ctx, RunRequest, open_run),
    ]
    return Handles(widget("train", label="Train", server_functions=functions))


def home(ctx: Context) -> Path:
    """Return the folder of all runs: beside the models."""
    return ctx.settings.models.parent / "training"


def _desk(ctx: Context) -> Desk:
    desk: Desk = ctx.sessions.parts.setdefault(PART, Desk())
    return desk


# ---- choosing ----------------------------------------------------------------------------------------------------------


def overview(ctx: Context, session: Session, request: Payload) -> Answer:
    """List the families, the runs, and the folders that were used before."""
    readable = [(folder, settings) for folder in runs.find_runs(home(ctx)) if (settings := _settings(folder)) is not None]
    return {
        "families": words.families(),
        "runs": [_run_line(ctx, folder, settings) for folder, settings in readable],
        "recent": recent([settings for _, settings in readable]),
        "starts": [{"name": entry.name, "family": entry.card.family} for entry in ctx.library.list() if kind_of(entry.card) == "generator"],
        "folder": str(home(ctx)),
    }


def _settings(folder: RunFolder) -> Settings | None:
    """Read a run's settings; a folder of another version of the studio is passed over."""
    try:
        return runs.read_settings(folder)
    except StudioError as error:
        log.info("%s: %s", folder.path, error)
        return None


def _run_line(ctx: Context, folder: RunFolder, settings: Settings) -> Answer:
    ticks = _log(ctx, folder).update()
    state = runs.state_of(folder, ticks)
    return {
        "name": folder.path.name,
        "state": state,
        "summary": f"{words.title_of(settings.family)}, {words.STATE_WORDS[state].lower()}",
    }


def begin_look(ctx: Context, session: Session, request: PlanRequest) -> Answer:
    """Start looking at a folder: how the crops come out, then what is in it all."""
    settings, is_paired = request.settings, request.settings.family == "pix2pix"
    folder = read_path((settings.target if request.which == "target" and not is_paired else settings.data)[0])
    if is_paired:
        settings = _with_places(settings)
    elif settings.family in presets.TRANSLATORS and not settings.target:
        settings = dataclasses.replace(settings, target=("-",))
    job = _start(ctx, Job())
    job.start(lambda job: look_at_pairs(job, settings) if is_paired else look(job, settings, folder))
    return {"id": job.id, "path": str(folder)}


def begin_forecast(ctx: Context, session: Session, request: PlanRequest) -> Answer:
    """Start a dry run of a few steps in a process of its own."""
    settings = _with_paths(request.settings)
    job = _start(ctx, Job())

    def work(job: Job) -> None:
        found = runs.measure(settings, ctx.settings.uploads / f"forecast-{job.id}", stopped=job.stopped)
        job.answer |= {"say": plain.forecast_sentence(found)}

    job.start(work)
    return {"id": job.id}


def _with_paths(settings: Settings) -> Settings:
    return runs.paced(_with_places(settings))


def _with_places(settings: Settings) -> Settings:
    data, target = (tuple(str(read_path(text)) for text in texts) for texts in (settings.data, settings.target))
    return dataclasses.replace(settings, data=data, target=target)


def _start(ctx: Context, job: Job) -> Job:
    jobs = _desk(ctx).jobs
    for old in [key for key, other in jobs.items() if other.done.is_set()][:-8]:
        del jobs[old]
    jobs[job.id] = job
    return job


def _job(ctx: Context, job_id: str) -> Job:
    job = _desk(ctx).jobs.get(job_id)
    if job is None:
        raise StudioError("This is over. Start it again.")
    return job


def job_state(ctx: Context, session: Session, request: ItemRequest) -> Answer:
    """Say how far a look or a forecast is."""
    return _job(ctx, request.id).state(PATIENCE)


def stop_job(ctx: Context, session: Session, request: ItemRequest) -> Answer:
    """Stop a look or a forecast."""
    _job(ctx, request.id).stopped.set()
    return {"say": "Stopped."}


def begin_gather(ctx: Context, session: Session, request: NameRequest) -> Answer:
    """Make a folder for files that were dropped on the page."""
    gathering = gather(home(ctx) / "pictures", request.name)
    _desk(ctx).gatherings[gathering.folder.name] = gathering
    return {"id": gathering.folder.name}


def _gathering(ctx: Context, gathering_id: str) -> Gathering:
    found = _desk(ctx).gatherings.get(gathering_id)
    if found is None:
        raise StudioError("These files are no longer awaited. Drop them again.")
    return found


def add_file(ctx: Context, session: Session, request: GatherRequest) -> Answer:
    """Put one uploaded file into the new folder."""
    gathering = _gathering(ctx, request.id)
    gathering.add(uploaded_file(ctx.settings.uploads, request.path), request.name)
    return {"files": gathering.files}


def end_gather(ctx: Context, session: Session, request: ItemRequest) -> Answer:
    """Say where the dropped files lie now."""
    gathering = _gathering(ctx, request.id)
    del _desk(ctx).gatherings[request.id]
    return {"path": str(gathering.place())}


# ---- a run -------------------------------------------------------------------------------------------------------------


def begin_run(ctx: Context, session: Session, request: PlanRequest) -> Answer:
    """Start a new run as a process of its own."""
    settings = _with_paths(request.settings)
    runs.check_free(settings.name, ctx.library)
    folder = RunFolder(home(ctx) / settings.name)
    if folder.settings_file.exists():
        raise StudioError(f"There already is a run called {settings.name}. Choose it above to continue it, or another name.")
    runs.begin(dataclasses.replace(settings, folder=str(folder.path), device=ctx.settings.device))
    return {"name": settings.name, "say": f"Training of {settings.name} begins. It goes on when this page is closed."}


def _run(ctx: Context, name: str) -> RunFolder:
    folder = RunFolder(home(ctx) / name)
    if Path(name).name != name or not folder.settings_file.exists():
        raise StudioError(f"There is no run called {name}.")
    return folder


def _log(ctx: Context, folder: RunFolder) -> runs.Log:
    return _desk(ctx).logs.setdefault(folder.path.name, runs.Log(folder))


def run_state(ctx: Context, session: Session, request: RunRequest) -> Answer:
    """Say all about a run that the page shows."""
    folder = _run(ctx, request.name)
    settings, ticks = runs.read_settings(folder), _log(ctx, folder).update()
    state = runs.state_of(folder, ticks)
    held = presence.holder(folder)
    sizes = f"{settings.resolution} px" if settings.resolution else ""
    return {
        "name": folder.path.name,
        "state": state,
        "title": words.STATE_WORDS[state],
        "about": ", ".join(
            filter(None, [words.title_of(settings.family), sizes, *(Path(d).name for d in settings.data + settings.target)])
        ),
        "translates": settings.family in presets.TRANSLATORS,
        "progress": ticks[-1].progress if ticks else 0.0,
        "say": folder.error_file.read_text() if state == "failed" else plain.sentence(state, settings, ticks),
        "findings": words.findings(ticks, is_live=state in ("preparing", "running")) if ticks else [],
        "numbers": plain.numbers(ticks),
        "plots": words.plots(ticks),
        "snapshots": [int(file.stem) for file in folder.snapshots()],
        "seen": {str(tick.step): plain.count(tick.cur_nimg) for tick in ticks if tick.kind == "snapshot"},
        "can_open": bool(folder.states()),
        "is_elsewhere": held is not None and not held.is_here,
        "folder": str(folder.path),
    }


def snapshot(ctx: Context, session: Session, request: RunRequest) -> Answer:
    """Give the sample sheet of one step."""
    file = _run(ctx, request.name).path / "snapshots" / f"{request.step:09d}.png"
    if not file.exists():
        raise StudioError("This snapshot is not there any more.")
    return {"url": image_url(read_image(file).image, quality=92), "step": request.step}


def stop_run(ctx: Context, session: Session, request: RunRequest) -> Answer:
    """Ask a run to save and stop."""
    folder = _run(ctx, request.name)
    runs.stop(folder)
    return {"say": f"{request.name} saves and stops after the step that it is in."}


def continue_run(ctx: Context, session: Session, request: RunRequest) -> Answer:
    """Continue a run: to its end, or for some minutes more when it was at its end."""
    folder = _run(ctx, request.name)
    runs.begin(runs.extended(folder, request.minutes, _log(ctx, folder).update()))
    return {"say": f"{request.name} goes on."}


def open_run(ctx: Context, session: Session, request: RunRequest) -> Answer:
    """Export the present average of a run as an installed model, and say its name."""
    folder = _run(ctx, request.name)
    runs.check_free(runs.read_settings(folder).name, ctx.library)
    runs.save_now(folder, patience=SAVE_PATIENCE)
    engine: Any = ctx.engine
    files = runs.publish(folder, ctx.settings.models, best=request.best)
    for file in files:
        if hasattr(engine, "unload"):
            engine.unload(file.stem)
    is_translator = runs.read_settings(folder).family in presets.TRANSLATORS
    return {
        "name": files[0].stem,
        "kind": "translator" if is_translator else "generator",
        "say": f"{files[0].stem} is among the models now.",
    }
