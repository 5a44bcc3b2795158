"""From a recipe to a film in a file: draw the frames into a folder, then encode them with their sound. Both can be interrupted.

What is finished is never lost: stopped, killed or out of disk, the same export goes on where it was and gives the same bytes. This
is *not* a list of what is to be done (``jobs/``), and draws no bar: it tells what it does step by step.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from studio.engine import Engine
from studio.errors import MediaError, StudioError
from studio.film_render.drawing import FilmRender, Recipes, side_by_side
from studio.film_render.look import Look
from studio.film_render.pipeline import ahead, reading, storing
from studio.film_render.sounds import Given, sound_of
from studio.film_render.store import DamagedFrameError, FrameStore, working_in
from studio.media import KINDS, FilmFormat, FilmWriter, ImageArray, SavedFilm, format_for, gif_palette, sweep_parts
from studio.recipe import Recipe
from studio.render import opaque

log = logging.getLogger(__name__)

RESERVE_BYTES = 1 << 30
"""A film leaves so much of the disk free."""
LOOK_EVERY = 50
"""Frames between two looks at how full the disk is."""
MAX_REPAIRS = 3
"""How often damaged frames are made again before giving up."""

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


class DiskFullError(MediaError):
    """There is no room for more frames; what is finished is kept."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a film file should be like, apart from the recipe.

    Attributes:
        format: How it is encoded; None: what the suffix stands for.
        look: Size and shape of the frames.
        sound: Put the recipe's sound into the file, where the format has sound.
        include_recipe: Put the recipe into the file.
    """

    format: FilmFormat | None = None
    look: Look = field(default_factory=Look)
    sound: bool = True
    include_recipe: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """How far an export is: ``phase`` is hearing, drawing or encoding; ``image`` is the frame just drawn, as it was drawn."""

    phase: str
    done: int
    total: int
    image: ImageArray | None = None


Drawing = Callable[[FilmRender, FrameStore], Iterator[int]]
"""Fills a store by other means than this process and tells the number of each finished frame."""


class Export:
    """One film on its way into a file. Iterate over :meth:`steps`; leaving the loop stops it, and a new export goes on.

    Args:
        recipes: One recipe with a film, or several side by side.
        path: The file to make; replaced when the new one is whole.
        folder: Where the frames are kept meanwhile; gone when the film is done.
        wishes: Format and shape.
        sounds: Files of the sounds that the film refers to.
        engine: Draws.
        drawing: Draws elsewhere, see :data:`Drawing`.
        reserve_bytes: How much of the disk stays free.
        on_saved: Told that the film is there, before its frames are removed.

    Raises:
        StudioError: The recipe has no film, or the format cannot be.
    """

    def __init__(
        self,
        recipes: Recipes,
        path: str | os.PathLike[str],
        folder: Path,
        *,
        wishes: Wishes | None = None,
        sounds: Given = (),
        engine: Engine | None = None,
        drawing: Drawing | None = None,
        reserve_bytes: int = RESERVE_BYTES,
        on_saved: Callable[[SavedFilm], None] | None = None,
    ) -> None:
        self.recipes = side_by_side(recipes)
        self.path, self.folder = Path(path), folder
        self.wishes = wishes or Wishes()
        self.format = self.wishes.format or format_for(self.path)
        self.note = ""
        self._sounds, self._engine, self._drawing, self._reserve = sounds, engine, drawing, reserve_bytes
        self._on_saved = on_saved
        self._saved: SavedFilm | None = None

    @property
    def saved(self) -> SavedFilm:
        """What was written, after the last step."""
        assert self._saved is not None, "the film is not finished"
        return self._saved

    def steps(self) -> Iterator[Step]:
        """Make the film.

        Yields:
            A step after every frame.

        Raises:
            DiskFullError: There is no room; nothing is lost, and the next export goes on.
            StudioError: A model or sound is missing, or another process makes this film.
        """
        total = self.recipes[0].film.count if self.recipes[0].film else 0
        with working_in(self.folder, self.path.name):
            yield Step("hearing", 0, total)
            store = FrameStore(self.folder, total)
            film = self._film(store)
            try:
                yield from self._all(film, store)
            except MediaError as error:
                raise self._explained(error, film, store) from error
            if self._on_saved is not None:
                self._on_saved(self.saved)
            store.remove()

    def _film(self, store: FrameStore) -> FilmRender:
        """Make the film ready, in the way in which the frames that are there were drawn."""
        before = store.manifest()
        ways = before.get("ways", [])
        names = [name for name in ways if isinstance(name, str)] if isinstance(ways, list) else []
        film = FilmRender(self.recipes, look=self.wishes.look, sounds=self._sounds, engine=self._engine, ways=names)
        if not store.begin(film.facts()):
            self.note = "The frames that were there were made otherwise, so the film begins anew."
            log.info("%s (%s)", self.note, self.path)
        return film

    def _all(self, film: FilmRender, store: FrameStore) -> Iterator[Step]:
        sweep_parts(self.path.parent)
        for _ in range(MAX_REPAIRS):
            yield from self._draw(film, store)
            try:
                yield from self._encode(film, store)
            except DamagedFrameError as error:
                log.warning("made again: %s", error)
                store.verify()
                continue
            return
        raise MediaError("Frames of this film change while it is made. Look after the disk, then continue.")

    def _draw(self, film: FilmRender, store: FrameStore) -> Iterator[Step]:
        done = store.done
        if done < film.count:
            self._check_room(film, store)
        if self._drawing is not None and done < film.count:
            for done in self._drawing(film, store):
                yield Step("drawing", done, film.count)
            store.verify()
            done = store.done
        with storing(store) as add:
            for index, image in film.raws(store.missing()):
                add(index, image)
                done += 1
                if done % LOOK_EVERY == 0:
                    self._check_room(film, store)
                yield Step("drawing", done, film.count, image)

    def _encode(self, film: FilmRender, store: FrameStore) -> Iterator[Step]:
        kind, settings = KINDS[self.format.kind], self.wishes
        sound = sound_of(film.film, film.sound_files, self.folder) if settings.sound and kind.has_sound else None
        palette = None
        if self.format.kind == "gif" and self.format.palette == "global":
            palette = gif_palette(self._pictures(film, store))
        writer = FilmWriter(
            self.path,
            rate=film.rate,
            format=self.format,
            sound=sound,
            recipe=self.recipes[0],
            include_recipe=settings.include_recipe,
            n_frames=film.count,
            palette=palette,
        )
        with writer, closing(self._pictures(film, store)) as images:
            for done, image in enumerate(images, 1):
                writer.write(image)
                yield Step("encoding", done, film.count)
        self._saved = replace(writer.saved, note=writer.saved.note or self.note)

    def _pictures(self, film: FilmRender, store: FrameStore) -> Generator[ImageArray, None, None]:
        """Give the finished frames in order: in size, opaque where the format has no alpha, flashes limited."""
        has_alpha = KINDS[self.format.kind].has_alpha

        def finish(image: ImageArray) -> ImageArray:
            return film.finish(image if has_alpha else opaque(image))

        frame_bytes = finish(store.read(0)).nbytes
        images = reading(store, film.count, finish, frame_bytes=frame_bytes)
        if not film.film.flash_limit:
            return ahead(images, frame_bytes=frame_bytes)
        from studio.flashes import limit_flashes

        return ahead(limit_flashes(images, film.rate), frame_bytes=frame_bytes)

    def _check_room(self, film: FilmRender, store: FrameStore) -> None:
        """Stop before the disk is full, not when it is."""
        free = shutil.disk_usage(self.folder).free
        if free < self._reserve:
            raise self._full(film, store, free)

    def _full(self, film: FilmRender, store: FrameStore, free: int) -> DiskFullError:
        left = film.count - store.done
        size = store.frame_bytes or film.estimate_bytes() / film.count
        needed = max(left * size * 1.1 + self._reserve - free, 10 * 2**20)
        amount = f"{needed / 1e9:.1f} GB" if needed >= 1e8 else f"{needed / 1e6:.0f} MB"
        return DiskFullError(f"The disk is full: {store.done} of {film.count} frames are safe. Free about {amount}, then continue.")

    def _explained(self, error: MediaError, film: FilmRender, store: FrameStore) -> StudioError:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return self._full(film, store, shutil.disk_usage(self.folder).free)
        return error


def frames_folder(path: str | os.PathLike[str]) -> Path:
    """Return where the frames of a film that is made outside of the job list are kept: hidden, beside it."""
    place = Path(path).absolute()
    return place.with_name(f".{place.name}.frames")


def export_film(
    recipe: Recipe | Sequence[Recipe],
    path: str | os.PathLike[str],
    *,
    format: FilmFormat | None = None,
    look: Look | None = None,
    sounds: Given = (),
    engine: Engine | None = None,
    sound: bool = True,
    include_recipe: bool = True,
) -> SavedFilm:
    """Make a film file from a recipe. Interrupted, the same call goes on where it was and gives the same bytes.

    Args:
        recipe: A recipe with a film, or several for films side by side.
        path: The file; its suffix chooses the format when none is given.
        format: How it is encoded.
        look: Size and shape.
        sounds: Files of the sounds that the film refers to.
        engine: Draws; by default the one of scripts.
        sound: Put the recipe's sound into the file.
        include_recipe: Put the recipe into the file; the mark of origin always stays.

    Returns:
        What was written.

    Raises:
        DiskFullError: There is no room; what is finished is kept.
        StudioError: The recipe has no film, a model or sound is missing, or the file cannot be written.
    """
    wishes = Wishes(format, look or Look(), sound, include_recipe)
    job = Export(recipe, path, frames_folder(path), wishes=wishes, sounds=sounds, engine=engine)
    with closing(job.steps()) as steps:  # type: ignore[type-var]
        for step in steps:
            log.debug("%s %d of %d", step.phase, step.done, step.total)
    return job.saved
