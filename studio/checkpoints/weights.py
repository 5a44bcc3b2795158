"""Checks on the weights of a draft that need neither its network nor torch: how much memory, and whether they are numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from studio.checkpoints.records import Stored, shorten
from studio.errors import DamagedFileError, TooBigError, UnsafeFileError

MAX_TENSOR_BYTES = 8 << 30
SLACK_BYTES = 16 << 20


def check_memory(weights: Mapping[str, Stored], file_bytes: int) -> None:
    """Refuse weights that would take more memory than the file could honestly hold, or than there is.

    Raises:
        UnsafeFileError: Many tensors share the same bytes.
        TooBigError: More than 8 GB, or half of the free memory.
    """
    stored = sum(tensor.nbytes for tensor in weights.values())
    if stored > 2 * file_bytes + SLACK_BYTES:
        raise UnsafeFileError("uses the same bytes for many tensors and would need far more memory than its size; refused.")
    needed = sum(4 * math.prod(tensor.shape) for tensor in weights.values())
    limit = min(MAX_TENSOR_BYTES, psutil.virtual_memory().available // 2)
    if needed > limit:
        raise TooBigError(f"needs {needed / 2**30:.1f} GB of memory; the studio may use {limit / 2**30:.1f} GB here.")


def check_finite(weights: Mapping[str, Stored]) -> None:
    """Read every tensor once, one after the other.

    Raises:
        DamagedFileError: Some hold values that are not numbers, or do not match their check sums.
    """
    broken = [name for name, stored in weights.items() if not is_finite(np.asarray(stored.read()))]
    if broken:
        raise not_finite(broken, len(weights))


def is_finite(values: NDArray[Any]) -> bool:
    """Tell whether an array holds neither NaN nor infinity."""
    if values.dtype.kind != "f" or not values.size:
        return True
    return bool(np.isfinite(values.min()) and np.isfinite(values.max()))


def not_finite(broken: Sequence[str], total: int) -> DamagedFileError:
    """Say which tensors hold values that are not numbers."""
    return DamagedFileError(
        f"holds values that are not numbers (NaN or infinite) in {len(broken)} of {total} tensors, first in "
        f"{shorten(broken[0])}: its training broke down. Use an earlier snapshot."
    )
