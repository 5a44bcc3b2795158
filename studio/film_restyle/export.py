"""From a film to a restyled film in a file: look through it, draw the frames into a folder, encode them with the film's own sound.

What is finished is never lost: stopped, killed or out of disk, the same export goes on where it was. This is *not* a list of what is
to be done (``jobs/``) and draws no bar: it tells what it does step by step, in the steps of ``export.py``.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from studio.engine import Engine
from studio.errors import MediaError, StudioError
from studio.export import RESERVE_BYTES, DiskFullError, Step
from studio.film_render.pipeline import reading, storing
from studio.film_render.store import DamagedFrameError, FrameStore, working_in
from studio.film_restyle.clip import Clip
from studio.film_restyle.drawing import FilmDrawing
from studio.film_restyle.estimates import FRAME_SHARE, sound_note
from studio.media import KINDS, FilmFormat, FilmFrame, FilmWriter, ImageArray, SavedFilm, Sound, format_for, sweep_parts
from studio.recipe import Recipe, Restyle
from studio.restyle.motion import find_motion, lightness, warped_error

log = logging.getLogger(__name__)

LOOK_EVERY = 50
"""Frames between two looks at how full the disk is."""
MAX_REPAIRS = 3
MOST_PAIRS, PAIR_EVERY = 8, 24
"""Flicker is measured on one pair of neighbours in so many frames (two pairs at least), because each costs two more runs."""
_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


@dataclass(frozen=True, slots=True)
class Saved:
    """A restyled film that was written.

    Attributes:
        film: The file.
        before: Its warped-frame error without flicker control, in [0, 1] (see ``restyle.motion.warped_error``); None where no two
            frames could be compared.
        after: The same with flicker control.
        notes: What was done otherwise than asked, in sentences.
    """

    film: SavedFilm
    before: float | None
    after: float | None
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Say how much it flickers, in a sentence; empty when that is not known."""
        if self.before is None or self.after is None:
            return ""
        if self.before == self.after:
            return f"Flicker (warped-frame error): {self.after:.4f}."
        return f"Flicker (warped-frame error): {self.before:.4f} without control, {self.after:.4f} with."


class RestyleExport:
    """One film on its way into a file. Iterate over :meth:`steps`; leaving the loop stops it, and a new export goes on.

    Args:
        recipe: ``model``, ``restyle`` (with ``flicker``, ``start`` and ``end``) and ``precision`` are read.
        source: The film.
        path: The file to make; replaced when the new one is whole.
        folder: Where the frames are kept meanwhile; gone when the film is done.
        format: How it is encoded; None: what the suffix stands for.
        engine: Draws.
        max_memory: Most memory to use, in bytes.
        include_recipe: Put the recipe into the file.
        reserve_bytes: How much of the disk stays free.
        on_saved: Told that the film is there, before its frames are removed.

    Raises:
        MediaError: The source is no film, or the range is empty.
    """

    def __init__(
        self,
        recipe: Recipe,
        source: str | os.PathLike[str],
        path: str | os.PathLike[str],
        folder: Path,
        *,
        format: FilmFormat | None = None,
        engine: Engine | None = None,
        max_memory: int | None = None,
        include_recipe: bool = True,
        reserve_bytes: int = RESERVE_BYTES,
        on_saved: Callable[[SavedFilm], None] | None = None,
    ) -> None:
        self.options = recipe.restyle or Restyle()
        self.clip = Clip(source, self.options.start, self.options.end)
        self.recipe = replace(
            recipe, restyle=replace(self.options, source_name=self.clip.facts.name[:200], source_sha256=self.clip.sha256), film=None
        )
        self.path, self.folder = Path(path), folder
        self.format = format or format_for(self.path)
        self._engine, self._max_memory, self._include = engine, max_memory, include_recipe
        self._reserve, self._on_saved = reserve_bytes, on_saved
        self._result: Saved | None = None

    @property
    def result(self) -> Saved:
        """What was written, after the last step."""
        assert self._result is not None, "the film is not finished"
        return self._result

    def steps(self) -> Iterator[Step]:
        """Make the film.

        Yields:
            A step after every frame; its phase is ``looking``, ``drawing`` or ``encoding``.

        Raises:
            DiskFullError: There is no room; nothing is lost, and the next export goes on.
            StudioError: A model is missing, the film cannot be read, or another process makes this film.
        """
        with working_in(self.folder, self.path.name):
            total = self.clip.about
            for seen in self.clip.look():
                yield Step("looking", min(seen, total), total)
            store = FrameStore(self.folder, self.clip.count)
            drawing = self._drawing(store)
            try:
                yield from self._all(drawing, store)
            except MediaError as error:
                raise self._explained(error, store) from error
            if self._on_saved is not None:
                self._on_saved(self.result.film)
            store.remove()

    def _drawing(self, store: FrameStore) -> FilmDrawing:
        """Make the film ready, in the way in which the frames that are there were drawn."""
        ways = store.manifest().get("ways", [])
        names = [name for name in ways if isinstance(name, str)] if isinstance(ways, list) else []
        drawing = FilmDrawing(self.recipe, self.clip, engine=self._engine, max_memory=self._max_memory, ways=names)
        if not store.begin(drawing.facts()):
            log.info("the frames that were there were made otherwise; %s begins anew", self.path)
        return drawing

    def _all(self, drawing: FilmDrawing, store: FrameStore) -> Iterator[Step]:
        sweep_parts(self.path.parent)
        for _ in range(MAX_REPAIRS):
            yield from self._draw(drawing, store)
            try:
                yield from self._encode(drawing, store)
            except DamagedFrameError as error:
                log.warning("made again: %s", error)
                store.verify()
                continue
            return
        raise MediaError("Frames of this film change while it is made. Look after the disk, then continue.")

    def _draw(self, drawing: FilmDrawing, store: FrameStore) -> Iterator[Step]:
        missing = set(store.missing())
        done = self.clip.count - len(missing)
        if missing:
            self._check_room(store)
            with storing(store) as add:
                for index, image in drawing.translations(missing):
                    add(index, image)
                    done += 1
                    if done % LOOK_EVERY == 0:
                        self._check_room(store)
                    yield Step("drawing", done, self.clip.count, image)

    def _encode(self, drawing: FilmDrawing, store: FrameStore) -> Iterator[Step]:
        clip, flicker = self.clip, _Flicker(drawing)
        sound = None if clip.facts.sound is None else Sound(clip.path, start=clip.start, end=clip.end, mode="copy")
        writer = FilmWriter(
            self.path,
            rate=clip.rate,
            format=self.format,
            sound=sound,
            recipe=self.recipe,
            composite=True,
            include_recipe=self._include,
            n_frames=clip.count,
        )
        frame_bytes = clip.facts.width * clip.facts.height * 3
        with writer, closing(reading(store, clip.count, lambda image: image, frame_bytes=frame_bytes)) as stored:
            for frame, image in drawing.finished(lambda _: next(stored)):
                writer.write(image, frame.time if clip.rate is None else None)
                if clip.rate is None:
                    writer.end_at(frame.time + frame.duration)
                flicker.add(frame, image)
                yield Step("encoding", frame.index + 1, clip.count)
        notes = [clip.note, sound_note(clip.facts, KINDS[self.format.kind].suffix), *drawing.notes, writer.saved.note]
        result = Saved(writer.saved, *flicker.means(), tuple(dict.fromkeys(note for note in notes if note)))
        self._result = replace(result, film=replace(writer.saved, note=" ".join(filter(None, (*result.notes, result.words)))))

    def _check_room(self, store: FrameStore) -> None:
        """Stop before the disk is full, not when it is."""
        if shutil.disk_usage(self.folder).free < self._reserve:
            raise self._full(store)

    def _full(self, store: FrameStore) -> DiskFullError:
        facts, free = self.clip.facts, shutil.disk_usage(self.folder).free
        size = store.frame_bytes or facts.width * facts.height * 3 * FRAME_SHARE
        needed = max((store.count - store.done) * size * 1.1 + self._reserve - free, 10 * 2**20)
        amount = f"{needed / 1e9:.1f} GB" if needed >= 1e8 else f"{needed / 1e6:.0f} MB"
        return DiskFullError(f"The disk is full: {store.done} of {store.count} frames are safe. Free about {amount}, then continue.")

    def _explained(self, error: MediaError, store: FrameStore) -> StudioError:
        cause = error.__cause__
        return self._full(store) if isinstance(cause, OSError) and cause.errno in _FULL else error


class _Flicker:
    """Measures the flicker of a finished film, and what it would be without control, on some pairs of neighbours."""

    def __init__(self, drawing: FilmDrawing) -> None:
        self._drawing = drawing
        cuts = set(drawing.clip.cuts)
        comparable = [index for index in range(1, drawing.clip.count) if index not in cuts]
        pairs = min(len(comparable), MOST_PAIRS, max(2, len(comparable) // PAIR_EVERY))
        self._seconds = {comparable[int(len(comparable) * (k + 0.5) / pairs)] for k in range(pairs)}
        self._last: tuple[FilmFrame, ImageArray] | None = None
        self._before, self._after = list[float](), list[float]()

    def add(self, original: FilmFrame, finished: ImageArray) -> None:
        """Take the next frame of the film and what became of it."""
        if original.index in self._seconds and self._last is not None:
            earlier, before = self._last
            motion, _ = find_motion(lightness(original.image), lightness(earlier.image))
            self._after.append(warped_error(motion, finished, before))
            if self._drawing.options.flicker > 0:
                plain = [self._drawing.plain(frame) for frame in (original, earlier)]
                self._before.append(warped_error(motion, *plain))
            else:
                self._before.append(self._after[-1])
        self._last = (original, finished)

    def means(self) -> tuple[float | None, float | None]:
        """Return the mean error before and after, or None where nothing could be compared."""
        pairs = [pair for pair in zip(self._before, self._after, strict=True) if all(error == error for error in pair)]
        if not pairs:
            return None, None
        before, after = (sum(errors) / len(pairs) for errors in zip(*pairs, strict=True))
        return before, after
