"""Films through PyAV: their facts, and their frames one by one, whatever is damaged.

This is *not* where frames are counted (``film_spacing.py``) or turned into upright RGB (``film_colors.py``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error

from studio.errors import MediaError
from studio.media.files import safe_name
from studio.media.film_colors import Upright, color_notes
from studio.media.film_facts import FilmFacts, FilmFrame, SoundFacts
from studio.media.film_files import check_pixels, film_stream, opened
from studio.media.film_marks import find_film_marks
from studio.media.film_spacing import find_spacing, tolerance
from studio.media.marks import parse_recipe

_MAX_FAILURES = 200
"""Packets in a row that cannot be decoded before a film counts as damaged."""
_WITHOUT_TIMES = ("avi", "h264", "hevc", "m4v", "mpegvideo")
_LEAD_FRAMES = 16
"""Frames to begin early when seeking: frames are stored in another order than they are shown."""
_NAMES = {"matroska,webm": "mkv", "mov,mp4,m4a,3gp,3g2,mj2": "mp4", "mpegts": "ts"}


def probe_video(path: str | os.PathLike[str]) -> FilmFacts:
    """Learn the facts of a film: its first frame is decoded, the others are counted where that is quick.

    Raises:
        MediaError: It is not a film, damaged, or too large; the message names it.
    """
    label = safe_name(Path(path).name, "the film")
    with opened(path) as container:
        stream = film_stream(container, label)
        first = _first_frame(container, stream, label)
        upright = Upright(first, _pixel_aspect(stream))
        check_pixels(*upright.size, label)
        spacing = find_spacing(container, stream, label)
        found = find_film_marks(path, container.metadata)
        recipe, recipe_error = parse_recipe(found.recipe_text)
        return FilmFacts(
            name=label,
            container=_container_name(container, path),
            codec=str(stream.codec_context.codec.canonical_name),
            width=upright.size[0],
            height=upright.size[1],
            rate=spacing.rate,
            is_variable=spacing.is_variable,
            frames=spacing.frames,
            is_exact=spacing.is_exact,
            duration=spacing.duration,
            has_alpha=upright.has_alpha,
            sound=sound_facts(container),
            rotation=upright.rotation,
            recipe=recipe,
            recipe_error=recipe_error,
            marks=found.marks,
            notes=color_notes(first) + spacing.notes,
            origin=_origin(container, stream, first),
            missing=spacing.missing,
        )


def read_video(path: str | os.PathLike[str], facts: FilmFacts, start: Fraction, end: Fraction | None) -> Iterator[FilmFrame]:
    """Give every frame that is on screen in ``[start, end)``, in order, each once at its own time.

    The frame that is on screen at ``start`` comes first, although it may have begun before.

    Raises:
        MediaError: The film is damaged; the good frames before that have been given.
    """
    with opened(path) as container:
        stream = film_stream(container, facts.name)
        tick = Fraction(stream.time_base)
        origin = round(facts.origin / tick)
        if start > 0:
            container.seek(int(origin + max(Fraction(0), start - _LEAD_FRAMES / facts.rate) / tick), stream=stream, backward=True)
        clock = _Clock(facts, tick)
        upright: Upright | None = None
        waiting: tuple[Fraction, Any] | None = None
        index = 0
        for frame in _decoded(container, stream, facts.name):
            upright = upright or Upright(frame, _pixel_aspect(stream))
            moment = clock.moment(frame, origin)
            if end is not None and moment >= end:
                break
            if waiting is not None and moment > start:
                yield FilmFrame(index, waiting[0], moment - waiting[0], upright.image(waiting[1]))
                index += 1
            waiting = moment, frame
        else:
            moment = waiting[0] + clock.last_duration(waiting[1]) if waiting else Fraction(0)
        if waiting is not None and upright is not None:
            yield FilmFrame(index, waiting[0], moment - waiting[0], upright.image(waiting[1]))
        _check_end(moment, facts, end)


def sound_facts(container: Any) -> SoundFacts | None:
    """Describe the first sound track of an open file."""
    if not container.streams.audio or container.streams.audio[0].codec_context is None:
        return None
    stream = container.streams.audio[0]
    context = stream.codec_context
    if stream.duration:
        duration = Fraction(stream.duration) * Fraction(stream.time_base)
    else:
        duration = Fraction(container.duration or 0, av.time_base)
    return SoundFacts(str(context.codec.canonical_name), int(context.sample_rate), int(context.channels), duration)


class _Clock:
    """Turn the time stamps of decoded frames into times that only go forward, and onto the grid of an even film."""

    def __init__(self, facts: FilmFacts, tick: Fraction) -> None:
        self._facts, self._tick = facts, tick
        self._last: Fraction | None = None

    def moment(self, frame: Any, origin: int) -> Fraction:
        """Give the time of a frame in seconds since the beginning of the film."""
        rate = self._facts.rate
        stamp = _stamp(frame)
        moment = (Fraction(stamp - origin) * self._tick) if stamp is not None else (self._last or Fraction(0)) + 1 / rate
        if not self._facts.is_variable:
            on_grid = Fraction(round(moment * rate)) / rate
            moment = on_grid if abs(on_grid - moment) <= max(2 * self._tick, 1 / (8 * rate)) else moment
        if self._last is not None and moment <= self._last:
            moment = self._last + (self._tick if self._facts.is_variable else 1 / rate)
        self._last = moment
        return moment

    def last_duration(self, frame: Any) -> Fraction:
        """Say how long the last frame stays."""
        if self._facts.is_variable and frame.duration:
            return Fraction(frame.duration) * self._tick
        return 1 / self._facts.rate


def _origin(container: Any, stream: Any, first: Any) -> Fraction:
    """Give the time of the first frame; files that only say when to decode show it some frames later than they begin."""
    has_only_decoding_times = container.format.name in _WITHOUT_TIMES
    stamp = _stamp(first) if has_only_decoding_times else stream.start_time
    return Fraction(stamp or 0) * Fraction(stream.time_base)


def _stamp(frame: Any) -> int | None:
    stamp: int | None = frame.pts if frame.pts is not None else frame.dts
    return stamp


def _first_frame(container: Any, stream: Any, label: str) -> Any:
    for frame in _decoded(container, stream, label):
        check_pixels(frame.width, frame.height, label)
        return frame
    raise MediaError(f"{label} holds no picture that can be decoded. Save or download it again.")


def _decoded(container: Any, stream: Any, label: str) -> Iterator[Any]:
    """Decode a stream packet by packet; a damaged packet is skipped, many in a row end it with a sentence."""
    decoder = _decoder(stream)
    failures = 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
            frames = decoder.decode(packet) if decoder is not None else packet.decode()
            failures = 0 if frames else failures
        except (StopIteration, EOFError):
            return
        except av.error.FFmpegError as error:
            failures += 1
            if failures > _MAX_FAILURES:
                raise MediaError(f"{label} is damaged: its pictures cannot be decoded any further.", detail=repr(error)) from error
            continue
        yield from frames


def _decoder(stream: Any) -> Any:
    """Give the decoder that also reads the alpha of VP8 and VP9, or None for the stream's own."""
    name = stream.codec_context.codec.canonical_name
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if name in ("vp8", "vp9") and tags.get("alpha_mode") == "1":
        wanted = "libvpx" if name == "vp8" else "libvpx-vp9"
        if wanted in av.codecs_available:
            return av.CodecContext.create(wanted, "r")
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = 2
    return None


def _pixel_aspect(stream: Any) -> Fraction:
    aspect = stream.sample_aspect_ratio
    return Fraction(aspect) if aspect else Fraction(1)


def _check_end(reached: Fraction, facts: FilmFacts, end: Fraction | None) -> None:
    """Say so when the pictures end well before the film does."""
    whole = facts.duration + facts.missing
    if (whole if end is None else min(end, whole)) - reached > tolerance(facts.rate):
        raise MediaError(
            f"{facts.name} is damaged: its pictures end after {float(reached):.1f} of {float(whole):.1f} seconds. "
            "Choose an earlier end, or save it again."
        )


def _container_name(container: Any, path: str | os.PathLike[str]) -> str:
    """Give the everyday name of the container; the suffix decides between names of one family."""
    name, suffix = str(container.format.name), Path(path).suffix.lower().lstrip(".")
    family = name.split(",")
    if suffix in family:
        return suffix
    return _NAMES.get(name, family[0])
