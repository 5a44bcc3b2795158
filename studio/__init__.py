"""A studio for generative adversarial networks: load, explore, mix, restyle, render."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from studio import errors
from studio._version import __version__
from studio.recipe import Recipe

if TYPE_CHECKING:
    from studio import latents
    from studio.checkpoints import load
    from studio.export import export_film
    from studio.film_render import render_frames
    from studio.film_restyle import restyle_frames
    from studio.render import render
    from studio.restyler import restyle

__all__ = ["Recipe", "__version__", "errors", "export_film", "latents", "load", "render", "render_frames", "restyle", "restyle_frames"]

_FUNCTIONS = {
    "load": "studio.checkpoints",
    "render": "studio.render",
    "restyle": "studio.restyler",
    "render_frames": "studio.film_render",
    "restyle_frames": "studio.film_restyle",
    "export_film": "studio.export",
}
"""Functions of the public API and their homes, which import torch and are therefore imported when first asked for."""


class _Package(ModuleType):
    """Keeps ``studio.render`` and ``studio.restyle`` the functions, although modules of these names exist.

    Importing ``studio/render.py`` would otherwise replace the function by the module.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _FUNCTIONS and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name == "latents":
        return importlib.import_module("studio.latents")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    raise AttributeError(f"module 'studio' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


sys.modules[__name__].__class__ = _Package
