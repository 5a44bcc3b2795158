"""The process of one training run: ``python -m studio.training run FOLDER``.

Further verbs: ``forecast SETTINGS ANSWER`` takes a few measured steps; ``compare`` and ``queue`` are told of in ``comparison.py`` and
``queue.py``. Started by ``runs.py``; people use ``studio train``, which does the same in the terminal. What a run has to say is in its
folder's files.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import sys
from pathlib import Path

from studio.errors import StudioError
from studio.media.files import atomic_write
from studio.training.settings import Settings

log = logging.getLogger("studio.training")

NICENESS = 5
"""Training steps back when something else on this computer wants the processor, such as the studio's own page."""


def main(arguments: list[str]) -> int:
    """Run one verb; returns the exit status."""
    from studio.accel import runtime

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    runtime.tune_allocator()
    verb, *rest = arguments
    if verb == "forecast":
        return forecast(Path(rest[0]), Path(rest[1]))
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(NICENESS)
    if verb in ("compare", "queue"):
        return tell(verb, rest)
    return run(Path(rest[0]))


def tell(verb: str, rest: list[str]) -> int:
    """Compare discriminators (``comparison.py``), or go on with a queue of trainings (``queue.py``), and say how it goes."""
    from studio.training import comparison, queue

    try:
        if verb == "queue":
            news = queue.work(Path(rest[0]), Path(rest[1]).resolve(), Path(rest[2]), names=rest[3:])
        else:
            news = comparison.compare(Path(rest[0]).resolve(), Path(rest[1]), float(rest[2]), rest[3:])
        for line in news:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    except StudioError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def run(path: Path) -> int:
    """Train the run in a folder to its end; an error becomes one sentence in ``error.txt``."""
    from studio.training.loop import train
    from studio.training.state import RunFolder

    folder = RunFolder(path)
    try:
        settings = dataclasses.replace(Settings.from_json(folder.settings_file.read_text()), folder=str(path))
        for tick in train(settings):
            if tick.message:
                log.info("%s: %s", tick.kind, tick.message)
    except StudioError as error:
        folder.error_file.write_text(str(error))
        return 1
    except Exception as error:
        log.exception("the run failed")
        folder.error_file.write_text(explain(error))
        return 1
    return 0


def explain(error: Exception) -> str:
    """Say what happened in one sentence for people who cannot read a traceback."""
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower() or "can't allocate memory" in str(error).lower():
        return "There was not enough memory. Choose a smaller size or batch; what was saved so far is kept."
    return f"The run failed ({type(error).__name__}). The details are in output.txt in its folder."


def forecast(question: Path, answer: Path) -> int:
    """Measure a few steps and write what they promise as JSON."""
    from studio.training.forecast import forecast as measure

    try:
        found = dataclasses.asdict(measure(Settings.from_json(question.read_text())))
    except StudioError as error:
        found = {"error": str(error)}
    except Exception as error:
        log.exception("the forecast failed")
        found = {"error": explain(error)}
    with atomic_write(answer) as file:
        file.write(json.dumps(found).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
