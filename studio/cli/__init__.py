"""The command line: ``studio app | generate | mix | restyle | enlarge | film | jobs | import | models | train | bench``.

One file per group of commands: ``pictures`` (generate, mix), ``restyle``, ``enlarge``, ``library`` (import, models), ``training`` (train),
``service`` (app, bench);
``values`` reads what people type. Commands parse, display and translate errors; they compute nothing about images.
Everything heavy is imported inside the commands, so that ``studio --help`` answers at once.
"""

from __future__ import annotations

import logging
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from studio._version import __version__
from studio.cli import enlarge, film, jobs, library, pictures, restyle, service, training
from studio.errors import StudioError

EXIT_REFUSED = 1


class StudioGroup(TyperGroup):
    """A group of commands that shows what a user caused as one sentence, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except StudioError as error:
            logging.getLogger(__name__).info("refused: %s", error.detail or error, exc_info=True)
            typer.echo(str(error), err=True)
            raise typer.Exit(EXIT_REFUSED) from error


app = typer.Typer(
    name="studio",
    cls=StudioGroup,
    help="Play a generative network like an instrument: explore, mix, restyle.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and stop.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also show what happens behind the scenes.")] = False,
) -> None:
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, format="%(levelname)s %(name)s: %(message)s")


service.register_app(app)
pictures.register(app)
restyle.register(app)
enlarge.register(app)
film.register(app)
jobs.register(app)
library.register(app)
training.register(app)
service.register_bench(app)


def main() -> None:
    """Run the command line (the console script ``studio``)."""
    app(prog_name="studio")
