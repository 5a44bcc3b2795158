"""Augmentations that the discriminator sees and the generator cannot leak, with a strength that adapts (ADA), or DiffAugment.

Each change is applied to each picture with probability ``p``, so that unchanged pictures stay the commonest and the generator has to
make those (below ``p`` = 0.8 or so). Every random number comes from the step: a resumed run sees the same changes. Differentiable twice.

Reference:
    Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data", sections 2.2 and 3.1, appendix B.
    Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training".
"""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from studio.errors import TrainingError
from studio.training import augment_colour, augment_geometry
from studio.training.settings import Settings
from studio.training.trainer import StepRandom

LARGEST_P = 0.8
"""Above this strength, changes begin to leak into the made pictures (section 2.2 of the paper)."""
TOLD_SIGNS = 4
"""Steps between two moves of the strength."""

PARTS = ("blit", "geom", "color", "filter", "noise", "cutout")
PIPES = {
    **{part: (part,) for part in PARTS},
    "bg": PARTS[:2],
    "bgc": PARTS[:3],
    "bgcf": PARTS[:4],
    "bgcfn": PARTS[:5],
    "bgcfnc": PARTS,
    "all": PARTS,
}
"""The published names of combinations; ``bgc`` is the published choice."""
DIFF_PARTS = ("color", "translation", "cutout")
DIFF_PIPE = "color,translation,cutout"


class Augmentation(Protocol):
    """What the discriminator's pictures, real and made, go through."""

    p: float
    """The strength, 0 to :data:`LARGEST_P`; :class:`Adaptation` moves it."""

    def __call__(self, img: Tensor, random: StepRandom) -> Tensor:
        """Augment ``img [n, C, H, W]``."""
        ...


class Adaptation:
    """Moves the strength so that the discriminator is sure of a wanted share of the real pictures (ADA, section 3.1)."""

    def __init__(self, augment: Augmentation, settings: Settings, images_per_step: int) -> None:
        self.augment = augment
        self.signs: list[float] = []
        """What was told since the last move."""
        self._settings = settings
        self._images_per_step = images_per_step

    def follow(self, real_sign: float) -> None:
        """Take the mean sign of the logits of real pictures; every fourth time the strength moves towards ``ada_target``."""
        self.signs.append(real_sign)
        if len(self.signs) < TOLD_SIGNS:
            return
        direction = np.sign(np.mean(self.signs) - self._settings.ada_target)
        self.signs.clear()
        if self._settings.augment == "ada":
            change = direction * TOLD_SIGNS * self._images_per_step / (self._settings.ada_kimg * 1000)
            self.augment.p = float(min(max(self.augment.p + change, 0.0), LARGEST_P))


class Augment:
    """The pipe of ADA with strength ``p``; ``pipe`` is one of :data:`PIPES`."""

    def __init__(self, p: float = 0.0, pipe: str = "bgc") -> None:
        if pipe not in PIPES:
            raise TrainingError(f"augment_pipe={pipe!r} is not known. Use one of: {', '.join(PIPES)}.")
        self.p = p
        self.parts = PIPES[pipe]

    def __call__(self, img: Tensor, random: StepRandom) -> Tensor:
        """Augment ``img [n, C, H, W]``; at ``p = 0`` the tensor itself comes back and no random number is drawn."""
        if self.p <= 0:
            return img
        img = self._move(img, random)
        if "color" in self.parts:
            img = augment_colour.recolour(img, augment_colour.colour_matrices(len(img), self.p, random))
        if "filter" in self.parts:
            img = augment_colour.refilter(img, augment_colour.band_gains(len(img), self.p, random))
        if "noise" in self.parts:
            img = augment_colour.add_noise(img, self.p, random)
        return augment_colour.cut_out(img, self.p, random) if "cutout" in self.parts else img

    def _move(self, img: Tensor, random: StepRandom) -> Tensor:
        height, width = img.shape[2:]
        blits = frees = torch.eye(3).repeat(len(img), 1, 1)
        if "blit" in self.parts:
            blits = augment_geometry.blit_matrices(len(img), self.p, random, height=height, width=width)
        if "geom" in self.parts:
            frees = augment_geometry.free_matrices(len(img), self.p, random, height=height, width=width)
        return augment_geometry.move(img, blits, frees)


class DiffAugment:
    """The three changes of DiffAugment, each made to every picture; ``pipe`` names them, with commas between."""

    def __init__(self, pipe: str = DIFF_PIPE) -> None:
        self.parts = tuple(part.strip() for part in pipe.split(",") if part.strip())
        unknown = [part for part in self.parts if part not in DIFF_PARTS]
        if unknown or not self.parts:
            raise TrainingError(f"augment_pipe={pipe!r} is not known for DiffAugment. Use some of: {', '.join(DIFF_PARTS)}.")
        self.p = 1.0

    def __call__(self, img: Tensor, random: StepRandom) -> Tensor:
        """Augment ``img [n, C, H, W]``."""
        if "color" in self.parts:
            img = _shift_colours(img, random)
        if "translation" in self.parts:
            img = _translate(img, random)
        return _cut(img, random) if "cutout" in self.parts else img


def _shift_colours(img: Tensor, random: StepRandom) -> Tensor:
    """Change brightness by up to 0.5, saturation by 0 to 2 times, contrast by 0.5 to 1.5 times (section 4); an alpha stays."""
    n = len(img)
    shift, saturation, contrast = (random.uniform(n)[:, None, None, None].to(img) for _ in range(3))
    colours = img[:, :3] if img.shape[1] == 4 else img
    colours = colours + shift - 0.5
    grey = colours.mean(1, keepdim=True)
    colours = (colours - grey) * (2 * saturation) + grey
    level = colours.mean((1, 2, 3), keepdim=True)
    colours = (colours - level) * (0.5 + contrast) + level
    return torch.cat([colours, img[:, 3:]], 1) if img.shape[1] == 4 else colours


def _translate(img: Tensor, random: StepRandom) -> Tensor:
    """Shift by up to an eighth of each side, grey (zero) where nothing comes in."""
    n, channels, height, width = img.shape
    far = torch.tensor([height // 8, width // 8])
    shift = (random.uniform(n, 2) * (2 * far + 1)).floor().long() - far
    rows = torch.arange(height) - shift[:, :1]
    columns = torch.arange(width) - shift[:, 1:]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    index = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    moved = img.flatten(2).gather(2, index.to(img.device).view(n, 1, -1).expand(-1, channels, -1)).view_as(img)
    return moved * inside[:, None].to(img)


def _cut(img: Tensor, random: StepRandom) -> Tensor:
    """Make a square of half the side grey (zero); its middle is anywhere in the picture."""
    return augment_colour.cut_out(img, 1.0, random)


def make(settings: Settings) -> Augmentation:
    """Build what ``settings.augment`` and ``settings.augment_pipe`` ask for.

    Raises:
        TrainingError: One of them is not known.
    """
    if settings.augment == "diff":
        return DiffAugment(settings.augment_pipe or DIFF_PIPE)
    if settings.augment not in (None, "none", "fixed", "ada"):
        raise TrainingError(f"augment={settings.augment!r} is not known. Use one of: none, fixed, ada, diff.")
    return Augment(settings.augment_p if settings.augment == "fixed" else 0.0, settings.augment_pipe or "bgc")
