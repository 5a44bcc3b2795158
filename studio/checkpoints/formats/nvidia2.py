"""StyleGAN2 and StyleGAN2-ADA as NVIDIA's PyTorch code pickles them, and their bare state dictionaries.

Reference:
    Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN" and "Training Generative Adversarial
    Networks with Limited Data".
"""

from __future__ import annotations

import re
from typing import Any

from numpy.typing import NDArray

from studio.checkpoints.bounds import check_filter, check_integer
from studio.checkpoints.card import LICENCE_NVIDIA
from studio.checkpoints.contents import Contents
from studio.checkpoints.draft import Draft
from studio.checkpoints.formats.nvidia import find, mapping_depth
from studio.checkpoints.formats.states import State
from studio.checkpoints.records import Derived, Stored, shorten
from studio.errors import DamagedFileError, UnknownModelError

FORMAT = "StyleGAN2 (NVIDIA)"
BLOCK = re.compile(r"synthesis\.b(\d{1,7})\.")
FILTER = [1, 3, 3, 1]


def read(contents: Contents) -> Draft | None:
    """Read a StyleGAN2 generator."""
    found = find(contents)
    if found is None or not any(name.startswith("synthesis.b4.") for name in found.tensors):
        return None
    said = found.settings.get("img_resolution")
    if said is not None:
        check_integer("img_resolution", said)
    config = sizes(found.state, FORMAT)
    for name in ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels"):
        found.claim(name, config[name])
    mapping_depth(found)
    settings = found.settings
    config["architecture"] = settings.get("architecture") or config["architecture"]
    config["resample_filter"] = resample_filter(settings.get("resample_filter"))
    config["conv_clamp"] = settings.get("conv_clamp", found.attribute("synthesis.b4.conv1", "conv_clamp"))
    config["activation"] = settings.get("activation") or "lrelu"
    multiplier = found.mapping.get("lr_multiplier")
    config["lr_multiplier"] = 0.01 if multiplier is None else multiplier
    config["use_noise"] = any(name.endswith(".noise_const") for name in found.tensors)
    if found.mapping.get("activation") not in (None, "lrelu"):
        raise UnknownModelError(f"has a mapping network with activation {shorten(found.mapping['activation'])}; the studio knows lrelu.")
    return Draft(
        FORMAT,
        "stylegan2",
        config,
        dict(found.tensors),
        derivable=resample_buffers(config["resample_filter"]),
        licence=LICENCE_NVIDIA,
        origin=found.origin,
        notes=found.notes,
    )


def sizes(state: State, format_name: str) -> dict[str, Any]:
    """Infer every size of a StyleGAN2 generator from tensors under NVIDIA's names.

    Raises:
        DamagedFileError: A tensor that decides a size is missing.
        TooBigError: A size is beyond the bounds.
    """
    resolutions = sorted({int(match[1]) for name in state.tensors if (match := BLOCK.match(name))})
    check_integer("img_resolution", resolutions[-1])
    if resolutions != [4 << level for level in range(len(resolutions))]:
        raise DamagedFileError(f"looks like {format_name}, but resolutions are missing: it has {resolutions}.")
    top = f"synthesis.b{resolutions[-1]}"
    needed = ["synthesis.b4.conv1.affine.weight", "mapping.fc0.weight", f"{top}.torgb.weight"]
    needed += [f"synthesis.b{resolution}.conv1.weight" for resolution in resolutions]
    missing = [name for name in needed if len(state.shape(name)) < 2]
    if missing:
        raise DamagedFileError(f"looks like {format_name}, but {', '.join(missing[:5])} is missing or has no size.")
    depth = sum(1 for name in state.tensors if re.fullmatch(r"mapping\.fc\d+\.weight", name))
    c_dim = state.size("mapping.embed.weight", 1)
    embed = state.size("mapping.embed.weight", 0)
    w_dim = state.size("synthesis.b4.conv1.affine.weight", 1)
    return {
        "z_dim": state.size("mapping.fc0.weight", 1) - embed,
        "c_dim": c_dim,
        "w_dim": w_dim,
        "img_resolution": resolutions[-1],
        "img_channels": state.size(f"{top}.torgb.weight", 0),
        "channels": [state.size(f"synthesis.b{resolution}.conv1.weight", 0) for resolution in resolutions],
        "num_layers": depth,
        "embed_features": embed or None,
        "layer_features": state.size("mapping.fc0.weight", 0) if depth > 1 else None,
        "architecture": _architecture(state, len(resolutions)),
    }


def _architecture(state: State, levels: int) -> str:
    if any(name.endswith(".skip.weight") for name in state.tensors):
        return "resnet"
    return "skip" if levels == 1 or "synthesis.b4.torgb.weight" in state.tensors else "orig"


def resample_filter(said: Any) -> Any:
    """Return the taps that the file says, the published ones when it says nothing."""
    return list(FILTER) if said is None else list(said) if isinstance(said, (list, tuple)) else said


def resample_buffers(taps: Any) -> dict[str, Stored]:
    """Offer the low-pass filter that follows from ``taps``, for files that do not hold it."""
    check_filter("resample_filter", taps)
    sides = 1 if len(taps) >= 8 else 2
    return {"resample_filter": Derived((len(taps),) * sides, 0, lambda: _filter(taps))}


def _filter(taps: Any) -> NDArray[Any]:
    from studio.models.ops import setup_filter

    values: NDArray[Any] = setup_filter(taps).numpy()
    return values
