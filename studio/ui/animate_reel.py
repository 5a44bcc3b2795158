"""The film that one visitor is at: its undo steps, and its timeline made ready for previews.

What is heard is remembered for all visitors, since the same sound is listened to after every change. Films are rendered elsewhere
(``jobs``, ``animate_glimpse``); this is for looking only.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from studio import mapping
from studio.errors import MediaError
from studio.film_render import find_sound
from studio.hearing import hear
from studio.media import ImageArray
from studio.recipe import Recipe
from studio.recipe_film import Film, SoundRef
from studio.timeline import Timeline
from studio.ui.context import Context
from studio.ui.jobs_drawer import passing_sounds
from studio.ui.session import History, Session
from studio.worker import Priority

T = TypeVar("T")
PART = "animate"
MAX_HEARD = 6
MAX_LEVELS = 96
MAX_LISTENING = 2
"""Sounds that are listened to at once, over all visitors."""

Levels = npt.NDArray[np.float32]


class Remembered:
    """A few results by their key; the one that was not asked for longest is forgotten."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what is known under a key, or make it."""
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                found: T = self._known[key]
                return found
        made = make()
        with self._lock:
            self._known[key] = made
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return made


@dataclass(slots=True, eq=False)
class Ears:
    """What was heard, for everybody."""

    heard: Remembered = field(default_factory=lambda: Remembered(MAX_HEARD))
    levels: Remembered = field(default_factory=lambda: Remembered(MAX_LEVELS))
    turns: threading.Semaphore = field(default_factory=lambda: threading.BoundedSemaphore(MAX_LISTENING))
    given: tuple[Path, ...] = ()
    """Folders where sounds are kept, beside the studio's own."""

    def listen(self, ref: SoundRef) -> Any:
        """Return what is heard in a sound (``Analysis`` or ``Notes``), or None when its file is not here."""
        try:
            path = find_sound(ref, self.given)
        except MediaError:
            return None
        return self.heard.get(ref.sha256, lambda: hear(path))

    def film_levels(self, film: Film) -> tuple[Levels, ...]:
        """Return the levels of a film's matrix, one array ``[count]`` per entry."""
        return tuple(self._level(film, number) for number in range(len(film.matrix)))

    def _level(self, film: Film, number: int) -> Levels:
        entry = film.matrix[number]
        if entry.sound >= len(film.sounds):
            return np.zeros(film.count, np.float32)
        ref = film.sounds[entry.sound]
        heard = self.listen(ref)
        single = replace(film, sounds=(ref,), matrix=(replace(entry, sound=0),), lanes=(), latents=())
        key = (ref.sha256, ref.start, film.fps, film.count, entry.feature, entry.envelope, heard is None)
        return self.levels.get(key, lambda: mapping.levels(single, [heard])[0])


@dataclass(slots=True, eq=False)
class Reel:
    """One visitor's film."""

    history: History = field(default_factory=History)
    shown: Recipe | None = None
    """The film as the hand holds it now, which is not always a step of the history."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    errands: dict[str, Any] = field(default_factory=dict)
    listening: dict[str, Any] = field(default_factory=dict)
    sounds: set[str] = field(default_factory=set)
    """Hashes of the sounds that this visitor brought or may hear."""
    _plan: tuple[Recipe, Timeline] | None = None

    def plan(self, ctx: Context) -> Timeline:
        """Return the timeline of the film as it is now; made anew only after a change."""
        with self.lock:
            assert self.shown is not None, "there is a film"
            if self._plan is None or self._plan[0] != self.shown:
                self._plan = (self.shown, make_plan(ctx, self.shown))
            return self._plan[1]


def reel_of(session: Session) -> Reel:
    """Return the film that a session is at."""
    with session.lock:
        reel: Reel = session.parts.setdefault(PART, Reel())
    return reel


def ears_of(ctx: Context) -> Ears:
    """Return what was heard so far."""
    ears: Ears | None = ctx.sessions.parts.get(PART)
    if ears is None:
        folder = passing_sounds(ctx.settings)
        ears = ctx.sessions.parts.setdefault(PART, Ears(given=() if folder is None else (folder,)))
    return ears


def make_plan(ctx: Context, recipe: Recipe) -> Timeline:
    """Make a film's timeline ready: its model loaded, its sounds heard."""
    engine: Any = ctx.engine
    loaded = engine.generator(recipe.model)
    assert recipe.film is not None
    loud = ears_of(ctx).film_levels(recipe.film)
    prepare = lambda: Timeline(recipe, loaded.network, levels=loud, places=loaded.place, means=loaded.mean)  # noqa: E731
    made: Timeline = engine.take_turn(prepare, "exact", Priority.PREVIEW)
    return made


def still(ctx: Context, plan: Timeline, index: int) -> Recipe:
    """Return one frame as the recipe of a picture."""
    engine: Any = ctx.engine
    found: Recipe = engine.take_turn(lambda: plan.still(index), "exact", Priority.PREVIEW)
    return found


def preview(ctx: Context, plan: Timeline, index: int, size: int) -> ImageArray:
    """Draw one frame quickly, at most ``size`` pixels on its longest side."""
    return ctx.engine.preview(still(ctx, plan, index), size)
