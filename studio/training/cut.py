"""Training one translator by contrast: CUT and its light form FastCUT (Park et al. 2020), one readable step.

A patch of the translation should be more like the patch of the photo at the same place than like the photo's other patches, as the first
half of the translator itself sees them. So there is no way back to train: half the networks of CycleGAN. This is *not* the loop around it.

Reference:
    Park et al. 2020, "Contrastive Learning for Unpaired Image-to-Image Translation", section 3 and appendix.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from studio.models.translators import ResnetTranslator
from studio.training import losses, presets, translator_presets
from studio.training.data import Pictures
from studio.training.settings import Settings
from studio.training.team import Team
from studio.training.trainer import Clock, StepRandom, UInt8, fresh_weights
from studio.training.translation import SAMPLE_COLUMNS, TranslatorTrainer

HEAD_WIDTH = 256
LAST_BLOCK = 5
"""The last residual block whose output is compared, counted from 1 (a smaller network's last one)."""


class PatchHeads(nn.Module):
    """The two-layer networks ``H_l`` that bring the features of each layer into the space where patches are compared."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(width, HEAD_WIDTH), nn.ReLU(), nn.Linear(HEAD_WIDTH, HEAD_WIDTH)) for width in widths
        )
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, 0.0, 0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, features: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """Turn feature maps ``[n, c_l, h_l, w_l]`` into unit vectors ``[n, patches_l, HEAD_WIDTH]`` at the given places of each map."""
        maps = [layer.permute(0, 2, 3, 1).flatten(1, 2) for layer in features]
        chosen = [x.index_select(1, place).float() for x, place in zip(maps, places, strict=True)]
        return [F.normalize(head(x), dim=2, eps=1e-7) for head, x in zip(self.heads, chosen, strict=True)]


def compared_layers(network: ResnetTranslator) -> list[int]:
    """Return which modules of a residual translator have their outputs compared: the halving convolutions, the first and fifth block.

    The picture's own pixels come on top; so patches of 1 to about 100 pixels are compared (Park et al. 2020, appendix).
    """
    layers = list(network.model.children())
    blocks = [i for i, layer in enumerate(layers) if hasattr(layer, "conv_block")]
    halvings = [i for i, layer in enumerate(layers[: blocks[0]]) if isinstance(layer, nn.Conv2d)][1:]
    return [*halvings, *sorted({blocks[0], blocks[min(LAST_BLOCK, len(blocks)) - 1]})]


def walk(network: nn.Module, img: Tensor, layers: Sequence[int], *, to_end: bool) -> tuple[list[Tensor], Tensor]:
    """Run a translator and keep what the compared layers see.

    Args:
        network: A residual translator.
        img: ``[n, 3, H, W]``.
        layers: Numbers of modules, ascending.
        to_end: False stops after the last of them.

    Returns:
        The pixels and the outputs of these modules, and the last module's output (the translation, if ``to_end``).
    """
    kept, x = [img], img
    for number, layer in enumerate(network.get_submodule("model").children()):
        x = layer(x)
        if number in layers:
            kept.append(x)
        if number == layers[-1] and not to_end:
            break
    return kept, x


class CutTrainer(TranslatorTrainer):
    """One translator, one discriminator, and the heads; FastCUT mirrors half of its steps and has no identity term."""

    def __init__(self, settings: Settings, pictures_a: Pictures, pictures_b: Pictures, team: Team) -> None:
        super().__init__(settings, team, {"a": pictures_a, "b": pictures_b})
        with fresh_weights(settings.seed):
            forward = self.build(translator_presets.translator(settings), "xavier")
            assert isinstance(forward, ResnetTranslator), settings.network
            self.layers = compared_layers(forward)
            widths = [features.shape[1] for features in self._probe(forward)]
            judge = self.build(translator_presets.judge(settings), "xavier")
            self.networks = {"forward": forward, "judge": judge, "heads": PatchHeads(widths).to(self.device)}
        self.keep_averages(["forward"])
        for key, name in (("g", "forward"), ("heads", "heads"), ("d", "judge")):
            self.add_optimizer(key, [name])

    @torch.no_grad()
    def _probe(self, forward: nn.Module) -> list[Tensor]:
        return walk(forward, torch.zeros(1, 3, 32, 32, device=self.device), self.layers, to_end=False)[0]

    def learn(self, random: StepRandom, clock: Clock) -> dict[str, float]:
        """Train the discriminator, then the translator together with the heads (Park et al. 2020, eq. 5).

        FastCUT translates half of its batches mirrored and compares with the features of the unmirrored source.
        """
        a, b = self.crops("a", random), self.crops("b", random)
        n, settings = len(a), self.settings
        nce_weight, style_weight, identity_weight = map(
            presets.require, (settings.lambda_nce, settings.lambda_nce_identity, settings.lambda_identity)
        )
        keeps_style = style_weight > 0 or identity_weight > 0
        source = torch.cat([a, b]) if keeps_style else a
        is_mirrored = settings.family == "fastcut" and random.numpy.random() < 0.5  # all members draw alike
        keys, made = self._translate(source, is_mirrored)
        judge = self.judge_loss("judge", b, made[:n].detach(), random)
        self.descend(judge, "d")
        adversarial = self.g_loss(self.score("judge", made[:n], random))
        upright = made.flip(3) if is_mirrored else made
        pairs = self._patches(upright, keys, random)
        nce = self._contrast(pairs, slice(0, n))
        seen, said = self.content_and_style(a, upright[:n], "b")
        total = adversarial + nce_weight * nce + seen
        values = {"g_loss": adversarial.item(), "judge": judge.item(), "nce": nce.item(), **said}
        if keeps_style:
            same, identity = self._contrast(pairs, slice(n, None)), losses.identity(source[n:], upright[n:])
            total = total + style_weight * same + identity_weight * identity
            values |= {"nce_identity": same.item(), "identity": identity.item()}
        self.descend(total, "g", "heads")
        return values

    def _translate(self, source: Tensor, is_mirrored: bool) -> tuple[list[Tensor], Tensor]:
        """Return what the layers see in the source, without gradients, and its translation (mirrored if asked)."""
        forward = self.networks["forward"]
        with self.autocast():
            seen, made = walk(forward, source.flip(3) if is_mirrored else source, self.layers, to_end=True)
        if is_mirrored:
            with torch.no_grad(), self.autocast():
                seen, _ = walk(forward, source, self.layers, to_end=False)
        return [features.detach() for features in seen], made.float()

    def _patches(self, made: Tensor, keys: Sequence[Tensor], random: StepRandom) -> list[tuple[Tensor, Tensor]]:
        """Return queries and keys of every layer, unit vectors ``[n, patches, HEAD_WIDTH]`` at the same random places."""
        with self.autocast():
            seen, _ = walk(self.networks["forward"], made, self.layers, to_end=False)
        areas = [features.shape[2] * features.shape[3] for features in keys]
        places = [torch.randperm(area, generator=random.torch)[: self.settings.nce_patches].to(self.device) for area in areas]
        heads = self.networks["heads"]
        with torch.no_grad():
            right = heads(keys, places)
        return list(zip(heads(seen, places), right, strict=True))

    def _contrast(self, pairs: Sequence[tuple[Tensor, Tensor]], pictures: slice) -> Tensor:
        """Return the mean over the layers of the contrastive loss of some pictures of the batch."""
        temperature = self.settings.nce_temperature
        return torch.stack([losses.patch_nce(queries[pictures], keys[pictures], temperature) for queries, keys in pairs]).mean()

    def sample_grid(self) -> UInt8:
        """Return four rows: photos, their translations, paintings, and what becomes of those."""
        a, b = self.middles("a", SAMPLE_COLUMNS), self.middles("b", SAMPLE_COLUMNS)
        return self.rows(a, self.translate("forward", a), b, self.translate("forward", b))

    def quality(self) -> dict[str, float]:
        """Return how near translated photos are to the paintings; see :meth:`TranslatorTrainer.measure`."""
        a, b = self.measured("a", "b")
        return self.measure(a, self.translate("forward", a), b)

    def products(self) -> dict[str, nn.Module]:
        """Return the averaged translator."""
        return {"": self.averages["forward"]}
