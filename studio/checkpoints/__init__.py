"""Reading and writing model files. Nothing in a file is ever executed, imported or compiled.

:func:`load` opens any supported file, :func:`save` writes our own format, :class:`Library` holds what is installed. Torch
is imported when one of them first needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from studio.checkpoints.card import ModelCard
    from studio.checkpoints.library import Library, ModelEntry
    from studio.checkpoints.loader import load, save

__all__ = ["Library", "ModelCard", "ModelEntry", "load", "save"]

_HOMES = {"ModelCard": "card", "Library": "library", "ModelEntry": "library", "load": "loader", "save": "loader"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
