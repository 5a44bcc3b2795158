"""The other networks of a training file, for those who go on training from it: its discriminator, and its generator before averaging.

NVIDIA's pickles (StyleGAN2, StyleGAN2-ADA, StyleGAN3) hold both under ``D`` and ``G``, rosinality's training files under ``d`` and ``g``;
of TensorFlow's files only the discriminator is read. Sizes are read from the tensors. This is *not* asked when a model is opened to make
pictures.

Reference:
    Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", section 4.1.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from studio.checkpoints.contents import Contents
from studio.checkpoints.draft import Draft
from studio.checkpoints.formats import nvidia2, nvidia3, rosinality, tensorflow
from studio.checkpoints.formats.nvidia2 import FILTER, resample_buffers, resample_filter
from studio.checkpoints.formats.states import State, fields, flatten, is_tensor, strip
from studio.checkpoints.records import Network, Stored, derive
from studio.errors import DamagedFileError

FORMAT = "a StyleGAN2 discriminator"
FAMILY = "stylegan2-discriminator"
BLOCK = re.compile(r"b(\d{1,7})\.")
LAYERS = {"conv1.0": "conv0", "conv1.1": "conv0", "conv2.1": "conv1", "conv2.2": "conv1", "skip.1": "skip"}
"""rosinality's places inside a residual block -> ours; weights and biases have numbers of their own there."""
LAST = {"final_conv.0": "conv", "final_conv.1": "conv", "final_linear.0": "fc", "final_linear.1": "out"}


def read_discriminator(contents: Contents) -> Draft | None:
    """Read the discriminator of a file; None when it holds none that the studio knows.

    Raises:
        StudioError: There is one, but its tensors do not fit together.
    """
    value = contents.value
    if not isinstance(value, dict):
        return _tensorflow(contents)
    network = value.get("D")
    if isinstance(network, Network):
        return _nvidia(network)
    if isinstance(value.get("d"), dict):
        tensors = strip({name: tensor for name, tensor in value["d"].items() if isinstance(name, str) and is_tensor(tensor)})
        if "final_linear.1.weight" in tensors:
            return _rosinality(tensors)
    return None


def read_unaveraged(contents: Contents) -> Draft | None:
    """Read the generator as it stood in training (``G``, ``g``), beside its average; None when the file has the average alone."""
    value = contents.value
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("G"), Network) and isinstance(value.get("G_ema"), Network):
        alone = replace(contents, value={"G": value["G"]})
        return nvidia3.read(alone) or nvidia2.read(alone)
    if isinstance(value.get("g"), dict) and isinstance(value.get("g_ema"), dict):
        kept = {name: item for name, item in value.items() if name not in ("g", "d")}
        return rosinality.read(replace(contents, value={**kept, "g_ema": value["g"]}))
    return None


def _nvidia(network: Network) -> Draft | None:
    state = State("D", flatten(network), {})
    if "b4.out.weight" not in state.tensors:
        return None
    arguments = fields(network.state, "_init_kwargs")
    block, epilogue = fields(arguments, "block_kwargs"), fields(arguments, "epilogue_kwargs")
    config = _sizes(state)
    config["conv_clamp"] = arguments.get("conv_clamp")
    config["resample_filter"] = resample_filter(block.get("resample_filter"))
    config["activation"] = block.get("activation") or "lrelu"
    config["mbstd_group_size"] = epilogue.get("mbstd_group_size", 4)
    multiplier = fields(arguments, "mapping_kwargs").get("lr_multiplier")
    config["lr_multiplier"] = 0.01 if multiplier is None else multiplier
    return _draft(state.tensors, config)


def _tensorflow(contents: Contents) -> Draft | None:
    found = tensorflow.judge(contents)
    if found is None:
        return None
    tensors, said = found
    config = _sizes(State("D", tensors, {}))
    config["conv_clamp"] = said.get("conv_clamp")
    config["resample_filter"] = resample_filter(said.get("resample_kernel"))
    config["activation"] = said.get("nonlinearity") or "lrelu"
    config["mbstd_group_size"] = said.get("mbstd_group_size", 4)
    return _draft(tensors, config | {"lr_multiplier": 0.01})


def _draft(tensors: dict[str, Stored], config: dict[str, Any]) -> Draft:
    return Draft(FORMAT, FAMILY, config, dict(tensors), derivable=resample_buffers(config["resample_filter"]))


def _sizes(state: State) -> dict[str, Any]:
    """Infer every size from tensors under NVIDIA's names.

    Raises:
        DamagedFileError: A tensor that decides a size is missing.
    """
    resolutions = sorted({int(match[1]) for name in state.tensors if (match := BLOCK.match(name))})
    if resolutions != [4 << level for level in range(len(resolutions))]:
        raise DamagedFileError(f"holds {FORMAT}, but resolutions of it are missing: it has {resolutions}.")
    needed = ["b4.conv.weight", "b4.out.weight", *(f"b{r}.conv0.weight" for r in resolutions[1:]), f"b{resolutions[-1]}.fromrgb.weight"]
    missing = [name for name in needed if len(state.shape(name)) < 2]
    if missing:
        raise DamagedFileError(f"holds {FORMAT}, but {', '.join(missing[:5])} is missing or has no size.")
    channels = [state.size(f"b{r}.conv0.weight" if r > 4 else "b4.conv.weight", 0) for r in resolutions]
    c_dim = state.size("mapping.embed.weight", 1)
    depth = sum(1 for name in state.tensors if re.fullmatch(r"mapping\.fc\d+\.weight", name))
    has_skips = any(name.endswith(".skip.weight") for name in state.tensors)
    return {
        "c_dim": c_dim,
        "img_resolution": resolutions[-1],
        "img_channels": state.size(f"b{resolutions[-1]}.fromrgb.weight", 1),
        "channels": channels,
        "architecture": "resnet" if has_skips else "skip" if "b4.fromrgb.weight" in state.tensors else "orig",
        "cmap_dim": state.size("b4.out.weight", 0) if c_dim else None,
        "num_layers": depth or 8,
        "embed_features": state.size("mapping.embed.weight", 0) or None,
        "layer_features": state.size("mapping.fc0.weight", 0) if depth > 1 else None,
        "mbstd_num_channels": state.size("b4.conv.weight", 1) - channels[0],
    }


def _rosinality(tensors: dict[str, Stored]) -> Draft:
    """Rename the tensors; a name that does not belong is kept and refused later."""
    numbers = [int(match[1]) for name in tensors if (match := re.match(r"convs\.(\d{1,2})\.", name))]
    top = 4 << max(numbers, default=0)
    weights: dict[str, Stored] = {}
    for name, tensor in tensors.items():
        if name.endswith(".kernel"):
            continue
        place, _, part = name.rpartition(".")
        match = re.fullmatch(r"convs\.(\d{1,2})\.(.+)", place)
        if match and match[1] == "0":
            place = f"b{top}.fromrgb"
        elif match:
            place = f"b{top >> (int(match[1]) - 1)}.{LAYERS.get(match[2], match[2])}"
        elif place in LAST:
            place = f"b4.{LAST[place]}"
        weights[f"{place}.{part}"] = _flat(tensor) if part == "bias" else tensor
    config = _sizes(State("d", weights, {}))
    config |= {"resample_filter": [float(tap) for tap in FILTER], "conv_clamp": None, "activation": "lrelu", "mbstd_group_size": 4}
    return _draft(weights, config | {"lr_multiplier": 0.01})


def _flat(bias: Stored) -> Stored:
    """Return a bias as one line: some versions keep it as ``[1, channels, 1, 1]``."""
    shape = tuple(bias.shape)
    if len(shape) == 1:
        return bias
    return derive(bias, (shape[1] if len(shape) == 4 else -1,), lambda values: values.reshape(-1))
