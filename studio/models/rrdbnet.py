"""The network of ESRGAN and Real-ESRGAN: residual-in-residual dense blocks on the small picture, then nearest-neighbour steps up.

It enlarges pictures by 1, 2, 4 or 8. Pictures of any size go through in tiles elsewhere (``studio.upscaling``), which is why
the stages can be called one by one.

Reference:
    Wang et al. 2018, "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", section 3.1; Wang et al. 2021,
    "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data", section 3.2 (pixel unshuffle).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.models.common import Config, Tiled

RESIDUAL = 0.2
"""By how much a block's result is scaled before it is added (residual scaling)."""
SLOPE = 0.2


class DenseBlock(nn.Module):
    """Five convolutions; each sees what all before it saw and made."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        for number in range(4):
            self.add_module(f"conv{number + 1}", nn.Conv2d(features + number * growth, growth, 3, 1, 1))
        self.conv5 = nn.Conv2d(features + 4 * growth, features, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x [n, features, h, w]`` with a correction added."""
        seen = x
        for number in range(4):
            made = F.leaky_relu(self.get_submodule(f"conv{number + 1}")(seen), SLOPE)
            seen = torch.cat([seen, made], 1)
        corrected: Tensor = x + RESIDUAL * self.conv5(seen)
        return corrected


class ResidualInResidual(nn.Module):
    """Three dense blocks and a way around them."""

    reach = 15
    """Pixels that one pixel of the result depends on in every direction: one for each convolution."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(features, growth)
        self.rdb2 = DenseBlock(features, growth)
        self.rdb3 = DenseBlock(features, growth)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x [n, features, h, w]`` with a correction added."""
        corrected: Tensor = x + RESIDUAL * self.rdb3(self.rdb2(self.rdb1(x)))
        return corrected


class RRDBNet(nn.Module):
    """An upscaler.

    Args:
        img_channels_in: Colours of the picture.
        img_channels_out: Colours of the result.
        ngf: Features of the trunk.
        n_blocks: Residual-in-residual blocks.
        growth: Features that every dense convolution adds.
        ups: Steps up by two.
        unshuffle: Side of the squares of pixels that become features first: 1, 2 or 4. The scale is ``2 ** ups / unshuffle``.
    """

    family = "esrgan"
    paint_reach = 2
    """Pixels of the trunk that a pixel of the result depends on beyond its own, at any scale."""

    def __init__(
        self,
        *,
        img_channels_in: int = 3,
        img_channels_out: int = 3,
        ngf: int = 64,
        n_blocks: int = 23,
        growth: int = 32,
        ups: int = 2,
        unshuffle: int = 1,
    ) -> None:
        super().__init__()
        self.config: Config = {
            **{"img_channels_in": img_channels_in, "img_channels_out": img_channels_out, "ngf": ngf, "n_blocks": n_blocks},
            **{"growth": growth, "ups": ups, "unshuffle": unshuffle},
        }
        assert 2**ups % unshuffle == 0, "the scale is a whole number"
        self.ups, self.unshuffle, self.scale = ups, unshuffle, 2**ups // unshuffle
        self.conv_first = nn.Conv2d(img_channels_in * unshuffle**2, ngf, 3, 1, 1)
        self.body = nn.ModuleList(ResidualInResidual(ngf, growth) for _ in range(n_blocks))
        self.conv_body = nn.Conv2d(ngf, ngf, 3, 1, 1)
        for number in range(ups):
            self.add_module(f"conv_up{number + 1}", nn.Conv2d(ngf, ngf, 3, 1, 1))
        self.conv_hr = nn.Conv2d(ngf, ngf, 3, 1, 1)
        self.conv_last = nn.Conv2d(ngf, img_channels_out, 3, 1, 1)

    def forward(self, img: Tensor) -> Tensor:
        """Enlarge a picture in one piece.

        Args:
            img: ``[n, img_channels_in, H, W]``, values in [0, 1]; both sides multiples of ``unshuffle``.

        Returns:
            ``[n, img_channels_out, scale * H, scale * W]``, about [0, 1].
        """
        first = self.enter(img)
        deep = first
        for block in self.body:
            deep = block(deep)
        return self.paint(first + self.conv_body(deep))

    def in_tiles(self, img: Tensor, tiled: Tiled) -> Tensor:
        """Do what :meth:`forward` does, stage by stage: no piece pays for the reach of the whole network."""
        first = tiled(self.enter, img, reach=None)
        deep = first
        for block in self.body:
            deep = tiled(block, deep, reach=ResidualInResidual.reach)
        return tiled(self.paint, first + tiled(self.conv_body, deep, reach=None), reach=self.paint_reach, factor=2**self.ups)

    def enter(self, img: Tensor) -> Tensor:
        """Turn a picture into features ``[n, ngf, H / unshuffle, W / unshuffle]``."""
        features: Tensor = self.conv_first(F.pixel_unshuffle(img, self.unshuffle) if self.unshuffle > 1 else img)
        return features

    def paint(self, features: Tensor) -> Tensor:
        """Turn features into a picture ``2 ** ups`` times as large."""
        for number in range(self.ups):
            larger = F.interpolate(features, scale_factor=2, mode="nearest")
            features = F.leaky_relu(self.get_submodule(f"conv_up{number + 1}")(larger), SLOPE)
        picture: Tensor = self.conv_last(F.leaky_relu(self.conv_hr(features), SLOPE))
        return picture
