"""Opening any model file: content, format, network, card; and writing our own.

Nothing in a file is ever executed, imported or compiled; see ``pickles`` and ``vocabulary``. This module does *not* know
where installed models lie (``library``) and keeps nothing in memory between calls.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from studio import paths
from studio.accel.device import pick_device
from studio.checkpoints.assemble import assemble
from studio.checkpoints.card import ModelCard
from studio.checkpoints.contents import read_contents
from studio.checkpoints.draft import Draft
from studio.checkpoints.formats import recognise
from studio.checkpoints.library import Library
from studio.checkpoints.opening import Source, named_errors, opened
from studio.checkpoints.records import shorten
from studio.checkpoints.tensors import write_tensors
from studio.errors import StudioError

PRECISIONS = ("exact", "auto")


def load(path_or_name: str | Path, *, device: str = "auto", precision: str = "exact") -> nn.Module:
    """Load a network from a file of any supported format, or by its name in ``pretrained/`` or the models folder.

    Args:
        path_or_name: A file, or the name of an installed model.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        precision: "exact" (float32, the plain network) or "auto": the same network run by its fastest way here, which takes
            seconds to prepare (:func:`studio.accel.choose.accelerate`).

    Returns:
        The network in eval mode, without gradients; ``network.card`` is its :class:`ModelCard`.

    Raises:
        StudioError: One sentence: the file is missing, unsafe, damaged, unknown or too big, or the device is not there.
    """
    if precision not in PRECISIONS:
        raise StudioError(f"precision={precision!r} is not known. Use one of: {', '.join(PRECISIONS)}.")
    target = pick_device(device)
    path = Path(path_or_name)
    if path.name == str(path_or_name) and not path.is_file():
        path = Library(paths.models_folder(), paths.pretrained_folder()).find(path.name).path
    network = load_file(path).to(target)
    if precision == "exact":
        return network
    from studio.accel.choose import accelerate

    return accelerate(network, precision)


def load_file(path: Path) -> nn.Module:
    """Open a model file of any supported format on the CPU, in eval mode and without gradients, with its ``card``.

    Raises:
        StudioError: One sentence that starts with the file's name.
    """
    with named_errors(path.name), opened(path) as source:
        return network_from(recognise(read_contents(source.data)), source, path.name)


def network_from(draft: Draft, source: Source, name: str) -> nn.Module:
    """Build the network that a format recognised, with its ``card``.

    Raises:
        StudioError: The draft does not fit the network, or holds impossible values; without the file's name.
    """
    network = assemble(draft, file_bytes=source.size)
    network.card = _card(network, draft, name, source)  # type: ignore[assignment]
    return network


def save(network: nn.Module, path: str | Path, card: ModelCard) -> None:
    """Write a network in the studio's own format (safetensors with configuration and card in the header), atomically.

    The card's ``sha256`` and ``name`` are left out of the header: they belong to the file, not to its content.
    """
    header = {
        "family": network.family,
        "config": network.config,
        "card": replace(card, sha256="", name="").to_json(),
    }
    write_tensors(Path(path), network.state_dict(), header)


def _card(network: nn.Module, draft: Draft, name: str, source: Source) -> ModelCard:
    """Write the card of a network that was just loaded, or complete the one in the file."""
    c_dim = int(draft.config.get("c_dim", 0) or draft.config.get("n_styles", 0))  # a book of styles names them as its classes
    facts: dict[str, Any] = {
        "name": Path(name).stem,
        "family": draft.family,
        "sha256": source.sha256,
        "resolution": _resolution(draft),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
    }
    numbers = tuple(str(index) for index in range(c_dim))
    if draft.card is not None:
        given = draft.card.classes
        return replace(draft.card, **facts, classes=given if len(given) == c_dim else numbers)
    return ModelCard(
        **facts,
        source_name=shorten(name),
        source_sha256=source.sha256,
        source_format=draft.format,
        classes=draft.classes or numbers,
        licence=draft.licence,
        origin=draft.origin,
        notes=tuple(draft.notes),
        direction=direction_of(name) if draft.family in ("resnet", "unet") else "",
    )


def _resolution(draft: Draft) -> int:
    """Return the side of a model's pictures: what a U-Net shrinks to one pixel, 0 for translators of any size."""
    if draft.family == "unet":
        return 1 << int(draft.config["n_downs"])
    return int(draft.config.get("img_resolution", 0))


def direction_of(name: str) -> str:
    """Guess what a translator does from its file name: ``horse2zebra.pth``, ``style_monet_pretrained``."""
    stem = Path(name).stem
    if match := re.search(r"(?<![A-Za-z])([A-Za-z]{3,30})(?:2|_to_)([A-Za-z]{3,30})", stem):
        return f"{match[1]} to {match[2]}".replace("_", " ")
    match = re.search(r"style_([a-z]{3,30})", stem)
    return f"photo to {match[1].capitalize()}" if match else ""
