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
from studio.models.stylegan3_plan import LayerPlan, plan_layers


class FullyConnected(nn.Module):
    """A linear layer with equalised learning rate: ``x [n, in] -> [n, out]``, optionally followed by a leaky ReLU."""

    def __init__(
        self, inputs: int, outputs: int, *, lrelu: bool = False, lr_multiplier: float = 1.0, bias: Sequence[float] = (0.0,)
    ) -> None:
        super().__init__()
        self.lrelu = lrelu
        self.lr_multiplier = lr_multiplier
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(torch.tensor(bias, dtype=torch.float32).expand(outputs).clone() / lr_multiplier)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to ``[n, in]``."""
        y = F.linear(x, self.weight * (self.lr_multiplier / math.sqrt(x.shape[-1])), self.bias * self.lr_multiplier)
        return F.leaky_relu(y, 0.2) * math.sqrt(2) if self.lrelu else y


def _normalize(x: Tensor) -> Tensor:
    """Scale each row to unit mean square."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class MappingNetwork(nn.Module):
    """``mapping(z [n, z_dim], c [n, c_dim] | None) -> ws [n, num_ws, w_dim]``, without truncation."""

    w_avg: Tensor

    def __init__(
        self, *, z_dim: int, c_dim: int, w_dim: int, num_ws: int, num_layers: int, lr_multiplier: float, w_avg_beta: float
    ) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.num_ws, self.w_avg_beta = z_dim, c_dim, num_ws, w_avg_beta
        self.embed = FullyConnected(c_dim, w_dim) if c_dim else None
        widths = [z_dim + (w_dim if c_dim else 0), *[w_dim] * num_layers]
        self.layers: list[str] = [f"fc{index}" for index in range(num_layers)]
        for name, inputs, outputs in zip(self.layers, widths, widths[1:], strict=False):
            self.add_module(name, FullyConnected(inputs, outputs, lrelu=True, lr_multiplier=lr_multiplier))
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Map latents (and class vectors) to one style vector per layer.

        Raises:
            StudioError: The model has classes but ``c`` is missing or of another width.
        """
        x = _normalize(z.to(torch.float32))
        if self.embed is not None:
            if c is None or c.shape[-1] != self.c_dim:
                given = "none was given" if c is None else f"a vector of {c.shape[-1]} was given"
                raise StudioError(f"This model has {self.c_dim} classes (c_dim): pass one weight per class; {given}.")
            x = torch.cat([x, _normalize(self.embed(c.to(torch.float32)))], dim=1)
        for name in self.layers:
            x = self.get_submodule(name)(x)
        if self.training:
            self.w_avg.copy_(x.detach().mean(0).lerp(self.w_avg, self.w_avg_beta))
        return x.unsqueeze(1).repeat(1, self.num_ws, 1)


class SynthesisInput(nn.Module):
    """Fourier features on an endless plane, moved and turned by ``w`` and by the user: ``w [n, w_dim] -> [n, channels, size, size]``."""

    freqs: Tensor
    phases: Tensor
    transform: Tensor

    def __init__(self, *, w_dim: int, channels: int, size: int, sampling_rate: float, bandwidth: float) -> None:
        super().__init__()
        self.channels, self.size, self.sampling_rate, self.bandwidth = channels, size, sampling_rate, bandwidth
        direction = torch.randn(channels, 2)
        square = direction.square().sum(1, keepdim=True)
        self.weight = nn.Parameter(torch.randn(channels, channels))
        self.affine = FullyConnected(w_dim, 4, bias=(1.0, 0.0, 0.0, 0.0))
        nn.init.zeros_(self.affine.weight)
        self.register_buffer("transform", torch.eye(3))
        # The radius of a 2D Gaussian, made uniform over the disc: its CDF is 1 - exp(-r^2 / 2).
        self.register_buffer("freqs", direction / square.sqrt() * (1 - (-square / 2).exp()).sqrt() * bandwidth)
        self.register_buffer("phases", torch.rand(channels) - 0.5)

    def placement(self, w: Tensor, transform: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Move the waves as ``w`` and the user ask.

        Returns:
            Frequencies ``[n, channels, 2]``, phases ``[n, channels]``, amplitudes ``[n, channels]``: what is too high fades.
        """
        user = (self.transform if transform is None else transform).to(w)
        learned = self.affine(w)
        learned = learned / learned[:, :2].norm(dim=1, keepdim=True)
        cos, sin, x, y = learned.unbind(1)
        rotation = torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)
        shift = -(rotation @ torch.stack([x, y], 1).unsqueeze(2))
        moves = torch.cat([rotation, shift], 2) @ user
        linear, offset = moves[..., :2], moves[..., 2:]
        freqs = self.freqs @ linear
        phases = self.phases + (self.freqs @ offset).squeeze(2)
        above = freqs.norm(dim=2) - self.bandwidth
        return freqs, phases, (1 - above / (self.sampling_rate / 2 - self.bandwidth)).clamp(0, 1)

    def grid(self) -> Tensor:
        """Return where the samples of one axis lie, ``[size]``, in picture widths from the centre."""
        steps = torch.arange(self.size, device=self.freqs.device, dtype=torch.float32)
        return (steps - (self.size - 1) / 2) / self.sampling_rate

    def forward(self, w: Tensor, transform: Tensor | None = None) -> Tensor:
        """Sample the features. ``transform`` ``[3, 3]`` or ``[n, 3, 3]`` maps output to input places and replaces the stored one."""
        freqs, phases, amplitudes = self.placement(w, transform)
        place = self.grid()
        along_x = place * freqs[..., :1] + phases.unsqueeze(2)
        along_y = place * freqs[..., 1:]
        waves = torch.sin((along_x.unsqueeze(2) + along_y.unsqueeze(3)) * (2 * math.pi)) * amplitudes[..., None, None]
        return torch.einsum("oc,nchw->nohw", self.weight / math.sqrt(self.channels), waves)


class SynthesisLayer(nn.Module):
    """One modulated convolution and a leaky ReLU between two filters: ``x [n, in, h, h] -> [n, out, size, size]``."""

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(self, plan: LayerPlan, *, w_dim: int, conv_clamp: float | None, magnitude_ema_beta: float) -> None:
        super().__init__()
        self.plan, self.conv_clamp, self.magnitude_ema_beta = plan, conv_clamp, magnitude_ema_beta
        self.affine = FullyConnected(w_dim, plan.in_channels, bias=(1.0,))
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
        """
        first, *others = ws.to(torch.float32).unbind(1)
        x: Tensor = self.input(first, transform)
        for layer, w in zip(self.layers, others, strict=True):
            x = layer(x, w)
        return x * self.output_scale


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
