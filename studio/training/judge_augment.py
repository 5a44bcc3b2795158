"""Changes that a translator's discriminator sees and that can be differentiated, for sets of a few hundred pictures.

With so few pictures a discriminator learns them by heart and stops teaching; shown each of them changed, real and made alike, it cannot
(Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training"). This is *not* the adaptive pipe of the picture
generators (``augment.py``): here every change acts on every picture, and nothing adapts.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from studio.errors import TrainingError
from studio.training.trainer import StepRandom

LARGEST_MOVE = 1 / 8
"""Share of the side that a picture moves by at most (Zhao et al. 2020, section 3.3)."""
CUTOUT = 1 / 2
"""Side of the blanked square as a share of the picture's (the same section)."""


def _flip(img: Tensor, random: StepRandom) -> Tensor:
    """Mirror each picture with probability one half."""
    chosen = (random.uniform(len(img)) < 0.5).to(img.device)[:, None, None, None]
    return torch.where(chosen, img.flip(3), img)


def _move(img: Tensor, random: StepRandom) -> Tensor:
    """Shift each picture by up to an eighth of its side, zeros coming in."""
    height, width = img.shape[2:]
    down, right = round(height * LARGEST_MOVE), round(width * LARGEST_MOVE)
    tops = random.integers(len(img), 0, 2 * down + 1).tolist()
    lefts = random.integers(len(img), 0, 2 * right + 1).tolist()
    padded = torch.nn.functional.pad(img, (right, right, down, down))
    return torch.stack([one[:, y : y + height, x : x + width] for one, y, x in zip(padded, tops, lefts, strict=True)])


def _cutout(img: Tensor, random: StepRandom) -> Tensor:
    """Blank a square of half the side, at a place that may lie across the edge."""
    n, _, height, width = img.shape
    half = (round(height * CUTOUT / 2), round(width * CUTOUT / 2))
    y, x = random.integers(n, 0, height + 1)[:, None], random.integers(n, 0, width + 1)[:, None]
    rows = (torch.arange(height) - y).abs() < half[0]
    columns = (torch.arange(width) - x).abs() < half[1]
    kept = ~(rows[:, :, None] & columns[:, None, :])
    return img * kept[:, None].to(img.device, img.dtype)


def _colour(img: Tensor, random: StepRandom) -> Tensor:
    """Change brightness by up to half, saturation by 0 to 2, contrast by half to one and a half, as published.

    A pair of pictures (six channels) is changed alike.
    """
    brightness, saturation, contrast = (random.uniform(len(img)).to(img.device, img.dtype).view(-1, 1, 1, 1, 1) for _ in range(3))
    n, channels, height, width = img.shape
    x = img.reshape(n, channels // 3, 3, height, width) + (brightness - 0.5)
    grey = x.mean(2, keepdim=True)
    x = grey + (x - grey) * (2 * saturation)
    middle = x.mean((2, 3, 4), keepdim=True)
    changed: Tensor = middle + (x - middle) * (contrast + 0.5)
    return changed.flatten(1, 2)


CHANGES: dict[str, Callable[[Tensor, StepRandom], Tensor]] = {"flip": _flip, "move": _move, "cutout": _cutout, "colour": _colour}
"""What can be asked for, in the order it is applied."""


class JudgeAugment:
    """The changes named in the settings, such as ``flip,move``; the empty name changes nothing and draws no random number.

    Raises:
        TrainingError: A name is not known.
    """

    def __init__(self, names: str = "") -> None:
        wanted = [name.strip() for name in names.split(",") if name.strip()]
        unknown = [name for name in wanted if name not in CHANGES]
        if unknown:
            raise TrainingError(f"judge_augment={unknown[0]!r} is not known. Use any of {', '.join(CHANGES)}, with commas between.")
        self.changes = [change for name, change in CHANGES.items() if name in wanted]

    def __call__(self, img: Tensor, random: StepRandom) -> Tensor:
        """Change ``img [n, 3 or 6, H, W]``; differentiable in it."""
        for change in self.changes:
            img = change(img, random)
        return img
