"""The projected discriminator: small judges that look at a picture through a frozen network which already knows how to see.

Its frozen network is given to it (:meth:`FrozenView.look_through`) and belongs to nobody's state; random mixing of its features is fixed,
too. Only the judges learn. This is *not* where weights are read or losses chosen.

Reference:
    Sauer et al. 2021, "Projected GANs Converge Faster", section 3; Miyato and Koyama 2018 (classes by projection).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.errors import StudioError
from studio.models.common import Config
from studio.models.dcgan import DcganDiscriminator
from studio.models.efficientnet_lite import EfficientNetLite0
from studio.models.gan_layers import BatchNorm, Conv, Linear, leaky
from studio.models.stylegan2_layers import config_of

TAPS = {"block2": 24, "block4": 40, "block10": 112}
"""Features that are judged, and their channels: at 1/4, 1/8 and 1/16 of the side."""
MIXED = (48, 64, 96)
"""Channels of each after mixing."""
SMALLEST_SIDE = 64
"""Pictures are enlarged to this before the frozen network sees them, so that its coarsest map has 4 x 4 places."""
LAST = 4
"""Side of the map that a whole picture is judged on, at every scale."""


class FrozenConv(nn.Module):
    """A random convolution that never learns: its weights, as He et al. 2015 have them, are a buffer. No bias."""

    weight: Tensor

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.register_buffer("weight", nn.init.kaiming_normal_(torch.empty(out_channels, in_channels, kernel, kernel)))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x [n, in, h, w]`` to ``[n, out, h, w]``."""
        return F.conv2d(x, self.weight, padding=self.weight.shape[-1] // 2)


class FrozenView(nn.Module):
    """Features of a frozen network, mixed by fixed random convolutions: across channels, then from coarse to fine (section 3.2).

    The mixing is part of the state, as a resumed run must see the same; the frozen network is not.
    """

    def __init__(self, copies: int = 1) -> None:
        super().__init__()
        widths = zip(TAPS.values(), MIXED, strict=True)
        self.across_channels = nn.ModuleList(FrozenConv(copies * width, mixed, 1) for width, mixed in widths)
        self.across_scales = nn.ModuleList(FrozenConv(coarse, fine, 3) for fine, coarse in itertools.pairwise(MIXED))
        self._network: tuple[EfficientNetLite0, ...] = ()

    def look_through(self, network: EfficientNetLite0) -> None:
        """Take the frozen network; it moves along with this module, but is no part of its state."""
        self._network = (network,)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        for network in self._network:
            network._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    def features(self, img: Tensor) -> list[Tensor]:
        """Return the frozen network's features of ``img [n, 3, H, W]`` in [-1, 1], finest first."""
        assert self._network, "look_through() gives the network that is looked through"
        return list(self._network[0](img, tuple(TAPS)).values())

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Mix features, finest first: float32 maps of :data:`MIXED` channels."""
        mixed = [conv(x.float()) for conv, x in zip(self.across_channels, features, strict=True)]
        for k in reversed(range(len(mixed) - 1)):
            coarse = self.across_scales[k](mixed[k + 1])
            mixed[k] = mixed[k] + F.interpolate(coarse, size=mixed[k].shape[2:], mode="bilinear", align_corners=False)
        return mixed


class Judge(nn.Module):
    """Judges one scale: strided convolutions down to 4 x 4 places, spectral norm and batch norm, one logit for each place.

    Args:
        in_channels: Channels of the map.
        halvings: How many strided convolutions come first.
        width: Channels inside.
        c_dim: Number of classes, 0 for none.
        batch_norm: Whether batch norms come behind the strided convolutions.
    """

    def __init__(self, in_channels: int, halvings: int, *, width: int, c_dim: int, batch_norm: bool) -> None:
        super().__init__()
        widths = [in_channels] + [width] * halvings
        self.down = nn.ModuleList(Conv(a, b, 4, stride=2, spectral_norm=True) for a, b in itertools.pairwise(widths))
        self.norms = nn.ModuleList(BatchNorm(width) if batch_norm else nn.Identity() for _ in range(halvings))
        self.last = Conv(widths[-1], width, 3, spectral_norm=True)
        self.out = Conv(width, 1, 1, spectral_norm=True)
        self.embed = Linear(c_dim, width, bias=False, spectral_norm=True) if c_dim else None

    def forward(self, x: Tensor, c: Tensor | None) -> Tensor:
        """Judge ``x [n, in, h, w]`` of classes ``c [n, c_dim]``: a map of logits ``[n, 1, h', w']``."""
        for conv, norm in zip(self.down, self.norms, strict=True):
            x = leaky(norm(conv(x)))
        x = leaky(self.last(x))
        logits: Tensor = self.out(x)
        if self.embed is not None and c is not None:
            logits = logits + (x * self.embed(c)[:, :, None, None]).sum(1, keepdim=True)
        return logits


class ProjectedDiscriminator(nn.Module):
    """A projected discriminator: ``D(img, c) -> logits [n, k]``, 16 for each of three scales, real is high.

    Args:
        c_dim: Number of classes, 0 for none.
        img_resolution: Side of the picture, a power of two from 32.
        img_channels: 1, 3 or 4. A picture with transparency is looked at twice: on white and on black.
        side: Side at which the frozen network looks; None is the picture's own, at least :data:`SMALLEST_SIDE`.
        width: Channels inside the judges.
        batch_norm: Whether the judges have batch norms.
        plain_share: Share of the judgement that a plain strided network on the pixels has, 0 for none; it sees grain that the frozen
            features do not.
        channels: Feature channels of that plain network at 4, 8, ... ``img_resolution`` px.

    Raises:
        StudioError: A size is out of range.
    """

    family = "projected-discriminator"

    def __init__(
        self,
        *,
        c_dim: int,
        img_resolution: int,
        img_channels: int,
        side: int | None = None,
        width: int = 64,
        batch_norm: bool = True,
        plain_share: float = 0.0,
        channels: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.config: Config = config_of(locals())
        self.c_dim, self.img_resolution, self.img_channels = c_dim, img_resolution, img_channels
        self.side = side or max(SMALLEST_SIDE, img_resolution)
        if img_resolution < 32 or self.side < max(SMALLEST_SIDE, img_resolution) or self.side & (self.side - 1):
            raise StudioError(
                f"A projected discriminator needs pictures of 32 px or more, and looks at them at a power of two from {SMALLEST_SIDE} px "
                f"that is not smaller: {self.side} px for {img_resolution} px is not possible."
            )
        if not 0 <= plain_share < 1:
            raise StudioError(f"plain_share={plain_share} is out of range: 0 is no plain discriminator, and it stays below 1.")
        self.view = FrozenView(2 if img_channels == 4 else 1)
        halvings = [(self.side >> (k + 2)).bit_length() - LAST.bit_length() for k in range(len(TAPS))]
        self.judges = nn.ModuleList(
            Judge(mixed, n, width=width, c_dim=c_dim, batch_norm=batch_norm) for mixed, n in zip(MIXED, halvings, strict=True)
        )
        self.plain_share = plain_share
        self.plain: DcganDiscriminator | None = None
        if plain_share:
            self.plain = DcganDiscriminator(
                c_dim=c_dim, img_resolution=img_resolution, img_channels=img_channels, channels=channels, spectral_norm=True
            )

    def look_through(self, network: EfficientNetLite0) -> None:
        """Take the frozen network that pictures are looked at through; see :class:`FrozenView`."""
        self.view.look_through(network)

    def forward(self, img: Tensor, c: Tensor | None = None) -> Tensor:
        """Judge ``img [n, img_channels, h, w]`` in [-1, 1] of classes ``c [n, c_dim]``.

        A mean over the logits weighs the scales alike, and the plain network by its share: its logit comes as often as that takes.
        """
        features = self.view.features(enlarged(colours(img), self.side))
        if self.img_channels == 4:
            features = [torch.cat(x.chunk(2), 1) for x in features]
        with torch.autocast(img.device.type, enabled=False):
            maps = self.view(features)
            logits = torch.cat([judge(x, c).flatten(1) for judge, x in zip(self.judges, maps, strict=True)], 1)
        if self.plain is None:
            return logits
        times = max(1, round(logits.shape[1] * self.plain_share / (1 - self.plain_share)))
        return torch.cat([logits, self.plain(img, c).expand(-1, times)], 1)


class ProjectedPatches(nn.Module):
    """Judges patches of pictures of any kind at two sizes: ``D(img, places) -> logits [n, k]``, real is high.

    One set of judges sees the whole crop, another a square of half its side, enlarged twofold, where strokes can be seen.

    Args:
        side: Side of the crops, a multiple of 32 from 64.
        width: Channels inside the judges.

    Raises:
        StudioError: The side does not fit.
    """

    family = "projected-patches"

    def __init__(self, *, side: int, width: int = 64) -> None:
        super().__init__()
        self.config: Config = config_of(locals())
        if side % 32 or side < SMALLEST_SIDE:
            raise StudioError(f"side={side} is not possible: projected patches need a multiple of 32, at least {SMALLEST_SIDE} px.")
        self.side = side
        self.view = FrozenView()
        self.whole, self.near = (
            nn.ModuleList(Judge(mixed, len(MIXED) - 1 - k, width=width, c_dim=0, batch_norm=True) for k, mixed in enumerate(MIXED))
            for _ in range(2)
        )

    def look_through(self, network: EfficientNetLite0) -> None:
        """Take the frozen network that pictures are looked at through; see :class:`FrozenView`."""
        self.view.look_through(network)

    def forward(self, img: Tensor, places: Tensor) -> Tensor:
        """Judge crops ``img [n, 3, side, side]`` in [-1, 1].

        Args:
            img: The crops.
            places: Where the square of half the side lies in each, ``[n, 2]``: top and left as shares of what is free, 0 to 1.
        """
        half = self.side // 2
        corners = (places * (half + 1)).long().clamp(0, half).tolist()
        near = torch.stack([picture[:, top : top + half, left : left + half] for picture, (top, left) in zip(img, corners, strict=True)])
        features = self.view.features(torch.cat([img, enlarged(near, self.side)]))
        with torch.autocast(img.device.type, enabled=False):
            halves = [x.chunk(2) for x in self.view(features)]
            logits = [
                judge(x, None).flatten(1)
                for k, judges in enumerate((self.whole, self.near))
                for judge, x in zip(judges, (pair[k] for pair in halves), strict=True)
            ]
        return torch.cat(logits, 1)


def colours(img: Tensor) -> Tensor:
    """Return ``img [n, 1 | 3 | 4, H, W]`` in three channels; with transparency ``[2 n, 3, H, W]``, all on white and all on black."""
    if img.shape[1] == 3:
        return img
    if img.shape[1] == 1:
        return img.expand(-1, 3, -1, -1)
    alpha = (img[:, 3:] + 1) / 2
    return torch.cat([img[:, :3] * alpha + (1 - alpha), img[:, :3] * alpha - (1 - alpha)])


def enlarged(img: Tensor, side: int) -> Tensor:
    """Enlarge square pictures ``[n, C, S, S]`` to ``side``; as they are where they have it."""
    if img.shape[-1] == side:
        return img
    return F.interpolate(img, size=side, mode="bilinear", align_corners=False)
