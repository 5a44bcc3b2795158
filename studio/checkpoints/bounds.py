"""What a network's configuration may be, checked before anything is built from it.

The file decides these numbers, so every one has a range. This is *not* where sizes are inferred (``formats``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from studio.checkpoints.records import shorten
from studio.errors import DamagedFileError, TooBigError
from studio.models.stylegan3_plan import plan_layers

MAX_RESOLUTION = 4096
MAX_CHANNELS = 2048
MAX_LAYERS = 64
MAX_LATENT = 4096
MAX_CLASSES = 100_000
MAX_TAPS = 512
MAX_LAYER_SIZE = 3 * MAX_RESOLUTION

INTEGERS: dict[str, tuple[int, int]] = {
    "z_dim": (1, MAX_LATENT),
    "c_dim": (0, MAX_CLASSES),
    "w_dim": (1, MAX_LATENT),
    "img_resolution": (4, MAX_RESOLUTION),
    "img_channels": (1, 64),
    "num_layers": (1, MAX_LAYERS),
    "mapping_layers": (0, MAX_LAYERS),
    "embed_features": (1, MAX_LATENT),
    "layer_features": (1, MAX_LATENT),
    "cmap_dim": (1, MAX_LATENT),
    "mbstd_group_size": (1, 4096),
    "mbstd_num_channels": (0, 64),
    "channel_base": (1, 1 << 20),
    "channel_max": (1, MAX_CHANNELS),
    "num_critical": (0, MAX_LAYERS),
    "num_fp16_res": (0, 16),
    "margin_size": (0, 256),
    "conv_kernel": (1, 9),
    "filter_size": (1, 64),
    "lrelu_upsampling": (1, 8),
    "img_channels_in": (1, 64),
    "img_channels_out": (1, 64),
    "ngf": (1, 512),
    "n_blocks": (0, MAX_LAYERS),
    "n_convs": (0, MAX_LAYERS),
    "scale": (1, 8),
    "n_downs": (0, 12),
    "n_styles": (1, 4096),
    "width": (1, 512),
    "growth": (1, 512),
    "ups": (0, 3),
    "unshuffle": (1, 4),
}
NUMBERS: dict[str, tuple[float, float]] = {
    "lr_multiplier": (1e-6, 1e3),
    "mapping_lr_multiplier": (1e-6, 1e3),
    "w_avg_beta": (0, 1),
    "magnitude_ema_beta": (0, 1),
    "first_cutoff": (0.01, MAX_RESOLUTION),
    "first_stopband": (0.01, 2 * MAX_RESOLUTION),
    "last_stopband_rel": (0.1, 16),
    "output_scale": (1e-6, 1e6),
    "conv_clamp": (1e-3, 1e9),
}
WORDS: dict[str, tuple[str, ...]] = {
    "architecture": ("skip", "orig", "resnet"),
    "activation": ("linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish"),
    "norm": ("instance", "instance-affine", "batch", "none"),
    "downsample": ("strided", "antialias"),
    "upsample": ("transposed", "antialias", "resize"),
    "resize_mode": ("nearest", "bilinear"),
    "resize_padding": ("reflect", "zeros"),
    "block_padding": ("reflect", "replicate", "zeros"),
}
SWITCHES = ("use_radial_filters", "dropout", "conv_bias", "use_noise", "final_conv", "batch_norm", "spectral_norm", "two_convs")
OPTIONAL = (
    *("embed_features", "layer_features", "conv_clamp", "w_avg_beta", "channels", "conv_bias", "resample_filter"),
    *("cmap_dim", "mbstd_group_size"),
)


def check_config(family: str, config: dict[str, Any]) -> None:
    """Check every argument of a network before it is built.

    Raises:
        TooBigError: A size is beyond what the studio allows.
        DamagedFileError: A value makes no sense.
    """
    for name, value in config.items():
        if value is None and name in OPTIONAL:
            continue
        _checker(name)(name, value)
    resolution = config.get("img_resolution", 4)
    if resolution & (resolution - 1):
        raise DamagedFileError(f"says img_resolution={resolution}, which is not a power of two.")
    if family == "stylegan3":
        _check_stylegan3(config)
    width = config.get("ngf", 1) << (config.get("n_downs", 0) if family == "resnet" else 3)
    if width > 2 * MAX_CHANNELS:
        raise TooBigError(f"says layers of {width:,} channels, more than the studio allows (up to {2 * MAX_CHANNELS:,}).")


def check_integer(name: str, value: object) -> None:
    """Check one of :data:`INTEGERS`."""
    low, high = INTEGERS[name]
    if type(value) is not int or value < low:
        raise DamagedFileError(f"says {name}={shorten(value)}, which makes no sense (it is {low} to {high:,}).")
    if value > high:
        raise TooBigError(f"says {name}={shorten(value)}, more than the studio allows (up to {high:,}).")


def _checker(name: str) -> Callable[[str, object], None]:
    if name in INTEGERS:
        return check_integer
    if name in NUMBERS:
        return _check_number
    if name in WORDS:
        return _check_word
    if name in SWITCHES:
        return _check_switch
    return {"channels": _check_channels, "features": _check_channels, "expanded": _check_channels, "resample_filter": check_filter}.get(
        name, _unknown
    )


def _check_number(name: str, value: object) -> None:
    low, high = NUMBERS[name]
    if type(value) not in (int, float) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise DamagedFileError(f"says {name}={shorten(value)}, which makes no sense (it is {low:g} to {high:g}).")


def _check_word(name: str, value: object) -> None:
    if value not in WORDS[name]:
        raise DamagedFileError(f"says {name}={shorten(value)}, which the studio does not know (it knows {', '.join(WORDS[name])}).")


def _check_switch(name: str, value: object) -> None:
    if type(value) is not bool:
        raise DamagedFileError(f"says {name}={shorten(value)}, which is neither true nor false.")


def _check_channels(name: str, value: object) -> None:
    if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= MAX_LAYERS:
        raise DamagedFileError("says channel widths that make no sense.")
    for width in value:
        check_integer("channel_max", width)


def check_filter(name: str, value: object) -> None:
    """Check the taps of a low-pass filter."""
    if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= 16:
        raise DamagedFileError("says a resample_filter that makes no sense.")
    if not all(type(tap) in (int, float) and abs(tap) < 1e6 for tap in value) or abs(math.fsum(value)) < 1e-6:
        raise DamagedFileError("says a resample_filter that makes no sense.")


def _unknown(name: str, _: object) -> None:
    raise DamagedFileError(f"says {shorten(name)}, a setting that the studio does not know.")


PLAN_ARGUMENTS = (
    *("img_resolution", "img_channels", "num_layers", "num_critical", "margin_size", "channels"),
    *("conv_kernel", "filter_size", "lrelu_upsampling", "use_radial_filters"),
)


def _check_stylegan3(config: dict[str, Any]) -> None:
    """Check what follows from the numbers together: filter lengths and layer sizes."""
    absent = [name for name in (*PLAN_ARGUMENTS, "first_cutoff", "first_stopband", "last_stopband_rel") if name not in config]
    if absent:
        raise DamagedFileError(f"does not say {', '.join(absent[:5])}.")
    if config["num_critical"] >= config["num_layers"]:
        raise DamagedFileError(f"says num_critical={config['num_critical']} of num_layers={config['num_layers']}.")
    if config["channels"] is not None and len(config["channels"]) != config["num_layers"]:
        raise DamagedFileError(f"says {len(config['channels'])} widths for num_layers={config['num_layers']}.")
    cutoffs = (config["first_cutoff"], config["first_stopband"], config["last_stopband_rel"])
    try:
        widths = {"channel_base": config.get("channel_base", 1), "channel_max": config.get("channel_max", 1)}
        plans = plan_layers(**{name: config[name] for name in PLAN_ARGUMENTS}, **widths, cutoffs=cutoffs)
    except (ArithmeticError, AssertionError, LookupError, ValueError) as error:
        raise DamagedFileError("says cutoffs and stop bands that make no network.", detail=str(error)) from error
    for plan in plans:
        if max(plan.up_taps, plan.down_taps) > MAX_TAPS or plan.out_size > MAX_LAYER_SIZE or plan.out_channels > MAX_CHANNELS:
            raise TooBigError(f"says a layer {plan.name}, larger than the studio allows.")
        if plan.up < 1 or plan.down < 1 or min(plan.before.half_width, plan.after.half_width) <= 0:
            raise DamagedFileError("says cutoffs and stop bands that make no network.")
