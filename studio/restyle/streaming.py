"""Restyle a picture of any size exactly, in bounded memory: the network runs over strips of rows, once for each norm.

A norm needs the moments of the whole picture, so every norm at a high resolution is a pass: the strips before it are computed,
measured (in float64) and kept, or dropped and computed again. Full-resolution maps are kept only where memory is plentiful;
half-resolution ones are kept in memory or spooled to a temporary file. At the resolution of the residual blocks two maps
are held whole; a block's second convolution replaces its input in place, one row behind. In memory these two lie where the map
that they are made of was, and what is made of them lies there again, because rows are read before others take their place.
A strip is computed with the rows around it that the next layer wants, so the result is that of the untiled network whatever
the strips: nothing is blended.

This module is *not* about pixels or limits (``picture.py``, ``memory.py``), and knows torch only as memory (``parts.py``).

Reference:
    Ulyanov et al. 2016, "Instance Normalization", is what makes tiles disagree; Chen et al. 2022, "Towards Ultra-Resolution
    Neural Style Transfer via Thumbnail Instance Normalization", freezes the statistics of a thumbnail instead.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor

from studio.restyle.maps import Activation, Blurred, Convolved, Kept, Trunk
from studio.restyle.parts import Margin, Moments, Parts, Raw, Rows
from studio.restyle.stores import Area, Arena, Memory, Spool, Store

STRIP_PIXELS = 1 << 18
"""Pixels of the picture in one strip: few enough to bound memory, enough that the rows around it do not count."""

FIRST_COST, DOWN_COST, BLOCK_COST, UP_COST, LAST_COST = 1.0, 1.0, 0.4, 2.0, 3.0
"""About how long the passes take for each pixel of the picture, in relation to one another."""

REFLECT = 1

SHARED_ROWS = 4
"""A strip of a map that takes the place of the one it is made of has a multiple of so many rows, then it never overtakes what is read."""

T = TypeVar("T")

Keep = type[Memory] | type[Spool] | None
"""Where half-resolution maps go; None computes them again."""


@dataclass(frozen=True)
class Layout:
    """How a picture is cut up: its padded size, how many pixels a strip has, where maps are kept, how strong the blocks act."""

    height: int
    width: int
    strip_pixels: int = STRIP_PIXELS
    keep: Keep = Memory
    own: bool = True
    """Batch norms use the picture's own statistics."""
    gain: float = 1.0
    """What each residual block adds is multiplied by this."""
    keeps_whole: bool = False
    """The narrow maps at full resolution are kept as well."""


Steps = Generator[float, None, T]
"""Yields the cost of each strip when it is done, and returns something."""


def stream(parts: Parts, config: dict[str, Any], picture: Rows, sink: Callable[[int, Tensor], None], layout: Layout) -> Iterator[float]:
    """Translate a picture strip by strip.

    Args:
        parts: The network in pieces.
        config: The network's configuration.
        picture: Rows of the input, float32, as the network wants them.
        sink: Takes the result: the first row's number, and ``[1, C, n, W]`` float32.
        layout: The size and how to cut it up.

    Yields:
        The share that is done, 0 to 1, after each strip. Leaving the loop stops the work.
    """
    run, done = _Run(parts, config, picture, sink, layout), 0.0
    for cost in run.passes():
        done += cost
        yield min(1.0, done / run.total)


class _Run:
    """One picture on its way through the network."""

    def __init__(self, parts: Parts, config: dict[str, Any], picture: Rows, sink: Callable[[int, Tensor], None], layout: Layout) -> None:
        self.parts, self.picture, self.sink, self.layout = parts, picture, sink, layout
        self.downs, self.blocks = int(config["n_downs"]), int(config["n_blocks"])
        self.is_blurred = config["downsample"] == "antialias"
        self.pixels, self.arena = layout.height * layout.width, Arena()
        self.area: Area | None = None
        """What the maps around the residual blocks and those of half their scale share, where these are kept in memory."""
        self.total = self.pixels * (FIRST_COST + self.downs * (2 * DOWN_COST + UP_COST) + 2 * self.blocks * BLOCK_COST + LAST_COST)

    def passes(self) -> Steps[None]:
        """Do everything, yielding the cost of each strip."""
        raw, affine = yield from self._settle(Convolved(self.parts, 0, self.picture, self._size(0)), FIRST_COST, self._whole(0))
        act: Rows = Activation(raw, affine)
        del raw
        for level in range(self.downs):
            act = yield from self._down(act, level)
        residual = self._residual(act)
        del act
        act = yield from residual
        for level in range(self.downs):
            above = self.downs - 1 - level
            stage = 1 + self.downs + 2 * self.blocks + level
            values = Convolved(self.parts, stage, act, self._size(above), 2 if self.area is None else SHARED_ROWS)
            raw, affine = yield from self._settle(values, UP_COST, self._store(stage, above) if above else self._whole(stage))
            act = Activation(raw, affine)
            del raw, values
        yield from self._last(act)

    def _size(self, level: int) -> tuple[int, int]:
        return self.layout.height >> level, self.layout.width >> level

    def _store(self, stage: int, level: int) -> Store | None:
        keep = self.layout.keep
        if keep is Spool:
            return Spool(*self._size(level), self.parts.channels(stage), self.parts.dtype, self.parts.device)
        if keep is None:
            return None
        if level == self.downs - 1 and (self.blocks or not self.is_blurred):
            self.area = self.area or self._shared(stage)
            return self._memory(stage, *self._size(level), self.area)
        return self._memory(stage, *self._size(level))

    def _shared(self, stage: int) -> Area | None:
        """Return what the maps around the blocks share with that of ``stage``, which they are made of; None if they are wider."""
        height, width = self._size(self.downs)
        outer, inner = 2 * self.parts.channels(stage), self.parts.channels(stage + 1)
        if inner > outer:
            return None
        length = max(2 * height * outer, (2 * height + 1) * inner) * width * self.parts.dtype.itemsize
        return Area(length, self.parts.device, self.arena)

    def _whole(self, stage: int) -> Memory | None:
        """Return where a map of full resolution goes, if it is kept and would be computed twice otherwise."""
        is_worth_it = self.layout.keeps_whole and self.parts.measures(stage, self.layout.own)
        return self._memory(stage, *self._size(0)) if is_worth_it else None

    def _memory(self, stage: int, height: int, width: int, area: Area | None = None, *, at_end: bool = False) -> Memory:
        """Return memory for a stage's map: its own, or the first or the last bytes of an area."""
        channels, dtype = self.parts.channels(stage), self.parts.dtype
        length = height * width * channels * dtype.itemsize
        area = area or Area(length, self.parts.device, self.arena)
        return Memory(height, width, channels, dtype, area, len(area.raw) - length if at_end else 0)

    def _strips(self, height: int, pixels: int, *, align: int = 1) -> Iterator[tuple[int, int, float]]:
        """Cut a map into strips of ``pixels`` (of the map's height times the picture's width); the third is the share of pixels."""
        rows = max(1, pixels // self.layout.width)
        rows += -rows % align
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            yield top, bottom, (bottom - top) / height * self.pixels

    def _settle(self, values: Convolved, cost: float, store: Store | None = None) -> Steps[tuple[Convolved | Kept, Any]]:
        """Run a stage once to measure it, to keep it, or both; returns where its values come from, and its scale and shift."""
        parts, moments = self.parts, None
        is_measured = parts.measures(values.stage, self.layout.own)
        pixels = self.layout.strip_pixels * values.height // self.layout.height
        if not is_measured and store is None:
            yield cost * self.pixels
            return values, parts.affine(values.stage, None)
        for top, bottom, share in self._strips(values.height, pixels, align=values.align):
            raw = values.raw(top, bottom)
            moments = _joined(moments, _put(parts, store, top, bottom, raw, is_measured))
            del raw
            yield cost * share
        source = values if store is None else Kept(parts, store, (values.height, values.width))
        return source, parts.affine(values.stage, moments)

    def _down(self, act: Rows, level: int) -> Steps[Rows]:
        """Halve the sides. What a blur-pool takes in is too large to be kept; what it gives is kept."""
        parts, stage, is_last = self.parts, 1 + level, level == self.downs - 1
        if not self.is_blurred:
            store = self._spare(stage) if is_last else self._store(stage, level + 1)
            values = Convolved(parts, stage, act, self._size(level + 1), SHARED_ROWS if is_last else 1)
            raw, affine = yield from self._settle(values, 2 * DOWN_COST, store)
            return Activation(raw, affine)
        raw, affine = yield from self._settle(Convolved(parts, stage, act, self._size(level)), DOWN_COST)
        blurred = Blurred(raw, affine)
        store = None if is_last else self._store(stage, level + 1)
        if store is None:
            return blurred
        for top, bottom, share in self._strips(blurred.height, self.layout.strip_pixels >> (level + 1)):
            store.put(top, blurred.rows(top, bottom))
            yield DOWN_COST * share
        return Activation(Kept(parts, store, (blurred.height, blurred.width)), None, 1.0)

    def _spare(self, stage: int) -> Memory:
        """Return the second of the two maps that are held whole: a row higher than the first, see :meth:`_block`."""
        height, width = self._size(self.downs)
        return self._memory(stage, height + 1, width, self.area, at_end=self.is_blurred)

    def _residual(self, act: Rows) -> Steps[Trunk]:
        """Run the residual blocks."""
        parts, (height, width) = self.parts, self._size(self.downs)
        values = self._memory(self.downs, height, width, self.area, at_end=not self.is_blurred)
        for top, bottom, share in self._strips(height, self.layout.strip_pixels >> self.downs, align=SHARED_ROWS):
            values.put(top, act.rows(top, bottom))
            yield DOWN_COST * share if self.is_blurred else 0.0
        source = act.source if isinstance(act, Activation) else None
        kept = source.store if isinstance(source, Kept) else None
        del act, source
        spare = kept or self._spare(self.downs)
        assert isinstance(spare, Memory)
        trunk = Trunk(parts, values, spare, (height, width))
        for block in range(self.blocks):
            yield from self._block(trunk, 1 + self.downs + 2 * block)
        last = spare if self.area is not None and self.is_blurred else values
        for _, bottom, _ in self._strips(height, self.layout.strip_pixels):
            trunk.add_until(bottom, last)
        trunk.values = last
        del trunk.spare
        return trunk

    def _block(self, trunk: Trunk, stage: int) -> Steps[None]:
        """Run one block: its first convolution a row further down in ``spare`` than its second, which replaces it from the top."""
        parts, spare, height = self.parts, trunk.spare, trunk.height
        affine = None
        for step in (0, 1):
            source = Activation(Kept(parts, spare, (height, trunk.width), 1), affine) if step else trunk
            is_measured, moments = parts.measures(stage + step, self.layout.own), None
            for top, bottom, share in self._strips(height, self.layout.strip_pixels, align=4):
                raw = parts.convolve(stage + step, source, top, bottom)
                moments = _joined(moments, _put(parts, spare, top + 1 - step, bottom + 1 - step, raw, is_measured))
                del raw
                yield BLOCK_COST * share
            affine = parts.affine(stage + step, moments, gain=self.layout.gain if step else 1.0)
        trunk.affine, trunk.done = affine, 0

    def _last(self, act: Rows) -> Steps[None]:
        """Run the last convolution and hand the result over."""
        height = self.layout.height
        for top, bottom, share in self._strips(height, self.layout.strip_pixels):
            above, below = max(0, 3 - top), max(0, bottom + 3 - height)
            rows = act.rows(top - 3 + above, bottom + 3 - below, Margin(above, 3, below, 3, REFLECT))
            self.sink(top, self.parts.close(rows))
            del rows
            yield LAST_COST * share


def _joined(moments: Moments | None, more: Moments | None) -> Moments | None:
    return more if moments is None or more is None else moments + more


def _put(parts: Parts, store: Store | None, top: int, bottom: int, raw: Raw, is_measured: bool) -> Moments | None:
    """Keep the values of a stage as they are, where there is a store; returns their moments where these are wanted."""
    target = store.rows(top, bottom) if isinstance(store, Memory) else None
    if isinstance(store, Spool):
        store.put(top, parts.write(raw, None, slope=1.0))
    if is_measured:
        return parts.moments(raw, target)
    if target is not None:
        parts.write(raw, None, slope=1.0, out=target)
    return None
