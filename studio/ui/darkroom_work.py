"""The work of a darkroom: pixels that are kept at hand, translations on their way from waiting to done, and whose turn it is.

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

RESULT = "result"
"""First part of the key of a translation that is kept ..."""
MEASURE = "measure"
"""... and of one that only tells how long it takes."""

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

    def remember(self, job: Job) -> None:
        """Keep what a job made that has ended, and how long it took."""
        if job.result is not None:
            if job.key[0] == RESULT:
                self.put(job.key, job.result, job.result.nbytes)
            rate = job.seconds / (job.result.shape[0] * job.result.shape[1])
            self.tell_rate(job.key[2:3], rate)
            self.tell_rate(job.key[2:], rate)
        elif job.key[0] == MEASURE and job.error is not None:
            self.tell_rate(job.key[2:], self.rate(job.key[2:]) or 0.0)


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


class Queue:
    """Does the jobs of one session one at a time, in order of arrival, in a thread that ends with the last of them."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._lock = threading.RLock()
        self._jobs: dict[Key, Job] = {}
        self._waiting: deque[Job] = deque()
        self._is_working = False

    def find(self, key: Key) -> Job | None:
        """Return the job of that key which waits or is at work."""
        with self._lock:
            return self._jobs.get(key)

    def begin(self, job: Job, *, instead_of: Callable[[Job], bool]) -> None:
        """Do a job when its turn comes, and drop some of the same photo."""
        with self._lock:
            self.drop(job.photo, instead_of)
            self._add(job)

    def begin_once(self, job: Job) -> None:
        """Do a job when its turn comes, unless there is one of the same key."""
        with self._lock:
            if job.key not in self._jobs:
                self._add(job)

    def drop(self, photo: str, is_wrong: Callable[[Job], bool] = lambda job: True) -> None:
        """Drop jobs of a photo; what is being computed stops at the next strip."""
        with self._lock:
            for job in [job for job in self._jobs.values() if job.photo == photo and is_wrong(job)]:
                job.is_unwanted = True
            for job in [job for job in self._waiting if job.is_unwanted]:
                self._waiting.remove(job)
                self._jobs.pop(job.key, None)
                job.done.set()

    def _add(self, job: Job) -> None:
        self._jobs[job.key] = job
        self._waiting.append(job)
        if not self._is_working:
            self._is_working = True
            threading.Thread(target=self._work, name="studio-darkroom", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._is_working = False
                    return
                job = self._waiting.popleft()
            job.run()
            with self._lock:
                self._shelf.remember(job)
                if self._jobs.get(job.key) is job:
                    del self._jobs[job.key]
