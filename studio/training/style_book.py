"""Learning painting styles: one small network, a row of scales and shifts for each style, statistics of pretrained features as the aim.

The first folder holds paintings, each sub-folder one style (without sub-folders all of them together are one); the second holds photos to
practise on. There is no discriminator: a style is the mean and covariance of fine features of its paintings, and a photo stays what it is
by its coarse ones. This is *not* the network (``studio/models/style_transfer.py``) or the loop, and one more style for a book that is
there already is learnt in ``own_style.py``.

Reference:
    Dumoulin et al. 2017, "A Learned Representation for Artistic Style", sections 2 and 3; Johnson et al. 2016.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from studio.training import feature_terms, losses, presets, translator_presets
from studio.training.data import Pictures
from studio.training.random_crops import shrink
from studio.training.settings import Settings
from studio.training.team import Team
from studio.training.trainer import Clock, Scalars, StepRandom, UInt8, fresh_weights, sheet, to_float, to_image
from studio.training.translation import TranslatorTrainer

CONTENT = ("block2", "block4")
"""What a photo shows, at 1/4 and 1/8 of its side: finer than for GANs, as strokes are free to differ."""
TABLES = ("gamma", "beta")
TABLE_FACTOR = 5
"""How much faster than the convolutions the rows of a style learn."""
PAINTING_SIDE = 256
"""Side at which paintings are measured, pixels: it decides how large their strokes are in a restyled picture."""
SHOWN_PHOTOS = 4
"""Photos in a sheet, and for the figures."""


class StyleTrainer(TranslatorTrainer):
    """One network of many styles; a step paints every photo of the batch in a style that chance picks."""

    def __init__(self, settings: Settings, paintings: Pictures, photos: Pictures, team: Team) -> None:
        super().__init__(settings, team, {"paintings": paintings, "photos": photos})
        assert self.features is not None
        self.learnt = paintings.classes or (settings.name,)
        """The styles that are learnt: the first rows of the network."""
        self.names = self.all_names()
        """The styles of all rows."""
        with fresh_weights(settings.seed):
            self.networks = {"forward": self._fresh(len(self.names))}
        self.keep_averages(["forward"])
        tables = [p for name, p in self.networks["forward"].named_parameters() if name.endswith(TABLES)]
        convs = [p for name, p in self.networks["forward"].named_parameters() if not name.endswith(TABLES)]
        self.optimizers = {"tables": self._adam("tables", tables), "g": self._adam("g", convs)}
        self.targets = self._measure_paintings(paintings)

    def all_names(self) -> tuple[str, ...]:
        """Name the rows of the network, those that are learnt first."""
        return self.learnt

    def _fresh(self, n_styles: int) -> nn.Module:
        from studio.models import common

        return common.build(*translator_presets.translator(self.settings, n_styles)).to(self.device).train()

    def _adam(self, key: str, parameters: Iterable[nn.Parameter]) -> torch.optim.Adam:
        return torch.optim.Adam(parameters, lr=self.learning_rate(key), betas=(0.9, 0.99), fused=True)

    def learning_rate(self, key: str) -> float:
        """Return the full rate of an optimiser."""
        return presets.require(self.settings.g_lr) * (TABLE_FACTOR if key == "tables" else 1)

    def _measure_paintings(self, paintings: Pictures) -> feature_terms.Statistics:
        """Return the statistics of every style, the mean over its paintings: means ``[styles, c]``, covariances ``[styles, c, c]``."""
        assert self.features is not None
        rows = []
        for label in range(len(self.learnt)):
            pieces = [piece for k in np.flatnonzero(paintings.labels == label) for piece in self.pieces(paintings.picture(int(k)))]
            squares = [to_float(piece[None], self.device) for piece in pieces]
            rows.append(feature_terms.mean_statistics(self.features, squares))
        stacked = [tuple(torch.stack(parts) for parts in zip(*layer, strict=True)) for layer in zip(*rows, strict=True)]
        return stacked  # type: ignore[return-value]

    def pieces(self, painting: UInt8) -> list[UInt8]:
        """Cut what is measured out of a painting ``[H, W, 3]``: squares of :data:`PAINTING_SIDE`; here its middle."""
        return [square(painting)]

    def learn(self, random: StepRandom, clock: Clock) -> dict[str, float]:
        """Paint, and move towards what the styles' paintings look like while the photos' things stay."""
        photo = self.crops("photos", random)
        chosen = self.choose(len(photo), random).to(self.device)
        with self.autocast():
            made = self.networks["forward"](photo, F.one_hot(chosen, len(self.names)).float()).float()
        content, style = self.terms(photo, made, chosen)
        smooth = losses.total_variation(made)
        total = self.content_weight * content + self.style_weight * style + presets.require(self.settings.lambda_smooth) * smooth
        self.descend(total, *self.optimizers)
        return {"content": content.item(), "style": style.item(), "smooth": smooth.item()}

    def choose(self, n: int, random: StepRandom) -> Tensor:
        """Pick the styles that a step's photos are painted in, ``[n]``."""
        return random.integers(n, 0, len(self.learnt))

    def pooled(self, statistics: feature_terms.Statistics) -> feature_terms.Statistics:
        """Say whose statistics must be those of the paintings: here each picture's own."""
        return statistics

    def terms(self, photo: Tensor, made: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Return the distance of things and of manners, two scalars; ``chosen [n]`` says which style each picture has."""
        assert self.features is not None
        with torch.no_grad():
            shown = self.features(photo, CONTENT)
        seen = self.features(made, (*CONTENT, *feature_terms.STYLE))
        wanted = [(means[chosen], covariances[chosen]) for means, covariances in self.targets]
        found = feature_terms.picture_statistics(self.features, made, seen)
        style = feature_terms.style_distance(self.pooled(found), self.pooled(wanted))
        return feature_terms.content_distance(seen, shown, CONTENT), style

    def state(self) -> tuple[dict[str, Tensor], Scalars]:
        """Return everything that the next step depends on, and the names of the styles."""
        tensors, scalars = super().state()
        return tensors, {**scalars, "classes": list(self.names)}

    @torch.inference_mode()
    def painted(self, photos: UInt8, label: int) -> Tensor:
        """Paint uint8 ``[n, H, W, 3]`` in one style with the averaged network: ``[n, 3, H, W]``."""
        network: Any = self.averages["forward"]
        weights = F.one_hot(torch.tensor(label), len(self.names)).float().to(self.device)
        with self.autocast():
            return torch.cat([network(to_float(photo[None], self.device), weights).float() for photo in photos])

    def sample_grid(self) -> UInt8:
        """Return photos in the first row, and below them each style, its first painting at the left."""
        side = presets.require(self.settings.load_size) // 4 * 4
        photos = self.middles("photos", SHOWN_PHOTOS)
        rows = [np.full((1, side, side, 3), 255, np.uint8), photos]
        for label in range(len(self.learnt)):
            first = int(np.flatnonzero(self.pictures["paintings"].labels == label)[0])
            rows += [square(self.pictures["paintings"].picture(first), side)[None], to_image(self.painted(photos, label))]
        return sheet(np.concatenate(rows), SHOWN_PHOTOS + 1)

    @torch.inference_mode()
    def quality(self) -> dict[str, float]:
        """Return how far photos in each style are from their things and from the manner, averaged; ``score`` is their sum."""
        photos = self.middles("photos", SHOWN_PHOTOS)
        shown = to_float(photos, self.device)
        terms = [
            self.terms(shown, self.painted(photos, label), torch.full((len(photos),), label, device=self.device))
            for label in range(len(self.learnt))
        ]
        content, style = (float(torch.stack(part).mean()) for part in zip(*terms, strict=True))
        return {"score": content + style, "content_measured": content, "style_measured": style}

    def products(self) -> dict[str, nn.Module]:
        """Return the averaged network."""
        return {"": self.averages["forward"]}


def square(image: UInt8, side: int = PAINTING_SIDE) -> UInt8:
    """Cut the middle square of ``image [H, W, 3]`` and bring it to ``side``."""
    short = min(image.shape[:2])
    top, left = (image.shape[0] - short) // 2, (image.shape[1] - short) // 2
    return shrink(np.array(image[top : top + short, left : left + short]), side)
