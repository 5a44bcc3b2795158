"""Any picture as a style: one network reads 100 numbers from it, another paints a photo by them.

The painter is small and has no styles of its own: the scale and shift behind each of its instance norms follow from the 100 numbers, which
can be mixed like colours. It takes colour and texture from the style rather than strokes. This module does *not* know where weights come
from (``studio/checkpoints/any_style.py``) and reads no picture files.

Reference:
    Ghiasi et al. 2017, "Exploring the structure of a real-time, arbitrary neural artistic stylization network", sections 3 and 4;
    Sandler et al. 2018, "MobileNetV2", table 2 (the reader).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.errors import StudioError
from studio.models.efficientnet_lite import InvertedResidual, SameConv
from studio.models.style_transfer import painted
from studio.models.translators import PictureTranslator

STYLE_NUMBERS = 100
STYLE_SIDE = 256
"""Side of the pictures that the reader was trained on, pixels; others work, and are read as larger or smaller patterns."""
BLOCKS = (
    # expansion, channels, repeats, stride of the first
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)
STEM, HEAD = 32, 1280
WIDTHS = (8, 16, 32)
"""Channels of the painter at the full, the half and a quarter of the side."""
N_BLOCKS = 5
EPS = 1e-5


class StyleReader(nn.Module):
    """MobileNetV2 with its batch norms folded in: a style picture becomes 100 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, STEM, 3, stride=2)
        blocks, width = [], STEM
        for expansion, channels, repeats, first_stride in BLOCKS:
            for place in range(repeats):
                stride = 1 if place else first_stride
                blocks.append(InvertedResidual(width, channels, kernel=3, stride=stride, expansion=expansion))
                width = channels
        self.blocks = nn.ModuleList(blocks)
        self.head = SameConv(width, HEAD, 1)
        self.numbers = nn.Linear(HEAD, STYLE_NUMBERS)

    def forward(self, img: Tensor) -> Tensor:
        """Read the styles of ``img [n, 3, H, W]`` in [-1, 1], 32 px or more a side, best :data:`STYLE_SIDE`: ``[n, 100]``.

        Raises:
            StudioError: The pictures are smaller, or not in colour.
        """
        if img.ndim != 4 or img.shape[1] != 3 or min(img.shape[2:]) < 32:
            raise StudioError(f"A style is read from pictures [n, 3, H, W] of at least 32 x 32, not {list(img.shape)}.")
        x = F.relu6(self.stem((img + 1) / 2))
        for block in self.blocks:
            x = block(x)[1]
        found: Tensor = self.numbers(F.relu6(self.head(x)).mean((2, 3)))
        return found


class PredictedNorm(nn.Module):
    """An instance norm whose scale and shift are linear in the numbers of the style (section 3.1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels, eps=EPS)
        self.gamma = nn.Linear(STYLE_NUMBERS, channels)
        self.beta = nn.Linear(STYLE_NUMBERS, channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Map ``x [n, C, h, w]`` to the same shape by ``style [n, 100]``."""
        return torch.addcmul(self.beta(style)[:, :, None, None], self.norm(x), self.gamma(style)[:, :, None, None])


class ReflectedConv(nn.Conv2d):
    """A convolution that sees its map reflected at the edges."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, kernel, stride=stride, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x [n, in, h, w]`` to ``[n, out, h / stride, w / stride]``."""
        return F.conv2d(F.pad(x, (self.kernel_size[0] // 2,) * 4, mode="reflect"), self.weight, self.bias, self.stride)


class PredictedConv(nn.Module):
    """A convolution and a norm of the style's; a bias would be taken away by the norm."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = ReflectedConv(in_channels, out_channels, kernel, bias=False)
        self.norm = PredictedNorm(out_channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Map ``x [n, in, h, w]`` to ``[n, out, h, w]`` by ``style [n, 100]``."""
        y: Tensor = self.norm(self.conv(x), style)
        return y


class AnyStyle(PictureTranslator):
    """Both networks: ``read_style(picture)`` gives 100 numbers, ``forward(img, style)`` paints by them; sides are multiples of 4."""

    family = "any-style"
    multiple_of = 4
    min_size = 32
    img_channels_in = img_channels_out = 3

    def __init__(self) -> None:
        super().__init__()
        self.config = {}
        self.style: Tensor | None = None
        """What is painted when no style is given: ``[100]``."""
        full, half, quarter = WIDTHS
        self.reader = StyleReader()
        self.contract = nn.ModuleList(
            [ReflectedConv(3, full, 9), ReflectedConv(full, half, 3, stride=2), ReflectedConv(half, quarter, 3, stride=2)]
        )
        self.res = nn.ModuleList(nn.ModuleList(PredictedConv(quarter, quarter, 3) for _ in range(2)) for _ in range(N_BLOCKS))
        self.expand = nn.ModuleList([PredictedConv(quarter, half, 3), PredictedConv(half, full, 3), PredictedConv(full, 3, 9)])

    def read_style(self, img: Tensor) -> Tensor:
        """Read the styles of pictures ``[n, 3, H, W]`` in [-1, 1]: ``[n, 100]``; they mix by weights.

        Raises:
            StudioError: The pictures are smaller than 32 px, or not in colour.
        """
        found: Tensor = self.reader(img)
        return found

    def forward(self, img: Tensor, style: Tensor | None = None) -> Tensor:
        """Paint pictures.

        Args:
            img: ``[n, 3, H, W]`` in [-1, 1], sides multiples of 4, at least 32.
            style: ``[n, 100]`` or ``[100]``, as :meth:`read_style` gives them; None: the attribute ``style``.

        Returns:
            ``[n, 3, H, W]`` in [-1, 1].

        Raises:
            StudioError: The picture's size does not fit, or no style was given, or one of another length.
        """
        self.check_input(img)
        chosen = self.style if style is None else style
        if chosen is None or chosen.shape[-1] != STYLE_NUMBERS:
            given = "none was given" if chosen is None else f"{chosen.shape[-1]} were given"
            raise StudioError(f"A style is {STYLE_NUMBERS} numbers, but {given}. Read one from a picture first (read_style).")
        chosen = chosen.to(img).expand(len(img), -1)
        x = (img + 1) / 2
        for layer in self.contract:
            x = F.relu(layer(x))
        return painted(x, chosen, self.res, self.expand)
