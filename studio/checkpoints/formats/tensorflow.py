"""StyleGAN2 as NVIDIA's TensorFlow code pickles it: three network records (G, D and the averaged Gs).

TensorFlow is not needed: the variables are numpy arrays, and this module is the map of their names and orders of axes.

Reference:
    Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.checkpoints.bounds import check_integer
from studio.checkpoints.card import LICENCE_NVIDIA
from studio.checkpoints.contents import Contents
from studio.checkpoints.draft import Draft
from studio.checkpoints.formats.nvidia2 import resample_buffers, resample_filter, sizes
from studio.checkpoints.formats.states import State, is_tensor
from studio.checkpoints.records import Bundle, Derived, Stored, constant, derive, shorten
from studio.errors import DamagedFileError, UnknownModelError

FORMAT = "StyleGAN2 (TensorFlow)"
KIND = "dnnlib.tflib.network.Network"
KNOWN_SIZES = {
    "latent_size": "z_dim",
    "label_size": "c_dim",
    "dlatent_size": "w_dim",
    "resolution": "img_resolution",
    "num_channels": "img_channels",
}
MAX_COMPONENTS = 16

Values = NDArray[Any]


def read(contents: Contents) -> Draft | None:
    """Read the averaged generator, the last of the three networks."""
    value = contents.value
    networks = [item for item in value if _is_network(item)] if isinstance(value, (tuple, list)) else []
    if _is_network(value):
        networks = [value]
    if not networks:
        return None
    network = networks[-1]
    version = network.fields.get("version")
    if type(version) is not int or version < 4:
        raise UnknownModelError(
            f"is a TensorFlow network of version {shorten(version)} (StyleGAN 1 or ProGAN), which the studio does not open; "
            "StyleGAN2 has version 4."
        )
    variables = _variables(network)
    if "synthesis/4x4/Const/const" not in variables or "mapping/Dense0/weight" not in variables:
        names = ", ".join(shorten(name) for name in list(variables)[:5])
        raise UnknownModelError(f"is a TensorFlow network, but not a StyleGAN2 generator (it holds {names}).")
    return _draft(network, variables)


def _is_network(value: object) -> bool:
    return isinstance(value, Bundle) and value.kind == KIND


def _variables(network: Bundle) -> dict[str, Stored]:
    """Collect the variables of a network and of its components under names with slashes."""
    found: dict[str, Stored] = {}
    pending: list[tuple[str, Bundle]] = [("", network)]
    for _ in range(MAX_COMPONENTS):
        if not pending:
            break
        prefix, current = pending.pop()
        variables = current.fields.get("variables")
        for pair in variables if isinstance(variables, list) else []:
            if isinstance(pair, (tuple, list)) and len(pair) == 2 and isinstance(pair[0], str):
                if is_tensor(pair[1]):
                    found[prefix + pair[0]] = pair[1]
                elif type(pair[1]) in (float, int):
                    found[prefix + pair[0]] = constant(np.asarray(pair[1], np.float64))
        components = current.fields.get("components")
        for name, item in components.items() if isinstance(components, dict) else ():
            if _is_network(item) and isinstance(name, str):
                pending.append((f"{prefix}{name[:100]}/", item))
    return found


JUDGE_LAYERS = {"FromRGB": "fromrgb", "Conv0": "conv0", "Conv1_down": "conv1", "Skip": "skip", "Conv": "conv", "Dense0": "fc"}


def judge(contents: Contents) -> tuple[dict[str, Stored], dict[Any, Any]] | None:
    """Return the tensors of the discriminator (the second of the three networks) under NVIDIA's later names, and what it says of itself.

    None when there is none, or one with classes in the old way.
    """
    value = contents.value
    networks = [item for item in value if _is_network(item)] if isinstance(value, (tuple, list)) else []
    variables = _variables(networks[1]) if len(networks) == 3 else {}
    weights: dict[str, Stored] = {}
    for name, stored in variables.items():
        match = re.fullmatch(r"(\d{1,5})x\1/(\w+)/(weight|bias)", name)
        if match is None and not name.startswith("Output/"):
            continue
        place = f"b{match[1]}.{JUDGE_LAYERS.get(match[2], match[2])}" if match else "b4.out"
        is_flat = place in ("b4.fc", "b4.out")
        changed = _matrix(stored) if is_flat else _kernel(stored, flip=False)
        weights[f"{place}.{name.rpartition('/')[2]}"] = changed if name.endswith("weight") else stored
    if "b4.out.weight" not in weights or tuple(weights["b4.out.weight"].shape[:1]) != (1,):
        return None
    said = networks[1].fields.get("static_kwargs")
    return weights, said if isinstance(said, dict) else {}


def _draft(network: Bundle, variables: dict[str, Stored]) -> Draft:
    said = network.fields.get("static_kwargs")
    settings: dict[Any, Any] = said if isinstance(said, dict) else {}
    weights = _mapped(variables)
    state = State("Gs", weights, {})
    config = sizes(state, FORMAT)
    for theirs, ours in KNOWN_SIZES.items():
        claim = settings.get(theirs)
        if claim is not None:
            check_integer(ours, claim)
            if claim != config[ours]:
                raise DamagedFileError(f"says {theirs}={claim}, but its tensors have {config[ours]}.")
    if "mapping/LabelConcat/weight" in variables:
        raise UnknownModelError("has classes in the old way of StyleGAN2 (LabelConcat), which the studio does not open.")
    config["architecture"] = settings.get("architecture") or config["architecture"]
    config["activation"] = settings.get("nonlinearity") or "lrelu"
    config["conv_clamp"] = settings.get("conv_clamp")
    config["resample_filter"] = resample_filter(settings.get("resample_kernel"))
    multiplier = settings.get("mapping_lrmul")
    config["lr_multiplier"] = 0.01 if multiplier is None else multiplier
    config["use_noise"] = any(name.endswith(".noise_const") for name in weights)
    return Draft(
        FORMAT,
        "stylegan2",
        config,
        weights,
        derivable=resample_buffers(config["resample_filter"]),
        licence=LICENCE_NVIDIA,
        origin="a network in NVIDIA's TensorFlow layout",
    )


def _mapped(variables: dict[str, Stored]) -> dict[str, Stored]:
    """Rename the variables and put their axes in torch's order; those of training only are left out."""
    top = max((int(m[1]) for name in variables if (m := re.match(r"synthesis/(\d{1,5})x", name))), default=4)
    weights: dict[str, Stored] = {}
    for name, value in variables.items():
        if name == "dlatent_avg":
            weights["mapping.w_avg"] = value
        elif match := re.fullmatch(r"mapping/(Dense(\d{1,3})|LabelEmbed)/(weight|bias)", name):
            layer = "embed" if match[2] is None else f"fc{match[2]}"
            weights[f"mapping.{layer}.{match[3]}"] = _matrix(value) if match[3] == "weight" else value
        elif match := re.fullmatch(r"synthesis/noise(\d{1,2})", name):
            weights[f"synthesis.{_noise_layer(int(match[1]))}.noise_const"] = _last_two(value)
        elif name == "synthesis/4x4/Const/const":
            weights["synthesis.b4.const"] = _dropped(value)
        elif match := re.fullmatch(r"synthesis/(?:(\d{1,5})x\1/(\w+)|ToRGB_lod(\d{1,2}))/(\w+)", name):
            resolution = int(match[1]) if match[1] else top >> int(match[3])
            target, changed = _layer(match[2] or "ToRGB", match[4], value)
            weights[f"synthesis.b{resolution}.{target}"] = changed
        elif not re.fullmatch(r"lod|.*/lod|pl_mean_var|.*noise_seed", name):
            weights[shorten(name)] = value
    return weights


LAYERS = {"Conv": "conv1", "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb", "Skip": "skip"}


def _layer(layer: str, part: str, value: Stored) -> tuple[str, Stored]:
    """Rename one variable of a layer; upsampling convolutions are mirrored, style biases are counted from one."""
    place = LAYERS.get(layer, shorten(layer))
    if part == "weight":
        return f"{place}.weight", _kernel(value, flip=layer in ("Conv0_up", "Skip"))
    if part == "mod_weight":
        return f"{place}.affine.weight", _matrix(value)
    if part == "mod_bias":
        return f"{place}.affine.bias", derive(value, tuple(value.shape), lambda values: values + 1)
    return f"{place}.{part}", value


def _noise_layer(index: int) -> str:
    """Say which layer noise picture ``index`` belongs to: 0 is the one at 4 px, then two for each resolution."""
    return "b4.conv1" if index == 0 else f"b{8 << (index - 1) // 2}.conv{(index - 1) % 2}"


def _matrix(value: Stored) -> Stored:
    return _turned(value, 2, (1, 0), lambda values: values.transpose())


def _kernel(value: Stored, *, flip: bool) -> Stored:
    def change(values: Values) -> Values:
        mirrored: Values = values[::-1, ::-1] if flip else values
        return np.transpose(mirrored, (3, 2, 0, 1))

    return _turned(value, 4, (3, 2, 0, 1), change)


def _turned(value: Stored, dimensions: int, axes: tuple[int, ...], change: Callable[[Values], Values]) -> Stored:
    if len(value.shape) != dimensions:
        return value
    return derive(value, tuple(value.shape[axis] for axis in axes), change)


def _last_two(value: Stored) -> Stored:
    return value if len(value.shape) != 4 or value.shape[:2] != (1, 1) else derive(value, tuple(value.shape[2:]), lambda v: v[0, 0])


def _dropped(value: Stored) -> Derived | Stored:
    return value if len(value.shape) != 4 or value.shape[0] != 1 else derive(value, tuple(value.shape[1:]), lambda v: np.asarray(v[0]))
