"""Feature maps that are kept between two passes over a picture: in memory, or spooled to a temporary file.

Rows go in once and come out in any order. This is *not* a cache: what is not kept is computed again by the caller.
"""

from __future__ import annotations

import contextlib
import mmap
import tempfile
import weakref
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from studio.errors import MediaError


class Store(Protocol):
    """Rows of one feature map."""

    def put(self, top: int, values: Tensor) -> None:
        """Keep ``values [1, C, n, W]`` as rows ``top .. top + n - 1``."""
        ...

    def rows(self, top: int, bottom: int) -> Tensor:
        """Return rows ``top .. bottom - 1``, ``[1, C, n, W]`` with channels last in memory; it may be a view."""
        ...


@dataclass(frozen=True, eq=False)
class _Gap:
    """Bytes ``start .. stop - 1`` of an area that nobody uses."""

    area: mmap.mmap
    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start

    def drop(self) -> None:
        """Let the system have the pages back until somebody touches them again, where it knows how to."""
        first, last = (at + -at % mmap.PAGESIZE for at in (self.start, self.stop - mmap.PAGESIZE + 1))
        if last > first and hasattr(mmap, "MADV_DONTNEED"):
            self.area.madvise(mmap.MADV_DONTNEED, first, last - first)


class Arena:
    """Memory that the maps of one picture take and give back, so that most bytes of it are fetched from the system once.

    A page that is touched for the first time costs about as much as computing what goes into it. All goes back to the system
    as soon as the arena and its maps are dropped.
    """

    def __init__(self) -> None:
        self._gaps: list[_Gap] = []

    def take(self, owner: object, length: int) -> Tensor:
        """Return ``length`` bytes, uint8, that are ``owner``'s until it is dropped: of the smallest gap, or new ones."""
        gap = min((gap for gap in self._gaps if gap.length >= length), key=lambda gap: gap.length, default=None)
        if gap is None:
            for other in self._gaps:
                other.drop()
            gap = _Gap(_fresh(length), 0, length)
        else:
            self._gaps.remove(gap)
        stop = gap.start + length
        if gap.stop > stop:
            self._gaps.append(_Gap(gap.area, stop, gap.stop))
        weakref.finalize(owner, self._give, gap.area, gap.start, stop)
        return torch.from_numpy(np.frombuffer(gap.area, np.uint8))[gap.start : stop]

    def _give(self, area: mmap.mmap, start: int, stop: int) -> None:
        """Take bytes back and join them with the gaps beside them."""
        for gap in [gap for gap in self._gaps if gap.area is area and (gap.stop == start or gap.start == stop)]:
            self._gaps.remove(gap)
            start, stop = min(start, gap.start), max(stop, gap.stop)
        self._gaps.append(_Gap(area, start, stop))


def _fresh(length: int) -> mmap.mmap:
    """Return new memory, in large pages where the system has them: fewer are touched for the first time."""
    area = mmap.mmap(-1, max(1, length))
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a system built without large pages
            area.madvise(mmap.MADV_HUGEPAGE)
    return area


class Area:
    """Bytes that several maps may share, on a CPU those of an arena; who lays maps over one another sees to their order."""

    def __init__(self, length: int, device: torch.device, arena: Arena) -> None:
        self.raw = arena.take(self, length) if device.type == "cpu" else torch.empty(length, dtype=torch.uint8, device=device)


class Memory:
    """Keeps a map in memory: in an area of its own bytes or, from byte ``start`` on, in a shared one."""

    def __init__(self, height: int, width: int, channels: int, dtype: torch.dtype, area: Area, start: int = 0) -> None:
        self._area = area
        raw = area.raw[start : start + height * width * channels * dtype.itemsize]
        self.values = raw.view(dtype).view(height, width, channels).permute(2, 0, 1)[None]

    def put(self, top: int, values: Tensor) -> None:
        """Keep rows from ``top`` on."""
        self.rows(top, top + values.shape[2]).copy_(values)

    def rows(self, top: int, bottom: int) -> Tensor:
        """Return a view of some rows."""
        return self.values[:, :, top:bottom]


class Spool:
    """Keeps a map in a temporary file, which the system removes when the map is dropped, even after a crash."""

    def __init__(self, height: int, width: int, channels: int, dtype: torch.dtype, device: torch.device) -> None:
        self._shape, self._dtype, self._device = (width, channels), dtype, device
        self._pitch = width * channels * dtype.itemsize
        self._file = tempfile.TemporaryFile(prefix="studio-restyle-", buffering=0)  # noqa: SIM115 - lives as long as the map
        weakref.finalize(self, self._file.close)

    def put(self, top: int, values: Tensor) -> None:
        """Write rows from ``top`` on.

        Raises:
            MediaError: The disk is full.
        """
        dense = values.permute(0, 2, 3, 1).contiguous().cpu().view(torch.uint8).numpy()
        try:
            self._file.seek(top * self._pitch)
            left = memoryview(dense.data).cast("B")
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            sentence = "The disk for temporary files is full, and this picture needs it. Free some space or allow more memory."
            raise MediaError(sentence, detail=repr(error)) from error

    def rows(self, top: int, bottom: int) -> Tensor:
        """Read some rows back."""
        width, channels = self._shape
        values = torch.empty(bottom - top, width, channels, dtype=self._dtype)
        left = memoryview(values.view(torch.uint8).numpy().data).cast("B")
        self._file.seek(top * self._pitch)
        while left:
            count = self._file.readinto(left)
            assert count, "rows are read after they were written"
            left = left[count:]
        return values.permute(2, 0, 1)[None].to(self._device)
