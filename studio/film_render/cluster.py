"""Draw a film on several workers at once, on this computer or on many, through Ray (the optional extra ``cluster``).

Each worker draws frames of its own into the same folder, which all of them must see. A frame depends on its number alone, so it does
not matter which worker draws it; a worker whose device or program differs from the first one's refuses, because its frames would not
fit. Encoding stays with whoever asked.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from studio.checkpoints import Library
from studio.engine import Engine
from studio.errors import DeviceError, StudioError
from studio.film_render.drawing import FilmRender
from studio.film_render.look import Look
from studio.film_render.store import FrameStore
from studio.recipe import MAX_FILM_JSON_BYTES, from_json

PIECES_PER_WORKER = 8
LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker must know of a film: only text and numbers, so that it travels."""

    recipes: tuple[str, ...]
    facts: dict[str, Any]
    folder: str
    count: int
    columns: int | None
    sounds: tuple[str, ...]
    models: str
    pretrained: str
    device: str
    threads: int


class Drawer:
    """A worker: one engine, one film, frames as they are asked for.

    Args:
        task: The film.
        name: A word for this worker that no other has.

    Raises:
        DeviceError: Its frames would differ from those of the others.
        StudioError: It does not have the model or the sounds.
    """

    def __init__(self, task: Task, name: str) -> None:
        torch.set_num_threads(task.threads)
        self._engine = Engine(Library(Path(task.models), Path(task.pretrained)), device=task.device, compilers=False)
        recipes = [from_json(text, MAX_FILM_JSON_BYTES) for text in task.recipes]
        look = replace(Look(), columns=task.columns)
        self._film = FilmRender(recipes, look=look, sounds=task.sounds, engine=self._engine, ways=task.facts["ways"])
        facts = self._film.facts()
        other = [key for key in task.facts if facts[key] != task.facts[key]]
        if other:
            raise DeviceError(f"A worker of the cluster differs in {', '.join(other)}, so its frames would not fit. Use equal machines.")
        self._store = FrameStore(Path(task.folder), task.count, name)

    def draw(self, indices: Sequence[int]) -> int:
        """Draw some frames into the folder; give how many."""
        for index, image in self._film.raws(indices):
            self._store.add(index, image)
        return len(indices)


class Cluster:
    """Fills a store by a Ray cluster; to be given to :class:`studio.export.Export` as ``drawing``.

    Args:
        address: Of the cluster, such as ``auto`` or ``ray://host:10001``; ``local`` starts one on this computer.
        workers: How many draw at once.
        library: Where the models are; workers look in the same folders.

    Raises:
        DeviceError: Ray is not installed.
    """

    def __init__(self, address: str, workers: int, *, library: Library) -> None:
        try:
            import ray
        except ImportError as error:
            raise DeviceError("Clusters need Ray. Install it with: pip install 'gan-art-studio[cluster]'.") from error
        self._ray: Any = ray
        self._address, self._workers, self._library = address, max(1, workers), library

    def __call__(self, film: FilmRender, store: FrameStore) -> Iterator[int]:
        """Draw what is missing; yields how many frames are finished.

        Raises:
            StudioError: A worker cannot draw this film, or fails.
        """
        missing, done = list(store.missing()), store.done
        task = self._task(film, store)
        with self._started(), self._explained():
            kind = self._ray.remote(num_cpus=1, num_gpus=1 if task.device == "cuda" else 0)(Drawer)
            drawers = [kind.remote(task, f"{os.getpid()}-{number}") for number in range(self._workers)]
            waiting = _pieces(missing, max(1, len(missing) // (self._workers * PIECES_PER_WORKER)))
            busy = {drawer.draw.remote(next(waiting)): drawer for drawer in drawers[: len(missing)]}
            while busy:
                (ready, *_), _ = self._ray.wait(list(busy), num_returns=1)
                drawer = busy.pop(ready)
                done += self._ray.get(ready)
                piece = next(waiting, None)
                if piece is not None:
                    busy[drawer.draw.remote(piece)] = drawer
                yield done

    def _task(self, film: FilmRender, store: FrameStore) -> Task:
        return Task(
            recipes=tuple(recipe.to_json() for recipe in film.recipes),
            facts=film.facts(),
            folder=str(store.folder.absolute()),
            count=film.count,
            columns=film.look.columns,
            sounds=tuple(str(path.absolute()) for path in film.sound_files),
            models=str(self._library.models_folder.absolute()),
            pretrained=str(self._library.pretrained_folder.absolute()),
            device=film.engine.device.type,
            threads=torch.get_num_threads(),
        )

    @contextlib.contextmanager
    def _started(self) -> Iterator[None]:
        source = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
        settings: dict[str, Any] = {"runtime_env": {"env_vars": {"PYTHONPATH": path}}, "log_to_driver": False}
        if self._address == LOCAL:
            settings |= {"address": "local", "num_cpus": self._workers, "include_dashboard": False}
        else:
            settings["address"] = self._address
        try:
            self._ray.init(**settings)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise DeviceError(f"The cluster at {self._address} does not answer. Check its address.", detail=repr(error)) from error
        try:
            yield
        finally:
            self._ray.shutdown()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what went wrong on a worker into the sentence that it raised there."""
        try:
            yield
        except self._ray.exceptions.RayError as error:
            cause: Any = error
            while cause is not None and not isinstance(cause, StudioError):
                cause = getattr(cause, "cause", None) or cause.__cause__
            if cause is not None:
                raise StudioError(str(cause)) from error
            raise DeviceError("A worker of the cluster failed; what it finished is kept. Try again.", detail=repr(error)) from error


def _pieces(indices: Sequence[int], size: int) -> Iterator[list[int]]:
    return (list(indices[at : at + size]) for at in range(0, len(indices), size))
