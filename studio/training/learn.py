"""Starting to learn a style of one's own: paintings, a name and minutes become the settings of a run, or a run in the background.

The page calls :func:`begin` and then watches the run like any other (``runs.py``): its snapshots show painting, photo and result, and
``runs.publish`` makes its model. How a style is learnt is *not* here: see ``own_style.py``.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

from studio.checkpoints import Library
from studio.errors import TrainingError
from studio.training import presence, runs
from studio.training.data import read_pixels
from studio.training.settings import Settings
from studio.training.state import RunFolder
from studio.training.translator_presets import BOOK

MINUTES = 10.0
"""How long a style is learnt, unless told otherwise."""
SNAPSHOTS = 10
LARGEST_PAUSE = 1.0
"""Most minutes between two previews, and between two saved states."""


def settings_for(
    paintings: Sequence[Path],
    *,
    name: str,
    minutes: float = MINUTES,
    photo: Path | None = None,
    learns: str = "row",
    start_from: str = "",
    folder: Path | None = None,
) -> Settings:
    """Say how to learn a style.

    Args:
        paintings: Files of one hand, or one folder of them.
        name: What the style and its model are called.
        minutes: For how long; the learning rates fall to zero over the second half.
        photo: What the previews show; None: a photo of those that ship.
        learns: ``row`` (blends with the book) or ``network``; see :class:`Settings`.
        start_from: The book that it is added to; empty: the shipped one.
        folder: Where the run keeps its files; None: where ``studio train`` does.
    """
    settings = Settings(
        family="style",
        data=tuple(str(painting.resolve()) for painting in paintings),
        name=name,
        minutes=minutes,
        photo=str(photo.resolve()) if photo else "",
        learns=learns,
        start_from=start_from,
        folder=str(folder) if folder else "",
    )
    return paced(settings)


def paced(settings: Settings) -> Settings:
    """Choose how often previews are shown and the state is saved: every minute, more often when there are few."""
    pause = min(LARGEST_PAUSE, settings.minutes / SNAPSHOTS) if settings.minutes else LARGEST_PAUSE
    return dataclasses.replace(settings, snapshot_minutes=pause, save_minutes=pause, measure_minutes=2 * pause)


def begin(
    paintings: Sequence[Path],
    *,
    name: str,
    home: Path,
    library: Library,
    minutes: float = MINUTES,
    photo: Path | None = None,
    learns: str = "row",
    start_from: str = "",
    device: str = "auto",
) -> RunFolder:
    """Start learning a style in a process of its own; the pictures are copied, so uploads may go.

    Args:
        paintings: See :func:`settings_for`; files only.
        name: What the style and its model are called.
        home: The folder of all runs; this one is ``home / name``.
        library: The installed models, whose names are taken.
        minutes: For how long.
        photo: What the previews show.
        learns: What is learnt.
        start_from: The book that it is added to.
        device: Where to train.

    Returns:
        The run, to watch, stop and publish with ``runs.py``.

    Raises:
        StudioError: The name is taken or no file's name, no painting was given, a picture is missing or cannot be read.
    """
    runs.check_free(name, library)
    folder = RunFolder(home / name)
    if folder.states() or presence.holder(folder) is not None:
        raise TrainingError(f"A run called {name} is there already. Continue it, or choose another name.")
    if learns == "row" and any(name in entry.card.classes for entry in library.list() if entry.name == (start_from or BOOK)):
        raise TrainingError(f"{start_from or BOOK} already has a style called {name}. Choose another name.")
    if not paintings:
        raise TrainingError("There is no painting to learn from. Choose a picture, or several of one hand.")
    for picture in (*paintings, *((photo,) if photo else ())):
        _check(picture)
    place = folder.path / "paintings"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    copies = [_copy(painting, place / f"{k:03d}{painting.suffix.lower()}") for k, painting in enumerate(paintings)]
    shown = _copy(photo, folder.path / f"photo{photo.suffix.lower()}") if photo else None
    given = settings_for(copies, name=name, minutes=minutes, photo=shown, learns=learns, start_from=start_from, folder=folder.path)
    return runs.begin(dataclasses.replace(given, device=device))


def _check(picture: Path) -> None:
    try:
        with picture.open("rb") as file:
            read_pixels(file, 3)
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else f"it cannot be read as a picture ({error})"
        raise TrainingError(f"{picture.name}: {reason}. Choose a JPEG, PNG or WebP file.") from error


def _copy(source: Path, target: Path) -> Path:
    shutil.copyfile(source, target)
    return target
