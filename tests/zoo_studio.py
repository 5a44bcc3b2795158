"""A studio with small random networks of several generations of GANs."""

from dataclasses import replace

import torch
from real_studio import real_context
from toys import save_toy, toy_stylegan2

from studio.checkpoints import ModelCard
from studio.models import gan_layers
from studio.models.common import build

SIZES = {"z_dim": 12, "img_resolution": 16, "img_channels": 3, "channels": [8, 8, 8]}
CONFIGS = {
    "gan": {"z_dim": 12, "c_dim": 0, "img_resolution": 16, "img_channels": 3, "features": [16, 16]},
    "dcgan": {**SIZES, "c_dim": 0},
    "progan": {**SIZES, "c_dim": 0},
    "biggan": {**SIZES, "c_dim": 3, "embed_features": 5},
}


def zoo_context(folder):
    """A context with a model of each of these families and a StyleGAN2, all named ``zoo-``."""
    ctx = real_context(folder)
    for family, config in CONFIGS.items():
        torch.manual_seed(len(family))
        network = build(family, config).eval().requires_grad_(False)
        for norm in gan_layers.batch_norms(network):
            norm.running_var.uniform_(0.5, 2)
        network.card = ModelCard(name=f"zoo-{family}", family=family, resolution=16)
        save_toy(ctx.settings.models, f"zoo-{family}", network)
    style = toy_stylegan2(16)
    style.card = replace(style.card, name="zoo-stylegan2")
    save_toy(ctx.settings.models, "zoo-stylegan2", style)
    return ctx
