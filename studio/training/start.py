"""Fine-tuning: starting a run from a model file of any format, whose architecture is taken over, and remembering where it came from.

The generator always comes from the file; the discriminator where the file has one. What a run came from is written beside its states
(``start.json``), so that it resumes without the file. This is *not* how a run goes on from another run's state: see ``growth.py``.

Reference:
    Karras et al. 2020 ADA, section 4.2 (transfer learning); Mo et al. 2020, "Freeze the Discriminator", section 3.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from studio import paths
from studio.checkpoints import Library, ModelCard
from studio.checkpoints.names import clean_name
from studio.checkpoints.pairs import Pair, is_training_state, load_pair
from studio.errors import TrainingError
from studio.media.files import atomic_write
from studio.models.common import Config
from studio.training import transfer
from studio.training.settings import Settings
from studio.training.state import RunFolder

REST_KIMG = 10.0
"""Thousand pictures that a fresh discriminator sees before a finished generator starts to learn from it ..."""
REST_SHARE = 0.05
"""... but no more than this share of the run."""
ADOPTED = ("z_dim", "w_dim", "mapping_layers", "img_channels")
"""Settings that follow from the file's configuration, where it has them."""


@dataclass(frozen=True)
class Origin:
    """What a run started from: two descriptions of networks and the facts for the card; JSON-able."""

    start_from: str
    name: str
    sha256: str
    licence: str
    credit: str
    classes: tuple[str, ...]
    family: str
    config: Config
    judge: Config | None
    """The configuration of the file's discriminator; None when it has none."""

    @property
    def c_dim(self) -> int:
        """Return the number of the file's classes."""
        return int(self.config.get("c_dim", 0))

    def generator(self, c_dim: int, img_channels: int) -> tuple[str, Config]:
        """Describe the run's generator: the file's, for the run's classes.

        Raises:
            TrainingError: The pictures have other colour channels than the file.
        """
        if self.config["img_channels"] != img_channels:
            raise TrainingError(
                f"{self.name} makes pictures of {self.config['img_channels']} channels, but these have {img_channels}. "
                "Save them in the same kind (with or without transparency)."
            )
        return self.family, _with_classes(self.config, c_dim)

    def discriminator(self, described: tuple[str, Config], c_dim: int) -> tuple[str, Config]:
        """Describe the run's discriminator: the file's; where there is none, the family's (``described``) as wide as the generator."""
        family, config = described
        if self.judge is not None:
            return family, _with_classes(self.judge, c_dim)
        wide = {"channels": self.config["channels"]} if self.family in ("stylegan2", "fastgan") else {}
        return family, {**config, **wide, "img_resolution": self.config["img_resolution"]}

    def is_fresh_judge(self, c_dim: int) -> bool:
        """Tell whether the discriminator has to learn from the beginning (or what it learnt was of another kind)."""
        return self.judge is None or (self.c_dim > 0) != (c_dim > 0)


def _with_classes(config: Config, c_dim: int) -> Config:
    if config.get("c_dim", 0) == c_dim:
        return dict(config)
    widths = ("embed_features", "cmap_dim") if not config.get("c_dim", 0) else ()
    return {**config, "c_dim": c_dim, **{name: None for name in widths if name in config}}


def origin(settings: Settings) -> Origin | None:
    """Say what a run starts, or has started, from; None when it starts afresh or from another run's state.

    Raises:
        StudioError: The file cannot be opened, or no model has that name.
    """
    from studio.training.loop import run_folder

    folder = run_folder(settings)
    remembered = folder.path / "start.json"
    if folder.states():
        return read(remembered) if remembered.is_file() else None
    path = find_model(settings.start_from)
    if path is None:
        return None
    started = _describe(settings.start_from, path, load_pair(path))
    wants_another = settings.discriminator not in (None, "residual")
    return dataclasses.replace(started, judge=None) if wants_another else started


def earlier_settings(settings: Settings) -> Settings | None:
    """Return the settings of the run that this one continues, or else grows from; None when it does neither."""
    from studio.training.loop import run_folder

    source = Path(settings.start_from)
    grown = source if source.is_dir() else source.parent if source.is_file() and is_training_state(source) else None
    for folder in (run_folder(settings), RunFolder(grown) if settings.start_from and grown is not None else None):
        if folder is not None and folder.settings_file.is_file():
            return Settings.from_json(folder.settings_file.read_text())
    return None


def find_model(start_from: str) -> Path | None:
    """Find the model file that ``start_from`` means; None for nothing, a run's folder or a run's state.

    Raises:
        UnknownModelError: It is neither a file nor the name of an installed model.
    """
    path = Path(start_from)
    if not start_from or path.is_dir():
        return None
    if path.is_file():
        return None if is_training_state(path) else path
    if path.name != start_from:
        return None
    return Library(paths.models_folder(), paths.pretrained_folder()).find(start_from).path


def _describe(start_from: str, path: Path, pair: Pair) -> Origin:
    generator: Any = pair.averaged
    judge: Any = pair.discriminator
    card: ModelCard = generator.card
    if "img_resolution" not in generator.config:
        raise TrainingError(f"{path.name} turns pictures into others ({generator.family}); a generator is needed to start from.")
    return Origin(
        start_from=start_from,
        name=card.name or clean_name(path.name),
        sha256=card.sha256,
        licence=card.licence,
        credit=card.credit,
        classes=card.classes,
        family=generator.family,
        config=dict(generator.config),
        judge=None if judge is None else dict(judge.config),
    )


def read(file: Path) -> Origin:
    """Read what :func:`remember` wrote.

    Raises:
        TrainingError: It is damaged.
    """
    try:
        values: dict[str, Any] = json.loads(file.read_text("utf-8"))
        return Origin(**{**values, "classes": tuple(values["classes"])})
    except (ValueError, TypeError, KeyError) as error:
        raise TrainingError(f"{file}: what this run started from cannot be read. Choose another name for a new run.") from error


def remember(settings: Settings, started: Origin) -> None:
    """Write what a run starts from beside its states."""
    from studio.training.loop import run_folder

    file = run_folder(settings).path / "start.json"
    with atomic_write(file) as written:
        written.write(json.dumps(dataclasses.asdict(started), indent=1).encode())


def adopt(settings: Settings) -> Settings:
    """Return settings that fit what the run starts from: the file's size and widths.

    Raises:
        TrainingError: The file holds another family, the settings ask for another size, or there is nothing to freeze.
    """
    started = origin(settings)
    if settings.freeze_d and not settings.start_from:
        raise TrainingError("freeze_d keeps what a discriminator knows, but this run starts afresh. Name a start_from, or use 0.")
    if started is None:
        return settings
    if started.family != settings.family.removesuffix("-r"):
        raise TrainingError(f"{started.name} is a {started.family}, not a {settings.family}. Use: studio train {started.family} ...")
    resolution = int(started.config["img_resolution"])
    if settings.resolution not in (None, resolution):
        raise TrainingError(f"{started.name} makes pictures of {resolution} px, not {settings.resolution}. Leave resolution out.")
    if settings.freeze_d and started.judge is None:
        raise TrainingError(f"freeze_d={settings.freeze_d} is not possible: {started.name} holds no discriminator to keep. Use 0.")
    found = {"mapping_layers": started.config.get("num_layers"), **started.config}
    return dataclasses.replace(settings, resolution=resolution, **{name: found[name] for name in ADOPTED if found.get(name) is not None})


def fill(started: Origin, G: nn.Module, G_ema: nn.Module, D: nn.Module, classes: Sequence[str]) -> None:
    """Copy the file's weights into the run's networks, classes by their names."""
    path = find_model(started.start_from)
    if path is None:
        raise TrainingError(f"start_from={started.start_from!r}: the file is gone. Give it again, or another one.")
    pair = load_pair(path)
    for network, source in ((G, pair.generator), (G_ema, pair.averaged)):
        transfer.copy_weights(network, source, started.classes, classes)
    if pair.discriminator is not None and started.judge is not None:
        transfer.copy_weights(D, pair.discriminator, started.classes, classes)


def rest_pictures(started: Origin | None, c_dim: int) -> float:
    """Return after how many pictures the generator begins to learn: it waits for a discriminator that starts afresh."""
    return REST_KIMG * 1000 if started is not None and started.is_fresh_judge(c_dim) else 0.0


def sentences(settings: Settings, classes: Sequence[str]) -> list[str]:
    """Say in words what a run takes over and what starts afresh; nothing when it starts from no file."""
    started = origin(settings)
    if started is None:
        return []
    said = [f"Starts from {started.name} ({started.family}, {started.config['img_resolution']} px)."]
    if started.judge is None:
        said.append("It holds no discriminator: a fresh one starts, and the generator rests until that one has learnt a little.")
    else:
        said.append("Its discriminator goes on learning.")
        if settings.freeze_d:
            said.append(f"Of its blocks, {settings.freeze_d} nearest to the picture stay as they are.")
        if started.is_fresh_judge(len(classes)):
            said.append("It has to learn about classes from the beginning; the generator rests until it has begun to.")
    return said + transfer.say_classes(started.classes, classes)


def credited(card: ModelCard, started: Origin | None) -> ModelCard:
    """Return the card of a fine-tuned model: what it came from, whose terms go on to hold."""
    if started is None:
        return card
    return dataclasses.replace(
        card,
        origin=f"fine-tuned from {started.name} (SHA-256 {started.sha256[:12]}); {card.origin}"[:2000],
        licence=f"{card.licence}. It was fine-tuned from {started.name}, whose terms hold, too: {started.licence}"[:2000],
        credit="; ".join(part for part in (card.credit, started.credit) if part)[:2000],
    )


def release(D: nn.Module, freeze_d: int) -> None:
    """Let a discriminator learn, but for its ``freeze_d`` blocks nearest to the picture (Mo et al. 2020, section 3)."""
    D.requires_grad_(True)
    for name in block_names(D)[:freeze_d]:
        D.get_submodule(name).requires_grad_(False)


def block_names(D: nn.Module) -> list[str]:
    """Name a discriminator's blocks, the one nearest to the picture first; none when it has no such order."""
    return [f"b{resolution}" for resolution in getattr(D, "block_resolutions", ())]


def check_freeze(D: nn.Module, freeze_d: int) -> None:
    """Refuse to freeze more blocks than there are.

    Raises:
        TrainingError: ``freeze_d`` is out of range.
    """
    blocks = len(block_names(D))
    if not 0 <= freeze_d <= blocks:
        raise TrainingError(f"freeze_d={freeze_d} is not possible: this discriminator has {blocks} blocks to freeze. Use 0 to {blocks}.")
