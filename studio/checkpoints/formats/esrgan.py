"""Upscalers of the ESRGAN family (``RRDB_ESRGAN_x4.pth``, ``RealESRGAN_x4plus.pth``): sizes and scale are inferred from shapes.

Three ways of naming the same network are read: numbered layers (the first release and most community models), ``RRDB_trunk`` (the
paper's code), and ``body`` (Real-ESRGAN). Compact networks without dense blocks are read by ``compact.py``.

Reference:
    Wang et al. 2018 (ESRGAN); Wang et al. 2021 (Real-ESRGAN).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from studio.checkpoints.contents import Contents
from studio.checkpoints.draft import Draft
from studio.checkpoints.formats.states import State, states
from studio.checkpoints.records import Stored
from studio.errors import DamagedFileError, UnknownModelError

NUMBERED_BLOCK = re.compile(r"model\.1\.sub\.(\d{1,3})\.RDB([123])\.conv([1-5])\.0\.(weight|bias)")
NUMBERED_JOIN = re.compile(r"model\.1\.sub\.(\d{1,3})\.(weight|bias)")
NUMBERED_LAYER = re.compile(r"model\.(\d{1,3})\.(weight|bias)")
TRUNK_BLOCK = re.compile(r"RRDB_trunk\.(\d{1,3})\.RDB([123])\.(conv[1-5]\.(?:weight|bias))")
TRUNK_WORDS = {"trunk_conv": "conv_body", "HRconv": "conv_hr", "upconv1": "conv_up1", "upconv2": "conv_up2", "upconv3": "conv_up3"}
OUR_BLOCK = re.compile(r"body\.(\d{1,3})\.rdb1\.conv1\.weight")
UNSHUFFLES = {1: 1, 4: 2, 16: 4}
"""Channels of the first layer per colour, and the squares of pixels that they come from."""


def read(contents: Contents) -> Draft | None:
    """Read an upscaler made of residual-in-residual dense blocks."""
    for state in states(contents):
        rename = next((rename for name, rename in NAMINGS.items() if name in state.tensors), None)
        if rename is not None:
            return _draft(State(state.path, rename(state.tensors), state.owner))
    return None


def _from_numbers(tensors: dict[str, Stored]) -> dict[str, Stored]:
    """Name the layers of the first release: what follows the blocks are steps up, then two more convolutions."""
    numbers = sorted({int(match[1]) for name in tensors if (match := NUMBERED_LAYER.fullmatch(name)) and int(match[1]) > 0})
    if len(numbers) < 2:
        raise DamagedFileError("looks like an ESRGAN upscaler, but its last layers are missing.")
    words = {number: f"conv_up{place}" for place, number in enumerate(numbers[:-2], 1)}
    words |= {0: "conv_first", numbers[-2]: "conv_hr", numbers[-1]: "conv_last"}
    found: dict[str, Stored] = {}
    for name, tensor in tensors.items():
        if match := NUMBERED_BLOCK.fullmatch(name):
            found[f"body.{match[1]}.rdb{match[2]}.conv{match[3]}.{match[4]}"] = tensor
        elif match := NUMBERED_JOIN.fullmatch(name):
            found[f"conv_body.{match[2]}"] = tensor
        elif match := NUMBERED_LAYER.fullmatch(name):
            found[f"{words[int(match[1])]}.{match[2]}"] = tensor
        else:
            found[name] = tensor
    return found


def _from_trunk(tensors: dict[str, Stored]) -> dict[str, Stored]:
    """Name the layers of the paper's code."""
    found: dict[str, Stored] = {}
    for name, tensor in tensors.items():
        if match := TRUNK_BLOCK.fullmatch(name):
            found[f"body.{match[1]}.rdb{match[2]}.{match[3]}"] = tensor
            continue
        word, dot, rest = name.partition(".")
        found[TRUNK_WORDS.get(word, word) + dot + rest] = tensor
    return found


def _as_it_is(tensors: dict[str, Stored]) -> dict[str, Stored]:
    return dict(tensors)


NAMINGS: dict[str, Callable[[dict[str, Stored]], dict[str, Stored]]] = {
    "model.1.sub.0.RDB1.conv1.0.weight": _from_numbers,
    "RRDB_trunk.0.RDB1.conv1.weight": _from_trunk,
    "body.0.rdb1.conv1.weight": _as_it_is,
}
"""A name that tells how the others are, and what turns them into ours."""


def _draft(state: State) -> Draft:
    blocks = [int(match[1]) for name in state.tensors if (match := OUR_BLOCK.fullmatch(name))]
    colours, entering = state.size("conv_last.weight", 0), state.size("conv_first.weight", 1)
    if not colours or not entering:
        raise DamagedFileError("looks like an ESRGAN upscaler, but its first or last layer is missing.")
    if colours != 3 or entering % 3 or entering // 3 not in UNSHUFFLES:
        raise UnknownModelError(
            f"is an ESRGAN upscaler for pictures of {entering} to {colours} channels; the studio uses those for colour."
        )
    unshuffle = UNSHUFFLES[entering // 3]
    ups = sum(bool(re.fullmatch(r"conv_up\d\.weight", name)) for name in state.tensors)
    if 2**ups % unshuffle:
        raise DamagedFileError("looks like an ESRGAN upscaler, but would make pictures smaller.")
    config: dict[str, Any] = {
        "img_channels_in": 3,
        "img_channels_out": 3,
        "ngf": state.size("conv_first.weight", 0),
        "n_blocks": max(blocks) + 1,
        "growth": state.size("body.0.rdb1.conv1.weight", 0),
        "ups": ups,
        "unshuffle": unshuffle,
    }
    draft = Draft(f"an ESRGAN upscaler, {2**ups // unshuffle} times", "esrgan", config, dict(state.tensors))
    draft.origin = "an upscaler in the layout of ESRGAN"
    return draft
