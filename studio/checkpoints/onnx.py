"""The stored tensors of an ONNX file, read as data: a protocol-buffer reader with limits. Nothing of the graph is run or even kept.

Only the fields that lead to the initializers are followed, three messages deep; everything else is stepped over. Numbers outside the
file ("external data") are refused.

Reference:
    The ONNX IR specification (``onnx.proto3``) and the wire format of Protocol Buffers, as documented by their authors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from studio.checkpoints.records import ITEM_BYTES, Storage, StoredTensor, checked_tensor, shorten
from studio.errors import DamagedFileError, TooBigError, UnsafeFileError

MAX_TENSORS = 20_000
MAX_NAME_BYTES = 512
MAX_AXES = 8
TYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 10: "float16", 11: "float64", 16: "bfloat16"}
"""Numbers of ``TensorProto.DataType`` that the studio reads."""
GRAPH, INITIALIZER = 7, 5
"""Where a model keeps its graph, and a graph its tensors."""
DIMS, TYPE, FLOATS, NAME, RAW, EXTERNAL, LOCATION = 1, 2, 4, 8, 9, 13, 14
"""Fields of a tensor."""
FIRST = (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42)
"""What can follow the version at the head of a model."""

Value = int | memoryview


def looks_like_onnx(data: memoryview) -> bool:
    """Tell by the first bytes: the version of the format, and a known field behind it."""
    return len(data) > 8 and data[0] == 0x08 and 1 <= data[1] < 0x40 and data[2] in FIRST


def read_onnx(data: memoryview) -> dict[str, StoredTensor]:
    """Return the initializers of a model by name; those that are no plain numbers of a known type are left out.

    Raises:
        DamagedFileError: The file is cut off or malformed.
        UnsafeFileError: Tensors lie in other files, or a name is used twice.
        TooBigError: It holds more tensors than the studio reads.
    """
    tensors: dict[str, StoredTensor] = {}
    for graph in _messages(data, GRAPH):
        for message in _messages(graph, INITIALIZER):
            name, tensor = _tensor(message)
            if name in tensors:
                raise UnsafeFileError("uses a name twice for its tensors; refused.")
            if tensor is not None:
                tensors[name] = tensor
            if len(tensors) > MAX_TENSORS:
                raise TooBigError(f"holds more than {MAX_TENSORS:,} tensors; the studio reads up to that many.")
    return tensors


def _messages(data: memoryview, wanted: int) -> Iterator[memoryview]:
    for field, value in _fields(data):
        if field == wanted:
            if isinstance(value, int):
                raise DamagedFileError("is damaged: a number stands where a part of the network should be.")
            yield value


def _tensor(message: memoryview) -> tuple[str, StoredTensor | None]:
    """Read one tensor; None where its numbers are of no kind that the studio reads."""
    shape: list[int] = []
    name, kind, numbers = "", 0, None
    for field, value in _fields(message):
        if field in (EXTERNAL, LOCATION) and value != 0:
            raise UnsafeFileError("keeps its numbers in other files, which the studio does not follow. Ask for a file that holds them.")
        if field == DIMS:
            shape += [value] if isinstance(value, int) else _packed(value)
            if len(shape) > MAX_AXES:
                raise DamagedFileError("is damaged: a tensor has more axes than any network uses.")
        elif field == TYPE and isinstance(value, int):
            kind = value
        elif field == NAME and not isinstance(value, int):
            if len(value) > MAX_NAME_BYTES:
                raise DamagedFileError("is damaged: the name of a tensor is too long.")
            name = bytes(value).decode("utf-8", "replace")
        elif not isinstance(value, int) and (field == RAW or (field == FLOATS and kind in (0, 1))):
            if numbers is not None:
                raise DamagedFileError(f"is damaged: it holds the numbers of {shorten(name)} twice.")
            numbers = value
    if kind not in TYPES or numbers is None:
        return name, None
    item = ITEM_BYTES[TYPES[kind]]
    if math.prod(shape) * item != len(numbers):
        raise DamagedFileError(f"is damaged: {shorten(name)} of shape {shorten(shape)} does not match its {len(numbers):,} bytes.")
    storage = Storage(name, TYPES[kind], len(numbers) // item, numbers)
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return name, checked_tensor(storage, 0, shape, strides)


def _packed(data: memoryview) -> list[int]:
    """Read numbers that lie one after another."""
    numbers: list[int] = []
    place = 0
    while place < len(data) and len(numbers) <= MAX_AXES:
        number, place = _varint(data, place)
        numbers.append(number)
    return numbers


def _fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield number and value of each field of a message: whole numbers, or the bytes of anything else."""
    place, end = 0, len(data)
    while place < end:
        key, place = _varint(data, place)
        field, kind = key >> 3, key & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield field, value
            continue
        if kind == 2:
            length, place = _varint(data, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise DamagedFileError("is damaged: it is no ONNX file, or a part of it is missing.")
        if length > end - place:
            raise DamagedFileError("is cut short: a part of it says that it is longer than what is there. Download it again.")
        yield field, data[place : place + length]
        place += length


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """Read a whole number of up to ten bytes, seven bits each, the lowest first; and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise DamagedFileError("is cut short in the middle of a number. Download it again.")
        byte = data[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise DamagedFileError("is damaged: a number in it has no end.")
