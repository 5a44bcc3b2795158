"""The one thread that runs networks, and the order in which it does so.

A single thread keeps one pool of OpenMP threads and one CUDA stream in use, and makes the order plain: whoever drags a
slider goes first, a film takes its turn frame by frame. This is *not* a job list: nothing here is kept, shown or resumed.
"""

from __future__ import annotations

import itertools
import queue
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from enum import IntEnum
from typing import Any, TypeVar

import torch

T = TypeVar("T")
_Entry = tuple[int, int, "Future[Any] | None", Callable[[], Any]]


class Priority(IntEnum):
    """Who goes first when several want the device."""

    PREVIEW = 0
    SETTLE = 1
    RESTYLE = 2
    BATCH = 3
    IDLE = 4
    """Timing and checking of fast paths: only when nobody waits."""


_STOP = -1


class Worker:
    """Runs one task at a time in a thread of its own, the most urgent first, equals in order of arrival."""

    def __init__(self) -> None:
        self._entries: queue.PriorityQueue[_Entry] = queue.PriorityQueue()
        self._arrivals = itertools.count()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._finalizer: weakref.finalize[..., Worker] | None = None

    def run(self, priority: Priority, task: Callable[[], T]) -> T:
        """Run ``task`` when its turn comes and return its result or raise its exception.

        Tasks run under ``torch.no_grad()``. A task that calls ``run`` again is already having its turn.

        Raises:
            RuntimeError: The worker was closed.
        """
        if threading.current_thread() is self._thread:
            return task()
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the worker is closed")
            if self._thread is None:
                self._start()
            self._entries.put((int(priority), next(self._arrivals), future, task))
        return future.result()

    def close(self) -> None:
        """Finish the task in hand, drop the rest and end the thread."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None and self._finalizer is not None:
            self._finalizer()

    def _start(self) -> None:
        self._thread = threading.Thread(target=_serve, args=(self._entries,), name="studio-worker", daemon=True)
        self._thread.start()
        self._finalizer = weakref.finalize(self, _stop, self._entries, self._thread)
        self._finalizer.atexit = False  # the engine ends its threads in the right order


def _stop(entries: queue.PriorityQueue[_Entry], thread: threading.Thread) -> None:
    entries.put((_STOP, 0, None, lambda: None))
    if thread is not threading.current_thread():
        thread.join(timeout=30)


def _serve(entries: queue.PriorityQueue[_Entry]) -> None:
    with torch.no_grad():
        while True:
            _, _, future, task = entries.get()
            if future is None:
                break
            _do(future, task)
            del future, task
    while not entries.empty():
        _, _, waiting, _ = entries.get()
        if waiting is not None:
            waiting.cancel()


def _do(future: Future[Any], task: Callable[[], Any]) -> None:
    try:
        result = task()
    except BaseException as error:  # the caller's thread raises it
        future.set_exception(error)
    else:
        future.set_result(result)
