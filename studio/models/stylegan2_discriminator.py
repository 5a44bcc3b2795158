"""The StyleGAN2 discriminator, with projection on classes. Names are the published ones.

It is only needed to train, or to keep with a generator for later training.

Reference:
    Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", section 4.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from studio.errors import StudioError
from studio.models import ops
from studio.models.common import Config
from studio.models.stylegan2 import HALF
from studio.models.stylegan2_layers import ConvLayer, FullyConnected, MappingNetwork, Settings, Taps, check_sizes, config_of


class DiscriminatorBlock(nn.Module):
    """Two convolutions that halve the size; ``in_channels`` 0 starts from the picture."""

    resample_filter: Tensor

    def __init__(self, in_channels: int, channels: int, out_channels: int, settings: Settings) -> None:
        super().__init__()
        self.architecture = settings.architecture
        taps, act, clamp = settings.resample_filter, settings.activation, settings.conv_clamp
        self.register_buffer("resample_filter", ops.setup_filter(taps))
        self.fromrgb: ConvLayer | None = None
        if in_channels == 0 or settings.architecture == "skip":
            self.fromrgb = ConvLayer(settings.img_channels, channels, kernel_size=1, activation=act, conv_clamp=clamp)
        self.conv0 = ConvLayer(channels, channels, kernel_size=3, activation=act, conv_clamp=clamp)
        self.conv1 = ConvLayer(channels, out_channels, kernel_size=3, activation=act, down=2, resample_filter=taps, conv_clamp=clamp)
        self.skip: ConvLayer | None = None
        if settings.architecture == "resnet":
            self.skip = ConvLayer(channels, out_channels, kernel_size=1, bias=False, down=2, resample_filter=taps)

    def forward(self, x: Tensor | None, img: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Take features (and, with ``skip``, the picture) to half the size."""
        if self.fromrgb is not None:
            assert img is not None
            color = self.fromrgb(img)
            x = color if x is None else x + color
            img = ops.downsample2d(img, self.resample_filter) if self.architecture == "skip" else None
        if self.skip is None:
            return self.conv1(self.conv0(x)), img
        shortcut = self.skip(x, gain=HALF)
        return shortcut + self.conv1(self.conv0(x), gain=HALF), img


def minibatch_deviation(x: Tensor, group_size: int | None, num_channels: int) -> Tensor:
    """Append ``num_channels`` maps of the standard deviation over groups of the batch to ``x [n, c, h, w]``.

    ``n`` must be a multiple of the group size (or smaller than it); None makes the whole batch one group.

    Reference:
        Karras et al. 2018, "Progressive Growing of GANs", section 3.
    """
    n, c, h, w = x.shape
    group = n if group_size is None else min(group_size, n)
    groups = x.reshape(group, -1, num_channels, c // num_channels, h, w)
    spread = (groups - groups.mean(dim=0)).square().mean(dim=0)
    level = (spread + 1e-8).sqrt().mean(dim=(2, 3, 4))
    maps = level[:, :, None, None].repeat(group, 1, h, w)
    return torch.cat([x, maps], dim=1)


class DiscriminatorEpilogue(nn.Module):
    """Features at 4 px to one number per picture; always float32."""

    def __init__(self, channels: int, settings: Settings, *, cmap_dim: int, mbstd_group_size: int | None, mbstd_num_channels: int) -> None:
        super().__init__()
        self.cmap_dim, self.mbstd_group_size, self.mbstd_num_channels = cmap_dim, mbstd_group_size, mbstd_num_channels
        act = settings.activation
        self.fromrgb: ConvLayer | None = None
        if settings.architecture == "skip":
            self.fromrgb = ConvLayer(settings.img_channels, channels, kernel_size=1, activation=act)
        extended = channels + mbstd_num_channels
        self.conv = ConvLayer(extended, channels, kernel_size=3, activation=act, conv_clamp=settings.conv_clamp)
        self.fc = FullyConnected(channels * 16, channels, activation=act)
        self.out = FullyConnected(channels, max(cmap_dim, 1))

    def forward(self, x: Tensor, img: Tensor | None, cmap: Tensor | None) -> Tensor:
        """Judge ``x [n, channels, 4, 4]``: one logit each, ``[n, 1]``."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            if self.fromrgb is not None:
                assert img is not None
                x = x + self.fromrgb(img.float())
            if self.mbstd_num_channels > 0:
                x = minibatch_deviation(x, self.mbstd_group_size, self.mbstd_num_channels)
            x = self.out(self.fc(self.conv(x).flatten(1)))
            if cmap is not None:
                x = (x * cmap).sum(dim=1, keepdim=True) / math.sqrt(self.cmap_dim)
            return x


class StyleGAN2Discriminator(nn.Module):
    """A StyleGAN2 discriminator: ``D(img, c) -> logits [n, 1]``.

    Args:
        c_dim: Number of classes, 0 for none.
        img_resolution: Side of the picture, a power of two from 4.
        img_channels: 1, 3 or 4.
        channels: Feature channels at 4, 8, ... ``img_resolution`` px.
        architecture: ``skip`` | ``orig`` | ``resnet``.
        resample_filter: Taps of the low-pass filter.
        conv_clamp: Bound on activations, or None.
        activation: Name in :data:`studio.models.ops.ACTIVATIONS`.
        cmap_dim: Width of the class projection; None is the channels at 4 px.
        num_layers: Depth of the class mapping.
        embed_features: Width of the embedded class; None is ``cmap_dim``.
        layer_features: Width of the class mapping's hidden layers; None is ``cmap_dim``.
        lr_multiplier: Learning rate factor of the class mapping.
        mbstd_group_size: Group of the minibatch deviation; None is the whole batch.
        mbstd_num_channels: Maps of minibatch deviation, 0 for none.

    Raises:
        StudioError: Sizes do not fit together.
    """

    family = "stylegan2-discriminator"

    def __init__(
        self,
        *,
        c_dim: int,
        img_resolution: int,
        img_channels: int,
        channels: Sequence[int],
        architecture: str = "resnet",
        resample_filter: Taps = (1, 3, 3, 1),
        conv_clamp: float | None = None,
        activation: str = "lrelu",
        cmap_dim: int | None = None,
        num_layers: int = 8,
        embed_features: int | None = None,
        layer_features: int | None = None,
        lr_multiplier: float = 0.01,
        mbstd_group_size: int | None = 4,
        mbstd_num_channels: int = 1,
    ) -> None:
        super().__init__()
        self.config: Config = config_of(locals())
        settings = Settings(img_channels, architecture, resample_filter, conv_clamp, activation)
        check_sizes(img_resolution, channels, settings)
        self.c_dim, self.img_resolution, self.img_channels = c_dim, img_resolution, img_channels
        self.block_resolutions = tuple(4 << step for step in range(len(channels) - 1, 0, -1))
        cmap_dim = 0 if c_dim == 0 else (channels[0] if cmap_dim is None else cmap_dim)
        for step in range(len(channels) - 1, 0, -1):
            entry = 0 if step == len(channels) - 1 else channels[step]
            self.add_module(f"b{4 << step}", DiscriminatorBlock(entry, channels[step], channels[step - 1], settings))
        if c_dim > 0:
            self.mapping = MappingNetwork(
                z_dim=0,
                c_dim=c_dim,
                w_dim=cmap_dim,
                num_ws=None,
                num_layers=num_layers,
                embed_features=embed_features,
                layer_features=layer_features,
                lr_multiplier=lr_multiplier,
            )
        self.b4 = DiscriminatorEpilogue(
            channels[0], settings, cmap_dim=cmap_dim, mbstd_group_size=mbstd_group_size, mbstd_num_channels=mbstd_num_channels
        )

    def forward(self, img: Tensor, c: Tensor | None = None) -> Tensor:
        """Judge ``img [n, img_channels, h, w]`` of classes ``c [n, c_dim]``: one logit each, ``[n, 1]``, real is high.

        Raises:
            StudioError: The picture has another size than the network, or ``c`` is missing.
        """
        if img.shape[1:] != (self.img_channels, self.img_resolution, self.img_resolution):
            size = f"[n, {self.img_channels}, {self.img_resolution}, {self.img_resolution}]"
            raise StudioError(f"The picture has shape {list(img.shape)}: this discriminator needs {size}.")
        x: Tensor | None = None
        rest: Tensor | None = img
        for resolution in self.block_resolutions:
            x, rest = self.get_submodule(f"b{resolution}")(x, rest)
        assert x is not None
        cmap = self.mapping(None, c) if self.c_dim > 0 else None
        logits: Tensor = self.b4(x, rest, cmap)
        return logits
