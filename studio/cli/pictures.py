"""Commands that make pictures: generate, mix, restyle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studio.cli import common, values
from studio.errors import RecipeError
from studio.recipe import Latent, Recipe, Transform

if TYPE_CHECKING:
    from studio.engine import Engine
    from studio.media import ImageArray
    from studio.model_cache import Loaded

MANY = 8
"""From this many pictures on, the fast mode is worth preparing."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(generate)
    app.command()(mix)
    app.command()(restyle)


def generate(
    model: Annotated[
        str | None, typer.Argument(help="An installed model, or a model file. Left out: the recipe's.", show_default=False)
    ] = None,
    seeds: Annotated[str | None, typer.Option("--seeds", "-s", help="Which pictures: `0-7,42`.")] = None,
    psi: common.Psi = None,
    classes: common.Classes = None,
    cutoff: common.Cutoff = None,
    noise: Annotated[str | None, typer.Option("--noise", help="Fine grain: const, random or none.")] = None,
    size: Annotated[int | None, typer.Option("--size", help="Longest side in pixels; left out: the model's own.")] = None,
    translate: Annotated[str | None, typer.Option("--translate", help="StyleGAN3: move by picture widths, `0.1,-0.2`.")] = None,
    rotate: Annotated[float | None, typer.Option("--rotate", help="StyleGAN3: turn by degrees.")] = None,
    zoom: Annotated[float | None, typer.Option("--zoom", help="StyleGAN3: zoom, 1 is as trained.")] = None,
    format: common.Format = "png",
    out: common.Out = Path("out"),
    recipe_file: common.RecipeFile = None,
    no_recipe: common.NoRecipe = False,
    precision: Annotated[
        str | None, typer.Option("--precision", help=f"{common.PRECISION_HELP} Left out: auto for 8 pictures or more.")
    ] = None,
    device: common.Device = "auto",
) -> None:
    """Make pictures from seeds.

    For example:

    * `studio generate pomona --seeds 0-7,42 --psi 0.7 --out fruit`

    * `studio generate faces.pkl --seeds 3 --class 2:0.5,7:0.5 --size 1024 --format webp`

    * `studio generate --recipe pomona-0042.png --psi 1`
    """
    suffix = common.suffix_of(format)
    base = values.read_recipe(recipe_file) if recipe_file else Recipe()
    if seeds is None and recipe_file is None:
        raise RecipeError("No seeds were given. Use e.g. --seeds 0-7,42, or --recipe FILE.")
    base = common.adjust(base, psi=psi, cutoff=cutoff, noise=noise)
    base = replace(base, transform=_moved(base.transform, translate, rotate, zoom), size=size or base.size)
    engine = common.make_engine(device)
    loaded = common.open_model(engine, model, base)
    recipes = {name: common.signed(recipe, loaded) for name, recipe in _places(base, seeds, classes, loaded).items()}
    precision = precision or (base.precision if recipe_file else "auto" if len(recipes) >= MANY else "exact")
    with common.progress("Drawing", len(recipes)) as advance:
        if precision == "auto":
            engine.prepare(loaded.name)
        for done, (name, recipe) in enumerate(recipes.items(), 1):
            exact = values.checked(replace(recipe, precision=precision))
            common.save(out, f"{loaded.name}-{name}{suffix}", _flat(engine, exact, suffix), recipe=exact, include_recipe=not no_recipe)
            advance(done)


def mix(
    model: Annotated[
        str | None, typer.Argument(help="An installed model, or a model file. Left out: the recipe's.", show_default=False)
    ] = None,
    rows: Annotated[str, typer.Option("--rows", help="Seeds down the side: `1,2`.")] = "0-3",
    cols: Annotated[str, typer.Option("--cols", help="Seeds across the top: `3,4`; they give their style.")] = "4-7",
    layers: Annotated[str, typer.Option("--layers", help="What comes from the top: coarse, middle, fine, or numbers `0-3,5`.")] = "coarse",
    psi: common.Psi = None,
    cutoff: common.Cutoff = None,
    classes: common.Classes = None,
    size: Annotated[int, typer.Option("--size", help="Side of one cell in pixels.")] = 256,
    headers: Annotated[bool, typer.Option(help="Show the sources at the side and at the top.")] = True,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write: .png, .jpg or .webp.")] = Path("mix.png"),
    recipe_file: common.RecipeFile = None,
    device: common.Device = "auto",
) -> None:
    """Mix the styles of two sets of seeds into one sheet of pictures.

    For example:

    * `studio mix pomona --rows 1,2 --cols 3,4 --layers coarse --out mix.png`

    * `studio mix faces.pkl --rows 0-7 --cols 8-15 --layers middle,fine:0.5 --size 128 --out sheet.webp`
    """
    from studio.latents import layer_weights
    from studio.media import write_image
    from studio.render import mix_recipes

    common.suffix_of(out.suffix)
    base = common.adjust(values.read_recipe(recipe_file) if recipe_file else Recipe(), psi=psi, cutoff=cutoff)
    engine = common.make_engine(device)
    loaded = common.open_model(engine, model, base)
    network = engine.generator(loaded.ref).network
    pairs = _classes(classes, loaded) if classes is not None else base.latent.classes
    down, across = ([Latent.from_seed(seed, pairs) for seed in values.parse_seeds(text)] for text in (rows, cols))
    grid = mix_recipes(common.signed(base, loaded), down, across, layer_weights(network, layers), headers=headers)
    with common.progress("Mixing") as advance:
        for frame in engine.mix_grid(grid, size):
            sheet = frame.image
            advance(frame.index + 1, frame.total)
    write_image(out, sheet)
    typer.echo(out)


def restyle(
    model: Annotated[str, typer.Argument(help="An installed translator, or a model file.")],
    images: Annotated[list[Path], typer.Argument(help="Photos.")],
    out: common.Out = Path("out"),
    strength: Annotated[float | None, typer.Option("--strength", help="How much of the style: 0 is the photo, 1 all of it.")] = None,
    keep_colors: Annotated[bool | None, typer.Option("--keep-colors", help="Keep the photo's own colours.", show_default=False)] = None,
    format: common.Format = "png",
    recipe_file: common.RecipeFile = None,
    no_recipe: common.NoRecipe = False,
    precision: Annotated[str, typer.Option("--precision", help=common.PRECISION_HELP)] = "auto",
    device: common.Device = "auto",
) -> None:
    """Redraw photos in the style of a translator, each at its own size.

    For example:

    * `studio restyle monet holiday.jpg --out paintings`

    * `studio restyle latest_net_G.pth *.jpg --strength 0.7 --keep-colors`
    """
    from studio.media import read_image
    from studio.recipe import Restyle

    suffix = common.suffix_of(format)
    base = (values.read_recipe(recipe_file).restyle if recipe_file else None) or Restyle()
    engine = common.make_engine(device)
    loaded = common.open_model(engine, model)
    with common.progress("Restyling", len(images)) as advance:
        for done, path in enumerate(images, 1):
            photo = read_image(path)
            chosen = replace(
                base,
                source_name=photo.name,
                source_sha256=photo.sha256,
                strength=base.strength if strength is None else strength,
                keep_colors=base.keep_colors if keep_colors is None else keep_colors,
            )
            recipe = common.signed(Recipe(restyle=chosen, precision=precision), loaded)
            image = engine.restyle(recipe, photo.image, None if suffix in (".jpg", ".jpeg") else photo.alpha)
            common.save(out, f"{path.stem}-{loaded.name}{suffix}", image, recipe=recipe, icc=photo.icc, include_recipe=not no_recipe)
            advance(done)


def _places(base: Recipe, seeds: str | None, classes: str | None, loaded: Loaded) -> dict[str, Recipe]:
    """Name each picture and give it its place; without seeds it is the recipe's own."""
    pairs = _classes(classes, loaded) if classes is not None else base.latent.classes
    if seeds is None:
        return {"recipe": replace(base, latent=replace(base.latent, classes=pairs))}
    return {f"seed{seed:04d}": replace(base, latent=Latent.from_seed(seed, pairs)) for seed in values.parse_seeds(seeds)}


def _classes(text: str, loaded: Loaded) -> tuple[tuple[int, float], ...]:
    return values.parse_classes(text, getattr(loaded.card, "classes", ()))


def _moved(old: Transform, translate: str | None, rotate: float | None, zoom: float | None) -> Transform:
    x, y = (old.translate_x, old.translate_y) if translate is None else values.parse_pair(translate, "translate")
    return Transform(x, y, old.rotate if rotate is None else rotate, old.scale if zoom is None else zoom)


def _flat(engine: Engine, recipe: Recipe, suffix: str) -> ImageArray:
    """Draw a picture; a JPEG has no transparency, so it is laid on grey."""
    from studio.render import opaque

    image = engine.render(recipe)
    return opaque(image) if suffix in (".jpg", ".jpeg") else image
