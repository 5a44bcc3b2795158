"""Open film and sound files with PyAV, within limits, and say in one sentence what is wrong with one.

A film comes from anywhere. Playlists, image lists and network addresses are not opened (only containers that hold
everything themselves, only from an ordinary file), frames larger than the limit are refused before they are decoded,
and whatever libav reports becomes a :class:`MediaError`.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.error

from studio.errors import MediaError
from studio.media.files import explained, safe_name
from studio.media.film_facts import MAX_FILM_PIXELS

_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,av1,obu,ivf,ogg,flv,asf,mxf,dv,nut,"
    "mp3,wav,w64,flac,aac,aiff,caf,ac3,eac3,opus,au"
)
"""What is opened: files that hold all of their own data. No playlists (hls, concat, dash), no lists of pictures."""


def check_regular(path: str | os.PathLike[str]) -> Path:
    """Give the path of an ordinary, non-empty file.

    Raises:
        MediaError: It is missing, a folder, a pipe or device, empty, or may not be read.
    """
    place = Path(path)
    with explained(place):
        status = place.stat()
        if stat.S_ISDIR(status.st_mode):
            raise MediaError(f"{place.name} is a folder. Choose a file in it.")
        if not stat.S_ISREG(status.st_mode):
            raise MediaError(f"{place.name} is not an ordinary file. Copy it to a folder first.")
        if not status.st_size:
            raise MediaError(f"{place.name} is empty. Save or download it again.")
        with place.open("rb"):
            return place.resolve()


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Open a film or sound file for reading; every libav error in the block becomes a :class:`MediaError`."""
    place = check_regular(path)
    label = safe_name(Path(path).name, "the film")
    with refusals(label):
        options = {"max_pixels": str(MAX_FILM_PIXELS), "format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
        with av.open(f"file:{place}", "r", options=options, metadata_errors="replace") as container:
            yield container


@contextlib.contextmanager
def refusals(label: str) -> Iterator[None]:
    """Turn what libav raises into one sentence about the file ``label``."""
    try:
        yield
    except av.error.FFmpegError as error:
        raise MediaError(_sentence(label, error), detail=repr(error)) from error
    except MemoryError as error:
        raise MediaError(f"{label}: not enough memory to open it. Close other programs or make it smaller.") from error


def _sentence(label: str, error: Exception) -> str:
    if isinstance(error, (av.error.DecoderNotFoundError, av.error.DemuxerNotFoundError)):
        return f"{label} is of a kind that cannot be read here. Convert it to MP4 (H.264) first."
    if isinstance(error, av.error.InvalidDataError):
        return f"{label} is damaged, cut short, or not a film. Save or download it again; MP4, MOV, WebM, MKV and AVI are read."
    if isinstance(error, OSError) and error.strerror:
        return f"{label} cannot be read ({error.strerror}). Save or download it again."
    return f"{label} is damaged, or of a kind that cannot be read here. Convert it to MP4 (H.264) first."


def film_stream(container: Any, label: str) -> Any:
    """Give the first stream of moving pictures (not a cover).

    Raises:
        MediaError: There is none, or its frames are too large.
    """
    streams = [stream for stream in container.streams.video if not _is_cover(stream) and stream.codec_context is not None]
    if not streams:
        holds = "holds only sound" if container.streams.audio else "holds no pictures"
        raise MediaError(f"{label} {holds}. Choose a film.")
    stream = streams[0]
    check_pixels(stream.codec_context.width, stream.codec_context.height, label)
    return stream


def check_pixels(width: int, height: int, label: str) -> None:
    """Refuse a frame size beyond the limit, or none at all."""
    if width * height > MAX_FILM_PIXELS:
        raise MediaError(
            f"{label} has frames of {width} x {height} pixels; the most is {MAX_FILM_PIXELS / 1e6:.0f} million pixels. "
            "Make it smaller first."
        )


def _is_cover(stream: Any) -> bool:
    return "attached_pic" in str(stream.disposition).lower()
