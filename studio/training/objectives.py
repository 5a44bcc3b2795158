"""What the two networks of a GAN play for: a loss for each side, and the penalties on the discriminator.

A family is one :class:`Objective` and two networks; the trainer (``gan.py``) and the toy problems of the tests play the same code.
The equations are in ``losses.py``. This is *not* where numbers are chosen (``families.py``) or steps are taken.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from studio.errors import TrainingError
from studio.training import losses

Judge = Callable[[Tensor], Tensor]
"""A discriminator with its classes filled in: pictures ``[n, ...]`` to logits ``[n, 1]``."""

Sides = tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]


def _only_fake(loss: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda real_logits, fake_logits: loss(fake_logits)


LOSSES: dict[str, Sides] = {
    "minimax": (losses.minimax_d, _only_fake(losses.minimax_g)),
    "non-saturating": (losses.minimax_d, _only_fake(losses.non_saturating_g)),
    "least-squares": (losses.least_squares_d, _only_fake(losses.least_squares_g)),
    "hinge": (losses.hinge_d, _only_fake(losses.wasserstein_g)),
    "wasserstein": (losses.wasserstein_d, _only_fake(losses.wasserstein_g)),
    "relativistic": (losses.relativistic_d, losses.relativistic_g),
}
"""Name -> the discriminator's and the generator's side, both of ``(real_logits, fake_logits)``."""

PAIRED = ("relativistic",)
"""Losses whose generator's side needs the logits of real pictures."""


@dataclass(frozen=True)
class Objective:
    """A loss and its regularisers; every weight of 0 switches its regulariser off.

    Spectral norm is no penalty: it is part of the networks (``studio/models/gan_layers.py``). So is the path length one of the
    generator's style space, which the trainer of style-based networks adds.
    """

    loss: str = "non-saturating"
    r1_gamma: float = 0.0
    """``gamma / 2 E[|grad D(x)|^2]`` on real pictures (Mescheder et al. 2018)."""
    r2_gamma: float = 0.0
    """The same on made pictures."""
    gp_weight: float = 0.0
    """``lambda E[(|grad D(x^)| - 1)^2]`` between real and made pictures (Gulrajani et al. 2017)."""
    drift_weight: float = 0.0
    """``epsilon E[D(x)^2]`` keeps a critic near zero (Karras et al. 2018, appendix A.1)."""
    weight_clip: float = 0.0
    """Largest absolute value of the critic's weights (Arjovsky et al. 2017, algorithm 1)."""
    orthogonal_weight: float = 0.0
    """``beta sum |W W^T (1 - I)|_F^2`` over the generator's filters (Brock et al. 2019, eq. 3)."""

    range_weight: float = 0.0
    """``w E[max(0, |G(z)| - 1)^2]`` over all values of made pictures, which have their colours in [-1, 1]."""

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise TrainingError(f"loss={self.loss!r} is not known. Use one of: {', '.join(LOSSES)}.")

    @property
    def is_paired(self) -> bool:
        """Whether the generator's side compares its pictures with real ones."""
        return self.loss in PAIRED

    @property
    def penalty_weights(self) -> dict[str, float]:
        """The weights of the penalties that are on, by name."""
        weights = {"r1": self.r1_gamma / 2, "r2": self.r2_gamma / 2, "gradient_penalty": self.gp_weight}
        return {name: weight for name, weight in weights.items() if weight}

    def d_loss(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the discriminator's side without penalties, a scalar."""
        loss = LOSSES[self.loss][0](real_logits, fake_logits)
        return loss + self.drift_weight * real_logits.square().mean() if self.drift_weight else loss

    def g_loss(self, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """Return the generator's side, a scalar; ``real_logits`` is for paired losses only."""
        assert real_logits is not None or not self.is_paired
        return LOSSES[self.loss][1](fake_logits if real_logits is None else real_logits, fake_logits)

    def penalties(self, judge: Judge, real: Tensor, fake: Tensor, mixture: Callable[[], Tensor]) -> dict[str, Tensor]:
        """Return the penalties that are on, unweighted scalars with graphs of their own.

        Args:
            judge: The discriminator.
            real: Real pictures ``[n, ...]``.
            fake: Made pictures, same shape.
            mixture: Draws ``[n]`` values in [0, 1); asked only when pictures between real and made ones are needed.
        """
        where = {
            "r1": lambda: real.detach().requires_grad_(True),
            "r2": lambda: fake.detach().requires_grad_(True),
            "gradient_penalty": lambda: losses.interpolate_pairs(real, fake, mixture().to(real.device)),
        }
        kinds = {"r1": losses.zero_centred_penalty, "r2": losses.zero_centred_penalty, "gradient_penalty": losses.gradient_penalty}
        found = {}
        for name in self.penalty_weights:
            img = where[name]()
            found[name] = kinds[name](judge(img), img)
        return found

    def weigh(self, penalties: dict[str, Tensor], interval: int = 1) -> Tensor:
        """Return the weighted sum of penalties, ``interval`` times as strong where they come only so often (lazily)."""
        return torch.stack([value * (self.penalty_weights[name] * interval) for name, value in penalties.items()]).sum()

    @torch.no_grad()
    def clip(self, D: nn.Module) -> None:
        """Clip the critic's weights after its step, in place."""
        if self.weight_clip:
            torch._foreach_clamp_min_(list(D.parameters()), -self.weight_clip)
            torch._foreach_clamp_max_(list(D.parameters()), self.weight_clip)

    def generator_penalty(self, G: nn.Module, fake: Tensor) -> Tensor | None:
        """Return the weighted penalties on the generator's filters and on its pictures ``fake [n, ...]``, or None when they are off."""
        found = []
        if self.orthogonal_weight:
            found.append(self.orthogonal_weight * _orthogonality(G))
        if self.range_weight:
            found.append(self.range_weight * losses.range_penalty(fake))
        return torch.stack(found).sum() if found else None


def _orthogonality(G: nn.Module) -> Tensor:
    """Add up the orthogonality penalties of all filters of a generator."""
    filters = [p for name, p in G.named_parameters() if p.dim() > 1 and "embed" not in name]
    return torch.stack([losses.orthogonal_penalty(p) for p in filters]).sum()
