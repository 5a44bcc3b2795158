"""Tempo and beats of a whole sound, from how its loudness rises. Memory grows with its length, by a few numbers per hop.

Reference:
    Ellis 2007, "Beat Tracking by Dynamic Programming" (librosa's tracker); Grosche et al. 2010 (tempogram).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from studio.audio.loading import librosa
from studio.audio.spectra import HOP, SAMPLE_RATE, Array

BLOCK_HOPS = 60 * SAMPLE_RATE // HOP
"""The tempo is taken anew every minute."""
SHORTEST_HOPS = 2 * SAMPLE_RATE // HOP
_SNAP = 4
"""Hops around a beat in which its strongest rise is looked for."""

Times = npt.NDArray[np.float64]


def find_beats(onset: Array, *, shift: float = 0.0) -> tuple[float, Times]:
    """Find the tempo and the beats.

    Args:
        onset: Rise of loudness per hop.
        shift: Seconds that an onset's hop lies before (negative: after) the sound itself.

    Returns:
        Beats per minute (0 where there is no beat), and the beats in seconds.
    """
    if len(onset) < SHORTEST_HOPS or not onset.max() > 0:
        return 0.0, np.zeros(0)
    library = librosa()

    def tempo_of(piece: Array, start: float) -> float:
        return float(np.ravel(library.feature.tempo(tg=_self_similarity(piece), sr=SAMPLE_RATE, hop_length=HOP, start_bpm=start))[0])

    pieces = [onset[start : start + BLOCK_HOPS] for start in range(0, len(onset), BLOCK_HOPS)]
    if len(pieces) > 1 and len(pieces[-1]) < BLOCK_HOPS // 2:
        pieces[-2:] = [np.concatenate(pieces[-2:])]
    loud = [piece for piece in pieces if piece.max() > 0]
    usual = float(np.median([tempo_of(piece, 120.0) for piece in loud]))
    tempi = [tempo_of(piece, usual) if piece.max() > 0 else usual for piece in pieces]
    steady = usual if np.allclose(tempi, usual, rtol=0.02) else np.repeat(tempi, [len(piece) for piece in pieces])
    _, hops = library.beat.beat_track(onset_envelope=onset.astype(np.float64), sr=SAMPLE_RATE, hop_length=HOP, bpm=steady, trim=True)
    places = _audible(onset, np.array([_peak_near(onset, int(hop)) for hop in hops]))
    times = np.unique(np.maximum(places * HOP / SAMPLE_RATE + shift, 0.0))
    return _tempo_of_beats(times, usual), times


def _self_similarity(piece: Array) -> npt.NDArray[np.float64]:
    """Return how alike the rises are to themselves some hops later (autocorrelation), ``[lags, 1]``, up to eight seconds."""
    steady = piece.astype(np.float64) - piece.mean()
    spectrum = np.fft.rfft(steady, 2 * len(steady))
    alike: npt.NDArray[np.float64] = np.fft.irfft(np.abs(spectrum) ** 2)[: min(len(piece), 4 * SHORTEST_HOPS), None]
    return np.maximum(alike / max(float(alike[0, 0]), 1e-12), 0.0)


def _peak_near(onset: Array, hop: int) -> float:
    """Move a beat to the strongest rise near it, between hops by a parabola through three values."""
    first, last = max(hop - _SNAP, 0), min(hop + _SNAP + 1, len(onset))
    peak = first + int(np.argmax(onset[first:last]))
    if onset[peak] <= 0 or not 0 < peak < len(onset) - 1:
        return float(hop if onset[peak] <= 0 else peak)
    before, here, after = (float(onset[place]) for place in (peak - 1, peak, peak + 1))
    bend = before - 2 * here + after
    return peak + (min(max(0.5 * (before - after) / bend, -0.5), 0.5) if bend < 0 else 0.0)


def _audible(onset: Array, places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Drop the beats at both ends that only the tracker's habit puts there, and add clear ones that it left out."""
    if not len(places):
        return places
    strength = onset[np.clip(np.round(places).astype(np.int64), 0, len(onset) - 1)]
    usual = float(np.median(strength))
    heard = np.flatnonzero(strength >= 0.2 * usual)
    kept = places[heard[0] : heard[-1] + 1] if len(heard) else places[:0]
    step = float(np.median(np.diff(kept))) if len(kept) >= 4 else 0.0
    if step <= 2 * _SNAP or usual <= 0:
        return kept
    before = _go_on(onset, kept[0], -step, 0.5 * usual)
    return np.array([*before[::-1], *kept, *_go_on(onset, kept[-1], step, 0.5 * usual)])


def _go_on(onset: Array, place: float, step: float, least: float) -> list[float]:
    """Follow clear beats that the tracker left out at an end of the sound."""
    found: list[float] = []
    while 0 <= round(place + step) < len(onset):
        place = _peak_near(onset, round(place + step))
        if onset[min(max(round(place), 0), len(onset) - 1)] < least:
            break
        found.append(place)
    return found


def _tempo_of_beats(times: Times, usual: float) -> float:
    gaps = np.diff(times)
    return float(60 / np.median(gaps)) if len(gaps) >= 4 else usual
