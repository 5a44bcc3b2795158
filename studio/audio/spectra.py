"""What can be told of a sound from moment to moment, in one pass over blocks of samples, in memory that does not grow with them.

Every hop (about 12 ms) has its own window of samples, wherever blocks begin and end, so that the result does not depend on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from studio.audio.loading import librosa

Array = npt.NDArray[np.float32]

SAMPLE_RATE = 22050
HOP = 256
WINDOW = 1024
CHROMA_WINDOW = 4096
CHROMA_EVERY = 4
"""Hops between two chroma frames: pitch needs longer windows and changes more slowly."""
N_MELS = 64
BANDS = {"low": (0.0, 150.0), "mid": (150.0, 2000.0), "high": (2000.0, 12000.0)}
"""In Hz. Kicks and bass; voices and most instruments; cymbals and air."""
FLOOR = 1e-6
"""Power below which nothing is heard: 60 dB under full scale."""

_TIME_KERNEL, _MEL_KERNEL = 31, 11
_CONTEXT = _TIME_KERNEL // 2
_MARGINS = (16.0, 8.0)
"""How much stronger than the other the harmonic and the percussive part must be."""


@dataclass(frozen=True, slots=True)
class Tracks:
    """One value per hop of every feature, and one per chroma frame ``[m, 12]``; ``waveform [hops, 2]`` is the least and the most."""

    values: dict[str, Array]
    chroma: Array
    waveform: Array
    samples: int


def trace(blocks: Iterable[Array], *, parts: bool = True) -> Tracks:
    """Follow a sound from beginning to end.

    Args:
        blocks: ``[n]`` float32 at ``SAMPLE_RATE``, of any lengths.
        parts: Also separate percussive from harmonic sound, which takes most of the time.

    Returns:
        ``rms``, ``low``, ``mid``, ``high`` (amplitude), ``centroid`` (Hz), ``onset``, ``onset_low``, ``onset_mid``, ``onset_high``
        (rise of loudness), with ``parts`` also ``percussive``, ``percussive_onset``, ``harmonic``. The onset at a hop is the rise since
        the hop before it.

    Reference:
        Boeck and Widmer 2013, "Maximum Filter Vibrato Suppression for Onset Detection" (spectral flux); FitzGerald 2010,
        "Harmonic/Percussive Separation Using Median Filtering"; Driedger et al. 2014 (margins).
    """
    tracer = _Tracer(parts)
    for block in blocks:
        tracer.take(np.asarray(block, np.float32))
    return tracer.finish()


class _Frames:
    """Cut a stream of samples into overlapping windows centred on every hop."""

    def __init__(self, window: int, hop: int) -> None:
        self._window, self._hop = window, hop
        self._held = np.zeros(window // 2, np.float32)

    def take(self, block: Array) -> Array:
        """Return the windows ``[n, window]`` that are complete now."""
        self._held = np.concatenate([self._held, block])
        count = max(0, (len(self._held) - self._window) // self._hop + 1)
        if not count:
            return np.zeros((0, self._window), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(self._held, self._window)[:: self._hop][:count]
        self._held = self._held[count * self._hop :]
        return windows

    def finish(self) -> Array:
        """Return the last windows, filled up with silence."""
        return self.take(np.zeros(self._window // 2, np.float32))


class _Tracer:
    def __init__(self, parts: bool) -> None:
        self._parts = parts
        self._frames, self._chroma_frames = _Frames(WINDOW, HOP), _Frames(CHROMA_WINDOW, HOP * CHROMA_EVERY)
        self._separator = _Separator()
        self._values: dict[str, list[Array]] = {}
        self._chroma: list[Array] = []
        self._waveform: list[Array] = []
        self._loose = np.zeros(0, np.float32)
        self._last = self._last_percussive = np.zeros((1, N_MELS), np.float32)
        self._samples = 0

    def take(self, block: Array) -> None:
        self._samples += len(block)
        self._draw(block)
        self._read(self._frames.take(block))
        self._read_chroma(self._chroma_frames.take(block))

    def finish(self) -> Tracks:
        self._read(self._frames.finish())
        self._read_chroma(self._chroma_frames.finish())
        self._add_parts(self._separator.finish())
        if len(self._loose):
            self._waveform.append(np.array([[self._loose.min(), self._loose.max()]], np.float32))
        values = {name: np.concatenate(pieces) for name, pieces in self._values.items()}
        empty = np.zeros((0, 2), np.float32)
        return Tracks(values, np.concatenate(self._chroma), np.concatenate([empty, *self._waveform]), self._samples)

    def _draw(self, block: Array) -> None:
        joined = np.concatenate([self._loose, block])
        whole = len(joined) // HOP
        pieces = joined[: whole * HOP].reshape(whole, HOP)
        self._loose = joined[whole * HOP :]
        if whole:
            self._waveform.append(np.stack([pieces.min(1), pieces.max(1)], 1))

    def _read(self, windows: Array) -> None:
        for part in _slices(windows):
            power = _power(part)
            total, moment, *bands = (power @ self._sums).T
            self._keep("rms", np.sqrt(total * self._whole))
            self._keep("centroid", moment / np.maximum(total, FLOOR))
            for name, band in zip(BANDS, bands, strict=True):
                self._keep(name, np.sqrt(band * self._whole))
            mels = power @ self._mel_filters.T
            loud = _loudness(mels)
            rise = np.maximum(loud - np.concatenate([self._last, loud[:-1]]), 0.0)
            self._last = loud[-1:]
            self._keep("onset", rise.mean(1))
            for name, chosen in self._mel_bands.items():
                self._keep(f"onset_{name}", rise[:, chosen].mean(1))
            if self._parts:
                self._add_parts(self._separator.take(np.sqrt(mels)))

    def _add_parts(self, pieces: Iterable[tuple[Array, Array]]) -> None:
        for harmonic, percussive in pieces:
            loud = _loudness(percussive**2)
            rise = np.maximum(loud - np.concatenate([self._last_percussive, loud[:-1]]), 0.0)
            self._last_percussive = loud[-1:]
            self._keep("harmonic", np.sqrt((harmonic**2).sum(1)))
            self._keep("percussive", np.sqrt((percussive**2).sum(1)))
            self._keep("percussive_onset", rise.mean(1))

    def _read_chroma(self, windows: Array) -> None:
        for part in _slices(windows):
            classes = _power(part) @ self._chroma_filters.T
            total = classes.sum(1, keepdims=True)
            self._chroma.append(np.where(total > FLOOR, classes / np.maximum(total, FLOOR), 0.0).astype(np.float32))

    def _keep(self, name: str, values: Array) -> None:
        self._values.setdefault(name, []).append(values.astype(np.float32))

    @cached_property
    def _whole(self) -> float:
        """What turns the sum of a window's power into mean square amplitude (Parseval, one-sided)."""
        window = np.hanning(WINDOW + 1)[:-1]
        return float(window.sum() ** 2 / 2 / WINDOW / (window**2).sum())

    @cached_property
    def _hz(self) -> Array:
        return np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE).astype(np.float32)

    @cached_property
    def _sums(self) -> Array:
        """What a spectrum is multiplied with for its sum, its first moment, and the sum of every band."""
        bands = [(self._hz >= low) & (self._hz < high) for low, high in BANDS.values()]
        return np.stack([np.ones_like(self._hz), self._hz, *bands], 1).astype(np.float32)

    @cached_property
    def _mel_filters(self) -> Array:
        mel: Array = librosa().filters.mel(sr=SAMPLE_RATE, n_fft=WINDOW, n_mels=N_MELS, norm=None)
        return mel

    @cached_property
    def _mel_bands(self) -> dict[str, npt.NDArray[np.bool_]]:
        centers = self._mel_filters @ self._hz / self._mel_filters.sum(1)
        return {name: (centers >= low) & (centers < high) for name, (low, high) in BANDS.items()}

    @cached_property
    def _chroma_filters(self) -> Array:
        chroma: Array = librosa().filters.chroma(sr=SAMPLE_RATE, n_fft=CHROMA_WINDOW, tuning=0.0)
        return chroma


class _Separator:
    """Split mel amplitudes into harmonic and percussive parts; the median needs some hops on both sides, which are held back."""

    def __init__(self) -> None:
        self._held = np.zeros((0, N_MELS), np.float32)
        self._done = 0
        """Hops at the start of what is held that are finished and only stay as context."""

    def take(self, mels: Array) -> Iterator[tuple[Array, Array]]:
        self._held = np.concatenate([self._held, mels])
        if len(self._held) - self._done > 8 * _TIME_KERNEL:
            yield self._split(len(self._held) - _CONTEXT)

    def finish(self) -> Iterator[tuple[Array, Array]]:
        if len(self._held) > self._done:
            yield self._split(len(self._held))

    def _split(self, end: int) -> tuple[Array, Array]:
        parts = librosa().decompose.hpss(self._held.T, kernel_size=(_TIME_KERNEL, _MEL_KERNEL), margin=_MARGINS)
        harmonic, percussive = (part.T[self._done : end].astype(np.float32) for part in parts)
        keep_from = max(0, end - _CONTEXT)
        self._held, self._done = self._held[keep_from:], end - keep_from
        return harmonic, percussive


def _slices(windows: Array, most: int = 2048) -> Iterator[Array]:
    for start in range(0, len(windows), most):
        yield windows[start : start + most]


def _power(windows: Array) -> Array:
    """Return power spectra ``[n, window / 2 + 1]``; a full-scale sine has 1 at its frequency."""
    length = windows.shape[1]
    shape = np.hanning(length + 1)[:-1].astype(np.float32)
    spectra = np.fft.rfft(windows * shape, axis=1) * (2 / shape.sum())
    power: Array = (spectra.real**2 + spectra.imag**2).astype(np.float32)
    return power


def _loudness(power: Array) -> Array:
    """Return how loud it is heard: 0 for silence, 6 for full scale."""
    loud: Array = np.log10(1 + power / FLOOR)
    return loud
