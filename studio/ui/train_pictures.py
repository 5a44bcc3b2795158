"""Training pictures on the page: what lies in a folder, how the crops look, and files dropped from anywhere made into a folder.

Reading a large folder takes minutes, so it happens in a :class:`Job` that the page asks about. Nothing here trains.
"""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
import numpy.typing as npt

from studio.errors import StudioError, TrainingError
from studio.training import data, presets
from studio.training.measures import opaque
from studio.training.pairs import preview_pairs
from studio.training.preview import preview
from studio.training.settings import Settings
from studio.training.sources import is_film_name
from studio.training.trainer import sheet
from studio.ui.context import Answer, image_url

UInt8 = npt.NDArray[np.uint8]

SHEET_PICTURES = 96
LISTED_PROBLEMS = 200
FEW_PICTURES = 50


@dataclass(slots=True, eq=False)
class Job:
    """One piece of work for the page: how far it is, what it found so far, and its error."""

    id: str = field(default_factory=lambda: secrets.token_urlsafe(6))
    answer: Answer = field(default_factory=dict)
    error: str = ""
    stopped: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)

    def start(self, work: Callable[[Job], None]) -> None:
        """Do the work in a thread of its own."""
        threading.Thread(target=self._run, args=(work,), name="studio-train-job", daemon=True).start()

    def _run(self, work: Callable[[Job], None]) -> None:
        try:
            work(self)
        except StudioError as error:
            self.error = str(error)
        except OSError as error:
            self.error = f"A file could not be read or written: {error.strerror or error}."
        finally:
            self.done.set()

    def state(self, patience: float) -> Answer:
        """Wait a moment for the end, and say what is known."""
        self.done.wait(patience)
        return {**self.answer, "done": self.done.is_set(), "refused": self.error}


def read_path(text: str) -> Path:
    """Make a path of what a person typed, pasted or dragged: quotes, ``~`` and ``file://`` are understood.

    Raises:
        StudioError: It is empty, or nothing is there.
    """
    text = text.strip().strip("'\"")
    if text.startswith("file://"):
        text = unquote(urlparse(text).path)
    if not text:
        raise StudioError("Choose a folder of pictures first.")
    path = Path(text).expanduser()
    if not path.exists():
        raise StudioError(f"{path}: there is no such folder. Check the path.")
    return path.resolve()


def look(job: Job, settings: Settings, folder: Path) -> None:
    """Show how the first crops look at once, then read everything and report."""
    settings = presets.resolve(settings)
    side, crop = presets.require(settings.resolution), presets.require(settings.crop)
    total, images = preview(folder, resolution=side, crop=crop, channels=4, most=SHEET_PICTURES, film_rate=settings.film_rate)
    columns = max(1, round((1.5 * len(images)) ** 0.5))
    job.answer |= {"sheet": image_url(sheet(opaque(images), columns), quality=90), "shown": len(images), "total": total}
    job.answer |= {"transparent": bool((images[..., 3] < 255).any())}
    pictures = presets.load_pictures(settings, (str(folder),), progress=_teller(job, total))
    job.answer |= {"share": 1.0, "say": summary(pictures.report, settings), "details": details(pictures.report), "films": has_films(folder)}


def look_at_pairs(job: Job, settings: Settings) -> None:
    """Show pairs, source and result side by side, then read them all and report.

    While the second folder is not chosen and the first holds no pairs, the pictures of the first are shown alone.
    """
    settings = presets.resolve(settings)
    side = presets.require(settings.resolution)
    first, second = ([Path(place) for place in places] for places in (settings.data, settings.target))
    try:
        total, images = preview_pairs(first, second, resolution=side, most=SHEET_PICTURES // 2)
    except TrainingError:
        if second:
            raise
        total, images = preview(first[0], resolution=side, crop="centre", most=SHEET_PICTURES)
        columns = max(1, round((1.5 * len(images)) ** 0.5))
        say = f"{total:,} picture{'' if total == 1 else 's'}. Choose the pictures that they become, too."
        job.answer |= {
            "sheet": image_url(sheet(images, columns), quality=90),
            "shown": len(images),
            "total": total,
            "share": 1.0,
            "say": say,
        }
        return
    images = np.concatenate([images[..., :3], images[..., 3:]], 2)
    columns = max(1, round((0.75 * len(images)) ** 0.5))
    job.answer |= {"sheet": image_url(sheet(images, columns), quality=90), "shown": len(images), "total": total, "pairs": True}
    pictures = presets.load_pairs(settings, progress=_teller(job, total))
    job.answer |= {"share": 1.0, "say": summary(pictures.report, settings), "details": details(pictures.report)}


def _teller(job: Job, total: int) -> Callable[[int, int], None]:
    """Return what tells the page how far the reading is, and ends it when the job is stopped."""

    def tell(done: int, of: int) -> None:
        if job.stopped.is_set():
            raise StudioError("Reading was stopped.")
        job.answer |= {"share": done / max(1, of), "say": f"Reading {done:,} of {of:,}"}

    tell(0, total)
    return tell


def has_films(place: Path) -> bool:
    """Tell whether any of the pictures are frames of films."""
    return is_film_name(place) or (place.is_dir() and any(is_film_name(file) for file in place.rglob("*")))


def summary(report: data.Report, settings: Settings) -> str:
    """Say what a folder holds, and what may disappoint."""
    noun = "pair" if settings.family == "pix2pix" else "picture"
    parts = [f"{report.kept:,} {noun}{'' if report.kept == 1 else 's'}"]
    if report.classes and settings.family not in presets.TRANSLATORS:
        parts.append(f"{len(report.classes)} classes")
    if report.duplicates:
        parts.append(f"{len(report.duplicates)} left out because they come twice")
    if report.broken:
        reason = "without a partner or unreadable" if noun == "pair" else "as unreadable"
        parts.append(f"{len(report.broken)} left out {reason}")
    words = ", ".join(parts) + "."
    if report.kept < FEW_PICTURES:
        words += f" That is few: from {FEW_PICTURES} on it becomes worthwhile."
    if report.smallest_side < presets.require(settings.resolution):
        words += f" The smallest is only {report.smallest_side} pixels high or wide and is enlarged."
    return words


def details(report: data.Report) -> list[str]:
    """List what was left out and why, and the classes with their sizes."""
    lines = [f"{name}: {number} pictures" for name, number in zip(report.classes, report.counts, strict=False)]
    lines += [f"{name}: left out, the same as {other}" for name, other in report.duplicates]
    lines += [f"{name}: left out, {reason}" for name, reason in report.broken]
    return lines[:LISTED_PROBLEMS] + ([f"and {len(lines) - LISTED_PROBLEMS} more"] if len(lines) > LISTED_PROBLEMS else [])


@dataclass(slots=True, eq=False)
class Gathering:
    """Files dropped on the page on their way into a folder of their own."""

    folder: Path
    files: int = 0

    def add(self, file: Path, relative: str) -> None:
        """Move one uploaded file to its place; the folder that it lay in becomes its class.

        Raises:
            StudioError: The name leads out of the folder.
        """
        parts = [part for part in PurePosixPath(relative.replace("\\", "/")).parts if part not in ("/", ".", "")]
        if not parts or ".." in parts or any(":" in part or "\0" in part for part in parts):
            raise StudioError("A dropped file has a name that is no file's name.")
        target = self.folder.joinpath(*parts[-3:])
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            target = target.with_name(f"{target.stem}-{self.files}{target.suffix}")
        shutil.move(file, target)
        self.files += 1

    def place(self) -> Path:
        """Return what to train on: the folder, or the one zip or film in it, or the one folder in it when that holds all.

        Raises:
            StudioError: Nothing arrived.
        """
        entries = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
        if not entries:
            raise StudioError("None of these files is a picture, a film or a zip of pictures.")
        return entries[0] if len(entries) == 1 and (entries[0].is_dir() or not data.is_picture_name(entries[0])) else self.folder


def gather(home: Path, title: str) -> Gathering:
    """Begin a new folder for dropped files, named after what was dropped."""
    plain = "".join(c if c.isalnum() or c in "-_ " else "-" for c in title).strip(" -")[:60] or "pictures"
    for number in range(1, 10_000):
        folder = home / (plain if number == 1 else f"{plain}-{number}")
        if not folder.exists():
            folder.mkdir(parents=True)
            return Gathering(folder)
    raise StudioError(f"There are too many folders called {plain}.")


def recent(all_settings: Sequence[Settings], most: int = 6) -> list[str]:
    """Return the folders of earlier runs that are still there, the newest first."""
    found: dict[str, Any] = {}
    for settings in all_settings:
        for folder in (*settings.data, *settings.target):
            if folder not in found and Path(folder).exists():
                found[folder] = True
    return list(found)[:most]
