"""A sound that is being taken in: listened to aside, so that the page stays free; it can be stopped, and says how far it is."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from studio.errors import StudioError
from studio.hearing import hear
from studio.ui.context import Answer

log = logging.getLogger(__name__)

PATIENCE = 0.5
"""Seconds for which a question about how far it is waits for the end."""


class _StoppedError(Exception):
    """Nobody wants it any more."""


@dataclass(slots=True, eq=False)
class Listening:
    """One sound in work: how far it is, what came of it, or why nothing did. ``turns`` lets only a few be in work at once."""

    path: Path
    turns: threading.Semaphore
    id: str = field(default_factory=lambda: secrets.token_urlsafe(6))
    share: float = 0.0
    error: str = ""
    found: Answer = field(default_factory=dict)
    stopped: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def start(self, keep: Callable[[], Answer]) -> None:
        """Begin in a thread of its own; ``keep`` takes in what was heard and tells the page about it."""
        threading.Thread(target=self._run, args=(keep,), name="studio-listening", daemon=True).start()

    def state(self, patience: float = 0.0) -> Answer:
        """Wait a moment for the end, and say how far it is."""
        self.ended.wait(patience)
        done = self.ended.is_set()
        return {"listening": self.id, "share": self.share, "done": done, "refused": self.error, **(self.found if done else {})}

    def _run(self, keep: Callable[[], Answer]) -> None:
        try:
            while not self.turns.acquire(timeout=PATIENCE):
                self._told(0.0)
            try:
                hear(self.path, self._told)
                self._told(1.0)
                self.found = keep()
            finally:
                self.turns.release()
        except _StoppedError:
            self.error = "Stopped. The sound was not taken in."
        except StudioError as error:
            self.error = str(error)
        except Exception:
            log.exception("a sound could not be taken in")
            self.error = "Something went wrong inside the studio. The log has the details."
        finally:
            self.path.unlink(missing_ok=True)
            self.ended.set()

    def _told(self, share: float) -> None:
        if self.stopped.is_set():
            raise _StoppedError
        self.share = share
