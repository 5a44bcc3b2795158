"""The averaged generator of a GAN, as it is shown and judged while it trains: fixed samples, their sheet, their measures.

This is *not* how the average follows the generator (``trainer.follow``) or what the measures are (``measures.py``).
"""

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from studio import latents
from studio.latents import ClassMeans
from studio.models import gan_layers
from studio.training.inputs import Inputs
from studio.training.measures import Measures, opaque
from studio.training.settings import Settings
from studio.training.trainer import UInt8, autocast, sheet, to_image

SAMPLE_PSI = 0.7
QUALITY_PICTURES = 512
SETTLING_BATCHES = 8


class Averaged:
    """Makes pictures with the averaged generator; say :meth:`changed` whenever its weights have."""

    def __init__(self, G_ema: Any, inputs: Inputs, settings: Settings, dtype: torch.dtype) -> None:
        self._G_ema = G_ema
        self._inputs = inputs
        self._settings = settings
        self._dtype = dtype
        self._is_settled = False
        self._measures: Measures | None = None

    def changed(self) -> None:
        """Note that the weights have changed."""
        self._is_settled = False

    @torch.inference_mode()
    def settle(self) -> None:
        """Give the network's batch norms, if it has any, statistics that fit its weights: the same for the same weights."""
        if self._is_settled:
            return
        batch, rng = self._inputs.batch, np.random.Generator(np.random.PCG64(0))
        labels = self._inputs.draw.labels(SETTLING_BATCHES * batch, rng).reshape(SETTLING_BATCHES, batch)
        gan_layers.settle_statistics(self._G_ema, lambda k: self._img(labels[k], k * batch), SETTLING_BATCHES)
        self._is_settled = True

    @torch.inference_mode()
    def samples(self, n: int, *, first_seed: int = 0, psi: float = SAMPLE_PSI) -> tuple[UInt8, np.ndarray]:
        """Make ``n`` pictures from fixed seeds, classes in turn: uint8 ``[n, H, W, C]`` and labels."""
        labels = np.arange(n) % max(1, self._inputs.c_dim)
        return self._paint(labels, first_seed=first_seed, psi=psi), labels

    def sheet(self) -> UInt8:
        """Return a sheet: one class per column, or 10 x 6 when there are none."""
        columns = self._inputs.c_dim if 2 <= self._inputs.c_dim <= 20 else 10
        images, _ = self.samples(columns * 6)
        return sheet(opaque(images), columns)

    @torch.inference_mode()
    def quality(self) -> dict[str, float]:
        """Return what :class:`studio.training.measures.Measures` finds, of classes in the proportions of the training."""
        pictures, draw = self._inputs.pictures, self._inputs.draw
        rng = np.random.Generator(np.random.PCG64(0))
        labels = draw.labels(min(QUALITY_PICTURES, len(pictures)), rng)
        if self._measures is None:
            real = pictures.batch([rng.choice(draw.members[k]) for k in labels])
            inception, mirror = self._settings.inception, self._settings.mirror
            self._measures = Measures(real, inception=inception, training=pictures.parts, mirror=mirror)
        return self._measures(self._paint(labels))

    def _paint(self, labels: np.ndarray, *, first_seed: int = 0, psi: float = 1.0) -> UInt8:
        """Make one picture per label, from successive seeds, truncated around its class's own mean: uint8 ``[n, H, W, C]``."""
        self.settle()
        images, means = [], functools.cache(functools.partial(latents.mean_of_class, self._G_ema))
        for begin in range(0, len(labels), self._inputs.batch):
            part = labels[begin : begin + self._inputs.batch]
            images.append(to_image(self._img(part, first_seed + begin, psi, means)))
        return np.concatenate(images)

    def _img(self, labels: np.ndarray, first_seed: int, psi: float = 1.0, means: ClassMeans | None = None) -> Tensor:
        G_ema, inputs = self._G_ema, self._inputs
        c = inputs.one_hot(labels)
        center = G_ema.w_avg if c is None or psi == 1 else latents.class_center(G_ema, c, means)
        z = latents.seed_to_z(range(first_seed, first_seed + len(labels)), inputs.z_dim).to(inputs.device)
        with autocast(inputs.device, self._dtype):
            ws = latents.truncate(G_ema.mapping(z, c).float(), center, psi)
            img: Tensor = G_ema.synthesis(ws, noise_mode="const")
        return img
