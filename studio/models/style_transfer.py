"""One small network that paints in many manners: a style is a row of scales and shifts, so styles blend by weights.

The convolutions are shared by all styles; what makes one is the scale and shift behind each instance norm. This module does *not* learn
(``studio/training/style_book.py``) and knows no picture files.

Reference:
    Dumoulin, Shlens and Kudlur 2017, "A Learned Representation for Artistic Style", sections 2.2 and 3.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.errors import StudioError
from studio.models.translators import PictureTranslator

EPS = 1e-5
RESIDUAL_GAIN = 0.3
"""What a residual block adds at first, so that six of them do not drown the picture."""


class StyledConv(nn.Module):
    """A convolution without bias, reflected at the edges, and an instance norm whose scale and shift each style has of its own."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, n_styles: int, stride: int = 1, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.kaiming_normal_(torch.empty(out_channels, in_channels, kernel, kernel)))
        self.gamma = nn.Parameter(torch.full((n_styles, out_channels), gain))
        self.beta = nn.Parameter(torch.zeros(n_styles, out_channels))
        self.norm = nn.InstanceNorm2d(out_channels, eps=EPS)
        self.stride = stride

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Map ``x [n, in, h, w]`` to ``[n, out, h / stride, w / stride]`` in the styles of ``weights [n, n_styles]``."""
        reach = self.weight.shape[-1] // 2
        y = self.norm(F.conv2d(F.pad(x, (reach,) * 4, mode="reflect"), self.weight, stride=self.stride))
        return torch.addcmul((weights @ self.beta)[:, :, None, None], y, (weights @ self.gamma)[:, :, None, None])


class StyleTransfer(PictureTranslator):
    """The network: ``forward(img, weights)``; sides must be multiples of 4.

    Args:
        n_styles: How many styles it holds.
        width: Channels of the residual blocks.
        n_blocks: Residual blocks, at a quarter of the picture's side.
        expanded: Channels at half and at the full side on the way back.
    """

    family = "style-transfer"
    multiple_of = 4
    min_size = 32
    img_channels_in = img_channels_out = 3

    def __init__(self, *, n_styles: int, width: int = 32, n_blocks: int = 6, expanded: tuple[int, int] = (8, 4)) -> None:
        super().__init__()
        self.config = {"n_styles": n_styles, "width": width, "n_blocks": n_blocks, "expanded": list(expanded)}
        self.n_styles = n_styles
        self.style_weights: Tensor | None = None
        """What is painted when nothing else is asked, ``[n_styles]``; None is the first style."""

        def conv(a: int, b: int, kernel: int, *, stride: int = 1, gain: float = 1.0) -> StyledConv:
            return StyledConv(a, b, kernel, n_styles=n_styles, stride=stride, gain=gain)

        self.contract = nn.ModuleList([conv(3, width, 9), conv(width, width, 3, stride=2), conv(width, width, 3, stride=2)])
        self.res = nn.ModuleList(nn.ModuleList([conv(width, width, 3), conv(width, width, 3, gain=RESIDUAL_GAIN)]) for _ in range(n_blocks))
        widths = [width, *expanded]
        self.expand = nn.ModuleList([*(conv(a, b, 3) for a, b in itertools.pairwise(widths)), conv(widths[-1], 3, 9)])

    def forward(self, img: Tensor, weights: Tensor | None = None) -> Tensor:
        """Paint pictures.

        Args:
            img: ``[n, 3, H, W]`` in [-1, 1], sides multiples of 4, at least 32.
            weights: How much of each style each picture gets, ``[n, n_styles]`` or ``[n_styles]``, in sum 1 as a rule; None: those of
                ``style_weights``, else the first style.

        Returns:
            ``[n, 3, H, W]`` in [-1, 1].

        Raises:
            StudioError: The picture's size or the number of weights does not fit.
        """
        self.check_input(img)
        weights = self.style_weights if weights is None else weights
        chosen = F.one_hot(img.new_zeros(len(img), dtype=torch.int64), self.n_styles).to(img) if weights is None else weights.to(img)
        if chosen.shape[-1] != self.n_styles:
            raise StudioError(f"{chosen.shape[-1]} weights were given, but this network has {self.n_styles} styles. Give one for each.")
        chosen = chosen.expand(len(img), -1)
        x = (img + 1) / 2
        for layer in self.contract:
            x = F.relu(layer(x, chosen))
        return painted(x, chosen, self.res, self.expand)


def painted(x: Tensor, style: Tensor, res: Iterable[nn.Module], expand: Iterable[nn.Module]) -> Tensor:
    """Paint from a map at a quarter of the side: residual blocks, then back to the picture's size; all layers take the style.

    Args:
        x: ``[n, width, H / 4, W / 4]``.
        style: What the layers want of a style, ``[n, numbers]``.
        res: Residual blocks, two layers each.
        expand: Layers behind an enlargement, and the last one without.

    Returns:
        ``[n, 3, H, W]`` in [-1, 1].
    """
    for block in res:
        assert isinstance(block, nn.ModuleList)
        x = x + block[1](F.relu(block[0](x, style)), style)
    *doubling, last = expand
    for layer in doubling:
        x = F.relu(layer(F.interpolate(x, scale_factor=2.0, mode="nearest"), style))
    img: Tensor = torch.sigmoid(last(x, style)) * 2 - 1
    return img
