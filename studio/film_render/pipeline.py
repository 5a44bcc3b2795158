"""Storing, reading and finishing frames beside the drawing and encoding of others, so that keeping them costs a film next to no time.

What is stored, and in what order it is read, is the same as one after the other. Small frames go over to the other thread several at
once, because each change of threads costs as much as storing one. This is *not* where frames are kept (``store``).
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from studio.film_render.store import FrameStore
from studio.media import ImageArray

BATCH_BYTES = 1 << 20
"""So much goes over to another thread at once, or one frame that is larger."""
BATCH_SECONDS = 0.1
"""A drawn frame waits for others only if they come so fast that the last batch went over less than this ago."""
BACKLOG = 4
"""Batches that wait in memory at most, drawn or read."""
READERS = 2
SMALL_BYTES = 1 << 18
"""Smaller frames are read sooner than another thread is told of a single one."""

T = TypeVar("T")

Frames = list[tuple[int, ImageArray]]


@contextlib.contextmanager
def storing(store: FrameStore) -> Iterator[Callable[[int, ImageArray], None]]:
    """Give a function like ``store.add`` that returns at once. Leaving the block, for whatever reason, stores what was given.

    After a frame that could not be stored, none is: what room is left is for telling so.

    Raises:
        MediaError: The disk is full; from the function some frames later, or from leaving the block.
    """
    waiting: deque[Future[None]] = deque()
    batch, last, has_failed = Frames(), time.monotonic(), False

    def add(index: int, image: ImageArray) -> None:
        while waiting and (len(waiting) >= BACKLOG or waiting[0].done()):
            waiting.popleft().result()
        batch.append((index, image))
        if len(batch) * image.nbytes >= BATCH_BYTES or time.monotonic() - last > BATCH_SECONDS:
            hand_over()

    def hand_over() -> None:
        nonlocal last
        last = time.monotonic()
        waiting.append(thread.submit(store_all, batch.copy()))
        batch.clear()

    def store_all(frames: Frames) -> None:
        nonlocal has_failed
        if has_failed:
            return
        has_failed = True
        for index, image in frames:
            store.add(index, image)
        has_failed = False

    with ThreadPoolExecutor(1, "storing") as thread:
        try:
            yield add
        finally:
            hand_over()
        while waiting:
            waiting.popleft().result()


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
            waiting.append(threads.submit(lambda index: then(store.read(index)), index))
            if len(waiting) > BACKLOG:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def ahead(frames: Iterator[T], *, frame_bytes: int) -> Generator[T, None, None]:
    """Give the same frames in the same order; small ones are worked out in a thread of their own, some at once.

    Raises:
        Exception: What ``frames`` raises, some frames before its turn at the earliest.
    """
    if frame_bytes >= SMALL_BYTES:
        yield from frames
        return
    with ThreadPoolExecutor(1, "ahead") as thread:
        waiting = deque(thread.submit(_next, frames, BATCH_BYTES // frame_bytes) for _ in range(BACKLOG))
        while batch := waiting.popleft().result():
            waiting.append(thread.submit(_next, frames, BATCH_BYTES // frame_bytes))
            yield from batch


def _next(frames: Iterator[T], count: int) -> list[T]:
    return list(itertools.islice(frames, count))
