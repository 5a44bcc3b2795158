"""Compact upscalers as ncnn pairs: a text that lists layers (``.param``) and a file of their numbers (``.bin``).

Both are read as data, with limits; nothing of them can act. Only what a compact network consists of is known here: networks of other
layers are refused by name.

Reference:
    The layout of ncnn's ``.param`` and ``.bin`` files, as documented by its authors ("param and model file structure").
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from studio.errors import DamagedFileError, UnknownModelError
from studio.models.common import Config

MAGIC = "7767517"
HALF = 0x01306B47
"""What stands before weights in half precision; 0 stands before those in single precision."""
MAX_PARAM_BYTES = 1 << 20
MAX_BIN_BYTES = 256 << 20
QUIET = ("Input", "Split", "BinaryOp", "Eltwise")
"""Layers without numbers that the network cannot do without."""

Numbers = dict[str, npt.NDArray[np.float32]]


def read_compact(param: Path) -> tuple[Config, Numbers]:
    """Read a compact upscaler from ``NAME.param`` and the ``NAME.bin`` beside it.

    Args:
        param: The text; its neighbour of the same name holds the numbers.

    Returns:
        The configuration of a :class:`studio.models.compact.CompactUpscaler`, and its tensors by name.

    Raises:
        UnknownModelError: The layers are those of another network.
        DamagedFileError: One of the two files is missing, cut off or malformed.
    """
    data = param.with_suffix(".bin")
    for file, most in ((param, MAX_PARAM_BYTES), (data, MAX_BIN_BYTES)):
        if not file.is_file():
            raise DamagedFileError(f"{file.name} is missing: an ncnn model is two files, .param and .bin, side by side.")
        if file.stat().st_size > most:
            raise DamagedFileError(f"{file.name} is larger than {most >> 20} MB, which no compact upscaler is.")
    try:
        lines = param.read_text("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise DamagedFileError(f"{param.name} is no text, as the .param file of an ncnn model is.") from error
    if lines[0].strip() != MAGIC:
        raise DamagedFileError(f"{param.name} does not begin with {MAGIC}, as the .param file of an ncnn model does.")
    return _read_layers(param.name, [line.split() for line in lines[2:] if line.strip()], _Bytes(data.name, data.read_bytes()))


class _Bytes:
    """The numbers, read from the front."""

    def __init__(self, name: str, raw: bytes) -> None:
        self.name, self.raw, self.place = name, raw, 0

    def take(self, count: int, kind: str) -> npt.NDArray[np.float32]:
        length = count * np.dtype(kind).itemsize
        if count < 1 or self.place + length > len(self.raw):
            raise DamagedFileError(f"{self.name} ends before the numbers of its layers do. Get the file again.")
        values = np.frombuffer(self.raw, kind, count, self.place).astype(np.float32)
        self.place += length + -length % 4
        return values

    def weights(self, count: int) -> npt.NDArray[np.float32]:
        if self.place + 4 > len(self.raw):
            raise DamagedFileError(f"{self.name} ends before the numbers of its layers do. Get the file again.")
        flag = int.from_bytes(self.raw[self.place : self.place + 4], "little")
        self.place += 4
        if flag not in (0, HALF):
            raise UnknownModelError(f"{self.name} holds weights in a form that the studio does not read (flag {flag:#x}).")
        return self.take(count, "<f2" if flag else "<f4")


def _read_layers(name: str, lines: list[list[str]], data: _Bytes) -> tuple[Config, Numbers]:
    tensors, width, layers, scale = Numbers(), 3, 0, 0
    for words in lines:
        kind, values = words[0], _values(name, words)
        if kind == "Convolution":
            out, side, count = values.get(0, 0), values.get(1, 0), values.get(6, 0)
            if side != 3 or values.get(3, 1) != 1 or not 1 <= out <= 4096 or count != out * width * 9:
                raise UnknownModelError(f"{name} has convolutions that a compact upscaler does not have.")
            tensors[f"body.{layers}.weight"] = data.weights(count).reshape(out, width, 3, 3)
            if values.get(5, 0):
                tensors[f"body.{layers}.bias"] = data.take(out, "<f4")
            width, layers = out, layers + 1
        elif kind == "PReLU":
            if values.get(0) != width:
                raise DamagedFileError(f"{name}: a PReLU has {values.get(0)} slopes for {width} channels.")
            tensors[f"body.{layers}.weight"] = data.take(width, "<f4")
            layers += 1
        elif kind == "PixelShuffle":
            scale = values.get(0, 0)
        elif kind == "Interp":
            continue  # the plain enlargement that the network adds to, or a halving behind it
        elif kind not in QUIET:
            raise UnknownModelError(f"{name} has a layer {kind[:40]!r}; the studio reads ncnn models of compact upscalers only.")
    if data.place != len(data.raw):
        raise DamagedFileError(f"{data.name} holds more numbers than {name} has layers for. The two do not belong together.")
    if layers < 3 or layers % 2 == 0 or not 1 <= scale <= 8 or width != 3 * scale**2:
        raise UnknownModelError(f"{name} is no compact upscaler: convolutions and PReLUs in turn, then a pixel shuffle.")
    return {"ngf": int(tensors["body.0.weight"].shape[0]), "n_convs": (layers - 3) // 2, "scale": scale}, tensors


def _values(name: str, words: list[str]) -> dict[int, int]:
    """Read ``key=value`` at the end of a line; what is no whole number does not count here."""
    found = {}
    for word in words[2:]:
        key, equals, value = word.partition("=")
        if equals and key.isdigit() and len(key) < 4 and value.isdigit() and len(value) < 12:
            found[int(key)] = int(value)
    if len(words) < 2:
        raise DamagedFileError(f"{name}: a line of it names no layer.")
    return found
