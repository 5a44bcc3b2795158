"""Compact upscalers of Real-ESRGAN (``realesr-general-x4v3.pth``, ``realesr-animevideov3.pth``): sizes and scale are inferred from shapes.

Reference:
    Wang et al. 2021 (Real-ESRGAN), the compact networks of its releases.
"""

from __future__ import annotations

import math
import re

from studio.checkpoints.contents import Contents
from studio.checkpoints.draft import Draft
from studio.checkpoints.formats.states import State, states
from studio.errors import DamagedFileError, UnknownModelError

LAYER = re.compile(r"body\.(\d{1,3})\.weight")


def read(contents: Contents) -> Draft | None:
    """Read an upscaler of convolutions and PReLUs in turn."""
    for state in states(contents):
        shapes = {int(match[1]): tensor.shape for name, tensor in state.tensors.items() if (match := LAYER.fullmatch(name))}
        if len(shapes.get(0, ())) == 4 and len(shapes.get(1, ())) == 1 and len(shapes.get(2, ())) == 4:
            return _draft(state, max(shapes))
    return None


def _draft(state: State, last: int) -> Draft:
    entering, features, leaving = state.size("body.0.weight", 1), state.size("body.0.weight", 0), state.size(f"body.{last}.weight", 0)
    scale = math.isqrt((leaving or 0) // 3)
    if last % 2 or not features or scale**2 * 3 != leaving or not 1 <= scale <= 8:
        raise DamagedFileError("looks like a compact upscaler, but its last layer is missing.")
    if entering != 3:
        raise UnknownModelError(f"is a compact upscaler for pictures of {entering} channels; the studio uses those for colour.")
    draft = Draft(
        f"a compact upscaler, {scale} times", "compact", {"ngf": features, "n_convs": last // 2 - 1, "scale": scale}, dict(state.tensors)
    )
    draft.origin = "an upscaler in the layout of Real-ESRGAN's compact networks"
    return draft
