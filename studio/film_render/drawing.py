"""From a recipe with a film to its frames, one by one: every frame is a function of the recipe and its number alone.

The engine lends the device frame by frame, so that previews come first. Frames always run in batches of one shape and at the same
place in it, whatever was asked for: neither the order nor what is made together ever changes a picture. This is *not* where frames
are kept (``store``) or encoded (``export.py``).
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, TypeVar

import torch

from studio._version import __version__
from studio.engine import Engine, default_engine
from studio.errors import DeviceError, RecipeError
from studio.film_render.look import MAX_CELLS, Look
from studio.film_render.sounds import Given, hear_all
from studio.media import ImageArray, hash_bytes, hash_file
from studio.media.views import apply_view
from studio.model_cache import Loaded
from studio.recipe import ModelRef, Recipe
from studio.recipe_film import Film
from studio.render import Frame, synthesize, to_image
from studio.runners import Way
from studio.timeline import Timeline
from studio.upscaling import chain_of, upscale_to
from studio.worker import Priority

T = TypeVar("T")

GPU_BATCH = 4
"""Frames at once on a GPU, where the plain module runs; fast paths are made for one."""
QUIET_SECONDS = 0.25
"""A film waits so long after each preview: whoever drags a slider will want the next one at once ..."""
MAX_COURTESY_SECONDS = 1.0
"""... but it makes a frame at least this often."""

Recipes = Recipe | Sequence[Recipe]


@dataclass(frozen=True, slots=True)
class _Cell:
    """One of the films side by side: its model, the way to run it, and its timeline."""

    recipe: Recipe
    loaded: Loaded
    way: str
    call: Way
    timeline: Timeline
    batch: int

    def draw(self, indices: Sequence[int]) -> list[tuple[ImageArray, Recipe]]:
        """Draw up to ``batch`` frames (in the worker's turn): the bare picture of each, and its recipe."""
        frames = self.timeline.styles(indices)
        first = frames.recipes[0]
        if all((recipe.noise, recipe.transform) == (first.noise, first.transform) for recipe in frames.recipes):
            parts = [(frames.ws, first)]
        else:
            parts = [(frames.ws[n : n + 1], recipe) for n, recipe in enumerate(frames.recipes)]
        images: list[ImageArray] = []
        for ws, recipe in parts:
            n = ws.shape[0]
            padded = torch.cat([ws, ws[-1:].expand(self.batch - n, -1, -1)]) if n < self.batch else ws
            img = synthesize(self.loaded.network, padded, recipe, self.call)
            images += [to_image(img[k : k + 1]) for k in range(n)]
        return list(zip(images, frames.recipes, strict=True))


class FilmRender:
    """A film made ready to be drawn: models loaded, sounds heard, ways through latent space worked out.

    Args:
        recipes: One recipe with a film, or several that are shown side by side. The first one says how fast and how long; recipes
            without a film get the first one's.
        look: Size and shape of the finished frames.
        sounds: Files of the sounds that the film refers to; those that were kept are found without.
        engine: Draws; by default the one of scripts.
        ways: How each model was run before, to go on in the same way.

    Raises:
        StudioError: A recipe has no film, or a model or sound is missing.
    """

    def __init__(
        self, recipes: Recipes, *, look: Look | None = None, sounds: Given = (), engine: Engine | None = None, ways: Sequence[str] = ()
    ) -> None:
        self.recipes = side_by_side(recipes)
        self.film = film_of(self.recipes[0])
        self.rate: Fraction = self.film.rate
        self.count: int = self.film.count
        self.look = look or Look()
        self.engine = default_engine() if engine is None else engine
        models = [self.engine.generator(recipe.model) for recipe in self.recipes]
        heard = [hear_all(film_of(recipe), sounds) for recipe in self.recipes]
        self.sound_files, self.heard = heard[0].files, heard[0].found
        self._hashes = [hash_file(path) for found in heard for path in found.files]
        self._device = str(self.engine.device)
        names = [*ways, *[""] * len(models)]
        self._cells = [
            self._cell(recipe, loaded, found.found, name)
            for recipe, loaded, found, name in zip(self.recipes, models, heard, names, strict=False)
        ]
        self._batch = max(cell.batch for cell in self._cells)
        named = [self.engine.load(self.look.upscaler).ref] if self.look.upscaler else []
        self._upscalers = chain_of(self.engine, (*named, *self.recipes[0].enlarge))

    @property
    def timelines(self) -> tuple[Timeline, ...]:
        """The timelines of the films, in order."""
        return tuple(cell.timeline for cell in self._cells)

    def raw(self, index: int, priority: Priority = Priority.BATCH) -> ImageArray:
        """Draw one frame at the model's own size, or as large as the upscaler makes it, uint8 ``[H, W, 3 or 4]``."""
        return next(self.raws([index], priority))[1]

    def frame(self, index: int, priority: Priority = Priority.BATCH) -> ImageArray:
        """Draw one frame as it will be in the film (before its flashes are limited)."""
        return self.finish(self.raw(index, priority))

    def finish(self, image: ImageArray) -> ImageArray:
        """Bring a drawn frame to its finished size."""
        return self.look.finish(image, self.recipes[0].size)

    def raws(self, indices: Iterable[int], priority: Priority = Priority.BATCH) -> Iterator[tuple[int, ImageArray]]:
        """Draw frames in the order asked for, each with its number; leaving the loop ends the work.

        Raises:
            DeviceError: The memory of the device is full, or the engine went to another device meanwhile.
        """
        for start, wanted in itertools.groupby(indices, key=lambda index: index % self.count // self._batch * self._batch):
            members = range(start, min(start + self._batch, self.count))
            pictures: list[ImageArray] | None = None
            for index in wanted:
                if pictures is None:
                    pictures = self._group(members, priority)
                yield index, pictures[index % self.count - start]

    def facts(self) -> dict[str, Any]:
        """Return everything that the drawn frames depend on, for a manifest; what only shapes them later is left out."""
        plain = [
            replace(recipe, size=None, studio="", film=replace(film_of(recipe), flash_limit=True, sounds=())) for recipe in self.recipes
        ]
        enlarged = {"upscaler": _digest(self.engine.load(self.look.upscaler))} if self.look.upscaler else {}
        return enlarged | {
            "schema": 2,
            "studio": __version__,
            "torch": torch.__version__,
            "recipes": hash_bytes("\n".join(recipe.to_json() for recipe in plain).encode()),
            "sounds": [f"{ref.start!r} {digest}" for ref, digest in zip(self._refs(), self._hashes, strict=True)],
            "models": [_digest(cell.loaded) for cell in self._cells],
            "ways": [cell.way for cell in self._cells],
            "precision": [recipe.precision for recipe in self.recipes],
            "columns": self.look.columns,
            "device": self._device_name(),
            "dtype": "float32",
            "batch": self._batch,
            "threads": torch.get_num_threads(),
        }

    def estimate_bytes(self) -> int:
        """Estimate the disk space that the frames take while the film is made."""
        pixels = sum(int(cell.loaded.network.img_resolution) ** 2 for cell in self._cells)
        scale = math.prod(network.scale for network in self._upscalers)
        return round(self.count * pixels * scale**2 * 3)

    def _cell(self, recipe: Recipe, loaded: Loaded, heard: Sequence[Any], name: str) -> _Cell:
        from studio.mapping import levels

        way, call = self.engine.way(loaded, recipe.precision, name)
        loud = levels(film_of(recipe), list(heard)) if film_of(recipe).matrix else ()
        batch = GPU_BATCH if self.engine.device.type == "cuda" and way == "module" else 1
        network = loaded.network

        def prepare() -> Timeline:
            return Timeline(recipe, network, levels=loud, places=loaded.place, means=loaded.mean)

        return _Cell(recipe, loaded, way, call, self.engine.take_turn(prepare, recipe.precision, Priority.SETTLE), batch)

    def _group(self, members: Sequence[int], priority: Priority) -> list[ImageArray]:
        """Draw the frames of one batch: every cell in a turn of its own, then what lies over the pictures."""
        columns = [
            [picture for at in range(0, len(members), cell.batch) for picture in self._turn(cell, members[at : at + cell.batch], priority)]
            for cell in self._cells
        ]
        images = [self.look.compose([apply_view(image, recipe.view) for image, recipe in row]) for row in zip(*columns, strict=True)]
        if not self._upscalers:
            return images
        return [upscale_to(self._upscalers, image, None, turn=lambda task: self._lend(task, priority)) for image in images]

    def _turn(self, cell: _Cell, members: Sequence[int], priority: Priority) -> list[tuple[ImageArray, Recipe]]:
        if priority >= Priority.BATCH:
            self._wait_for_quiet()
        return self._lend(lambda: cell.draw(members), priority, cell.recipe.precision)

    def _lend(self, task: Callable[[], T], priority: Priority, precision: str = "exact") -> T:
        if str(self.engine.device) != self._device:
            raise DeviceError(
                f"The studio went over to {self.engine.device}, so this film cannot go on as it began. Start the studio anew."
            )
        return self.engine.take_turn(task, precision, priority)

    def _wait_for_quiet(self) -> None:
        """Let a hand that moves a slider have the device to itself, for as long as it moves, but not for ever."""
        until = time.monotonic() + MAX_COURTESY_SECONDS
        while (now := time.monotonic()) < (end := min(until, self.engine.last_preview + QUIET_SECONDS)):
            time.sleep(end - now)

    def _refs(self) -> list[Any]:
        return [ref for recipe in self.recipes for ref in film_of(recipe).sounds]

    def _device_name(self) -> str:
        if self.engine.device.type == "cuda":
            return torch.cuda.get_device_name(self.engine.device)
        return f"{self.engine.device} {torch.backends.cpu.get_cpu_capability()}"


def render_frames(
    recipe: Recipes,
    *,
    indices: Iterable[int] | None = None,
    look: Look | None = None,
    sounds: Given = (),
    engine: Engine | None = None,
    priority: Priority = Priority.BATCH,
) -> Iterator[Frame]:
    """Make the frames of a film one by one; none is kept, and leaving the loop ends the work within a frame.

    Args:
        recipe: A recipe with a film, or several for films side by side.
        indices: Which frames, modulo their number; all by default.
        look: Size and shape.
        sounds: Files of the sounds that the film refers to.
        engine: Draws; by default the one of scripts.
        priority: Whose turn the frames take.

    Yields:
        ``Frame(index, total, image)``: ``image uint8 [H, W, 3]``, or ``[H, W, 4]`` for a model with transparency.

    Raises:
        StudioError: The recipe has no film, or a model or sound is missing.
    """
    film = FilmRender(recipe, look=look, sounds=sounds, engine=engine)
    wanted = range(film.count) if indices is None else indices
    return (Frame(index, film.count, film.finish(image)) for index, image in film.raws(wanted, priority))


def side_by_side(recipes: Recipes) -> tuple[Recipe, ...]:
    """Give every recipe a film of the same length and speed: the first one's, or its own brought into step.

    Raises:
        RecipeError: There is no recipe, too many, or the first has no film.
    """
    cells = (recipes,) if isinstance(recipes, Recipe) else tuple(recipes)
    if not 1 <= len(cells) <= MAX_CELLS:
        raise RecipeError(f"{len(cells)} films side by side cannot be made. Use 1 to {MAX_CELLS}.")
    lead = film_of(cells[0])
    films = [replace(cell.film or lead, fps=lead.fps, seconds=lead.seconds, loop=lead.loop) for cell in cells]
    return tuple(replace(cell, film=film) for cell, film in zip(cells, films, strict=True))


def film_of(recipe: Recipe) -> Film:
    """Return the film of a recipe.

    Raises:
        RecipeError: It has none.
    """
    if recipe.film is None:
        raise RecipeError("This recipe is a picture, not a film. Give it a film first.")
    return recipe.film


def _digest(loaded: Loaded) -> str:
    ref: ModelRef = loaded.ref
    return ref.sha256 or ref.name
