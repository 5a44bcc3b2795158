"""Training runs as processes of their own: begin, stop, continue, watch. A run's folder is the truth, so it outlives page and studio.

The process is ``python -m studio.training run FOLDER``. Nothing here trains, and nothing is remembered between calls but what is on disk.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from studio.checkpoints import Library, ModelCard
from studio.checkpoints.names import check_name
from studio.errors import StudioError, TrainingError
from studio.training import presence, presets
from studio.training.export import export, inverse_name
from studio.training.forecast import Forecast
from studio.training.loop import require_same_run
from studio.training.settings import Settings, Tick
from studio.training.state import RunFolder

SOURCE = "studio training"
OWN = "yours: trained on this computer with pictures of your choice; their rights decide what you may do with it"
SNAPSHOTS_PER_RUN = 60
STATES_PER_RUN = 12
POLL_SECONDS = 0.1

STATES = ("preparing", "running", "finished", "stopped", "failed", "interrupted", "new")
"""What a run may be doing: ``interrupted`` means that its process ended without a word (killed, or the power failed)."""


class Log:
    """The ticks of a run, read as they come: :meth:`update` reads only what is new."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.ticks: list[Tick] = []
        self._offset = 0

    def update(self) -> list[Tick]:
        """Read what was written since the last call, and return all ticks; a half-written last line waits for its rest."""
        if not self.folder.log_file.exists():
            return self.ticks
        with self.folder.log_file.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        self.ticks += [tick for tick in map(read_tick, whole.splitlines()) if tick is not None]
        return self.ticks


def read_tick(line: bytes | str) -> Tick | None:
    """Read one line of a run's log; None when it is damaged (a process was killed while writing it)."""
    try:
        entry = json.loads(line)
        return Tick(**{**entry, "file": Path(entry["file"]) if entry["file"] else None})
    except (ValueError, TypeError, KeyError):
        return None


def state_of(folder: RunFolder, ticks: Sequence[Tick]) -> str:
    """Say what a run is doing, one of :data:`STATES`."""
    last = ticks[-1].kind if ticks else ""
    if presence.holder(folder) is not None:
        return "preparing" if last in ("", "end", "stopped") else "running"
    if folder.error_file.exists():
        return "failed"
    if not last:
        return "new"
    return {"end": "finished", "stopped": "stopped"}.get(last, "interrupted")


def find_runs(home: Path) -> list[RunFolder]:
    """List the runs below a folder, the one that was written to last first."""
    folders = [RunFolder(path.parent) for path in home.glob("*/settings.json")]
    return sorted(folders, key=lambda folder: -_touched(folder))


def _touched(folder: RunFolder) -> float:
    file = folder.log_file if folder.log_file.exists() else folder.settings_file
    return file.stat().st_mtime


def check_free(name: str, library: Library) -> None:
    """Make sure that a run's model will not take the place of a model that came from elsewhere.

    Raises:
        StudioError: The name cannot be a file's name, or belongs to a model that came with the studio or was imported.
    """
    check_name(name)
    taken = [entry for entry in library.list() if entry.name in (name, inverse_name(name))]
    if any(entry.shipped or entry.card.source_format != SOURCE for entry in taken):
        raise TrainingError(f"There already is a model called {taken[0].name}. Choose another name.")


def paced(settings: Settings) -> Settings:
    """Choose how often a run shows samples and saves: short runs often, long ones every few minutes."""
    if settings.minutes is None:
        return settings
    return dataclasses.replace(
        settings,
        snapshot_minutes=min(2.0, max(0.05, settings.minutes / SNAPSHOTS_PER_RUN)),
        save_minutes=min(5.0, max(0.25, settings.minutes / STATES_PER_RUN)),
    )


def begin(settings: Settings) -> RunFolder:
    """Start the process that trains; ``settings.folder`` says where. A run that is there already continues.

    Raises:
        TrainingError: The settings are wrong, or the run is being trained already.
    """
    assert settings.folder
    settings = presets.resolve(settings)
    folder = RunFolder(Path(settings.folder))
    if presence.holder(folder) is not None:
        raise TrainingError(f"{settings.name} is being trained already.")
    require_same_run(folder, settings)
    folder.write_settings(settings.to_json())
    with folder.output_file.open("ab") as output:
        process = _spawn(["run", str(folder.path)], stderr=output)
    presence.claim(folder, process.pid)
    threading.Thread(target=process.wait, name=f"reap-{process.pid}", daemon=True).start()
    return folder


def _spawn(arguments: list[str], *, stderr: int | IO[bytes]) -> subprocess.Popen[bytes]:
    """Start this package as a process in a session of its own, which no closing terminal ends."""
    source = str(Path(__file__).resolve().parents[2])
    known = os.environ.get("PYTHONPATH")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (source, known)))}
    flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "DETACHED_PROCESS", 0)
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "studio.training", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env=env,
        start_new_session=True,
        creationflags=flags,
    )


def stop(folder: RunFolder) -> None:
    """Ask a run to save and end; it takes as long as the step that it is in."""
    held = presence.holder(folder)
    if held is None:
        return
    folder.stop_request.touch()
    if held.is_here and os.name == "posix":
        os.kill(held.pid, signal.SIGTERM)


def extended(folder: RunFolder, minutes: float, ticks: Sequence[Tick]) -> Settings:
    """Return the settings that continue a run: to its end when time is left, else for ``minutes`` more."""
    settings = dataclasses.replace(read_settings(folder), folder=str(folder.path))
    if not ticks or ticks[-1].progress < 1:
        return settings
    last = ticks[-1]
    if settings.minutes is not None:
        return dataclasses.replace(settings, minutes=last.seconds / 60 + minutes)
    speed = last.cur_nimg / max(last.seconds, 1.0)
    return dataclasses.replace(settings, kimg=last.cur_nimg / 1000 + max(minutes * 60 * speed / 1000, 0.001))


def read_settings(folder: RunFolder) -> Settings:
    """Read the settings of a run.

    Raises:
        TrainingError: There is no run here, or another version of the studio wrote it.
    """
    try:
        return Settings.from_json(folder.settings_file.read_text())
    except OSError as error:
        raise TrainingError(f"{folder.path.name}: there is no training run of this name.") from error


def save_now(folder: RunFolder, *, patience: float) -> None:
    """Ask a live run to save its present state, and wait until it did, at most ``patience`` seconds."""
    if presence.holder(folder) is None:
        return
    folder.save_request.touch()
    until = time.monotonic() + patience
    while folder.save_request.exists() and presence.holder(folder) is not None and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    folder.save_request.unlink(missing_ok=True)


def publish(folder: RunFolder, models: Path, *, best: bool = False) -> list[Path]:
    """Write the averaged networks of a run as models of its name into the models folder.

    Raises:
        TrainingError: The run has saved nothing yet.
    """
    settings = read_settings(folder)
    words = ", ".join(Path(part).name for part in settings.data)
    card = ModelCard(licence=OWN, origin=f"trained on {words}", source_format=SOURCE)
    models.mkdir(parents=True, exist_ok=True)
    return export(folder.path, models, card, best=best)


def measure(settings: Settings, scratch: Path, *, stopped: threading.Event, patience: float = 600.0) -> Forecast:
    """Take a few steps in a process of their own, so that its memory is measured alone, and say what they promise.

    Raises:
        TrainingError: The settings are wrong, the measuring failed, or it was stopped.
    """
    presets.resolve(settings)
    scratch.mkdir(parents=True, exist_ok=True)
    question, answer = scratch / "forecast-settings.json", scratch / "forecast.json"
    question.write_text(settings.to_json())
    answer.unlink(missing_ok=True)
    process = _spawn(["forecast", str(question), str(answer)], stderr=subprocess.DEVNULL)
    until = time.monotonic() + patience
    try:
        while process.poll() is None:
            if stopped.wait(POLL_SECONDS) or time.monotonic() > until:
                raise TrainingError("The forecast was stopped.")
    finally:
        process.kill()
        process.wait()
    try:
        entry = json.loads(answer.read_text())
    except (OSError, ValueError) as error:
        raise TrainingError("This computer could not take a single step with these settings. Try a smaller size.") from error
    if "error" in entry:
        raise StudioError(str(entry["error"]))
    return Forecast(**entry)
