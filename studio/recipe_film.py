"""The film part of a recipe: keyframes for every value, sounds, and what moves with what is heard. Plain data.

How it becomes frames is told in ``timeline/``, how features become movement in ``mapping.py``. Values are addressed by
dotted paths such as ``truncation.psi``, ``blends.0.weight`` or ``latent.classes.3``; see ``recipe_paths.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction

from studio.errors import RecipeError
from studio.recipe_codec import declare
from studio.recipe_latent import Latent

EASINGS = (
    *("smoothstep", "linear", "hold", "bounce"),
    *(f"{way}-{curve}" for curve in ("quad", "cubic", "sine") for way in ("ease-in", "ease-out", "ease-in-out")),
)
"""How to get from one keyframe to the next."""

PATHS = ("spline", "linear", "slerp", "plane", "circle", "noise", "walk")
"""Ways through latent space; see :class:`LatentLane`."""

MODES = ("add", "multiply", "toward", "trigger")
"""What a sound does to a value; see :class:`Mapping`."""

MAX_SECONDS = 36_000.0
MIN_RATE, MAX_RATE = 1, 120

_PATH = r"[a-z][a-z_]{0,39}(\.[a-z0-9_]{1,40}){0,5}"
_SHA256 = r"([0-9a-fA-F]{64})?"
_RATE = re.compile(r"(\d{1,7})(?:/(\d{1,7})|\.(\d{1,6}))?")
_NTSC = {"23.98": 24, "23.976": 24, "29.97": 30, "47.95": 48, "47.952": 48, "59.94": 60, "119.88": 120}


@dataclass(frozen=True, slots=True)
class Keyframe:
    """One value at one moment; ``easing`` tells how it goes on to the next keyframe (``hold``: stays, then jumps)."""

    time: float = declare(0.0, "when, in seconds", low=0.0, high=MAX_SECONDS)
    value: float = declare(0.0, "the value then", low=-(2.0**33), high=2.0**33)
    easing: str = declare("smoothstep", "how it goes on to the next one", choices=EASINGS)


@dataclass(frozen=True, slots=True)
class Lane:
    """The keyframes of one number of the recipe. Whole numbers are rounded, switches are on from 0.5."""

    target: str = declare("truncation.psi", "the dotted path of a value, such as truncation.psi", pattern=_PATH, max_length=200)
    keys: tuple[Keyframe, ...] = declare((), "keyframes", max_length=4000)


@dataclass(frozen=True, slots=True)
class LatentKey:
    """One place in latent space at one moment."""

    time: float = declare(0.0, "when, in seconds", low=0.0, high=MAX_SECONDS)
    latent: Latent = field(default_factory=Latent)
    easing: str = declare("linear", "how it goes on to the next one", choices=EASINGS)


@dataclass(frozen=True, slots=True)
class LatentLane:
    """A way through latent space for one latent of the recipe (``latent``, ``blends.0.latent``, ``truncation.center`` ...).

    ``spline`` (smooth), ``linear``, ``slerp`` (the arc in Z) and ``plane`` (along the seed plane) go through the keyframes.
    ``circle`` turns about the first through the second, in the plane of the third; ``noise`` and ``walk`` wander off the first.
    """

    target: str = declare("latent", "which latent of the recipe moves", pattern=_PATH, max_length=200)
    path: str = declare("spline", "the way between keyframes", choices=PATHS)
    keys: tuple[LatentKey, ...] = declare((), "places", max_length=500)
    constant_speed: bool = declare(False, "equal steps of change instead of the keyframes' times and easings")
    seed: int = declare(0, "which wandering", low=0, high=2**32 - 1)
    amount: float = declare(1.0, "how far noise and walk wander, how wide the circle is", low=0.0, high=10.0)
    speed: float = declare(0.25, "turns or steps per second when it wanders without a loop", low=0.0, high=20.0)
    cycles: int = declare(1, "how often a circle or noise goes round in a loop", low=1, high=1000)
    bound: float = declare(2.0, "a walk turns back this far from the average, in standard deviations", low=0.1, high=10.0)


@dataclass(frozen=True, slots=True)
class SoundRef:
    """A sound or MIDI file: its name and the SHA-256 of the file. ``start`` is where in it the film begins."""

    name: str = declare("", "file name of the sound", max_length=200)
    sha256: str = declare("", "the SHA-256 of the file, 64 hexadecimal digits", pattern=_SHA256, max_length=64)
    start: float = declare(0.0, "where in the sound the film begins, in seconds", low=-MAX_SECONDS, high=MAX_SECONDS)
    is_heard: bool = declare(True, "goes into the film; stems and MIDI only steer")


@dataclass(frozen=True, slots=True)
class Envelope:
    """How a feature becomes a movement between 0 and 1: clipped, gated, bent, followed, smoothed, turned over."""

    attack: float = declare(0.0, "seconds to follow upwards", low=0.0, high=5.0)
    release: float = declare(0.15, "seconds to follow downwards", low=0.0, high=10.0)
    smooth: float = declare(0.0, "smoothing, standard deviation in seconds", low=0.0, high=10.0)
    clip: float = declare(97.0, "the percentile that counts as full", low=50.0, high=100.0)
    power: float = declare(1.0, "over 1 keeps loud moments only", low=0.25, high=6.0)
    gate: float = declare(0.0, "what is quieter than this share is silence", low=0.0, high=1.0)
    delay: float = declare(0.0, "seconds later (or earlier)", low=-2.0, high=2.0)
    invert: bool = declare(False, "quiet is full")


@dataclass(frozen=True, slots=True)
class Mapping:
    """One cell of the sound matrix: what is heard, what moves, how much and how.

    ``add`` adds ``amount * level`` to the value; ``multiply`` multiplies it by ``1 + amount * level``; ``toward`` (latents) pulls
    towards ``latent``; ``trigger`` goes to the next keyframe of its target, in ``glide`` seconds, when the level rises over a half.
    """

    feature: str = declare("onset", "what is heard, such as onset_low or chroma.3", pattern=_PATH, max_length=100)
    sound: int = declare(0, "which of the sounds", low=0, high=15)
    target: str = declare("truncation.psi", "the dotted path of a value, such as view.zoom", pattern=_PATH, max_length=200)
    amount: float = declare(0.5, "how much", low=-2.0, high=2.0)
    mode: str = declare("add", "how it acts", choices=MODES)
    latent: Latent | None = None
    glide: float = declare(0.25, "seconds to the next keyframe", low=0.0, high=10.0)
    envelope: Envelope = field(default_factory=Envelope)


@dataclass(frozen=True, slots=True)
class Film:
    """How a recipe changes over time. Frame ``i`` shows the moment ``i / fps``; in a loop the first frame is not repeated."""

    fps: str = declare("30", "1 to 120 frames per second, such as 30, 29.97 or 30000/1001", pattern=_RATE.pattern, max_length=20)
    seconds: float = declare(10.0, "length in seconds", low=0.01, high=MAX_SECONDS)
    loop: bool = declare(True, "the end meets the beginning")
    lanes: tuple[Lane, ...] = declare((), "numbers that move", max_length=128)
    latents: tuple[LatentLane, ...] = declare((), "places that move", max_length=40)
    sounds: tuple[SoundRef, ...] = declare((), "sounds, stems and MIDI files", max_length=16)
    matrix: tuple[Mapping, ...] = declare((), "what moves with what is heard", max_length=256)
    flash_limit: bool = declare(True, "damp more than three large flashes per second")

    @property
    def rate(self) -> Fraction:
        """The exact frame rate.

        Raises:
            RecipeError: ``fps`` is no number, or not 1 to 120.
        """
        return parse_rate(self.fps)

    @property
    def count(self) -> int:
        """How many frames there are: ``seconds * rate``, rounded to the nearest whole number, at least one."""
        return max(1, int(Fraction(repr(float(self.seconds))) * self.rate + Fraction(1, 2)))

    def time_of(self, index: int) -> Fraction:
        """Return the exact moment of a frame in seconds."""
        return index / self.rate


def parse_rate(text: str | float | Fraction) -> Fraction:
    """Read a frame rate exactly; 23.976, 29.97, 59.94 and 119.88 are what they are short for (30000/1001 ...).

    Raises:
        RecipeError: It is no number, or not 1 to 120.
    """
    plain = f"{text:.6g}" if isinstance(text, float) else str(text)
    found = _RATE.fullmatch(plain)
    rate = Fraction(0)
    if plain.rstrip("0") in _NTSC:
        rate = Fraction(_NTSC[plain.rstrip("0")] * 1000, 1001)
    elif found is not None and int(found[2] or 1):
        rate = Fraction(plain)
    if not MIN_RATE <= rate <= MAX_RATE:
        raise RecipeError(f"fps={plain[:40]} cannot be used. Use {MIN_RATE} to {MAX_RATE} frames per second, such as 30 or 30000/1001.")
    return rate
