"""The losses that claim stability find the modes of a mixture of 25 Gaussians, with the very objectives that pictures are trained with.

The usual toy: a 5 x 5 grid two apart, deviation 0.05; of 2500 samples, one within three deviations of a centre is good, and a centre
with at least 20 good ones is found (100 would be its share).
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from studio.models.gan_layers import Linear
from studio.training.classic import CLASSIC
from studio.training.objectives import Objective
from studio.training.trainer import follow, fresh_weights

SPACING, DEVIATION = 2.0, 0.05
CENTRES = torch.cartesian_prod(*[torch.arange(-2.0, 3.0) * SPACING] * 2)
SCALE = 1 / 2.828
EXTENT = 2.5 * SPACING * SCALE
BATCH = 256


@dataclass(frozen=True)
class Play:
    """How one objective is played on the toy."""

    objective: Objective
    steps: int
    d_steps: int = 1
    lr: float = 2e-3
    d_lr: float = 4e-3
    betas: tuple[float, float] = (0.0, 0.9)
    spectral_norm: bool = False


def numbers(family: str) -> Objective:
    """The objective of a family as its table says."""
    own = CLASSIC[family].numbers
    return Objective(loss=own["loss"], gp_weight=own["gp_weight"], drift_weight=own["drift_weight"])


PLAYS = {
    "wgan-gp": Play(replace(numbers("wgan-gp"), gp_weight=0.1), steps=200, d_steps=2),
    "sngan": Play(numbers("sngan"), steps=400, spectral_norm=True),
    "stylegan2": Play(Objective("non-saturating", r1_gamma=0.005), steps=300),
    "relativistic": Play(Objective("relativistic", r1_gamma=0.005, r2_gamma=0.005), steps=300),
}
"""The losses are the families'; the weights of penalties are the toy's, whose modes are much narrower than pictures are alike."""


def real_points(n: int, generator: torch.Generator) -> Tensor:
    centres = CENTRES[torch.randint(25, (n,), generator=generator)]
    return (centres + DEVIATION * torch.randn(n, 2, generator=generator)) * SCALE


def modes_found(points: Tensor) -> int:
    """Count the centres with at least 20 of 2500 points within three deviations."""
    distance, nearest = torch.cdist(points / SCALE, CENTRES).min(1)
    return int((torch.bincount(nearest[distance < 3 * DEVIATION], minlength=25) >= 20).sum())


def waves(points: Tensor) -> Tensor:
    """Return points ``[n, 2]`` beside sines and cosines of them: fine detail is hard to learn without (Tancik et al. 2020)."""
    turns = (points / EXTENT * torch.pi).unsqueeze(2) * torch.tensor([1.0, 2.0, 4.0, 8.0])
    return torch.cat([points, turns.sin().flatten(1), turns.cos().flatten(1)], 1)


class Network(nn.Module):
    """A small network on points of the plane; a generator bends the square that it starts from."""

    def __init__(self, outputs: int, *, spectral_norm: bool = False) -> None:
        super().__init__()
        widths = [18, 128, 128, outputs]
        layers = [Linear(a, b, spectral_norm=spectral_norm) for a, b in itertools.pairwise(widths)]
        self.layers = nn.Sequential(layers[0], nn.LeakyReLU(0.2), layers[1], nn.LeakyReLU(0.2), layers[2])

    def forward(self, points: Tensor) -> Tensor:
        """Map points ``[n, 2]`` to ``[n, outputs]``."""
        result: Tensor = self.layers(waves(points))
        return result


class Generator(Network):
    """At first it covers the plane evenly, and no mode in particular."""

    def __init__(self) -> None:
        super().__init__(2)

    def forward(self, z: Tensor) -> Tensor:
        """Map ``z [n, 2]`` in [0, 1) to points ``[n, 2]``."""
        square = (z * 2 - 1) * EXTENT
        return square + 0.1 * super().forward(square)


def descend(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def discriminator_loss(play: Play, D: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, g: torch.Generator) -> Tensor:
    loss = play.objective.d_loss(D(real), D(fake))
    if play.objective.penalty_weights:
        loss = loss + play.objective.weigh(play.objective.penalties(D, real, fake, lambda: torch.rand(len(real), generator=g)))
    return loss


def train(play: Play, seed: int = 0) -> Iterator[tuple[int, nn.Module]]:
    generator = torch.Generator().manual_seed(seed)
    with fresh_weights(seed):
        G, D = Generator(), Network(1, spectral_norm=play.spectral_norm)
        average = Generator().requires_grad_(False)
    average.load_state_dict(G.state_dict())
    g_optimizer = torch.optim.Adam(G.parameters(), lr=play.lr, betas=play.betas, fused=True)
    d_optimizer = torch.optim.Adam(D.parameters(), lr=play.d_lr, betas=play.betas, fused=True)
    for step in range(play.steps):
        for _ in range(play.d_steps):
            real = real_points(BATCH, generator)
            fake = G(torch.rand(BATCH, 2, generator=generator))
            descend(discriminator_loss(play, D, real, fake.detach(), generator), d_optimizer)
        D.requires_grad_(False)
        real_logits = D(real) if play.objective.is_paired else None
        descend(play.objective.g_loss(D(fake), real_logits), g_optimizer)
        D.requires_grad_(True)
        follow(average, G, 0.05)
        yield step, average


@torch.no_grad()
def sample(G: nn.Module) -> Tensor:
    points: Tensor = G(torch.rand(2500, 2, generator=torch.Generator().manual_seed(1)))
    return points


def test_the_count_sees_all_modes_of_the_truth_and_one_of_a_collapse() -> None:
    g = torch.Generator().manual_seed(0)
    assert modes_found(real_points(2500, g)) == 25
    assert modes_found(CENTRES[7:8].expand(2500, 2) * SCALE) == 1
    with fresh_weights(0):
        assert modes_found(sample(Generator())) == 0


@pytest.mark.parametrize("name", PLAYS)
def test_a_stable_objective_finds_at_least_20_of_25_modes(name: str) -> None:
    torch.set_num_threads(1)
    *_, (_, G) = train(PLAYS[name])
    assert modes_found(sample(G)) >= 20
