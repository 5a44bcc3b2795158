"""Commands that run something: the app, and the measurements of speed."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studio.cli import common

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from studio.bench import Row
    from studio.bench_training import Row as TrainingRow


REPORT_WIDTH = 120
"""Letters per line of a table that goes to a file or a pipe."""


def register_app(app: typer.Typer) -> None:
    """Add ``studio app``."""
    app.command("app")(run_app)


def register_bench(app: typer.Typer) -> None:
    """Add ``studio bench``."""
    app.command()(bench)


def run_app(
    port: Annotated[int | None, typer.Option("--port", help="Port to serve on; left out: the first free one from 7860.")] = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to serve on; left out: this computer only.")] = None,
    public: Annotated[bool, typer.Option("--public", help="For strangers: nothing can be imported, galleries are temporary.")] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the browser.")] = False,
    osc: Annotated[
        int | None,
        typer.Option(
            "--osc",
            help="Also listen to OSC at this UDP port, such as 9000, for the Live tab: /studio/psi 0.7, /studio/x, /studio/onset_low 1 ...",
        ),
    ] = None,
    osc_host: Annotated[
        str, typer.Option("--osc-host", help="Address to listen to OSC at; 0.0.0.0 lets other computers of your network in.")
    ] = "127.0.0.1",
    home: Annotated[Path | None, typer.Option("--home", help="Folder for models and settings.", show_default=False)] = None,
    device: common.Device = "auto",
) -> None:
    """Open the studio in the browser.

    For example:

    * `studio app`

    * `studio app --port 8000 --home ~/my-studio --no-browser`

    * `studio app --osc 9000`

    With `--osc`, /studio/psi, x, y, noise, zoom, turn, light, amount and speed take one number each; so does any other value by its
    path (/studio/latent/classes/3, /studio/view/contrast); rms, low, mid, high, onset, onset_low, beat, chroma/0 ... are heard
    beside the microphone and go from 0 to 1.
    """
    if home is not None:
        os.environ["STUDIO_HOME"] = str(home.expanduser().resolve())
    from studio.ui.app import launch
    from studio.ui.settings import Settings

    settings = Settings.from_env()
    launch(
        replace(
            settings,
            port=port or settings.port,
            host=host or settings.host,
            public=public or settings.public,
            device=device,
            open_browser=not no_browser,
            osc_port=osc,
            osc_host=osc_host,
        )
    )


def bench(
    what: Annotated[str, typer.Argument(help="pictures: making and restyling them; train: learning.")] = "pictures",
    against: Annotated[
        Path | None, typer.Option("--against", help="A checkout of the original code, to compare with. Its code is run.")
    ] = None,
    families: Annotated[
        str, typer.Option("--families", help="stylegan2, stylegan3-t, stylegan3-r, resnet (train: cyclegan); several with commas.")
    ] = "",
    sizes: Annotated[str, typer.Option("--sizes", help="Only these sizes in pixels: `256,512`.")] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the results to this file.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer runs and no fast paths that need a compiler.")] = False,
    device: common.Device = "auto",
) -> None:
    """Measure how fast networks run here, with random weights, or how fast they learn.

    For example:

    * `studio bench --quick`

    * `studio bench train`

    * `studio bench --against ../stylegan3 --families stylegan2,stylegan3-t --sizes 256 --json speed.json`
    """
    from studio import bench as measures
    from studio.cli.values import parse_seeds

    wanted = [name.strip() for name in families.split(",") if name.strip()]
    if what == "train":
        _bench_training(wanted, json_file, seconds=10.0 if quick else 30.0, device=device)
        return
    if what != "pictures":
        raise typer.BadParameter("Use pictures or train.", param_hint="WHAT")
    cases = measures.select(wanted, parse_seeds(sizes) if sizes else [])
    rows: list[Row] = []
    with common.progress("Measuring", len(cases)) as advance:
        for done, found in enumerate(measures.run(cases, against=against, quick=quick, device=device), 1):
            rows += found
            advance(done)
    about = measures.machine()
    console = _console()
    console.print(_table(rows))
    for row in rows:
        if row.note:
            console.print(f"{row.case}, {row.way}: {row.note}", markup=False, highlight=False)
    console.print(f"One picture at a time on {rows[0].device}; {about['threads']} threads, torch {about['torch']}, {about['system']}.")
    if json_file is not None:
        common.write_json(json_file, measures.to_json(rows))


def _bench_training(families: list[str], json_file: Path | None, *, seconds: float, device: str) -> None:
    """Time the training of some families and print a table."""
    from studio import bench_training
    from studio.bench import machine

    cases = bench_training.select(families)
    rows: list[TrainingRow] = []
    with common.progress("Training", len(cases)) as advance:
        for done, found in enumerate(bench_training.run(cases, seconds=seconds, device=device), 1):
            rows += found
            advance(done)
    about, console = machine(), _console()
    console.print(_training_table(rows))
    console.print(f"Whole steps on {rows[0].device}; {about['threads']} threads, torch {about['torch']}, {about['system']}.")
    if json_file is not None:
        common.write_json(json_file, {"machine": about, "rows": [asdict(row) for row in rows]})


def _console() -> Console:
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=REPORT_WIDTH)


def _training_table(rows: list[TrainingRow]) -> Table:
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for title in ("training", "way", "dtype"):
        table.add_column(title, no_wrap=True)
    for title in ("ms per step", "per second", "memory", "ratio"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        speed, memory = f"{row.images_per_second:.1f} {row.unit}", f"{row.peak_megabytes:.0f} MB"
        table.add_row(row.case, row.precision, row.dtype, f"{row.milliseconds:.0f}", speed, memory, _maybe(row.ratio, "{:.1f}x"))
    return table


def _table(rows: list[Row]) -> Table:
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for title in ("network", "way", "dtype"):
        table.add_column(title, no_wrap=True)
    for title in ("ms", "images/s", "memory", "ratio", "error", "PSNR"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        first = (row.case, row.way if row.precision == "exact" else f"{row.way} (fast)", row.dtype)
        if not row.milliseconds:
            table.add_row(*first, "-", style="dim")
            continue
        numbers = (f"{row.milliseconds:.1f}", f"{row.images_per_second:.2f}", f"{row.peak_megabytes:.0f} MB", _maybe(row.ratio, "{:.1f}x"))
        table.add_row(
            *first, *numbers, _maybe(row.relative_error, "{:.1e}"), _maybe(row.psnr, "{:.1f} dB"), style="dim" if row.note else ""
        )
    return table


def _maybe(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
