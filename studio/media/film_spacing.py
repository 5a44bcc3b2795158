"""How the frames of a film lie in time: how many, at which rate, evenly or not, and whether the end is missing.

All of it is told from the packets. This is *not* where a frame is decoded (``film_decoding.py``).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.error
import numpy as np

from studio.errors import MediaError
from studio.media.film_facts import MAX_FILM_FRAMES, MAX_FILM_SECONDS

COUNT_SECONDS = 2.0
"""Time that counting the frames of a film may take; beyond it their number is estimated."""
_TOLERANCE = Fraction(1, 2)


@dataclass(frozen=True, slots=True)
class Spacing:
    """How the frames of a film lie in time."""

    rate: Fraction
    is_variable: bool
    frames: int
    is_exact: bool
    duration: Fraction
    missing: Fraction = Fraction(0)
    """Seconds at the end that the file speaks of but that are not there."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Say in a sentence what is missing."""
        if not self.missing:
            return ()
        whole = float(self.duration + self.missing)
        return (f"It was cut short: {float(self.duration):.1f} of {whole:.1f} seconds are there.",)


def tolerance(rate: Fraction) -> Fraction:
    """Return by how many seconds a film may be shorter than it says."""
    return max(_TOLERANCE, 3 / rate)


def find_spacing(container: Any, stream: Any, label: str) -> Spacing:
    """Count the frames by their packets, without decoding, and see whether they are evenly spaced.

    Raises:
        MediaError: It claims to last longer than any film.
    """
    container.seek(stream.start_time or 0, stream=stream, backward=True)
    tick = Fraction(stream.time_base)
    stamps, last, is_whole = _stamps(container, stream)
    known = next((Fraction(rate) for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate), Fraction(25))
    if len(stamps) < 2:
        rate = _bounded(known)
        duration = Fraction(last) * tick if last > 0 else 1 / rate
        return _checked(Spacing(rate, False, max(1, len(stamps)), is_whole, duration), label)
    times = np.sort(np.asarray(stamps, np.int64))
    span = Fraction(int(times[-1] - times[0])) * tick
    measured = (len(times) - 1) / span if span else known
    even = next((rate for rate in _candidates(known, stream, measured) if _is_even(times, tick, rate)), None)
    claimed = _claimed_seconds(container, stream)
    rate = even or _bounded(measured.limit_denominator(1001))
    if not is_whole:
        frames = max(len(times), stream.frames or round(claimed * rate))
        return _checked(Spacing(rate, even is None, frames, False, frames / rate if even else max(span, claimed)), label)
    duration = len(times) / rate if even else span + (Fraction(last) * tick if last > 0 else 1 / rate)
    missing = claimed - duration
    missing = missing if missing > tolerance(rate) else Fraction(0)
    return _checked(Spacing(rate, even is None, len(times), True, duration, missing), label)


def _stamps(container: Any, stream: Any) -> tuple[list[int], int, bool]:
    """Give the time stamps of all packets, the duration of the last one, and whether the end was reached in time."""
    stamps: list[int] = []
    latest, last = -(1 << 62), 0
    deadline = time.monotonic() + COUNT_SECONDS
    try:
        for packet in container.demux(stream):
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is None or not packet.size or packet.is_discard:
                continue
            stamps.append(stamp)
            if stamp >= latest:
                latest, last = stamp, packet.duration or 0
            if time.monotonic() > deadline or len(stamps) > MAX_FILM_FRAMES:
                return stamps, last, False
    except (av.error.FFmpegError, EOFError):
        return stamps, last, False
    return stamps, last, stream.codec_context.codec.canonical_name != "vp8"


def _candidates(known: Fraction, stream: Any, measured: Fraction) -> Iterator[Fraction]:
    """Give the rates that a film may have exactly, the likeliest first."""
    for rate in (known, stream.base_rate, stream.guessed_rate):
        if rate:
            yield Fraction(rate)
    yield Fraction(round(measured))
    yield Fraction(round(measured * Fraction(1001, 1000)) * 1000, 1001)
    yield measured.limit_denominator(1001)
    yield measured


def _is_even(times: Any, tick: Fraction, rate: Fraction) -> bool:
    """Tell whether the sorted stamps lie on a grid of ``rate``, to within what the container can write down."""
    if rate <= 0 or rate > 1000:
        return False
    steps = np.arange(len(times)) * float(1 / (rate * tick))
    return bool(np.abs((times - times[0]) - steps).max() <= 1.01)


def _bounded(rate: Fraction) -> Fraction:
    return min(max(rate, Fraction(1, 1000)), Fraction(1000))


def _claimed_seconds(container: Any, stream: Any) -> Fraction:
    """Say how long the pictures last by the file's own word; the whole file's word counts only when there is no sound."""
    if stream.duration:
        return Fraction(stream.duration) * Fraction(stream.time_base)
    return Fraction(0 if container.streams.audio else container.duration or 0, av.time_base)


def _checked(spacing: Spacing, label: str) -> Spacing:
    if spacing.duration > MAX_FILM_SECONDS or spacing.frames > MAX_FILM_FRAMES:
        raise MediaError(f"{label} claims to last {float(spacing.duration) / 3600:.0f} hours; the most is 24. Cut it first.")
    return spacing
