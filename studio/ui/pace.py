"""How often strangers may ask: a bucket of tokens for each visitor, and one for all of them.

This is *not* for people at their own machine, where the model's time is the only limit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Pace:
    """Lets ``rate`` requests through in a second, and ``burst`` at once after a rest. Safe to use from any thread."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        assert rate > 0 and burst >= 1
        self._rate, self._burst, self._clock = rate, burst, clock
        self._tokens, self._then = burst, clock()
        self._lock = threading.Lock()

    def wait(self) -> float:
        """Take a token and return 0.0; or take none and return the seconds after which to ask again."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._then) * self._rate)
            self._then = now
            if self._tokens >= 1:
                self._tokens -= 1
                return 0.0
            return (1 - self._tokens) / self._rate
