"""Listen to a file once and remember what was heard: decoding, analysis and a cache on disk, for sounds and MIDI alike.

The cache is keyed by what is in the file and by how it was analysed, never by its name; a damaged entry is made anew.
"""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from studio import paths
from studio.audio import Analysis, analyse
from studio.audio.spectra import HOP, SAMPLE_RATE, WINDOW
from studio.media.files import atomic_write, hash_file
from studio.media.sounds import Samples, sound_seconds, stream_sound
from studio.midi import Notes, read_midi

log = logging.getLogger(__name__)

VERSION = 1
"""Raise it when the analysis changes, so that old entries of the cache are not used."""
MAX_CACHE_BYTES = 1 << 30
MIDI_SUFFIXES = (".mid", ".midi")


class Heard(Protocol):
    """What can be asked for features at frames: an :class:`~studio.audio.Analysis` or :class:`~studio.midi.Notes`."""

    duration: float

    def at_frames(self, name: str, rate: Fraction | float, count: int, start: float = 0.0) -> npt.NDArray[np.float32]:
        """Return one raw value per frame."""


def hear(path: str | os.PathLike[str], told: Callable[[float], None] | None = None) -> Analysis | Notes:
    """Listen to a sound, a film's sound, or a MIDI file (by its suffix .mid or .midi).

    Args:
        path: The file.
        told: Told now and then how much was heard, 0 to 1; what it raises ends the listening, and nothing is kept.

    Raises:
        MediaError: It cannot be read; the message names it.
    """
    place = Path(path)
    if place.suffix.lower() in MIDI_SUFFIXES:
        return read_midi(place)
    kept = cache_path(hash_file(place)) if place.is_file() else None
    found = None if kept is None else _recall(kept)
    if found is None:
        blocks = stream_sound(place, SAMPLE_RATE)
        found = analyse(blocks if told is None else _telling(blocks, sound_seconds(place), told))
        if kept is not None:
            _remember(kept, found)
    return found


def _telling(blocks: Iterable[Samples], seconds: float, told: Callable[[float], None]) -> Iterator[Samples]:
    """Give blocks on and tell before each how much came before it, and after the last that all did."""
    count = 0
    for block in blocks:
        told(min(1.0, count / SAMPLE_RATE / seconds) if seconds > 0 else 0.0)
        count += len(block)
        yield block
    told(1.0)


def cache_path(sha256: str) -> Path:
    """Return where what was heard in a file is kept."""
    return paths.cache_folder() / "sounds" / f"{sha256}-{VERSION}-{SAMPLE_RATE}-{HOP}-{WINDOW}.npz"


def _recall(kept: Path) -> Analysis | None:
    if not kept.is_file():
        return None
    try:
        with kept.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = Analysis.from_arrays({name: arrays[name] for name in arrays.files})
        os.utime(kept)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("%s is damaged and will be made anew: %s", kept.name, error)
        return None
    return found


def _remember(kept: Path, heard: Analysis) -> None:
    with atomic_write(kept) as file:
        np.savez(file, allow_pickle=False, **heard.to_arrays())
    entries = sorted(kept.parent.glob("*.npz"), key=lambda entry: entry.stat().st_mtime)
    total = sum(entry.stat().st_size for entry in entries)
    for entry in entries[:-1]:
        if total <= MAX_CACHE_BYTES:
            break
        total -= entry.stat().st_size
        entry.unlink(missing_ok=True)
