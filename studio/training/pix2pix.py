"""Training a translator on pairs: pix2pix (Isola et al. 2017), one readable step.

The translation should be its true partner (L1), and a discriminator that sees source and result together should take it for one. This is
*not* where pairs are found: see ``pairs.py``.

Reference:
    Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks", section 3.
"""

import numpy as np
import torch
from torch import Tensor, nn

from studio.training import losses, translator_presets
from studio.training.data import Pictures
from studio.training.settings import Settings
from studio.training.team import Team
from studio.training.trainer import Clock, StepRandom, UInt8, fresh_weights
from studio.training.translation import SAMPLE_COLUMNS, TranslatorTrainer


def half_minimax_d(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return half the discriminator's loss of Goodfellow et al. 2014: "we divide the objective by 2" (Isola et al. 2017, section 3.3)."""
    return 0.5 * losses.minimax_d(real_logits, fake_logits)


class PairTrainer(TranslatorTrainer):
    """One translator and one conditional discriminator; a pair is one picture of six channels, source first.

    ``direction="BtoA"`` was settled when the pairs were laid on each other.
    """

    def __init__(self, settings: Settings, pairs: Pictures, team: Team) -> None:
        super().__init__(settings, team, {"pairs": pairs})
        with fresh_weights(settings.seed):
            self.networks = {"forward": self.build(translator_presets.translator(settings))}
            self.networks |= {"judge": self.build(translator_presets.judge(settings))}
        self.keep_averages(["forward"])
        self.add_optimizer("g", ["forward"])
        self.add_optimizer("d", ["judge"])

    def learn(self, random: StepRandom, clock: Clock) -> dict[str, float]:
        """Train the discriminator, then the translator (Isola et al. 2017, eq. 4)."""
        pairs = self.crops("pairs", random)
        source, partner = pairs.chunk(2, 1)
        with self.autocast():
            made = self.networks["forward"](source).float()
        judge = self.judge_loss("judge", pairs, torch.cat([source, made.detach()], 1), random, half_minimax_d)
        self.descend(judge, "d")
        adversarial = losses.non_saturating_g(self.score("judge", torch.cat([source, made], 1), random))
        difference = losses.paired_l1(partner, made)
        self.descend(adversarial + self.settings.lambda_l1 * difference, "g")
        return {"g_loss": adversarial.item(), "l1": difference.item(), "judge": judge.item()}

    def sample_grid(self) -> UInt8:
        """Return three rows: sources, their translations, their true partners."""
        source, partner = np.split(self.middles("pairs", SAMPLE_COLUMNS), 2, 3)
        return self.rows(source, self.translate("forward", source), partner)

    def quality(self) -> dict[str, float]:
        """Return how near translations are to the partners: as sets (:meth:`TranslatorTrainer.measure`), and each in levels of 255."""
        source, partner = np.split(self.measured("pairs")[0], 2, 3)
        made = self.translate("forward", source)
        return self.measure(source, made, partner) | {"l1_levels": float(np.abs(made.astype(int) - partner).mean())}

    def products(self) -> dict[str, nn.Module]:
        """Return the averaged translator."""
        return {"": self.averages["forward"]}
