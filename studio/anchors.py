"""The original authors' generators, from a checkout that the user names, with our weights in them: what we measure against.

Importing this module runs nothing; :func:`load_anchor` runs the code in the checkout, which is the user's explicit wish.
Nothing of that code is part of the studio.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import logging
import sys
import types
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from studio.errors import StudioError

NVIDIA_MODULES = {"stylegan2": ("training.networks_stylegan2", "training.networks"), "stylegan3": ("training.networks_stylegan3",)}
"""Where NVIDIA's checkouts keep their generators."""


def load_anchor(net: Any, checkout: Path | None) -> Any:
    """Return a function like ``net.synthesis`` (or a translator's ``forward``) that runs the original code.

    Translators without a checkout of the CycleGAN code are measured against our plain module, which is the published
    forward pass layer by layer.

    Args:
        net: Our network; its weights are copied.
        checkout: Folder of NVIDIA's stylegan3 or stylegan2-ada-pytorch, or of the CycleGAN repository.

    Returns:
        A callable on tensors, or None when the checkout has no such network.

    Raises:
        StudioError: The checkout's code does not run here, or its network differs from ours.
    """
    if checkout is None:
        return None
    check_checkout(checkout)
    if net.family in NVIDIA_MODULES:
        return _nvidia(net, checkout)
    return _cyclegan(net, checkout) if (checkout / "models" / "networks.py").is_file() else net


def check_checkout(checkout: Path) -> None:
    """Raise when there is no such folder.

    Raises:
        StudioError: Says so.
    """
    if not checkout.is_dir():
        raise StudioError(f"{checkout} is not a folder. Name a checkout of the original code.")


def _nvidia(net: Any, checkout: Path) -> Any:
    names = [name for name in NVIDIA_MODULES[net.family] if (checkout / f"{name.replace('.', '/')}.py").is_file()]
    if not names:
        return None
    with _importable(checkout):
        module = importlib.import_module(names[0])
        network = module.Generator(**_nested(nvidia_arguments(net), module.Generator)).eval().requires_grad_(False)
    _copy_weights(net, network, checkout)
    run = network.synthesis
    is_stylegan2: bool = net.family == "stylegan2"

    def synthesis(ws: Tensor) -> Tensor:
        img: Tensor = run(ws, noise_mode="const") if is_stylegan2 else run(ws)
        return img

    return synthesis


def nvidia_arguments(net: Any) -> dict[str, Any]:
    """Return the arguments of NVIDIA's ``Generator`` that give a network of the same shape as ``net``."""
    config = net.config
    shared = {key: config[key] for key in ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels")}
    if net.family == "stylegan2":
        channels = config["channels"]
        synthesis = {"channel_base": channels[-1] * net.img_resolution, "channel_max": max(channels), "conv_clamp": config["conv_clamp"]}
        return {**shared, **synthesis, "architecture": config["architecture"], "mapping_kwargs": {"num_layers": config["num_layers"]}}
    same = (
        "channel_base channel_max num_layers num_critical first_cutoff first_stopband last_stopband_rel margin_size output_scale "
        "num_fp16_res conv_kernel filter_size lrelu_upsampling use_radial_filters conv_clamp magnitude_ema_beta"
    )
    own = {key: config[key] for key in same.split()}
    return {**shared, **own, "mapping_kwargs": {"num_layers": config["mapping_layers"]}}


def _nested(arguments: dict[str, Any], generator: type) -> dict[str, Any]:
    """Move what concerns the synthesis into ``synthesis_kwargs`` where the class wants it so (stylegan2-ada-pytorch)."""
    names = inspect.signature(generator).parameters
    if "synthesis_kwargs" not in names or names["synthesis_kwargs"].kind == inspect.Parameter.VAR_KEYWORD:
        return arguments
    inner = {key: value for key, value in arguments.items() if key not in names}
    return {**{key: value for key, value in arguments.items() if key in names}, "synthesis_kwargs": inner}


def _cyclegan(net: Any, checkout: Path) -> Any:
    spec = importlib.util.spec_from_file_location("cyclegan_networks", checkout / "models" / "networks.py")
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    with _importable(checkout):
        spec.loader.exec_module(module)
        norm = partial(nn.InstanceNorm2d, affine=False, track_running_stats=False)
        config = net.config
        network = module.ResnetGenerator(3, 3, config["ngf"], norm_layer=norm, use_dropout=False, n_blocks=config["n_blocks"])
    _copy_weights(net, network.eval().requires_grad_(False), checkout)
    return network


def _copy_weights(ours: nn.Module, theirs: nn.Module, checkout: Path) -> None:
    device = next(ours.parameters()).device
    try:
        missing, unexpected = theirs.load_state_dict(ours.state_dict(), strict=False)
    except RuntimeError as error:
        raise StudioError(
            f"The network in {checkout.name} has other shapes than ours, so it cannot be compared.", detail=str(error)
        ) from error
    if missing or unexpected:
        names = ", ".join([*missing, *unexpected][:3])
        raise StudioError(f"The network in {checkout.name} has other weights than ours ({names}), so it cannot be compared.")
    theirs.to(device)


@contextlib.contextmanager
def _importable(checkout: Path) -> Iterator[None]:
    """Let the checkout's modules be found, with a stand-in for ``pkg_resources``, which newer Pythons lack."""
    needs_stand_in = "pkg_resources" not in sys.modules and importlib.util.find_spec("pkg_resources") is None
    if needs_stand_in:
        sys.modules["pkg_resources"] = _stand_in()
    sys.path.insert(0, str(checkout.resolve()))
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    try:
        yield
    except (ImportError, AttributeError, TypeError) as error:
        raise StudioError(f"The code in {checkout.name} does not run here: {error}.", detail=repr(error)) from error
    finally:
        sys.path.remove(str(checkout.resolve()))
        if needs_stand_in:
            del sys.modules["pkg_resources"]


def _stand_in() -> types.ModuleType:
    """Offer the one function of ``pkg_resources`` that the original code uses."""
    module = types.ModuleType("pkg_resources")
    module.parse_version = torch.torch_version.TorchVersion  # type: ignore[attr-defined]
    return module
