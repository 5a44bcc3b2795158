"""Models: what is installed and where it comes from; bring files in, rename, remove, open."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from studio.checkpoints.trash import Trash
from studio.errors import StudioError
from studio.ui import facts, tiles
from studio.ui.context import Answer, Context, endpoint
from studio.ui.payloads import Fields, ItemRequest, NameRequest, Payload, UploadRequest, data_url, uploaded_file
from studio.ui.session import Session
from studio.ui.widgets import widget
from studio.worker import Priority

log = logging.getLogger(__name__)

TITLE = "Models"
PART = "models"
MAX_IMPORTS = 4
PATIENCE = 0.4
CLASSES_SHOWN = 12
NOT_HERE = "On this public studio models cannot be brought in, renamed or removed. Run the studio on your own computer for that."


@dataclass(frozen=True, slots=True)
class Handles:
    """The widgets of the tab."""

    page: gr.HTML


@dataclass(frozen=True, slots=True)
class RenameRequest(Payload):
    """A model and its new name."""

    name: str
    new: str

    @classmethod
    def read(cls, fields: Fields) -> RenameRequest:
        """Build the request from checked entries."""
        return cls(token=fields.identifier("token"), name=fields.text("name"), new=fields.text("new"))


class StoppedError(StudioError):
    """The import was cancelled on the page."""


@dataclass(slots=True, eq=False)
class Import:
    """One file on its way in."""

    id: str
    file: str
    share: float = 0.0
    what: str = "Waiting"
    error: str = ""
    model: str = ""
    is_stopped: bool = False
    done: threading.Event = field(default_factory=threading.Event)

    def tell(self, share: float, what: str) -> None:
        """Note how far it is; this is also where a cancelled import ends.

        Raises:
            StoppedError: It was cancelled.
        """
        if self.is_stopped:
            raise StoppedError(f"{self.file}: the import was cancelled.")
        self.share, self.what = share, what


def build(ctx: Context) -> Handles:
    """Create the page with the functions that it calls."""
    functions = [
        endpoint(ctx, Payload, cards),
        endpoint(ctx, NameRequest, picture),
        endpoint(ctx, UploadRequest, begin_import),
        endpoint(ctx, ItemRequest, import_state),
        endpoint(ctx, ItemRequest, stop_import),
        endpoint(ctx, RenameRequest, rename),
        endpoint(ctx, NameRequest, remove),
        endpoint(ctx, ItemRequest, restore),
    ]
    return Handles(widget("models", label="Models", server_functions=functions))


def cards(ctx: Context, session: Session, request: Payload) -> Answer:
    """Describe every installed model, and the imports of this session that are under way."""
    running = [job for job in _imports(session).values() if not job.done.is_set()]
    return {
        "cards": [card_of(entry) for entry in ctx.library.list()],
        "imports": [{"id": job.id, "file": job.file} for job in running],
        "refused": "" if ctx.settings.allow_import else NOT_HERE,
        "folder": "" if ctx.settings.public else str(ctx.settings.models),
    }


def picture(ctx: Context, session: Session, request: NameRequest) -> Answer:
    """Give the preview of a model that has none beside its file; it is made once."""
    return {"url": data_url(tiles.card_picture(ctx, ctx.library.find(request.name)), "image/webp")}


def begin_import(ctx: Context, session: Session, request: UploadRequest) -> Answer:
    """Start bringing in a file that the page uploaded."""
    file = uploaded_file(ctx.settings.uploads, request.path)
    try:
        _check_allowed(ctx)
        jobs = _imports(session)
        if sum(not job.done.is_set() for job in jobs.values()) >= MAX_IMPORTS:
            raise StudioError(f"{MAX_IMPORTS} files are being imported already. Wait for one of them.")
    except StudioError:
        file.unlink(missing_ok=True)
        raise
    job = Import(secrets.token_urlsafe(6), file.name)
    jobs[job.id] = job
    threading.Thread(target=_import, args=(ctx, job, file), name="studio-import", daemon=True).start()
    return {"id": job.id, "file": job.file}


def import_state(ctx: Context, session: Session, request: ItemRequest) -> Answer:
    """Say how far an import is; the answer to the last question has the new card, or the reason why there is none."""
    job = _find(session, request.id)
    job.done.wait(PATIENCE)
    if not job.done.is_set():
        return {"share": job.share, "what": job.what}
    _imports(session).pop(job.id, None)
    if not job.model:
        return {"done": True, "refused": job.error, "stopped": job.is_stopped}
    card = card_of(ctx.library.find(job.model))
    return {"done": True, "card": card, "say": f"{job.file} is {card['summary']}. It is installed as {job.model}."}


def stop_import(ctx: Context, session: Session, request: ItemRequest) -> Answer:
    """Cancel an import; what it wrote so far is deleted."""
    job = _find(session, request.id)
    job.is_stopped = True
    return {"say": f"{job.file}: the import was cancelled."}


def rename(ctx: Context, session: Session, request: RenameRequest) -> Answer:
    """Give a model another name."""
    _check_allowed(ctx)
    _forget(ctx, request.name)
    entry = ctx.library.rename(request.name, request.new.strip())
    return {"card": card_of(entry), "say": f"{request.name} is called {entry.name} now."}


def remove(ctx: Context, session: Session, request: NameRequest) -> Answer:
    """Take a model away; the answer says how to get it back."""
    _check_allowed(ctx)
    _forget(ctx, request.name)
    token = Trash(ctx.library).take(request.name)
    return {"trashed": token, "say": f"{request.name} was removed. Undo brings it back."}


def restore(ctx: Context, session: Session, request: ItemRequest) -> Answer:
    """Bring a removed model back."""
    _check_allowed(ctx)
    entry = Trash(ctx.library).put_back(request.id)
    return {"card": card_of(entry), "say": f"{entry.name} is back."}


def card_of(entry: Any) -> Answer:
    """Write a model's card in plain words."""
    card = entry.card
    is_generator = card.family in facts.GENERATORS
    return {
        "name": entry.name,
        "kind": facts.kind_of(card),
        "summary": _summary(card, is_generator),
        "lines": [list(line) for line in _lines(entry) if line[1]],
        "notes": list(card.notes),
        "shipped": entry.shipped,
        "preview": facts.preview_url(entry.preview),
    }


def _summary(card: Any, is_generator: bool) -> str:
    family = facts.FAMILY_WORDS.get(card.family, card.family)
    if card.family in facts.UPSCALERS:
        return f"{family}, enlarges pictures and films"
    if not is_generator:
        return f"{family}, {card.direction}" if card.direction else f"{family}, restyles photos of any size"
    words = [family, f"{card.resolution} x {card.resolution} pixels"]
    return ", ".join([*words, f"{len(card.classes)} kinds"] if card.classes else words)


def _lines(entry: Any) -> list[tuple[str, str]]:
    card = entry.card
    names = [name for name in card.classes if not name.isdigit()]
    kinds = ", ".join(names[:CLASSES_SHOWN]) + (f" and {len(names) - CLASSES_SHOWN} more" if len(names) > CLASSES_SHOWN else "")
    origin = "" if card.origin == "unknown" else card.origin
    source = f"{card.source_name}, {card.source_format}".strip(", ") if card.source_name else ""
    return [
        ("Licence", card.licence),
        ("Origin", origin or source or "not stated in the file"),
        ("File", source if origin else ""),
        ("Kinds", kinds),
        ("Size", _weights(entry)),
        ("Credit", card.credit),
    ]


def _weights(entry: Any) -> str:
    path, count = Path(entry.path), entry.card.parameters
    words = [f"{count / 1e6:.1f} million parameters" if count >= 10**5 else f"{count:,} parameters"] if count else []
    if path.is_file():
        size = path.stat().st_size
        words.append(f"{size / 1e6:.0f} MB" if size >= 10**7 else f"{size / 1e6:.1f} MB")
    return ", ".join(words)


def _import(ctx: Context, job: Import, file: Path) -> None:
    """Bring one file in, in a thread of its own; the file is parsed in a child process."""
    try:
        entry = ctx.library.import_file(file, progress=job.tell, preview=_previewer(ctx))
        job.model = entry.name
    except StudioError as error:
        log.info("import of %s: %s %s", job.file, error, error.detail)
        job.error = str(error)
    except Exception:
        log.exception("import of %s", job.file)
        job.error = f"{job.file} could not be imported. The log has the details."
    finally:
        file.unlink(missing_ok=True)
        job.done.set()


def _previewer(ctx: Context) -> Callable[[Any], bytes]:
    """Return what makes a preview: in the engine's thread when nobody else wants it."""
    worker = getattr(ctx.engine, "worker", None)

    def make(network: Any) -> bytes:
        if worker is None:
            return tiles.preview_of(network)
        made: bytes = worker.run(Priority.BATCH, lambda: tiles.preview_of(network))
        return made

    return make


def _imports(session: Session) -> dict[str, Import]:
    with session.lock:
        jobs: dict[str, Import] = session.parts.setdefault(PART, {})
        return jobs


def _find(session: Session, job_id: str) -> Import:
    job = _imports(session).get(job_id)
    if job is None:
        raise StudioError("This import is over.")
    return job


def _check_allowed(ctx: Context) -> None:
    if not ctx.settings.allow_import:
        raise StudioError(NOT_HERE)


def _forget(ctx: Context, name: str) -> None:
    """Take a model out of memory before its file moves."""
    engine: Any = ctx.engine
    if hasattr(engine, "unload"):
        engine.unload(name)
