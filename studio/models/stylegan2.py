"""The StyleGAN2 generator: mapping and synthesis, with everything a published file may ask for.

Plain torch on any device, the exact reference that saved pictures are rendered with, and trainable. Module, parameter
and buffer names are the published ones. This is *not* the fast path (``studio/accel/stylegan2.py``).

Reference:
    Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN".
"""

from __future__ import annotations

import math
import typing
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from studio.errors import StudioError
from studio.models import ops
from studio.models.common import Config
from studio.models.stylegan2_layers import ConvLayer, FullyConnected, MappingNetwork, Settings, Taps, check_sizes, config_of

Generators = torch.Generator | Sequence[torch.Generator] | None
HALF = math.sqrt(0.5)


def draw_noise(generators: Generators, n: int, resolution: int) -> Tensor:
    """Draw unit Gaussian noise ``[n, 1, resolution, resolution]``.

    With one generator per sample the noise of a sample does not depend on the others in the batch.

    Raises:
        StudioError: The number of generators is not ``n``.
    """
    size = (1, resolution, resolution)
    if generators is None:
        generators = torch.Generator()
        generators.seed()
    if isinstance(generators, torch.Generator):
        return torch.randn((n, *size), generator=generators, device=generators.device)
    if len(generators) != n:
        raise StudioError(f"{len(generators)} noise generators were given for {n} pictures: give one for each, or a single one.")
    return torch.stack([torch.randn(size, generator=generator, device=generator.device) for generator in generators])


@dataclass(frozen=True, slots=True)
class Noise:
    """Which noise the layers get: ``const`` (stored with the weights), ``random`` or ``none``, and how strong."""

    mode: str = "const"
    strength: float = 1.0
    layers: Sequence[float] = ()
    generators: Generators = None

    def __post_init__(self) -> None:
        if self.mode not in ("const", "random", "none"):
            raise StudioError(f"noise_mode={self.mode!r} is not known. Use const, random or none.")

    def scale(self, index: int) -> float:
        """Return the factor of layer ``index`` on the strength that the network learned; 0 means none."""
        if self.mode == "none":
            return 0.0
        return self.strength * (self.layers[index] if index < len(self.layers) else 1.0)


class SynthesisLayer(nn.Module):
    """One styled convolution: modulate, convolve (maybe doubling the size), demodulate, add noise, activate."""

    noise_const: Tensor
    resample_filter: Tensor

    def __init__(self, in_channels: int, out_channels: int, settings: Settings, *, resolution: int, up: int = 1) -> None:
        super().__init__()
        self.resolution, self.up, self.use_noise = resolution, up, settings.use_noise
        self.activation, self.conv_clamp = settings.activation, settings.conv_clamp
        # The published layout has this buffer in every layer, with the default taps where nothing is resampled.
        self.register_buffer("resample_filter", ops.setup_filter(settings.resample_filter if up == 2 else (1, 3, 3, 1)))
        self.affine = FullyConnected(settings.w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        if settings.use_noise:
            self.register_buffer("noise_const", torch.randn(resolution, resolution))
            self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor, w: Tensor, *, noise: Noise, index: int, gain: float = 1.0) -> Tensor:
        """Map ``x [n, in, h, h]`` with styles ``w [n, w_dim]`` to ``[n, out, resolution, resolution]``."""
        act_gain = ops.ACTIVATIONS[self.activation][1] * gain
        early, late = (act_gain, 1.0) if self.activation in ops.HOMOGENEOUS else (1.0, act_gain)
        x = ops.modulated_conv2d(
            x, self.weight, self.affine(w), up=self.up, padding=1, taps=self.resample_filter, noise=self._noise(noise, index, x), gain=early
        )
        clamp = None if self.conv_clamp is None else self.conv_clamp * gain
        return ops.bias_act(x, self.bias * early, act=self.activation, gain=late, clamp=clamp)

    def _noise(self, noise: Noise, index: int, x: Tensor) -> Tensor | None:
        scale = noise.scale(index)
        if not self.use_noise or scale == 0:
            return None
        grain = self.noise_const if noise.mode == "const" else draw_noise(noise.generators, len(x), self.resolution).to(x.device)
        return grain * (self.noise_strength * scale)


class ToRGB(nn.Module):
    """A styled 1x1 convolution from features to colours, without demodulation."""

    def __init__(self, in_channels: int, settings: Settings) -> None:
        super().__init__()
        self.conv_clamp = settings.conv_clamp
        self.weight_gain = 1 / math.sqrt(in_channels)
        self.affine = FullyConnected(settings.w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(settings.img_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(settings.img_channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Map ``x [n, in, h, h]`` with styles ``w [n, w_dim]`` to float32 colours ``[n, out, h, h]``."""
        x = ops.modulated_mix(x, self.weight[:, :, 0, 0], self.affine(w) * self.weight_gain)
        return ops.bias_act(x, self.bias, clamp=self.conv_clamp).float()


class SynthesisBlock(nn.Module):
    """All layers of one resolution; the first block (``in_channels`` 0) starts from a learned constant."""

    resample_filter: Tensor

    def __init__(self, in_channels: int, out_channels: int, settings: Settings, *, resolution: int, is_last: bool) -> None:
        super().__init__()
        is_first, architecture = in_channels == 0, settings.architecture
        self.num_conv = 1 if is_first else 2
        self.register_buffer("resample_filter", ops.setup_filter(settings.resample_filter))
        if is_first:
            self.const = nn.Parameter(torch.randn(out_channels, resolution, resolution))
        self.conv0 = None if is_first else SynthesisLayer(in_channels, out_channels, settings, resolution=resolution, up=2)
        self.conv1 = SynthesisLayer(out_channels, out_channels, settings, resolution=resolution)
        self.torgb = ToRGB(out_channels, settings) if is_last or architecture == "skip" else None
        self.skip: ConvLayer | None = None
        if architecture == "resnet" and not is_first:
            taps = settings.resample_filter
            self.skip = ConvLayer(in_channels, out_channels, kernel_size=1, bias=False, up=2, resample_filter=taps)

    def forward(self, x: Tensor | None, img: Tensor | None, ws: Tensor, *, noise: Noise, index: int) -> tuple[Tensor, Tensor | None]:
        """Take features and picture of half the size to this block's; ``index`` is the first layer's place in ``ws``."""
        styles = list(ws.unbind(dim=1))
        if self.conv0 is None:
            x = self.const.unsqueeze(0).expand(len(ws), -1, -1, -1)
            x = self.conv1(x, styles[index], noise=noise, index=index)
        else:
            assert x is not None
            shortcut = None if self.skip is None else self.skip(x, gain=HALF)
            x = self.conv0(x, styles[index], noise=noise, index=index)
            x = self.conv1(x, styles[index + 1], noise=noise, index=index + 1, gain=1.0 if shortcut is None else HALF)
            x = x if shortcut is None else shortcut + x
        assert x is not None
        if img is not None:
            img = ops.upsample2d(img, self.resample_filter)
        if self.torgb is not None:
            color = self.torgb(x, styles[index + self.num_conv])
            img = color if img is None else img + color
        return x, img


class SynthesisNetwork(nn.Module):
    """Style vectors to pictures; see :class:`StyleGAN2Generator` for the arguments."""

    def __init__(self, channels: Sequence[int], settings: Settings) -> None:
        super().__init__()
        self.w_dim = settings.w_dim
        self.num_ws = 2 * len(channels)
        self.block_resolutions = tuple(4 << step for step in range(len(channels)))
        for inputs, outputs, resolution in zip((0, *channels), channels, self.block_resolutions, strict=False):
            is_last = resolution == self.block_resolutions[-1]
            self.add_module(f"b{resolution}", SynthesisBlock(inputs, outputs, settings, resolution=resolution, is_last=is_last))

    def blocks(self) -> list[SynthesisBlock]:
        """Return the blocks from 4 px up."""
        return [typing.cast(SynthesisBlock, self.get_submodule(f"b{resolution}")) for resolution in self.block_resolutions]

    def forward(
        self,
        ws: Tensor,
        *,
        noise_mode: str = "const",
        noise_strength: float = 1.0,
        noise_layers: Sequence[float] = (),
        noise_generator: Generators = None,
        transform: Tensor | None = None,
    ) -> Tensor:
        """Make pictures ``[n, img_channels, img_resolution, img_resolution]``, float32, around [-1, 1].

        Args:
            ws: ``[n, num_ws, w_dim]``.
            noise_mode: ``const``, ``random`` or ``none``.
            noise_strength: Factor on every layer's learned noise strength.
            noise_layers: One more factor per layer (missing: 1).
            noise_generator: For ``random``: one generator, or one per sample; None draws a new seed.
            transform: Must be None; only StyleGAN3 can move the picture.

        Raises:
            StudioError: ``ws`` has the wrong shape, ``noise_mode`` is unknown, or a ``transform`` was given.
        """
        check_request(ws, self.num_ws, self.w_dim, transform)
        noise = Noise(noise_mode, noise_strength, noise_layers, noise_generator)
        x: Tensor | None = None
        img: Tensor | None = None
        index = 0
        for block in self.blocks():
            x, img = block(x, img, ws.float(), noise=noise, index=index)
            index += block.num_conv
        assert img is not None
        return img


def check_request(ws: Tensor, num_ws: int, w_dim: int, transform: Tensor | None) -> None:
    """Refuse style vectors of another network, and a transform.

    Raises:
        StudioError: Either was given.
    """
    if transform is not None:
        raise StudioError("This model cannot move or turn its picture: only StyleGAN3 models can. Leave the transform as it is.")
    if ws.ndim != 3 or ws.shape[1:] != (num_ws, w_dim):
        raise StudioError(f"ws has shape {list(ws.shape)}: this model needs [n, {num_ws}, {w_dim}].")


class StyleGAN2Generator(nn.Module):
    """A StyleGAN2 network: ``synthesis(mapping(z, c))``.

    Args:
        z_dim: Width of the latent.
        c_dim: Number of classes, 0 for none.
        w_dim: Width of a style vector.
        img_resolution: Side of the picture, a power of two from 4.
        img_channels: 1, 3 or 4.
        channels: Feature channels at 4, 8, ... ``img_resolution`` px.
        num_layers: Depth of the mapping.
        embed_features: Width of the embedded class; None is ``w_dim``.
        layer_features: Width of the mapping's hidden layers; None is ``w_dim``.
        lr_multiplier: Learning rate factor of the mapping, part of its arithmetic.
        architecture: ``skip`` | ``orig`` | ``resnet``.
        resample_filter: Taps of the low-pass filter.
        conv_clamp: Bound on activations, or None.
        activation: Name in :data:`studio.models.ops.ACTIVATIONS`.
        use_noise: Whether layers have per-pixel noise.
        w_avg_beta: Decay of the average style while training.

    Raises:
        StudioError: Sizes do not fit together.
    """

    family = "stylegan2"
    has_transform = False

    def __init__(
        self,
        *,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        img_resolution: int,
        img_channels: int,
        channels: Sequence[int],
        num_layers: int = 8,
        embed_features: int | None = None,
        layer_features: int | None = None,
        lr_multiplier: float = 0.01,
        architecture: str = "skip",
        resample_filter: Taps = (1, 3, 3, 1),
        conv_clamp: float | None = None,
        activation: str = "lrelu",
        use_noise: bool = True,
        w_avg_beta: float = 0.998,
    ) -> None:
        super().__init__()
        self.config: Config = config_of(locals())
        settings = Settings(img_channels, architecture, resample_filter, conv_clamp, activation, w_dim, use_noise)
        check_sizes(img_resolution, channels, settings)
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, w_dim
        self.img_resolution, self.img_channels, self.has_noise = img_resolution, img_channels, use_noise
        self.synthesis = SynthesisNetwork(channels, settings)
        self.num_ws = self.synthesis.num_ws
        steps = self.synthesis.block_resolutions
        self.layer_resolutions: tuple[int, ...] = (4, *(size for size in steps[1:] for _ in range(2)), steps[-1])
        self.mapping = MappingNetwork(
            z_dim=z_dim,
            c_dim=c_dim,
            w_dim=w_dim,
            num_ws=self.num_ws,
            num_layers=num_layers,
            embed_features=embed_features,
            layer_features=layer_features,
            lr_multiplier=lr_multiplier,
            w_avg_beta=w_avg_beta,
        )

    @property
    def w_avg(self) -> Tensor:
        """The average style, ``[w_dim]``."""
        return self.mapping.w_avg
