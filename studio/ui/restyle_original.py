"""The original of a restyled film in a form that every browser plays: for films of cameras and editors that it cannot play itself.

The same frames at the same times, from the same beginning, so that both run in step. It is made aside while the page waits and is
only looked at: this is *not* a result.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from studio.errors import StudioError
from studio.film_restyle.clip import split
from studio.media import FilmFacts, FilmFormat, FilmFrame, read_film, thumbnail, write_film
from studio.ui.context import Answer

log = logging.getLogger(__name__)

MOST_SIDE = 1280


class StoppedError(Exception):
    """Nobody waits for it any more."""


@dataclass(slots=True, eq=False)
class Original:
    """One of them in the making: how far it is, its file, and why there is none."""

    source: Path
    facts: FilmFacts
    start: float
    seconds: float
    id: str = field(default_factory=lambda: secrets.token_urlsafe(6))
    share: float = 0.0
    error: str = ""
    stopped: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def path(self) -> Path:
        """Return its file, which goes with the folder of the film itself."""
        return self.source.parent / f"original-{self.id}.mp4"

    def begin(self) -> None:
        """Make it in a thread of its own."""
        threading.Thread(target=self._run, name="studio-original", daemon=True).start()

    def state(self, patience: float) -> Answer:
        """Wait a moment for the end, and say how far it is."""
        self.ended.wait(patience)
        return {"id": self.id, "done": self.ended.is_set(), "share": self.share, "refused": self.error}

    def forget(self) -> None:
        """Stop it and remove its file."""
        self.stopped.set()
        self.path.unlink(missing_ok=True)

    def _run(self) -> None:
        rate = None if self.facts.is_variable else self.facts.rate
        try:
            write_film(self.path, self._frames(), rate=rate, format=FilmFormat(preset="veryfast"), include_recipe=False)
        except StoppedError:
            self.error = "Stopped."
        except StudioError as error:
            self.error = str(error)
        except Exception:
            log.exception("the original of a film could not be made ready")
            self.error = "Something went wrong inside the studio. The log has the details."
        finally:
            self.ended.set()

    def _frames(self) -> Iterator[FilmFrame]:
        end = self.start + self.seconds
        with closing(read_film(self.source, start=self.start or None, end=end, facts=self.facts)) as frames:  # type: ignore[type-var]
            for frame in frames:
                if self.stopped.is_set():
                    raise StoppedError
                self.share = min(1.0, (float(frame.time) - self.start) / self.seconds)
                yield replace(frame, image=thumbnail(split(frame.image)[0], MOST_SIDE))
