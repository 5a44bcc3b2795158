"""The kinds of film that can be written, what each can hold, and the settings of one. Nothing is encoded here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from studio.errors import MediaError

X26X_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")


@dataclass(frozen=True, slots=True)
class Kind:
    """What one kind of film can hold.

    Attributes:
        suffix: Of the file, with the dot.
        label: Words for a menu.
        has_alpha: Frames with alpha are taken.
        has_sound: Sound is taken.
        encoders: Names of libav's encoders, the preferred first; empty where none is needed.
        max_rate: Most frames a second.
        container: libav's name of the container, empty where it is not libav's.
        crf: Default quality, 0 to ``max_crf`` (lower is better); None where there is none.
        max_crf: Worst quality.
        preset: Default effort.
        presets: Words for the effort, the fastest first.
        chromas: ``420``, ``422`` and ``444`` as far as offered, the default first.
    """

    suffix: str
    label: str
    has_alpha: bool = False
    has_sound: bool = False
    encoders: tuple[str, ...] = ()
    max_rate: int = 120
    container: str = ""
    crf: int | None = None
    max_crf: int = 51
    preset: str = ""
    presets: tuple[str, ...] = ()
    chromas: tuple[str, ...] = ()


def _video(suffix: str, label: str, encoders: tuple[str, ...], **details: Any) -> Kind:
    return Kind(suffix, label, has_sound=True, encoders=encoders, container=suffix[1:], **details)


_X26X: dict[str, Any] = {"preset": "medium", "presets": X26X_PRESETS, "chromas": ("420", "444")}
_STEPS = tuple(str(step) for step in range(13, -1, -1))

KINDS: dict[str, Kind] = {
    "h264": _video(".mp4", "MP4, H.264: plays everywhere", ("libx264",), crf=18, **_X26X),
    "h265": _video(".mp4", "MP4, H.265: smaller", ("libx265",), crf=20, **_X26X),
    "av1": _video(".mp4", "MP4, AV1: smallest", ("libsvtav1",), crf=28, max_crf=63, preset="8", presets=_STEPS, chromas=("420",)),
    "vp9": _video(
        ".webm",
        "WebM, VP9: for web pages, keeps transparency",
        ("libvpx-vp9",),
        has_alpha=True,
        crf=24,
        max_crf=63,
        preset="4",
        presets=_STEPS[5:],
        chromas=("420", "444"),
    ),
    "prores": _video(".mov", "MOV, ProRes 422 HQ: for editing", ("prores_ks",), chromas=("422",)),
    "prores4444": _video(".mov", "MOV, ProRes 4444: for editing, keeps transparency", ("prores_ks",), has_alpha=True, chromas=("444",)),
    "gif": Kind(".gif", "GIF: 256 colours, plays in every message", has_alpha=True, encoders=("gif",), max_rate=50),
    "webp": Kind(".webp", "Animated WebP: true colours, keeps transparency", has_alpha=True),
    "apng": Kind(".apng", "APNG: lossless, keeps transparency", has_alpha=True, encoders=("apng",)),
    "png": Kind(".zip", "PNG frames in a zip: lossless", has_alpha=True),
    "jpeg": Kind(".zip", "JPEG frames in a zip"),
    "sprites": Kind(".png", "Spritesheet: one PNG with its JSON, for games", has_alpha=True),
}

_DEFAULTS = {".mp4": "h264", ".m4v": "h264", ".webm": "vp9", ".mov": "prores", ".gif": "gif", ".webp": "webp", ".apng": "apng"}
_DEFAULTS |= {".zip": "png", ".png": "sprites"}


@dataclass(frozen=True, slots=True)
class FilmFormat:
    """How a film is written. ``None`` stands for the kind's own default.

    Attributes:
        kind: A key of :data:`KINDS`.
        crf: Quality of h264, h265 (0 to 51), vp9 and av1 (0 to 63); lower is better.
        preset: Effort: ``ultrafast`` to ``veryslow`` for h264 and h265, a number (higher is faster) for av1 and vp9.
        chroma: ``420`` plays everywhere, ``444`` keeps colours sharp; ProRes has its own.
        even: Where sides must be even: ``pad`` repeats the last row or column, ``crop`` leaves it out.
        loops: How often an animation plays; 0 is for ever.
        palette: GIF: ``global`` (one for the film: calm, small) or ``frame`` (one each: truer colours).
        dither: GIF: ``sierra``, ``floyd``, ``bayer`` (calm between frames) or ``none``.
        quality: JPEG frames and lossy WebP, 1 to 100.
        is_lossless: WebP: pixel for pixel.
        columns: Spritesheet: pictures in a row; None makes the sheet about square.
    """

    kind: str = "h264"
    crf: int | None = None
    preset: str | None = None
    chroma: str | None = None
    even: str = "pad"
    loops: int = 0
    palette: str = "global"
    dither: str = "sierra"
    quality: int = 95
    is_lossless: bool = True
    columns: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no film can be written with, in one sentence."""
        _choose("kind", self.kind, tuple(KINDS))
        kind = KINDS[self.kind]
        if self.crf is not None and kind.crf is not None and not 0 <= self.crf <= kind.max_crf:
            raise MediaError(f"crf={self.crf} is out of range for {self.kind}. Use 0 (best) to {kind.max_crf}.")
        if self.preset is not None and kind.presets:
            _choose("preset", self.preset, kind.presets)
        if self.chroma is not None and kind.chromas:
            _choose(f"chroma of {self.kind}", self.chroma, kind.chromas)
        _choose("even", self.even, ("pad", "crop"))
        _choose("palette", self.palette, ("global", "frame"))
        _choose("dither", self.dither, ("sierra", "floyd", "bayer", "none"))
        if not 1 <= self.quality <= 100:
            raise MediaError(f"quality={self.quality} is out of range. Use 1 to 100.")
        if not 0 <= self.loops <= 65_535:
            raise MediaError(f"loops={self.loops} is out of range. Use 0 (for ever) to 65535.")
        if self.columns is not None and not 1 <= self.columns <= 1000:
            raise MediaError(f"columns={self.columns} is out of range. Use 1 to 1000.")


def available_kinds() -> tuple[str, ...]:
    """Name the kinds that this installation can write."""
    return tuple(name for name, kind in KINDS.items() if not kind.encoders or encoder_of(name))


def encoder_of(kind: str) -> str:
    """Name libav's encoder for a kind; empty when this installation lacks it."""
    return next((name for name in KINDS[kind].encoders if name in av.codecs_available), "")


def format_for(path: str | os.PathLike[str], **settings: Any) -> FilmFormat:
    """Choose the format that the suffix of ``path`` stands for, with further settings of :class:`FilmFormat`.

    Raises:
        MediaError: No kind of film has this suffix, or a setting is impossible.
    """
    suffix = Path(path).suffix.lower()
    if "kind" not in settings and suffix not in _DEFAULTS:
        raise MediaError(f"Films are saved as {', '.join(_DEFAULTS)}; {suffix or 'no suffix'!r} is none of these.")
    return FilmFormat(**{"kind": _DEFAULTS.get(suffix, ""), **settings})


def check_rate(rate: Fraction, kind: str) -> None:
    """Refuse a rate that a kind of film cannot show."""
    if rate > KINDS[kind].max_rate:
        raise MediaError(f"A {kind.upper()} shows at most {KINDS[kind].max_rate} frames a second; this film has {float(rate):g}.")


def _choose(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise MediaError(f"{name}={value!r} is not possible. Choose from {', '.join(choices)}.")
