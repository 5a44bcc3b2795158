"""The command that trains: a folder in, a model of your own out. The same command again continues the run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studio.cli.training_display import display

if TYPE_CHECKING:
    from studio.training import Settings, Tick
    from studio.training.state import RunFolder


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train")(train)


def train(
    family: Annotated[
        str,
        typer.Argument(
            help="stylegan2 and others make pictures; cyclegan, cut, fastcut and pix2pix (from pairs) turn one kind into another; "
            "style paints, enlarge makes larger."
        ),
    ],
    data: Annotated[
        str,
        typer.Argument(help="A folder of pictures, or several with commas between; its sub-folders are classes. For style: a painting."),
    ],
    target: Annotated[
        list[str] | None,
        typer.Argument(
            help="For translators: the folder in the wanted style; for pix2pix the partners, unless DATA holds both halves; "
            "for style more paintings of the same hand, or a folder of photos to practise on.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="What to call the model. The same name continues its run.")] = "untitled",
    minutes: Annotated[float | None, typer.Option("--minutes", help="Stop after this much training; the schedules stretch to it.")] = None,
    kimg: Annotated[float | None, typer.Option("--kimg", help="Stop after this many thousand pictures.")] = None,
    resolution: Annotated[int | None, typer.Option("--resolution", help="Side of the pictures, or of a translator's crops.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Pictures in each step.")] = None,
    img_channels: Annotated[int, typer.Option("--img-channels", help="3, or 4 to learn transparency too.")] = 3,
    loss: Annotated[
        str | None,
        typer.Option("--loss", help="minimax, non-saturating, least-squares, hinge, wasserstein or relativistic; else the family's."),
    ] = None,
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
    film_rate: Annotated[float, typer.Option("--film-rate", help="Pictures for each second of the films among the data.")] = 1.0,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard/--no-tensorboard", help="Write event files for TensorBoard into the run's folder.")
    ] = True,
    inception: Annotated[
        str, typer.Option("--inception", help="Your copy of pt_inception-2015-12-05-6726825d.pth: measures FID and KID at each save.")
    ] = "",
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    words: Annotated[str, typer.Option("--words", help="What a translator does, as in 'photo to Monet'; else the folders' names.")] = "",
    load_size: Annotated[
        int | None, typer.Option("--load-size", help="Shorter side that pictures are brought to before a translator's crops are cut.")
    ] = None,
    zoom: Annotated[
        float, typer.Option("--zoom", help="Translators: crops cover up to this many times more, so strokes vary in size.")
    ] = 1.0,
    network: Annotated[str, typer.Option("--network", help="Translators: resnet (any size, sharp) or unet (sees the whole picture).")] = "",
    ngf: Annotated[int, typer.Option("--ngf", help="Translators: width of the network; twice the width costs four times the work.")] = 32,
    n_blocks: Annotated[int, typer.Option("--n-blocks", help="Translators: residual blocks.")] = 6,
    antialias: Annotated[
        bool | None,
        typer.Option(
            "--antialias/--no-antialias", help="Translators: blur between the scales; calmer in films, slower. [cut, fastcut: yes]"
        ),
    ] = None,
    direction: Annotated[str, typer.Option("--direction", help="pix2pix: AtoB (first to second, left to right) or BtoA.")] = "AtoB",
    lambda_cycle: Annotated[
        float, typer.Option("--lambda-cycle", help="cyclegan: how exactly the way back must restore a picture.")
    ] = 10.0,
    lambda_identity: Annotated[
        float | None, typer.Option("--lambda-identity", help="cyclegan, cut: how firmly colours stay as they are. [cyclegan: 5, cut: 2]")
    ] = None,
    identity_until: Annotated[
        float, typer.Option("--identity-until", help="cyclegan: share of the run that keeps colours (0 to 1).")
    ] = 1.0,
    lambda_nce: Annotated[
        float | None, typer.Option("--lambda-nce", help="cut, fastcut: how firmly the scene stays; lower paints more.")
    ] = None,
    lambda_l1: Annotated[float, typer.Option("--lambda-l1", help="pix2pix: how exactly the result must be its true partner.")] = 100.0,
    photo: Annotated[str, typer.Option("--photo", help="style: the photo that the previews of one new style show.")] = "",
    others: Annotated[
        list[str] | None, typer.Option("--set", help="Any other setting, as in `d_lr=0.0004`; several times. A wrong name lists them.")
    ] = None,
) -> None:
    """Train a model on your own pictures. Ctrl+C saves and stops; the same command continues.

    For example:

    * `studio train stylegan2 my-drawings --name drawings --minutes 60`

    * `studio train cyclegan photos paintings --name painter --minutes 120`

    * `studio train cut photos paintings --name painter --augment diff --zoom 1.5 --words "photo to Monet"`

    * `studio train pix2pix outlines photos --name colourist` (equal file names), or `studio train pix2pix pairs` (side by side)

    * `studio train style painting.jpg --name mine --minutes 10`, then `studio restyle photo.jpg --style mine`
    """
    from studio.training import Settings
    from studio.training.settings import read_values

    pictures, targets = _places(family, data, target or [])
    settings = Settings(
        **read_values(others or []),
        family=family,
        data=pictures,
        target=targets,
        name=name,
        minutes=_minutes(family, targets) if minutes is None and kimg is None else minutes,
        kimg=kimg,
        resolution=resolution,
        batch=batch,
        img_channels=img_channels,
        loss=loss,
        seed=seed,
        start_from=str(Path(start_from).resolve()) if start_from and Path(start_from).exists() else start_from,
        freeze_d=freeze_d,
        fade_kimg=fade_kimg,
        augment=augment,
        augment_pipe=augment_pipe,
        mirror=mirror,
        film_rate=film_rate,
        tensorboard=tensorboard,
        inception=str(Path(inception).expanduser().resolve()) if inception else "",
        device=device,
        words=words,
        load_size=load_size,
        zoom=zoom,
        network=network,
        ngf=ngf,
        n_blocks=n_blocks,
        antialias=antialias,
        direction=direction,
        lambda_cycle=lambda_cycle,
        lambda_identity=lambda_identity,
        identity_until=identity_until,
        lambda_nce=lambda_nce,
        lambda_l1=lambda_l1,
        photo=str(Path(photo).expanduser().resolve()) if photo else "",
    )
    from studio import paths
    from studio.cli.library import make_library
    from studio.training import learn, runs, translator_presets
    from studio.training.team import is_follower

    is_own_style = translator_presets.is_own_style(settings)
    settings = learn.paced(settings) if is_own_style else settings
    runs.check_free(settings.name, make_library())
    folder = _start(settings)
    last = _run(settings)
    if is_follower():
        return
    typer.echo("The time is over." if last.kind == "end" else "Stopped. The same command goes on.")
    for file in runs.publish(folder, paths.models_folder()):
        typer.echo(f"{file.stem} is ready: {file}")
    if is_own_style:
        typer.echo(f"Paint with it: studio restyle PHOTO --style {settings.name}")


def _places(family: str, data: str, targets: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tell the pictures to learn from and the translators' second folders: whatever is called like a picture is another painting.

    Raises:
        TrainingError: There is more than a family takes.
    """
    from studio.errors import TrainingError
    from studio.training.data import is_picture_name

    if family == "style" and all(is_picture_name(Path(text)) for text in targets):
        return tuple(place for text in (data, *targets) for place in _folders(text)), ()
    if len(targets) > 1:
        raise TrainingError(f"{family} takes no {len(targets) + 1} places. Write the folders that belong together with commas between.")
    return _folders(data), _folders(targets[0]) if targets else ()


def _minutes(family: str, targets: tuple[str, ...]) -> float:
    """Return how long a run takes that nobody set a time for."""
    from studio.training import learn

    return learn.MINUTES if family == "style" and not targets else 60.0


def _folders(text: str) -> tuple[str, ...]:
    """Split a list of folders at its commas, unless it is one that has commas in its name; absolute paths."""
    whole = Path(text).expanduser()
    if whole.exists():
        return (str(whole.resolve()),)
    return tuple(str(Path(part).expanduser().resolve()) for part in text.split(",") if part)


def _start(settings: Settings) -> RunFolder:
    """Tune the memory, say what the time will come to when the run is new, and return its folder."""
    from studio.accel import runtime
    from studio.training import words
    from studio.training.forecast import forecast
    from studio.training.loop import run_folder

    runtime.tune_allocator()
    folder = run_folder(settings)
    if not folder.states():
        for sentence in _report(settings):
            _say(sentence)
        for sentence in _origin(settings):
            _say(sentence)
        _say("Measuring this computer ...")
        found = forecast(settings)
        _say(words.forecast_sentence(found))
    return folder


def _say(sentence: str) -> None:
    """Write a line beside the results; in a team the first member speaks for all."""
    from studio.training.team import is_follower

    if not is_follower():
        typer.echo(sentence, err=True)


def _report(settings: Settings) -> list[str]:
    """Read the pictures for the first time, and say for each set how many there are and what was left out."""
    from studio.training import presets

    noun = "pairs" if settings.family == "pix2pix" else "pictures"
    return [f"{pictures.report.sentence(noun)}." for pictures in presets.load_all_pictures(presets.resolve(settings))]


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
        with display(settings) as shown:
            for tick in start(settings, should_stop=asked.is_set):
                shown.tell(tick)
    finally:
        signal.signal(signal.SIGINT, before)
    assert tick is not None
    last: Tick = tick
    return last
