"""Keep an encoder from taking the machine: SVT-AV1 makes itself, and whoever calls it, real-time where it may, which is as root.

In a container everything is root, and a real-time thread starves whatever else runs on its core. Linux only; elsewhere nothing is done.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

_THREADS = Path("/proc/self/task")


def real_time_threads() -> set[int]:
    """Return the threads of this process that the kernel always lets go first."""
    if sys.platform != "linux":
        return set()
    found = set()
    for thread in (int(path.name) for path in _THREADS.iterdir()):
        with contextlib.suppress(ProcessLookupError):
            if os.sched_getscheduler(thread) in (os.SCHED_FIFO, os.SCHED_RR):
                found.add(thread)
    return found


@contextlib.contextmanager
def ordinary_priority() -> Iterator[None]:
    """Make ordinary again, at the end, the threads of this process that became real-time meanwhile, new ones and old ones."""
    before = real_time_threads()
    try:
        yield
    finally:
        if sys.platform == "linux":
            for thread in real_time_threads() - before:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
