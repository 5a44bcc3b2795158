"""What people do with the list of films: order, look, pause, go on, reorder, cancel, forget. Any number of processes may do it at once.

:meth:`JobQueue.start` also works it off, in one thread of its own, outside of any page. Without an engine it is a remote control.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from studio import paths
from studio.engine import Engine
from studio.errors import MediaError
from studio.export import RESERVE_BYTES, Wishes
from studio.film_render import Look, keep_sound
from studio.film_render.drawing import Recipes, film_of, side_by_side
from studio.film_render.sounds import Given, find_sounds
from studio.gallery import Gallery
from studio.jobs import restyling
from studio.jobs.job import ENDED, Job, JobError, recipes_to_json, wishes_to_json
from studio.jobs.table import Table
from studio.jobs.worker import Workshop
from studio.media import KINDS, FilmFormat, available_kinds
from studio.media.encoding_kinds import check_rate
from studio.recipe import Recipe

log = logging.getLogger(__name__)

TABLE_NAME = "jobs.sqlite3"
LATEST_NAME = "latest.webp"
MAX_WAITING = 200


class JobQueue:
    """The films that were ordered.

    Args:
        home: Folder of the list and of the frames in the making; by default ``jobs`` in the studio's home.
        engine: Draws the films; without one nothing is started here.
        gallery_of: Gives the gallery of a folder.
        sounds: A folder where sounds were kept, beside the studio's own.
        reserve_bytes: How much of the disk stays free.
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | None = None,
        engine: Engine | None = None,
        gallery_of: Callable[[Path], Gallery] = Gallery,
        *,
        sounds: Path | None = None,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self._sounds = () if sounds is None else (sounds,)
        self.home = Path(home) if home is not None else paths.home_folder() / "jobs"
        self._table = Table(self.home / TABLE_NAME)
        self._workshop = None if engine is None else Workshop(self._table, self.folder, engine, gallery_of, reserve_bytes, self._sounds)

    def start(self) -> None:
        """Begin to work the list off; jobs that an ended process left behind go on."""
        assert self._workshop is not None, "a queue without an engine cannot start"
        self._workshop.start()

    def close(self) -> None:
        """Stop after the frame in hand; the job waits for the next start. May be called twice."""
        if self._workshop is not None:
            self._workshop.close()

    def add(
        self,
        recipes: Recipes,
        *,
        look: Look | None = None,
        format: FilmFormat | None = None,
        pictures: str | os.PathLike[str] | None = None,
        out: str | os.PathLike[str] | None = None,
        sounds: Given = (),
        sound: bool = True,
        include_recipe: bool = True,
        title: str = "",
        visitor: str = "",
    ) -> Job:
        """Order a film.

        Args:
            recipes: One recipe with a film, or several side by side.
            look: Size and shape.
            format: How it is encoded; H.264 by default.
            pictures: The gallery's folder that it goes to; by default the user's.
            out: A file to write instead; replaced if it is there.
            sounds: Files of the sounds; they are kept, so that they are there when the film's turn comes.
            sound: Put the sound into the film.
            include_recipe: Put the recipe into the film.
            title: For people; by default the model and the length.
            visitor: Whose it is.

        Raises:
            StudioError: The film cannot be made: no film in the recipe, a sound is missing, a format cannot be written here.
        """
        cells = side_by_side(recipes)
        film = film_of(cells[0])
        wishes = Wishes(format or FilmFormat(), look or Look(), sound, include_recipe)
        _check_format(wishes, film.rate)
        for path in sounds:
            keep_sound(path)
        for cell in cells:
            find_sounds(film_of(cell), self._sounds)
        self._check_room(visitor)
        named = title or f"{cells[0].model.name or 'film'}, {film.seconds:g} s"
        return self._enter(secrets.token_hex(6), cells, wishes, film.count, title=named, pictures=pictures, out=out, visitor=visitor)

    def add_restyle(
        self,
        recipe: Recipe,
        source: str | os.PathLike[str],
        *,
        format: FilmFormat | None = None,
        pictures: str | os.PathLike[str] | None = None,
        out: str | os.PathLike[str] | None = None,
        include_recipe: bool = True,
        title: str = "",
        visitor: str = "",
    ) -> Job:
        """Order a film to be restyled; it is kept with the job until the result is there.

        Args:
            recipe: A translator and how it is used: ``restyle`` with ``flicker``, ``start`` and ``end``.
            source: The film.
            format: How the result is encoded; by default as suits the film, its sound and its transparency.
            pictures: As for :meth:`add`, and so are the others.
            out: A file to write instead.
            include_recipe: Put the recipe into the film.
            title: For people; by default the film and the model.
            visitor: Whose it is.

        Raises:
            StudioError: The source is no film, the range is empty, or too many films wait.
        """
        self._check_room(visitor)
        id = secrets.token_hex(6)
        signed, chosen, clip = restyling.take_in(recipe, source, self.folder(id), format)
        wishes = Wishes(chosen, include_recipe=include_recipe)
        _check_format(wishes, clip.facts.rate)
        named = title or f"{clip.facts.name}, {recipe.model.name}"
        return self._enter(id, (signed,), wishes, clip.about, title=named, pictures=pictures, out=out, visitor=visitor)

    def list(self, visitor: str | None = None) -> list[Job]:
        """Give all jobs, or those of one visitor: running, waiting in order, paused, then what has ended, newest first."""
        return self._table.list(visitor)

    def get(self, id: str) -> Job:
        """Give one job.

        Raises:
            JobError: It is not in the list.
        """
        return self._table.get(id)

    def pause(self, id: str) -> Job:
        """Stop a job after the frame in hand; what is finished stays.

        Raises:
            JobError: It is not in the list, or has ended.
        """
        was = self._change(id, running={"request": "pause"}, waiting={"state": "paused"})
        if was in ("done", "failed", "cancelled"):
            raise JobError(f"This job is {was} already, so it cannot be paused.")
        return self._table.get(id)

    def resume(self, id: str) -> Job:
        """Go on with a job that was paused or cancelled or that failed, where it was.

        Raises:
            JobError: It is not in the list, or done.
        """
        again = {"state": "waiting", "note": "", "error": "", "request": "", "finished": None}
        was = self._change(id, paused=again, failed=again, cancelled=again, running={"request": ""})
        if was == "done":
            raise JobError("This film is done already.")
        self._wake()
        return self._table.get(id)

    def cancel(self, id: str) -> Job:
        """End a job after the frame in hand; its frames stay until it is removed, so that it can still go on.

        Raises:
            JobError: It is not in the list, or has ended.
        """
        ended = {"state": "cancelled", "finished": time.time()}
        was = self._change(id, running={"request": "cancel"}, waiting=ended, paused=ended)
        if was in ("done", "failed"):
            raise JobError(f"This job is {was} already, so it cannot be cancelled.")
        return self._table.get(id)

    def remove(self, id: str) -> None:
        """Forget a job and its frames; a running one ends first. A finished film stays where it is.

        Raises:
            JobError: It is not in the list.
        """
        was = self._change(id, running={"request": "remove"})
        if was != "running":
            self._table.remove(id)
            shutil.rmtree(self.folder(id), ignore_errors=True)

    def move(self, id: str, place: int) -> None:
        """Put a waiting job at a place among the waiting ones; 0 is next.

        Raises:
            JobError: It does not wait.
        """
        self._table.move(id, place)

    def clear(self, visitor: str | None = None) -> int:
        """Forget what has ended; give how many jobs that were."""
        ended = [job.id for job in self._table.list(visitor) if job.state in ENDED]
        for id in ended:
            self.remove(id)
        return len(ended)

    def thumbnail(self, id: str) -> Path | None:
        """Give a small picture (WebP) of the latest frame of a job, or None before there is one."""
        path = self.folder(self._table.get(id).id) / LATEST_NAME
        return path if path.exists() else None

    def folder(self, id: str) -> Path:
        """Return where the frames of a job are while it is made."""
        return self.home / id

    def wait(self, id: str, timeout: float = 60.0, states: Sequence[str] = ("done", "failed", "cancelled", "paused")) -> Job:
        """Wait until a job is in one of some states, for scripts; gives the job as it is after ``timeout`` seconds at the latest."""
        until = time.monotonic() + timeout
        while (job := self._table.get(id)).state not in states and time.monotonic() < until:
            time.sleep(0.02)
        return job

    def _change(self, id: str, **by_state: dict[str, Any]) -> str:
        """Change a job by the state that it is in, and tell the worker to look."""
        was = self._table.change(id, by_state.get)
        if self._workshop is not None:
            self._workshop.look()
        return was

    def _check_room(self, visitor: str) -> None:
        if sum(job.state == "waiting" for job in self._table.list(visitor or None)) >= MAX_WAITING:
            raise JobError(f"{MAX_WAITING} films wait already. Let some be made first.")

    def _enter(
        self,
        id: str,
        recipes: tuple[Recipe, ...],
        wishes: Wishes,
        total: int,
        *,
        title: str,
        pictures: str | os.PathLike[str] | None,
        out: str | os.PathLike[str] | None,
        visitor: str,
    ) -> Job:
        """Put a job at the end of the list."""
        place = Path(out).absolute() if out is not None else None
        folder = None if place is not None else Path(pictures).absolute() if pictures is not None else paths.pictures_folder().absolute()
        self._table.add(
            id=id,
            title=title,
            state="waiting",
            total=total,
            recipes=recipes_to_json(recipes),
            wishes=wishes_to_json(wishes),
            pictures=None if folder is None else str(folder),
            out=None if place is None else str(place),
            visitor=visitor,
            created=time.time(),
        )
        self._wake()
        return self._table.get(id)

    def _wake(self) -> None:
        if self._workshop is not None:
            self._workshop.look()


def _check_format(wishes: Wishes, rate: Any) -> None:
    assert wishes.format is not None
    kind = wishes.format.kind
    if kind not in available_kinds():
        raise MediaError(f"This installation cannot write {KINDS[kind].label.split(':')[0]}. Choose another format.")
    check_rate(rate, kind)
