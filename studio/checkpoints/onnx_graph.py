"""The nodes of an ONNX file as plain records: what each is called, what goes in, what comes out, its settings. Nothing is run.

Graphs and tensors inside a node's settings are stepped over, so there is no depth that a file could choose. The convolutions come with
their numbers, those of 8 bits turned back into floats by their scales.

Reference:
    The ONNX IR specification (``onnx.proto3``); its operators ``Conv`` and ``DequantizeLinear``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.checkpoints.onnx import GRAPH, MAX_NAME_BYTES, read_onnx
from studio.checkpoints.protobuf import Value, fields, messages, packed
from studio.checkpoints.records import Derived, Stored, StoredTensor, shorten
from studio.errors import DamagedFileError, TooBigError, UnknownModelError, UnsafeFileError

MAX_NODES = 50_000
MAX_PARTS = 1_000_000
"""Names and numbers of all nodes together."""
MAX_NUMBERS = 4096
"""Numbers of one setting."""
NODE = 1
"""Where a graph keeps its nodes."""
INPUT, OUTPUT, OPERATOR, ATTRIBUTE = 1, 2, 4, 5
"""Fields of a node."""
NAME, FLOAT, INTEGER, TEXT, FLOATS, INTEGERS = 1, 2, 3, 4, 7, 8
"""Fields of a setting."""

Setting = int | float | str | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """One step of a graph; an input that is left out has an empty name."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: Mapping[str, Setting]


@dataclass(frozen=True, slots=True)
class Convolution:
    """Weights ``[out, in / groups, k, k]`` and bias ``[out]`` of one convolution, still in the file."""

    weight: Stored
    bias: Stored | None


def read_nodes(data: memoryview) -> list[Node]:
    """Return the nodes of a model in the order of the file.

    Raises:
        DamagedFileError: The file is cut off or malformed.
        TooBigError: There are more nodes, names or numbers than the studio reads.
    """
    nodes: list[Node] = []
    left = MAX_PARTS
    for graph in messages(data, GRAPH):
        for message in messages(graph, NODE):
            node, used = _node(message, left)
            left -= used
            nodes.append(node)
            if len(nodes) > MAX_NODES:
                raise TooBigError(f"holds a graph of more than {MAX_NODES:,} steps; the studio reads up to that many.")
    return nodes


def read_convolutions(data: memoryview) -> dict[str, Convolution]:
    """Return the convolutions of a model by the name of their weights.

    Raises:
        StudioError: The file is malformed, or has a convolution whose numbers are computed or shared.
    """
    tensors, nodes = read_onnx(data), read_nodes(data)
    makers: dict[str, Node] = {}
    for node in nodes:
        for name in node.outputs:
            if name and makers.setdefault(name, node) is not node:
                raise UnsafeFileError(f"makes {shorten(name)} twice; refused.")
    found: dict[str, Convolution] = {}
    for node in nodes:
        if node.operator != "Conv":
            continue
        if len(node.inputs) not in (2, 3):
            raise DamagedFileError(f"is damaged: a convolution in it has {len(node.inputs)} inputs.")
        name, weight = _numbers(node.inputs[1], makers, tensors)
        if name in found:
            raise UnknownModelError(f"uses the weights {shorten(name)} in two places, which no network that the studio knows does.")
        bias = _numbers(node.inputs[2], makers, tensors)[1] if node.inputs[2:] and node.inputs[2] else None
        found[name] = Convolution(weight, bias)
    return found


def _numbers(name: str, makers: Mapping[str, Node], tensors: Mapping[str, StoredTensor]) -> tuple[str, Stored]:
    """Find the numbers behind a name, and what they are called in the file."""
    if name in tensors:
        return name, tensors[name]
    maker = makers.get(name)
    if maker is None or maker.operator != "DequantizeLinear" or len(maker.inputs) not in (2, 3):
        raise UnknownModelError(f"computes {shorten(name)}, where the studio reads stored numbers only.")
    parts = [tensors.get(part) for part in maker.inputs]
    values, scale, zero = parts[0], parts[1], parts[2] if len(parts) == 3 else None
    if values is None or scale is None or (len(parts) == 3 and zero is None):
        raise DamagedFileError(f"is damaged: numbers of {shorten(maker.inputs[0])} are missing.")
    return maker.inputs[0], _dequantised(maker.inputs[0], values, scale, zero, maker.settings.get("axis", 1))


def _dequantised(name: str, values: StoredTensor, scale: StoredTensor, zero: StoredTensor | None, axis: Setting) -> Derived:
    """Describe ``(values - zero) * scale``, one scale and zero for all or for each place along an axis."""
    shape, sizes = tuple(values.shape), {tuple(part.shape) for part in (scale, zero) if part is not None}
    size = next(iter(sizes))
    if len(sizes) > 1 or len(size) > 1 or scale.dtype != "float32" or (zero is not None and zero.dtype != values.dtype):
        raise DamagedFileError(f"is damaged: the scales of {shorten(name)} make no sense.")
    broadcast: tuple[int, ...] = ()
    if size:
        if not isinstance(axis, int) or not -len(shape) <= axis < len(shape) or shape[axis] != size[0]:
            raise DamagedFileError(f"is damaged: {size[0]} scales do not fit {shorten(name)} of shape {shorten(shape)}.")
        broadcast = tuple(size[0] if place == axis % len(shape) else 1 for place in range(len(shape)))

    def make() -> NDArray[Any]:
        counts: NDArray[Any] = values.read().astype(np.float64)
        if zero is not None:
            counts -= zero.read().reshape(broadcast)
        result: NDArray[Any] = (counts.astype(np.float32) * scale.read().reshape(broadcast)).astype(np.float32)
        return result

    return Derived(shape, values.nbytes, make)


def _node(message: memoryview, most: int) -> tuple[Node, int]:
    """Read one node of at most ``most`` parts; and how many it has."""
    inputs, outputs, operator, used = list[str](), list[str](), "", 0
    settings: dict[str, Setting] = {}
    for field, value in fields(message):
        if field not in (INPUT, OUTPUT, OPERATOR, ATTRIBUTE):
            continue
        used += 1
        if field == ATTRIBUTE:
            name, setting = _setting(_bytes(value))
            used += len(setting) if isinstance(setting, tuple) else 1
            if setting is not None:
                settings[name] = setting
        elif field == OPERATOR:
            operator = _text(value)
        else:
            (inputs if field == INPUT else outputs).append(_text(value))
        if used > most:
            raise TooBigError(f"holds a graph of more than {MAX_PARTS:,} names and numbers; the studio reads up to that many.")
    return Node(operator, tuple(inputs), tuple(outputs), settings), used


def _setting(message: memoryview) -> tuple[str, Setting | None]:
    """Read one setting; None for graphs, tensors and long texts, which are stepped over."""
    name = ""
    single: Setting | None = None
    integers, floats = list[int](), list[float]()
    for field, value in fields(message):
        if field == NAME:
            name = _text(value)
        elif field == INTEGER and isinstance(value, int):
            single = _signed(value)
        elif field == FLOAT and not isinstance(value, int):
            single = _floats(value)[0] if len(value) == 4 else None
        elif field == TEXT:
            single = _text(value) if len(_bytes(value)) <= MAX_NAME_BYTES else None
        elif field == INTEGERS:
            integers += [_signed(number) for number in ([value] if isinstance(value, int) else packed(value, MAX_NUMBERS))]
        elif field == FLOATS:
            floats += _floats(_bytes(value))
        if len(integers) + len(floats) > MAX_NUMBERS:
            raise TooBigError(f"holds a setting of more than {MAX_NUMBERS:,} numbers; the studio reads up to that many.")
    return name, tuple(integers) or tuple(floats) or single


def _floats(data: memoryview) -> list[float]:
    if len(data) % 4:
        raise DamagedFileError("is damaged: numbers of its graph are cut off.")
    found: list[float] = np.frombuffer(data[: 4 * MAX_NUMBERS + 4], "<f4").tolist()
    return found


def _signed(number: int) -> int:
    """Read the lowest 64 bits as a whole number with a sign."""
    low = number & (1 << 64) - 1
    return low - (1 << 64) if low >> 63 else low


def _bytes(value: Value) -> memoryview:
    if isinstance(value, int):
        raise DamagedFileError("is damaged: a number stands where a part of the network should be.")
    return value


def _text(value: Value) -> str:
    raw = _bytes(value)
    if len(raw) > MAX_NAME_BYTES:
        raise DamagedFileError("is damaged: a name in its graph is too long.")
    return bytes(raw).decode("utf-8", "replace")
