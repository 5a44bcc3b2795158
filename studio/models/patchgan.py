"""PatchGAN: a discriminator that judges overlapping patches of a picture instead of the whole.

Parameter names are those of the published files (``model.0.weight`` ..., pixel variant ``net.0.weight``). This module does
*not* know any loss: the output has no activation.
"""

from __future__ import annotations

from torch import Tensor, nn

from studio.models.common import Config
from studio.models.translator_layers import BlurDown, norm_layer


class PatchDiscriminator(nn.Module):
    """Score every patch of a picture as real or made.

    A unit of the output sees 16, 34, 70, 142 or 286 pixels for ``n_layers`` 1 to 5, and 1 pixel in the pixel variant.

    Args:
        img_channels: Channels of the judged picture (pix2pix: input and output side by side, 6).
        ndf: Width of the first layer; it doubles with each halving, up to eight times.
        n_layers: How often the resolution is halved (published: 3).
        variant: "patch", or "pixel" (1x1 convolutions only, ``n_layers`` unused).
        norm: "instance", "instance-affine", "batch" or "none".
        conv_bias: Whether the convolutions before a norm have a bias; None: as published, iff the norm is an instance norm.
        downsample: "strided" convolution, or "antialias" (convolution, then blur-pool, as CUT).

    Reference:
        Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks", section 3.2.2.
    """

    family = "patchgan"

    def __init__(
        self,
        *,
        img_channels: int = 3,
        ndf: int = 64,
        n_layers: int = 3,
        variant: str = "patch",
        norm: str = "instance",
        conv_bias: bool | None = None,
        downsample: str = "strided",
    ) -> None:
        super().__init__()
        assert variant in ("patch", "pixel"), variant
        bias = norm.startswith("instance") if conv_bias is None else conv_bias
        self.config: Config = {
            "img_channels": img_channels,
            "ndf": ndf,
            "n_layers": n_layers,
            "variant": variant,
            "norm": norm,
            "conv_bias": bias,
            "downsample": downsample,
        }
        if variant == "pixel":
            self.net = _pixel_layers(img_channels, ndf, norm=norm, bias=bias)
        else:
            self.model = _patch_layers(img_channels, ndf, n_layers, norm=norm, bias=bias, antialias=downsample == "antialias")

    def forward(self, img: Tensor) -> Tensor:
        """Score ``img [n, img_channels, H, W]``; the result is ``[n, 1, h, w]``, one number per patch, unbounded."""
        result: Tensor = self.net(img) if self.config["variant"] == "pixel" else self.model(img)
        return result


def _patch_layers(img_channels: int, ndf: int, n_layers: int, *, norm: str, bias: bool, antialias: bool) -> nn.Sequential:
    """Return ``n_layers`` halvings, one more 4x4 convolution, and the scores."""
    stride = 1 if antialias else 2
    layers: list[nn.Module] = [nn.Conv2d(img_channels, ndf, 4, stride=stride, padding=1), nn.LeakyReLU(0.2)]
    layers += [BlurDown(ndf)] if antialias else []
    width = ndf
    for level in range(1, n_layers + 1):
        wider = ndf * min(2**level, 8)
        is_last = level == n_layers
        step = 1 if is_last else stride
        layers += [nn.Conv2d(width, wider, 4, stride=step, padding=1, bias=bias), norm_layer(norm, wider), nn.LeakyReLU(0.2)]
        layers += [BlurDown(wider)] if antialias and not is_last else []
        width = wider
    return nn.Sequential(*layers, nn.Conv2d(width, 1, 4, padding=1))


def _pixel_layers(img_channels: int, ndf: int, *, norm: str, bias: bool) -> nn.Sequential:
    """Return the 1x1 convolutions of the pixel variant."""
    first = [nn.Conv2d(img_channels, ndf, 1), nn.LeakyReLU(0.2)]
    second = [nn.Conv2d(ndf, 2 * ndf, 1, bias=bias), norm_layer(norm, 2 * ndf), nn.LeakyReLU(0.2)]
    return nn.Sequential(*first, *second, nn.Conv2d(2 * ndf, 1, 1, bias=bias))
