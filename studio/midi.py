"""Notes of MIDI files as features: what is played, how high and how hard, at exact frame times. A thin layer on mido."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from studio.errors import MediaError, RecipeError

Array = npt.NDArray[np.float32]

MAX_BYTES = 8 * 1024 * 1024
MAX_MESSAGES = 500_000
PITCHES = 128
_DAMAGE = (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, ZeroDivisionError)
"""What mido raises on files that are not whole."""


@dataclass(frozen=True, slots=True)
class Notes:
    """What a MIDI file plays: ``notes [n, 4]`` of start, end (seconds), pitch and velocity (0..127), and controllers.

    ``controls`` holds ``[m, 2]`` of time and value (0..127) by controller number.
    """

    duration: float
    notes: npt.NDArray[np.float64]
    controls: Mapping[int, npt.NDArray[np.float64]]

    def at_frames(self, name: str, rate: Fraction | float, count: int, start: float = 0.0) -> Array:
        """Return a feature for every frame of a film.

        Args:
            name: ``note`` (1 at the frame where any note begins), ``velocity`` (of the loudest note that sounds, 0..1), ``pitch``
                (mean of those that sound, 0..1), ``note.60`` (velocity of one pitch while it sounds), ``cc.7`` (a controller, 0..1).
            rate: Frames per second.
            count: Number of frames.
            start: Where in the piece the film begins, in seconds.

        Raises:
            RecipeError: There is no such feature.
        """
        family, _, number = name.partition(".")
        step = float(1 / Fraction(rate))
        is_numbered = number.isdigit() and int(number) < PITCHES
        if family == "note" and not number:
            marks = np.zeros(count, np.float32)
            frames = np.floor((self.notes[:, 0] - start) / step + 0.5).astype(np.int64)
            marks[frames[(frames >= 0) & (frames < count)]] = 1.0
            return marks
        if family == "note" and is_numbered:
            return self._sounding(self.notes[self.notes[:, 2] == int(number)], start, step, count)
        if name == "velocity":
            return self._sounding(self.notes, start, step, count)
        if name == "pitch":
            return self._pitch(start, step, count)
        if family == "cc" and is_numbered:
            return self._control(int(number), np.asarray(start + np.arange(count) * step, np.float64))
        raise RecipeError(f"{name[:40]!r} is nothing that a MIDI file plays. Use note, velocity, pitch, note.0-127 or cc.0-127.")

    def _spans(self, notes: npt.NDArray[np.float64], start: float, step: float) -> npt.NDArray[np.int64]:
        """Return the first and the one after the last frame of each note; every note has one at least."""
        spans = np.floor((notes[:, :2] - start) / step + 0.5).astype(np.int64)
        spans[:, 1] = np.maximum(spans[:, 1], spans[:, 0] + 1)
        return spans

    def _sounding(self, notes: npt.NDArray[np.float64], start: float, step: float, count: int) -> Array:
        levels = np.zeros(count, np.float32)
        for (first, last), velocity in zip(self._spans(notes, start, step), notes[:, 3], strict=True):
            inside = slice(max(int(first), 0), max(int(last), 0))
            levels[inside] = np.maximum(levels[inside], velocity / 127)
        return levels

    def _pitch(self, start: float, step: float, count: int) -> Array:
        sums, totals = np.zeros(count + 1), np.zeros(count + 1)
        spans = np.clip(self._spans(self.notes, start, step), 0, count)
        for place, sign in ((0, 1.0), (1, -1.0)):
            np.add.at(sums, spans[:, place], sign * self.notes[:, 2])
            np.add.at(totals, spans[:, place], sign)
        high, sounding = np.cumsum(sums)[:count], np.cumsum(totals)[:count]
        return np.where(sounding > 0.5, high / np.maximum(sounding, 1) / 127, 0.0).astype(np.float32)

    def _control(self, number: int, times: npt.NDArray[np.float64]) -> Array:
        changes = self.controls.get(number)
        if changes is None:
            return np.zeros(len(times), np.float32)
        last = np.searchsorted(changes[:, 0], times, side="right") - 1
        return np.where(last >= 0, changes[np.maximum(last, 0), 1] / 127, 0.0).astype(np.float32)


def read_midi(path: str | os.PathLike[str]) -> Notes:
    """Read a MIDI file; tempo changes are followed, all tracks and channels count.

    Raises:
        MediaError: It is no MIDI file, damaged or too large; the message names it.
    """
    import mido

    place = Path(path)
    if not place.is_file():
        raise MediaError(f"{place.name} does not exist or is no file. Choose a MIDI file.")
    if place.stat().st_size > MAX_BYTES:
        raise MediaError(f"{place.name} is larger than {MAX_BYTES >> 20} MB, which no MIDI file of notes is.")
    try:
        messages: Iterable[Any] = mido.MidiFile(str(place), clip=True)  # type: ignore[no-untyped-call]
        return _collect(messages, place.name)
    except _DAMAGE as error:
        raise MediaError(
            f"{place.name} is damaged, or no MIDI file. Export it again as a standard .mid file.", detail=repr(error)
        ) from error


def _collect(messages: Iterable[Any], label: str) -> Notes:
    time = 0.0
    sounding: dict[tuple[int, int], tuple[float, int]] = {}
    notes: list[tuple[float, float, int, int]] = []
    controls: dict[int, list[tuple[float, int]]] = {}

    def end(key: tuple[int, int]) -> None:
        begun = sounding.pop(key, None)
        if begun is not None:
            notes.append((begun[0], time, key[1], begun[1]))

    for number, message in enumerate(messages):
        if number > MAX_MESSAGES:
            raise MediaError(f"{label} has more than {MAX_MESSAGES} events. Use a part of it.")
        time += message.time
        if message.type in ("note_on", "note_off"):
            key = (message.channel, message.note)
            end(key)
            if message.type == "note_on" and message.velocity > 0:
                sounding[key] = (time, message.velocity)
        elif message.type == "control_change":
            controls.setdefault(message.control, []).append((time, message.value))
    for key in list(sounding):
        end(key)
    table = np.array(sorted(notes), np.float64).reshape(-1, 4)
    return Notes(time, table, {number: np.array(changes, np.float64) for number, changes in controls.items()})
