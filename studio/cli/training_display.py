"""A training run in the terminal: a bar with the time left, and below it the same facts as on the Train page. It only displays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

if TYPE_CHECKING:
    from studio.training import Settings, Tick

SECONDS_BETWEEN_LINES = 60.0
"""How often a terminal that cannot redraw (a file, a pipe) gets a line."""


class Display:
    """What the terminal shows of one run; feed it every tick."""

    def __init__(self, settings: Settings, console: Console, live: Live) -> None:
        self._settings = settings
        self._console = console
        self._live = live
        self._ticks: list[Tick] = []
        self._bar = Progress(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), console=console)
        self._task = self._bar.add_task(f"Training {settings.name}", total=1.0)
        self._told_at = 0.0

    def tell(self, tick: Tick) -> None:
        """Take one tick: redraw, or write a line now and then where nothing can be redrawn."""
        self._ticks.append(tick)
        self._bar.update(self._task, completed=tick.progress)
        if self._console.is_terminal:
            self._live.update(Group(self._bar, *self.lines()))
            return
        if tick.kind in ("state", "rollback") or time.monotonic() - self._told_at > SECONDS_BETWEEN_LINES:
            self._told_at = time.monotonic()
            self._console.print(f"{tick.progress:.0%}: {self.lines()[0].plain}", highlight=False, soft_wrap=True)

    def lines(self) -> list[Text]:
        """Return what is said below the bar: where it stands, its numbers, how it goes."""
        from studio.training import words
        from studio.training.diagnosis import diagnose

        numbers = ", ".join(f"{name.lower()} {value}" for name, value in words.numbers(self._ticks))
        found = [Text(finding.words, style="yellow" if finding.is_warning else "") for finding in diagnose(self._ticks)]
        return [Text(words.sentence("running", self._settings, self._ticks)), Text(numbers, style="dim"), *found]


@contextmanager
def display(settings: Settings) -> Iterator[Display]:
    """Show a run on the terminal's error stream while the block lasts; in a team, the first member does."""
    from studio.training.team import is_follower

    console = Console(stderr=True, quiet=is_follower())
    with Live(console=console, transient=True, refresh_per_second=2) as live:
        yield Display(settings, console, live)
