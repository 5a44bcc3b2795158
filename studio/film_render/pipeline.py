"""Storing and reading frames beside the drawing and encoding of others, so that keeping them costs a film next to no time.

What is stored, and in what order it is read, is the same as one after the other. Small frames go over to the other thread several at
once, because each change of threads costs as much as storing one. This is *not* where frames are kept (``store``).
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from studio.film_render.store import FrameStore
from studio.media import ImageArray

BATCH_BYTES = 1 << 20
"""So much goes over to another thread at once, or one frame that is larger."""
BATCH_SECONDS = 0.1
"""A drawn frame waits for others only if they come so fast that the last batch went over less than this ago."""
BACKLOG = 4
"""Batches that wait in memory at most, drawn or read."""
READERS = 2

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


def reading(store: FrameStore, count: int) -> Generator[ImageArray, None, None]:
    """Give the first ``count`` frames in order, reading some ahead.

    Raises:
        DamagedFrameError: As in ``store.read``, some frames before that one's turn at the earliest.
    """
    indices = iter(range(count))
    waiting: deque[Future[list[ImageArray]]] = deque()
    with ThreadPoolExecutor(READERS, "reading") as threads:
        each = max(1, BATCH_BYTES // max(1, store.frame_bytes))
        while batch := list(itertools.islice(indices, each)):
            waiting.append(threads.submit(_read, store, batch))
            if len(waiting) > BACKLOG:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _read(store: FrameStore, indices: Sequence[int]) -> list[ImageArray]:
    return [store.read(index) for index in indices]
