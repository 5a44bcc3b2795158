"""StyleGAN2 in rosinality's layout: converted files (``g_ema``, ``latent_avg``), files from its training, and pSp's decoder.

Sizes are read from the tensors, so any widths and depths load. This module holds only the map of names.

Reference:
    Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN".
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from studio.checkpoints.card import LICENCE_UNKNOWN
from studio.checkpoints.contents import Contents
from studio.checkpoints.draft import Draft
from studio.checkpoints.formats.nvidia2 import FILTER, resample_buffers, sizes
from studio.checkpoints.formats.states import State, is_tensor, states
from studio.checkpoints.records import Derived, Stored, constant, derive, shorten
from studio.errors import DamagedFileError

FORMAT = "StyleGAN2 (rosinality)"
SIGNATURE = ("input.input", "style.1.weight", "conv1.conv.weight", "to_rgb1.conv.weight", "convs.0.conv.weight")
AVERAGE_SAMPLES = 10_000
LICENCE = (
    f"{LICENCE_UNKNOWN} If it was converted from NVIDIA's weights: those are for research and evaluation (non-commercial) "
    "unless their author says otherwise."
)


def read(contents: Contents) -> Draft | None:
    """Read the averaged generator."""
    for state in states(contents):
        present = [name for name in SIGNATURE if name in state.tensors]
        if len(present) >= 3:
            return _draft(state, present)
    return None


def _draft(state: State, present: list[str]) -> Draft:
    missing = [name for name in (*SIGNATURE[:4], "to_rgb1.bias") if name not in state.tensors]
    if missing:
        clue = " and ".join(f"'{name}'" for name in present[:2])
        raise DamagedFileError(f"looks like {FORMAT} (has {clue}), but {', '.join(missing)} is missing.")
    weights = _mapped(state)
    named = State(state.path, weights, state.owner)
    config = sizes(named, FORMAT)
    config["lr_multiplier"] = 0.01
    taps = _taps(state)
    config["resample_filter"] = taps
    notes: list[str] = []
    weights.update(_noise(state, config["channels"], notes))
    average = _average(state, config["w_dim"])
    if average is not None:
        weights["mapping.w_avg"] = average
    else:
        weights["mapping.w_avg"] = constant(np.zeros(config["w_dim"]))
        notes.append("The file has no average style (latent_avg); it was computed from 10,000 latents.")
    return Draft(
        FORMAT,
        "stylegan2",
        config,
        weights,
        derivable=resample_buffers(taps),
        licence=LICENCE,
        origin="a network in rosinality's layout",
        notes=notes,
        finish=None if average is not None else fill_average,
    )


def fill_average(network: Any) -> None:
    """Set ``w_avg`` to the mean style of 10,000 latents, the same on every computer."""
    import torch

    z = torch.from_numpy(np.random.RandomState(0).randn(AVERAGE_SAMPLES, network.z_dim).astype(np.float32))
    with torch.no_grad():
        total = sum(network.mapping(part)[:, 0].double().sum(dim=0) for part in torch.tensor_split(z, 10))
        network.w_avg.copy_(total / AVERAGE_SAMPLES)


def _mapped(state: State) -> dict[str, Stored]:
    """Rename and reshape everything but noise and filters; a name that does not belong is kept and refused later."""
    weights: dict[str, Stored] = {}
    for name, tensor in state.tensors.items():
        if name.startswith("noises.") or name.endswith(".kernel"):
            continue
        if match := re.fullmatch(r"style\.(\d{1,3})\.(weight|bias)", name):
            weights[f"mapping.fc{int(match[1]) - 1}.{match[2]}"] = tensor
        elif name == "input.input":
            weights["synthesis.b4.const"] = _reshaped(tensor, tuple(tensor.shape[1:]))
        elif match := re.fullmatch(r"(conv1|to_rgb1|(?:convs|to_rgbs)\.\d{1,2})\.(.+)", name):
            target, value = _layer(_place(match[1]), match[2], tensor)
            weights[target] = value
        else:
            weights[name] = tensor
    return weights


def _place(layer: str) -> str:
    """Say which layer ``conv1``, ``to_rgb1``, ``convs.K`` or ``to_rgbs.K`` is."""
    kind, _, index = layer.partition(".")
    number = int(index or 0)
    if kind == "convs":
        return f"synthesis.b{8 << number // 2}.conv{number % 2}"
    if kind == "to_rgbs":
        return f"synthesis.b{8 << number}.torgb"
    return "synthesis.b4.conv1" if kind == "conv1" else "synthesis.b4.torgb"


def _layer(place: str, part: str, tensor: Stored) -> tuple[str, Stored]:
    """Rename one tensor of a layer."""
    shape = tuple(tensor.shape)
    if part == "conv.weight":
        return f"{place}.weight", _reshaped(tensor, shape[1:])
    if part in ("conv.modulation.weight", "conv.modulation.bias"):
        return f"{place}.affine.{part.rpartition('.')[2]}", tensor
    if part == "noise.weight":
        return f"{place}.noise_strength", _reshaped(tensor, ())
    if part == "activate.bias":
        return f"{place}.bias", tensor
    if part == "bias":
        return f"{place}.bias", _reshaped(tensor, (shape[1] if len(shape) == 4 else -1,))
    return f"{place}.{part}", tensor


def _reshaped(tensor: Stored, shape: tuple[int, ...]) -> Stored:
    """Drop sides of length one; a tensor of another size keeps its shape, which is then refused with its name."""
    if int(np.prod(tensor.shape, dtype=np.int64)) != int(np.prod(shape, dtype=np.int64)):
        return tensor
    return derive(tensor, shape, lambda values: values.reshape(shape))


def _noise(state: State, channels: list[int], notes: list[str]) -> dict[str, Stored]:
    """Place the noise pictures; a file without them gets fixed ones."""
    noise: dict[str, Stored] = {}
    layers = ["synthesis.b4.conv1"] + [f"synthesis.b{8 << level}.conv{i}" for level in range(len(channels) - 1) for i in (0, 1)]
    for index, layer in enumerate(layers):
        resolution = int(layer.split(".")[1][1:])
        stored = state.tensors.get(f"noises.noise_{index}")
        if stored is None:
            noise[f"{layer}.noise_const"] = _drawn(index, resolution)
        else:
            noise[f"{layer}.noise_const"] = _reshaped(stored, (resolution, resolution))
    if not any(name.startswith("noises.") for name in state.tensors):
        notes.append("The file has no noise pictures; fixed ones were drawn.")
    return noise


def _drawn(index: int, resolution: int) -> Stored:
    """Draw the noise picture of one layer, the same on every computer."""
    shape = (resolution, resolution)
    return Derived(shape, 0, lambda: np.random.RandomState(index).randn(*shape).astype(np.float32))


def _taps(state: State) -> list[float]:
    """Recover the low-pass filter: the file holds its two-dimensional form times four."""
    kernel = next((tensor for name, tensor in state.tensors.items() if name.endswith(".kernel")), None)
    if kernel is None or len(kernel.shape) != 2 or not 1 <= kernel.shape[0] <= 16:
        return [float(tap) for tap in FILTER]
    rows = kernel.read().astype(np.float64).sum(axis=1)
    scale = sum(FILTER) / rows.sum() if np.isfinite(rows).all() and rows.sum() else 0.0
    taps = [round(float(tap), 6) for tap in rows * scale]
    if not scale:
        raise DamagedFileError(f"holds a low-pass filter that makes no sense: {shorten(taps)}.")
    return taps


def _average(state: State, w_dim: int) -> Stored | None:
    """Find ``latent_avg``: ``[w_dim]``, or one row per layer (pSp), of which the first is taken."""
    value: Any = state.owner.get("latent_avg", state.tensors.get("latent_avg"))
    if not is_tensor(value) or not value.shape or value.shape[-1] != w_dim:
        return None
    return derive(value, (w_dim,), lambda values: values.reshape(-1, w_dim)[0])
