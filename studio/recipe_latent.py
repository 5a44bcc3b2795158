"""A place in a generator's latent space, and style vectors as text. Plain data that the whole recipe builds on."""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from studio.errors import RecipeError
from studio.recipe_codec import declare

SEED_ROW_STEP = 100
"""Seeds between two rows of the seed plane: position (x, y) is seed ``x + 100 y``."""


@dataclass(frozen=True, slots=True)
class Latent:
    """One place in a generator's latent space: a point of the seed plane, or style vectors kept in full.

    ``(x, y)`` mixes the four neighbouring integer seeds bilinearly in W; ``(42, 0)`` is exactly seed 42.
    ``ws`` (see :func:`pack_floats`) holds ``[w_dim]`` or ``[num_ws, w_dim]`` float32 values and wins over the plane.
    ``classes`` are ``(class index, weight)`` pairs; empty means the model's average class.
    """

    x: float = declare(0.0, "where on the seed plane, left to right", low=-(2.0**32), high=2.0**32)
    y: float = declare(0.0, "where on the seed plane, row by row", low=-(2.0**26), high=2.0**26)
    ws: str = declare("", "style vectors kept in full", max_length=128 * 1024)
    classes: tuple[tuple[int, float], ...] = declare((), "class weights", max_length=1000)

    @classmethod
    def from_seed(cls, seed: int, classes: Sequence[tuple[int, float]] = ()) -> Latent:
        """Give the place of one integer seed."""
        return cls(x=float(seed), classes=tuple(classes))


def pack_floats(values: Sequence[float]) -> str:
    """Pack numbers as base64 text of little-endian float32, the form of ``Latent.ws``."""
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode("ascii")


def unpack_floats(text: str) -> tuple[float, ...]:
    """Undo :func:`pack_floats`.

    Raises:
        RecipeError: The text is not base64, is no whole number of floats, or holds NaN or infinity.
    """
    try:
        raw = base64.b64decode(text, validate=True)
        values = struct.unpack(f"<{len(raw) // 4}f", raw)
    except (binascii.Error, ValueError, struct.error) as error:
        raise RecipeError("ws is damaged: it must be base64 of float32 values. Use the file as it was saved.") from error
    if not all(map(math.isfinite, values)):
        raise RecipeError("ws holds values that are not numbers (NaN or infinity). Use the file as it was saved.")
    return values
