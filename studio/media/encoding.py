"""Write films: MP4, WebM, MOV, GIF, WebP, APNG, zipped frames and spritesheets, whole or not at all.

Frames are taken one by one and never kept. Everything goes to a temporary file beside the target, which is renamed when it
is complete; a process that is killed leaves a ``.part`` for :func:`studio.media.sweep_parts`. The same frames and settings
give the same bytes, so a film that was resumed equals one that was not. How each kind is written is in ``encoding_*``.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np

from studio.errors import MediaError
from studio.media.encoding_animation import ApngSink, GifSink, gif_palette
from studio.media.encoding_frames import SpritesSink, ZipSink
from studio.media.encoding_job import Job, Sink, Sound
from studio.media.encoding_kinds import KINDS, FilmFormat, check_rate, encoder_of, format_for
from studio.media.encoding_video import VideoSink
from studio.media.encoding_webp import WebpSink
from studio.media.files import atomic_path, hash_file
from studio.media.film_facts import MAX_FILM_FRAMES, MAX_FILM_PIXELS, FilmFrame, parse_rate
from studio.media.marks import recipe_text, summary
from studio.media.pixels import ImageArray, as_pillow
from studio.recipe import MAX_JSON_BYTES, Recipe

Frames = Iterable[ImageArray | FilmFrame] | Callable[[], Iterable[ImageArray | FilmFrame]]
Rate = Fraction | int | float | str

_ABOUT = Fraction(30)
_TICK, _SHORTEST = Fraction(1, 90_000), Fraction(1, 1000)

_SINKS: dict[str, Callable[[Job], Sink]] = {
    "gif": GifSink,
    "apng": ApngSink,
    "webp": WebpSink,
    "png": ZipSink,
    "jpeg": ZipSink,
    "sprites": SpritesSink,
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SavedFilm:
    """What was written; ``note`` says when the recipe had to stay out."""

    path: Path
    sha256: str
    size_bytes: int
    frames: int
    duration: Fraction
    note: str = ""


class FilmWriter:
    """Write a film frame by frame, inside a ``with`` block; :attr:`saved` is there after the block.

    An exception in the block, or no frame at all, leaves the target as it was.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        rate: Rate | None,
        format: FilmFormat | None = None,
        sound: Sound | None = None,
        recipe: Recipe | None = None,
        composite: bool = False,
        include_recipe: bool = True,
        n_frames: int | None = None,
        palette: ImageArray | None = None,
    ) -> None:
        """Check the settings; nothing is opened before the block begins.

        Args:
            path: Where to; the suffix chooses the format when none is given.
            rate: Frames a second, exactly: ``30``, ``Fraction(30000, 1001)``, ``"24000/1001"``. None: each frame comes with
                its own time.
            format: How; see :class:`FilmFormat`.
            sound: What is heard, in kinds that have sound.
            recipe: How it was made; it travels in the file.
            composite: A person's own picture or film went in.
            include_recipe: False leaves the recipe out; the mark of origin always stays.
            n_frames: How many frames will come, where that is known; it lets ``auto`` sound be copied.
            palette: GIF: the palette of the whole film, from :func:`gif_palette`; without it each frame has its own.

        Raises:
            MediaError: A setting is impossible, or this installation lacks the encoder.
        """
        self._target, self._is_even = Path(path), rate is not None
        self._rate = _ABOUT if rate is None else parse_rate(rate)
        self._format = format or format_for(path)
        kind = KINDS[self._format.kind]
        if self._is_even:
            check_rate(self._rate, self._format.kind)
        if kind.encoders and not encoder_of(self._format.kind):
            raise MediaError(f"This installation cannot write {kind.label.split(':')[0]}. Use mp4 with H.264, WebM or GIF.")
        if sound is not None and not kind.has_sound:
            raise MediaError(f"{kind.label.split(':')[0]} has no sound. Leave the sound out, or save as MP4, MOV or WebM.")
        self._sound, self._n_frames, self._palette = sound, n_frames, palette
        self._summary = summary(recipe) if recipe is not None and include_recipe else ""
        self._recipe = recipe_text(recipe) if recipe is not None and include_recipe else None
        self._composite = composite or (recipe is not None and recipe.restyle is not None)
        self._note = ""
        if recipe is not None and include_recipe and self._recipe is None:
            self._note = f"The film was saved without its recipe, which is longer than {MAX_JSON_BYTES >> 10} KB."
            _log.warning(self._note)
        self._sink: Sink | None = None
        self._job: Job | None = None
        self._part: Path | None = None
        self._count = 0
        self._waiting: tuple[ImageArray, Fraction] | None = None
        self._end = self._zero = self._duration = Fraction(0)
        self._stack = contextlib.ExitStack()
        self._saved: SavedFilm | None = None

    @property
    def frames(self) -> int:
        """Give the number of frames written so far."""
        return self._count

    @property
    def saved(self) -> SavedFilm:
        """Say what was written, after the block."""
        assert self._saved is not None, "the film is not finished"
        return self._saved

    def __enter__(self) -> FilmWriter:
        """Make the temporary file."""
        self._part = self._stack.enter_context(atomic_path(self._target))
        return self

    def write(self, image: ImageArray, time: Fraction | float | None = None) -> None:
        """Add a frame.

        Args:
            image: uint8 ``[H, W, 3]``, or ``[H, W, 4]`` with straight alpha where the format has it; as the first one.
            time: Seconds, where the writer has no rate: later than the frame before by at least a millisecond. The film
                begins with its first frame.

        Raises:
            MediaError: It has another size or type, or cannot be encoded; the disk is full.
        """
        assert self._part is not None, "write() belongs in the with block"
        if self._job is None:
            self._job = self._start(image)
        expected = (self._job.height, self._job.width, 4 if self._job.has_alpha else 3)
        if image.shape != expected or image.dtype.name != "uint8":
            raise MediaError(f"Frame {self._count} is {image.dtype} {list(image.shape)}; the first was uint8 {list(expected)}.")
        if self._count >= MAX_FILM_FRAMES:
            raise MediaError(f"A film has at most {MAX_FILM_FRAMES} frames. Make it shorter.")
        assert self._sink is not None
        assert (time is None) == self._is_even, "a film has a rate, or a time for each frame"
        if time is None:
            self._sink.write(image, self._count / self._rate, (self._count + 1) / self._rate)
        else:
            self._write_at(image, Fraction(time).limit_denominator(1_000_000))
        self._count += 1

    def end_at(self, time: Fraction | float) -> None:
        """Say when the last frame ends, where each frame has its own time; otherwise it lasts as long as the one before."""
        self._end = Fraction(time).limit_denominator(1_000_000)

    def _write_at(self, image: ImageArray, time: Fraction) -> None:
        """Write the frame before, now that its end is known, and keep this one."""
        if self._waiting is None:
            self._zero = time
        else:
            held, begin = self._waiting
            if time - begin < _SHORTEST:
                raise MediaError(f"Frame {self._count} at {float(time):g} s is not after the one at {float(begin):g} s.")
            self._put(held, begin, time)
            self._end = 2 * time - begin
        self._waiting = np.array(image), time
        self._end = max(self._end, time + 1 / self._rate) if self._count == 0 else self._end

    def _put(self, image: ImageArray, begin: Fraction, end: Fraction) -> None:
        assert self._sink is not None
        self._sink.write(image, begin - self._zero, end - self._zero)
        self._duration = end - self._zero

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Complete the file and put it in place, or remove what there is of it."""
        with self._stack:
            try:
                if error is not None:
                    raise error
                if self._sink is None:
                    raise MediaError(f"{self._target.name} has no frames. Nothing was saved.")
                if self._waiting is not None:
                    self._put(*self._waiting, max(self._end, self._waiting[1] + _SHORTEST))
                self._sink.finish()
            finally:
                self._let_go()
        duration = self._count / self._rate if self._is_even else self._duration
        size = self._target.stat().st_size
        self._saved = SavedFilm(self._target, hash_file(self._target), size, self._count, duration, self._note)

    def _start(self, image: ImageArray) -> Job:
        as_pillow(image[:1])
        height, width = image.shape[:2]
        if image.ndim != 3 or image.shape[2] == 1:
            raise MediaError(f"A frame must be uint8 [height, width, 3]; this one is {image.dtype} {list(image.shape)}.")
        if width * height > MAX_FILM_PIXELS:
            raise MediaError(f"Frames of {width} x {height} pixels are too large; the most is {MAX_FILM_PIXELS / 1e6:.0f} million pixels.")
        assert self._part is not None
        job = Job(
            part=self._part,
            target=self._target,
            width=width,
            height=height,
            has_alpha=image.shape[2] == 4,
            rate=self._rate,
            tick=1 / self._rate if self._is_even else _TICK,
            format=self._format,
            composite=self._composite,
            recipe=self._recipe,
            summary=self._summary,
            sound=self._sound,
            n_frames=self._n_frames,
            palette=self._palette,
        )
        self._sink = _SINKS.get(self._format.kind, VideoSink)(job)
        return job

    def _let_go(self) -> None:
        if self._sink is not None:
            with contextlib.suppress(OSError, ValueError, MediaError):
                self._sink.close()


def write_film(
    path: str | os.PathLike[str],
    frames: Frames,
    *,
    rate: Rate | None,
    format: FilmFormat | None = None,
    sound: Sound | None = None,
    recipe: Recipe | None = None,
    composite: bool = False,
    include_recipe: bool = True,
    n_frames: int | None = None,
) -> SavedFilm:
    """Write a film from its frames, atomically; every frame once, none kept in memory.

    Args:
        path: Where to; the suffix chooses the format when none is given.
        frames: The frames in order, or a function that gives them anew each time (GIF with one palette looks twice;
            from frames that come only once, each gets its own palette). With ``rate=None`` they are :class:`FilmFrame`,
            as :func:`studio.media.read_film` gives them, and keep their times.
        rate: As for :class:`FilmWriter`, and so are the others.
        format: How.
        sound: What is heard.
        recipe: How it was made.
        composite: A person's own picture or film went in.
        include_recipe: False leaves the recipe out.
        n_frames: How many frames there are; taken from ``len(frames)`` where that works.

    Returns:
        What was written.

    Raises:
        MediaError: As in :class:`FilmWriter`.
    """
    chosen = format or format_for(path)
    again = _repeatable(frames)
    if n_frames is None and isinstance(frames, Sequence):
        n_frames = len(frames)
    palette = gif_palette(map(_image, again())) if again is not None and chosen.kind == "gif" and chosen.palette == "global" else None
    writer = FilmWriter(
        path,
        rate=rate,
        format=chosen,
        sound=sound,
        recipe=recipe,
        composite=composite,
        include_recipe=include_recipe,
        n_frames=n_frames,
        palette=palette,
    )
    with writer:
        for frame in frames if isinstance(frames, Iterable) else frames():
            if isinstance(frame, FilmFrame):
                writer.write(frame.image, frame.time if rate is None else None)
                writer.end_at(frame.time + frame.duration)
            else:
                writer.write(frame)
    return writer.saved


def _repeatable(frames: Frames) -> Callable[[], Iterable[ImageArray | FilmFrame]] | None:
    """Give a function that gives the frames anew, or None when they come only once."""
    if isinstance(frames, Sequence):
        return lambda: frames
    return None if isinstance(frames, Iterable) else frames


def _image(frame: ImageArray | FilmFrame) -> ImageArray:
    return frame.image if isinstance(frame, FilmFrame) else frame
