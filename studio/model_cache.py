"""The models that are in memory: found by name or hash, the least used one forgotten when room is needed.

This is *not* the list of what is installed (``checkpoints.Library``) and draws nothing (``engine.py``).
"""

from __future__ import annotations

import gc
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor

from studio import checkpoints
from studio.errors import RecipeError
from studio.latents import mean_of_class, place_to_ws
from studio.models.common import LatentGenerator
from studio.recipe import Latent, ModelRef
from studio.runners import Runner

log = logging.getLogger(__name__)

REMEMBERED_PLACES = 1024
MIN_FREE_BYTES = 1 << 30


@dataclass(slots=True)
class Loaded:
    """One model in memory: a latent generator or a translator, and the card that tells where it comes from."""

    name: str
    network: Any
    card: Any
    runners: dict[str, Runner] = field(default_factory=dict)
    """Ways to run it, by precision."""
    places: OrderedDict[Latent, Tensor] = field(default_factory=OrderedDict)
    """Style vectors of the latents seen last."""
    means: dict[int, Tensor] = field(default_factory=dict)
    """Mean styles of the classes that were asked for."""

    @property
    def is_translator(self) -> bool:
        """Say whether it turns pictures into pictures, rather than seeds."""
        return not isinstance(self.network, LatentGenerator)

    @property
    def ref(self) -> ModelRef:
        """The name and hash that a recipe carries."""
        return ModelRef(self.name, getattr(self.card, "sha256", ""))

    def place(self, latent: Latent) -> Tensor:
        """Return the style vectors of a latent, ``[1, num_ws, w_dim]`` (call it in the worker's thread)."""
        ws = self.places.get(latent)
        if ws is None:
            ws = self.places[latent] = place_to_ws(self.network, latent)
            if len(self.places) > REMEMBERED_PLACES:
                self.places.popitem(last=False)
        else:
            self.places.move_to_end(latent)
        return ws

    def mean(self, index: int) -> Tensor:
        """Return the mean style of a class, ``[num_ws, w_dim]`` (call it in the worker's thread)."""
        mean = self.means.get(index)
        if mean is None:
            mean = self.means[index] = mean_of_class(self.network, index)
        return mean

    def forget(self) -> None:
        """Drop what was made for the device it was on."""
        for runner in self.runners.values():
            runner.abandon()
        self.runners.clear()
        self.places.clear()
        self.means.clear()


def same_file(ref: ModelRef, models: Iterable[Any]) -> str | None:
    """Find the very file that a recipe was made with, whatever it is called now, also when it was imported since.

    Args:
        ref: What the recipe says.
        models: Things with a ``name`` and a ``card``.

    Returns:
        Its name, the recipe's own if there are several; None when the file is not there.
    """
    hashes = [(model.name, (getattr(model.card, "sha256", ""), getattr(model.card, "source_sha256", ""))) for model in models]
    names = [name for name, known in hashes if ref.sha256 and ref.sha256 in known]
    return ref.name if ref.name in names else next(iter(names), None)


class ModelCache:
    """Loads models from a library and keeps a few. Every method may be called from any thread.

    Args:
        library: Finds installed models; see :class:`studio.checkpoints.Library`.
        device: Where networks are put; may be changed for those loaded later.
        max_models: How many are kept.
    """

    def __init__(self, library: Any, device: torch.device, max_models: int) -> None:
        self.library = library
        self.device = device
        self.max_models = max(1, max_models)
        self.note = ""
        self._models: OrderedDict[str, Loaded] = OrderedDict()
        self._aliases: dict[ModelRef, str] = {}
        self._lock = threading.Lock()
        self._loading = threading.RLock()

    def load(self, name: str) -> Loaded:
        """Return a model by its name in the library, from memory when it is there.

        Raises:
            CheckpointError: There is no such model, or its file is damaged.
        """
        loaded = self._look_up(name)
        if loaded is not None:
            return loaded
        with self._loading:
            return self._look_up(name) or self._keep(name, self.library.find(name).path)

    def open(self, path: str | os.PathLike[str]) -> Loaded:
        """Load any supported file under the name of the file, without installing it.

        Raises:
            CheckpointError: The file is no model that the studio knows.
        """
        with self._loading:
            return self._keep(Path(path).stem, Path(path))

    def find(self, ref: ModelRef) -> Loaded:
        """Return the model that a recipe names: by name when the file's hash agrees, else by the hash alone.

        A model of the same name but another file is used too; ``note`` then says so.

        Raises:
            RecipeError: The recipe names no model.
            CheckpointError: No such model is installed.
        """
        if not ref.name and not ref.sha256:
            raise RecipeError("The recipe names no model. Choose a model first.")
        with self._lock:
            name = self._aliases.get(ref)
        loaded = self._look_up(name) if name is not None else None
        if loaded is not None:
            return loaded
        with self._loading:
            name = self._match(ref)
            loaded = self.load(name)
            with self._lock:
                self._aliases[ref] = name
            return loaded

    def unload(self, name: str) -> None:
        """Forget a model (before its file is renamed or removed); nothing happens when it is not in memory."""
        with self._lock:
            loaded = self._models.pop(name, None)
            self._aliases = {ref: known for ref, known in self._aliases.items() if known != name}
        if loaded is not None:
            loaded.forget()
            del loaded
            gc.collect()

    def unload_others(self, *names: str) -> None:
        """Forget all models but some."""
        for other in self.names():
            if other not in names:
                self.unload(other)

    def names(self) -> list[str]:
        """Return the names of the models in memory, the least used one first."""
        with self._lock:
            return list(self._models)

    def _look_up(self, name: str) -> Loaded | None:
        with self._lock:
            if name in self._models:
                self._models.move_to_end(name)
            return self._models.get(name)

    def _match(self, ref: ModelRef) -> str:
        with self._lock:
            known = dict(self._models)
        if ref.name in known and ref.sha256 in ("", known[ref.name].ref.sha256):
            return ref.name
        same = same_file(ref, [*known.values(), *self.library.list()]) if ref.sha256 else None
        if ref.sha256 and same is None:
            self.note = f"{ref.name} is not the file that this picture was made with, so it may look different."
        return same or ref.name

    def _keep(self, name: str, path: Path) -> Loaded:
        self.unload(name)
        while (names := self.names()) and (len(names) >= self.max_models or psutil.virtual_memory().available < MIN_FREE_BYTES):
            self.unload(names[0])
        network: Any = checkpoints.load(path, device=str(self.device), precision="exact")
        loaded = Loaded(name, network, getattr(network, "card", None))
        with self._lock:
            self._models[name] = loaded
        return loaded
