"""A film that a browser recorded becomes one that players can seek in: same pictures, same times, with its length and its recipe.

Browsers write films for streaming, without a length. The packets are copied as they are. This is *not* a place for making films
(``encoding.py``).
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from studio.errors import MediaError
from studio.media.film_marks import film_tags, mp4_box
from studio.media.marks import recipe_text, summary
from studio.recipe import Recipe

KINDS = {"webm": ".webm", "matroska": ".webm", "mp4": ".mp4", "mov": ".mp4"}


def recording_suffix(path: str | os.PathLike[str]) -> str:
    """Return ``.webm`` or ``.mp4`` for a recorded film.

    Raises:
        MediaError: It is no film of a kind that browsers record.
    """
    try:
        with av.open(str(path), metadata_errors="replace") as source:
            names = source.format.name.split(",")
            count = len(source.streams.video)
    except (FFmpegError, OSError) as error:
        raise MediaError("The recording did not arrive whole. Record it again.") from error
    suffix = next((KINDS[name] for name in names if name in KINDS), "")
    if count != 1 or not suffix:
        raise MediaError("This is not a film that a browser recorded.")
    return suffix


def rewrap(source: Path, target: Path, recipe: Recipe, *, composite: bool) -> int:
    """Copy a recorded film's pictures and sound to a new file with a length, a recipe and a mark of origin.

    Args:
        source: What the browser recorded.
        target: The new file; its suffix is :func:`recording_suffix` of the source.
        recipe: How the pictures were made; one that is too long is left out.
        composite: A person's own pictures went in.

    Returns:
        How many pictures there are.

    Raises:
        MediaError: There is no picture in it, or it is damaged.
    """
    text = recipe_text(recipe)
    try:
        with av.open(str(source), metadata_errors="replace") as old, av.open(str(target), "w", format=target.suffix[1:]) as new:
            if target.suffix == ".webm":
                new.metadata.update(film_tags(composite=composite, recipe=text, summary=summary(recipe)))
            frames = _copy(old, new)
    except (FFmpegError, OSError, ValueError, IndexError) as error:
        raise MediaError("The recording could not be read. Record it again.") from error
    if not frames:
        raise MediaError("There is no picture in the recording. Record for a little longer.")
    if target.suffix == ".mp4":
        with target.open("ab") as file:
            file.write(mp4_box(composite=composite, recipe=text))
    return frames


def _copy(old: Any, new: Any) -> int:
    """Copy the pictures and the sound, if there is any, so that the first picture is at 0; returns how many pictures there are."""
    video = old.streams.video[0]
    streams = [video, *old.streams.audio[:1]]
    twins = {stream.index: new.add_stream_from_template(stream) for stream in streams}
    early: list[Any] = []
    begin, count = None, 0
    for packet in old.demux(streams):
        if packet.dts is None:
            continue
        if begin is None and packet.stream.index != video.index:
            early.append(packet)
            continue
        begin = packet.dts * packet.time_base if begin is None else begin
        count += packet.stream.index == video.index
        for ready in (*early, packet):
            _move(ready, begin, twins, new)
        early = []
    return count


def _move(packet: Any, begin: Fraction, twins: dict[int, Any], new: Any) -> None:
    """Write a packet earlier by ``begin`` seconds; sound from before that is left out."""
    shift = round(begin / packet.time_base)
    packet.dts -= shift
    packet.pts -= shift
    if packet.pts >= 0:
        packet.stream = twins[packet.stream.index]
        new.mux(packet)
