"""Translators of the CycleGAN, pix2pix and CUT family (``latest_net_G.pth``): everything is inferred from names and shapes.

The old files' ``running_*`` of instance norms are dropped: those networks ran with each picture's own statistics.

Reference:
    Zhu et al. 2017 (CycleGAN); Isola et al. 2017 (pix2pix); Park et al. 2020 (CUT).
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from studio.checkpoints.contents import Contents
from studio.checkpoints.draft import Draft
from studio.checkpoints.formats.states import State, states
from studio.checkpoints.records import Stored, constant
from studio.errors import DamagedFileError

STATISTICS = re.compile(r"(.*)\.(running_mean|running_var|num_batches_tracked)")
BLOCK = re.compile(r"model\.(\d{1,3})\.conv_block\.(\d{1,2})\.weight")
LAYER = re.compile(r"model\.(\d{1,3})\.weight")


def read(contents: Contents) -> Draft | None:
    """Read a residual or a U-Net translator."""
    for state in states(contents):
        if "model.model.0.weight" in state.tensors:
            return _unet(_without_old_statistics(state))
        if any(BLOCK.fullmatch(name) for name in state.tensors):
            return _resnet(_without_old_statistics(state))
    return None


def _without_old_statistics(state: State) -> State:
    """Drop running statistics of norms that have no weight of their own (instance norm of 2017)."""
    kept: dict[str, Stored] = {}
    for name, tensor in state.tensors.items():
        match = STATISTICS.fullmatch(name)
        if match is None or len(state.shape(f"{match[1]}.weight")) == 1:
            kept[name] = tensor
    return State(state.path, kept, state.owner)


def _norm(state: State) -> str:
    """Tell the norm from its parameters: batch norm has statistics and weights, instance norm neither."""
    if any(name.endswith(".running_mean") for name in state.tensors):
        return "batch"
    if any(name.endswith(".weight") and len(tensor.shape) == 1 for name, tensor in state.tensors.items()):
        return "instance-affine"
    return "instance"


def _resnet(state: State) -> Draft:
    blocks: dict[int, set[int]] = {}
    for name in state.tensors:
        if (match := BLOCK.fullmatch(name)) and len(state.shape(name)) == 4:
            blocks.setdefault(int(match[1]), set()).add(int(match[2]))
    outer = sorted(int(match[1]) for name in state.tensors if (match := LAYER.fullmatch(name)) and len(state.shape(name)) == 4)
    inside = sorted(next(iter(blocks.values()))) if blocks else []
    if not outer or outer[0] not in (0, 1) or len(inside) != 2:
        raise DamagedFileError("looks like a CycleGAN translator (has 'conv_block'), but some of its layers are missing.")
    before = [index for index in outer if index < min(blocks)]
    after = [index for index in outer if index > max(blocks)]
    last = f"model.{outer[-1]}.weight"
    antialias = any(name.endswith(".filt") for name in state.tensors)
    config: dict[str, Any] = {
        "img_channels_in": state.size(f"model.{outer[0]}.weight", 1),
        "img_channels_out": state.size(last, 0),
        "ngf": state.size(f"model.{outer[0]}.weight", 0),
        "n_blocks": len(blocks),
        "n_downs": len(before) - 1,
        "norm": _norm(state),
        "conv_bias": f"model.{outer[0]}.bias" in state.tensors,
        "downsample": "antialias" if antialias else "strided",
        **_block_layout(inside),
        **_up_layout(state, after, max(blocks), antialias=antialias),
    }
    name = "CUT translator" if antialias else "CycleGAN translator"
    return _named(Draft(name, "resnet", config, dict(state.tensors)))


def _block_layout(inside: list[int]) -> dict[str, Any]:
    """Tell padding layers and dropout of a residual block from where its two convolutions stand."""
    first, second = inside
    layouts = {(1, 5): ("reflect", False), (1, 6): ("reflect", True), (0, 3): ("zeros", False), (0, 4): ("zeros", True)}
    if (first, second) not in layouts:
        raise DamagedFileError(f"looks like a CycleGAN translator, but has convolutions {first} and {second} in its blocks, not 1 and 5.")
    padding, dropout = layouts[first, second]
    return {"block_padding": padding, "dropout": dropout}


def _up_layout(state: State, after: list[int], last_block: int, *, antialias: bool) -> dict[str, Any]:
    """Tell how the picture grows again: transposed convolutions, blur interpolation, or resizing and a convolution."""
    if antialias or len(after) < 2:
        return {"upsample": "antialias" if antialias else "transposed"}
    shape = state.shape(f"model.{after[0]}.weight")
    if shape[0] > shape[1]:
        return {"upsample": "transposed"}
    return {"upsample": "resize", "resize_padding": "reflect" if after[0] - last_block > 2 else "zeros"}


def _unet(state: State) -> Draft:
    name = "model.model.0.weight"
    depth = 1
    prefix = "model.model.1"
    while f"{prefix}.model.1.weight" in state.tensors and depth < 16:
        depth += 1
        prefix += ".model.3"
    top = [key for key in state.tensors if re.fullmatch(r"model\.model\.\d\.bias", key)]
    dropout = depth > 5
    config: dict[str, Any] = {
        "img_channels_in": state.size(name, 1),
        "img_channels_out": state.size("model.model.3.weight", 1),
        "ngf": state.size(name, 0),
        "n_downs": depth,
        "norm": _norm(state),
        "dropout": dropout,
        "conv_bias": "model.model.0.bias" in top,
    }
    return _named(Draft("pix2pix translator (U-Net)", "unet", config, dict(state.tensors)))


def _named(draft: Draft) -> Draft:
    draft.derivable = {"num_batches_tracked": constant(np.zeros(()))}
    draft.origin = "a translator in the layout of CycleGAN and pix2pix"
    return draft
