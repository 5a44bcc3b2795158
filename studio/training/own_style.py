"""One more style for a book that is there already: from a painting, or several of one hand, in ten minutes.

The photos to practise on ship. A style begins as the nearest one of the book and is learnt either as a row alone, so that every other
style of the book stays as it is, bit for bit, and blends with it; or with a copy of the whole network, which then holds this style alone.
This is *not* how a book is learnt from nothing (``style_book.py``), and whoever starts a run for a page calls ``learn.py``.

Reference:
    Dumoulin et al. 2017, "A Learned Representation for Artistic Style", section 3.3 (a new style is quickly learnt by a trained network).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from studio import checkpoints, paths
from studio.errors import TrainingError
from studio.training import feature_terms, presets, start
from studio.training.data import Pictures, read_pixels
from studio.training.settings import Settings
from studio.training.style_book import PAINTING_SIDE, TABLES, StyleTrainer, square
from studio.training.team import Team
from studio.training.trainer import StepRandom, UInt8, to_float, to_image
from studio.training.translator_presets import BOOK

log = logging.getLogger(__name__)

ROW_RATE_FACTOR = 5
CONV_RATE_FACTOR = 0.25
"""What the rows and the convolutions learn at, in parts of ``g_lr`` (0.002): convolutions that know how to paint need little."""
MOST_PIECES = 4
"""Squares that a long painting is measured in, at most."""
COMPARED_PHOTOS = 2
"""Photos that all styles of the book paint, to find the nearest."""
SHOWN_PHOTO = "landscape-00088.webp"
"""What previews show unless the user has a photo: a castle on a meadow under clouds."""
SHOWN_SIDE = 512
"""Longer side of the photo in previews, pixels."""


class OwnStyleTrainer(StyleTrainer):
    """The network of a book and the rows of one or more new styles before its own."""

    def __init__(self, settings: Settings, paintings: Pictures, photos: Pictures, team: Team) -> None:
        self.book = book_of(settings)
        super().__init__(settings, paintings, photos, team)
        if settings.learns == "row":
            del self.optimizers["g"]
            for name, parameter in self.networks["forward"].named_parameters():
                parameter.requires_grad_(name.endswith(TABLES))
        self.shown = _photo(settings.photo or str(paths.practice_folder() / SHOWN_PHOTO))

    def all_names(self) -> tuple[str, ...]:
        """Name the rows of the network: the new styles, and those of the book where they stay what they are."""
        if self.settings.learns == "network":
            return self.learnt
        taken = [name for name in self.learnt if name in self.book.classes]
        if taken:
            raise TrainingError(f"{self.book.name} already has a style called {taken[0]}. Choose another name.")
        return (*self.learnt, *self.book.classes)

    def learning_rate(self, key: str) -> float:
        """Return the full rate of an optimiser."""
        return presets.require(self.settings.g_lr) * (ROW_RATE_FACTOR if key == "tables" else CONV_RATE_FACTOR)

    def pieces(self, painting: UInt8) -> list[UInt8]:
        """Cut squares all along the longer side, so that of a scroll or a frieze nothing is passed over."""
        height, width = painting.shape[:2]
        side = min(height, width)
        n = min(MOST_PIECES, -(-max(height, width) // side))
        places = np.linspace(0, max(height, width) - side, n).round().astype(int)
        return [square(painting[k : k + side] if height > width else painting[:, k : k + side]) for k in places]

    def choose(self, n: int, random: StepRandom) -> Tensor:
        """Pick one style for all photos of a step, ``[n]``."""
        return random.integers(1, 0, len(self.learnt))[:1].expand(n)

    def pooled(self, statistics: feature_terms.Statistics) -> feature_terms.Statistics:
        """Let the photos of a step be like the painting together: a piece of sky need not hold what its trees are made of."""
        return [(means.mean(0, keepdim=True), covariances.mean(0, keepdim=True)) for means, covariances in statistics]

    def begin(self) -> None:
        """Take the book over, and begin each new style as the nearest one of the book.

        Raises:
            StudioError: The book cannot be opened any more.
        """
        source: Any = open_book(self.settings)
        first = len(self.learnt)
        nearest = [self._nearest(source, label) for label in range(first)]
        log.info("begins as %s", ", ".join(self.book.classes[row] for row in nearest))
        for network in (self.networks["forward"], self.averages["forward"]):
            values = source.state_dict()
            for name, value in values.items():
                if name.endswith(TABLES):
                    values[name] = torch.cat([value[nearest], value]) if len(self.names) > first else value[nearest]
            network.load_state_dict(values)
        start.remember(self.settings, self.book)

    @torch.inference_mode()
    def _nearest(self, source: nn.Module, label: int) -> int:
        """Return the row of the book that paints most like a style's paintings while the photos' things stay."""
        shown = to_float(self.middles("photos", COMPARED_PHOTOS), self.device)
        chosen = torch.full((len(shown),), label, device=self.device)
        source = source.to(self.device)
        distances = []
        for row in range(len(self.book.classes)):
            weights = F.one_hot(torch.tensor(row), len(self.book.classes)).float().to(self.device)
            content, style = self.terms(shown, source(shown, weights), chosen)
            distances.append(float(content + style))
        return int(np.argmin(distances))

    def sample_grid(self) -> UInt8:
        """Return for each new style its first painting, a photo, and the photo in that style, side by side: uint8 ``[H, W, 3]``."""
        rows = []
        paintings = self.pictures["paintings"]
        for label in range(len(self.learnt)):
            first = int(np.flatnonzero(paintings.labels == label)[0])
            painted = to_image(self.painted(self.shown[None], label))[0]
            rows.append(np.concatenate([_as_high(paintings.picture(first), len(painted)), self.shown, painted], 1))
        return np.concatenate(rows)


def book_of(settings: Settings) -> start.Origin:
    """Say which book a run adds to: that which it began with, else the one that ``start_from`` names, else the shipped one.

    Raises:
        StudioError: The file cannot be opened, no model has that name, or it is no book of styles.
    """
    from studio.training.loop import run_folder

    folder = run_folder(settings)
    remembered = folder.path / "start.json"
    if folder.states() and remembered.is_file():
        return start.read(remembered)
    book: Any = open_book(settings)
    card = book.card
    facts = (card.name, card.sha256, card.licence, card.credit, card.classes)
    return start.Origin(settings.start_from or BOOK, *facts, family=book.family, config=dict(book.config), judge=None)


def open_book(settings: Settings) -> nn.Module:
    """Open the book of styles that a run starts from."""
    path = start.find_model(settings.start_from or BOOK)
    network: nn.Module | None = None if path is None else checkpoints.load(path)
    if network is None or not hasattr(network, "n_styles"):
        raise TrainingError(f"start_from={settings.start_from!r} is no book of painting styles. Leave it out, or name one: studio styles")
    return network


def _photo(file: str) -> UInt8:
    """Read the photo of the previews, its longer side at most :data:`SHOWN_SIDE` and both multiples of 4: uint8 ``[H, W, 3]``.

    Raises:
        TrainingError: There is no such file, or it is no picture.
    """
    try:
        with Path(file).open("rb") as opened:
            pixels = read_pixels(opened, 3)
    except OSError as error:
        raise TrainingError(f"photo={file}: this cannot be read as a picture ({error}). Choose another, or leave it out.") from error
    height, width = pixels.shape[:2]
    scale = min(1.0, SHOWN_SIDE / max(height, width))
    size = tuple(max(PAINTING_SIDE // 4, round(side * scale) // 4 * 4) for side in (width, height))
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def _as_high(image: UInt8, height: int) -> UInt8:
    """Bring a picture to a height, at most twice as wide: its middle."""
    width = max(1, round(image.shape[1] * height / image.shape[0]))
    scaled = np.asarray(Image.fromarray(np.array(image)).resize((width, height), Image.Resampling.LANCZOS))
    left = max(0, (width - 2 * height) // 2)
    return scaled[:, left : left + 2 * height]
