"""The command ``studio enlarge``: pictures made larger and crisp, one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studio.cli import common
from studio.errors import RecipeError, StudioError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(enlarge)


def enlarge(
    inputs: Annotated[list[Path], typer.Argument(help="Pictures, and folders of them.", show_default=False)],
    scale: Annotated[int, typer.Option("--scale", help="How many times larger: 2, 4, 8 or 16.")] = 4,
    model: Annotated[str | None, typer.Option("--model", help="Another upscaler, by name or file; it decides the scale.")] = None,
    format: common.Format = "png",
    out: common.Out = Path("out"),
    device: common.Device = "auto",
) -> None:
    """Make pictures larger, crisply.

    What cannot be read is named at the end, the others are made.

    For example:

    * `studio enlarge out/pomona-seed0003.png --scale 4`

    * `studio enlarge old-prints/ --scale 2 --format webp --out large`

    * `studio enlarge photo.jpg --model 4x_Something.pth`
    """
    from studio.batch import find_sources
    from studio.media import is_film, join_alpha, read_image
    from studio.render import opaque
    from studio.upscaling import chain_of, own_chain, upscale_to

    suffix, engine = common.suffix_of(format), common.make_engine(device)
    named = common.open_upscaler(engine, model) if model else ""
    networks = chain_of(engine, (engine.load(named).ref,) if named else own_chain(engine, scale))
    sources, failed = find_sources(inputs, out, named or f"{scale}x"), list[str]()
    with common.progress("Enlarging", len(sources)) as advance:
        for done, source in enumerate(sources, 1):
            try:
                if is_film(source.path):
                    raise RecipeError("films are enlarged while they are made: studio film --enlarge.")
                picture = read_image(source.path)
                image = join_alpha(picture.image, picture.alpha)
                larger = upscale_to(networks, image, None, turn=lambda task: engine.take_turn(task, "exact"))
                flat = opaque(larger) if suffix in (".jpg", ".jpeg") else larger
                common.save(source.folder, f"{source.name}{suffix}", flat)
            except StudioError as error:
                failed.append(f"{source.path}: {error}")
            advance(done)
    for sentence in failed:
        typer.echo(sentence, err=True)
    if failed:
        raise typer.Exit(1)
