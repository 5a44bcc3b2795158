"""Small networks with fixed random weights, for tests that need a model but not a particular one."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from studio.checkpoints import ModelCard, save
from studio.models.common import build


def _settled(network: nn.Module, seed: int) -> nn.Module:
    """Give every parameter a value from ``seed``, and the average style one that is not zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith(("weight", "const", "w_avg", "noise_const", "freqs", "phases")) and tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * (tensor.std().nan_to_num() + 0.05 * (tensor.numel() > 1)))
            elif name.endswith("noise_strength"):
                tensor.fill_(0.1)
    network.eval().requires_grad_(False)
    network.card = ModelCard(name="toy", family=str(network.family), resolution=int(network.config.get("img_resolution", 0)))
    return network


def toy_stylegan2(resolution: int = 32, *, c_dim: int = 0, img_channels: int = 3, width: int = 8, seed: int = 0) -> nn.Module:
    """A StyleGAN2 generator: z, w of 16, ``width`` channels at every resolution."""
    config = {
        "z_dim": 16,
        "c_dim": c_dim,
        "w_dim": 16,
        "img_resolution": resolution,
        "img_channels": img_channels,
        "channels": [width] * (resolution.bit_length() - 2),
        "num_layers": 2,
    }
    return _settled(build("stylegan2", config), seed)


def toy_stylegan3(resolution: int = 32, *, c_dim: int = 0, width: int = 8, seed: int = 0) -> nn.Module:
    """A StyleGAN3-t generator of six layers."""
    config = {
        "z_dim": 16,
        "c_dim": c_dim,
        "w_dim": 16,
        "img_resolution": resolution,
        "img_channels": 3,
        "channel_base": width * resolution,
        "channel_max": width,
        "num_layers": 6,
    }
    network = build("stylegan3", config)
    freqs = network.get_buffer("synthesis.input.freqs").clone()
    _settled(network, seed)
    network.get_buffer("synthesis.input.freqs").copy_(freqs)
    return network


def toy_translator(family: str = "resnet", *, seed: int = 0) -> nn.Module:
    """A CycleGAN translator of two blocks, or a U-Net of depth 5 (``family="unet"``)."""
    config = {"ngf": 4, "n_blocks": 2} if family == "resnet" else {"ngf": 4, "n_downs": 5}
    return _settled(build(family, config), seed)


def save_toy(folder: Path, name: str = "toy", network: nn.Module | None = None) -> Path:
    """Write a network (by default ``toy_stylegan2()``) as ``folder/name.safetensors`` with its card beside it."""
    network = toy_stylegan2() if network is None else network
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    save(network, path, network.card)
    return path
