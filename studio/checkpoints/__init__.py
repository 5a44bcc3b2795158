"""Reading and writing model files. Nothing in a file is ever executed, imported or compiled."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from studio import paths
from studio.checkpoints.card import ModelCard
from studio.checkpoints.library import Library, ModelEntry
from studio.checkpoints.loader import PRECISIONS, choose_device, load_file, save
from studio.errors import StudioError

__all__ = ["Library", "ModelCard", "ModelEntry", "load", "save"]


def load(path_or_name: str | Path, *, device: str = "auto", precision: str = "exact") -> nn.Module:
    """Load a network from a file of any supported format, or by its name in ``pretrained/`` or the models folder.

    Args:
        path_or_name: A file, or the name of an installed model.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        precision: "exact" (float32). "auto" is accepted as well: the network is the same, and whoever draws with it may
            choose a faster path (:class:`studio.engine.Engine` does).

    Returns:
        The network in eval mode, without gradients; ``network.card`` is its :class:`ModelCard`.

    Raises:
        StudioError: One sentence: the file is missing, unsafe, damaged, unknown or too big, or the device is not there.
    """
    if precision not in PRECISIONS:
        raise StudioError(f"precision={precision!r} is not known. Use one of: {', '.join(PRECISIONS)}.")
    target = choose_device(device)
    path = Path(path_or_name)
    if not path.exists() and path.name == str(path_or_name):
        path = Library(paths.models_folder(), paths.pretrained_folder()).find(path.name).path
    return load_file(path).to(target)
