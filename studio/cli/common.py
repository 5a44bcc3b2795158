"""What several commands share: the engine, models by name or file, bars of progress, saved files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from studio._version import __version__
from studio.cli import values
from studio.errors import RecipeError
from studio.recipe import Recipe, Truncation

if TYPE_CHECKING:
    from studio.engine import Engine
    from studio.media import ImageArray
    from studio.model_cache import Loaded

T = TypeVar("T")

Psi = Annotated[float | None, typer.Option("--psi", help="How far from the average: 0 is the average, 1 is raw, over 1 is wild (-1 to 2).")]
Cutoff = Annotated[int | None, typer.Option("--cutoff", help="Truncate only the first layers.")]
Center = Annotated[
    str | None,
    typer.Option(
        "--center",
        help="Where psi pulls to: `class` (the average of the picture's own class), `average` (of all), a seed, or the place of a "
        "recipe (.json) or picture. Left out: the recipe's, or class.",
    ),
]
Classes = Annotated[str | None, typer.Option("--class", help="Classes by number or name, with weights: `3` or `3:0.5,7:0.5`.")]
RecipeFile = Annotated[
    Path | None, typer.Option("--recipe", help="Start from a recipe (.json) or from a picture that the studio made.", show_default=False)
]
NoRecipe = Annotated[bool, typer.Option("--no-recipe", help="Leave the recipe out of the files; the mark of origin stays.")]
Format = Annotated[str, typer.Option("--format", help="png, jpg or webp.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the pictures.")]
Enlarge = Annotated[
    int | None,
    typer.Option("--enlarge", help="Enlarge crisply by the studio's own network: 2, 4 or 8 times; 1: not at all."),
]
Upscale = Annotated[
    str | None, typer.Option("--upscale", help="Enlarge with another upscaler (Real-ESRGAN): an installed one, or its .pth file.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
MODEL_SUFFIXES = (".pkl", ".pt", ".pth", ".safetensors", ".onnx")
PRECISION_HELP = "exact (fp32, always the same) or auto (the fast mode)."


def make_engine(device: str = "auto") -> Engine:
    """Start an engine that waits for no compiler."""
    from studio.engine import Engine

    return Engine(device=device, compilers=False)


def open_model(engine: Engine, model: str | None, recipe: Recipe | None = None) -> Loaded:
    """Load the named model: an installed one, or any model file; without a name the recipe's.

    Raises:
        RecipeError: Neither names a model.
        CheckpointError: There is no such model.
    """
    if model is None:
        if recipe is None or not (recipe.model.name or recipe.model.sha256):
            raise RecipeError("No model was named. Name one that 'studio models' lists, or a model file.")
        return engine.models.find(recipe.model)
    if Path(model).is_file():
        return engine.open(model)
    if len(Path(model).parts) > 1 or Path(model).suffix in MODEL_SUFFIXES:
        raise RecipeError(f"{model} does not exist. Name a model file, or a model that 'studio models' lists.")
    return engine.load(model)


def enlarged(recipe: Recipe, engine: Engine, times: int | None, upscaler: str | None) -> Recipe:
    """Return a recipe whose picture is made larger by the studio's own upscalers, or by a named one; None keeps what it says.

    Raises:
        RecipeError: Both were given, the number is not possible, or the model is no upscaler.
        CheckpointError: There is no such model.
    """
    from studio.upscaling import own_chain

    if times is None and upscaler is None:
        return recipe
    if times is not None and upscaler is not None:
        raise RecipeError("--enlarge and --upscale were both given. Use one: the studio's own upscalers, or a model that you name.")
    if upscaler is not None:
        return replace(recipe, enlarge=(engine.load(open_upscaler(engine, upscaler)).ref,))
    return replace(recipe, enlarge=() if times == 1 else own_chain(engine, times or 0))


def begun(recipe: Recipe, loaded: Loaded) -> Recipe:
    """Return a recipe that comes from no file as a new one for a model begins: classes are truncated towards their own average."""
    return replace(recipe, truncation=Truncation.fresh(getattr(loaded.network, "c_dim", 0)))


def open_upscaler(engine: Engine, model: str | None, *, is_installed: bool = False) -> str:
    """Load the upscaler that was named, if one was, and return what the engine calls it; ``is_installed``: a file will not do.

    Raises:
        RecipeError: It is no upscaler, or a file where an installed one is needed.
        CheckpointError: There is no such model.
    """
    if model is None:
        return ""
    if is_installed and Path(model).is_file():
        raise RecipeError(f"The studio's list needs an installed upscaler. Bring it in first: studio import {model}")
    from studio.upscaling import upscaler_of

    loaded = open_model(engine, model)
    upscaler_of(loaded)
    return loaded.name


def adjusted(part: T, **given: Any) -> T:
    """Change the values of a part of a recipe that were given on the command line; None keeps what the recipe says."""
    return replace(part, **{name: value for name, value in given.items() if value is not None})  # type: ignore[type-var]


def signed(recipe: Recipe, loaded: Loaded) -> Recipe:
    """Say in the recipe which model and which studio made the picture, and check every value."""
    return values.checked(replace(recipe, model=loaded.ref, studio=__version__))


def save(folder: Path, name: str, image: ImageArray, **options: Any) -> Path:
    """Write a picture (see ``media.encode_image``) under the first free name; tell where it went."""
    from studio.media import create_exclusive, encode_image, numbered_names

    data = encode_image(image, Path(name).suffix, **options).data
    path = create_exclusive(folder, numbered_names(name), data)
    typer.echo(path)
    return path


def suffix_of(format: str) -> str:
    """Return the suffix of a picture format.

    Raises:
        RecipeError: It is none of ours.
    """
    suffix = "." + format.lower().lstrip(".")
    if suffix not in (".png", ".jpg", ".jpeg", ".webp"):
        raise RecipeError(f"format={format!r} is unknown. Use png, jpg or webp.")
    return suffix


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Any]:
    """Show a bar on the terminal's error stream; yields a function to call with the number done (and of how many)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=total)

        def advance(done: float, of: float | None = None) -> None:
            bars.update(task, completed=done, total=of if of is not None else total)

        yield advance


def write_json(path: Path, data: object) -> None:
    """Write a JSON file for people and programs."""
    from studio.media import atomic_write

    with atomic_write(path) as file:
        file.write((json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode())
