"""The command ``studio restyle``: pictures, films, and folders of them, each at its own size."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studio.cli import common, values
from studio.cli.library import find_book, make_library
from studio.errors import RecipeError, StudioError
from studio.recipe import ModelRef, Recipe, Restyle, StyleShare, StyleWeight

if TYPE_CHECKING:
    from studio.batch import Order, Outcome, Source
    from studio.engine import Engine

MANY_PIXELS = 2 * 10**6
"""From so many pixels in all, the fast mode is worth preparing."""
EXIT_SOME_FAILED = 3
"""Some files were restyled and some were not."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(restyle)


def restyle(
    model: Annotated[str, typer.Argument(help="An installed translator, or a model file; with --recipe or --style it may be left out.")],
    inputs: Annotated[list[Path] | None, typer.Argument(help="Pictures, films, and folders of them.", show_default=False)] = None,
    out: common.Out = Path("out"),
    strength: Annotated[float | None, typer.Option("--strength", help="How much of the style: 0 is the photo, 1 all of it.")] = None,
    strength_space: Annotated[
        str | None, typer.Option("--strength-space", help="Strength as a blend of colours (lab), or inside the network (features).")
    ] = None,
    texture_scale: Annotated[
        float | None, typer.Option("--texture-scale", "--brush", help="Size of the strokes: 1 is as trained, 2 twice as large.")
    ] = None,
    detail: Annotated[float | None, typer.Option("--detail", help="Fine detail of the photo under large strokes, 0 to 1.")] = None,
    keep_colors: Annotated[
        bool | None,
        typer.Option("--keep-colors", "--keep-colour", "--keep-colours", help="Keep the photo's own colours.", show_default=False),
    ] = None,
    keep_luminance: Annotated[
        bool | None, typer.Option("--keep-light", help="Keep the photo's own light and shade.", show_default=False)
    ] = None,
    mask: Annotated[Path | None, typer.Option("--mask", help="A picture that is white where the style goes.", show_default=False)] = None,
    mask_feather: Annotated[
        float | None, typer.Option("--mask-feather", help="How soft the mask's edge is, as a share of the longest side.")
    ] = None,
    mix: Annotated[list[str] | None, typer.Option("--mix", help="Another translator with its share of the mixture: `monet:0.5`.")] = None,
    then: Annotated[list[str] | None, typer.Option("--then", help="A translator that is applied to the result.")] = None,
    style: Annotated[
        str | None, typer.Option("--style", help="Of a book of painting styles: which, blended by weight: `snow`, `snow:0.5,venice:0.5`.")
    ] = None,
    crisp: Annotated[
        bool | None, typer.Option("--crisp/--no-crisp", help="Enlarge large strokes crisply, not softly.", show_default=False)
    ] = None,
    norm: Annotated[str | None, typer.Option("--norm", help="Batch norm: published (as the published tool runs it) or eval.")] = None,
    flicker: Annotated[float | None, typer.Option("--flicker", help="How steady films are kept, 0 to 1; 0.8 if left out.")] = None,
    start: Annotated[float | None, typer.Option("--start", help="Where to begin in a film, in seconds.")] = None,
    end: Annotated[float | None, typer.Option("--end", help="Where to end in a film, in seconds.")] = None,
    max_memory: Annotated[str | None, typer.Option("--max-memory", help="Most memory to use: `2GB`, `500MB`.")] = None,
    sheet: Annotated[bool, typer.Option("--sheet", help="Write a contact sheet of before and after.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Make what is done already once more.")] = False,
    format: common.Format = "png",
    recipe_file: common.RecipeFile = None,
    no_recipe: common.NoRecipe = False,
    precision: Annotated[
        str | None, typer.Option("--precision", help=f"{common.PRECISION_HELP} Left out: auto from two megapixels on.")
    ] = None,
    device: common.Device = "auto",
) -> None:
    """Redraw pictures and films in the style of a translator, each at its own size.

    Results are written as they come; what an earlier run made is skipped, and a film that it did not finish goes on. Files that
    fail are named at the end, and the exit code is then 3 (1 when nothing could be made).

    For example:

    * `studio restyle monet holiday.jpg --out paintings`

    * `studio restyle latest_net_G.pth photos/ --strength 0.7 --keep-colour --sheet`

    * `studio restyle monet huge.tif --max-memory 4GB --texture-scale 2`

    * `studio restyle monet photo.jpg --mix cezanne:0.4 --then ink`

    * `studio restyle photo.jpg --style snow:0.5,venice:0.5` (what there is: `studio styles`)

    * `studio restyle monet clip.mp4 --flicker 0.8 --start 2 --end 12`

    * `studio restyle --recipe paintings/holiday-monet.png other.jpg`
    """
    from studio.batch import Order, find_sources

    suffix, limit = common.suffix_of(format), values.parse_bytes(max_memory)
    base = values.read_recipe(recipe_file) if recipe_file else Recipe()
    styles = _styles(style)
    named, paths = _model_and_inputs(model, inputs or [], base, styles or ())
    wishes = common.adjusted(
        base.restyle or Restyle(),
        strength=strength,
        strength_space=strength_space,
        texture_scale=texture_scale,
        detail=detail,
        keep_colors=keep_colors,
        keep_luminance=keep_luminance,
        mask=_mask(mask),
        mask_feather=mask_feather,
        norm_mode=norm,
        styles=styles,
        flicker=flicker,
        start=start,
        end=end,
    )
    engine = common.make_engine(device)
    engine.models.max_models = max(engine.models.max_models, 1 + len(mix or wishes.mix) + len(then or wishes.then))
    loaded = common.open_model(engine, named, base)
    wishes = common.adjusted(wishes, mix=_shares(engine, mix), then=_chain(engine, then))
    sources = find_sources(paths, out, loaded.name)
    precision = precision or (base.precision if recipe_file else "auto" if _pixels(sources) >= MANY_PIXELS else "exact")
    recipe = common.signed(Recipe(restyle=wishes, precision=precision, enlarge=base.enlarge), loaded)
    if crisp is not None:
        recipe = common.enlarged(recipe, engine, 8 if crisp else 1, None)
    if precision == "auto":
        for ref in (recipe.model, *(share.model for share in wishes.mix), *wishes.then):
            engine.prepare(ref.name)
    outcomes = _work(engine, sources, Order(recipe, suffix, not no_recipe, again, limit))
    if sheet:
        _write_sheet(out, outcomes)
    _report(outcomes)


def _work(engine: Engine, sources: list[Source], order: Order) -> list[Outcome]:
    """Restyle all files, telling of each when it is done."""
    from studio import batch

    outcomes: list[Outcome] = []
    with common.progress("Restyling", len(sources)) as advance:
        for outcome in batch.run(engine, sources, order, progress=lambda share: advance(len(outcomes) + share)):
            outcomes.append(outcome)
            advance(len(outcomes))
            if outcome.result is not None:
                typer.echo(f"{outcome.result}{' (was done already)' if outcome.is_skipped else ''}")
            for note in outcome.notes:
                typer.echo(f"{outcome.source.path.name}: {note}", err=True)
    return outcomes


def _write_sheet(out: Path, outcomes: list[Outcome]) -> None:
    from studio import batch
    from studio.media import create_exclusive, encode_image, numbered_names

    if any(outcome.result for outcome in outcomes):
        data = encode_image(batch.contact_sheet(outcomes), ".png", composite=True).data
        typer.echo(create_exclusive(out, numbered_names("contact-sheet.png"), data))


def _report(outcomes: list[Outcome]) -> None:
    """Name what failed, and end with an exit code that says so."""
    failed = [outcome for outcome in outcomes if outcome.error]
    if not failed:
        return
    if len(outcomes) == 1:
        raise StudioError(failed[0].error)
    for outcome in failed:
        typer.echo(f"{outcome.source.path}: {outcome.error}", err=True)
    typer.echo(f"{len(failed)} of {len(outcomes)} files could not be restyled.", err=True)
    raise typer.Exit(EXIT_SOME_FAILED if len(failed) < len(outcomes) else 1)


def _model_and_inputs(first: str, others: list[Path], base: Recipe, styles: tuple[StyleWeight, ...] = ()) -> tuple[str | None, list[Path]]:
    """Tell the model from the pictures: the first word is its name, unless a recipe or a style says it and the word is a picture."""
    is_picture = Path(first).exists() and Path(first).suffix.lower() not in common.MODEL_SUFFIXES
    if base.model.name and is_picture:
        return None, [Path(first), *others]
    if styles and is_picture and all(entry.name != first for entry in make_library().list()):
        return find_book(make_library(), [style.name for style in styles]).name, [Path(first), *others]
    if not others:
        raise RecipeError("No photo was given. Name pictures, films, or a folder of them, after the model.")
    return first, others


def _pixels(sources: list[Source]) -> int:
    """Count the pixels of all files that can be opened; a film has those of all its frames."""
    from studio.media import inspect_image, is_film, probe_film

    total = 0
    for source in sources:
        try:
            if is_film(source.path):
                facts = probe_film(source.path)
                total += facts.width * facts.height * facts.frames
                continue
            header = inspect_image(source.path)
        except StudioError:
            continue
        total += header.width * header.height
        if total >= MANY_PIXELS:
            break
    return total


def _mask(path: Path | None) -> str | None:
    """Read a mask from a picture."""
    if path is None:
        return None
    from studio.media import read_image
    from studio.restyle import grey, pack_mask

    picture = read_image(path)
    return pack_mask(grey(picture.image, picture.alpha))


def _shares(engine: Engine, texts: list[str] | None) -> tuple[StyleShare, ...] | None:
    """Read styles with their shares, such as ``monet:0.5``."""
    if not texts:
        return None
    found = []
    for text in texts:
        name, colon, share = text.rpartition(":")
        try:
            found.append(StyleShare(common.open_model(engine, name if colon else text).ref, float(share) if colon else 0.5))
        except ValueError as error:
            raise RecipeError(f"mix={text!r} is not understood. Use a model and its share, such as monet:0.5.") from error
    return tuple(found)


def _styles(text: str | None) -> tuple[StyleWeight, ...] | None:
    """Read styles of a book with their weights, such as ``snow:0.5,venice``."""
    if not text:
        return None
    found = []
    for part in text.split(","):
        name, _, weight = part.strip().partition(":")
        try:
            share = float(weight or 1)
        except ValueError:
            share = math.nan
        if not name or not 0 <= share <= 1:
            raise RecipeError(f"--style {text!r} is not understood. Use names with weights from 0 to 1, such as snow:0.5,venice:0.5.")
        found.append(StyleWeight(name, share))
    return tuple(found)


def _chain(engine: Engine, names: list[str] | None) -> tuple[ModelRef, ...] | None:
    return tuple(common.open_model(engine, name).ref for name in names) if names else None
