"""The fastest checked way to run a network that is ready now, and the thread that gets better ways ready.

The plain module answers at once. In the background each fast path is built, compared with the module on a real input,
timed in turns with what is in use, and swapped in when it is right and faster; one that fails is logged and forgotten.
This is *not* where fast paths are written (``accel/``) nor where the device is shared (``worker.py``).
"""

from __future__ import annotations

import logging
import os
import statistics
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from studio.accel import compare
from studio.accel.candidate import Candidate
from studio.errors import StudioError
from studio.worker import Priority, Worker

log = logging.getLogger(__name__)

Way = Callable[..., Tensor]

NEEDS_COMPILER = ("inductor",)
"""Candidates that take minutes to build: for long-lived processes only."""
WORTH_SWAPPING = 0.97
"""A fast path must need less than this share of the time."""
LONGEST_BUILD = 120.0
"""Seconds that ending waits for a build in progress."""
TIMED_RUNS = 3
TIMING_BUDGET = 10_000.0
"""Milliseconds after which no further timing run is started."""


class Runner:
    """Runs one network in one precision by the best way that is ready; safe to call while better ones are prepared.

    Args:
        module: The exact reference: ``net.synthesis`` or a translator.
        candidates: Fast paths, quickest to prepare first.
        sample: Makes the input of one real call, for checking and timing.
        precision: ``exact`` or ``auto``.
        build_in_turn: Build in the worker's thread: a GPU cannot record a graph while another thread uses it.
    """

    def __init__(
        self,
        module: Way,
        candidates: Sequence[Candidate],
        sample: Callable[[], Tensor],
        *,
        precision: str,
        build_in_turn: bool = False,
    ) -> None:
        self.name = "module"
        self.milliseconds = 0.0
        self.settled = threading.Event()
        self.abandoned = False
        self._module = module
        self._call: Way = module
        self._candidates = tuple(candidates)
        self._sample = sample
        self._precision = precision
        self._build_in_turn = build_in_turn
        if not candidates:
            self.settled.set()

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """Run the network; a fast path that fails is dropped for good and the module answers instead."""
        call = self._call
        if call is self._module:
            return call(*args, **kwargs)
        try:
            return call(*args, **kwargs)
        except (StudioError, torch.OutOfMemoryError):
            raise
        except Exception:
            log.exception("the fast path %r failed; the plain module is used from now on", self.name)
            self._call, self.name = self._module, "module"
            return self._module(*args, **kwargs)

    @property
    def way(self) -> Way:
        """What is in use now: the module, or a fast path that may have pieces of its own (``studio.restyle``)."""
        return self._call

    def give_up(self) -> None:
        """Go back to the plain module for good, because the fast path failed."""
        self._call, self.name = self._module, "module"

    def abandon(self) -> None:
        """Stop preparing: nobody needs this runner any more. Whoever waits for it goes on."""
        self.abandoned = True
        self.settled.set()

    def prepare(self, worker: Worker) -> None:
        """Build, check and time the candidates one after another, and swap in each that is better than what is in use."""
        try:
            given = worker.run(Priority.IDLE, self._sample)
            wanted = worker.run(Priority.IDLE, lambda: self._module(given))
            for candidate in self._candidates:
                if self.abandoned:
                    return
                self._try(candidate, worker, given, wanted)
        except Exception:
            if not self.abandoned:
                log.exception("preparing fast paths failed; the plain module stays in use")
        finally:
            self._candidates = ()
            self.settled.set()

    def _try(self, candidate: Candidate, worker: Worker, given: Tensor, wanted: Tensor) -> None:
        try:
            call = worker.run(Priority.IDLE, candidate.build) if self._build_in_turn else candidate.build()
            got = worker.run(Priority.IDLE, lambda: call(given))
        except Exception:
            if not self.abandoned:
                log.warning("the fast path %r could not be prepared", candidate.name, exc_info=True)
            return
        if self.abandoned:
            return
        if not compare.is_accurate(got, wanted, self._precision):
            error, quality = compare.relative_error(got, wanted), compare.psnr(got, wanted)
            log.warning("the fast path %r is not accurate enough: relative error %.1e, %.1f dB", candidate.name, error, quality)
            return
        now, then = self._time(call, worker, given)
        log.info("%s (%s): %.1f ms, %s: %.1f ms", self.name, self._precision, now, candidate.name, then)
        if then < now * WORTH_SWAPPING:
            self._call, self.name, self.milliseconds = call, candidate.name, then

    def _time(self, call: Way, worker: Worker, given: Tensor) -> tuple[float, float]:
        """Time the way in use and a new one in turns, each run a turn of its own so that nobody waits long."""
        current, spent, other = self._call, list[float](), list[float]()
        while len(other) < TIMED_RUNS and sum(spent) + sum(other) < TIMING_BUDGET:
            spent.append(worker.run(Priority.IDLE, lambda: compare.milliseconds(lambda: current(given), runs=1)))
            other.append(worker.run(Priority.IDLE, lambda: compare.milliseconds(lambda: call(given), runs=1)))
        return statistics.median(spent), statistics.median(other)


class Preparer:
    """A background thread of low priority that prepares runners, the newest first."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._waiting: deque[Runner] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.busy_with: Runner | None = None

    def add(self, runner: Runner) -> None:
        """Prepare a runner when the ones before it are done."""
        if runner.settled.is_set():
            return
        with self._lock:
            self._waiting.append(runner)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="studio-preparer", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Forget what waits, and wait for a build in progress: a process cannot end well while compiled code still runs in a thread."""
        with self._lock:
            for runner in [*self._waiting, *filter(None, [self.busy_with])]:
                runner.abandon()
            self._waiting.clear()
            thread = self._thread
        if thread is not None and threading.current_thread() is threading.main_thread():  # elsewhere it may be what the build waits for
            thread.join(LONGEST_BUILD)

    def _work(self) -> None:
        _lower_priority()
        while True:
            with self._lock:
                self.busy_with = self._waiting.pop() if self._waiting else None
                if self.busy_with is None:
                    self._thread = None
                    return
            with torch.no_grad():
                self.busy_with.prepare(self._worker)


def _lower_priority() -> None:
    """Let every other thread of the machine go before this one, where the system can say so of a thread."""
    if sys.platform.startswith("linux"):
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 15)
        except OSError as error:
            log.debug("the priority could not be lowered: %s", error)
