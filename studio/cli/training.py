"""The command that trains: a folder in, a model of your own out. The same command again continues the run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studio.cli import common

if TYPE_CHECKING:
    from studio.training import Settings, Tick

SOURCE = "studio training"
OWN = "yours: trained on this computer with pictures of your choice; their rights decide what you may do with it"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train")(train)


def train(
    family: Annotated[str, typer.Argument(help="stylegan2 (makes pictures) or cyclegan (turns pictures of one kind into another).")],
    data: Annotated[str, typer.Argument(help="A folder of pictures, or several with commas between; its sub-folders are classes.")],
    target: Annotated[str, typer.Argument(help="For cyclegan: the folder of pictures in the wanted style.")] = "",
    name: Annotated[str, typer.Option("--name", help="What to call the model. The same name continues its run.")] = "untitled",
    minutes: Annotated[float | None, typer.Option("--minutes", help="Stop after this much training; the schedules stretch to it.")] = None,
    kimg: Annotated[float | None, typer.Option("--kimg", help="Stop after this many thousand pictures.")] = None,
    resolution: Annotated[int | None, typer.Option("--resolution", help="Side of the pictures, or of a translator's crops.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Pictures in each step.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Which random numbers.")] = 0,
    start_from: Annotated[
        str, typer.Option("--start-from", help="What to go on from: a model's name, a model file, or a run (of half the size: it grows).")
    ] = "",
    freeze_d: Annotated[int, typer.Option("--freeze-d", help="Blocks of the discriminator, nearest to the picture, that stay.")] = 0,
    fade_kimg: Annotated[float, typer.Option("--fade-kimg", help="How slowly new layers fade in when it grows.")] = 10.0,
    augment: Annotated[
        str | None, typer.Option("--augment", help="none, fixed, ada (as much as the discriminator overfits) or diff; else the family's.")
    ] = None,
    augment_pipe: Annotated[
        str | None, typer.Option("--augment-pipe", help="What may change: bg, bgc, bgcf, all ... or color,translation,cutout for diff.")
    ] = None,
    mirror: Annotated[bool, typer.Option("--mirror/--no-mirror", help="Show every picture mirrored, too.")] = True,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Train a model on your own pictures. Ctrl+C saves and stops; the same command continues.

    For example:

    * `studio train stylegan2 my-drawings --name drawings --minutes 60`

    * `studio train cyclegan photos paintings --name painter --minutes 120`
    """
    from studio.training import Settings

    settings = Settings(
        family=family,
        data=_folders(data),
        target=_folders(target),
        name=name,
        minutes=60.0 if minutes is None and kimg is None else minutes,
        kimg=kimg,
        resolution=resolution,
        batch=batch,
        seed=seed,
        start_from=str(Path(start_from).resolve()) if start_from and Path(start_from).exists() else start_from,
        freeze_d=freeze_d,
        fade_kimg=fade_kimg,
        augment=augment,
        augment_pipe=augment_pipe,
        mirror=mirror,
        device=device,
    )
    _check_name(settings)
    folder = _start(settings)
    last = _run(settings)
    typer.echo(last.message or ("The time is over." if last.kind == "end" else "Stopped. The same command goes on."))
    for file in _export(settings, folder):
        typer.echo(f"{file.stem} is ready: {file}")


def _folders(text: str) -> tuple[str, ...]:
    return tuple(str(Path(part).expanduser().resolve()) for part in text.split(",") if part)


def _check_name(settings: Settings) -> None:
    """Make sure that the finished model will not take the place of another one.

    Raises:
        TrainingError: A model of this name came with the studio or was imported.
    """
    from studio.cli.library import make_library
    from studio.errors import TrainingError

    taken = [entry for entry in make_library().list() if entry.name in (settings.name, f"{settings.name}-inverse")]
    if any(entry.shipped or entry.card.source_format != SOURCE for entry in taken):
        raise TrainingError(f"There already is a model called {taken[0].name}. Choose another --name.")


def _start(settings: Settings) -> Path:
    """Tune the memory, say what the time will come to when the run is new, and return its folder."""
    from studio.accel import runtime
    from studio.training.forecast import forecast
    from studio.training.loop import run_folder

    runtime.tune_allocator()
    folder = run_folder(settings)
    if not folder.states():
        for sentence in _origin(settings):
            typer.echo(sentence, err=True)
        typer.echo("Measuring this computer ...", err=True)
        found = forecast(settings)
        speed = f"{found.images_per_second:.1f} pictures a second"
        typer.echo(f"{speed}: {found.kimg:.1f} kimg in {found.minutes:.0f} minutes. {found.words}", err=True)
    return folder.path


def _origin(settings: Settings) -> list[str]:
    """Say what a run takes over from a model, where it starts from one."""
    from studio.training import presets, start

    if not settings.start_from or settings.family in presets.TRANSLATORS:
        return []
    resolved = presets.resolve(settings)
    return start.sentences(resolved, presets.load_pictures(resolved, resolved.data).classes)


def _run(settings: Settings) -> Tick:
    """Train with a bar, and return the last news. Ctrl+C asks the run to save and stop."""
    import signal
    import threading

    from studio.training import train as start

    asked = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: asked.set())
    tick: Any = None
    try:
        with common.progress(f"Training {settings.name}") as advance:
            for tick in start(settings, should_stop=asked.is_set):
                advance(round(1000 * tick.progress), 1000)
    finally:
        signal.signal(signal.SIGINT, before)
    assert tick is not None
    last: Tick = tick
    return last


def _export(settings: Settings, folder: Path) -> list[Path]:
    """Write the model into the models folder, where the studio finds it."""
    from studio import paths
    from studio.checkpoints import ModelCard
    from studio.training.export import export

    words = ", ".join(Path(part).name for part in settings.data)
    card = ModelCard(licence=OWN, origin=f"trained on {words}", source_format=SOURCE)
    paths.models_folder().mkdir(parents=True, exist_ok=True)
    return export(folder, paths.models_folder(), card)
