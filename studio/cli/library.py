"""Commands about models: import, models list | info | rename | remove."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studio.cli import common
from studio.errors import StudioError

if TYPE_CHECKING:
    from studio.checkpoints import Library, ModelEntry

models = typer.Typer(help="List, describe, rename and remove models.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("import")(import_file)
    app.command("styles")(list_styles)
    app.add_typer(models, name="models")


def make_library() -> Library:
    """Return the library of shipped and imported models."""
    from studio import checkpoints, paths

    return checkpoints.Library(paths.models_folder(), paths.pretrained_folder())


def import_file(
    file: Annotated[
        Path, typer.Argument(help="StyleGAN2/3 .pkl, rosinality .pt, CycleGAN, pix2pix, CUT or ESRGAN .pth, .onnx, safetensors.")
    ],
    name: Annotated[str | None, typer.Option("--name", help="What to call it; left out: the name of the file.")] = None,
) -> None:
    """Bring in a model file. Nothing in it is executed.

    For example:

    * `studio import stylegan2-ffhq-256x256.pkl --name faces`

    * `studio import latest_net_G.pth --name monet`
    """
    with common.progress(f"Importing {file.name}") as advance:
        entry = make_library().import_file(file, name=name, progress=lambda share, *_: advance(share, 1.0), preview=_preview)
    typer.echo(f"{entry.name} is ready: {_summary(entry.card)}")
    for note in entry.card.notes:
        typer.echo(f"  {note}")


def _preview(network: Any) -> bytes:
    """Draw the preview; torch is imported only for a file that was accepted."""
    from studio.ui.tiles import preview_of

    return preview_of(network)


def list_styles(as_json: Annotated[bool, typer.Option("--json", help="Write JSON, for other programs.")] = False) -> None:
    """List the painting styles of all installed books; `studio restyle PHOTO --style NAME` paints in one.

    For example:

    * `studio styles`

    * `studio styles --json`
    """
    import json

    from studio.checkpoints import extras

    found = books(make_library())
    if as_json:
        rows = [{"name": name, "book": entry.name, "row": row} for entry in found for row, name in enumerate(entry.card.classes)]
        typer.echo(json.dumps(rows))
        return
    told: dict[str, tuple[str, ...]] = {}
    for entry in sorted(found, key=lambda entry: not entry.shipped):
        shared = next((name for name, styles in told.items() if set(styles) < set(entry.card.classes)), None)
        own = [name for name in entry.card.classes if name not in told.get(shared or "", ())]
        typer.echo(f"{entry.name}: {', '.join(own)}{f'; blends with those of {shared}' if shared else ''}")
        told[entry.name] = entry.card.classes
    if found and not extras.is_installed(extras.STYLES_PACKAGE):
        typer.echo(extras.STYLES_HINT, err=True)
    if not found:
        typer.echo("No book of painting styles is installed. Learn one: studio train style PAINTINGS PHOTOS --name NAME", err=True)


@models.callback()
def _default(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        list_models()


@models.command("list")
def list_models() -> None:
    """List the models that are installed."""
    from rich.console import Console
    from rich.table import Table

    entries = make_library().list()
    if not entries:
        typer.echo("No models are installed yet. Bring one in with: studio import FILE")
        return
    table = Table(box=None, header_style="bold")
    table.add_column("name", min_width=max(len(entry.name) for entry in entries), no_wrap=True)
    for title in ("family", "size", "classes", "parameters", "from"):
        table.add_column(title)
    for entry in entries:
        card = entry.card
        size = f"{card.resolution} px" if card.resolution else card.direction or "any"
        origin = "shipped" if entry.shipped else card.source_name
        table.add_row(entry.name, card.family, size, str(len(card.classes) or ""), _millions(card.parameters), origin)
    Console().print(table)


@models.command()
def info(name: Annotated[str, typer.Argument(help="The model's name.")]) -> None:
    """Show everything that is known about a model."""
    entry = make_library().find(name)
    card = entry.card.to_json()
    card.update(name=entry.name, file=str(entry.path), notes=" ".join(entry.card.notes), classes=", ".join(entry.card.classes))
    for key, value in card.items():
        if value not in ("", 0, None):
            typer.echo(f"{key.replace('_', ' '):15} {value}")


@models.command()
def rename(
    name: Annotated[str, typer.Argument(help="Its name now.")],
    new: Annotated[str, typer.Argument(help="Its new name.")],
) -> None:
    """Give a model another name."""
    make_library().rename(name, new)
    typer.echo(f"{name} is called {new} now.")


@models.command()
def remove(
    name: Annotated[str, typer.Argument(help="The model's name.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a model's files."""
    library = make_library()
    entry = library.find(name)
    if not yes and not typer.confirm(f"Delete {entry.path}?"):
        raise typer.Exit(1)
    library.remove(name)
    typer.echo(f"{name} was removed.")


def _summary(card: Any) -> str:
    parts = [card.family, f"{card.resolution} px" if card.resolution else "any size", f"{_millions(card.parameters)} parameters"]
    return ", ".join([*parts, f"{len(card.classes)} classes"] if card.classes else parts)


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M"


def books(library: Library) -> list[ModelEntry]:
    """List the installed books of painting styles."""
    return [entry for entry in library.list() if entry.card.family == "style-transfer"]


def find_book(library: Library, styles: Sequence[str]) -> ModelEntry:
    """Find a book that has all of these styles: one that is called like a style before a shipped one, that before any other.

    Raises:
        StudioError: No book has one of them, or none has them all together.
    """
    found = books(library)
    fitting = [entry for entry in found if set(styles) <= set(entry.card.classes)]
    if fitting:
        return min(fitting, key=lambda entry: (entry.name not in styles, not entry.shipped, entry.name))
    known = {name for entry in found for name in entry.card.classes}
    missing = [name for name in styles if name not in known]
    if missing:
        raise StudioError(f"No book of styles has {missing[0]!r}. See what there is: studio styles")
    places = [next(entry.name for entry in found if name in entry.card.classes) for name in styles]
    raise StudioError(
        f"{' and '.join(dict.fromkeys(styles))} are in different books ({', '.join(dict.fromkeys(places))}), and only styles of one book "
        f"blend. Learn one of them into the book of the other: studio train style ... --start-from {places[0]}"
    )
