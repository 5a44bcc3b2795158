"""Everything that is heard in one sound, kept small, and asked for at exact frame times.

A frame ``i`` at ``rate`` frames per second shows the moment ``i / rate``, computed anew for every frame: nothing adds up, so
nothing drifts. What is short (an onset, a beat) belongs to the frame nearest to it and is never lost between two frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from studio.audio.beats import Times, find_beats
from studio.audio.sections import find_sections
from studio.audio.spectra import CHROMA_EVERY, HOP, SAMPLE_RATE, Array, trace
from studio.errors import RecipeError

NOTES = tuple(f"chroma.{number}" for number in range(12))
"""The twelve pitch classes from C upwards."""
FEATURES = (
    *("rms", "low", "mid", "high", "onset", "onset_low", "onset_mid", "onset_high"),
    *("percussive", "percussive_onset", "harmonic", "centroid"),
    *("beat", "beat_phase", "section", "section_change"),
    *NOTES,
)
ONSET_SHIFT = 0.009
"""Seconds from the hop in which a click's loudness rises most to the click itself: its window reaches ahead."""
_EVENTS = ("onset", "onset_low", "onset_mid", "onset_high", "percussive_onset")


@dataclass(frozen=True, slots=True)
class Analysis:
    """What is heard in one sound. Times are in seconds from its beginning.

    ``beats`` are moments; ``sections`` are ``(start, kind)``; ``tempo`` is in beats per minute, 0 without a beat;
    ``waveform [n, 2]`` is the least and the most of every hop, ``waveform_rate`` hops per second.
    """

    duration: float
    tempo: float
    beats: Times
    sections: tuple[tuple[float, int], ...]
    tracks: Mapping[str, Array]
    chroma: Array
    waveform: Array

    @property
    def waveform_rate(self) -> float:
        """How many pairs of the waveform make a second."""
        return SAMPLE_RATE / HOP

    def at_frames(self, name: str, rate: Fraction | float, count: int, start: float = 0.0) -> Array:
        """Return a feature for every frame of a film.

        Args:
            name: One of :data:`FEATURES`.
            rate: Frames per second.
            count: Number of frames.
            start: Where in the sound the film begins, in seconds; before and after the sound there is silence.

        Returns:
            ``[count]`` float32, raw: amplitudes, Hz, loudness steps; ``beat`` and ``section_change`` are 0 or 1.

        Raises:
            RecipeError: There is no such feature.
        """
        times = start + np.arange(count) / Fraction(rate).numerator * Fraction(rate).denominator
        step = float(1 / Fraction(rate))
        if name in ("beat", "section_change"):
            moments = self.beats if name == "beat" else np.array([begin for begin, _ in self.sections[1:]])
            return mark_nearest(moments, start, step, count)
        if name == "beat_phase":
            return self._phase(times)
        if name == "section":
            starts, kinds = [begin for begin, _ in self.sections], [kind for _, kind in self.sections]
            there = np.maximum(np.searchsorted(starts, times, side="right") - 1, 0)
            return (np.array(kinds)[there] / max(max(kinds), 1)).astype(np.float32)
        if name in NOTES:
            track = self.chroma[:, NOTES.index(name)]
            return sample(track, HOP * CHROMA_EVERY / SAMPLE_RATE, times, step)
        if name not in self.tracks:
            raise RecipeError(f"{name[:40]!r} cannot be heard in a sound. Use one of: {', '.join(FEATURES[:16])}, chroma.0 to chroma.11.")
        if name in _EVENTS:
            return sample(self.tracks[name], HOP / SAMPLE_RATE, times - ONSET_SHIFT, step, peaks=True)
        return sample(self.tracks[name], HOP / SAMPLE_RATE, times, step)

    def _phase(self, times: Times) -> Array:
        """Return how far it is from the last beat to the next, 0 .. 1; 0 outside of the beats."""
        if len(self.beats) < 2:
            return np.zeros(len(times), np.float32)
        last = np.clip(np.searchsorted(self.beats, times, side="right") - 1, 0, len(self.beats) - 2)
        phase = (times - self.beats[last]) / (self.beats[last + 1] - self.beats[last])
        return np.where((phase >= 0) & (phase < 1), phase, 0.0).astype(np.float32)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything as plain arrays, to be kept in a file."""
        numbers = np.array([self.duration, self.tempo])
        sections = np.array(self.sections, np.float64)
        plain = {"numbers": numbers, "beats": self.beats, "sections": sections, "chroma": self.chroma, "waveform": self.waveform}
        return plain | {f"track_{name}": track for name, track in self.tracks.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Analysis:
        """Undo :meth:`to_arrays`; KeyError or ValueError when they are not whole."""
        duration, tempo = (float(number) for number in arrays["numbers"])
        sections = tuple((float(start), int(kind)) for start, kind in arrays["sections"])
        tracks = {name.removeprefix("track_"): arrays[name] for name in arrays if name.startswith("track_")}
        if any(array.ndim != 1 for array in tracks.values()) or arrays["chroma"].shape[1:] != (12,) or not sections:
            raise ValueError("an array has the wrong shape")
        return cls(duration, tempo, arrays["beats"], sections, tracks, arrays["chroma"], arrays["waveform"])


def analyse(blocks: Iterable[Array], *, parts: bool = True) -> Analysis:
    """Listen to a sound from beginning to end, in memory that hardly grows with its length.

    Args:
        blocks: ``[n]`` float32 samples at ``spectra.SAMPLE_RATE``, of any lengths.
        parts: Also separate percussive from harmonic sound, which takes most of the time.
    """
    tracks = trace(blocks, parts=parts)
    duration = tracks.samples / SAMPLE_RATE
    tempo, beats = find_beats(tracks.values["onset"], shift=ONSET_SHIFT)
    beats = beats[beats <= duration]
    gaps = np.diff([0.0, *beats, duration])
    marks = beats if len(beats) >= 16 and gaps.max() < 4.0 else np.arange(0.0, duration, 0.5)
    if len(marks):
        heard = _heard_at(tracks.values, tracks.chroma, marks, duration)
        sections = find_sections(heard, marks, duration)
    else:
        sections = ((0.0, 0),)
    return Analysis(duration, tempo, beats, sections, tracks.values, tracks.chroma, tracks.waveform)


def _heard_at(values: Mapping[str, Array], chroma: Array, marks: Times, end: float) -> Array:
    """Return the mean of what is heard from each mark to the next, ``[marks, n]``."""
    columns = [np.log10(values[name] + 1e-3) for name in ("rms", "low", "mid", "high")] + [values["centroid"] / 1000]
    fine = _means(np.stack(columns, 1), marks, end, HOP / SAMPLE_RATE)
    return np.concatenate([fine, _means(chroma, marks, end, HOP * CHROMA_EVERY / SAMPLE_RATE)], 1).astype(np.float32)


def _means(track: Array, marks: Times, end: float, step: float) -> Array:
    edges = np.append(marks, end)
    sums = np.concatenate([np.zeros((1, track.shape[1])), np.cumsum(track, 0, dtype=np.float64)])
    first = np.clip(np.ceil(edges[:-1] / step).astype(np.int64), 0, len(track) - 1)
    last = np.clip(np.ceil(edges[1:] / step).astype(np.int64), first + 1, len(track))
    means: Array = (sums[last] - sums[first]) / (last - first)[:, None]
    return means


def sample(track: Array, track_step: float, times: Times, step: float, *, peaks: bool = False) -> Array:
    """Read a track at the moments of frames: the mean (or with ``peaks`` the most) of what lies within half a frame.

    Args:
        track: One value every ``track_step`` seconds, the first at 0.
        track_step: Seconds between two of them.
        times: The moments of the frames, evenly spaced.
        step: Seconds between two frames; where frames are closer than the values, these are joined by straight lines.
        peaks: Take the most rather than the mean, so that what is short is not lost.
    """
    if not len(track) or not len(times):
        return np.zeros(len(times), np.float32)
    edges = np.ceil(np.append(times - step / 2, times[-1] + step / 2) / track_step).astype(np.int64)
    first, last = edges[:-1], edges[1:]
    inside = (last > 0) & (first < len(track))
    first, last = np.clip(first, 0, len(track)), np.clip(last, 0, len(track))
    is_filled = last > first
    out = np.interp(times / track_step, np.arange(len(track)), track)
    if peaks:
        padded = np.append(track, -np.inf)
        bounds = np.stack([first, np.maximum(last, first)], 1).ravel()
        most = np.maximum.reduceat(padded, np.minimum(bounds, len(track)))[::2]
        out = np.where(is_filled, most, out)
    else:
        sums = np.concatenate([[0.0], np.cumsum(track, dtype=np.float64)])
        out = np.where(is_filled, (sums[last] - sums[first]) / np.maximum(last - first, 1), out)
    return np.where(inside | is_filled, out, 0.0).astype(np.float32)


def mark_nearest(moments: npt.NDArray[np.float64], start: float, step: float, count: int) -> Array:
    """Return 1 for each frame that is the nearest to a moment, 0 elsewhere."""
    frames = np.floor((moments - start) / step + 0.5).astype(np.int64)
    marks = np.zeros(count, np.float32)
    marks[frames[(frames >= 0) & (frames < count)]] = 1.0
    return marks
