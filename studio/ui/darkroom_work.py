"""The work of a darkroom: pixels that are kept at hand, and one translation on its way from waiting to done.

This is *not* where photos are kept (``darkroom.py``) nor how they are translated (``studio.restyle``).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from studio.media import ImageArray
from studio.restyle import CancelledError

Key = tuple[str, ...]

RUNS = 3
MOST_RATES = 4096


class Shelf:
    """Pixels at hand, the least used ones dropped when there are too many, and how long they took. Shared by all sessions."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._things: OrderedDict[Key, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._rates: dict[Key, deque[float]] = {}

    def tell_rate(self, key: Key, seconds_per_pixel: float) -> None:
        """Take note of how long some kind of work took, per pixel."""
        with self._lock:
            self._rates.setdefault(key, deque(maxlen=RUNS)).append(seconds_per_pixel)
            if len(self._rates) > MOST_RATES:
                del self._rates[next(iter(self._rates))]

    def rate(self, key: Key) -> float | None:
        """Return how long some kind of work takes per pixel: the quickest of its last runs, since a first one also makes ready."""
        with self._lock:
            return min(self._rates[key]) if key in self._rates else None

    def runs(self, key: Key) -> int:
        """Return how many runs of some kind of work are remembered."""
        with self._lock:
            return len(self._rates.get(key, ()))

    def get(self, key: Key) -> Any:
        """Return what was put there, or None."""
        with self._lock:
            if key not in self._things:
                return None
            self._things.move_to_end(key)
            return self._things[key][0]

    def put(self, key: Key, thing: Any, size: int) -> None:
        """Keep something; the newest stays even when it is larger than the whole shelf."""
        with self._lock:
            self._things[key] = (thing, size)
            self._things.move_to_end(key)
            while len(self._things) > 1 and sum(entry[1] for entry in self._things.values()) > self._most:
                self._things.popitem(last=False)


@dataclass(slots=True, eq=False)
class Job:
    """One translation: waiting, at work, or done with a result or an error."""

    key: Key
    photo: str
    task: Callable[[Job], ImageArray]
    expected: float = 0.0
    """Seconds that it will take, 0 when nobody knows."""
    started: float = 0.0
    seconds: float = 0.0
    reported: float = 0.0
    """The share that the work itself says is done."""
    is_unwanted: bool = False
    """Nobody waits for it any more; it stops at the next strip."""
    result: ImageArray | None = None
    error: Exception | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Do the work, in the darkroom's thread."""
        self.started = time.monotonic()
        try:
            self.result = self.task(self)
        except CancelledError:
            self.is_unwanted = True
        except Exception as error:
            self.error = error
        self.seconds = time.monotonic() - self.started
        self.done.set()

    def report(self, share: float) -> None:
        """Take note of how much is done."""
        self.reported = share

    @property
    def is_dropped(self) -> bool:
        """Whether it ended with neither result nor error, because nobody waited for it any more."""
        return self.done.is_set() and self.result is None and self.error is None

    @property
    def share(self) -> float | None:
        """Return how much is done, 0 to 1: as the work says, else as far as one can tell from earlier work; None when one cannot."""
        if not self.started or not (self.reported or self.expected):
            return None
        return min(0.97, self.reported or (time.monotonic() - self.started) / self.expected)

    @property
    def left(self) -> float:
        """Return the seconds that are probably left; 0 when nobody knows."""
        share = self.share
        if not share:
            return 0.0
        return max(1.0, (time.monotonic() - self.started) * (1 - share) / share)
