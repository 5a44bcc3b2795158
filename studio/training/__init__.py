"""Training: a folder in, weights out. ``train(settings)`` yields news and keeps its states on disk.

Importing this package loads no torch; the loop is loaded when it is first used.
"""

from studio.training.settings import Settings, Tick

__all__ = ["Settings", "Tick"]
