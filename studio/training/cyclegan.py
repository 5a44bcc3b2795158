"""Training two translators against each other: CycleGAN (Zhu et al. 2017), one readable step.

``forward`` turns pictures of the first set (A, photos) into the second (B, paintings), ``backward`` the reverse. Both directions of a
step run as one batch per network where instance norm allows it. This is *not* the loop around it: no files and no clock here.
"""

import torch
from torch import Tensor, nn

from studio.training import losses, translator_presets
from studio.training.data import Pictures
from studio.training.settings import Settings, require
from studio.training.team import Team
from studio.training.trainer import Clock, StepRandom, UInt8, fresh_weights
from studio.training.translation import SAMPLE_COLUMNS, ImagePool, TranslatorTrainer

NETWORKS = ("forward", "backward", "judge_a", "judge_b")


class CycleTrainer(TranslatorTrainer):
    """Two translators, two discriminators; cycle and identity losses, least squares, a pool of made pictures."""

    def __init__(self, settings: Settings, pictures_a: Pictures, pictures_b: Pictures, team: Team) -> None:
        super().__init__(settings, team, {"a": pictures_a, "b": pictures_b})
        with fresh_weights(settings.seed):
            self.networks = {name: self.build(translator_presets.translator(settings)) for name in NETWORKS[:2]}
            self.networks |= {name: self.build(translator_presets.judge(settings)) for name in NETWORKS[2:]}
        self.keep_averages(NETWORKS[:2])
        self.add_optimizer("g", NETWORKS[:2])
        self.add_optimizer("d", NETWORKS[2:])
        self.pools = {"a": ImagePool(settings.pool_size), "b": ImagePool(settings.pool_size)}

    def learn(self, random: StepRandom, clock: Clock) -> dict[str, float]:
        """Train both translators, then both discriminators."""
        a, b = self.crops("a", random), self.crops("b", random)
        values, fake_a, fake_b = self._improve_translators(a, b, random, clock)
        fake_a, fake_b = self.pools["a"].exchange(fake_a, random.numpy), self.pools["b"].exchange(fake_b, random.numpy)
        loss_a, loss_b = self.judge_loss("judge_a", a, fake_a, random), self.judge_loss("judge_b", b, fake_b, random)
        self.descend(loss_a + loss_b, "d")
        return values | {"judge_a": loss_a.item(), "judge_b": loss_b.item()}

    def _improve_translators(self, a: Tensor, b: Tensor, random: StepRandom, clock: Clock) -> tuple[dict[str, float], Tensor, Tensor]:
        """Train both translators; return the values and the made pictures of A and B."""
        settings, forward, backward = self.settings, self.networks["forward"], self.networks["backward"]
        weight = require(settings.lambda_identity)
        keeps_identity = weight > 0 and clock.progress < settings.identity_until
        with self.autocast():
            if keeps_identity:
                fake_b, same_b = forward(torch.cat([a, b])).float().chunk(2)
                fake_a, same_a = backward(torch.cat([b, a])).float().chunk(2)
            else:
                fake_b, fake_a = forward(a).float(), backward(b).float()
            again_a, again_b = backward(fake_b).float(), forward(fake_a).float()
        adversarial = self.g_loss(self.score("judge_b", fake_b, random)) + self.g_loss(self.score("judge_a", fake_a, random))
        cycle = losses.cycle(a, again_a) + losses.cycle(b, again_b)
        total, values = adversarial + settings.lambda_cycle * cycle, {"g_loss": adversarial.item(), "cycle": cycle.item()}
        if keeps_identity:
            identity = losses.identity(a, same_a) + losses.identity(b, same_b)
            total, values = total + weight * identity, values | {"identity": identity.item()}
        for photo, made, target in ((a, fake_b, "b"), (b, fake_a, "a")):
            seen, said = self.content_and_style(photo, made, target)
            total = total + seen
            values |= {name: values.get(name, 0.0) + value for name, value in said.items()}
        self.descend(total, "g")
        return values, fake_a.detach(), fake_b.detach()

    def sample_grid(self) -> UInt8:
        """Return four rows: photos, their translations, paintings, their translations."""
        a, b = self.middles("a", SAMPLE_COLUMNS), self.middles("b", SAMPLE_COLUMNS)
        return self.rows(a, self.translate("forward", a), b, self.translate("backward", b))

    def quality(self) -> dict[str, float]:
        """Return how near translated photos are to the paintings; see :meth:`TranslatorTrainer.measure`."""
        a, b = self.measured("a", "b")
        return self.measure(a, self.translate("forward", a), b)

    def products(self) -> dict[str, nn.Module]:
        """Return the averaged translators of both directions."""
        return {"": self.averages["forward"], "inverse": self.averages["backward"]}
