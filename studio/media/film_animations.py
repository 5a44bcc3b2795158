"""Animated GIF, APNG and WebP as films, through Pillow. Their frames come composed, as a viewer shows them."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from studio.errors import MediaError
from studio.media.containers import read_metadata
from studio.media.files import read_regular, safe_name
from studio.media.film_delays import frame_delays
from studio.media.film_facts import MAX_FILM_FRAMES, MAX_FILM_PIXELS, MAX_FILM_SECONDS, FilmFacts, FilmFrame
from studio.media.film_files import check_pixels
from studio.media.marks import parse_recipe
from studio.media.reading import MAX_FILE_BYTES, UNUSABLE


def is_animation(head: bytes) -> bool:
    """Tell by the first bytes of a file (64 or more) whether Pillow reads it as an animation."""
    if head.startswith((b"GIF87a", b"GIF89a")):
        return True
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"acTL" in head
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20] & 0x02)


def probe_animation(path: str | os.PathLike[str]) -> FilmFacts:
    """Learn the facts of an animation; its first frame is decoded.

    Raises:
        MediaError: It is damaged or too large; the message names it.
    """
    data, label = _take(path)
    found = read_metadata(data)
    recipe, recipe_error = parse_recipe(found.recipe_text)
    with _opened(data, label) as file:
        times = frame_delays(data)
        if not times:
            raise MediaError(f"{label} is damaged: it holds no frame. Save or download it again.")
        is_transparent = _is_transparent(file)
        total = sum(times, Fraction(0))
        if total > MAX_FILM_SECONDS or len(times) > MAX_FILM_FRAMES:
            raise MediaError(f"{label} lasts {float(total) / 3600:.0f} hours in {len(times)} frames, more than is read. Cut it first.")
        kind = {"PNG": "apng"}.get(str(file.format), str(file.format).lower())
        width, height = file.size
    even = _even_rate(times, kind)
    return FilmFacts(
        name=label,
        container=kind,
        codec=kind,
        width=width,
        height=height,
        rate=even or len(times) / total,
        is_variable=even is None,
        frames=len(times),
        is_exact=True,
        duration=len(times) / even if even else total,
        has_alpha=is_transparent,
        recipe=recipe,
        recipe_error=recipe_error,
        marks=found.marks,
    )


def read_animation(path: str | os.PathLike[str], facts: FilmFacts, start: Fraction, end: Fraction | None) -> Iterator[FilmFrame]:
    """Give every frame that is on screen in ``[start, end)``, in order, each once.

    Raises:
        MediaError: The file is damaged; the good frames before that have been given.
    """
    data, label = _take(path)
    moment, index = Fraction(0), 0
    with _opened(data, label) as file:
        skipped = 1 if file.info.get("default_image") else 0
        for number, delay in enumerate(frame_delays(data)):
            duration = delay if facts.is_variable else 1 / facts.rate
            if end is not None and moment >= end:
                return
            file.seek(number + skipped)
            if moment + duration > start:
                image = np.array(file.convert("RGBA" if facts.has_alpha else "RGB"))
                check_pixels(image.shape[1], image.shape[0], label)
                yield FilmFrame(index, moment, duration, image)
                index += 1
            moment += duration


def _take(path: str | os.PathLike[str]) -> tuple[bytes, str]:
    return read_regular(path, MAX_FILE_BYTES), safe_name(Path(path).name, "the animation")


@contextlib.contextmanager
def _opened(data: bytes, label: str) -> Iterator[Any]:
    """Open with Pillow, check the size that the header claims, and turn what damaged files raise into one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            with Image.open(io.BytesIO(data), formats=("GIF", "PNG", "WEBP")) as file:
                check_pixels(file.width, file.height, label)
                yield file
    except MediaError:
        raise
    except MemoryError as error:
        raise MediaError(f"{label}: not enough memory to open it. Make it smaller.") from error
    except Image.DecompressionBombError as error:
        raise MediaError(f"{label} has frames of more than {MAX_FILM_PIXELS / 1e6:.0f} million pixels. Make it smaller first.") from error
    except (UnidentifiedImageError, *UNUSABLE) as error:
        raise MediaError(f"{label} is damaged or cut short. Save or download it again.", detail=repr(error)) from error


def _is_transparent(file: Any) -> bool:
    """Tell whether the first frame, as composed, lets the ground through (WebP and APNG: whether it has alpha at all)."""
    file.seek(0)
    if file.format == "GIF":
        return bool(np.asarray(file.convert("RGBA"))[..., 3].min() < 255)
    return bool(file.mode in ("RGBA", "LA", "PA") or file.has_transparency_data)


def _even_rate(times: list[Fraction], kind: str) -> Fraction | None:
    """Give the even rate that the rounded times of an animation stand for, or None when they are uneven."""
    tick = {"gif": Fraction(1, 100), "webp": Fraction(1, 1000)}.get(kind, Fraction(1, 1_000_000))
    total = sum(times, Fraction(0))
    measured = len(times) / total
    guesses = (Fraction(round(measured)), Fraction(round(measured * Fraction(1001, 1000)) * 1000, 1001))
    for rate in (*guesses, measured.limit_denominator(100), measured):
        moment, is_even = Fraction(0), rate > 0
        for number, duration in enumerate(times if is_even else ()):
            moment += duration
            if abs(moment - (number + 1) / rate) > tick:
                is_even = False
                break
        if is_even:
            return rate
    return None
