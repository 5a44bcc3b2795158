"""Read films: facts, and frames one by one with exact times, whatever the container, frame rate, rotation or colours.

Anything PyAV decodes, and GIF, APNG and WebP animations through Pillow. At most a few frames are in memory. How a frame is
decoded, coloured and timed is in the ``film_*`` files; writing is in ``encoding``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from studio.errors import MediaError
from studio.media import film_zips
from studio.media.files import explained, hash_file
from studio.media.film_animations import is_animation, probe_animation, read_animation
from studio.media.film_decoding import probe_video, read_video
from studio.media.film_facts import MAX_FILM_FRAMES, FilmFacts, FilmFrame, parse_rate
from studio.media.film_files import check_regular
from studio.media.reading import Header, inspect_image

Seconds = Fraction | int | float

_STILL = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"II*\0", b"MM\0*", b"BM")


def is_film(path: str | os.PathLike[str]) -> bool:
    """Tell by content whether a file is a film or animation that :func:`read_film` takes; never raises."""
    try:
        head = _head(path)
        if is_animation(head):
            return True
        return not _is_still(head) and probe_film(path).frames > 0
    except MediaError:
        return False


def probe_film(path: str | os.PathLike[str]) -> FilmFacts:
    """Learn size, rate, length, sound and recipe of a film; only its first frame is decoded.

    Frames are counted by reading through the file for up to two seconds; beyond that ``is_exact`` is False.

    Raises:
        MediaError: It is missing, not a film, damaged, or too large; the message names it.
    """
    head = _head(path)
    if is_animation(head):
        return probe_animation(path)
    if _is_still(head):
        raise MediaError(f"{Path(path).name} is a picture, not a film. Choose a film, or drop it where pictures go.")
    return probe_video(path)


def read_film(
    path: str | os.PathLike[str],
    *,
    start: Seconds | None = None,
    end: Seconds | None = None,
    rate: Fraction | int | float | str | None = None,
    facts: FilmFacts | None = None,
) -> Iterator[FilmFrame]:
    """Give the frames of a film in order, upright, in sRGB, each with its time.

    Args:
        path: Any film or animation.
        start: Seconds into the film; it is sought, not decoded up to. None: from the beginning.
        end: Seconds into the film, not included. None: to the end.
        rate: None gives every frame once, at its own time. A rate gives ``round(length * rate)`` frames at exactly
            ``start + k / rate``, each the frame nearest in time: frames are repeated or left out, never mixed.
        facts: What :func:`probe_film` found, where that is known already; single frames then come faster.

    Yields:
        Frames whose ``index`` counts from 0 and whose ``time`` is in seconds since the beginning of the film.

    Raises:
        MediaError: As in :func:`probe_film`; or the range is empty; or the film is damaged further on.
    """
    facts = facts or probe_film(path)
    begin = _seconds(start, "start") or Fraction(0)
    stop = _seconds(end, "end")
    if stop is not None and stop <= begin:
        raise MediaError(f"end={float(stop):g} is not after start={float(begin):g}. Give a range in seconds.")
    if begin >= facts.duration:
        raise MediaError(f"start={float(begin):g} is after the end of {facts.name}, which lasts {float(facts.duration):.2f} seconds.")
    read = read_animation if facts.container in ("gif", "apng", "webp") else read_video
    if rate is None:
        return read(path, facts, begin, stop)
    constant = parse_rate(rate)
    half = 1 / (2 * constant)
    whole = facts.duration + facts.missing
    last = whole if stop is None else min(stop, whole)
    return _at_rate(read(path, facts, begin, None if stop is None else stop + half), constant, begin, last)


def inspect_media(path: str | os.PathLike[str]) -> Header:
    """Read size, recipe and marks of a picture, a film, or our zip of film frames without decoding more than one frame.

    Raises:
        MediaError: It is neither, damaged, or too large; the message names it.
    """
    head = _head(path)
    if head.startswith(film_zips.MAGIC):
        return film_zips.inspect_zip(path)
    if _is_still(head):
        return inspect_image(path)
    try:
        facts = probe_film(path)
    except MediaError:
        return inspect_image(path)
    return Header(
        facts.width, facts.height, facts.container.upper(), facts.name, hash_file(path), facts.recipe, facts.recipe_error, facts.marks
    )


def _at_rate(frames: Iterator[FilmFrame], rate: Fraction, begin: Fraction, last: Fraction) -> Iterator[FilmFrame]:
    """Repeat and leave out frames so that they lie exactly on a grid that starts at ``begin``."""
    total = max(1, round((last - begin) * rate))
    if total > MAX_FILM_FRAMES:
        raise MediaError(f"That would be {total} frames; the most is {MAX_FILM_FRAMES}. Choose a shorter range or a lower rate.")
    given = 0
    for frame in frames:
        until = min(total, round((frame.time + frame.duration - begin) * rate))
        while given < until:
            yield replace(frame, index=given, time=begin + given / rate, duration=1 / rate)
            given += 1
        latest = frame
        if given >= total:
            return
    while given < total:
        yield replace(latest, index=given, time=begin + given / rate, duration=1 / rate)
        given += 1


def _head(path: str | os.PathLike[str]) -> bytes:
    place = check_regular(path)
    with explained(Path(path)), place.open("rb") as file:
        return file.read(4096)


def _is_still(head: bytes) -> bool:
    """Tell whether a file begins like a picture without movement (RIFF: WebP, not AVI)."""
    if is_animation(head):
        return False
    return head.startswith(_STILL) and (not head.startswith(b"RIFF") or head[8:12] == b"WEBP")


def _seconds(value: Seconds | None, name: str) -> Fraction | None:
    if value is None:
        return None
    try:
        exact = Fraction(value)
    except (ValueError, OverflowError, TypeError) as error:
        raise MediaError(f"{name}={value!r} is not a time. Give seconds, such as 2.5.") from error
    if exact < 0:
        raise MediaError(f"{name}={float(exact):g} is before the beginning of the film. Use 0 or more seconds.")
    return exact.limit_denominator(1_000_000)
