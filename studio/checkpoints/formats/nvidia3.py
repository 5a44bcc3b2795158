"""StyleGAN3, configurations t and r, as NVIDIA's PyTorch code pickles it, and its bare state dictionaries.

Reference:
    Karras et al. 2021, "Alias-Free Generative Adversarial Networks".
"""

from __future__ import annotations

import re
from typing import Any

from studio.checkpoints.card import LICENCE_NVIDIA
from studio.checkpoints.contents import Contents
from studio.checkpoints.draft import Draft
from studio.checkpoints.formats.nvidia import Found, find, mapping_depth
from studio.errors import DamagedFileError

FORMAT = "StyleGAN3 (NVIDIA)"
LAYER = re.compile(r"synthesis\.(L(\d{1,3})_(\d{1,6})_(\d{1,6}))\.weight")
DEFAULTS: dict[str, Any] = {
    "num_critical": 2,
    "first_cutoff": 2.0,
    "first_stopband": 2**2.1,
    "last_stopband_rel": 2**0.3,
    "margin_size": 10,
    "output_scale": 0.25,
    "num_fp16_res": 4,
    "filter_size": 6,
    "lrelu_upsampling": 2,
    "conv_clamp": 256.0,
    "magnitude_ema_beta": 0.999,
}
"""What NVIDIA's code takes where a file says nothing."""


def read(contents: Contents) -> Draft | None:
    """Read a StyleGAN3 generator."""
    found = find(contents)
    if found is None or "synthesis.input.weight" not in found.tensors:
        return None
    layers = _layers(found)
    count = len(layers) - 1
    last, state = layers[-1], found.state
    resolution = int(last.split("_")[1])
    w_dim = state.size("synthesis.input.affine.weight", -1)
    c_dim = found.claim("c_dim", state.size("mapping.embed.weight", -1))
    depth = mapping_depth(found)
    config: dict[str, Any] = {
        "z_dim": found.claim("z_dim", state.size("mapping.fc0.weight", -1) - (w_dim if c_dim else 0)),
        "c_dim": c_dim,
        "w_dim": found.claim("w_dim", w_dim),
        "img_resolution": found.claim("img_resolution", resolution),
        "img_channels": found.claim("img_channels", state.size(f"synthesis.{last}.weight", 0)),
        "mapping_layers": depth,
        "num_layers": found.claim("num_layers", count),
        "channels": [state.size(f"synthesis.{layer}.weight", 0) for layer in layers[:-1]],
        "conv_kernel": found.claim("conv_kernel", state.size(f"synthesis.{layers[0]}.weight", -1)),
        "use_radial_filters": any(len(state.shape(f"synthesis.{layer}.down_filter")) == 2 for layer in layers),
    }
    for name, default in DEFAULTS.items():
        config[name] = found.settings.get(name, default)
    for name, default in (("lr_multiplier", 0.01), ("w_avg_beta", 0.998)):
        value = found.mapping.get(name)
        config["mapping_lr_multiplier" if name == "lr_multiplier" else name] = default if value is None else value
    notes = [*found.notes, *_transform_note(found)]
    return Draft(FORMAT, "stylegan3", config, dict(found.tensors), licence=LICENCE_NVIDIA, origin=found.origin, notes=notes)


def _layers(found: Found) -> list[str]:
    """Return the layers' names in order, the one to RGB last."""
    numbered = {int(match[2]): match[1] for name in found.tensors if (match := LAYER.fullmatch(name))}
    if len(numbered) < 2 or set(numbered) != set(range(len(numbered))):
        raise DamagedFileError(f"looks like {FORMAT}, but layers are missing: it has {len(numbered)} of L0, L1, ... .")
    return [numbered[index] for index in range(len(numbered))]


def _transform_note(found: Found) -> list[str]:
    """A bare state dictionary does not say the cutoffs; the published defaults are taken, and the user is told."""
    if found.network is not None:
        return []
    return ["The file holds weights only; the published cutoffs and stop bands of StyleGAN3 were assumed."]
