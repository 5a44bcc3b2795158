"""Image translators of the CycleGAN, pix2pix and CUT family.

Parameter names are those of the published files (``model.1.weight``, ``model.10.conv_block.5.bias``,
``model.model.1.model.3.model.1.weight`` ...), so that loading is a copy, name for name. Written from the papers. This module
does *not* handle picture files, sizes that are no multiple of ``multiple_of``, or training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from studio.errors import StudioError
from studio.models.common import Config
from studio.models.translator_layers import BlurDown, BlurUp, Dropout, norm_layer, pad_layer, set_dropout, set_norm_statistics

NORM_MODES = ("published", "eval")


class PictureTranslator(nn.Module):
    """What both translators share: the switches, the input check, and pictures one by one where a batch would mix them."""

    family: str
    config: Config
    model: nn.Module
    multiple_of: int
    min_size: int
    img_channels_in: int
    img_channels_out: int
    dropout_on: bool = False
    """Run the dropout layers, as the published pix2pix test does; ``dropout_seed`` picks the variation."""
    dropout_seed: int = 0
    _norm_mode: str = "published"

    @property
    def norm_mode(self) -> str:
        """Batch norm in eval mode: ``published`` uses each picture's own statistics, ``eval`` the stored ones."""
        return self._norm_mode

    @norm_mode.setter
    def norm_mode(self, mode: str) -> None:
        if mode not in NORM_MODES:
            raise StudioError(f"norm_mode={mode!r} is not known. Use one of: {', '.join(NORM_MODES)}.")
        self._norm_mode = mode
        set_norm_statistics(self.modules(), own=mode == "published")

    def forward(self, img: Tensor) -> Tensor:
        """Translate pictures.

        In eval mode the pictures run one by one, so that the batch they came in never changes one of them.

        Args:
            img: ``[n, img_channels_in, H, W]``, values in [-1, 1]; H and W multiples of ``multiple_of``.

        Returns:
            ``[n, img_channels_out, H, W]``, values in [-1, 1].

        Raises:
            StudioError: The channels or the size do not fit the network.
        """
        self.check_input(img)
        run = self._forward_with_dropout if self.dropout_on else self.model
        if self.training or img.shape[0] == 1:
            result: Tensor = run(img)
            return result
        return torch.cat([run(one) for one in torch.split(img, 1)])

    def _forward_with_dropout(self, img: Tensor) -> Tensor:
        """Translate with the dropout pattern of ``dropout_seed``."""
        set_dropout(self.modules(), torch.Generator().manual_seed(self.dropout_seed))
        try:
            result: Tensor = self.model(img)
        finally:
            set_dropout(self.modules(), None)
        return result

    def check_input(self, img: Tensor) -> None:
        """Raise StudioError when ``img`` has channels or sides that the network cannot take."""
        if img.ndim != 4 or img.shape[1] != self.img_channels_in:
            raise StudioError(f"The network takes pictures [n, {self.img_channels_in}, H, W], not {list(img.shape)}.")
        height, width = img.shape[2:]
        if height % self.multiple_of or width % self.multiple_of or min(height, width) < self.min_size:
            raise StudioError(
                f"The network cannot take a picture of {width} x {height}: both sides must be multiples of {self.multiple_of}, "
                f"at least {self.min_size}. Use studio.restyle, which takes any size."
            )


class ResnetTranslator(PictureTranslator):
    """The residual generator: 7x7 convolution, downsampling, residual blocks at the bottom, upsampling, 7x7 convolution, tanh.

    Args:
        img_channels_in: Channels of the input picture.
        img_channels_out: Channels of the output picture.
        ngf: Width of the first layer; it doubles with each halving.
        n_blocks: Residual blocks at the lowest resolution (published: 6 or 9).
        n_downs: How often the resolution is halved (CycleGAN and CUT: 2).
        norm: "instance", "instance-affine", "batch" or "none".
        dropout: Whether the residual blocks have a dropout layer (off unless ``dropout_on``).
        conv_bias: Whether the convolutions before a norm have a bias; None: as published, iff the norm is an instance norm.
        downsample: "strided" convolution, or "antialias" (convolution, then blur-pool, as CUT).
        upsample: "transposed" convolution, "antialias" (blur interpolation, then convolution) or "resize".
        resize_mode: Interpolation of upsample="resize": "nearest" or "bilinear".
        resize_padding: Padding of the convolution after it: "reflect" (one more layer in ``model``) or "zeros".
        block_padding: Padding in the residual blocks: "reflect", "replicate" or "zeros" (two fewer layers in each block).

    Reference:
        Johnson et al. 2016, "Perceptual Losses for Real-Time Style Transfer", supplement; Zhu et al. 2017, "Unpaired
        Image-to-Image Translation", appendix 7.2; Park et al. 2020, "Contrastive Learning for Unpaired Image-to-Image
        Translation"; Odena et al. 2016, "Deconvolution and Checkerboard Artifacts" (resize).
    """

    family = "resnet"

    def __init__(
        self,
        *,
        img_channels_in: int = 3,
        img_channels_out: int = 3,
        ngf: int = 64,
        n_blocks: int = 9,
        n_downs: int = 2,
        norm: str = "instance",
        dropout: bool = False,
        conv_bias: bool | None = None,
        downsample: str = "strided",
        upsample: str = "transposed",
        resize_mode: str = "bilinear",
        resize_padding: str = "reflect",
        block_padding: str = "reflect",
    ) -> None:
        super().__init__()
        bias = norm.startswith("instance") if conv_bias is None else conv_bias
        self.config = {
            "img_channels_in": img_channels_in,
            "img_channels_out": img_channels_out,
            "ngf": ngf,
            "n_blocks": n_blocks,
            "n_downs": n_downs,
            "norm": norm,
            "dropout": dropout,
            "conv_bias": bias,
            "downsample": downsample,
            "upsample": upsample,
            "resize_mode": resize_mode,
            "resize_padding": resize_padding,
            "block_padding": block_padding,
        }
        self.img_channels_in, self.img_channels_out = img_channels_in, img_channels_out
        self.multiple_of = 2**n_downs
        self.min_size = max(4, 2 * self.multiple_of)
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(img_channels_in, ngf, 7, bias=bias), norm_layer(norm, ngf), nn.ReLU()]
        for level in range(n_downs):
            layers += _down(ngf * 2**level, norm=norm, bias=bias, kind=downsample)
        width = ngf * 2**n_downs
        layers += [_ResnetBlock(width, norm=norm, dropout=dropout, bias=bias, padding=block_padding) for _ in range(n_blocks)]
        for level in reversed(range(n_downs)):
            resize = (resize_mode, resize_padding)
            layers += _up(ngf * 2 ** (level + 1), norm=norm, bias=bias, kind=upsample, resize=resize)
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, img_channels_out, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)


class _ResnetBlock(nn.Module):
    """``x + f(x)`` with ``f`` of two convolutions; no activation after the sum."""

    def __init__(self, width: int, *, norm: str, dropout: bool, bias: bool, padding: str) -> None:
        super().__init__()
        inside = 1 if padding == "zeros" else 0
        pad = [] if inside else [pad_layer(padding, 1)]
        layers = [*pad, nn.Conv2d(width, width, 3, padding=inside, bias=bias), norm_layer(norm, width), nn.ReLU()]
        layers += [Dropout()] if dropout else []
        layers += [*pad, nn.Conv2d(width, width, 3, padding=inside, bias=bias), norm_layer(norm, width)]
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x + f(x)``, ``[n, width, H, W]``."""
        result: Tensor = x + self.conv_block(x)
        return result


def _down(width: int, *, norm: str, bias: bool, kind: str) -> list[nn.Module]:
    """Return the layers that halve the sides and double ``width``."""
    tail = [norm_layer(norm, 2 * width), nn.ReLU()]
    if kind == "strided":
        return [nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=bias), *tail]
    assert kind == "antialias", kind
    return [nn.Conv2d(width, 2 * width, 3, padding=1, bias=bias), *tail, BlurDown(2 * width)]


def _up(width: int, *, norm: str, bias: bool, kind: str, resize: tuple[str, str]) -> list[nn.Module]:
    """Return the layers that double the sides and halve ``width``."""
    half = width // 2
    tail = [norm_layer(norm, half), nn.ReLU()]
    if kind == "transposed":
        return [nn.ConvTranspose2d(width, half, 3, stride=2, padding=1, output_padding=1, bias=bias), *tail]
    if kind == "antialias":
        return [BlurUp(width), nn.Conv2d(width, half, 3, padding=1, bias=bias), *tail]
    assert kind == "resize", kind
    mode, padding = resize
    double = nn.Upsample(scale_factor=2, mode=mode)
    if padding == "zeros":
        return [double, nn.Conv2d(width, half, 3, padding=1, bias=bias), *tail]
    return [double, pad_layer(padding, 1), nn.Conv2d(width, half, 3, bias=bias), *tail]


class UnetTranslator(PictureTranslator):
    """The U-Net generator: ``n_downs`` halvings to (for the trained size) 1x1, as many doublings, a skip at every level.

    Args:
        img_channels_in: Channels of the input picture.
        img_channels_out: Channels of the output picture.
        ngf: Width of the first layer; widths are ngf times 1, 2, 4, 8, 8, ...
        n_downs: Depth, at least 2 (unet_128: 7, unet_256: 8).
        norm: "instance", "instance-affine", "batch" or "none".
        dropout: Whether the ``n_downs - 5`` middle levels have a dropout layer (off unless ``dropout_on``).
        conv_bias: Whether the inner convolutions have a bias; None: as published, iff the norm is an instance norm.

    Reference:
        Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks", section 3.2 and appendix 6.1.
    """

    family = "unet"

    def __init__(
        self,
        *,
        img_channels_in: int = 3,
        img_channels_out: int = 3,
        ngf: int = 64,
        n_downs: int = 8,
        norm: str = "batch",
        dropout: bool = True,
        conv_bias: bool | None = None,
    ) -> None:
        super().__init__()
        assert n_downs >= 2, n_downs
        bias = norm.startswith("instance") if conv_bias is None else conv_bias
        self.config = {
            "img_channels_in": img_channels_in,
            "img_channels_out": img_channels_out,
            "ngf": ngf,
            "n_downs": n_downs,
            "norm": norm,
            "dropout": dropout,
            "conv_bias": bias,
        }
        self.img_channels_in, self.img_channels_out = img_channels_in, img_channels_out
        self.multiple_of = self.min_size = 2**n_downs
        widths = [ngf * min(2**level, 8) for level in range(n_downs)]
        level = _UnetLevel(widths[-2], widths[-1], None, norm=norm, dropout=False, bias=bias)
        for i in range(n_downs - 2, 0, -1):
            level = _UnetLevel(widths[i - 1], widths[i], level, norm=norm, dropout=dropout and i >= 4, bias=bias)
        down = nn.Conv2d(img_channels_in, ngf, 4, stride=2, padding=1, bias=bias)
        up = nn.ConvTranspose2d(2 * ngf, img_channels_out, 4, stride=2, padding=1)
        self.model = _Outermost(down, level, nn.ReLU(), up, nn.Tanh())


class _Outermost(nn.Module):
    """The outermost level of the U-Net, which has no norm on the way down and no skip."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Translate ``x``."""
        result: Tensor = self.model(x)
        return result


class _UnetLevel(nn.Module):
    """One level of the U-Net: down, the deeper level, up, and the input beside the result."""

    def __init__(self, outer: int, inner: int, deeper: _UnetLevel | None, *, norm: str, dropout: bool, bias: bool) -> None:
        super().__init__()
        down = nn.Conv2d(outer, inner, 4, stride=2, padding=1, bias=bias)
        up = nn.ConvTranspose2d(inner if deeper is None else 2 * inner, outer, 4, stride=2, padding=1, bias=bias)
        middle = [] if deeper is None else [norm_layer(norm, inner), deeper]
        tail = [Dropout()] if dropout else []
        self.model = nn.Sequential(nn.LeakyReLU(0.2), down, *middle, nn.ReLU(), up, norm_layer(norm, outer), *tail)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` and its translation side by side, ``[n, 2 outer, H, W]``."""
        return torch.cat([x, self.model(x)], 1)
