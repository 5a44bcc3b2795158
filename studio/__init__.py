"""A studio for generative adversarial networks: load, explore, mix, restyle, render."""

from studio._version import __version__
from studio.recipe import Recipe

__all__ = ["Recipe", "__version__"]
