"""One runner for each model in memory and each precision, and one way for a whole film.

This is *not* how a fast path is checked and swapped in (``runners.py``), nor where fast paths are written (``accel/``).
"""

from __future__ import annotations

import functools
import threading

from studio.accel import choose
from studio.model_cache import Loaded, ModelCache
from studio.runners import NEEDS_COMPILER, Preparer, Runner, Way
from studio.worker import Priority, Worker


class Fastest:
    """Knows the fastest checked way of every model in memory. Every method may be called from any thread.

    Args:
        models: The models; their device decides which fast paths there are.
        worker: Whose thread runs networks.
        compilers: Also prepare fast paths that take a compiler minutes: for processes that live long.
    """

    def __init__(self, models: ModelCache, worker: Worker, *, compilers: bool) -> None:
        self.preparer = Preparer(worker)
        self._models = models
        self._worker = worker
        self._compilers = compilers
        self._lock = threading.Lock()

    def runner(self, loaded: Loaded, precision: str) -> Runner:
        """Return the runner of a model, and have its fast paths prepared when it is new."""
        with self._lock:
            runner = loaded.runners.get(precision)
            if runner is None:
                runner = loaded.runners[precision] = self._new(loaded, precision)
                self.preparer.add(runner)
            return runner

    def _new(self, loaded: Loaded, precision: str) -> Runner:
        network, device = loaded.network, self._models.device
        found = choose.fast_paths(network, precision, device)
        return Runner(
            choose.reference(network),
            [candidate for candidate in found if self._compilers or candidate.name not in NEEDS_COMPILER],
            functools.partial(choose.sample, network),
            precision=precision,
            build_in_turn=device.type == "cuda",
        )

    def way(self, loaded: Loaded, precision: str, name: str, timeout: float) -> tuple[str, Way]:
        """Return a way that stays the same, and its name; see :meth:`studio.engine.Engine.way`."""
        if precision == "exact" or name == "module":
            return "module", choose.reference(loaded.network)
        runner = self.runner(loaded, precision)
        runner.settled.wait(timeout)
        candidates = [] if name in ("", runner.name) else choose.fast_paths(loaded.network, precision, self._models.device)
        wanted = next((candidate for candidate in candidates if candidate.name == name), None)
        return (runner.name, runner.way) if wanted is None else (name, self._worker.run(Priority.BATCH, wanted.build))
