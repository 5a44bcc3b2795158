"""Where a pass over a picture takes its rows from: stages that are computed when asked for, maps that were kept, the trunk.

This is *not* the order of the passes (``streaming.py``), nor where maps are kept (``stores.py``).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from studio.restyle.parts import NO_MARGIN, Margin, Parts, Raw, Rows
from studio.restyle.stores import Memory, Store


class Convolved:
    """The values of one stage, computed when they are asked for; its rows in multiples of ``align``."""

    def __init__(self, parts: Parts, stage: int, source: Rows, size: tuple[int, int], align: int = 1) -> None:
        self.parts, self.stage, self.source, self.align = parts, stage, source, align
        self.height, self.width = size

    def raw(self, top: int, bottom: int) -> Raw:
        """Compute rows ``top .. bottom - 1``."""
        return self.parts.convolve(self.stage, self.source, top, bottom)


class Kept:
    """Values, or an activation, as they were stored, ``offset`` rows further down."""

    align = 1

    def __init__(self, parts: Parts, store: Store, size: tuple[int, int], offset: int = 0) -> None:
        self.parts, self.store, self.offset = parts, store, offset
        self.height, self.width = size

    def raw(self, top: int, bottom: int) -> Raw:
        """Describe rows ``top .. bottom - 1`` where they lie."""
        return self.parts.view(self.store.rows(top + self.offset, bottom + self.offset))


class Activation:
    """The normalised values of a stage, or (``affine`` None, ``slope`` 1) what was stored as an activation."""

    def __init__(self, source: Convolved | Kept, affine: Any, slope: float = 0.0) -> None:
        self.source, self.affine, self.slope = source, affine, slope
        self.height, self.width = source.height, source.width

    def rows(self, top: int, bottom: int, margin: Margin = NO_MARGIN) -> Tensor:
        """Return rows ``top .. bottom - 1`` with a margin around them, ``[1, C, n, W]``."""
        align = self.source.align
        first, last = top - top % align, bottom + -bottom % align
        values = self.source.parts.write(self.source.raw(first, last), self.affine, margin, slope=self.slope)
        return values[:, :, top - first : values.shape[2] - (last - bottom)]


class Blurred:
    """The normalised values of a stage, halved by blur-pool."""

    def __init__(self, source: Convolved | Kept, affine: Any) -> None:
        self.source, self.affine = source, affine
        self.height, self.width = source.height // 2, source.width // 2

    def rows(self, top: int, bottom: int, margin: Margin = NO_MARGIN) -> Tensor:
        """Return rows ``top .. bottom - 1`` with a margin around them, ``[1, C, n, W]``."""
        parts, cut = self.source.parts, 1 if top else 0
        values = parts.blur(self.source.raw(2 * (top - cut), 2 * bottom), self.affine, cut=cut)
        return values if margin == NO_MARGIN else parts.write(parts.view(values), None, margin, slope=1.0)


class Trunk:
    """What the residual blocks add to. A block's result is added when its rows are first asked for."""

    def __init__(self, parts: Parts, values: Memory, spare: Memory, size: tuple[int, int]) -> None:
        self.parts, self.values, self.spare = parts, values, spare
        self.height, self.width = size
        self.affine: Any = None
        self.done = self.height

    def rows(self, top: int, bottom: int, margin: Margin = NO_MARGIN) -> Tensor:
        """Return rows ``top .. bottom - 1`` with a margin around them, ``[1, C, n, W]``."""
        self.add_until(bottom)
        values = self.values.rows(top, bottom)
        return values if margin == NO_MARGIN else self.parts.write(self.parts.view(values), None, margin, slope=1.0)

    def add_until(self, bottom: int, into: Memory | None = None) -> None:
        """Add the last block's result, which lies in ``spare``, to the rows above ``bottom``, which stay where they are or go ``into``."""
        if self.done < bottom:
            values, target = self.values.rows(self.done, bottom), (into or self.values).rows(self.done, bottom)
            raw = self.parts.view(self.spare.rows(self.done, bottom))
            self.parts.write(raw, self.affine, slope=1.0, residual=values, out=target)
            self.done = bottom
