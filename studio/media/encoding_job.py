"""What every kind of film writer is told, and what each must do. Plain data; nothing is encoded here."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av.error

from studio.errors import MediaError
from studio.media.encoding_kinds import FilmFormat
from studio.media.pixels import ImageArray

_SYSTEM = {errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EACCES, errno.EPERM, errno.EROFS}


@dataclass(frozen=True, slots=True)
class Sound:
    """The sound of a film: a range of any file that has sound.

    Attributes:
        path: Sound file or film.
        start: Seconds to begin at.
        end: Seconds to end at, or None.
        mode: ``auto`` copies the packets untouched when the container takes them and they last as long as the film, and
            encodes otherwise; ``copy`` copies whenever the container takes them; ``encode`` never copies.
        fade_seconds: Fade at the end of sound that is cut off, when it is encoded.
    """

    path: str | os.PathLike[str]
    start: Fraction | float = 0
    end: Fraction | float | None = None
    mode: str = "auto"
    fade_seconds: float = 0.05

    def __post_init__(self) -> None:
        """Refuse an impossible range."""
        if self.mode not in ("auto", "copy", "encode"):
            raise MediaError(f"mode={self.mode!r} is not possible for sound. Choose from auto, copy, encode.")
        if not 0 <= self.start < 1e6 or (self.end is not None and self.end <= self.start):
            raise MediaError(f"The sound from {self.start} to {self.end} seconds is empty. Give a range in seconds.")
        if not 0 <= self.fade_seconds <= 60:
            raise MediaError(f"fade_seconds={self.fade_seconds:g} is out of range. Use 0 to 60.")


@dataclass(frozen=True, slots=True)
class Job:
    """One film to be written.

    Attributes:
        part: The temporary file.
        target: Where it will be.
        width: Of the frames.
        height: Likewise.
        has_alpha: Frames are ``[H, W, 4]``.
        rate: Frames a second; about, when they are uneven.
        tick: The step in which times are written where the kind leaves the choice, in seconds.
        format: How.
        composite: A person's own picture or film went in.
        recipe: The recipe as ASCII JSON, or None.
        summary: One line about the recipe, may be empty.
        sound: Or None.
        n_frames: How many will come, or None when that is not known.
        palette: GIF: the palette of the whole film, uint8 ``[16, 16, 4]``, or None.
    """

    part: Path
    target: Path
    width: int
    height: int
    has_alpha: bool
    rate: Fraction
    tick: Fraction
    format: FilmFormat
    composite: bool = False
    recipe: str | None = None
    summary: str = ""
    sound: Sound | None = None
    n_frames: int | None = None
    palette: ImageArray | None = None


class Sink(Protocol):
    """Takes the frames of one film, in order."""

    def write(self, image: ImageArray, begin: Fraction, end: Fraction) -> None:
        """Add one frame that is shown from ``begin`` to ``end`` seconds."""
        ...

    def finish(self) -> None:
        """Complete the file after the last frame."""
        ...

    def close(self) -> None:
        """Let go of everything, finished or not; may be called twice."""
        ...


@contextlib.contextmanager
def encoder_errors(label: str) -> Iterator[None]:
    """Turn what libav raises while writing into an ``OSError`` of the system or one sentence."""
    try:
        yield
    except av.error.FFmpegError as error:
        if error.errno in _SYSTEM:
            raise OSError(error.errno, error.strerror) from error
        raise MediaError(f"{label} could not be encoded ({error.strerror}). Try another size or format.", detail=repr(error)) from error
    except MemoryError as error:
        raise MediaError(f"{label}: not enough memory to encode it. Choose a smaller size.") from error
