"""Removed models, kept for a day in a hidden folder beside the others, so that removing can be undone."""

from __future__ import annotations

import secrets
import shutil
import time
from pathlib import Path

from studio.checkpoints.library import SUFFIX, Library, ModelEntry
from studio.errors import CheckpointError

FOLDER = ".removed"
KEPT_SECONDS = 24 * 3600


class Trash:
    """Takes imported models out of a library and puts them back."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._folder = Path(library.models_folder) / FOLDER

    def take(self, name: str) -> str:
        """Move a model with its card and preview out of the library; returns what :meth:`put_back` wants.

        Raises:
            CheckpointError: It is a shipped model, or there is none of that name.
        """
        self.empty(older_than=KEPT_SECONDS)
        entry = self._library.find(name)
        if entry.shipped:
            raise CheckpointError(f"{name!r} came with the studio and stays as it is.")
        token = secrets.token_hex(8)
        place = self._folder / token
        place.mkdir(parents=True)
        for suffix in (SUFFIX, ".json", ".webp"):
            file = entry.path.with_suffix(suffix)
            if file.is_file():
                file.replace(place / file.name)
        return token

    def put_back(self, token: str) -> ModelEntry:
        """Bring a removed model back under its name.

        Raises:
            CheckpointError: It is gone for good, or there is another model of its name by now.
        """
        place = self._folder / token
        weights = next(iter(place.glob(f"*{SUFFIX}")), None) if token.isalnum() and place.is_dir() else None
        if weights is None:
            raise CheckpointError("This model was removed for good. Import its file again.")
        name = weights.name[: -len(SUFFIX)]
        if any(entry.name == name for entry in self._library.list()):
            raise CheckpointError(f"There is another model called {name!r} by now. Rename that one first.")
        for file in sorted(place.iterdir(), key=lambda file: file.suffix == SUFFIX):
            file.replace(Path(self._library.models_folder) / file.name)
        shutil.rmtree(place)
        return self._library.find(name)

    def empty(self, *, older_than: float = 0.0) -> None:
        """Delete for good what was removed more than some seconds ago."""
        if not self._folder.is_dir():
            return
        for place in self._folder.iterdir():
            if time.time() - place.stat().st_mtime >= older_than:
                shutil.rmtree(place, ignore_errors=True)
