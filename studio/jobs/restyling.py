"""Restyled films among the jobs: the film that goes in is kept with its job, so that it is there when the job's turn comes.

How such a film is made is in ``film_restyle``.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from studio.film_restyle import Clip, film_suffix
from studio.jobs.job import Job, JobError
from studio.media import FilmFormat, format_for, safe_name
from studio.media.files import explained
from studio.recipe import Recipe, Restyle

SOURCE_FOLDER = "source"


def is_restyled(job: Job) -> bool:
    """Say whether a job restyles a film, rather than drawing one from a recipe."""
    recipe = job.recipes[0]
    return recipe.film is None and recipe.restyle is not None


def take_in(recipe: Recipe, source: str | os.PathLike[str], folder: Path, format: FilmFormat | None) -> tuple[Recipe, FilmFormat, Clip]:
    """Check an order and keep its film in the folder of the job.

    Returns:
        The recipe with the name and hash of the film, how the result is encoded, and the film.

    Raises:
        MediaError: It is no film, the range is empty, or there is no room for a copy.
    """
    options = recipe.restyle or Restyle()
    clip = Clip(source, options.start, options.end)
    chosen = format or format_for(Path(f"film{film_suffix(clip.facts)}"))
    place = folder / SOURCE_FOLDER / safe_name(clip.facts.name, "film")
    with explained(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            place.hardlink_to(clip.path.resolve())
        except OSError:
            try:
                shutil.copyfile(clip.path, place)
            except OSError:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    named = replace(options, source_name=clip.facts.name[:200], source_sha256=clip.sha256)
    return replace(recipe, film=None, restyle=named), chosen, clip


def kept_source(folder: Path) -> Path:
    """Return the film that goes in.

    Raises:
        JobError: It is gone.
    """
    inside = sorted(path for path in (folder / SOURCE_FOLDER).glob("*") if path.is_file())
    if not inside:
        raise JobError("The film that this job restyles is gone. Order it again.")
    return inside[0]


def drop_source(folder: Path) -> None:
    """Forget the film that went in, once the result is there."""
    shutil.rmtree(folder / SOURCE_FOLDER, ignore_errors=True)
