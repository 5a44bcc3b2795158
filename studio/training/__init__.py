"""Training: a folder in, weights out. ``train(settings)`` yields news and keeps its states on disk.

Importing this package loads no torch; the loop is loaded when it is first used.
"""

from collections.abc import Callable, Iterator

from studio.training.settings import Settings, Tick

__all__ = ["Settings", "Tick", "train"]


def train(settings: Settings, *, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Tick]:
    """Train, or continue a run of the same name, and yield news; see :func:`studio.training.loop.train`."""
    from studio.training import loop

    return loop.train(settings, should_stop=should_stop)
