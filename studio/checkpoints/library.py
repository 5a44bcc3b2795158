"""The installed models: the shipped ones, and those that the user imported into the models folder.

The files are the truth: ``NAME.safetensors`` with its card ``NAME.json`` and its preview ``NAME.webp``. Importing parses the
foreign file in a child process (``importer``) and installs the result only when all of it is there. Nothing here needs torch.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.checkpoints import extras
from studio.checkpoints.card import ModelCard
from studio.checkpoints.names import check_name, clean_name, numbered
from studio.checkpoints.quarantine import Quarantine
from studio.checkpoints.safetensors_io import MAX_HEADER_BYTES, read_card
from studio.errors import CheckpointError, StudioError, UnknownModelError
from studio.media.files import atomic_write

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)

SUFFIX = ".safetensors"
MAX_INDEX_BYTES = 4 << 20
MAX_SAME_NAMES = 1000

Progress = Callable[[float, str], object]
Preview = Callable[["nn.Module"], bytes]


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One installed model."""

    name: str
    path: Path
    card: ModelCard
    preview: Path | None = None
    shipped: bool = False
    """It came with the studio and can be neither renamed nor removed."""


Entries = list[ModelEntry]


class Library:
    """The models that can be opened by name.

    Args:
        models_folder: Where imported models live; it is made when the first one arrives.
        pretrained_folder: The shipped models, listed in its ``index.json``.
    """

    def __init__(self, models_folder: Path, pretrained_folder: Path) -> None:
        self.models_folder = Path(models_folder)
        self.pretrained_folder = Path(pretrained_folder)

    def list(self) -> Entries:
        """Return all models, the shipped ones first, then by name; files that cannot be read are left out."""
        shipped = self._shipped()
        taken = {entry.name for entry in shipped}
        paths = sorted(self.models_folder.glob(f"*{SUFFIX}"), key=lambda path: path.stem.lower())
        found = [self._entry(path) for path in paths]
        return shipped + [entry for entry in found if entry is not None and entry.name not in taken]

    def find(self, name: str) -> ModelEntry:
        """Return the model of a name.

        Raises:
            UnknownModelError: There is none; the installed ones are named.
        """
        entries = self.list()
        for entry in entries:
            if entry.name == name:
                return entry
        own_first = sorted(entries, key=lambda entry: entry.shipped)
        names = ", ".join(entry.name for entry in own_first[:8]) or "none yet"
        raise UnknownModelError(f"There is no model called {ascii(name)[1:-1][:120]!r}. Installed: {names}.")

    def import_file(
        self, path: str | Path, *, name: str | None = None, progress: Progress | None = None, preview: Preview | None = None
    ) -> ModelEntry:
        """Bring in a model file of any supported format. Nothing in it is executed, and nothing is overwritten.

        Args:
            path: The file.
            name: What to call the model; None takes the file's name. When it is taken, ``-2`` is appended.
            progress: Called with the share done (0 to 1) and what is being done.
            preview: Makes the bytes of a WebP picture from the loaded network; a failure only costs the picture.

        Raises:
            StudioError: The file was refused, or there is no room; then nothing is left behind.
        """
        source = Path(path)
        wanted = clean_name(source.name) if name is None else check_name(name)
        tell = progress or _silent
        self.models_folder.mkdir(parents=True, exist_ok=True)
        with Quarantine(self.models_folder) as quarantine:
            result = quarantine.run(source, tell)
            tell(0.9, "Making a preview")
            picture = None if preview is None else _preview(result.weights, preview)
            tell(0.98, "Installing")
            entry = self._install(wanted, result.weights, result.card, picture)
        tell(1.0, "Ready")
        return entry

    def rename(self, name: str, new: str) -> ModelEntry:
        """Give an imported model another name.

        Raises:
            CheckpointError: It is a shipped model, or the new name is taken or cannot be one.
        """
        entry = self._own(name)
        check_name(new)
        if new == name:
            return entry
        if any(other.name == new for other in self.list()):
            raise CheckpointError(f"There is already a model called {new!r}. Choose another name.")
        target = self.models_folder / f"{new}{SUFFIX}"
        _link(entry.path, target)
        _write_card(target, replace(entry.card, name=new))
        if entry.preview is not None:
            entry.preview.replace(target.with_name(f"{new}.webp"))
        _discard(entry.path)
        return self.find(new)

    def remove(self, name: str) -> None:
        """Delete an imported model, its card and its preview.

        Raises:
            CheckpointError: It is a shipped model, or there is none of that name.
        """
        _discard(self._own(name).path)

    def _own(self, name: str) -> ModelEntry:
        entry = self.find(name)
        if entry.shipped:
            raise CheckpointError(f"{name!r} came with the studio and stays as it is.")
        return entry

    def _install(self, wanted: str, weights: Path, card: ModelCard, picture: bytes | None) -> ModelEntry:
        """Put the finished files under a free name; the weights appear in one step and never replace others."""
        shipped = {entry.name for entry in self._shipped()}
        for attempt in range(1, MAX_SAME_NAMES):
            name = numbered(wanted, attempt)
            target = self.models_folder / f"{name}{SUFFIX}"
            if name in shipped:
                continue
            try:
                _link(weights, target)
            except FileExistsError:
                continue
            try:
                _write_card(target, replace(card, name=name))
                if picture is not None:
                    with atomic_write(target.with_name(f"{name}.webp")) as file:
                        file.write(picture)
            except BaseException:
                _discard(target)
                raise
            return self.find(name)
        raise CheckpointError(f"There are too many models called {wanted!r}. Choose another name.")

    def _entry(self, path: Path) -> ModelEntry | None:
        """Describe one file of the models folder; None when it is not ours to open."""
        name = path.name[: -len(SUFFIX)]
        if name.startswith(".") or not _is_inside(path, self.models_folder):
            return None
        try:
            card = _card(path)
        except (StudioError, OSError) as error:
            logger.warning("%s is left out of the list: %s", path.name, error)
            return None
        preview = path.with_name(f"{name}.webp")
        return ModelEntry(name, path, replace(card, name=name), preview if preview.is_file() else None)

    def _shipped(self) -> Entries:
        """Read ``index.json``: a list of models, or an object that holds one under "models"."""
        index = self.pretrained_folder / "index.json"
        if not index.is_file():
            return []
        data = json.loads(index.read_text("utf-8")[:MAX_INDEX_BYTES])
        items = data.get("models", []) if isinstance(data, dict) else data
        entries = (self._shipped_entry(item) for item in items)
        return [entry for entry in entries if entry is not None]

    def _shipped_entry(self, item: dict[str, Any]) -> ModelEntry | None:
        if "package" in item:
            found = extras.find(item)
            picture = self.pretrained_folder / str(item["preview"])
            return found and ModelEntry(found[1].name, *found, picture if picture.is_file() else None, shipped=True)
        path = self.pretrained_folder / str(item.get("file", ""))
        if not path.is_file() or not _is_inside(path, self.pretrained_folder):
            return None
        card = _header_card(path)
        known = {"sha256": "sha256", "licence": "licence", "data": "origin", "credit": "credit", "direction": "direction"}
        said = {ours: item[theirs] for theirs, ours in known.items() if isinstance(item.get(theirs), str)}
        name = str(item.get("name") or path.name[: -len(SUFFIX)])
        preview = self.pretrained_folder / str(item.get("preview") or f"{path.stem}.webp")
        return ModelEntry(name, path, replace(card, name=name, **said), preview if preview.is_file() else None, shipped=True)


def _silent(share: float, what: str) -> None:
    """Tell nobody."""


def _is_inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _card(path: Path) -> ModelCard:
    """Read the card beside a model, or the one in its header."""
    beside = path.with_suffix(".json")
    if beside.is_file():
        return ModelCard.from_json(beside.read_bytes())
    return _header_card(path)


def _header_card(path: Path) -> ModelCard:
    """Read the card in the header of a model, and nothing else of the file."""
    with path.open("rb") as file:
        start = file.read(8)
        size = min(int.from_bytes(start, "little"), MAX_HEADER_BYTES)
        return read_card(memoryview(start + file.read(size)))


def _preview(weights: Path, make: Preview) -> bytes | None:
    from studio.checkpoints.loader import load_file

    network = load_file(weights)
    try:
        return make(network)
    except Exception:
        logger.warning("no preview could be made", exc_info=True)
        return None


def _link(source: Path, target: Path) -> None:
    """Let a file appear under a second name in one step, never in place of another.

    Raises:
        FileExistsError: The name is taken.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        # No hard links on this file system: reserve the name, then move the file onto it.
        target.open("xb").close()
        try:
            shutil.copyfile(source, target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise


def _write_card(weights: Path, card: ModelCard) -> None:
    text = json.dumps(card.to_json(), ensure_ascii=False, indent=1)
    with atomic_write(weights.with_suffix(".json")) as file:
        file.write(text.encode("utf-8"))


def _discard(weights: Path) -> None:
    """Delete a model's files, the weights first: without them the rest is nothing."""
    weights.unlink(missing_ok=True)
    for suffix in (".json", ".webp"):
        with contextlib.suppress(FileNotFoundError):
            weights.with_suffix(suffix).unlink()
