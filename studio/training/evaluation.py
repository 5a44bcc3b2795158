"""How good a finished generator is, on more samples than a run measures while it trains: distances, diversity within classes, copies.

Samples are drawn at psi 1 from successive seeds, classes in the proportions of the pictures. This is *not* a judgement: look at the sheets.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from studio import latents
from studio.features.likeness import NearestPictures
from studio.features.weights import load_features
from studio.training import metrics
from studio.training.data import Pictures
from studio.training.measures import Measures, coloured, opaque
from studio.training.trainer import to_image

UInt8 = npt.NDArray[np.uint8]

BATCH = 16
LIKENESS_PICTURES = 2000
"""Training pictures, at most, among which the nearest is sought."""
LEAST_OF_CLASS = 8
"""A class with fewer pictures says nothing about diversity."""


@torch.inference_mode()
def paint(G: Any, labels: npt.NDArray[np.int64], *, first_seed: int = 0) -> UInt8:
    """Draw one picture for each label (ignored without classes) from successive seeds, psi 1: uint8 ``[n, H, W, C]``."""
    images = []
    for start in range(0, len(labels), BATCH):
        part = labels[start : start + BATCH]
        z = latents.seed_to_z(range(first_seed + start, first_seed + start + len(part)), G.z_dim)
        c = torch.eye(G.c_dim)[torch.from_numpy(part)] if G.c_dim else None
        images.append(to_image(G.synthesis(G.mapping(z, c), noise_mode="const")))
    return np.concatenate(images)


def evaluate(G: Any, pictures: Pictures, *, n: int = 600) -> dict[str, float]:
    """Measure a generator on the CPU against pictures of its size.

    Args:
        G: The generator, in eval mode.
        pictures: What it was trained on; ``n`` of them are drawn for the comparison, all of them to look for copies.
        n: Samples and real pictures.

    Returns:
        What :class:`studio.training.measures.Measures` measures; ``likeness`` and ``likeness_of_real``, how like the nearest training
        picture samples are on average, and real pictures the nearest other one (copies would be liker); and for classes
        ``diversity_within`` and ``diversity_least``: the mean and the smallest over the classes of the diversity of samples, as a share
        of that of as many real ones.
    """
    rng = np.random.Generator(np.random.PCG64(0))
    chosen = rng.permutation(len(pictures))[:n]
    labels = pictures.labels[chosen]
    fake = opaque(paint(G, labels))
    real = opaque(pictures.batch(chosen))
    values = Measures(real, training=pictures.parts, mirror=True)(fake)
    values |= _likeness(fake, pictures)
    shares = []
    for label in np.unique(labels) if G.c_dim else ():
        members = labels == label
        if members.sum() >= LEAST_OF_CLASS:
            shares.append(metrics.diversity(fake[members]) / max(metrics.diversity(real[members]), 1e-9))
    if shares:
        values |= {"diversity_within": float(np.mean(shares)), "diversity_least": float(np.min(shares))}
    return values


def _likeness(fake: UInt8, pictures: Pictures) -> dict[str, float]:
    """Return how like the nearest training picture samples are, and real pictures the nearest other one."""
    step = max(1, len(pictures) // LIKENESS_PICTURES)
    chosen = np.arange(0, len(pictures), step)
    real = [coloured(opaque(pictures.batch(part))) for part in np.array_split(chosen, -(-len(chosen) // 256))]
    index = NearestPictures(load_features(), real)
    asked = coloured(fake)[: len(index)]
    others = index.nearest(np.concatenate(real)[: len(asked)], 2)[0][:, -1]
    return {"likeness": float(index.nearest(asked)[0].mean()), "likeness_of_real": float(others.mean())}
