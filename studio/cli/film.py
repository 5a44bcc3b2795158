"""The command that makes films: through seeds, with sounds, from recipes; now, on a cluster, or through the studio's list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studio.cli import common, values
from studio.cli import film_recipes as building
from studio.errors import RecipeError
from studio.recipe import Recipe

if TYPE_CHECKING:
    from studio.engine import Engine
    from studio.export import Export, Wishes


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(film)


def film(
    source: Annotated[
        str, typer.Argument(help="A model (several with commas: side by side), or a recipe: .json, a picture or film of the studio.")
    ],
    seeds: Annotated[str | None, typer.Option("--seeds", "-s", help="The places to go through: `1,5,9`.")] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", help="Length; left out: the sound's, or 4 seconds a seed.")] = None,
    fps: Annotated[str | None, typer.Option("--fps", help="Frames a second: 30, 29.97, 30000/1001.")] = None,
    audio: Annotated[list[Path] | None, typer.Option("--audio", help="A sound to move with and to hear; may be repeated.")] = None,
    stem: Annotated[list[Path] | None, typer.Option("--stem", help="A sound or MIDI file that only steers; may be repeated.")] = None,
    start: Annotated[float, typer.Option("--start", help="Where in the sound the film begins, in seconds.")] = 0.0,
    preset: Annotated[
        str | None, typer.Option("--preset", help="How it moves with the sound: lucid (with a sound, when left out), maua ... or none.")
    ] = None,
    path: Annotated[str | None, typer.Option("--path", help="The way between seeds: spline, linear, slerp, plane, circle.")] = None,
    psi: common.Psi = None,
    center: common.Center = None,
    classes: common.Classes = None,
    size: Annotated[str | None, typer.Option("--size", help="Longest side, or width x height: `512`, `1920x1080`.")] = None,
    fit: Annotated[str, typer.Option("--fit", help="Into another aspect by pad, mirror, crop or stretch.")] = "pad",
    columns: Annotated[int | None, typer.Option("--columns", help="Films in a row, when there are several side by side.")] = None,
    grid: Annotated[int, typer.Option("--grid", help="Share the seeds among so many films side by side.")] = 1,
    format: Annotated[
        str | None, typer.Option("--format", help="h264, h265, av1, vp9, prores, gif, webp, apng ...; else by --out.")
    ] = None,
    crf: Annotated[int | None, typer.Option("--crf", help="Quality: lower is better and larger; 18 is usual for h264.")] = None,
    effort: Annotated[
        str | None, typer.Option("--encoder-preset", help="Effort of the encoder: ultrafast ... veryslow; av1 and vp9: 13 ... 0.")
    ] = None,
    chroma: Annotated[str | None, typer.Option("--chroma", help="420 plays everywhere, 444 keeps the edges of colours sharp.")] = None,
    enlarge: common.Enlarge = None,
    upscale: common.Upscale = None,
    loop: Annotated[bool | None, typer.Option("--loop/--no-loop", help="The end meets the beginning.", show_default=False)] = None,
    flash_limit: Annotated[
        bool | None, typer.Option("--flash-limit/--no-flash-limit", help="Damp more than three large flashes a second.", show_default=False)
    ] = None,
    precision: Annotated[str | None, typer.Option("--precision", help=f"{common.PRECISION_HELP} Left out: auto, or the recipe's.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The film to write; its suffix says the format.")] = None,
    sheet: Annotated[bool, typer.Option("--sheet", help="Also lay the film out on a contact sheet beside it.")] = False,
    queue: Annotated[bool, typer.Option("--queue", help="Put it on the studio's list instead of making it now.")] = False,
    ray: Annotated[str | None, typer.Option("--ray", help="Draw on a Ray cluster: its address, or `local`.")] = None,
    workers: Annotated[int, typer.Option("--workers", help="Workers of the cluster.")] = 2,
    no_recipe: common.NoRecipe = False,
    device: common.Device = "auto",
) -> None:
    """Make a film: through seeds, with a sound, or from a recipe. The same command again goes on where it was.

    For example:

    * `studio film pomona --seeds 0,3,7 --seconds 10 --out loop.mp4`

    * `studio film pomona --seeds 1,5,9 --audio song.flac --preset maua --size 1920x1080 --fit mirror --out film.mp4`

    * `studio film journey.json --size 512 --format gif --out journey.gif`

    * `studio film pomona --seeds 0-11 --grid 4 --seconds 6 --out four.webm`
    """
    engine = common.make_engine(device)
    recipes, models = building.sources(source, engine)
    recipes = [common.enlarged(recipe, engine, enlarge, None) for recipe in recipes]
    wanted = None if seeds is None else values.parse_seeds(seeds)
    files = [(file, True) for file in audio or []] + [(file, False) for file in stem or []]
    sounds = building.sounds_of(files, start)
    side, look = _look(size, fit, columns)
    look = replace(look, upscaler=common.open_upscaler(engine, upscale, is_installed=queue))
    cells = []
    for recipe, loaded in zip(recipes, models, strict=True):
        pairs = recipe.latent.classes if classes is None else values.parse_classes(classes, getattr(loaded.card, "classes", ()))
        centered = replace(recipe, truncation=values.centered(recipe.truncation, center, pairs))
        for part in building.shares(wanted, grid):
            moved = building.moving(centered, part, pairs, path, loop)
            timed = building.timed(moved, fps, seconds, files, start, part)
            heard = building.hearing(timed, sounds, preset, loaded)
            shaped = building.shaped(heard, part, psi, side, flash_limit, precision, given=recipe.film is not None)
            cells.append(common.signed(shaped, loaded))
    target = _target(out, format, models[0].name)
    settings = {"kind": format, "crf": crf, "preset": effort, "chroma": chroma}
    wishes = _wishes(target, settings, look, include_recipe=not no_recipe)
    if queue:
        _enqueue(cells, wishes, out, target, [file for file, _ in files])
        return
    _make(cells, target, wishes, [file for file, _ in files], engine, ray, workers)
    if sheet:
        _lay_out(target)


def _make(cells: list[Recipe], target: Path, wishes: Wishes, files: list[Path], engine: Engine, ray: str | None, workers: int) -> None:
    """Make a film here, with a bar; the frames that are finished stay for the next time when it is interrupted."""
    from studio.export import Export, frames_folder

    drawing = None
    if ray is not None:
        from studio.film_render.cluster import Cluster

        drawing = Cluster(ray, workers, library=engine.library)
    export = Export(cells, target, frames_folder(target), wishes=wishes, sounds=files, engine=engine, drawing=drawing)
    try:
        _follow(export)
    except KeyboardInterrupt:
        typer.echo("Stopped. The same command goes on where it was.", err=True)
        raise typer.Exit(130) from None
    if export.saved.note:
        typer.echo(export.saved.note, err=True)
    typer.echo(target)


def _lay_out(film: Path) -> None:
    """Write the contact sheet of a film that was just made."""
    from studio.media import film_sheet, is_film, write_image

    if not is_film(film):
        raise RecipeError(f"{film.name} holds its frames one by one, so it needs no contact sheet.")
    path = film.with_name(f"{film.stem}-sheet.jpg")
    write_image(path, film_sheet(film))
    typer.echo(path)


def _follow(export: Export) -> None:
    from contextlib import closing

    words = {"hearing": "Listening", "drawing": "Drawing", "encoding": "Encoding"}
    phase, advance, bar = "", None, None
    with closing(export.steps()) as steps:  # type: ignore[type-var]
        try:
            for step in steps:
                if step.phase != phase:
                    if bar is not None:
                        bar.__exit__(None, None, None)
                    phase, bar = step.phase, common.progress(words[step.phase], step.total)
                    advance = bar.__enter__()
                assert advance is not None
                advance(step.done)
        finally:
            if bar is not None:
                bar.__exit__(None, None, None)


def _enqueue(cells: list[Recipe], wishes: Wishes, out: Path | None, target: Path, files: list[Path]) -> None:
    from studio.jobs import JobQueue

    job = JobQueue().add(
        cells,
        look=wishes.look,
        format=wishes.format,
        out=None if out is None else target,
        sounds=files,
        include_recipe=wishes.include_recipe,
    )
    typer.echo(f"{job.id}  {job.title}: waits for the studio. 'studio jobs list' shows how far it is.")


def _look(size: str | None, fit: str, columns: int | None) -> tuple[int | None, Any]:
    """Read a size: one number is the longest side, two are width and height."""
    from studio.film_render import Look

    if size is None:
        return None, Look(fit=fit, columns=columns)
    parts = size.lower().split("x")
    if not all(part.strip().isdecimal() for part in parts) or len(parts) > 2:
        raise RecipeError(f"size={size!r} is not understood. Use e.g. 512 or 1920x1080.")
    numbers = [int(part) for part in parts]
    if len(numbers) == 1:
        return numbers[0], Look(fit=fit, columns=columns)
    return None, Look(numbers[0], numbers[1], fit, columns=columns)


def _target(out: Path | None, format: str | None, model: str) -> Path:
    from studio.media import KINDS

    if out is None:
        kind = KINDS.get(format or "h264")
        return Path(f"{model}{kind.suffix if kind else '.mp4'}")
    if out.is_dir() or not out.suffix:
        raise RecipeError(f"out={str(out)!r} names no film. Name the file to write, such as film.mp4.")
    return out


def _wishes(target: Path, settings: dict[str, Any], look: Any, *, include_recipe: bool) -> Wishes:
    from studio.export import Wishes
    from studio.media import format_for

    given = {name: value for name, value in settings.items() if value is not None}
    return Wishes(format_for(target, **given), look, include_recipe=include_recipe)
