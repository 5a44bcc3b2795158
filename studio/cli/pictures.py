"""Commands that make pictures from seeds: generate, mix."""

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

Pairs = tuple[tuple[int, float], ...]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(generate)
    app.command()(mix)


def generate(
    model: Annotated[
        str | None, typer.Argument(help="An installed model, or a model file. Left out: the recipe's.", show_default=False)
    ] = None,
    seeds: Annotated[str | None, typer.Option("--seeds", "-s", help="Which pictures: `0-7,42`.")] = None,
    psi: common.Psi = None,
    classes: common.Classes = None,
    cutoff: common.Cutoff = None,
    center: common.Center = None,
    blend: Annotated[str | None, typer.Option("--blend", help="Seeds to blend in, with weights: `7:0.5,9`.")] = None,
    noise: Annotated[str | None, typer.Option("--noise", help="Fine grain: const, random or none.")] = None,
    noise_seed: Annotated[int | None, typer.Option("--noise-seed", help="Which grain, when it is random.")] = None,
    noise_strength: Annotated[float | None, typer.Option("--noise-strength", help="How much grain: 1 is as trained.")] = None,
    noise_layers: Annotated[str | None, typer.Option("--noise-layers", help="How much grain in each layer, on top: `1,1,0.5,0`.")] = None,
    size: Annotated[int | None, typer.Option("--size", help="Longest side in pixels; left out: the model's own.")] = None,
    translate: Annotated[str | None, typer.Option("--translate", help="StyleGAN3: move by picture widths, `0.1,-0.2`.")] = None,
    rotate: Annotated[float | None, typer.Option("--rotate", help="StyleGAN3: turn by degrees.")] = None,
    zoom: Annotated[float | None, typer.Option("--zoom", help="StyleGAN3: zoom, 1 is as trained.")] = None,
    enlarge: common.Enlarge = None,
    upscale: common.Upscale = None,
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

    * `studio generate pomona --seeds 1 --blend 7:0.5,9 --center 42 --noise none`

    * `studio generate pomona --seeds 0-7 --class grape --psi 0.5 --center average`

    * `studio generate pomona --seeds 0-7 --enlarge 4`

    * `studio generate --recipe pomona-0042.png --psi 1`
    """
    suffix = common.suffix_of(format)
    base = values.read_recipe(recipe_file) if recipe_file else Recipe()
    if seeds is None and recipe_file is None:
        raise RecipeError("No seeds were given. Use e.g. --seeds 0-7,42, or --recipe FILE.")
    layers = values.parse_numbers(noise_layers, "noise_layers")
    base = replace(
        base,
        noise=common.adjusted(base.noise, mode=noise, seed=noise_seed, strength=noise_strength, layers=layers),
        transform=_moved(base.transform, translate, rotate, zoom),
        size=base.size if size is None else size,
    )
    engine = common.make_engine(device)
    base = common.enlarged(base, engine, enlarge, upscale)
    loaded = common.open_model(engine, model, base)
    base = base if recipe_file else common.begun(base, loaded)
    pairs = _classes(classes, loaded, base)
    base = common.adjusted(_truncated(base, psi, cutoff, center, pairs), blends=values.parse_blends(blend, pairs))
    recipes = {name: common.signed(recipe, loaded) for name, recipe in _places(base, seeds, pairs).items()}
    precision = precision or (base.precision if recipe_file else "auto" if len(recipes) >= MANY else "exact")
    with common.progress("Drawing", len(recipes)) as advance:
        if precision == "auto":
            engine.prepare(loaded.name)
        for done, (name, recipe) in enumerate(recipes.items(), 1):
            exact = values.checked(replace(recipe, precision=precision))
            image = _flat(engine, exact, suffix)
            common.save(out, f"{loaded.name}-{name}{suffix}", image, recipe=exact, include_recipe=not no_recipe)
            advance(done)


def mix(
    model: Annotated[
        str | None, typer.Argument(help="An installed model, or a model file. Left out: the recipe's.", show_default=False)
    ] = None,
    rows: Annotated[str | None, typer.Option("--rows", help="Seeds down the side: `1,2`. Left out: the recipe's place, or 0-3.")] = None,
    cols: Annotated[
        str | None,
        typer.Option("--cols", help="Seeds across the top, which lend their style: `3,4`. Left out: what the recipe mixes in, or 4-7."),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers", help="What comes from the top: coarse, middle, fine, or numbers `0-3,5:0.5`. Left out: the recipe's, or coarse."
        ),
    ] = None,
    psi: common.Psi = None,
    cutoff: common.Cutoff = None,
    center: common.Center = None,
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

    * `studio mix --recipe pomona-0042.png --cols 0-7 --out variations.png`
    """
    from studio.latents import layer_weights
    from studio.media import write_image
    from studio.render import mix_recipes

    if out.is_dir() or not out.suffix:
        raise RecipeError(f"out={str(out)!r} names no picture. Name the file to write, such as mix.png.")
    common.suffix_of(out.suffix)
    base = values.read_recipe(recipe_file) if recipe_file else Recipe()
    engine = common.make_engine(device)
    loaded = common.open_model(engine, model, base)
    base = base if recipe_file else common.begun(base, loaded)
    network = engine.generator(loaded.ref).network
    pairs = _classes(classes, loaded, base)
    base = _truncated(base, psi, cutoff, center, pairs)
    down = _sources(rows, pairs, [base.latent] if recipe_file else [], "0-3")
    across = _sources(cols, pairs, [source.latent for source in base.mixing], "4-7")
    weights = base.mixing[0].weights if layers is None and base.mixing else layer_weights(network, layers or "coarse")
    grid = mix_recipes(common.signed(base, loaded), down, across, weights, headers=headers)
    with common.progress("Mixing") as advance:
        if sum(map(len, grid)) >= MANY:
            engine.prepare(loaded.name)
        for frame in engine.mix_grid(grid, size):
            sheet = frame.image
            advance(frame.index + 1, frame.total)
    write_image(out, sheet)
    typer.echo(out)


def _places(base: Recipe, seeds: str | None, pairs: Pairs) -> dict[str, Recipe]:
    """Name each picture and give it its place; without seeds it is the recipe's own."""
    if seeds is None:
        return {"recipe": replace(base, latent=replace(base.latent, classes=pairs))}
    return {f"seed{seed:04d}": replace(base, latent=Latent.from_seed(seed, pairs)) for seed in values.parse_seeds(seeds)}


def _classes(text: str | None, loaded: Loaded, base: Recipe) -> Pairs:
    """Read the classes that were asked for; without any they are the recipe's."""
    return base.latent.classes if text is None else values.parse_classes(text, getattr(loaded.card, "classes", ()))


def _truncated(base: Recipe, psi: float | None, cutoff: int | None, center: str | None, pairs: Pairs) -> Recipe:
    truncation = common.adjusted(base.truncation, psi=psi, cutoff=cutoff)
    return replace(base, truncation=values.centered(truncation, center, pairs))


def _sources(seeds: str | None, pairs: Pairs, known: list[Latent], otherwise: str) -> list[Latent]:
    """Give one side of a mixing sheet: the seeds that were asked for, else what the recipe has."""
    if seeds is None and known:
        return known
    return [Latent.from_seed(seed, pairs) for seed in values.parse_seeds(seeds or otherwise)]


def _moved(old: Transform, translate: str | None, rotate: float | None, zoom: float | None) -> Transform:
    x, y = (old.translate_x, old.translate_y) if translate is None else values.parse_pair(translate, "translate")
    return Transform(x, y, old.rotate if rotate is None else rotate, old.scale if zoom is None else zoom)


def _flat(engine: Engine, recipe: Recipe, suffix: str) -> ImageArray:
    """Draw a picture; a JPEG has no transparency, so it is laid on grey."""
    from studio.render import opaque

    image = engine.render(recipe)
    return opaque(image) if suffix in (".jpg", ".jpeg") else image
