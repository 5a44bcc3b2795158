"""Sounds in: any file that PyAV decodes, whole or as a stream of bounded memory. The sound of a film counts too.

Samples only; what is heard in them is told in ``audio/``. What libav raises becomes one sentence.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
import numpy.typing as npt

from studio.errors import MediaError
from studio.media.files import safe_name

Samples = npt.NDArray[np.float32]

MAX_SOUND_SECONDS = 12 * 3600
MAX_SAMPLES = 1 << 29
"""Most samples of all channels that are read into memory at once (2 GB)."""
MAX_CHANNELS = 64
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,ogg,flv,asf,nut,mp3,wav,w64,flac,aac,aiff,caf,ac3,eac3,opus,au,amr,wv,tta"
)
"""Files that hold all of their own data: no playlists, no network."""
_MAX_DAMAGED_PACKETS = 64


def read_sound(path: str | os.PathLike[str]) -> tuple[Samples, int]:
    """Read a whole sound at its own sample rate.

    Returns:
        ``(y, sr)``: ``y [channels, n]`` float32, 1 is full scale; ``sr`` in Hz.

    Raises:
        MediaError: It cannot be read, holds no sound, or is too long for the memory; the message names it.
    """
    label = safe_name(Path(path).name, "the sound")
    blocks: list[Samples] = []
    size = 0
    with _Sound(path, label) as sound:
        for block in sound.blocks():
            size += block.size
            if size > MAX_SAMPLES:
                raise MediaError(f"{label} is too long to be read at once. Use a part of it.")
            blocks.append(block)
        return np.concatenate(blocks, axis=1), sound.rate


def stream_sound(path: str | os.PathLike[str], sr: int = 22050, block_seconds: float = 20.0) -> Iterator[Samples]:
    """Read a sound mixed down to one channel at a wanted rate, block by block; its length in memory never matters.

    Args:
        path: The file.
        sr: Sample rate in Hz; the resampling is exact in time over any length.
        block_seconds: Length of a block; the last one is shorter.

    Yields:
        ``[n]`` float32.

    Raises:
        MediaError: As for :func:`read_sound`.
    """
    label = safe_name(Path(path).name, "the sound")
    wanted = max(1, round(sr * block_seconds))
    held: list[Samples] = []
    size = total = 0
    with _Sound(path, label, rate=sr) as sound:
        for block in sound.blocks():
            held.append(block.mean(0))
            size += block.shape[1]
            total += block.shape[1]
            if total > sr * MAX_SOUND_SECONDS:
                raise MediaError(f"{label} is longer than {MAX_SOUND_SECONDS // 3600} hours. Use a part of it.")
            while size >= wanted:
                joined = np.concatenate(held)
                yield joined[:wanted]
                held, size = [joined[wanted:]], size - wanted
    if size:
        yield np.concatenate(held)


def sound_seconds(path: str | os.PathLike[str]) -> float:
    """Return about how long a sound is, as its file says; 0 where the file does not say.

    Raises:
        MediaError: It cannot be read, or holds no sound.
    """
    with _Sound(path, safe_name(Path(path).name, "the sound")) as sound:
        return sound.seconds


class _Sound:
    """An open sound file that gives blocks ``[channels, n]``; a context manager.

    Args:
        path: The file.
        label: How errors call it.
        rate: Resample to this rate; None keeps the file's.
    """

    def __init__(self, path: str | os.PathLike[str], label: str, *, rate: int | None = None) -> None:
        self._path, self._label = Path(path), label
        self.rate = rate or 0
        self._container: Any = None

    def __enter__(self) -> _Sound:
        if not self._path.is_file():
            raise MediaError(f"{self._label} does not exist or is no file. Choose a sound.")
        options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
        try:
            self._container = av.open(f"file:{self._path.resolve()}", "r", options=options, metadata_errors="replace")
            if not self._container.streams.audio or self._container.streams.audio[0].codec_context is None:
                raise MediaError(f"{self._label} holds no sound that can be read. Choose another file.")
        except (av.error.FFmpegError, MemoryError, ValueError) as error:
            raise self._refusal(error) from error
        except MediaError:
            self._container.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    @property
    def seconds(self) -> float:
        """The length that the file tells, 0 when it tells none."""
        return max(0.0, float(self._container.duration or 0) / av.time_base)

    def blocks(self) -> Iterator[Samples]:
        """Decode from the beginning to the end, skipping a few damaged packets.

        Raises:
            MediaError: Nothing could be decoded, or too much is damaged.
        """
        stream = self._container.streams.audio[0]
        context = stream.codec_context
        if not context.sample_rate or not 0 < context.channels <= MAX_CHANNELS:
            raise MediaError(f"{self._label} is damaged: it tells no sample rate or channels. Save or download it again.")
        self.rate = self.rate or int(context.sample_rate)
        resampler = av.AudioResampler(format="fltp", layout=context.layout, rate=self.rate)
        is_empty, damaged = True, 0
        packets = self._container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                frames = packet.decode() if packet is not None else [None]
                for out in (part for frame in frames for part in resampler.resample(frame)):
                    is_empty = False
                    yield np.nan_to_num(out.to_ndarray(), copy=False, posinf=1.0, neginf=-1.0)
                if packet is None:
                    break
            except (av.error.FFmpegError, EOFError, ValueError, MemoryError) as error:
                damaged += 1
                if damaged > _MAX_DAMAGED_PACKETS or packets is None or isinstance(error, (EOFError, MemoryError)):
                    raise self._refusal(error) from error
        if is_empty:
            raise MediaError(f"{self._label} is damaged or empty: no sound could be read from it. Save or download it again.")

    def _refusal(self, error: Exception) -> MediaError:
        if isinstance(error, MemoryError):
            return MediaError(f"{self._label}: not enough memory to read it. Close other programs.", detail=repr(error))
        return MediaError(
            f"{self._label} is damaged, or no sound that can be read here. WAV, FLAC, MP3, OGG, M4A and films are read.", detail=repr(error)
        )
