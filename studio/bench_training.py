"""How fast networks learn on this machine: whole training steps on random pictures, the lazy regularisers counted with their share.

Every case is timed in a fresh process. ``fp32`` is the plain way, ``fast`` what ``studio train`` does here by itself. Reading pictures is
part of a step, snapshots and states are not. This is *not* a test: it asserts nothing, and nothing that it trains is kept.
"""

from __future__ import annotations

import functools
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil

from studio import media
from studio.accel import runtime
from studio.bench import apart
from studio.errors import RecipeError
from studio.training import presets
from studio.training.settings import Settings
from studio.training.trainer import Clock, StepRandom, Trainer

PICTURES = 32
WARM_UP_STEPS = 3


@dataclass(frozen=True, slots=True)
class Case:
    """One training to time; ``unit`` is what is counted."""

    name: str
    settings: Settings
    unit: str = "images"


@dataclass(frozen=True, slots=True)
class Row:
    """How fast one case learns in one precision: ``images_per_second`` counts pairs for translators."""

    case: str
    precision: str
    dtype: str
    device: str
    milliseconds: float
    images_per_second: float
    unit: str
    peak_megabytes: float
    ratio: float | None = None
    """How many times faster than fp32."""


CASES = (
    Case(
        "stylegan2 64 (2048), projected discriminator",
        Settings("stylegan2", ("",), resolution=64, batch=32, channel_base=2048, discriminator="projected"),
    ),
    Case(
        "stylegan2 64 (2048), strided discriminator",
        Settings("stylegan2", ("",), resolution=64, batch=32, channel_base=2048, augment="none", discriminator="strided"),
    ),
    Case(
        "stylegan2 64 (2048), residual discriminator",
        Settings("stylegan2", ("",), resolution=64, batch=32, channel_base=2048, augment="none", discriminator="residual"),
    ),
    Case("cyclegan 128 (32, 6)", Settings("cyclegan", ("",), ("",), resolution=128, batch=4, ngf=32, n_blocks=6), "pairs"),
)
"""The sizes that the studio promises figures for."""


def select(families: Sequence[str] = ()) -> list[Case]:
    """Return the cases of some families; empty means all.

    Raises:
        RecipeError: No case is of such a family.
    """
    chosen = [case for case in CASES if not families or case.settings.family in families]
    if not chosen:
        raise RecipeError(f"There is no training to time for {', '.join(families)}. Use stylegan2 or cyclegan.")
    return chosen


def run(cases: Sequence[Case], *, seconds: float = 30.0, device: str = "auto") -> Iterator[list[Row]]:
    """Time cases one after another, each precision for about ``seconds``, each in a process of its own.

    Yields:
        The rows of each case.

    Raises:
        StudioError: The device is not there, or there is too little memory.
    """
    return apart((case.name, functools.partial(_measure_at_home, case, seconds, device)) for case in cases)


def _measure_at_home(case: Case, seconds: float, device: str) -> list[Row]:
    with tempfile.TemporaryDirectory() as home:
        os.environ["STUDIO_HOME"] = home  # decoded pictures go there and leave with it
        return measure(case, Path(home), seconds=seconds, device=device)


def measure(case: Case, folder: Path, *, seconds: float = 30.0, device: str = "auto") -> list[Row]:
    """Time one case in this process, in fp32 and as ``studio train`` does it; random pictures are written to ``folder``."""
    runtime.tune_allocator()
    data = (str(_pictures(folder / "a", case, 0)),)
    target = (str(_pictures(folder / "b", case, 1)),) if case.settings.target else ()
    rows: list[Row] = []
    for precision in ("fp32", "auto"):
        settings = presets.resolve(replace(case.settings, data=data, target=target, precision=precision, device=device, kimg=1000.0))
        trainer = presets.build_trainer(settings)
        per_step = _seconds_per_step(trainer, settings, seconds)
        rows.append(_row(case, trainer, precision, per_step, rows))
    return rows


def _pictures(folder: Path, case: Case, seed: int) -> Path:
    """Write pictures of noise, large enough for every crop."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for i in range(PICTURES):
        side = presets.require(case.settings.resolution) * 3 // 2
        media.write_image(folder / f"{i}.png", rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
    return folder


def _seconds_per_step(trainer: Trainer, settings: Settings, seconds: float) -> float:
    """Take steps for about ``seconds``; return a step's median time, with the lazy regularisers' steps weighed by how rare they are."""
    lazy: list[float] = []
    plain: list[float] = []
    interval = 0 if settings.target else presets.require(settings.r1_interval)
    end, step = time.monotonic() + seconds, 0
    while step < WARM_UP_STEPS or time.monotonic() < end or len(plain) < 3:
        started = time.perf_counter()
        is_lazy = bool(interval) and step % 4 == 0  # more often than in a run, so that a short measurement meets some
        clock = Clock(interval * step if is_lazy else (interval or 1) * step + 1, step * trainer.images_per_step, 0.0)
        trainer.step(StepRandom(0, 0, step), clock)
        if step >= WARM_UP_STEPS:
            (lazy if is_lazy else plain).append(time.perf_counter() - started)
        step += 1
    usual = statistics.median(plain)
    return usual + (statistics.median(lazy) - usual) / interval if lazy else usual


def _row(case: Case, trainer: Trainer, precision: str, per_step: float, rows: Sequence[Row]) -> Row:
    dtype, device = str(getattr(trainer, "dtype", "")).removeprefix("torch."), str(getattr(trainer, "device", ""))
    return Row(
        case=case.name,
        precision="fast" if precision == "auto" else precision,
        dtype=dtype,
        device=device,
        milliseconds=per_step * 1000,
        images_per_second=trainer.images_per_step / per_step,
        unit=case.unit,
        peak_megabytes=psutil.Process().memory_info().rss / 2**20,
        ratio=rows[0].milliseconds / (per_step * 1000) if rows else None,
    )
