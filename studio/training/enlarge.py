"""Learning to enlarge: small pictures become what they were made of, by the eye of pretrained features, and like a larger network does it.

The first folder holds originals, which are made small on the fly. With ``teacher``, a compact upscaler of somebody else's, a picture
is also drawn towards the teacher's; a second folder then holds small pictures that have no original, such as a generator's own samples.
This is *not* the network (``studio/models/compact.py``).

Reference:
    Johnson et al. 2016, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", section 3.2; Wang et al. 2021,
    "Real-ESRGAN"; Hinton et al. 2015, "Distilling the Knowledge in a Neural Network".
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from studio.checkpoints.ncnn import read_compact
from studio.features.likeness import perceptual_distance
from studio.models import common
from studio.models.compact import CompactUpscaler
from studio.training import presets, translator_presets
from studio.training.data import Pictures
from studio.training.degradation import degrade
from studio.training.random_crops import middle_squares, random_crops
from studio.training.settings import Settings
from studio.training.team import Team
from studio.training.trainer import Clock, StepRandom, UInt8, channels_last, fresh_weights, sheet, to_float, to_image
from studio.training.translation import TranslatorTrainer

TAPS = ("block2", "block4", "block10")
"""Features at 1/4, 1/8 and 1/16 of the side; each counts up to 4."""
MEASURED = 32
SHOWN = 6


class EnlargeTrainer(TranslatorTrainer):
    """One compact upscaler; a step enlarges the small versions of random crops, ``resolution`` is the side of the originals."""

    def __init__(self, settings: Settings, sets: Sequence[Pictures], team: Team) -> None:
        super().__init__(settings, team, dict(zip(("originals", "small"), sets, strict=False)))
        assert self.features is not None
        with fresh_weights(settings.seed):
            network: Any = common.build(*translator_presets.translator(settings))
            network.start_plain()
        self.networks = {"forward": channels_last(network, self.device).train()}
        self.scale = settings.scale
        self.teacher = load_teacher(Path(settings.teacher), self.scale).to(self.device) if settings.teacher else None
        self.keep_averages(["forward"])
        self.add_optimizer("g", ["forward"])

    def learn(self, random: StepRandom, clock: Clock) -> dict[str, float]:
        """Enlarge, and move towards the originals and the teacher."""
        n, rng = self.images_per_step, random.numpy
        whole = random_crops(self.pictures["originals"], n, side=self.side, zoom=self.settings.zoom, mirror=self.settings.mirror, rng=rng)
        share = self.team.share(n).numpy()
        given, wanted = (to_float(part[share], self.device) for part in (degrade(whole, self.scale, rng), whole))
        made = self._enlarged(given)
        look = self._look(made, wanted, rng)
        plain = (made - wanted).abs().mean()
        total = self.content_weight * look + self.settings.lambda_plain * plain
        values = {"look": look.item(), "plain": plain.item()}
        if self.teacher is not None:
            taught = self._lesson(given, made, random)
            total, values["taught"] = total + self.settings.lambda_teacher * taught, taught.item()
        self.descend(total, "g")
        return values

    def _look(self, made: Tensor, wanted: Tensor, rng: np.random.Generator) -> Tensor:
        """Return how different pictures look, a scalar: whole, and a quarter of them at twice the size.

        Features have strides, and what repeats with a stride hides from them: a network would leave a grid of dots on the pixels.
        """
        assert self.features is not None
        half = self.side // 2
        top, left = (int(value) for value in rng.integers(0, half + 1, 2))
        near = [F.interpolate(img[..., top : top + half, left : left + half], scale_factor=2.0, mode="bilinear") for img in (made, wanted)]
        return (
            perceptual_distance(self.features, made, wanted, TAPS) + perceptual_distance(self.features, near[0], near[1], TAPS)
        ).mean() / 2

    def _enlarged(self, img: Tensor) -> Tensor:
        """Run the network on ``[n, 3, h, w]`` in [-1, 1]."""
        with self.autocast():
            made: Tensor = self.networks["forward"]((img + 1) / 2).float()
        return made * 2 - 1

    def _lesson(self, given: Tensor, made: Tensor, random: StepRandom) -> Tensor:
        """Return how far results are from the teacher's, a scalar; half of the pictures are small ones without an original."""
        assert self.teacher is not None
        if "small" in self.pictures:
            n = max(1, self.images_per_step // 2)
            side = self.side // self.scale
            drawn = random_crops(self.pictures["small"], n, side=side, zoom=1.0, mirror=self.settings.mirror, rng=random.numpy)
            given = to_float(drawn[self.team.share(n).numpy()] if n % self.team.size == 0 else drawn, self.device)
            made = self._enlarged(given)
        with torch.no_grad():
            shown = self.teacher((given + 1) / 2).clamp(0, 1) * 2 - 1
            if self.teacher.scale != self.scale:
                shown = F.avg_pool2d(shown, self.teacher.scale // self.scale)
        lesson: Tensor = (made - shown).abs().mean()
        return lesson

    @torch.inference_mode()
    def _results(self, small: UInt8) -> UInt8:
        """Enlarge uint8 ``[n, h, w, 3]`` with the averaged network."""
        made = [self.averages["forward"]((to_float(part[None], self.device) + 1) / 2) * 2 - 1 for part in small]
        return np.concatenate([to_image(part) for part in made])

    def sample_grid(self) -> UInt8:
        """Return originals in the last row, above them what was made of their small versions, on top these, plainly enlarged."""
        side = presets.require(self.settings.load_size) // self.scale * self.scale
        originals = middle_squares(self.pictures["originals"], SHOWN, side)
        small = degrade(originals, self.scale, np.random.default_rng(0))
        rows = [np.repeat(np.repeat(small, self.scale, 1), self.scale, 2), self._results(small), originals]
        return sheet(np.concatenate(rows), SHOWN)

    @torch.inference_mode()
    def quality(self) -> dict[str, float]:
        """Return the perceptual distance of enlarged pictures to their originals, and its ratio to that of Lanczos as ``score``."""
        assert self.features is not None
        side = presets.require(self.settings.load_size) // 32 * 32
        originals = middle_squares(self.pictures["originals"], min(MEASURED, len(self.pictures["originals"])), side)
        small = degrade(originals, self.scale, np.random.default_rng(0))
        plain, made = (self._distance(results, originals) for results in (plainly(small, self.scale), self._results(small)))
        return {"score": made / plain, "look_measured": made}

    def _distance(self, made: UInt8, originals: UInt8) -> float:
        assert self.features is not None
        pairs = zip(*(torch.split(to_float(images, self.device), 1) for images in (made, originals)), strict=True)
        found = [perceptual_distance(self.features, first, second, TAPS) for first, second in pairs]
        return float(torch.cat(found).mean())

    def products(self) -> dict[str, nn.Module]:
        """Return the averaged network."""
        return {"": self.averages["forward"]}


def plainly(small: UInt8, scale: int) -> UInt8:
    """Enlarge uint8 ``[n, h, w, 3]`` by Lanczos."""
    from PIL import Image

    size = (small.shape[2] * scale, small.shape[1] * scale)
    return np.stack([np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)) for image in small])


def load_teacher(file: Path, scale: int) -> CompactUpscaler:
    """Load a compact upscaler from an ncnn pair, frozen.

    Raises:
        StudioError: It is none, damaged, or enlarges less than ``scale``.
    """
    from studio.errors import TrainingError

    config, tensors = read_compact(file)
    if config["scale"] % scale:
        raise TrainingError(f"teacher={file.name} enlarges {config['scale']} times, which is no multiple of scale={scale}.")
    network = CompactUpscaler(**config)
    network.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()})
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
