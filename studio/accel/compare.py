"""Is a fast path right, and is it faster? Measures that the engine, the loader and the bench share.

This is *not* where fast paths are made; see the file of each family.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

EXACT_ERROR = 1e-5
"""Largest relative L2 error of an ``exact`` fast path."""
AUTO_PSNR = 45.0
"""Smallest PSNR in dB of an ``auto`` fast path."""


def relative_error(got: Tensor, wanted: Tensor) -> float:
    """Return ``|got - wanted| / |wanted|`` in L2, computed in float64."""
    difference = (got.double() - wanted.double()).norm()
    return float(difference / wanted.double().norm().clamp_min(1e-30))


def psnr(got: Tensor, wanted: Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB of what is visible: both clamped to [-1, 1], peak 2."""
    difference = got.double().clamp(-1, 1) - wanted.double().clamp(-1, 1)
    error = float(difference.square().mean())
    return 10 * math.log10(4 / error) if error > 0 else math.inf


def is_accurate(got: Tensor, wanted: Tensor, precision: str) -> bool:
    """Tell whether a fast path's answer is as near to the module's as ``precision`` promises.

    Args:
        got: Of the fast path, ``[n, C, H, W]``.
        wanted: Of the module, same shape.
        precision: ``exact`` (relative L2 under 1e-5) or ``auto`` (PSNR over 45 dB).
    """
    if got.shape != wanted.shape or not bool(torch.isfinite(got).all()):
        return False
    return relative_error(got, wanted) < EXACT_ERROR if precision == "exact" else psnr(got, wanted) > AUTO_PSNR


def milliseconds(work: Callable[[], Any], *, runs: int = 5, budget: float = 3.0) -> float:
    """Time some work: the median of up to ``runs`` runs, fewer (at least one) once ``budget`` seconds have passed."""
    spent: list[float] = []
    while len(spent) < runs and (not spent or sum(spent) < budget * 1000):
        spent.append(_once(work))
    return statistics.median(spent)


def alternate(works: Sequence[Callable[[], Any]], *, runs: int = 5, budget: float = 10.0) -> list[float]:
    """Time several works in turns, so that a change in the machine's load meets all of them; medians in milliseconds."""
    spent: list[list[float]] = [[] for _ in works]
    started = time.perf_counter()
    while len(spent[-1]) < runs and (not spent[-1] or time.perf_counter() - started < budget):
        for times, work in zip(spent, works, strict=True):
            times.append(_once(work))
    return [statistics.median(times) for times in spent]


def _once(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    answer = work()
    if isinstance(answer, Tensor) and answer.is_cuda:
        torch.cuda.synchronize(answer.device)
    return (time.perf_counter() - start) * 1000
