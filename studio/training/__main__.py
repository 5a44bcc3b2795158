"""The process of one training run: ``python -m studio.training run FOLDER``, or ``forecast SETTINGS ANSWER`` for a few measured steps.

Started by ``runs.py``. People use ``studio train``, which does the same in the terminal. What it has to say is in the folder's files.
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
    return run(Path(rest[0]))


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
