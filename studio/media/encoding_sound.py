"""Put sound beside a film: copied packet by packet where that is possible, else encoded; never longer than the film.

Sound is written as the pictures advance, so neither waits in memory for the other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
import numpy.typing as npt

from studio.errors import MediaError
from studio.media.encoding_job import Job, Sound
from studio.media.files import safe_name
from studio.media.film_decoding import sound_facts
from studio.media.film_files import opened

_PLAYS = {
    "mp4": {"aac", "mp3", "ac3", "eac3", "alac"},
    "mov": {"aac", "mp3", "ac3", "alac", "pcm_s16le", "pcm_s24le", "pcm_s16be", "pcm_s24be"},
    "webm": {"opus", "vorbis"},
}
"""Codecs that players expect in each container."""
_HOLDS = {"mp4": _PLAYS["mp4"] | {"opus", "flac"}, "mov": _PLAYS["mov"], "webm": _PLAYS["webm"]}
_ENCODERS = {"mp4": ("aac", 96_000), "mov": ("aac", 96_000), "webm": ("libopus", 80_000)}
"""Encoder, and bits per second and channel."""
_AAC_RATES = (44_100, 48_000, 32_000, 24_000, 22_050, 16_000)
_EDGE_SECONDS = 0.005
_PACKET_SECONDS = Fraction(3, 100)

Samples = npt.NDArray[np.float32]


def keeps_sound(container: str, codec: str) -> bool:
    """Say whether sound of a codec can be copied bit for bit into an ``mp4``, ``mov`` or ``webm``."""
    return codec in _HOLDS.get(container, ())


def encoded_as(container: str) -> str:
    """Name what sound becomes in a container that cannot keep it as it is; empty for one without sound."""
    if container not in _ENCODERS:
        return ""
    return _ENCODERS[container][0].removeprefix("lib").replace("aac", "AAC").replace("opus", "Opus")


class SoundTrack:
    """The sound of one film, written as far as the pictures are."""

    def __init__(self, job: Job, container: Any, name: str) -> None:
        """Open the source and add the stream.

        Raises:
            MediaError: The source has no sound, or cannot be read.
        """
        assert job.sound is not None
        self._stack = contextlib.ExitStack()
        source = self._stack.enter_context(opened(job.sound.path))
        label = safe_name(Path(job.sound.path).name, "the sound")
        facts = sound_facts(source)
        if facts is None:
            self._stack.close()
            raise MediaError(f"{label} holds no sound. Choose a sound file, or a film with sound.")
        length = (Fraction(job.sound.end) if job.sound.end is not None else facts.duration) - Fraction(job.sound.start)
        fits = job.n_frames is not None and abs(length - job.n_frames / job.rate) <= max(1 / job.rate, _PACKET_SECONDS)
        is_copy = job.sound.mode == "copy" and facts.codec in _HOLDS[name]
        is_copy = is_copy or (job.sound.mode == "auto" and facts.codec in _PLAYS[name] and not job.sound.start and fits)
        self._track: _Copied | _Encoded
        if is_copy:
            self._track = _Copied(job.sound, source, container)
        else:
            self._track = _Encoded(job.sound, source, container, *_ENCODERS[name])

    def advance(self, until: Fraction) -> None:
        """Write the sound up to about ``until`` seconds of the film."""
        self._track.advance(until)

    def finish(self, end: Fraction) -> None:
        """Write the rest; the film ends at ``end`` seconds."""
        self._track.finish(end)

    def close(self) -> None:
        """Close the source."""
        self._stack.close()


class _Copied:
    """Packets taken over as they are; only their times move."""

    def __init__(self, sound: Sound, source: Any, container: Any) -> None:
        self._container = container
        self._input = source.streams.audio[0]
        self._stream = container.add_stream_from_template(self._input)
        self._tick = Fraction(self._input.time_base)
        self._shift = _origin(source, self._input) + round(Fraction(sound.start) / self._tick)
        self._keeps_lead = not sound.start
        self._end = None if sound.end is None else Fraction(sound.end) - Fraction(sound.start)
        if sound.start:
            source.seek(self._shift, stream=self._input, backward=True)
        self._packets = self._read(source)
        self._next = next(self._packets, None)

    def _read(self, source: Any) -> Iterator[Any]:
        for packet in source.demux(self._input):
            if packet.dts is None or packet.pts is None or not packet.size:
                continue
            packet.pts, packet.dts = packet.pts - self._shift, packet.dts - self._shift
            if packet.pts >= 0 or (self._keeps_lead and packet.pts + (packet.duration or 0) >= 0):
                yield packet

    def advance(self, until: Fraction) -> None:
        """Pass on the packets that end before ``until``."""
        limit = until if self._end is None else min(until, self._end)
        while self._next is not None and (self._next.pts + (self._next.duration or 0)) * self._tick <= limit:
            self._pass_on()

    def finish(self, end: Fraction) -> None:
        """Pass on the packets that begin before the end; the last one is said to last only until then."""
        limit = end if self._end is None else min(end, self._end)
        self.advance(limit)
        while self._next is not None and self._next.pts * self._tick < limit:
            left = round(limit / self._tick) - self._next.pts
            self._next.duration = max(1, min(self._next.duration or left, left))
            self._pass_on()

    def _pass_on(self) -> None:
        packet: Any = self._next
        self._next = next(self._packets, None)
        packet.stream = self._stream
        self._container.mux(packet)


class _Encoded:
    """Samples decoded, faded, padded and encoded anew, exactly as many as the film lasts."""

    def __init__(self, sound: Sound, source: Any, container: Any, encoder: str, bits: int) -> None:
        self._container = container
        stream = source.streams.audio[0]
        self._rate = 48_000 if encoder == "libopus" else min(_AAC_RATES, key=lambda rate: abs(rate - stream.codec_context.sample_rate))
        self._layout = "mono" if stream.codec_context.channels == 1 else "stereo"
        channels = 1 if self._layout == "mono" else 2
        self._stream = container.add_stream(encoder, rate=self._rate)
        context = self._stream.codec_context
        context.layout, context.format, context.bit_rate = self._layout, "flt" if encoder == "libopus" else "fltp", bits * channels
        context.time_base = Fraction(1, self._rate)
        context.open()
        self._block = context.frame_size or 1024
        self._is_planar = encoder != "libopus"
        self._queue: Samples = np.zeros((channels, 0), np.float32)
        self._written = 0
        self._limit = None if sound.end is None else round((Fraction(sound.end) - Fraction(sound.start)) * self._rate)
        self._fade, self._fades_in = round(sound.fade_seconds * self._rate), bool(sound.start)
        self._blocks = self._read(source, stream, Fraction(sound.start))

    def advance(self, until: Fraction) -> None:
        """Encode whole blocks, holding back what a fade may still need."""
        while self._written + self._block + self._fade <= until * self._rate:
            self._fill(self._block)
            self._encode(self._take(self._block))

    def finish(self, end: Fraction) -> None:
        """Encode the rest up to ``end``: silence after the sound's own end, or a fade where it is cut."""
        total = round(end * self._rate)
        rest = total - self._written
        self._fill(rest + 1)
        is_cut = self._queue.shape[1] > rest
        samples = self._take(rest)
        fade = min(self._fade, rest)
        if is_cut and fade:
            samples[:, rest - fade :] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
        for offset in range(0, rest, self._block):
            self._encode(samples[:, offset : offset + self._block])
        self._container.mux(self._stream.encode(None))

    def _read(self, source: Any, stream: Any, start: Fraction) -> Iterator[Samples]:
        """Decode from ``start`` on, in blocks ``[channels, n]``; a damaged end is the end."""
        origin, tick = _origin(source, stream), Fraction(stream.time_base)
        if start:
            source.seek(origin + int(max(Fraction(0), start - Fraction(1, 4)) / tick), stream=stream, backward=True)
        resampler = av.AudioResampler(format="fltp", layout=self._layout, rate=self._rate)
        position: int | None = None
        given = 0
        for frame in _decoded(source, stream):
            if position is None:
                first = Fraction((frame.pts or 0) - origin) * tick - start
                position = round(first * self._rate)
                frame.pts = None
                if position > 0:
                    yield from self._shaped(np.zeros((self._queue.shape[0], position), np.float32), given)
                    given += position
            frame.pts = None
            for part in resampler.resample(frame):
                samples = np.asarray(part.to_ndarray(), np.float32)
                skipped = min(max(0, -position), samples.shape[1])
                position += samples.shape[1]
                yield from self._shaped(samples[:, skipped:], given)
                given += samples.shape[1] - skipped
        for part in resampler.resample(None):
            yield from self._shaped(np.asarray(part.to_ndarray(), np.float32), given)
            given += part.samples

    def _shaped(self, samples: Samples, at: int) -> Iterator[Samples]:
        """Cut at the chosen end, and soften the edges of the range."""
        if self._limit is not None:
            samples = samples[:, : max(0, self._limit - at)]
        if not samples.shape[1]:
            return
        places = np.arange(at, at + samples.shape[1], dtype=np.float32)
        gain = np.ones_like(places)
        if self._fades_in:
            gain = np.minimum(gain, places / (_EDGE_SECONDS * self._rate))
        if self._limit is not None and self._fade:
            gain = np.minimum(gain, (self._limit - places) / self._fade)
        yield (samples * gain).astype(np.float32)

    def _fill(self, wanted: int) -> None:
        parts, held = [self._queue], self._queue.shape[1]
        while held < wanted and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            held += block.shape[1]
        self._queue = np.concatenate(parts, axis=1) if len(parts) > 1 else self._queue

    def _take(self, count: int) -> Samples:
        """Take samples from the queue, with silence where it is empty."""
        taken, self._queue = self._queue[:, :count], self._queue[:, count:]
        return np.pad(taken, [(0, 0), (0, count - taken.shape[1])])

    def _encode(self, samples: Samples) -> None:
        array = samples if self._is_planar else samples.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(array, np.float32), format="fltp" if self._is_planar else "flt", layout=self._layout
        )
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._written, Fraction(1, self._rate)
        self._written += samples.shape[1]
        self._container.mux(self._stream.encode(frame))


def _origin(source: Any, stream: Any) -> int:
    """Give the time stamp of the sound at the film's first picture (of the first sound, where there are no pictures)."""
    for video in source.streams.video:
        if video.start_time is not None and "attached_pic" not in str(video.disposition).lower():
            return round(Fraction(video.start_time) * Fraction(video.time_base) / Fraction(stream.time_base))
    return stream.start_time or 0


def _decoded(source: Any, stream: Any) -> Iterator[Any]:
    packets = source.demux(stream)
    while True:
        try:
            frames = next(packets).decode()
        except (StopIteration, EOFError):
            return
        except av.error.InvalidDataError:
            continue
        yield from frames
