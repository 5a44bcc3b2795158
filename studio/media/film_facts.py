"""What is known of a film, and one frame of it, as plain data. No file is opened here."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from studio.errors import MediaError
from studio.media.marks import Marks
from studio.media.pixels import ImageArray
from studio.recipe import Recipe

MIN_RATE, MAX_RATE = Fraction(1), Fraction(120)
MAX_FILM_PIXELS = 36_000_000
"""Pixels of one frame: a little more than 8K (7680 x 4320)."""
MAX_FILM_SECONDS = 24 * 3600
MAX_FILM_FRAMES = 4_000_000


@dataclass(frozen=True, slots=True)
class SoundFacts:
    """The sound of a film or a sound file: codec, sample rate in Hz, channels and length in seconds."""

    codec: str
    rate: int
    channels: int
    duration: Fraction


@dataclass(frozen=True, slots=True)
class FilmFacts:
    """What :func:`studio.media.probe_film` learns of a film without decoding more than its first frame.

    Attributes:
        name: File name without folders.
        container: ``mp4``, ``mov``, ``webm``, ``mkv``, ``avi``, ``gif``, ``apng``, ``webp`` ...
        codec: Of the pictures, such as ``h264``.
        width: Of the upright picture with square pixels.
        height: Likewise.
        rate: Frames per second; the average where it varies.
        is_variable: The frames are not evenly spaced.
        frames: How many there are.
        is_exact: ``frames`` was counted, not estimated.
        duration: Seconds that the pictures last.
        has_alpha: Frames come as ``[H, W, 4]``.
        sound: The first sound track, or None.
        rotation: Degrees clockwise that the file asks for; already applied to size and frames.
        recipe: How the studio made it, when the file says so and it is sound.
        recipe_error: Why the recipe in the file is unusable, in one sentence.
        marks: Statements of origin that the file carries.
        notes: What is only approximate, each one sentence to be shown.
        origin: Time of the first frame on the file's own clock, in seconds.
        missing: Seconds at the end that the file speaks of but that are not there: it was cut short.
    """

    name: str
    container: str
    codec: str
    width: int
    height: int
    rate: Fraction
    is_variable: bool
    frames: int
    is_exact: bool
    duration: Fraction
    has_alpha: bool = False
    sound: SoundFacts | None = None
    rotation: int = 0
    recipe: Recipe | None = None
    recipe_error: str = ""
    marks: Marks = field(default_factory=Marks)
    notes: tuple[str, ...] = ()
    origin: Fraction = Fraction(0)
    missing: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True, eq=False)
class FilmFrame:
    """One frame: ``index`` within what is read, ``time`` and ``duration`` in seconds of the film, uint8 ``[H, W, 3 or 4]``."""

    index: int
    time: Fraction
    duration: Fraction
    image: ImageArray


def parse_rate(rate: Fraction | int | float | str) -> Fraction:
    """Give a frame rate as an exact fraction; ``29.97`` and its kin become the broadcast rates that they stand for.

    Args:
        rate: Frames per second: ``30``, ``"30000/1001"``, ``Fraction(24)``, ``23.976``.

    Raises:
        MediaError: It is not a number from 1 to 120.
    """
    try:
        exact = Fraction(rate)
    except (ValueError, ZeroDivisionError, OverflowError, TypeError) as error:
        raise MediaError(f"rate={rate!r} is not a frame rate. Use a number from 1 to 120, such as 30 or 30000/1001.") from error
    if exact.denominator not in (1, 1001) and not isinstance(rate, Fraction):
        broadcast = Fraction(round(exact * Fraction(1001, 1000)) * 1000, 1001)
        exact = broadcast if abs(broadcast - exact) < Fraction(1, 200) else exact.limit_denominator(10_000)
    if not MIN_RATE <= exact <= MAX_RATE:
        raise MediaError(f"rate={rate} is out of range: films have 1 to 120 frames a second.")
    return exact
