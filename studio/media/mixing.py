"""Mix several sounds into one file, each beginning at its own moment, block by block in bounded memory."""

from __future__ import annotations

import itertools
import os
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import av.error
import numpy as np
import numpy.typing as npt

from studio.errors import MediaError
from studio.media.files import atomic_write, safe_name

SAMPLE_RATE = 48_000
BLOCK = 4 * SAMPLE_RATE

Samples = npt.NDArray[np.float32]


def mix_sounds(parts: Sequence[tuple[str | os.PathLike[str], float]], seconds: float, target: str | os.PathLike[str]) -> None:
    """Write a stereo WAV (16 bit, 48 kHz) of several sounds at once; where they are too loud together they are clipped.

    Args:
        parts: Each sound with the moment in it at which the mix begins, in seconds; negative: it comes in later.
        seconds: Length of the mix.
        target: Where to; written atomically.

    Raises:
        MediaError: A sound cannot be read, or the disk is full.
    """
    total = round(seconds * SAMPLE_RATE)
    sources = [_Source(Path(path), start) for path, start in parts]
    with atomic_write(target) as file, wave.open(file, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        for begin in range(0, total, BLOCK):
            size = min(BLOCK, total - begin)
            mixed = np.sum([source.take(size) for source in sources], axis=0)
            out.writeframes((mixed.clip(-1, 1) * 32767).round().astype("<i2").T.tobytes())


class _Source:
    """One sound, given out in pieces of any length; silence before it and after it."""

    def __init__(self, path: Path, start: float) -> None:
        offset = round(start * SAMPLE_RATE)
        self._held: list[Samples] = [np.zeros((2, -offset), np.float32)] if offset < 0 else []
        self._skip = max(0, offset)
        self._blocks = _stereo(path)

    def take(self, size: int) -> Samples:
        """Give the next ``[2, size]`` samples."""
        while sum(block.shape[1] for block in self._held) < size:
            block = next(self._blocks, None)
            if block is None:
                block = np.zeros((2, size), np.float32)
            cut = min(self._skip, block.shape[1])
            self._skip -= cut
            if cut < block.shape[1]:
                self._held.append(block[:, cut:])
        joined = np.concatenate(self._held, axis=1)
        self._held = [joined[:, size:]]
        return joined[:, :size]


def _stereo(path: Path) -> Iterator[Samples]:
    """Decode a sound to blocks ``[2, n]`` at 48 kHz."""
    label = safe_name(path.name, "the sound")
    if not path.is_file():
        raise MediaError(f"{label} does not exist or is no file. Choose a sound.")
    try:
        with av.open(f"file:{path.resolve()}", "r", options={"protocol_whitelist": "file"}, metadata_errors="replace") as container:
            if not container.streams.audio:
                raise MediaError(f"{label} holds no sound that can be read. Choose another file.")
            layout = "mono" if container.streams.audio[0].codec_context.channels == 1 else "stereo"
            resampler = av.AudioResampler(format="fltp", layout=layout, rate=SAMPLE_RATE)
            for frame in itertools.chain(container.decode(audio=0), [None]):
                for part in resampler.resample(frame):
                    block: Samples = np.asarray(part.to_ndarray(), np.float32)
                    yield np.broadcast_to(block, (2, block.shape[1]))
    except (av.error.FFmpegError, EOFError, ValueError) as error:
        raise MediaError(f"{label} is damaged, or no sound that can be read here. Choose another file.", detail=repr(error)) from error
