"""BigGAN at studio size: residual blocks whose batch norms are coloured by a shared class embedding and a part of the latent each.

One style per block, so that styles mix, truncate and move as in StyleGAN: ``ws[:, i]`` is the i-th part of the latent with the
embedding beside it. The non-local block, which the paper uses at 64 px, is left out.

Reference:
    Brock et al. 2019, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", section 3 and appendix B (skip-z,
    shared embedding, spectral norm); Miyato and Koyama 2018 (projection discriminator).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.errors import StudioError
from studio.models.common import Config
from studio.models.gan_layers import BatchNorm, ConditionalBatchNorm, Conv, Linear, PlainSynthesis, check_sizes, checked, exactly
from studio.models.stylegan2_layers import config_of


class BigGanMapping(nn.Module):
    """Cut the latent into one part per layer and put the embedded class beside each (skip-z and shared embedding)."""

    def __init__(self, z_dim: int, c_dim: int, embed_features: int, num_ws: int) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.num_ws = z_dim, c_dim, num_ws
        if c_dim:
            self.embed = Linear(c_dim, embed_features, bias=False, gain=math.sqrt(c_dim))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Map ``z [n, z_dim]`` and ``c [n, c_dim]`` to ``ws [n, num_ws, z_dim / num_ws + embed_features]``."""
        parts = checked(z, self.z_dim, "z").view(len(z), self.num_ws, -1)
        if not self.c_dim:
            return parts
        embedded = self.embed(checked(c, self.c_dim, "c")).float()
        return torch.cat([parts, embedded[:, None].expand(-1, self.num_ws, -1)], 2)


class UpBlock(nn.Module):
    """A residual block that doubles the size (Brock et al. 2019, figure 15)."""

    def __init__(self, inputs: int, outputs: int, w_dim: int, *, spectral_norm: bool) -> None:
        super().__init__()
        self.norm0 = ConditionalBatchNorm(inputs, w_dim, spectral_norm=spectral_norm)
        self.conv0 = Conv(inputs, outputs, 3, spectral_norm=spectral_norm)
        self.norm1 = ConditionalBatchNorm(outputs, w_dim, spectral_norm=spectral_norm)
        self.conv1 = Conv(outputs, outputs, 3, spectral_norm=spectral_norm)
        self.skip = Conv(inputs, outputs, 1, spectral_norm=spectral_norm)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Map ``x [n, in, h, h]`` with ``w [n, w_dim]`` to ``[n, out, 2 h, 2 h]``."""
        shortcut = F.interpolate(self.skip(x), scale_factor=2, mode="nearest")
        x = self.conv0(F.interpolate(F.relu(self.norm0(x, w)), scale_factor=2, mode="nearest"))
        result: Tensor = self.conv1(F.relu(self.norm1(x, w))) + shortcut
        return result


class BigGanSynthesis(PlainSynthesis):
    """Styles to pictures: the first one makes 4 x 4 pixels of features, each other one colours a block."""

    def __init__(self, w_dim: int, channels: Sequence[int], img_channels: int, *, spectral_norm: bool) -> None:
        super().__init__(len(channels), w_dim)
        self.start = Linear(w_dim, channels[0] * 16, spectral_norm=spectral_norm)
        pairs = itertools.pairwise(channels)
        self.blocks = nn.ModuleList(UpBlock(a, b, w_dim, spectral_norm=spectral_norm) for a, b in pairs)
        self.norm = BatchNorm(channels[-1])
        self.torgb = Conv(channels[-1], img_channels, 3, spectral_norm=spectral_norm)

    def paint(self, ws: Tensor) -> Tensor:
        """Make pictures from ``ws [n, num_ws, w_dim]``."""
        first, *rest = ws.unbind(1)
        x = self.start(first).view(len(ws), -1, 4, 4).contiguous(memory_format=torch.channels_last)
        for block, w in zip(self.blocks, rest, strict=True):
            x = block(x, w)
        return torch.tanh(self.torgb(F.relu(self.norm(x))))


class BigGanGenerator(nn.Module):
    """A class-conditional residual generator with one style per block.

    Args:
        z_dim: Width of the latent, a multiple of the number of ``channels``.
        c_dim: Number of classes, 0 for none.
        img_resolution: Side of the picture, a power of two from 8.
        img_channels: 1, 3 or 4.
        channels: Feature channels at 4, 8, ... ``img_resolution`` px.
        embed_features: Width of the shared class embedding.
        spectral_norm: On every layer but the embedding; exported networks have plain weights instead.

    Raises:
        StudioError: Sizes do not fit together.
    """

    family = "biggan"
    has_noise = False
    has_transform = False

    def __init__(
        self,
        *,
        z_dim: int,
        c_dim: int,
        img_resolution: int,
        img_channels: int,
        channels: Sequence[int],
        embed_features: int = 64,
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        self.config: Config = config_of(locals())
        check_sizes(img_resolution, channels)
        self.num_ws = len(channels)
        if z_dim % self.num_ws:
            raise StudioError(f"z_dim={z_dim} cannot be shared evenly by {self.num_ws} layers. Use a multiple of {self.num_ws}.")
        self.part = z_dim // self.num_ws
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, self.part + (embed_features if c_dim else 0)
        self.img_resolution, self.img_channels = img_resolution, img_channels
        self.layer_resolutions: tuple[int, ...] = tuple(4 << step for step in range(self.num_ws))
        self.mapping = BigGanMapping(z_dim, c_dim, embed_features, self.num_ws)
        self.synthesis = BigGanSynthesis(self.w_dim, channels, img_channels, spectral_norm=spectral_norm)

    @property
    def w_avg(self) -> Tensor:
        """The average style, ``[w_dim]``: no latent, the mean of the embedded classes."""
        nothing = self.synthesis.start.weight.detach().new_zeros(self.part)
        return torch.cat([nothing, self.mapping.embed.weight.detach().mean(1)]) if self.c_dim else nothing


class DownBlock(nn.Module):
    """A residual block of the discriminator; the first one sees colours, the last one keeps the size."""

    def __init__(self, inputs: int, outputs: int, *, first: bool, down: bool) -> None:
        super().__init__()
        self.first, self.down = first, down
        self.conv0 = Conv(inputs, outputs, 3, spectral_norm=True)
        self.conv1 = Conv(outputs, outputs, 3, spectral_norm=True)
        self.skip = Conv(inputs, outputs, 1, spectral_norm=True) if inputs != outputs or down else None

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x [n, in, h, h]`` to ``[n, out, h, h]``, or half the size."""
        shortcut = x if self.skip is None else self._shrink(self.skip(x))
        x = self.conv0(x if self.first else F.relu(x))
        result: Tensor = self._shrink(self.conv1(F.relu(x))) + shortcut
        return result

    def _shrink(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2) if self.down else x


class BigGanDiscriminator(nn.Module):
    """A residual discriminator with spectral norm and a projection on classes: ``D(img, c) -> logits [n, 1]``.

    Args:
        c_dim: Number of classes, 0 for none.
        img_resolution: Side of the picture, a power of two from 8.
        img_channels: 1, 3 or 4.
        channels: Feature channels at 4, 8, ... ``img_resolution`` px.

    Raises:
        StudioError: Sizes do not fit together.
    """

    family = "biggan-discriminator"

    def __init__(self, *, c_dim: int, img_resolution: int, img_channels: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.config: Config = config_of(locals())
        check_sizes(img_resolution, channels)
        widths = [img_channels, *reversed(channels[:-1]), channels[0]]
        last = len(widths) - 2
        pairs = itertools.pairwise(widths)
        self.blocks = nn.ModuleList(DownBlock(a, b, first=i == 0, down=i < last) for i, (a, b) in enumerate(pairs))
        self.out = Linear(channels[0], 1, spectral_norm=True, gain=1.0)
        if c_dim:
            self.embed = Linear(c_dim, channels[0], bias=False, spectral_norm=True)

    def forward(self, img: Tensor, c: Tensor | None = None) -> Tensor:
        """Judge ``img [n, img_channels, h, w]`` of classes ``c [n, c_dim]``: one logit each, real is high."""
        x = img
        for block in self.blocks:
            x = block(x)
        x = F.relu(x).float().sum((2, 3))
        logits = exactly(self.out, x)
        return logits if c is None else logits + (exactly(self.embed, c) * x).sum(1, keepdim=True)
