"""What a restyled film will take, told before anything is made: time, disk, memory, and what becomes of its sound.

The time comes from one frame that was really restyled; the rest from sizes. This is *not* a limit: nothing is refused here but
what cannot be done at all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from studio.engine import Engine
from studio.errors import DeviceError, MediaError
from studio.film_restyle.clip import split
from studio.film_restyle.drawing import MOST_SAMPLES
from studio.media import FilmFacts, probe_film, read_film
from studio.media.encoding_sound import encoded_as, keeps_sound
from studio.recipe import Recipe, Restyle
from studio.restyle import memory
from studio.restyle.films import depends_on_picture
from studio.restyle.geometry import working_size
from studio.restyler import cast

FRAME_SHARE = 0.9
"""A stored frame's bytes per byte of pixels."""
SECONDS_PER_PIXEL = 6e-7
"""What reading, steadying and encoding take, on one core."""
MORE_RUNS = 1.25
"""What samples and measuring add to the runs of the network."""
BYTES_STEADYING = 250
"""Per pixel: the frames that are held at once while one of them is mixed with its neighbours, and their motion."""
ANIMATIONS = ("gif", "webp", "apng")


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a restyled film will take.

    Attributes:
        frames: How many there will be, about.
        length: Of the film, in seconds.
        width: Of a frame.
        height: Of a frame.
        has_sound: The film has sound.
        seconds: Of work.
        disk_bytes: Needed meanwhile for the frames.
        memory_bytes: Needed meanwhile, beside what the studio takes anyway.
    """

    frames: int
    length: float
    width: int
    height: int
    has_sound: bool
    seconds: float
    disk_bytes: int
    memory_bytes: int


def estimate(recipe: Recipe, path: str | os.PathLike[str], *, engine: Engine, max_memory: int | None = None) -> Estimate:
    """Estimate what a restyled film will take, by restyling one of its frames, before anything is started.

    Raises:
        StudioError: As for :class:`RestyleExport`, or a frame is too large for the memory.
    """
    options, facts = recipe.restyle or Restyle(), probe_film(path)
    begin, length = film_range(facts, options)
    image, alpha = split(next(iter(read_film(path, start=begin + length / 2, facts=facts))).image)
    began = time.perf_counter()
    engine.restyle(recipe, image, alpha, max_memory=max_memory)
    once = time.perf_counter() - began
    networks = [loaded.network for loaded in cast(engine.models, recipe).all]
    return forecast(facts, options, networks, once=once, max_memory=max_memory)


def forecast(facts: FilmFacts, options: Restyle, networks: Sequence[Any], *, once: float, max_memory: int | None = None) -> Estimate:
    """Estimate what a restyled film will take.

    Args:
        facts: The film.
        options: ``start``, ``end``, ``flicker`` and ``texture_scale`` are read.
        networks: All that take part.
        once: Seconds that one frame takes.
        max_memory: Most memory to use, in bytes.

    Raises:
        MediaError: The range is empty.
        DeviceError: A frame is too large for the memory.
    """
    _, length = film_range(facts, options)
    frames = facts.frames if length == facts.duration else max(1, round(length * facts.rate))
    pixels, runs = facts.width * facts.height, MORE_RUNS if options.flicker > 0 else 1.0
    return Estimate(
        frames=frames,
        length=float(length),
        width=facts.width,
        height=facts.height,
        has_sound=facts.sound is not None,
        seconds=frames * (once * runs + pixels * SECONDS_PER_PIXEL),
        disk_bytes=int(frames * pixels * 3 * FRAME_SHARE),
        memory_bytes=_memory(facts, options, networks, max_memory),
    )


def film_range(facts: FilmFacts, options: Restyle) -> tuple[Fraction, Fraction]:
    """Return where the chosen range of a film begins and how long it is, in seconds.

    Raises:
        MediaError: There is nothing in it.
    """
    begin = Fraction(repr(float(options.start)))
    end = facts.duration if options.end is None else min(facts.duration, Fraction(repr(float(options.end))))
    if begin >= facts.duration:
        raise MediaError(f"start={float(begin):g} is after the end of {facts.name}, which lasts {float(facts.duration):.2f} seconds.")
    if end <= begin:
        raise MediaError(f"end={float(end):g} is not after start={float(begin):g}. Give a range in seconds.")
    return begin, end - begin


def film_suffix(facts: FilmFacts) -> str:
    """Return the suffix of a restyled film: animations stay animations (WebP), and sound and transparency find a container."""
    if facts.container in ANIMATIONS:
        return ".webp"
    needs_webm = facts.has_alpha or (facts.sound is not None and facts.sound.codec == "vorbis")
    return ".webm" if needs_webm else ".mp4"


def sound_note(facts: FilmFacts, suffix: str) -> str:
    """Say in a sentence that the sound cannot stay as it is in a film of this suffix; empty when it can, or when there is none."""
    container = suffix.removeprefix(".").lower()
    if facts.sound is None or keeps_sound(container, facts.sound.codec):
        return ""
    codec = "PCM" if facts.sound.codec.startswith(("pcm_", "adpcm_")) else facts.sound.codec.upper()
    name = {"webm": "WebM"}.get(container, container.upper())
    encoder = encoded_as(container)
    if not encoder:
        return f"{name} films have no sound, so the sound of {Path(facts.name).name} is left out."
    return f"The sound is {codec}, which {name} films cannot hold as it is, so it is encoded as {encoder}."


def _memory(facts: FilmFacts, options: Restyle, networks: Sequence[Any], max_memory: int | None) -> int:
    """Return the most that any stage takes: drawing, looking at the samples of a shot at once, or steadying."""
    needed = 0
    for net in networks:
        height, width = working_size(net, facts.height, facts.width, texture_scale=options.texture_scale)
        needed = max(needed, memory.plan(net, height, width, max_memory=max_memory).needed)
        if options.flicker > 0 and depends_on_picture(net):
            try:
                needed = max(needed, memory.plan(net, height * MOST_SAMPLES, width, max_memory=max_memory).needed)
            except DeviceError:
                continue
    return max(needed, facts.width * facts.height * (BYTES_STEADYING if options.flicker > 0 else 0))
