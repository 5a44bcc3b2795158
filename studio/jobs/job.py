"""One film that was ordered: what is wanted, how far it is, what became of it. Plain data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from studio.errors import StudioError
from studio.export import Wishes
from studio.film_render import Look
from studio.media import KINDS, FilmFormat
from studio.recipe import MAX_FILM_JSON_BYTES, Recipe, from_json

STATES = ("running", "waiting", "paused", "done", "failed", "cancelled")
ENDED = ("done", "failed", "cancelled")


class JobError(StudioError):
    """Something that cannot be done with a job."""


@dataclass(frozen=True, slots=True)
class Job:
    """One entry of the list.

    Attributes:
        id: A short word, also the name of its folder.
        title: For people.
        state: One of :data:`STATES`.
        phase: While it runs: ``hearing`` or ``looking``, ``drawing``, ``encoding``.
        done: Frames that are finished in this phase.
        total: Frames in all.
        seconds_left: An estimate, or None.
        note: A sentence about it, such as that the disk is full.
        error: Why it failed, in a sentence.
        recipes: What to make: one film, or several side by side.
        wishes: Format and shape.
        pictures: The gallery's folder that it goes to; None for ``out``.
        out: The file that it goes to; None for the gallery.
        result: The finished film.
        item: Its name in the gallery.
        sha256: Of the finished film.
        visitor: Whose it is, where several people share a studio.
        created: When it was ordered, in seconds since 1970.
        finished: When it was done.
        request: What the running job was asked to do: ``pause``, ``cancel`` or ``remove``.
    """

    id: str
    title: str
    state: str
    phase: str
    done: int
    total: int
    seconds_left: float | None
    note: str
    error: str
    recipes: tuple[Recipe, ...]
    wishes: Wishes
    pictures: Path | None
    out: Path | None
    result: Path | None
    item: str
    sha256: str
    visitor: str
    created: float
    finished: float | None
    request: str

    @property
    def format(self) -> FilmFormat:
        """How the film is encoded."""
        return self.wishes.format or FilmFormat()

    @property
    def look(self) -> Look:
        """Size and shape of its frames."""
        return self.wishes.look

    @property
    def suffix(self) -> str:
        """The suffix of the film's file."""
        return KINDS[self.format.kind].suffix

    @property
    def share(self) -> float:
        """How much of the present phase is done, 0 to 1."""
        return 1.0 if self.state == "done" else min(1.0, self.done / max(1, self.total))

    @property
    def label(self) -> str:
        """How far it is, in a few words."""
        if self.state == "running" and self.phase in ("drawing", "encoding"):
            left = "" if self.seconds_left is None else f", {_duration(self.seconds_left)} left"
            return f"{self.phase} {self.done} of {self.total}{left}"
        if self.state == "running":
            return {"hearing": "listening to the sound", "looking": "looking through the film"}.get(self.phase, "starting")
        if self.state == "paused" and self.done:
            return f"paused at {self.done} of {self.total}"
        return self.state


def wishes_to_json(wishes: Wishes) -> str:
    """Write wishes as JSON."""
    return json.dumps(asdict(wishes))


def wishes_from_json(text: str) -> Wishes:
    """Take wishes back from :func:`wishes_to_json`."""
    data: dict[str, Any] = json.loads(text)
    format = data.pop("format")
    return Wishes(**{**data, "format": FilmFormat(**format) if format else None, "look": Look.from_dict(data["look"])})


def recipes_to_json(recipes: tuple[Recipe, ...]) -> str:
    """Write recipes as JSON."""
    return json.dumps([recipe.to_json() for recipe in recipes])


@lru_cache(maxsize=64)
def recipes_from_json(text: str) -> tuple[Recipe, ...]:
    """Take recipes back from :func:`recipes_to_json`."""
    return tuple(from_json(part, MAX_FILM_JSON_BYTES) for part in json.loads(text))


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    if seconds < 3600:
        return f"{round(seconds / 60)} min"
    return f"{int(seconds // 3600)} h {round(seconds % 3600 / 60)} min"
