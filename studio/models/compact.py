"""A compact upscaler: plain convolutions on the small picture, and what they find is added to the picture enlarged by nearest pixels.

The network paints only what plain enlargement lacks, so that calm places stay calm. Pictures of any size go through it in tiles
elsewhere (``studio/upscaling.py``). Layers are named as in Real-ESRGAN's compact networks.

Reference:
    Wang et al. 2021, "Real-ESRGAN", the compact network of its releases; Shi et al. 2016, "Real-Time Single Image and Video
    Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network", section 3.2 (pixel shuffle).
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.models.common import Config, Tiled

LAST_GAIN = 0.1
"""By how much the last layer is scaled down at first, so that a fresh network is nearly the plain enlargement."""


class CompactUpscaler(nn.Module):
    """The network.

    Args:
        ngf: Features of every layer.
        n_convs: Convolutions between the first and the last.
        scale: How many times larger the result is: 1 to 4, or 8.
    """

    family = "compact"
    unshuffle = 1

    def __init__(self, *, ngf: int = 64, n_convs: int = 16, scale: int = 4) -> None:
        super().__init__()
        self.config: Config = {"ngf": ngf, "n_convs": n_convs, "scale": scale}
        self.scale = scale
        self.reach = n_convs + 2
        widths = [3, *[ngf] * (n_convs + 1)]
        self.body = nn.ModuleList()
        for before, after in itertools.pairwise(widths):
            self.body += [nn.Conv2d(before, after, 3, 1, 1), nn.PReLU(after)]
        self.body.append(nn.Conv2d(ngf, 3 * scale**2, 3, 1, 1))

    def start_plain(self) -> None:
        """Make fresh weights nearly the bilinear enlargement: three channels hand the picture on, the others begin at random.

        The sum of what is handed on and the nearest pixels is bilinear from the first step, so that no grid has to be unlearned
        (the border apart, which the zeros around a picture darken at first).
        """
        convs = [layer for layer in self.body if isinstance(layer, nn.Conv2d)]
        for conv in convs:
            nn.init.kaiming_normal_(conv.weight, a=0.25)
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
        for conv in convs[:-1]:
            conv.weight.data[:3] = 0
            conv.weight.data[range(3), range(3), 1, 1] = 1
        convs[-1].weight.data *= LAST_GAIN
        convs[-1].weight.data[:, :3] = _bilinear_without_nearest(self.scale)

    def forward(self, img: Tensor) -> Tensor:
        """Enlarge ``img [n, 3, H, W]``, values in [0, 1], to ``[n, 3, scale * H, scale * W]``, about [0, 1]."""
        x = img
        for layer in self.body:
            x = layer(x)
        return F.pixel_shuffle(x, self.scale) + F.interpolate(img, scale_factor=float(self.scale), mode="nearest")

    def in_tiles(self, img: Tensor, tiled: Tiled) -> Tensor:
        """Do what :meth:`forward` does, piece by piece."""
        return tiled(self, img, reach=self.reach, factor=self.scale)


def _bilinear_without_nearest(scale: int) -> Tensor:
    """Return a kernel ``[3 * scale**2, 3, 3, 3]`` that gives, before pixels are shuffled, what bilinear adds to nearest enlargement."""
    spot = torch.zeros(9, 1, 3, 3)
    spot[range(9), 0, [k // 3 for k in range(9)], [k % 3 for k in range(9)]] = 1
    large = [F.interpolate(spot, scale_factor=float(scale), mode=mode) for mode in ("bilinear", "nearest")]
    middle = (large[0] - large[1])[..., scale : 2 * scale, scale : 2 * scale].reshape(3, 3, scale**2).permute(2, 0, 1)
    kernel = torch.zeros(3, scale**2, 3, 3, 3)
    for color in range(3):
        kernel[color, :, color] = middle
    return kernel.flatten(0, 1)
