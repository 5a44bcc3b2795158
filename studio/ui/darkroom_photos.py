"""The photos and films that one session brought: what each is, and its pixels. A film is looked at one frame at a time.

This is *not* where they are kept (``darkroom.py``) nor what is made of them.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from studio.batch import FILM_SUFFIXES
from studio.errors import MediaError, StudioError
from studio.film_restyle.clip import split
from studio.film_restyle.estimates import ANIMATIONS
from studio.media import FilmFacts, ImageArray, Picture, inspect_image, probe_film, read_film, read_image
from studio.recipe import Recipe
from studio.ui.restyle_original import Original

MAX_PUBLIC_PIXELS = 4 * 10**6
MAX_PUBLIC_FILM_PIXELS = 10**6
"""Of one frame."""
MAX_PUBLIC_FILM_RATE = 30


@dataclass(frozen=True, slots=True)
class Order:
    """A film that is being made of one that was brought: its job, and what was asked for."""

    job: str
    start: float
    seconds: float


@dataclass(slots=True, eq=False)
class Photo:
    """One photo or film of a session: its file and what is being done to it (``recipe``)."""

    id: str
    name: str
    sha256: str
    file: Path
    width: int
    height: int
    recipe: Recipe
    notes: tuple[str, ...] = ()
    is_removed: bool = False
    small: bytes = b""
    """A small JPEG of it for the row."""
    film: FilmFacts | None = None
    """What it is, when it is a film."""
    frame: int = 0
    """Of a film: the frame that is looked at."""
    orders: list[Order] = field(default_factory=list)
    original: Original | None = None
    """A part of the film in a form that every browser plays, when one was asked for."""

    @property
    def key(self) -> str:
        """Name the pixels that are looked at."""
        return self.sha256 if self.film is None else f"{self.sha256}@{self.frame}"

    @property
    def words(self) -> str:
        """Say what it is called, in a sentence about it."""
        return "photo" if self.film is None else "film"

    def at(self, frame: int) -> Photo:
        """Return the film as it is looked at at a frame; a photo is itself."""
        return self if self.film is None else replace(self, frame=min(frame, self.film.frames - 1))

    def read(self) -> Picture:
        """Read the pixels: of a film those of the frame that is looked at.

        Raises:
            MediaError: The file is gone or damaged.
        """
        if self.film is None:
            return read_image(self.file, name=self.name)
        image, alpha = split(read_frame(self.file, self.film, self.frame))
        return Picture(image, alpha, name=self.name, sha256=self.sha256)


def read_frame(file: Path, facts: FilmFacts, index: int) -> ImageArray:
    """Return the frame of a film that is on screen in the middle of the ``index``-th step of its (mean) rate.

    Raises:
        MediaError: There is none, or the film is damaged there.
    """
    last = facts.duration - min(facts.duration, Fraction(1, 1000))
    moment = min((index + Fraction(1, 2)) / facts.rate, last)
    with closing(read_film(file, start=moment, facts=facts)) as frames:  # type: ignore[type-var]
        found = next(iter(frames), None)
    if found is None:
        raise MediaError(f"{facts.name} has no picture at {float(moment):.2f} seconds. Choose another moment.")
    return found.image


def film_facts(file: Path, name: str) -> FilmFacts | None:
    """Look at what a file is, by content: the facts of a film, or None for what is to be read as a picture.

    Raises:
        MediaError: It is called a film and is neither.
    """
    try:
        facts = probe_film(file)
    except MediaError:
        if Path(name).suffix.lower() in FILM_SUFFIXES and not _is_picture(file):
            raise
        return None
    if facts.container in ANIMATIONS and facts.frames < 2:
        return None
    return replace(facts, name=name)


def header_of(file: Path, name: str) -> tuple[tuple[int, int], str]:
    """Return width and height of a picture, and the SHA-256 of its file.

    Raises:
        MediaError: It is no picture.
    """
    header = inspect_image(file, name=name)
    return (header.width, header.height), header.sha256


def check_public(name: str, pixels: int, film: FilmFacts | None) -> None:
    """Refuse what a public server does not take.

    Raises:
        StudioError: It is too large, or a film has too many frames in a second.
    """
    most = MAX_PUBLIC_PIXELS if film is None else MAX_PUBLIC_FILM_PIXELS
    if pixels > most:
        has = "has" if film is None else "has frames of"
        raise StudioError(
            f"{name} {has} {pixels / 1e6:.1f} megapixels and this public studio takes up to {most / 1e6:.0f}. "
            "Reduce it, or run the studio on your own computer."
        )
    if film is not None and film.rate > MAX_PUBLIC_FILM_RATE:
        raise StudioError(
            f"{name} has {float(film.rate):.4g} frames per second and this public studio takes up to {MAX_PUBLIC_FILM_RATE}. "
            "Reduce it, or run the studio on your own computer."
        )


def _is_picture(file: Path) -> bool:
    try:
        inspect_image(file)
    except MediaError:
        return False
    return True
