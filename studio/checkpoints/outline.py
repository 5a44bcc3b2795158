"""Building a network without memory for its weights, to compare names and shapes before anything large is allocated.

Torch's own way (``with torch.device("meta")``) imports its compiler for the first multiplication, which takes seconds; here
large fresh tensors become empty meta tensors and scaling them is skipped, while small ones (filters) are computed as usual.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

SMALL = 16_384
FACTORIES = frozenset((torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn))
SCALINGS = frozenset((Tensor.div, Tensor.mul, Tensor.__truediv__, Tensor.__mul__, Tensor.__rmul__, Tensor.clone, torch.div, torch.mul))


class Outline(TorchFunctionMode):
    """Inside ``with Outline():`` a fresh tensor of more than :data:`SMALL` elements has a shape but no memory."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in FACTORIES:
            size = _size(args, kwargs)
            if size is not None and math.prod(size) > SMALL:
                return torch.empty(size, dtype=kwargs.get("dtype"), device="meta")
        elif func in SCALINGS and _is_outline(args[0]) and not any(isinstance(other, Tensor) and other.ndim for other in args[1:]):
            return torch.empty(args[0].shape, dtype=args[0].dtype, device="meta")
        return func(*args, **kwargs)


def _is_outline(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_meta


def _size(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Read the shape that a factory was asked for, as one sequence or as separate numbers."""
    first = kwargs.get("size", args[0] if args else None)
    if isinstance(first, (tuple, list)):
        return tuple(first)
    return args if args and all(isinstance(side, int) for side in args) else None
