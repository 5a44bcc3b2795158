"""Long trainings one after the other, as the shipped weights are made: stop at any time, the same command goes on.

``python -m studio.training queue FILE DATA OUT [NAME ...]``: FILE lists the runs (``pretrained/queue.json``), DATA holds their pictures,
OUT gets a folder for each. A state is saved every few minutes; a sheet and figures come every half hour and stay in the run's folder.
This is *not* the list of films (``studio/jobs``), and it publishes nothing.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from studio.errors import TrainingError
from studio.training.comparison import figures
from studio.training.loop import run_folder, train
from studio.training.settings import Settings

HALF_HOUR = 30.0
THREADS = 1
"""Long runs work beside everything else."""


def read_queue(file: Path, data: Path, out: Path) -> list[Settings]:
    """Read the runs of a queue.

    Args:
        file: A JSON list of objects with the fields of :class:`Settings`; ``data`` and ``target`` are lists of folders below ``data``, and
            ``start_from`` may name a run before this one.
        data: The folder of pictures.
        out: Where each run gets a folder of its name.

    Raises:
        TrainingError: The file is no queue, or a name comes twice.
    """
    paced = {"save_minutes": 5.0, "snapshot_minutes": HALF_HOUR, "measure_minutes": HALF_HOUR}
    runs: list[Settings] = []
    try:
        for entry in json.loads(file.read_text("utf-8")):
            places: dict[str, Any] = {key: [str(data / folder) for folder in entry.get(key, ())] for key in ("data", "target")}
            settings = Settings.from_json(json.dumps({**paced, **entry, **places}))
            earlier = str(out / settings.start_from) if settings.start_from in {run.name for run in runs} else settings.start_from
            runs.append(dataclasses.replace(settings, folder=str(out / settings.name), start_from=earlier))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise TrainingError(f"{file}: this is no queue of trainings, a JSON list of settings.") from error
    if len({settings.name for settings in runs}) < len(runs):
        raise TrainingError(f"{file}: two trainings have the same name. Rename one.")
    return runs


def work(file: Path, data: Path, out: Path, *, names: Sequence[str] = ()) -> Iterator[str]:
    """Train the runs of a queue to their ends, in order, and say every half hour how it goes.

    Args:
        file: See :func:`read_queue`.
        data: The folder of pictures.
        out: The folder of the runs; what is there already goes on.
        names: Only these, in this order; empty means all.

    Raises:
        TrainingError: The queue, a name or a run's settings are wrong.
    """
    torch.set_num_threads(THREADS)
    known = {settings.name: settings for settings in read_queue(file, data, out)}
    for name in names or known:
        if name not in known:
            raise TrainingError(f"{file.name} has no training {name!r}. It has: {', '.join(known)}.")
        for tick in train(known[name]):
            if tick.kind in ("start", "rollback", "end", "stopped") or "score" in tick.values:
                yield f"{name}: {tick.seconds / 60:.0f} min, {tick.cur_nimg / 1000:.0f} kimg, {tick.message or figures(tick.values)}"
            if tick.kind == "stopped":
                return
        yield f"{name} is done: {run_folder(known[name]).path}"
