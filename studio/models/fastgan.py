"""FastGAN: a light generator whose coarse features switch the channels of fine ones, and a discriminator that has to remember pictures.

Made for a few hundred pictures. There is no noise input and no mapping network: the latent is the style, one for the whole picture. Classes
are not used. The discriminator needs no pretrained network: what it rebuilds is compared in pixels (``self_supervision.py``).

Reference:
    Liu et al. 2021, "Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image Synthesis", sections 3.1 and 3.2.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.errors import StudioError
from studio.models.common import Config
from studio.models.gan_layers import BatchNorm, Conv, LatentAsStyle, Linear, PlainSynthesis, check_sizes, leaky
from studio.models.stylegan2_layers import config_of

SKIP = 16
"""How many times coarser the features are that switch the channels of others."""
FIRST_SWITCHED = 32
"""The coarsest resolution whose channels are switched."""
DECODED = 8
"""Side of the feature maps that the decoders start from."""
LARGEST_REBUILT = 128
"""Side of what the decoders rebuild, at most."""


class UpBlock(nn.Module):
    """Twice the size: nearest pixels, a convolution, a gate; a ``deep`` block has a second convolution."""

    def __init__(self, in_channels: int, out_channels: int, *, deep: bool) -> None:
        super().__init__()
        widths = [in_channels, out_channels, *([out_channels] if deep else [])]
        self.convs = nn.ModuleList(Conv(a, 2 * b, 3, bias=False) for a, b in itertools.pairwise(widths))
        self.norms = nn.ModuleList(BatchNorm(2 * width) for width in widths[1:])

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x [n, in, h, w]`` to ``[n, out, 2 h, 2 w]``."""
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.glu(norm(conv(x)), 1)
        return x


class SkipLayerExcitation(nn.Module):
    """Coarse features switch the channels of fine ones, across many layers: ``y = F(x_low) * x_high`` (section 3.1, eq. 2)."""

    def __init__(self, low_channels: int, high_channels: int) -> None:
        super().__init__()
        self.squeeze = Linear(16 * low_channels, high_channels)
        self.excite = Linear(high_channels, high_channels, gain=1.0)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Scale the channels of ``high [n, c, h, w]`` by 0 to 1."""
        gate = torch.sigmoid(self.excite(leaky(self.squeeze(F.adaptive_avg_pool2d(low, 4).flatten(1)))))
        return high * gate[:, :, None, None].to(high.dtype)


class Synthesis(PlainSynthesis):
    """The layers from the style to the picture."""

    def __init__(self, *, w_dim: int, img_channels: int, channels: Sequence[int]) -> None:
        super().__init__(1, w_dim)
        self.resolutions = tuple(4 << step for step in range(len(channels)))
        self.start = Linear(w_dim, 2 * channels[0] * 16, bias=False, gain=1.0)
        self.start_norm = BatchNorm(2 * channels[0])
        width = dict(zip(self.resolutions, channels, strict=True))
        for step, resolution in enumerate(self.resolutions[1:]):
            self.add_module(f"b{resolution}", UpBlock(width[resolution // 2], width[resolution], deep=step % 2 == 0))
            if resolution >= FIRST_SWITCHED:
                self.add_module(f"skip{resolution}", SkipLayerExcitation(width[max(4, resolution // SKIP)], width[resolution]))
        self.torgb = Conv(channels[-1], img_channels, 3, gain=1.0)

    def paint(self, ws: Tensor) -> Tensor:
        """Make pictures ``[n, img_channels, h, w]`` in [-1, 1] from styles ``[n, 1, w_dim]``."""
        x = F.glu(self.start_norm(self.start(ws[:, 0]).unflatten(1, (-1, 4, 4))), 1)
        features = {4: x}
        for resolution in self.resolutions[1:]:
            x = self.get_submodule(f"b{resolution}")(x)
            if resolution >= FIRST_SWITCHED:
                x = self.get_submodule(f"skip{resolution}")(features[max(4, resolution // SKIP)], x)
            features[resolution] = x
        return torch.tanh(self.torgb(x))


class FastGANGenerator(nn.Module):
    """A FastGAN generator.

    Args:
        z_dim: Width of the latent.
        c_dim: Must be 0: this family knows no classes.
        img_resolution: Side of the picture, a power of two from 8.
        img_channels: 1, 3 or 4.
        channels: Feature channels at 4, 8, ... ``img_resolution`` px.

    Raises:
        StudioError: Sizes do not fit together.
    """

    family = "fastgan"
    has_noise = False
    has_transform = False

    def __init__(self, *, z_dim: int, c_dim: int, img_resolution: int, img_channels: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.config: Config = config_of(locals())
        check_sizes(img_resolution, channels)
        if c_dim:
            raise StudioError(f"c_dim={c_dim} is not possible: FastGAN knows no classes. Use 0.")
        self.z_dim, self.c_dim, self.w_dim, self.num_ws = z_dim, 0, z_dim, 1
        self.img_resolution, self.img_channels = img_resolution, img_channels
        self.layer_resolutions = (4,)
        self.mapping = LatentAsStyle(z_dim, 0)
        self.synthesis = Synthesis(w_dim=z_dim, img_channels=img_channels, channels=channels)

    @property
    def w_avg(self) -> Tensor:
        """The average style, ``[w_dim]``: zero."""
        return self.mapping.average(self.synthesis.torgb.weight)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Make pictures ``[n, img_channels, img_resolution, img_resolution]`` from ``z [n, z_dim]``."""
        images: Tensor = self.synthesis(self.mapping(z, c))
        return images


def _normed(in_channels: int, out_channels: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    conv = Conv(in_channels, out_channels, kernel, stride=stride, bias=False, spectral_norm=True)
    return nn.Sequential(conv, BatchNorm(out_channels), nn.LeakyReLU(0.2))


class DownBlock(nn.Module):
    """Half the size along two ways, two convolutions and a mean, averaged (section 3.2, figure 4)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(_normed(in_channels, out_channels, 4, stride=2), _normed(out_channels, out_channels, 3))
        self.direct = _normed(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x [n, in, h, w]`` to ``[n, out, h / 2, w / 2]``."""
        mixed: Tensor = (self.main(x) + self.direct(F.avg_pool2d(x, 2))) / 2
        return mixed


class Decoder(nn.Module):
    """A few layers that rebuild a picture from features of 8 px."""

    def __init__(self, channels: int, side: int, img_channels: int) -> None:
        super().__init__()
        widths = [max(8, channels >> step) for step in range((side // DECODED).bit_length())]
        blocks = [UpBlock(a, b, deep=False) for a, b in zip([channels, *widths[1:]], widths[1:], strict=False)]
        self.blocks = nn.Sequential(*blocks)
        self.torgb = Conv(widths[-1] if blocks else channels, img_channels, 3, gain=1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Rebuild ``[n, img_channels, side, side]`` in [-1, 1] from ``x [n, channels, 8, 8]``."""
        return torch.tanh(self.torgb(self.blocks(x)).float())


class FastGANDiscriminator(nn.Module):
    """A FastGAN discriminator: ``D(img) -> logits [n, 25]``, one for each of 5 x 5 places, and two decoders for real pictures.

    Args:
        c_dim: Must be 0.
        img_resolution: Side of the picture, a power of two from 16.
        img_channels: 1, 3 or 4.
        channels: Feature channels at 4, 8, ... ``img_resolution`` px (those at 4 px are not used).
    """

    family = "fastgan-discriminator"

    def __init__(self, *, c_dim: int, img_resolution: int, img_channels: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.config: Config = config_of(locals())
        check_sizes(img_resolution, channels)
        if img_resolution < 2 * DECODED:
            raise StudioError(f"img_resolution={img_resolution} is too small for FastGAN's discriminator. Use 16 or more.")
        self.c_dim, self.img_resolution, self.img_channels = c_dim, img_resolution, img_channels
        width = dict(zip((4 << step for step in range(len(channels))), channels, strict=True))
        self.block_resolutions = tuple(sorted((r for r in width if r > DECODED), reverse=True))
        entrance = Conv(img_channels, width[img_resolution], 3, bias=False, spectral_norm=True)
        self.fromrgb = nn.Sequential(entrance, nn.LeakyReLU(0.2))
        for resolution in self.block_resolutions:
            self.add_module(f"b{resolution}", DownBlock(width[resolution], width[resolution // 2]))
        self.last = _normed(width[8], width[8], 1)
        self.out = Conv(width[8], 1, 4, bias=False, spectral_norm=True)
        side = min(img_resolution, LARGEST_REBUILT)
        self.whole = Decoder(width[8], side, img_channels)
        self.part = Decoder(width[16], side // 2, img_channels)

    def forward(self, img: Tensor, c: Tensor | None = None) -> Tensor:
        """Judge ``img [n, img_channels, h, w]``: 25 logits each, ``[n, 25]``, real is high."""
        return self._judge(self._features(img)[DECODED])

    def judge_and_rebuild(self, img: Tensor, quadrants: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Judge pictures and rebuild them from what was seen (section 3.2).

        Args:
            img: ``[n, img_channels, h, w]``.
            quadrants: Which quarter of each is rebuilt from the finer features, ``[n]``: 0 to 3 in reading order.

        Returns:
            The logits; the whole pictures from features of 8 px, ``[n, img_channels, s, s]``; one quarter of each from features of
            16 px, ``[n, img_channels, s / 2, s / 2]``, where ``s`` is the picture's side, at most 128.
        """
        seen = self._features(img)
        return self._judge(seen[DECODED]), self.whole(seen[DECODED]), self.part(quarter(seen[2 * DECODED], quadrants))

    def _features(self, img: Tensor) -> dict[int, Tensor]:
        if img.shape[1:] != (self.img_channels, self.img_resolution, self.img_resolution):
            size = f"[n, {self.img_channels}, {self.img_resolution}, {self.img_resolution}]"
            raise StudioError(f"The picture has shape {list(img.shape)}: this discriminator needs {size}.")
        x = self.fromrgb(img)
        seen = {self.img_resolution: x}
        for resolution in self.block_resolutions:
            x = self.get_submodule(f"b{resolution}")(x)
            seen[resolution // 2] = x
        return seen

    def _judge(self, x: Tensor) -> Tensor:
        x = self.last(x)
        with torch.autocast(x.device.type, enabled=False):
            return F.conv2d(x.float(), self.out.acting_weight()).flatten(1)


def quarter(img: Tensor, quadrants: Tensor) -> Tensor:
    """Cut one quarter out of each of ``img [n, C, H, W]``: ``[n, C, H / 2, W / 2]``, numbered in reading order."""
    n, channels, height, width = img.shape
    parts = img.reshape(n, channels, 2, height // 2, 2, width // 2).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    return parts[torch.arange(n, device=img.device), quadrants.to(img.device)]
