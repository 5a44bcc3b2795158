"""What all networks share: the two protocols they serve, and building one from its family name and configuration.

This is *not* a base class: a network is a torch module that happens to have these attributes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

Config = dict[str, Any]
"""The keyword arguments of a network's constructor, as they go into JSON."""

FAMILIES = {
    "stylegan2": ("studio.models.stylegan2", "StyleGAN2Generator"),
    "stylegan2-discriminator": ("studio.models.stylegan2_discriminator", "StyleGAN2Discriminator"),
    "stylegan3": ("studio.models.stylegan3", "StyleGAN3Generator"),
    "gan": ("studio.models.gan", "GanGenerator"),
    "gan-discriminator": ("studio.models.gan", "GanDiscriminator"),
    "dcgan": ("studio.models.dcgan", "DcganGenerator"),
    "wgan": ("studio.models.dcgan", "WganGenerator"),
    "wgan-gp": ("studio.models.dcgan", "WganGpGenerator"),
    "sngan": ("studio.models.dcgan", "SnganGenerator"),
    "cgan": ("studio.models.dcgan", "CganGenerator"),
    "dcgan-discriminator": ("studio.models.dcgan", "DcganDiscriminator"),
    "progan": ("studio.models.progan", "ProganGenerator"),
    "progan-discriminator": ("studio.models.progan", "ProganDiscriminator"),
    "biggan": ("studio.models.biggan", "BigGanGenerator"),
    "biggan-discriminator": ("studio.models.biggan", "BigGanDiscriminator"),
    "fastgan": ("studio.models.fastgan", "FastGANGenerator"),
    "fastgan-discriminator": ("studio.models.fastgan", "FastGANDiscriminator"),
    "projected-discriminator": ("studio.models.projected", "ProjectedDiscriminator"),
    "style-transfer": ("studio.models.style_transfer", "StyleTransfer"),
    "any-style": ("studio.models.any_style", "AnyStyle"),
    "projected-patches": ("studio.models.projected", "ProjectedPatches"),
    "resnet": ("studio.models.translators", "ResnetTranslator"),
    "unet": ("studio.models.translators", "UnetTranslator"),
    "esrgan": ("studio.models.rrdbnet", "RRDBNet"),
    "compact": ("studio.models.compact", "CompactUpscaler"),
    "patchgan": ("studio.models.patchgan", "PatchDiscriminator"),
}
"""Family name -> module and class."""


@runtime_checkable
class LatentGenerator(Protocol):
    """A network that makes pictures from latents: ``synthesis(mapping(z, c))``."""

    family: str
    config: Config
    z_dim: int
    c_dim: int
    w_dim: int
    num_ws: int
    img_resolution: int
    img_channels: int
    layer_resolutions: tuple[int, ...]
    """The resolution that each of the ``num_ws`` style vectors acts at."""
    has_noise: bool
    has_transform: bool
    mapping: nn.Module
    """``mapping(z [n, z_dim], c [n, c_dim] | None) -> ws [n, num_ws, w_dim]``, without truncation."""
    synthesis: nn.Module
    """See :class:`Synthesis`."""

    @property
    def w_avg(self) -> Tensor:
        """The average style, ``[w_dim]``."""
        ...


class Synthesis(Protocol):
    """The signature that every generator's ``synthesis`` serves, and every fast path of it."""

    def __call__(
        self,
        ws: Tensor,
        *,
        noise_mode: str = "const",
        noise_strength: float = 1.0,
        noise_layers: Sequence[float] = (),
        noise_generator: torch.Generator | Sequence[torch.Generator] | None = None,
        transform: Tensor | None = None,
    ) -> Tensor:
        """Make pictures, ``[n, C, H, W]`` float32 around [-1, 1], from ``ws [n, num_ws, w_dim]``."""
        ...


@runtime_checkable
class Translator(Protocol):
    """A network that turns one picture into another: ``forward(img [n, 3, H, W])``, values in [-1, 1]."""

    family: str
    config: Config
    multiple_of: int
    """Both sides of the input must be divisible by this."""
    min_size: int
    """The shortest side the network can take."""
    img_channels_in: int
    img_channels_out: int
    norm_mode: str
    """``published``: batch norm uses the picture's own statistics, as the published tool does; ``eval``: the stored ones."""
    dropout_on: bool

    def __call__(self, img: Tensor) -> Tensor:
        """Translate ``img [n, 3, H, W]``, values in [-1, 1]."""
        ...


class Tiled(Protocol):
    """Runs a stage of an upscaler over a map in pieces and puts the results together."""

    def __call__(self, run: Callable[[Tensor], Tensor], x: Tensor, *, reach: int | None, factor: int = 1) -> Tensor:
        """Return ``run(x)`` for a stage that gives ``factor`` times as many rows and columns.

        ``run`` looks ``reach`` pixels around; None: it runs in one piece.
        """
        ...


@runtime_checkable
class Upscaler(Protocol):
    """A network that enlarges pictures ``[n, 3, H, W]``, values in [0, 1], by a whole number."""

    family: str
    config: Config
    scale: int
    unshuffle: int
    """Both sides of the input must be divisible by this."""

    def __call__(self, img: Tensor) -> Tensor:
        """Enlarge ``img`` to ``[n, 3, scale * H, scale * W]``, about [0, 1]."""
        ...

    def in_tiles(self, img: Tensor, tiled: Tiled) -> Tensor:
        """Do the same piece by piece."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return the weights, as every module does."""
        ...


def build(family: str, config: Config) -> nn.Module:
    """Build a network with fresh weights from the name of its family and its constructor's arguments.

    Raises:
        KeyError: The family is unknown (callers that read files check against :data:`FAMILIES` first).
    """
    module_name, class_name = FAMILIES[family]
    network: nn.Module = getattr(importlib.import_module(module_name), class_name)(**config)
    return network
