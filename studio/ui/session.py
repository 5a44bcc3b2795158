"""Who is at the page and what they did: a secret token per browser tab, its undo steps and its strip of pictures.

Nothing here is shared between visitors. It is *not* saved work (that is ``gallery.py``): a session forgets after some hours.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from studio.errors import StudioError
from studio.recipe import Recipe

UNDO_STEPS = 200
STRIP_LENGTH = 60
CALLS_PER_SESSION = 12


class SessionGoneError(StudioError):
    """The token is unknown: the app was started anew, or the page was away for long. The page then asks for another."""


class History:
    """The undo stack: recipes in the order they were made, and where in it the page is now."""

    def __init__(self, limit: int = UNDO_STEPS) -> None:
        """Start empty and keep at most ``limit`` steps."""
        self._steps: list[Recipe] = []
        self._at = -1
        self._limit = limit

    @property
    def current(self) -> Recipe | None:
        """Return the step the page shows."""
        return self._steps[self._at] if self._at >= 0 else None

    @property
    def before(self) -> Recipe | None:
        """Return the step before the one shown, for comparing."""
        return self._steps[self._at - 1] if self._at > 0 else None

    @property
    def undo_steps(self) -> int:
        """Return how many steps back there are."""
        return max(self._at, 0)

    @property
    def redo_steps(self) -> int:
        """Return how many undone steps could be done again."""
        return len(self._steps) - 1 - self._at

    def push(self, recipe: Recipe) -> bool:
        """Add a step and drop what was undone; say False and change nothing when it equals the current one."""
        if recipe == self.current:
            return False
        self._steps = [*self._steps[: self._at + 1], recipe][-self._limit - 1 :]
        self._at = len(self._steps) - 1
        return True

    def undo(self) -> Recipe | None:
        """Go one step back and return it; None at the beginning."""
        if self._at <= 0:
            return None
        self._at -= 1
        return self._steps[self._at]

    def redo(self) -> Recipe | None:
        """Go one step forward again and return it; None at the end."""
        if self.redo_steps == 0:
            return None
        self._at += 1
        return self._steps[self._at]


@dataclass(slots=True)
class StripItem:
    """One picture of the strip: its recipe, a small JPEG, and the gallery item it was kept as."""

    id: str
    recipe: Recipe
    thumbnail: bytes
    kept: str = ""


@dataclass(slots=True)
class Session:
    """What one browser tab did so far. Take ``lock`` to change it."""

    token: str
    pictures: Path
    history: History = field(default_factory=History)
    strip: list[StripItem] = field(default_factory=list)
    last_seen: float = field(default_factory=time.monotonic)
    lock: threading.RLock = field(default_factory=threading.RLock)
    calls: int = 0
    parts: dict[str, Any] = field(default_factory=dict)
    """What a tab keeps for this session, by the name of the tab; it goes with the session."""

    def add_picture(self, recipe: Recipe, thumbnail: bytes) -> StripItem:
        """Put a picture at the front of the strip; the same one, at whatever size, moves there instead of appearing twice."""
        with self.lock:
            item = next((item for item in self.strip if _at_any_size(item.recipe) == _at_any_size(recipe)), None)
            if item is None:
                item = StripItem(secrets.token_urlsafe(6), recipe, thumbnail)
            else:
                self.strip.remove(item)
                item.recipe = recipe
            self.strip.insert(0, item)
            loose = [entry for entry in self.strip if not entry.kept]
            for old in loose[STRIP_LENGTH:]:
                self.strip.remove(old)
            return item

    def find_picture(self, item_id: str) -> StripItem:
        """Return a picture of the strip by its id.

        Raises:
            StudioError: It is not in the strip (any more).
        """
        for item in self.strip:
            if item.id == item_id:
                return item
        raise StudioError("This picture is no longer in the strip.")


def _at_any_size(recipe: Recipe) -> Recipe:
    """Return a generator's recipe without what only makes the picture larger."""
    return recipe if recipe.restyle else replace(recipe, size=None, enlarge=())


class SessionStore:
    """All sessions of the running app, found by token only; the ones not seen for long are dropped."""

    def __init__(
        self,
        pictures: Path,
        *,
        public: bool,
        hours: float = 24.0,
        max_sessions: int = 200,
        max_calls: int = 32,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep sessions for ``hours`` after they were last seen; ``public`` gives each its own pictures folder."""
        self._pictures = pictures
        self._public = public
        self._seconds = hours * 3600
        self._max_sessions = max_sessions
        self._max_calls = max_calls
        self._clock = clock
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()
        self._calls = 0
        self.parts: dict[str, Any] = {}
        """What a tab shares among all sessions, by the name of the tab."""

    def __len__(self) -> int:
        """Return how many sessions are kept."""
        return len(self._sessions)

    def all(self) -> list[Session]:
        """Return the sessions that are kept now."""
        with self._lock:
            return list(self._sessions.values())

    def open(self, token: str | None = None) -> Session:
        """Return the session of a token that this store gave out, or a new one with a new token."""
        with self._lock:
            session = self._sessions.get(token or "")
            if session is None:
                self._sweep()
                fresh = secrets.token_urlsafe(16)
                session = Session(fresh, self._folder(fresh))
                self._sessions[fresh] = session
            self._seen(session)
            return session

    @contextmanager
    def call(self, token: str) -> Iterator[Session]:
        """Lend the session of a token for one request.

        Raises:
            SessionGoneError: The token is unknown.
            StudioError: Too much is being asked at once.
        """
        with self._lock:
            session = self._sessions.get(token)
            if session is None:
                raise SessionGoneError("This page was away for too long. Reload it to go on.")
            if session.calls >= CALLS_PER_SESSION or self._calls >= self._max_calls:
                raise StudioError("The studio is busy with earlier requests. Wait a moment.")
            session.calls += 1
            self._calls += 1
            self._seen(session)
        try:
            yield session
        finally:
            with self._lock:
                session.calls -= 1
                self._calls -= 1

    def _seen(self, session: Session) -> None:
        session.last_seen = self._clock()
        self._sessions.move_to_end(session.token)

    def _folder(self, token: str) -> Path:
        if not self._public:
            return self._pictures
        return self._pictures / hashlib.sha256(token.encode()).hexdigest()[:16]

    def _sweep(self) -> None:
        """Drop what was not seen for long; when there are too many, those that made nothing yet go first, then the oldest."""
        now = self._clock()
        idle = [session for session in self._sessions.values() if not session.calls]
        old = [session for session in idle if now - session.last_seen > self._seconds]
        room = self._max_sessions - 1 - (len(self._sessions) - len(old))
        if room < 0:
            others = [session for session in idle if session not in old]
            old += sorted(others, key=lambda session: bool(session.history.undo_steps))[:-room]
        for session in old:
            del self._sessions[session.token]
            if self._public:
                shutil.rmtree(session.pictures, ignore_errors=True)
