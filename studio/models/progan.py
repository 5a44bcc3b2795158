"""The progressively grown GAN: training starts at 4 x 4 pixels, and finer layers fade in one after the other.

``level`` says how far it has grown: 0 is 4 px, 1 is 8 px, 1.5 is half-way to 16 px. Pictures always have the full size; of a network
that has not grown up they are coarse. Weights have an equalised learning rate, features a pixel norm.

Reference:
    Karras et al. 2018, "Progressive Growing of GANs for Improved Quality, Stability, and Variation", sections 2 to 4.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.models.common import Config
from studio.models.gan_layers import PlainSynthesis, check_sizes, checked
from studio.models.stylegan2_discriminator import minibatch_deviation
from studio.models.stylegan2_layers import ConvLayer, FullyConnected, config_of, normalize_second_moment


def pixel_norm(x: Tensor) -> Tensor:
    """Scale the features of every pixel of ``x [n, C, h, w]`` to unit mean square (section 4.2)."""
    x32 = x.float()
    return (x32 * (x32.square().mean(1, keepdim=True) + 1e-8).rsqrt()).to(x.dtype)


def _conv(inputs: int, outputs: int) -> ConvLayer:
    return ConvLayer(inputs, outputs, kernel_size=3, activation="lrelu")


def enlarge(img: Tensor, factor: int) -> Tensor:
    """Repeat every pixel of ``img [n, C, h, w]`` ``factor`` times in both directions."""
    return img if factor == 1 else F.interpolate(img, scale_factor=factor, mode="nearest")


class NormalizedLatent(nn.Module):
    """The mapping: the latent on its sphere is the one style (section 4.2)."""

    def __init__(self, z_dim: int) -> None:
        super().__init__()
        self.z_dim = z_dim

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Map ``z [n, z_dim]`` to ``ws [n, 1, z_dim]``; there are no classes."""
        return normalize_second_moment(checked(z, self.z_dim, "z")).unsqueeze(1)


class GrowingBlock(nn.Module):
    """Two convolutions at one resolution, and its own way to colours."""

    def __init__(self, inputs: int, outputs: int, img_channels: int) -> None:
        super().__init__()
        self.conv0, self.conv1 = _conv(inputs, outputs), _conv(outputs, outputs)
        self.torgb = ConvLayer(outputs, img_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Double the size of ``x [n, in, h, h]``: ``[n, out, 2 h, 2 h]``."""
        return pixel_norm(self.conv1(pixel_norm(self.conv0(enlarge(x, 2)))))


class ProganSynthesis(PlainSynthesis):
    """A latent becomes 4 x 4 pixels, blocks double the size; see :class:`ProganGenerator`."""

    level: Tensor

    def __init__(self, w_dim: int, channels: Sequence[int], img_channels: int) -> None:
        super().__init__(1, w_dim)
        self.register_buffer("level", torch.tensor(float(len(channels) - 1)))
        self.start = FullyConnected(w_dim, channels[0] * 16, activation="lrelu")
        self.conv = _conv(channels[0], channels[0])
        self.torgb = ConvLayer(channels[0], img_channels, kernel_size=1)
        self.blocks = nn.ModuleList(GrowingBlock(a, b, img_channels) for a, b in itertools.pairwise(channels))

    def paint(self, ws: Tensor) -> Tensor:
        """Make pictures from ``ws [n, 1, w_dim]``."""
        level = min(max(float(self.level), 0.0), float(len(self.blocks)))
        x = self.start(ws[:, 0]).view(len(ws), -1, 4, 4).contiguous(memory_format=torch.channels_last)
        x = pixel_norm(self.conv(pixel_norm(x)))
        head, before = self.torgb, None
        for block in self.blocks[: math.ceil(level)]:
            before = (x, head)
            x, head = block(x), cast(GrowingBlock, block).torgb
        img: Tensor = head(x)
        if before is not None and level % 1:
            img = torch.lerp(enlarge(before[1](before[0]), 2), img, level % 1)
        return enlarge(img, 1 << (len(self.blocks) - math.ceil(level)))


class ProganGenerator(nn.Module):
    """A progressively grown generator: the style is the normalised latent, ``num_ws = 1``.

    Args:
        z_dim: Width of the latent.
        c_dim: Must be 0: the published network knows no classes.
        img_resolution: Side of the picture, a power of two from 8.
        img_channels: 1, 3 or 4.
        channels: Feature channels at 4, 8, ... ``img_resolution`` px.

    Raises:
        StudioError: Sizes do not fit together.
    """

    family = "progan"
    has_noise = False
    has_transform = False
    num_ws = 1

    def __init__(self, *, z_dim: int, c_dim: int = 0, img_resolution: int, img_channels: int, channels: Sequence[int]) -> None:
        super().__init__()
        assert c_dim == 0, c_dim
        self.config: Config = config_of(locals())
        check_sizes(img_resolution, channels)
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, z_dim
        self.img_resolution, self.img_channels = img_resolution, img_channels
        self.layer_resolutions: tuple[int, ...] = (4,)
        self.mapping = NormalizedLatent(z_dim)
        self.synthesis = ProganSynthesis(z_dim, channels, img_channels)

    @property
    def w_avg(self) -> Tensor:
        """The average style, ``[w_dim]``: the middle of the sphere."""
        return self.synthesis.start.weight.new_zeros(self.w_dim)

    @property
    def level(self) -> Tensor:
        """How far the network has grown, a number to be filled in place."""
        return self.synthesis.level


class ShrinkingBlock(nn.Module):
    """Colours to features at one resolution, and two convolutions that halve the size."""

    def __init__(self, inputs: int, outputs: int, img_channels: int) -> None:
        super().__init__()
        self.fromrgb = ConvLayer(img_channels, inputs, kernel_size=1, activation="lrelu")
        self.conv0, self.conv1 = _conv(inputs, inputs), _conv(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Halve the size of ``x [n, in, h, h]``: ``[n, out, h / 2, h / 2]``."""
        return F.avg_pool2d(self.conv1(self.conv0(x)), 2)


class ProganDiscriminator(nn.Module):
    """The mirror of the generator, with the deviation of the minibatch as a last feature: ``D(img) -> logits [n, 1]``.

    Args:
        c_dim: Must be 0.
        img_resolution: Side of the picture, a power of two from 8.
        img_channels: 1, 3 or 4.
        channels: Feature channels at 4, 8, ... ``img_resolution`` px.

    Raises:
        StudioError: Sizes do not fit together.
    """

    family = "progan-discriminator"
    level: Tensor

    def __init__(self, *, c_dim: int = 0, img_resolution: int, img_channels: int, channels: Sequence[int]) -> None:
        super().__init__()
        assert c_dim == 0, c_dim
        self.config: Config = config_of(locals())
        check_sizes(img_resolution, channels)
        self.register_buffer("level", torch.tensor(float(len(channels) - 1)))
        self.blocks = nn.ModuleList(ShrinkingBlock(b, a, img_channels) for a, b in itertools.pairwise(channels))
        self.fromrgb = ConvLayer(img_channels, channels[0], kernel_size=1, activation="lrelu")
        self.conv = _conv(channels[0] + 1, channels[0])
        self.fc = FullyConnected(channels[0] * 16, channels[0], activation="lrelu")
        self.out = FullyConnected(channels[0], 1)

    def forward(self, img: Tensor, c: Tensor | None = None) -> Tensor:
        """Judge ``img [n, img_channels, h, w]`` at the size that the network has grown to: one logit each, real is high."""
        level = min(max(float(self.level), 0.0), float(len(self.blocks)))
        used = self.blocks[: math.ceil(level)]
        img = F.avg_pool2d(img, 1 << (len(self.blocks) - len(used)))
        x = self._entrance(len(used))(img)
        for number in range(len(used) - 1, -1, -1):
            x = used[number](x)
            if number == len(used) - 1 and level % 1:
                x = torch.lerp(self._entrance(number)(F.avg_pool2d(img, 2)).to(x.dtype), x, level % 1)
        x = self.conv(minibatch_deviation(x.float(), 4, 1))
        logits: Tensor = self.out(self.fc(x.flatten(1)))
        return logits

    def _entrance(self, number: int) -> ConvLayer:
        """Return the way from colours to features at 4 px (0), 8 px (1) ..."""
        return cast(ShrinkingBlock, self.blocks[number - 1]).fromrgb if number else self.fromrgb
