"""StyleGAN3, configurations t and r: mapping, Fourier input, alias-free synthesis. Module and buffer names are the published ones.

This is *not* the fast path (``accel/stylegan3.py``): it is plain torch, the exact reference, on any device, and trainable.
In training mode the running averages (``w_avg``, ``magnitude_ema``) follow the data, in eval mode they stand still.

Reference:
    Karras et al. 2021, "Alias-Free Generative Adversarial Networks", sections 3.2 and 3.3, appendices C and F.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.errors import StudioError
from studio.models.common import Config
from studio.models.filters import design_lowpass
from studio.models.ops import filtered_lrelu
from studio.models.stylegan2_layers import FullyConnected, MappingNetwork
from studio.models.stylegan3_input import SynthesisInput
from studio.models.stylegan3_plan import LayerPlan, plan_layers


class SynthesisLayer(nn.Module):
    """One modulated convolution and a leaky ReLU between two filters: ``x [n, in, h, h] -> [n, out, size, size]``."""

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(self, plan: LayerPlan, *, w_dim: int, conv_clamp: float | None, magnitude_ema_beta: float) -> None:
        super().__init__()
        self.plan, self.conv_clamp, self.magnitude_ema_beta = plan, conv_clamp, magnitude_ema_beta
        self.affine = FullyConnected(w_dim, plan.in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(plan.out_channels, plan.in_channels, plan.kernel, plan.kernel))
        self.bias = nn.Parameter(torch.zeros(plan.out_channels))
        self.register_buffer("magnitude_ema", torch.ones(()))
        up, down = plan.before, plan.after
        self.register_buffer(
            "up_filter", design_lowpass(plan.up_taps, cutoff=up.cutoff, half_width=up.half_width, sampling_rate=plan.inner_rate)
        )
        self.register_buffer(
            "down_filter",
            design_lowpass(
                plan.down_taps, cutoff=down.cutoff, half_width=down.half_width, sampling_rate=plan.inner_rate, radial=plan.is_radial
            ),
        )

    def scales(self, w: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return what the input channels ``[n, in]`` and, after the convolution, the output channels ``[n, out]`` are scaled by."""
        styles = self.affine(w)
        if self.plan.is_rgb:
            return styles / math.sqrt(self.plan.in_channels * self.plan.kernel**2) * self.magnitude_ema.rsqrt(), None
        styles = styles * styles.square().mean(1, keepdim=True).rsqrt()
        energy = self.unit_weight().square().sum((2, 3))
        return styles * self.magnitude_ema.rsqrt(), (styles.square() @ energy.T + 1e-8).rsqrt()

    def unit_weight(self) -> Tensor:
        """Return the convolution's weight ``[out, in, k, k]`` as it is used: filters of unit norm, except for RGB."""
        if self.plan.is_rgb:
            return self.weight
        return self.weight * self.weight.square().sum((1, 2, 3), keepdim=True).rsqrt()

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Apply the layer with styles from ``w [n, w_dim]``, in the dtype of ``x``."""
        if self.training:
            self.magnitude_ema.copy_(x.detach().float().square().mean().lerp(self.magnitude_ema, self.magnitude_ema_beta))
        before, after = self.scales(w)
        x = F.conv2d(x * before.to(x.dtype)[..., None, None], self.unit_weight().to(x.dtype), padding=self.plan.kernel - 1)
        if after is not None:
            x = x * after.to(x.dtype)[..., None, None]
        return filtered_lrelu(
            x,
            self.up_filter,
            self.down_filter,
            self.bias,
            up=self.plan.up,
            down=self.plan.down,
            padding=self.plan.padding,
            gain=1.0 if self.plan.is_rgb else math.sqrt(2),
            slope=1.0 if self.plan.is_rgb else 0.2,
            clamp=self.conv_clamp,
        )


class SynthesisNetwork(nn.Module):
    """The Fourier input and a row of alias-free layers; see :meth:`forward`."""

    def __init__(
        self,
        plans: Sequence[LayerPlan],
        *,
        w_dim: int,
        output_scale: float,
        conv_clamp: float | None,
        magnitude_ema_beta: float,
    ) -> None:
        super().__init__()
        self.plans, self.output_scale, self.num_ws = tuple(plans), output_scale, len(plans) + 1
        first = plans[0]
        self.input = SynthesisInput(
            w_dim=w_dim,
            channels=first.in_channels,
            size=first.in_size,
            sampling_rate=first.before.rate,
            bandwidth=first.before.cutoff,
        )
        self.layer_names: list[str] = [plan.name for plan in plans]
        for plan in plans:
            layer = SynthesisLayer(plan, w_dim=w_dim, conv_clamp=conv_clamp, magnitude_ema_beta=magnitude_ema_beta)
            self.add_module(plan.name, layer)

    @property
    def layers(self) -> list[SynthesisLayer]:
        """The layers in order, the one to RGB last."""
        return [layer for layer in self.children() if isinstance(layer, SynthesisLayer)]

    def forward(
        self,
        ws: Tensor,
        *,
        noise_mode: str = "const",
        noise_strength: float = 1.0,
        noise_layers: Sequence[float] = (),
        noise_generator: torch.Generator | Sequence[torch.Generator] | None = None,
        transform: Tensor | None = None,
    ) -> Tensor:
        """Make pictures from styles; this family has no noise, so the noise arguments change nothing.

        Args:
            ws: One style vector per layer, ``[n, num_ws, w_dim]``.
            noise_mode: Ignored.
            noise_strength: Ignored.
            noise_layers: Ignored.
            noise_generator: Ignored.
            transform: Inverse matrix (from places in the picture to places on the plane, both in picture widths from
                the centre), ``[3, 3]`` or one per sample ``[n, 3, 3]``; None uses the one stored in the file.

        Returns:
            ``[n, img_channels, img_resolution, img_resolution]`` float32, about -1 to 1.

        Raises:
            StudioError: ``ws`` is of another network, or ``transform`` is no 3x3 matrix (or not one per sample).
        """
        check_request(ws, self.num_ws, self.input.affine.weight.shape[1], transform)
        first, *others = ws.to(torch.float32).unbind(1)
        x: Tensor = self.input(first, transform)
        if x.device.type == "cpu":  # where filters run faster with the channels innermost
            x = x.contiguous(memory_format=torch.channels_last)
        for layer, w in zip(self.layers, others, strict=True):
            x = layer(x, w)
        return (x * self.output_scale).contiguous()


def check_request(ws: Tensor, num_ws: int, w_dim: int, transform: Tensor | None) -> None:
    """Refuse style vectors of another network and what is no transform.

    Raises:
        StudioError: Either was given.
    """
    if ws.ndim != 3 or ws.shape[1:] != (num_ws, w_dim):
        raise StudioError(f"ws has shape {list(ws.shape)}: this model needs [n, {num_ws}, {w_dim}].")
    if transform is not None and transform.shape not in ((3, 3), (len(ws), 3, 3)):
        raise StudioError(f"transform has shape {list(transform.shape)}: this model needs [3, 3] or [{len(ws)}, 3, 3].")


class StyleGAN3Generator(nn.Module):
    """A StyleGAN3 generator; config t with the default arguments, config r with ``conv_kernel=1, use_radial_filters=True``.

    Args:
        z_dim: Width of the latent.
        c_dim: Number of classes, 0 for none.
        w_dim: Width of a style vector.
        img_resolution: Sides of the picture, a power of two.
        img_channels: 1 grey, 3 RGB, 4 RGBA.
        mapping_layers: Depth of the mapping network (published: ``mapping_kwargs.num_layers``).
        mapping_lr_multiplier: Learning rate of the mapping network relative to the rest.
        w_avg_beta: Decay of the running mean of W.
        channel_base: Channels times cutoff, twice (published config r: doubled).
        channel_max: Most channels of a layer.
        channels: Output channels of ``L0 ... L{num_layers - 1}``; None derives them from ``channel_base`` and ``channel_max``.
        num_layers: Layers before the one to RGB.
        num_critical: How many of the last layers are critically sampled.
        first_cutoff: Cutoff of the first layer, cycles per picture width.
        first_stopband: Where the first layer's stop band begins.
        last_stopband_rel: Where the last layer's stop band begins, relative to its cutoff.
        margin_size: Samples kept around the picture in every layer.
        output_scale: Factor on the picture.
        num_fp16_res: How many of the highest resolutions were trained in half precision; kept, here all is float32.
        conv_kernel: Side of the convolutions, 3 for config t, 1 for r.
        filter_size: Taps of the filters relative to the lower rate, even.
        lrelu_upsampling: How much finer than its output a layer computes its leaky ReLU.
        use_radial_filters: Rotationally symmetric downsampling filters (config r).
        conv_clamp: Bound on values after the leaky ReLU, None for no bound.
        magnitude_ema_beta: Decay of the running mean square of each layer's input.
    """

    family = "stylegan3"
    has_noise = False
    has_transform = True

    def __init__(
        self,
        *,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        img_resolution: int,
        img_channels: int,
        mapping_layers: int = 2,
        mapping_lr_multiplier: float = 0.01,
        w_avg_beta: float = 0.998,
        channel_base: int = 32768,
        channel_max: int = 512,
        channels: Sequence[int] | None = None,
        num_layers: int = 14,
        num_critical: int = 2,
        first_cutoff: float = 2.0,
        first_stopband: float = 2**2.1,
        last_stopband_rel: float = 2**0.3,
        margin_size: int = 10,
        output_scale: float = 0.25,
        num_fp16_res: int = 4,
        conv_kernel: int = 3,
        filter_size: int = 6,
        lrelu_upsampling: int = 2,
        use_radial_filters: bool = False,
        conv_clamp: float | None = 256,
        magnitude_ema_beta: float = 0.999,
    ) -> None:
        arguments = dict(locals())
        super().__init__()
        self.config: Config = {name: arguments[name] for name in inspect.signature(type(self)).parameters}
        self.config["channels"] = None if channels is None else list(channels)
        plans = plan_layers(
            img_resolution=img_resolution,
            img_channels=img_channels,
            num_layers=num_layers,
            num_critical=num_critical,
            cutoffs=(first_cutoff, first_stopband, last_stopband_rel),
            margin_size=margin_size,
            channels=channels,
            channel_base=channel_base,
            channel_max=channel_max,
            conv_kernel=conv_kernel,
            filter_size=filter_size,
            lrelu_upsampling=lrelu_upsampling,
            use_radial_filters=use_radial_filters,
        )
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, w_dim
        self.img_resolution, self.img_channels = img_resolution, img_channels
        self.num_ws = len(plans) + 1
        self.layer_resolutions = (plans[0].before.rate, *(plan.after.rate for plan in plans))
        self.synthesis = SynthesisNetwork(
            plans, w_dim=w_dim, output_scale=output_scale, conv_clamp=conv_clamp, magnitude_ema_beta=magnitude_ema_beta
        )
        self.mapping = MappingNetwork(
            z_dim=z_dim,
            c_dim=c_dim,
            w_dim=w_dim,
            num_ws=self.num_ws,
            num_layers=mapping_layers,
            lr_multiplier=mapping_lr_multiplier,
            w_avg_beta=w_avg_beta,
        )

    @property
    def w_avg(self) -> Tensor:
        """The average style, ``[w_dim]``."""
        return self.mapping.w_avg

    def forward(self, z: Tensor, c: Tensor | None = None, *, transform: Tensor | None = None) -> Tensor:
        """Make pictures ``[n, img_channels, img_resolution, img_resolution]`` from ``z [n, z_dim]`` (and ``c [n, c_dim]``)."""
        images: Tensor = self.synthesis(self.mapping(z, c), transform=transform)
        return images
