"""The training loop of every family: settings in, news out, states on disk so that the same command again continues the run.

One loop: step, follow the clock, report, snapshot, save. What a step is belongs to the family (``gan.py``, ``cyclegan.py``).
Stopped by SIGTERM, by ``should_stop`` or by closing the iterator it saves first; killed, it loses at most ``save_minutes``.
"""

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from studio import paths
from studio.errors import TrainingError
from studio.training import presence, presets
from studio.training.board import MISSING, Board, is_available
from studio.training.gradients import GradientNorms
from studio.training.settings import Settings, Tick
from studio.training.state import RunFolder
from studio.training.team import Team
from studio.training.trainer import Clock, StepRandom, Trainer

log = logging.getLogger(__name__)

CLOCKS = {"wall": time.monotonic, "processor": time.process_time}
TICK_SECONDS = 5.0
MOST_ROLLBACKS = 5
SLEEP_FACTOR = 30.0


def run_folder(settings: Settings) -> RunFolder:
    """Return where a run keeps its files."""
    return RunFolder(Path(settings.folder) if settings.folder else paths.home_folder() / "training" / settings.name)


def train(settings: Settings, *, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Tick]:
    """Train, or continue a run of the same name, and yield news.

    Args:
        settings: What to train on what; ``minutes`` or ``kimg`` says for how long. To continue, give the same again; a larger
            ``minutes`` or ``kimg`` extends a finished run.
        should_stop: Asked after every step; when true, the run saves and ends.

    Yields:
        A ``start`` tick, then ``step``, ``snapshot`` and ``state`` ticks, and at last ``end`` or ``stopped``.

    Raises:
        TrainingError: The settings or folders are wrong, the run belongs to other settings, or it diverges again and again.
    """
    if (settings.minutes is None) == (settings.kimg is None):
        raise TrainingError("Say how long to train: either minutes or kimg (thousand pictures), not both.")
    if settings.clock not in CLOCKS:
        raise TrainingError(f"clock={settings.clock!r} is not known. Use {' or '.join(CLOCKS)}.")
    settings = presets.resolve(settings)
    folder, team = run_folder(settings), Team()
    with presence.present(folder) if team.is_first else contextlib.nullcontext():
        if team.is_first:
            require_same_run(folder, settings)
            folder.write_settings(settings.to_json())
            presets.load_all_pictures(settings)
        team.wait()
        with _stop_on_signal() as signalled:
            run = _Run(settings, folder, presets.build_trainer(settings, team), team)
            yield from run.go(lambda: signalled.is_set() or should_stop() or folder.stop_request.exists())


def require_same_run(folder: RunFolder, settings: Settings) -> None:
    """Make sure that a run which has states already has the same networks and pictures as resolved settings say.

    Raises:
        TrainingError: They differ.
    """
    if not folder.states() or not folder.settings_file.exists():
        return
    before = Settings.from_json(folder.settings_file.read_text())
    for field in presets.FIXED_FIELDS:
        if getattr(before, field) != getattr(settings, field):
            raise TrainingError(
                f"The run {settings.name!r} was started with {field}={getattr(before, field)!r}, not {getattr(settings, field)!r}. "
                "Use the same value to continue it, or another name for a new run."
            )


@contextlib.contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """Turn SIGTERM into an event while the block runs; outside the main thread signals stay as they are."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def note(number: int, frame: FrameType | None) -> None:
        event.set()

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGTERM, before)


class _Run:
    """One run between its start (or resume) and its end: the counters, and when to report and to save."""

    def __init__(self, settings: Settings, folder: RunFolder, trainer: Trainer, team: Team) -> None:
        self.team = team
        self.settings = settings
        self.folder = folder
        self.trainer = trainer
        self.gradients = GradientNorms(trainer.watched())
        self.board = Board(folder.path, is_on=settings.tensorboard and team.is_first)
        self.now = CLOCKS[settings.clock]
        self.steps = self.saved_step = self.cur_nimg = 0
        self.seconds = 0.0
        self.rollbacks = 0
        self.longest_step = 0.0
        self.best: float | None = None
        self.saved_at = self.shown_at = self.told_at = self.measured_at = 0.0
        self.sums: dict[str, tuple[float, int]] = {}
        self.told_step, self.told_seconds = 0, 0.0

    def progress(self) -> float:
        """Return the share of the given time or pictures that is used up, 0 to 1."""
        if self.settings.kimg is not None:
            return min(1.0, self.cur_nimg / (self.settings.kimg * 1000))
        return min(1.0, self.seconds / (presets.require(self.settings.minutes) * 60))

    def go(self, should_stop: Callable[[], bool]) -> Iterator[Tick]:
        """Resume where there is something to resume, train, and save at the end whatever the reason for it."""
        resumed = self._resume()
        if not resumed:
            self.trainer.begin()
        self.team.wait()
        begins = f"continues at {self.cur_nimg / 1000:.1f} kimg" if resumed else "starts afresh"
        yield self._tick("start", f"{begins}. {MISSING}" if self.settings.tensorboard and not is_available() else begins)
        if not resumed:
            yield from self._save()
        try:
            while True:
                progress, is_over = self.team.follow_first(self.progress(), float(should_stop()))
                if progress >= 1 or is_over:
                    break
                yield from self._step(progress)
            is_finished = self.progress() >= 1
            if self.saved_step != self.steps:
                yield from self._save(is_measured=is_finished)
            yield from self._snapshot()
            yield self._tick("end" if is_finished else "stopped", "finished" if is_finished else "stopped; resume any time")
        finally:
            self.board.close()
            if self.saved_step != self.steps and self.team.is_first:
                self._write_state()

    def _step(self, progress: float) -> Iterator[Tick]:
        started = self.now()
        try:
            random = StepRandom(self.settings.seed, self.rollbacks, self.steps, self.team)
            values = self.trainer.step(random, Clock(self.steps, self.cur_nimg, progress))
        except FloatingPointError as error:
            yield from self._roll_back(str(error))
            return
        self.steps += 1
        self.cur_nimg += self.trainer.images_per_step
        self.seconds += self._awake(self.now() - started)
        for name, value in values.items():
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = (total + value, count + 1)
        if self.seconds - self.told_at >= TICK_SECONDS:
            self.told_at = self.seconds
            yield self._tick("step")
        if self.seconds - self.shown_at >= self.settings.snapshot_minutes * 60:
            yield from self._snapshot()
        if self.seconds - self.saved_at >= self.settings.save_minutes * 60:
            yield from self._save()
        elif self.team.is_first and self.folder.save_request.exists():
            self.folder.save_request.unlink(missing_ok=True)
            yield self._tick("state", file=self._write_state())

    def _awake(self, seconds: float) -> float:
        """Return the time that a step took; a machine that slept (or a process that was halted) during it does not count as training."""
        if self.longest_step > 0 and seconds > SLEEP_FACTOR * self.longest_step:
            return self.longest_step
        self.longest_step = max(self.longest_step, seconds)
        return seconds

    def _roll_back(self, reason: str) -> Iterator[Tick]:
        rollbacks = self.rollbacks + 1
        if rollbacks > MOST_ROLLBACKS:
            raise TrainingError(f"Training diverged {MOST_ROLLBACKS} times ({reason}). Lower the learning rates or raise r1_gamma.")
        self._resume()
        self.rollbacks = rollbacks
        yield self._tick("rollback", f"{reason}; back to {self.cur_nimg / 1000:.1f} kimg")

    def _resume(self) -> bool:
        found = self.folder.read_newest_state()
        if found is None:
            return False
        tensors, header = found
        self.trainer.load_state(tensors, header["scalars"])
        self.steps, self.seconds, self.rollbacks = int(header["step"]), float(header["seconds"]), int(header["rollbacks"])
        self.best, self.cur_nimg = header["best"], int(header["cur_nimg"])
        self.saved_at = self.shown_at = self.told_at = self.told_seconds = self.measured_at = self.seconds
        self.told_step = self.saved_step = self.steps
        self.sums.clear()
        return True

    def _snapshot(self) -> Iterator[Tick]:
        self.shown_at = self.seconds
        if not self.team.is_first:
            return
        file = self.folder.write_snapshot(self.steps, self.trainer.sample_grid())
        yield self._tick("snapshot", file=file)

    def _save(self, *, is_measured: bool = True) -> Iterator[Tick]:
        """Write the state; measuring first how good it is takes a while, for which nobody waits who stops a run."""
        if not self.team.is_first:
            self.saved_at, self.saved_step = self.seconds, self.steps
            return
        is_measured &= self.progress() >= 1 or self.seconds - self.measured_at >= self.settings.measure_minutes * 60
        quality = self.trainer.quality() if self.steps and is_measured else {}
        self.measured_at = self.seconds if quality else self.measured_at
        score = quality.get("score")
        is_best = score is not None and (self.best is None or score < self.best)
        self.best = score if is_best else self.best
        file = self._write_state(is_best=is_best)
        for name, value in quality.items():
            self.sums[name] = (value, 1)
        yield self._tick("state", "best so far" if is_best else "", file=file)

    def _write_state(self, *, is_best: bool = False) -> Path:
        tensors, scalars = self.trainer.state()
        header = {"scalars": scalars, "seconds": self.seconds, "rollbacks": self.rollbacks, "best": self.best, "cur_nimg": self.cur_nimg}
        self.saved_at, self.saved_step = self.seconds, self.steps
        return self.folder.write_state(self.steps, tensors, header, is_best=is_best)

    def _tick(self, kind: str, message: str = "", file: Path | None = None) -> Tick:
        """Make a tick of the averages since the last one, and write it to the log."""
        seconds = self.seconds - self.told_seconds
        speed = (self.steps - self.told_step) * self.trainer.images_per_step / seconds if seconds > 0 else 0.0
        values = {name: total / count for name, (total, count) in self.sums.items()} | self.gradients.take()
        tick = Tick(kind, self.steps, self.cur_nimg, self.seconds, self.progress(), speed, values, message, file)
        self.sums.clear()
        self.told_step, self.told_seconds = self.steps, self.seconds
        if self.team.is_first:
            presence.beat(self.folder)
            self.board.tell(tick)
            with self.folder.log_file.open("a") as log_file:
                log_file.write(tick.to_json() + "\n")
        return tick
