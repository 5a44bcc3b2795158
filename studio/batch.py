"""Restyle many files: find the pictures and films, skip what is done, write each result as it comes, name what failed.

Progress is data: :func:`run` yields an outcome for each file. This is *not* how one picture (``engine.py``) or one film
(``film_restyle``) is restyled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from studio import media
from studio.errors import MediaError, RecipeError, StudioError
from studio.export import frames_folder
from studio.film_restyle import RestyleExport, film_suffix
from studio.film_restyle.estimates import ANIMATIONS
from studio.media import ImageArray
from studio.recipe import Recipe, Restyle

if TYPE_CHECKING:
    from studio.engine import Engine

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".tif", ".tiff", ".bmp")
"""What counts as a picture in a folder; files that are named themselves are opened whatever they are called."""
FILM_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".mts", ".apng")
"""What counts as a film in a folder."""
PHASES = {"looking": (0.0, 0.03), "drawing": (0.03, 0.87), "encoding": (0.9, 0.1)}
"""Where each phase of a film begins, and about which share of the time it takes."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file to restyle, and where its result goes: ``folder / name``, without a suffix."""

    path: Path
    folder: Path
    name: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file: where its result is, or why there is none."""

    source: Source
    result: Path | None = None
    is_skipped: bool = False
    error: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """What to make of every file."""

    recipe: Recipe
    suffix: str = ".png"
    include_recipe: bool = True
    again: bool = False
    """Make what is done already once more, beside it."""
    max_memory: int | None = None


def find_sources(inputs: Sequence[Path], out: Path, model: str) -> list[Source]:
    """List the pictures and films among files and folders, folders with everything below them, and name their results.

    A result is called like its picture and the model, in the folders that the picture was in.

    Raises:
        RecipeError: A file or folder does not exist, or there is nothing to restyle in any of them.
    """
    found: list[tuple[Path, Path]] = []
    for path in inputs:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES + FILM_SUFFIXES and file.is_file())
            found += [(file, out / file.parent.relative_to(path)) for file in inside if not _is_below(file, out, path)]
        elif path.exists():
            found.append((path, out))
        else:
            raise RecipeError(f"{path} does not exist. Name pictures, films, or folders of them.")
    if not found:
        raise RecipeError("There is no picture and no film in this folder. Pictures are PNG, JPEG, WebP, GIF, TIFF and BMP files.")
    names = [f"{file.stem}-{model}" for file, _ in found]
    places = [(folder, name) for (_, folder), name in zip(found, names, strict=True)]
    shared = {place for place in places if places.count(place) > 1} if len(set(places)) < len(places) else set()
    return [
        Source(file, folder, f"{file.stem}-{file.suffix[1:].lower()}-{model}" if (folder, name) in shared else name)
        for (file, folder), name in zip(found, names, strict=True)
    ]


def _is_below(file: Path, out: Path, folder: Path) -> bool:
    """Say whether a file is one of our results, where they are written into the folder that is restyled, or a frame of one."""
    if any(part.startswith(".") and part.endswith(".frames") for part in file.relative_to(folder).parts):
        return True
    return out.resolve() != folder.resolve() and out.resolve() in file.resolve().parents


def run(
    engine: Engine,
    sources: Sequence[Source],
    order: Order,
    *,
    progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Iterator[Outcome]:
    """Restyle files one after another; an error of one file does not stop the others.

    Args:
        engine: Draws.
        sources: See :func:`find_sources`.
        order: What to make.
        progress: Told the share of the present file that is done.
        should_stop: Asked between turns.

    Yields:
        What became of each file, in order.

    Raises:
        CancelledError: ``should_stop`` said so; what was made so far is kept.
    """
    from studio.restyle.picture import CancelledError

    for source in sources:
        try:
            yield _one(engine, source, order, progress, should_stop)
        except CancelledError:
            raise
        except StudioError as error:
            yield Outcome(source, error=str(error))


def _one(
    engine: Engine, source: Source, order: Order, progress: Callable[[float], None] | None, should_stop: Callable[[], bool] | None
) -> Outcome:
    header = media.inspect_media(source.path)
    wishes = replace(order.recipe.restyle or Restyle(), source_name=header.name[:200], source_sha256=header.sha256)
    facts = media.probe_film(source.path) if media.is_film(source.path) else None
    if facts is not None and (facts.frames > 1 or facts.container not in ANIMATIONS):
        recipe = replace(order.recipe, restyle=wishes)
        return _film(engine, source, replace(order, recipe=recipe), film_suffix(facts), progress, should_stop)
    plain = Restyle()
    recipe = replace(order.recipe, restyle=replace(wishes, flicker=plain.flicker, start=plain.start, end=plain.end))
    suffix = order.suffix
    done = None if order.again else _done(source.folder, f"{source.name}{suffix}", recipe)
    if done is not None:
        return Outcome(source, done, is_skipped=True)
    notes: list[str] = []

    def draw(image: ImageArray, alpha: ImageArray | None, tell: Callable[[float], None] | None) -> ImageArray:
        return engine.restyle(recipe, image, alpha, max_memory=order.max_memory, progress=tell, should_stop=should_stop, note=notes.append)

    picture = media.read_image(source.path)
    image = draw(picture.image, None if suffix in (".jpg", ".jpeg") else picture.alpha, progress)
    encoded = media.encode_image(image, suffix, recipe=recipe, icc=picture.icc, include_recipe=order.include_recipe)
    path = media.create_exclusive(source.folder, media.numbered_names(f"{source.name}{suffix}"), encoded.data)
    notes += [*picture.notes, *([encoded.note] if encoded.note else [])]
    return Outcome(source, path, notes=tuple(dict.fromkeys(notes)))


def _done(folder: Path, name: str, recipe: Recipe) -> Path | None:
    """Return the result that an earlier run made of the same picture with the same wishes, if it is there.

    A result that was saved without its recipe counts by its name.
    """
    for candidate in media.numbered_names(name):
        path = folder / candidate
        if not path.is_file():
            return None
        try:
            made = media.inspect_media(path).recipe
        except MediaError:
            continue
        if made is None or replace(made, studio=recipe.studio) == recipe:
            return path
    return None


def _film(
    engine: Engine,
    source: Source,
    order: Order,
    suffix: str,
    progress: Callable[[float], None] | None,
    should_stop: Callable[[], bool] | None,
) -> Outcome:
    """Restyle a film; interrupted, the next run goes on with the frames that are there."""
    from studio.restyle.picture import CancelledError

    name = f"{source.name}{suffix}"
    done = None if order.again else _done(source.folder, name, order.recipe)
    if done is not None:
        return Outcome(source, done, is_skipped=True)
    path = _free(source.folder, name)
    export = RestyleExport(
        order.recipe,
        source.path,
        path,
        frames_folder(path),
        engine=engine,
        max_memory=order.max_memory,
        include_recipe=order.include_recipe,
    )
    with closing(export.steps()) as steps:  # type: ignore[type-var]
        for step in steps:
            if should_stop is not None and should_stop():
                raise CancelledError("Cancelled.")
            if progress is not None:
                begin, share = PHASES[step.phase]
                progress(begin + share * step.done / max(1, step.total))
    result = export.result
    return Outcome(source, path, notes=tuple(note for note in (*result.notes, result.words) if note))


def _free(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return next(folder / candidate for candidate in media.numbered_names(name) if not (folder / candidate).exists())


def contact_sheet(outcomes: Sequence[Outcome], *, cell: int = 320, most: int = 400) -> ImageArray:
    """Lay before and after of each finished file side by side on one sheet, ``uint8 [H, W, 3]``.

    Raises:
        MediaError: None is finished.
    """
    pairs: list[ImageArray] = []
    for outcome in outcomes:
        if outcome.result is None or len(pairs) == most:
            continue
        small = [media.thumbnail(_glance(path), cell // 2) for path in (outcome.source.path, outcome.result)]
        small[1] = media.resize(small[1], small[0].shape[1], small[0].shape[0])
        pairs.append(np.hstack(small))
    if not pairs:
        raise MediaError("There is nothing to show on a contact sheet, because no picture could be restyled.")
    return media.contact_sheet(pairs, cell=cell)


def _glance(path: Path) -> ImageArray:
    """Return a picture, or the first frame of a film, ``[H, W, 3]``."""
    if not media.is_film(path):
        picture = media.read_image(path)
        return media.flatten(picture.image, picture.alpha)
    with closing(media.read_film(path)) as frames:  # type: ignore[type-var]
        image = next(iter(frames)).image
    return media.flatten(image[..., :3], image[..., 3] if image.shape[2] == 4 else None)
