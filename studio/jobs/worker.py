"""The thread that works the list of jobs off, one after another, and looks up after every frame whether it is still wanted.

It draws and encodes through ``export.py`` and keeps nothing in memory that the list and the folders do not say.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import shutil
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from studio.engine import Engine
from studio.errors import MediaError, StudioError
from studio.export import DiskFullError, Export, Step
from studio.film_restyle import RestyleExport
from studio.gallery import Gallery
from studio.jobs import restyling
from studio.jobs.job import Job, JobError
from studio.jobs.table import Table
from studio.media import ImageArray, SavedFilm, atomic_write, encode_webp, hash_file, sweep_parts, thumbnail

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""How often a worker that has nothing to do looks for jobs of other processes."""
LOOK_SECONDS = 0.2
"""How often a busy one looks for wishes of other processes."""
TELL_SECONDS = 0.25
THUMBNAIL_SECONDS = 1.0
THUMBNAIL_SIDE = 256
RETRY_SECONDS = 2.0
PACE_STEPS = 60
ENCODED_PIXELS_PER_SECOND = 15e6
"""For the time that encoding will take, while frames are still drawn."""


class Workshop:
    """Works off a list.

    Args:
        table: The list.
        folder_of: Gives the folder of a job.
        engine: Draws.
        gallery_of: Gives the gallery of a folder.
        reserve_bytes: How much of the disk stays free.
    """

    def __init__(
        self,
        table: Table,
        folder_of: Callable[[str], Path],
        engine: Engine,
        gallery_of: Callable[[Path], Gallery],
        reserve_bytes: int,
        sounds: Sequence[Path] = (),
    ) -> None:
        self._table, self._folder_of, self._engine = table, folder_of, engine
        self._gallery_of, self._reserve, self._sounds = gallery_of, reserve_bytes, sounds
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, unless it runs already."""
        with self._lock:
            if self._thread is None:
                self._stopping.clear()
                self._thread = threading.Thread(target=self._serve, name="studio-jobs", daemon=True)
                self._thread.start()
                atexit.register(self.close)

    def close(self) -> None:
        """Stop after the frame in hand and wait for that."""
        with self._lock:
            thread, self._thread = self._thread, None
        self._stopping.set()
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=60)
        atexit.unregister(self.close)

    def look(self) -> None:
        """Have a look at the list now."""
        self._wake.set()

    def _serve(self) -> None:
        self._sweep()
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._table.held())
            except JobError as error:
                log.warning("%s", error)
            self._work()

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                job = self._table.claim()
            except JobError as error:
                log.warning("%s", error)
                job = None
            self._table.make_room(taken=False)
            if job is None:
                self._wake.wait(POLL_SECONDS)
            else:
                self._work_on(job)

    def _work_on(self, job: Job) -> None:
        """Make one film, or as much of it as is wanted; whatever happens is noted in the list."""
        try:
            request = "" if self._is_there(job) else self._make(job)
            outcomes: dict[str, dict[str, object]] = {
                "": {"state": "done", "finished": time.time()},
                "pause": {"state": "paused"},
                "cancel": {"state": "cancelled", "finished": time.time()},
                "remove": {},
                "stop": {"state": "waiting"},
            }
            values = outcomes[request]
        except DiskFullError as error:
            self._table.make_room()
            request, values = "", {"state": "paused", "note": str(error)}
        except StudioError as error:
            log.info("job %s failed: %s %s", job.id, error, error.detail)
            request, values = "", {"state": "failed", "error": str(error), "finished": time.time()}
        except Exception:
            log.exception("job %s failed", job.id)
            sentence = "Something went wrong inside the studio. The log has the details."
            request, values = "", {"state": "failed", "error": sentence, "finished": time.time()}
        self._note(job, request, values)

    def _make(self, job: Job) -> str:
        """Go through the steps of a film; give what it was asked to do before the end, "" when it is done."""
        folder = self._folder_of(job.id)
        sweep_parts(folder)
        export = self._export(job, folder)
        report = _Report(self._table, job, folder)
        looked = 0.0
        with contextlib.closing(export.steps()) as steps:  # type: ignore[type-var]
            for step in steps:
                report.tell(step)
                if self._stopping.is_set():
                    return "stop"
                if self._wake.is_set() or time.monotonic() - looked > LOOK_SECONDS:
                    self._wake.clear()
                    looked = time.monotonic()
                    request = self._request(job)
                    if request:
                        return request
        restyling.drop_source(folder)
        return ""

    def _export(self, job: Job, folder: Path) -> Export | RestyleExport:
        """Make the work of a job ready."""

        def publish(saved: SavedFilm) -> None:
            self._publish(job, saved)

        target, frames = self._target(job), folder / "frames"
        if not restyling.is_restyled(job):
            return Export(
                job.recipes,
                target,
                frames,
                wishes=job.wishes,
                sounds=self._sounds,
                engine=self._engine,
                reserve_bytes=self._reserve,
                on_saved=publish,
            )
        return RestyleExport(
            job.recipes[0],
            restyling.kept_source(folder),
            target,
            frames,
            format=job.format,
            engine=self._engine,
            include_recipe=job.wishes.include_recipe,
            reserve_bytes=self._reserve,
            on_saved=publish,
        )

    def _request(self, job: Job) -> str:
        try:
            return self._table.request(job.id)
        except JobError as error:
            log.warning("%s", error)
            return ""

    def _target(self, job: Job) -> Path:
        """Return the file that the film is encoded to: hidden in the gallery's folder until it is whole."""
        return job.out or (job.pictures or Path()) / f".film-{job.id}{job.suffix}"

    def _publish(self, job: Job, saved: SavedFilm) -> None:
        """Put a finished film under its name; the list learns that name first, so that a crash in between makes no second one."""
        note = saved.note
        if job.pictures is None:
            self._table.set(job.id, result=str(saved.path), sha256=saved.sha256, state="done", finished=time.time(), note=note)
            return
        gallery = self._gallery_of(job.pictures)

        def choose(path: Path) -> None:
            self._table.set(job.id, result=str(path), sha256=saved.sha256, item=path.relative_to(gallery.folder).as_posix())

        item = gallery.add_film(saved.path, job.recipes[0], choose=choose)
        self._table.set(job.id, result=str(item.path), item=item.id, state="done", finished=time.time(), note=note)

    def _is_there(self, job: Job) -> bool:
        """Tell whether the film was finished before a crash that came before the list could say so."""
        if job.result is None or not job.sha256 or not job.result.is_file():
            return False
        with contextlib.suppress(MediaError):
            if hash_file(job.result) == job.sha256:
                self._target(job).unlink(missing_ok=True) if job.out is None else None
                shutil.rmtree(self._folder_of(job.id) / "frames", ignore_errors=True)
                restyling.drop_source(self._folder_of(job.id))
                return True
        return False

    def _note(self, job: Job, request: str, values: dict[str, object]) -> None:
        """Write down how a job ended, as often as it takes: the disk may be full."""
        while True:
            try:
                if request == "remove":
                    self._table.remove(job.id)
                    if job.out is None:
                        self._target(job).unlink(missing_ok=True)
                    shutil.rmtree(self._folder_of(job.id), ignore_errors=True)
                else:
                    self._table.set(job.id, owner="", request="", phase="", seconds_left=None, **values)
                return
            except JobError as error:
                log.warning("%s", error)
                self._table.make_room()
                if self._stopping.wait(RETRY_SECONDS):
                    return

    def _sweep(self) -> None:
        """Remove frames that nobody needs: of films that are done, and of jobs that are not in the list."""
        with contextlib.suppress(JobError, OSError, sqlite3.Error):
            known = self._table.states()
            home = self._folder_of("x").parent
            sweep_parts(home)
            for path in home.iterdir() if home.is_dir() else ():
                if path.is_dir() and known.get(path.name) in (None, "done"):
                    shutil.rmtree(path / "frames" if path.name in known else path, ignore_errors=True)


class _Report:
    """Tells the list how far a job is, a few times a second, and keeps its latest frame as a small picture."""

    def __init__(self, table: Table, job: Job, folder: Path) -> None:
        self._table, self._job, self._folder = table, job, folder
        self._told = self._shown = 0.0
        self._phase = ""
        self._pace: deque[tuple[float, int]] = deque(maxlen=PACE_STEPS)
        self._pixels = 0

    def tell(self, step: Step) -> None:
        """Note one step."""
        now = time.monotonic()
        is_new = step.phase != self._phase
        if is_new:
            self._phase = step.phase
            self._pace.clear()
        self._pace.append((now, step.done))
        if step.image is not None and now - self._shown > THUMBNAIL_SECONDS:
            self._shown = now
            self._show(step.image)
        if is_new or step.done == step.total or now - self._told > TELL_SECONDS:
            self._told = now
            try:
                self._table.set(self._job.id, phase=step.phase, done=step.done, total=step.total, seconds_left=self._left(step))
            except JobError as error:
                log.warning("%s", error)

    def _left(self, step: Step) -> float | None:
        (began, first), (now, last) = self._pace[0], self._pace[-1]
        if last == first:
            return None
        left = (now - began) / (last - first) * (step.total - step.done)
        return left + (step.total * self._pixels / ENCODED_PIXELS_PER_SECOND if step.phase == "drawing" else 0.0)

    def _show(self, image: ImageArray) -> None:
        self._pixels = image.shape[0] * image.shape[1]
        try:
            with atomic_write(self._folder / "latest.webp", sync=False) as file:
                file.write(encode_webp(thumbnail(image, THUMBNAIL_SIDE)))
        except MediaError as error:
            log.info("no small picture of job %s: %s", self._job.id, error)
