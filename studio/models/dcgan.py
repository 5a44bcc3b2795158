"""The convolutional GAN, and its relatives that differ in how they are trained: WGAN, WGAN-GP, SNGAN, conditional GAN.

The relatives have families of their own, so that a model file says what it is; the networks are one and the same code.

Reference:
    Radford et al. 2016, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks".
    Arjovsky et al. 2017; Gulrajani et al. 2017; Miyato et al. 2018 (table 3); Mirza and Osindero 2014.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.models.common import Config
from studio.models.gan_layers import BatchNorm, Conv, ConvUp, LatentAsStyle, Linear, PlainSynthesis, check_sizes, exactly, leaky
from studio.models.stylegan2_layers import config_of


class DcganSynthesis(PlainSynthesis):
    """A latent becomes 4 x 4 pixels of features, then transposed convolutions double the size; batch norm and ReLU throughout."""

    def __init__(self, w_dim: int, channels: Sequence[int], img_channels: int, *, final_conv: bool) -> None:
        super().__init__(1, w_dim)
        self.start = Linear(w_dim, channels[0] * 16, bias=False)
        widths = list(channels) if final_conv else list(channels[:-1])
        self.ups = nn.ModuleList(ConvUp(a, b, bias=False) for a, b in itertools.pairwise(widths))
        self.norms = nn.ModuleList(BatchNorm(width) for width in widths)
        self.out: nn.Module = Conv(widths[-1], img_channels, 3, gain=1.0) if final_conv else ConvUp(widths[-1], img_channels, gain=1.0)

    def paint(self, ws: Tensor) -> Tensor:
        """Make pictures from ``ws [n, 1, w_dim]``."""
        x = self.start(ws[:, 0]).view(len(ws), -1, 4, 4).contiguous(memory_format=torch.channels_last)
        x = F.relu(self.norms[0](x))
        for up, norm in zip(self.ups, self.norms[1:], strict=True):
            x = F.relu(norm(up(x)))
        return torch.tanh(self.out(x))


class DcganGenerator(nn.Module):
    """A convolutional generator: the style is the latent (with the class beside it), ``num_ws = 1``.

    Args:
        z_dim: Width of the latent.
        c_dim: Number of classes, 0 for none.
        img_resolution: Side of the picture, a power of two from 8.
        img_channels: 1, 3 or 4.
        channels: Feature channels at 4, 8, ... ``img_resolution`` px; the last is used with ``final_conv`` only.
        final_conv: Colours come from a 3x3 convolution at full size (SNGAN) instead of the last doubling (DCGAN).

    Raises:
        StudioError: Sizes do not fit together.
    """

    family = "dcgan"
    has_noise = False
    has_transform = False
    num_ws = 1

    def __init__(
        self, *, z_dim: int, c_dim: int, img_resolution: int, img_channels: int, channels: Sequence[int], final_conv: bool = False
    ) -> None:
        super().__init__()
        self.config: Config = config_of(locals())
        check_sizes(img_resolution, channels)
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, z_dim + c_dim
        self.img_resolution, self.img_channels = img_resolution, img_channels
        self.layer_resolutions: tuple[int, ...] = (4,)
        self.mapping = LatentAsStyle(z_dim, c_dim)
        self.synthesis = DcganSynthesis(self.w_dim, channels, img_channels, final_conv=final_conv)

    @property
    def w_avg(self) -> Tensor:
        """The average style, ``[w_dim]``."""
        return self.mapping.average(self.synthesis.start.weight)


class WganGenerator(DcganGenerator):
    """The same network, trained against a critic with clipped weights."""

    family = "wgan"


class WganGpGenerator(DcganGenerator):
    """The same network, trained against a critic with a gradient penalty."""

    family = "wgan-gp"


class SnganGenerator(DcganGenerator):
    """The same network, trained against a discriminator with spectral norm."""

    family = "sngan"


class CganGenerator(DcganGenerator):
    """The same network, told which class to make."""

    family = "cgan"


class DcganDiscriminator(nn.Module):
    """A convolutional discriminator or critic: ``D(img, c) -> logits [n, 1]``.

    Args:
        c_dim: Number of classes, 0 for none; each class is one more colour channel, 1 everywhere or 0 everywhere.
        img_resolution: Side of the picture, a power of two from 8.
        img_channels: 1, 3 or 4.
        channels: Feature channels at 4, 8, ... ``img_resolution`` px; the last is used with ``two_convs`` only.
        batch_norm: After every convolution but the first (DCGAN).
        spectral_norm: On every layer (SNGAN).
        two_convs: A 3x3 convolution at each size before the one that halves it (SNGAN, table 3).

    Raises:
        StudioError: Sizes do not fit together.
    """

    family = "dcgan-discriminator"

    def __init__(
        self,
        *,
        c_dim: int,
        img_resolution: int,
        img_channels: int,
        channels: Sequence[int],
        batch_norm: bool = False,
        spectral_norm: bool = False,
        two_convs: bool = False,
    ) -> None:
        super().__init__()
        self.config: Config = config_of(locals())
        check_sizes(img_resolution, channels)
        wide = list(reversed(channels))
        width = img_channels + c_dim
        layers: list[Conv] = []
        if two_convs:
            layers.append(Conv(width, wide[0], 3, spectral_norm=spectral_norm))
            width = wide[0]
        for wider in wide[1:]:
            layers.append(Conv(width, wider, 4, stride=2, spectral_norm=spectral_norm))
            if two_convs:
                layers.append(Conv(wider, wider, 3, spectral_norm=spectral_norm))
            width = wider
        self.layers = nn.ModuleList(layers)
        sizes = [layer.weight.shape[0] for layer in layers]
        self.norms = nn.ModuleList(BatchNorm(n) if batch_norm and k else nn.Identity() for k, n in enumerate(sizes))
        self.out = Linear(width * 16, 1, spectral_norm=spectral_norm, gain=1.0)

    def forward(self, img: Tensor, c: Tensor | None = None) -> Tensor:
        """Judge ``img [n, img_channels, h, w]`` of classes ``c [n, c_dim]``: one logit each, real is high."""
        x = img
        if c is not None:
            maps = c.to(img.dtype)[:, :, None, None].expand(-1, -1, *img.shape[2:])
            x = torch.cat([img, maps], 1).contiguous(memory_format=torch.channels_last)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = leaky(norm(layer(x)))
        return exactly(self.out, x.flatten(1))
