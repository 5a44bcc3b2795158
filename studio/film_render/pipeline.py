"""Storing, reading and finishing frames beside the drawing and encoding of others, so that keeping them costs a film next to no time.

What is stored, and in what order it is read, is the same as one after the other. Small frames change threads several at once, because
each change costs as much as storing one. The threads are daemons: a film that is still under way when the program ends is put back by
whoever makes it, and until then they go on. This is *not* where frames are kept (``store``).
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from studio.film_render.store import FrameStore
from studio.media import ImageArray

BATCH_BYTES = 1 << 20
"""So much changes threads at once, or one frame that is larger."""
BATCH_SECONDS = 0.1
"""A drawn frame waits no longer for others."""
BACKLOG = 4
"""Batches that wait in memory at most, drawn or read."""
READERS = 2
SMALL_BYTES = 1 << 18
"""Smaller frames are read sooner than another thread is told of a single one."""

T = TypeVar("T")


@contextlib.contextmanager
def storing(store: FrameStore) -> Iterator[Callable[[int, ImageArray], None]]:
    """Give a function like ``store.add`` that returns at once. Leaving the block, for whatever reason, stores what was given.

    After a frame that could not be stored, none is.

    Raises:
        MediaError: The disk is full; from the function some frames later, or from leaving the block.
    """
    waiting, failures = deque[tuple[int, ImageArray]](), list[BaseException]()
    wake, is_over = threading.Event(), threading.Event()

    def store_all() -> None:
        while waiting or not is_over.is_set():
            wake.wait(BATCH_SECONDS)
            wake.clear()
            try:
                while waiting:
                    store.add(*waiting[0])
                    waiting.popleft()
            except BaseException as error:
                failures.append(error)
                waiting.clear()
                return

    def add(index: int, image: ImageArray) -> None:
        while len(waiting) > BACKLOG * max(1, BATCH_BYTES // image.nbytes) and not failures:
            time.sleep(0.001)
        if failures:
            raise failures[0]
        waiting.append((index, image))
        if len(waiting) * image.nbytes >= BATCH_BYTES:
            wake.set()

    thread = threading.Thread(target=store_all, name="storing", daemon=True)
    thread.start()
    try:
        yield add
    finally:
        is_over.set()
        wake.set()
        thread.join()
    if failures:
        raise failures[0]


def reading(store: FrameStore, count: int, then: Callable[[ImageArray], T], *, frame_bytes: int) -> Generator[T, None, None]:
    """Give what ``then`` makes of the first ``count`` frames, about ``frame_bytes`` each, in order: large ones some ahead.

    Raises:
        DamagedFrameError: As in ``store.read``, some frames before that one's turn at the earliest.
    """
    if frame_bytes < SMALL_BYTES:
        yield from (then(store.read(index)) for index in range(count))
        return
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(READERS, "reading") as threads:
        for index in range(count):
            waiting.append(_begun(threads, lambda index: then(store.read(index)), index))
            if len(waiting) > BACKLOG:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _begun(threads: ThreadPoolExecutor, work: Callable[[int], T], index: int) -> Future[T]:
    """Begin some work; where no thread takes any more because the program is ending, do it."""
    try:
        return threads.submit(work, index)
    except RuntimeError:
        done: Future[T] = Future()
        done.set_result(work(index))
        return done


def ahead(frames: Iterator[T], *, frame_bytes: int) -> Generator[T, None, None]:
    """Give the same frames in the same order; small ones are worked out in a thread of their own, some at once.

    Raises:
        Exception: What ``frames`` raises, some frames before its turn at the earliest.
    """
    if frame_bytes >= SMALL_BYTES:
        yield from frames
        return
    made: queue.Queue[list[T] | BaseException] = queue.Queue()
    room, is_over = threading.Semaphore(BACKLOG), threading.Event()

    def work() -> None:
        batch: list[T] | BaseException = []
        while room.acquire() and not is_over.is_set():
            try:
                batch = list(itertools.islice(frames, BATCH_BYTES // frame_bytes))
            except BaseException as error:
                batch = error
            made.put(batch)
            if not batch or isinstance(batch, BaseException):
                return

    thread = threading.Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        while batch := made.get():
            if isinstance(batch, BaseException):
                raise batch
            room.release()
            yield from batch
    finally:
        is_over.set()
        room.release()
        thread.join()
