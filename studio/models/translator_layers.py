"""The parts that image translators and their discriminators are built from: norms, dropout, blur-pool, weight init.

Each is a small module without surprises at inference: which statistics a norm uses and whether dropout is on are said by an
attribute, not by ``train()`` and ``eval()`` alone. This is *not* a place for whole networks.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORMS = ("instance", "instance-affine", "batch", "none")


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that can use the picture's own statistics at inference, as the published pix2pix test does.

    In training mode it is ordinary batch norm. In eval mode ``own_statistics`` decides: True normalises with the mean and
    variance of the given batch (and leaves the running ones untouched), False with the running ones.

    Reference:
        Ioffe and Szegedy 2015, "Batch Normalization"; Isola et al. 2017, "Image-to-Image Translation with Conditional
        Adversarial Networks", section 3.3 (test-time use of the batch's statistics).
    """

    own_statistics = True

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x [n, C, H, W]`` per channel."""
        if self.training or not self.own_statistics:
            return super().forward(x)
        return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)


class Dropout(nn.Module):
    """Dropout with its own switch and its own random generator; it ignores ``train()`` and ``eval()``.

    Reference:
        Srivastava et al. 2014, "Dropout"; used as the noise of pix2pix by Isola et al. 2017, section 3.1.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None
        """Where randomness comes from; None switches dropout off."""

    def forward(self, x: Tensor) -> Tensor:
        """Zero each value of ``x`` with probability ``p`` and scale the rest by ``1 / (1 - p)``, or return ``x`` when off."""
        if self.generator is None:
            return x
        keep = torch.rand(x.shape, generator=self.generator, device=self.generator.device).to(x.device) >= self.p
        return x * keep.to(x.dtype) / (1 - self.p)


class BlurDown(nn.Module):
    """Halve both sides with a [1, 2, 1] low-pass filter, borders reflected.

    Reference:
        Zhang 2019, "Making Convolutional Networks Shift-Invariant Again", section 3.
    """

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", _binomial((1.0, 2.0, 1.0)).repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[n, C, ceil(H / 2), ceil(W / 2)]``."""
        filt = self.filt.to(x.dtype)
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), filt, stride=2, groups=filt.shape[0])


class BlurUp(nn.Module):
    """Double both sides with a [1, 3, 3, 1] interpolation filter, borders repeated.

    Reference:
        Zhang 2019, "Making Convolutional Networks Shift-Invariant Again", section 3.
    """

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", 4 * _binomial((1.0, 3.0, 3.0, 1.0)).repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[n, C, 2 H, 2 W]``."""
        filt = self.filt.to(x.dtype)
        # One repeated pixel on each side becomes two after doubling; the filter reaches one further: 3 of the 4 are cut off.
        return F.conv_transpose2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), filt, stride=2, padding=3, groups=filt.shape[0])


def _binomial(taps: tuple[float, ...]) -> Tensor:
    """Return the separable filter of ``taps`` with sum 1, ``[1, 1, k, k]``."""
    row = torch.tensor(taps)
    square = row[:, None] * row[None, :]
    return (square / square.sum())[None, None]


def norm_layer(norm: str, channels: int) -> nn.Module:
    """Build the norm called ``norm``: instance, instance-affine, batch or none."""
    if norm == "batch":
        return BatchNorm(channels)
    if norm == "none":
        return nn.Identity()
    assert norm in NORMS, norm
    return nn.InstanceNorm2d(channels, affine=norm == "instance-affine")


def pad_layer(mode: str, pixels: int) -> nn.Module:
    """Build a padding layer of ``pixels`` on each side: reflect, replicate or zeros."""
    kinds: dict[str, type[nn.Module]] = {"reflect": nn.ReflectionPad2d, "replicate": nn.ReplicationPad2d, "zeros": nn.ZeroPad2d}
    return kinds[mode](pixels)


def init_weights(net: nn.Module, kind: str = "normal", gain: float = 0.02, *, generator: torch.Generator) -> None:
    """Give every convolution and norm of a translator or discriminator fresh weights, in place.

    Convolutions: normal with deviation ``gain``, or Xavier normal with gain ``gain``; biases 0. Affine norms: weight normal
    around 1 with deviation ``gain``, bias 0.

    Args:
        net: The network; its parameters are overwritten in the order of ``net.modules()``.
        kind: "normal" (CycleGAN, pix2pix) or "xavier" (CUT).
        gain: Deviation or gain, see above.
        generator: The only source of randomness.

    Reference:
        Zhu et al. 2017, "Unpaired Image-to-Image Translation", appendix 7.1; Glorot and Bengio 2010.
    """
    assert kind in ("normal", "xavier"), kind
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                if kind == "normal":
                    nn.init.normal_(module.weight, 0.0, gain, generator=generator)
                else:
                    nn.init.xavier_normal_(module.weight, gain, generator=generator)
            elif isinstance(module, (nn.BatchNorm2d, nn.InstanceNorm2d)) and module.affine:
                nn.init.normal_(module.weight, 1.0, gain, generator=generator)
            else:
                continue
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def set_norm_statistics(layers: Iterable[nn.Module], own: bool) -> None:
    """Let every batch norm among ``layers`` use the picture's own statistics, or the stored ones."""
    for layer in layers:
        if isinstance(layer, BatchNorm):
            layer.own_statistics = own


def set_dropout(layers: Iterable[nn.Module], generator: torch.Generator | None) -> None:
    """Give every dropout among ``layers`` its generator; None switches dropout off."""
    for layer in layers:
        if isinstance(layer, Dropout):
            layer.generator = generator
