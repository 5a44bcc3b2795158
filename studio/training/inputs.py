"""What a training step of a GAN starts from: real pictures with their classes, drawn classes, and styles that are sometimes mixed.

Every random number comes from the step, and a member of a team gets its share. This is *not* where files are read (``data.py``) or
pictures are changed (``augment.py``).
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from studio.training.data import Draw, Pictures
from studio.training.settings import Settings, require
from studio.training.team import Team
from studio.training.trainer import StepRandom, to_float


class Inputs:
    """Draws what the networks are fed; ``c_dim`` is how many classes they are told of."""

    def __init__(self, settings: Settings, pictures: Pictures, team: Team, *, device: torch.device, c_dim: int) -> None:
        self.pictures = pictures
        self.draw = Draw(pictures, balance=settings.balance)
        self.device = device
        self.c_dim = c_dim
        self.z_dim = require(settings.z_dim)
        self.batch = require(settings.batch)
        """Pictures of one turn, over all members of a team."""
        self.share = self.batch // team.size
        """Pictures of one turn of this member."""
        self._team = team
        self._mirror = settings.mirror
        self._in_pairs = require(settings.diversity_weight) > 0
        self._style_mixing = require(settings.style_mixing)

    def real(self, random: StepRandom) -> tuple[Tensor, Tensor | None]:
        """Draw real pictures, half of them mirrored where that is wanted: ``img [share, C, H, W]`` and ``c``."""
        indices = self.draw.indices(self.batch, random.numpy)[self._team.share(self.batch).numpy()]
        real = to_float(self.pictures.batch(indices), self.device)
        if self._mirror:
            flip = random.uniform(len(real)).lt(0.5).to(self.device)
            real = torch.where(flip[:, None, None, None], real.flip(3), real)
        return real, self.one_hot(self.pictures.labels[indices])

    def one_hot(self, labels: np.ndarray) -> Tensor | None:
        """Turn labels into ``c [n, c_dim]``; None without classes."""
        return torch.eye(self.c_dim)[torch.as_tensor(labels)].to(self.device) if self.c_dim else None

    def classes(self, n: int, random: StepRandom) -> Tensor | None:
        """Draw classes for ``n`` pictures of the team and return this member's, one-hot; where variety counts, each comes twice."""
        if not self.c_dim:
            return None
        labels = self.draw.labels(n, random.numpy)
        if self._in_pairs:
            labels[n - n // 2 :] = labels[: n // 2]
        return self.one_hot(labels[self._team.share(n).numpy()])

    def styles(self, G: Any, n: int, c: Tensor | None, random: StepRandom) -> Tensor:
        """Map latents to styles ``ws [n, num_ws, w_dim]``; where the family mixes, two latents meet at a random layer of most pictures.

        Reference:
            Karras et al. 2019, "A Style-Based Generator Architecture for GANs", section 3.1 (mixing regularisation).
        """
        if not self._style_mixing or G.num_ws == 1:
            styles: Tensor = G.mapping(random.normal(n, self.z_dim).to(self.device), c)
            return styles
        z = random.normal(n, 2, self.z_dim).transpose(0, 1).flatten(0, 1).to(self.device)
        with torch.autocast(self.device.type, enabled=False):
            ws: Tensor = G.mapping(z, None if c is None else c.repeat(2, 1))
        first, second = ws.chunk(2)
        layers = ws.shape[1]
        crossover = random.integers(n, 1, layers)
        crossover[random.uniform(n) >= self._style_mixing] = layers
        keep = torch.arange(layers)[None] < crossover[:, None]
        return torch.where(keep[:, :, None].to(self.device), first, second)
