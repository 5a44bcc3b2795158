"""Carrying weights over into a network that differs in its classes: none, other ones, more or fewer.

Where old and new network are told of classes in the same way, the same class makes the same picture as before. This is *not* about files
(``start.py``) or other architectures.

Reference:
    Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data", appendix D (class conditioning).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from studio.models.stylegan2_layers import normalize_second_moment

EMBED, FIRST = "mapping.embed", "mapping.fc0"


def copy_weights(new: nn.Module, old: nn.Module, old_classes: Sequence[str], new_classes: Sequence[str]) -> None:
    """Copy every weight of ``old`` that has a place in ``new``, and carry what classes do over.

    Args:
        new: The network to fill; what has no counterpart keeps its fresh weights.
        old: The network to take from.
        old_classes: The names of the classes of ``old``.
        new_classes: Those of ``new``; the same name is the same class.
    """
    own, given = new.state_dict(), old.state_dict()
    fitting = {name: value.to(own[name]) for name, value in given.items() if name in own and value.shape == own[name].shape}
    count = getattr(old, "c_dim", 0), getattr(new, "c_dim", 0)
    if f"{FIRST}.weight" in own and f"{FIRST}.weight" in given:
        if all(count):
            fitting |= {f"{EMBED}.weight": _columns(given[f"{EMBED}.weight"], class_sources(old_classes, new_classes, count))}
        elif count[1] and getattr(old, "z_dim", 0):
            fitting |= {f"{FIRST}.weight": _widened(given[f"{FIRST}.weight"], own[f"{FIRST}.weight"].shape[1])}
        elif count[0] and getattr(old, "z_dim", 0):
            fitting |= _without_classes(old, own[f"{FIRST}.weight"].shape[1])
    new.load_state_dict({name: fitting.get(name, value) for name, value in own.items()})


def class_sources(old_classes: Sequence[str], new_classes: Sequence[str], count: tuple[int, int]) -> list[int]:
    """Say which old class each new one starts from: the one of its name, else the old ones in turn."""
    places = {name: index for index, name in enumerate(old_classes)}
    named = list(new_classes) if len(new_classes) == count[1] else [""] * count[1]
    return [places.get(name, index % count[0]) for index, name in enumerate(named)]


def _columns(weight: Tensor, sources: Sequence[int]) -> Tensor:
    """Rearrange a class embedding ``[features, classes]``; its gain falls with the root of the number of classes."""
    return weight[:, list(sources)] * math.sqrt(len(sources) / weight.shape[1])


def _widened(weight: Tensor, inputs: int) -> Tensor:
    """Make room for classes in the first layer: at first they change nothing."""
    wide = weight.new_zeros(weight.shape[0], inputs)
    wide[:, : weight.shape[1]] = weight * math.sqrt(inputs / weight.shape[1])
    return wide


@torch.no_grad()
def _without_classes(old: Any, inputs: int) -> dict[str, Tensor]:
    """Take classes out of the first layer; what they did on average moves into its bias."""
    layer = old.get_submodule(FIRST)
    wide = layer.weight.shape[1]
    embedded = normalize_second_moment(old.get_submodule(EMBED)(torch.eye(old.c_dim, device=layer.weight.device)))
    mean = layer.weight[:, inputs:] @ embedded.mean(0) / math.sqrt(wide)
    return {f"{FIRST}.weight": layer.weight[:, :inputs] * math.sqrt(inputs / wide), f"{FIRST}.bias": layer.bias + mean}


def say_classes(old_classes: Sequence[str], new_classes: Sequence[str]) -> list[str]:
    """Say in words what becomes of the classes; nothing when they stay the same."""
    old, new = list(old_classes), list(new_classes)
    if old == new:
        return []
    if not old:
        return [f"It knew no classes: the {len(new)} of the folders are new to it."]
    if not new:
        return [f"Its {len(old)} classes are given up: the folder has none."]
    kept = [name for name in new if name in old]
    others = len(new) - len(kept)
    said = f"The class list changed, so the class embedding is made anew: {', '.join(kept) or 'no class'} carried over"
    return [f"{said}{f', {others} start from old ones in turn' if others else ''}."]
