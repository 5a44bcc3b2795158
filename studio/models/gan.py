"""The first GAN: two fully connected networks that know nothing of pixels being neighbours.

Reference:
    Goodfellow et al. 2014, "Generative Adversarial Nets". Its maxout discriminator with dropout is a leaky one here.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.models.common import Config
from studio.models.gan_layers import LatentAsStyle, Linear, PlainSynthesis, exactly, leaky
from studio.models.stylegan2_layers import config_of


class FullyConnectedSynthesis(PlainSynthesis):
    """Hidden layers with ReLU, one value per pixel and colour, tanh."""

    def __init__(self, w_dim: int, features: Sequence[int], shape: tuple[int, int, int]) -> None:
        super().__init__(1, w_dim)
        self.shape = shape
        widths = [w_dim, *features]
        self.hidden = nn.ModuleList(Linear(a, b) for a, b in itertools.pairwise(widths))
        self.out = Linear(widths[-1], shape[0] * shape[1] * shape[2], gain=1.0)

    def paint(self, ws: Tensor) -> Tensor:
        """Make pictures from ``ws [n, 1, w_dim]``."""
        x = ws[:, 0]
        for layer in self.hidden:
            x = F.relu(layer(x))
        return torch.tanh(self.out(x)).view(-1, *self.shape)


class GanGenerator(nn.Module):
    """A fully connected generator: the style is the latent, ``num_ws = 1``.

    Args:
        z_dim: Width of the latent.
        c_dim: Number of classes, 0 for none; a class stands beside the latent (Mirza and Osindero 2014).
        img_resolution: Side of the picture.
        img_channels: 1, 3 or 4.
        features: Widths of the hidden layers.
    """

    family = "gan"
    has_noise = False
    has_transform = False
    num_ws = 1

    def __init__(self, *, z_dim: int, c_dim: int, img_resolution: int, img_channels: int, features: Sequence[int]) -> None:
        super().__init__()
        self.config: Config = config_of(locals())
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, z_dim + c_dim
        self.img_resolution, self.img_channels = img_resolution, img_channels
        self.layer_resolutions: tuple[int, ...] = (4,)
        self.mapping = LatentAsStyle(z_dim, c_dim)
        self.synthesis = FullyConnectedSynthesis(self.w_dim, features, (img_channels, img_resolution, img_resolution))

    @property
    def w_avg(self) -> Tensor:
        """The average style, ``[w_dim]``."""
        return self.mapping.average(self.synthesis.out.weight)


class GanDiscriminator(nn.Module):
    """A fully connected discriminator: ``D(img, c) -> logits [n, 1]``.

    Args:
        c_dim: Number of classes, 0 for none.
        img_resolution: Side of the picture.
        img_channels: 1, 3 or 4.
        features: Widths of the hidden layers.
    """

    family = "gan-discriminator"

    def __init__(self, *, c_dim: int, img_resolution: int, img_channels: int, features: Sequence[int]) -> None:
        super().__init__()
        self.config: Config = config_of(locals())
        widths = [img_channels * img_resolution**2 + c_dim, *features]
        self.hidden = nn.ModuleList(Linear(a, b) for a, b in itertools.pairwise(widths))
        self.out = Linear(widths[-1], 1, gain=1.0)

    def forward(self, img: Tensor, c: Tensor | None = None) -> Tensor:
        """Judge ``img [n, img_channels, h, w]`` of classes ``c [n, c_dim]``: one logit each, real is high."""
        x = img.flatten(1) if c is None else torch.cat([img.flatten(1), c.to(img.dtype)], 1)
        for layer in self.hidden:
            x = leaky(layer(x))
        return exactly(self.out, x)
