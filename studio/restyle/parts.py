"""A residual translator in pieces that work on strips of rows, and how its norms are settled between them.

A *strip* is some whole rows of a map. A convolution of a strip gives values that are not normalised yet (``Raw``, whatever
the implementation likes); writing them with a norm's scale and shift gives an activation, with the margin that the next
layer wants around it. :class:`Parts` is what the streaming needs; ``plain.py`` serves it with torch alone,
``accel/translator_strips.py`` with the fast kernels. This module does *not* know the order of the pieces: see ``streaming.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

Raw = Any
"""Values of a convolution in rows, before the norm."""


class Margin(NamedTuple):
    """Pixels around a strip and how they are filled: zeros (0), reflected (1), repeated (2)."""

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0
    mode: int = 0


NO_MARGIN = Margin()


@dataclass(frozen=True)
class Moments:
    """Count, mean and summed squared deviations per channel, in float64 ``[C]``."""

    count: int
    mean: Tensor
    deviations: Tensor

    def __add__(self, other: Moments) -> Moments:
        """Join the moments of two strips.

        Reference:
            Chan, Golub and LeVeque 1979, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances".
        """
        count = self.count + other.count
        step = other.mean - self.mean
        mean = self.mean + step * (other.count / count)
        deviations = self.deviations + other.deviations + step * step * (self.count * other.count / count)
        return Moments(count, mean, deviations)

    @classmethod
    def of_sums(cls, count: int, reference: Tensor, first: Tensor, second: Tensor) -> Moments:
        """Turn sums of ``v - reference`` and of its square into moments."""
        offset = first.double() / count
        deviations = (second.double() - first.double() * offset).clamp_min(0)
        return cls(count, reference.double() + offset, deviations)


class Rows(Protocol):
    """An activation that can be asked for any of its rows."""

    height: int
    width: int

    def rows(self, top: int, bottom: int, margin: Margin = NO_MARGIN) -> Tensor:
        """Return rows ``top .. bottom - 1`` with a margin, ``[1, C, n, W]``, channels last."""
        ...


class Parts(Protocol):
    """The pieces of one residual translator. Stages are its convolutions but the last, counted from 0."""

    dtype: torch.dtype
    device: torch.device

    def channels(self, stage: int) -> int:
        """Return how many channels the stage's map has in memory."""
        ...

    def measures(self, stage: int, own: bool) -> bool:
        """Say whether the norm behind a stage needs the moments of the whole picture."""
        ...

    def affine(self, stage: int, moments: Moments | None, *, gain: float = 1.0) -> Any:
        """Return scale and shift of the norm behind a stage, times ``gain``; None: as stored in the network."""
        ...

    def convolve(self, stage: int, source: Rows, top: int, bottom: int) -> Raw:
        """Compute rows ``top .. bottom - 1`` of a stage; both even where it doubles the sides."""
        ...

    def moments(self, raw: Raw, out: Tensor | None = None) -> Moments:
        """Measure a strip, and copy its values to ``out`` on the way."""
        ...

    def view(self, values: Tensor) -> Raw:
        """Take a strip that was stored for the values of a convolution."""
        ...

    def write(
        self,
        raw: Raw,
        affine: Any,
        margin: Margin = NO_MARGIN,
        *,
        slope: float = 0.0,
        residual: Tensor | None = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """Normalise (``affine`` None: leave as it is), apply ``max(v, slope v)``, add a residual, put a margin around it."""
        ...

    def blur(self, raw: Raw, affine: Any, *, cut: int) -> Tensor:
        """Normalise, apply ReLU and halve the sides with [1, 2, 1]; the first ``cut`` rows of the result are left out."""
        ...

    def close(self, act: Tensor) -> Tensor:
        """Run the last convolution and tanh on ``[1, C, n + 6, W + 6]``; float32 ``[1, channels, n, W]``."""
        ...
