"""Live: pictures that go on by themselves, three ways: the camera restyled, a walk over the seed plane, sound that moves a picture.

One board is shown at a time; ``assets/live_views.js`` keeps which. What they do is told in ``camera.py`` and ``live_sound.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from studio.ui import camera, live_sound
from studio.ui.context import Context

TITLE = "Live"


@dataclass(frozen=True, slots=True)
class Handles:
    """The boards of the tab."""

    camera: camera.Handles
    sound: live_sound.Handles


def build(ctx: Context) -> Handles:
    """Create both boards."""
    return Handles(camera.build(ctx), live_sound.build(ctx))
