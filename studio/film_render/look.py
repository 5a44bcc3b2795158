"""The shape of a finished film frame: its size, how a picture is fitted into it, and several films side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from studio.errors import RecipeError
from studio.media import ImageArray, fit_frame
from studio.media.fitting import FIT_MODES
from studio.render import BACKDROP, fit, opaque

MAX_SIDE = 16_384
MAX_CELLS = 64


@dataclass(frozen=True, slots=True)
class Look:
    """How the frames of a film are shaped.

    Attributes:
        width: Of the finished frame in pixels, together with ``height``; without them the recipe's ``size`` is the longest side.
        height: Likewise.
        fit: How a picture of another aspect is fitted: ``pad``, ``mirror``, ``crop`` or ``stretch``.
        ground: Colour of the edges of ``pad``.
        columns: Films in a row, when there are several side by side; None makes them about a square.
        upscaler: Name of a model that enlarges every frame (ESRGAN) before it gets its size; empty: Lanczos alone.
    """

    width: int | None = None
    height: int | None = None
    fit: str = "pad"
    ground: tuple[int, int, int] = (0, 0, 0)
    columns: int | None = None
    upscaler: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        if (self.width is None) != (self.height is None):
            raise RecipeError("Give both width and height, or neither. The recipe's size alone keeps the aspect.")
        if self.fit not in FIT_MODES:
            raise RecipeError(f"fit={self.fit!r} is not possible. Choose from {', '.join(FIT_MODES)}.")
        for name, side in (("width", self.width), ("height", self.height)):
            if side is not None and not 1 <= side <= MAX_SIDE:
                raise RecipeError(f"{name}={side} is not possible. Use 1 to {MAX_SIDE} pixels.")
        if len(self.ground) != 3 or not all(0 <= value <= 255 for value in self.ground):
            raise RecipeError(f"ground={self.ground} is no colour. Use three numbers from 0 to 255.")
        if self.columns is not None and not 1 <= self.columns <= MAX_CELLS:
            raise RecipeError(f"columns={self.columns} is not possible. Use 1 to {MAX_CELLS}.")

    def finish(self, image: ImageArray, size: int | None = None) -> ImageArray:
        """Bring a frame to its finished size, with Lanczos.

        Args:
            image: uint8 ``[H, W, 3 or 4]``, as it was drawn.
            size: Longest side, where the look itself says no size; None leaves it alone.
        """
        if self.width is None or self.height is None:
            return fit(image, size)
        return fit_frame(image, self.width, self.height, self.fit, ground=self.ground)

    def compose(self, images: Sequence[ImageArray]) -> ImageArray:
        """Lay the pictures of several films side by side, row by row, each in a cell as large as the largest; one stays as it is."""
        if len(images) == 1:
            return images[0]
        height, width = max(image.shape[0] for image in images), max(image.shape[1] for image in images)
        columns = min(len(images), self.columns or math.ceil(math.sqrt(len(images))))
        rows = math.ceil(len(images) / columns)
        sheet = np.full((rows * height, columns * width, 3), BACKDROP[0], np.uint8)
        for index, image in enumerate(images):
            top, left = index // columns * height, index % columns * width
            sheet[top : top + height, left : left + width] = fit_frame(opaque(image), width, height)
        return sheet

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Look:
        """Take it back from :meth:`to_dict`."""
        return cls(**{**data, "ground": tuple(data["ground"])})
