"""From a training state to model files that the studio opens: half precision where no eye can tell, and a card that says the rights.

Works on the state's file alone, so a run can be exported while it goes on. This is *not* the index of shipped models.
"""

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from studio import latents
from studio.checkpoints import ModelCard, save
from studio.checkpoints.tensors import read_tensors
from studio.errors import TrainingError
from studio.models import common
from studio.models.gan_layers import without_spectral_norm
from studio.training import families, presets, start, translator_presets
from studio.training.settings import Settings
from studio.training.state import RunFolder
from studio.training.trainer import Scalars, restore_network, to_image

LARGEST_CHANGE = 1
"""Levels of 255 that half precision may change a pixel by."""
PROBE_SIDE = 96
"""Least side of the pictures that a translator is compared on, pixels."""


def read_run(folder: Path, *, best: bool = False) -> tuple[Settings, dict[str, Tensor], Scalars]:
    """Read settings and one state (the best, or the newest) of a run.

    Raises:
        TrainingError: The folder holds no run with a state.
    """
    run = RunFolder(folder)
    if not run.settings_file.exists():
        raise TrainingError(f"{folder}: there is no training run in this folder.")
    settings = Settings.from_json(run.settings_file.read_text())
    if best and run.best_file.exists():
        tensors, header = read_tensors(run.best_file)
        return settings, tensors, header
    found = run.read_newest_state()
    if found is None:
        raise TrainingError(f"{folder}: this run has no state yet. Wait until the first one is saved.")
    return settings, *found


def networks(settings: Settings, tensors: Mapping[str, Tensor], scalars: Scalars) -> dict[str, nn.Module]:
    """Rebuild the averaged networks of a state: one generator or translator under the empty name, and CycleGAN's ``inverse``."""
    if settings.family in presets.TRANSLATORS:
        parts = {"": "average_forward"} | ({"inverse": "average_backward"} if settings.family == "cyclegan" else {})
        description = translator_presets.translator(settings, len(scalars.get("classes", ())) or 1)
    else:
        parts = {"": "G_ema"}
        c_dim = families.c_dim(settings, scalars.get("classes", ()))
        colours = scalars.get("img_channels") or settings.img_channels
        description = presets.generator(settings, c_dim=c_dim, channels_out=colours, started=start.origin(settings))
    built = {}
    for name, prefix in parts.items():
        network = common.build(*description).eval().requires_grad_(False)
        restore_network(prefix, network, tensors)
        built[name] = without_spectral_norm(network)
    return built


def halved(network: nn.Module, *, pictures: int = 8) -> nn.Module:
    """Return a copy rounded to half precision when that changes no pixel by more than one level, else the network itself."""
    half = copy.deepcopy(network).half()
    rounded = copy.deepcopy(half).float()
    change = (_probe(network, pictures).int() - _probe(rounded, pictures).int()).abs().max()
    return half if int(change) <= LARGEST_CHANGE else network


@torch.inference_mode()
def _probe(network: nn.Module, pictures: int) -> Tensor:
    """Make a few pictures to compare, uint8 ``[n, H, W, C]``."""
    if isinstance(network, common.LatentGenerator):
        labels = torch.arange(pictures) % max(1, network.c_dim)
        c = torch.eye(network.c_dim)[labels] if network.c_dim else None
        ws = network.mapping(latents.seed_to_z(range(pictures), network.z_dim), c)
        return torch.from_numpy(to_image(network.synthesis(ws)))
    multiple = network.multiple_of if isinstance(network, common.Translator) else 1
    side = -(-PROBE_SIDE // multiple) * multiple
    noise = torch.nn.functional.interpolate(torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0)), size=side, mode="bicubic")
    return torch.from_numpy(to_image(network(noise * 2 - 1)))


def export(folder: Path, target: Path, card: ModelCard, *, best: bool = False) -> list[Path]:
    """Write the networks of a run as ``NAME.safetensors`` (and the inverse's, see :func:`inverse_name`) into ``target``.

    Args:
        folder: The run's folder.
        target: Where the model files go.
        card: Licence, origin, credit and direction (empty: the settings' words); the rest is filled in. An inverse gets the direction
            the other way round.
        best: Take the best state instead of the newest.

    Returns:
        The files written.
    """
    settings, tensors, header = read_run(folder, best=best)
    settings = replace(settings, folder=str(folder))
    card = start.credited(card, start.origin(settings))
    direction = card.direction or translator_presets.words(settings)
    classes = tuple(header["scalars"].get("classes", ()))
    files = []
    for suffix, network in networks(settings, tensors, header["scalars"]).items():
        name = inverse_name(settings.name) if suffix else settings.name
        written = replace(
            card,
            family=str(network.family),
            resolution=0 if settings.family in presets.TRANSLATORS else presets.require(settings.resolution),
            classes=classes if getattr(network, "c_dim", 0) or hasattr(network, "n_styles") else (),
            parameters=sum(p.numel() for p in network.parameters()),
            direction=_turned(direction) if suffix else direction,
        )
        file = target / f"{name}.safetensors"
        save(halved(network), file, written)
        files.append(file)
    return files


def inverse_name(name: str) -> str:
    """Name the way back of a translator: ``apple2orange`` gives ``orange2apple``, any other name gets ``-inverse``."""
    first, separator, second = name.partition("2")
    is_pair = bool(first and second) and (first + second).replace("_", "").isalpha()
    return f"{second}{separator}{first}" if is_pair else f"{name}-inverse"


def _turned(direction: str) -> str:
    """Turn "photo to Monet" into "Monet to photo"."""
    first, separator, second = direction.partition(" to ")
    return f"{second} to {first}" if separator else direction
