"""The layers that the StyleGAN2 generator and discriminator share: fully connected, mapping, plain convolution.

Parameters are stored as published, without their equalised-learning-rate gains; the gains are applied on the way.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.errors import StudioError
from studio.models import ops
from studio.models.common import Config

Taps = Sequence[float] | Sequence[Sequence[float]] | None
"""What a configuration says of a low-pass filter; see :func:`studio.models.ops.setup_filter`."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What all layers of one network have in common; the words are those of the networks' arguments."""

    img_channels: int
    architecture: str
    resample_filter: Taps
    conv_clamp: float | None
    activation: str
    w_dim: int = 0
    use_noise: bool = True


def config_of(arguments: Mapping[str, Any]) -> Config:
    """Turn a constructor's ``locals()`` into the configuration that builds the same network again."""
    kept = {name: value for name, value in arguments.items() if name not in ("self", "__class__")}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()}


def check_sizes(img_resolution: int, channels: Sequence[int], settings: Settings) -> None:
    """Check what a configuration says against itself.

    Raises:
        StudioError: The resolution is no power of two, the channels do not fit it, or a word is unknown.
    """
    if img_resolution < 4 or img_resolution & (img_resolution - 1):
        raise StudioError(f"img_resolution={img_resolution} is not possible: StyleGAN2 makes pictures of 4, 8, 16 ... pixels.")
    needed = int(math.log2(img_resolution)) - 1
    if len(channels) != needed or min(channels) < 1:
        raise StudioError(f"channels={list(channels)} does not fit {img_resolution} px: {needed} widths (for 4, 8 ... px) are needed.")
    if settings.architecture not in ("skip", "orig", "resnet"):
        raise StudioError(f"architecture={settings.architecture!r} is not known. Use skip, orig or resnet.")
    if settings.activation not in ops.ACTIVATIONS:
        raise StudioError(f"activation={settings.activation!r} is not known. Use one of: {', '.join(ops.ACTIVATIONS)}.")


class FullyConnected(nn.Module):
    """A linear layer with equalised learning rate, bias and activation; always float32, also under autocast.

    Reference:
        Karras et al. 2018, "Progressive Growing of GANs", section 4.1.
    """

    def __init__(
        self, in_features: int, out_features: int, *, activation: str = "linear", lr_multiplier: float = 1.0, bias_init: float = 0.0
    ) -> None:
        super().__init__()
        self.activation = activation
        self.lr_multiplier = lr_multiplier
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), float(bias_init)))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x [n, in_features]`` to ``[n, out_features]``."""
        with torch.autocast(x.device.type, enabled=False):
            y = F.linear(x.float(), self.weight.float() * self.weight_gain, self.bias.float() * self.lr_multiplier)
            return ops.bias_act(y, act=self.activation)


def normalize_second_moment(x: Tensor) -> Tensor:
    """Scale each row of ``x [n, features]`` to unit mean square."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


class MappingNetwork(nn.Module):
    """``z`` and ``c`` to style vectors, without truncation.

    With ``num_ws`` None it returns one vector ``[n, w_dim]`` and keeps no average (the discriminator's class mapping).
    In training mode ``w_avg`` follows the data, in eval mode it stands still.

    Reference:
        Karras et al. 2019, "A Style-Based Generator Architecture for GANs", section 2; classes as in Karras et al.
        2020, "Training Generative Adversarial Networks with Limited Data", appendix.
    """

    w_avg: Tensor

    def __init__(
        self,
        *,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        num_ws: int | None,
        num_layers: int = 8,
        embed_features: int | None = None,
        layer_features: int | None = None,
        activation: str = "lrelu",
        lr_multiplier: float = 0.01,
        w_avg_beta: float = 0.998,
    ) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.num_ws, self.num_layers, self.w_avg_beta = z_dim, c_dim, num_ws, num_layers, w_avg_beta
        embedded = 0 if c_dim == 0 else (w_dim if embed_features is None else embed_features)
        hidden = w_dim if layer_features is None else layer_features
        widths = [z_dim + embedded, *[hidden] * (num_layers - 1), w_dim]
        if c_dim > 0:
            self.embed = FullyConnected(c_dim, embedded)
        for index, (inputs, outputs) in enumerate(itertools.pairwise(widths[: num_layers + 1])):
            self.add_module(f"fc{index}", FullyConnected(inputs, outputs, activation=activation, lr_multiplier=lr_multiplier))
        if num_ws is not None:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor | None, c: Tensor | None = None) -> Tensor:
        """Map ``z [n, z_dim]`` and ``c [n, c_dim]`` (None without classes) to ``ws [n, num_ws, w_dim]``.

        Raises:
            StudioError: ``z`` or ``c`` is missing or has the wrong width.
        """
        parts = []
        if self.z_dim > 0:
            parts.append(normalize_second_moment(_checked(z, self.z_dim, "z")))
        if self.c_dim > 0:
            parts.append(normalize_second_moment(self.embed(_checked(c, self.c_dim, "c"))))
        x = torch.cat(parts, dim=1)
        for index in range(self.num_layers):
            x = self.get_submodule(f"fc{index}")(x)
        if self.num_ws is None:
            return x
        if self.training:
            self.w_avg.copy_(x.detach().mean(dim=0).lerp(self.w_avg, self.w_avg_beta))
        return x.unsqueeze(1).repeat(1, self.num_ws, 1)


def _checked(value: Tensor | None, width: int, name: str) -> Tensor:
    if value is None:
        raise StudioError(f"{name} is missing: this model needs {name} of shape [n, {width}].")
    if value.ndim != 2 or value.shape[1] != width:
        raise StudioError(f"{name} has shape {list(value.shape)}: this model needs [n, {width}].")
    return value.float()


class ConvLayer(nn.Module):
    """A plain convolution with equalised learning rate, optional resampling by 2, bias, activation and clamp."""

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int,
        bias: bool = True,
        activation: str = "linear",
        up: int = 1,
        down: int = 1,
        resample_filter: Taps = (1, 3, 3, 1),
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.up, self.down, self.activation, self.conv_clamp = up, down, activation, conv_clamp
        self.padding = kernel_size // 2
        self.weight_gain = 1 / math.sqrt(in_channels * kernel_size**2)
        self.register_buffer("resample_filter", ops.setup_filter(resample_filter))
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """Map ``x [n, in, h, w]`` to ``[n, out, h * up / down, w * up / down]``, with ``gain`` on the result and the clamp."""
        act_gain = ops.ACTIVATIONS[self.activation][1] * gain
        early, late = (act_gain, 1.0) if self.activation in ops.HOMOGENEOUS else (1.0, act_gain)
        weight = (self.weight * (self.weight_gain * early)).to(x.dtype)
        bias = None if self.bias is None else (self.bias * early).to(x.dtype)
        if self.up == 2:
            if weight.shape[-1] == 1:
                x = ops.upsample2d(F.conv2d(x, weight), self.resample_filter)
            else:
                x = ops.conv2d_up(x, weight, taps=self.resample_filter, padding=self.padding)
            x = x if bias is None else x + bias[:, None, None].to(x.dtype)
        elif self.down == 2:
            x = ops.conv2d_down(x, weight, bias, taps=self.resample_filter, padding=self.padding)
        elif self.padding == 0:
            # As a product over the channels: oneDNN's gradient of a wide 1x1 convolution from 3 channels divides by zero in bfloat16.
            x = F.linear(x.permute(0, 2, 3, 1), weight[:, :, 0, 0], bias).permute(0, 3, 1, 2)
        else:
            x = F.conv2d(x, weight, bias, padding=self.padding)
        clamp = None if self.conv_clamp is None else self.conv_clamp * gain
        return ops.bias_act(x, act=self.activation, gain=late, clamp=clamp)
