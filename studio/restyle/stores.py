"""Feature maps that are kept between two passes over a picture: in memory, or spooled to a temporary file.

Rows go in once and come out in any order. This is *not* a cache: what is not kept is computed again by the caller.
"""

from __future__ import annotations

import mmap
import tempfile
import weakref
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


class Memory:
    """Keeps a map in memory of its own, which goes back to the system as soon as the map is dropped."""

    def __init__(self, height: int, width: int, channels: int, dtype: torch.dtype, device: torch.device) -> None:
        if device.type == "cpu":
            length = height * width * channels * dtype.itemsize
            raw = torch.from_numpy(np.frombuffer(mmap.mmap(-1, max(1, length)), np.uint8))[:length]
            values = raw.view(dtype).view(height, width, channels)
        else:
            values = torch.empty(height, width, channels, dtype=dtype, device=device)
        self.values = values.permute(2, 0, 1)[None]

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
