"""What the networks before and beside StyleGAN are built from: weights with spectral norm, batch norms, the latent as style.

Weights start as He et al. 2015 have it, unless a paper says otherwise. This is *not* a place for whole networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.errors import StudioError
from studio.models import common
from studio.models.stylegan2 import Generators, check_request

LEAK = 0.2

Share = Callable[[Tensor], Tensor]
"""Averages a tensor over several processes, with gradients."""


class _Weighted(nn.Module):
    """A weight (outputs first) and a bias; with ``spectral_norm`` the weight acts divided by its largest singular value.

    That value is followed by one step of the power method in each training pass; in eval mode it stands still.

    Reference:
        Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks", section 2.1 and algorithm 1.
    """

    u: Tensor

    def __init__(self, shape: Sequence[int], *, bias: bool, spectral_norm: bool, gain: float) -> None:
        super().__init__()
        self.spectral_norm = spectral_norm
        self.weight = nn.Parameter(torch.randn(tuple(shape)) * (gain / math.sqrt(math.prod(shape[1:]))))
        self.bias = nn.Parameter(torch.zeros(shape[0])) if bias else None
        if spectral_norm:
            self.register_buffer("u", torch.randn(shape[0]))

    def acting_weight(self) -> Tensor:
        """Return the weight that the layer multiplies with, shaped like ``weight``."""
        if not self.spectral_norm:
            return self.weight
        with torch.autocast(self.weight.device.type, enabled=False):
            matrix = self.weight.flatten(1)
            with torch.no_grad():
                v = F.normalize(matrix.T @ self.u, dim=0)
                u = F.normalize(matrix @ v, dim=0)
                if self.training:
                    self.u.copy_(u)
            return self.weight / torch.dot(u, matrix @ v)


class Linear(_Weighted):
    """A fully connected layer."""

    def __init__(
        self, in_features: int, out_features: int, *, bias: bool = True, spectral_norm: bool = False, gain: float = math.sqrt(2)
    ) -> None:
        super().__init__((out_features, in_features), bias=bias, spectral_norm=spectral_norm, gain=gain)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x [n, in_features]`` to ``[n, out_features]``."""
        return F.linear(x, self.acting_weight(), self.bias)


class Conv(_Weighted):
    """A convolution, padded so that ``stride`` alone decides the size."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        bias: bool = True,
        spectral_norm: bool = False,
        gain: float = math.sqrt(2),
    ) -> None:
        shape = (out_channels, in_channels, kernel_size, kernel_size)
        super().__init__(shape, bias=bias, spectral_norm=spectral_norm, gain=gain)
        self.stride, self.padding = stride, (kernel_size - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x [n, in, h, w]`` to ``[n, out, h / stride, w / stride]``."""
        return F.conv2d(x, self.acting_weight(), self.bias, stride=self.stride, padding=self.padding)


class ConvUp(nn.Module):
    """A transposed 4x4 convolution that doubles the size (Radford et al. 2016)."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True, gain: float = math.sqrt(2)) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(in_channels, out_channels, 4, 4) * (gain / math.sqrt(in_channels * 4)))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x [n, in, h, w]`` to ``[n, out, 2 h, 2 w]``."""
        return F.conv_transpose2d(x, self.weight, self.bias, stride=2, padding=1)


class BatchNorm(nn.Module):
    """Batch norm over ``[n, C, h, w]``; ``share`` makes several processes one batch, ``affine`` scales and shifts.

    Reference:
        Ioffe and Szegedy 2015, "Batch Normalization".
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, *, affine: bool = True) -> None:
        super().__init__()
        self.momentum, self.eps = 0.1, 1e-5
        self.share: Share | None = None
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` per channel: by the batch in training mode, else by the running statistics."""
        if self.training and self.share is not None:
            return self._shared(x, self.share)
        running = (self.running_mean, self.running_var)
        return F.batch_norm(x, *running, self.weight, self.bias, self.training, self.momentum, self.eps)

    def _shared(self, x: Tensor, share: Share) -> Tensor:
        x32 = x.float()
        mean, square = share(torch.stack([x32.mean((0, 2, 3)), x32.square().mean((0, 2, 3))]))
        variance = square - mean.square()
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
        y = (x32 - mean[:, None, None]) * (variance + self.eps).rsqrt()[:, None, None]
        if self.weight is not None and self.bias is not None:
            y = y * self.weight[:, None, None] + self.bias[:, None, None]
        result: Tensor = y.to(x.dtype)
        return result


class ConditionalBatchNorm(nn.Module):
    """Batch norm whose scale and shift come from a style, ``1 + A w`` and ``B w`` (de Vries et al. 2017; Brock et al. 2019, app. B)."""

    def __init__(self, channels: int, w_dim: int, *, spectral_norm: bool = False) -> None:
        super().__init__()
        self.norm = BatchNorm(channels, affine=False)
        self.gain = Linear(w_dim, channels, bias=False, spectral_norm=spectral_norm, gain=1.0)
        self.shift = Linear(w_dim, channels, bias=False, spectral_norm=spectral_norm, gain=1.0)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Normalise ``x [n, C, h, w]`` and colour it with ``w [n, w_dim]``."""
        y: Tensor = self.norm(x)
        result: Tensor = y * (1 + self.gain(w))[:, :, None, None] + self.shift(w)[:, :, None, None]
        return result


def batch_norms(network: nn.Module) -> list[BatchNorm]:
    """Return the batch norms of a network."""
    return [module for module in network.modules() if isinstance(module, BatchNorm)]


@torch.no_grad()
def settle_statistics(network: nn.Module, run: Callable[[int], object], batches: int) -> None:
    """Give the batch norms of an averaged network statistics of its own: the mean over ``batches`` calls of ``run``.

    Weights that are averages of many networks fit no single network's statistics (Brock et al. 2019, section 4.1, "standing
    statistics"). The rest of the network stays in eval mode. Nothing happens without batch norms.
    """
    norms = batch_norms(network)
    for number in range(batches if norms else 0):
        for norm in norms:
            norm.training, norm.momentum = True, 1 / (number + 1)
        run(number)
    for norm in norms:
        norm.training, norm.momentum = False, 0.1


def without_spectral_norm(network: nn.Module) -> nn.Module:
    """Return the same network with plain weights; a network without spectral norm comes back as it is."""
    layers = {name: m for name, m in network.named_modules() if isinstance(m, _Weighted) and m.spectral_norm}
    if not layers:
        return network
    tensors = network.state_dict()
    for name, layer in layers.items():
        tensors[f"{name}.weight"] = layer.eval().acting_weight().detach()
        del tensors[f"{name}.u"]
    with torch.random.fork_rng(devices=[]):
        plain = common.build(str(network.family), {**dict(network.config), "spectral_norm": False})  # type: ignore[arg-type]
    plain.load_state_dict(tensors)
    return plain.train(network.training)


def exactly(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Run a layer in float32, also under autocast: logits differ by little, and half precision would round that away."""
    with torch.autocast(x.device.type, enabled=False):
        return layer(x.float())


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2."""
    return F.leaky_relu(x, LEAK)


def checked(value: Tensor | None, width: int, name: str) -> Tensor:
    """Return ``z`` or ``c`` as float.

    Raises:
        StudioError: It is missing or has the wrong width.
    """
    if value is None or value.ndim != 2 or value.shape[1] != width:
        found = "is missing" if value is None else f"has shape {list(value.shape)}"
        raise StudioError(f"{name} {found}: this model needs {name} of shape [n, {width}].")
    return value.float()


def check_sizes(img_resolution: int, channels: Sequence[int]) -> None:
    """Check that there is one width for 4, 8, ... ``img_resolution`` px.

    Raises:
        StudioError: The resolution is no power of two from 8, or the widths do not fit it.
    """
    if img_resolution < 8 or img_resolution & (img_resolution - 1):
        raise StudioError(f"img_resolution={img_resolution} is not possible: use 8, 16, 32 ... pixels.")
    needed = img_resolution.bit_length() - 2
    if len(channels) != needed or min(channels) < 1:
        raise StudioError(f"channels={list(channels)} does not fit {img_resolution} px: {needed} widths (for 4, 8 ... px) are needed.")


class LatentAsStyle(nn.Module):
    """The mapping of networks that have none: the one style is the latent, with the class beside it."""

    def __init__(self, z_dim: int, c_dim: int) -> None:
        super().__init__()
        self.z_dim, self.c_dim = z_dim, c_dim

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Map ``z [n, z_dim]`` and ``c [n, c_dim]`` to ``ws [n, 1, z_dim + c_dim]``."""
        parts = [checked(z, self.z_dim, "z")]
        if self.c_dim:
            parts.append(checked(c, self.c_dim, "c"))
        return torch.cat(parts, 1).unsqueeze(1)

    def average(self, like: Tensor) -> Tensor:
        """Return the mean style, ``[z_dim + c_dim]``: no latent, every class alike."""
        share = 1 / self.c_dim if self.c_dim else 0.0
        return torch.cat([like.new_zeros(self.z_dim), like.new_full((self.c_dim,), share)])


class PlainSynthesis(nn.Module):
    """A synthesis without noise and without a transform; sub-classes paint."""

    def __init__(self, num_ws: int, w_dim: int) -> None:
        super().__init__()
        self.num_ws, self.w_dim = num_ws, w_dim

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
        """Make pictures ``[n, C, H, W]`` float32 around [-1, 1] from ``ws [n, num_ws, w_dim]``; noise there is none.

        Raises:
            StudioError: ``ws`` has the wrong shape, or a transform was given.
        """
        check_request(ws, self.num_ws, self.w_dim, transform)
        return self.paint(ws.float()).float()

    def paint(self, ws: Tensor) -> Tensor:
        """Make the pictures."""
        raise NotImplementedError
