"""One way to run a network, prepared on demand. This is *not* the engine: nothing here chooses, times or checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Candidate:
    """A runner that may be faster than the plain module.

    ``name`` is a word for the status line ("eager", "numba", "inductor"). ``build()`` may take seconds (it packs
    weights and compiles kernels) and returns a callable with the signature of ``net.synthesis`` (generators) or
    ``net.forward`` (translators). The callable keeps its own copy of the weights, so it does not follow later changes.
    """

    name: str
    build: Callable[[], Callable[..., Tensor]]
