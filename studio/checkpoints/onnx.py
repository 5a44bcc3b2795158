"""The stored tensors of an ONNX file, read as data and with limits. Nothing of the graph is run; its nodes are ``onnx_graph``'s.

Only the fields that lead to the initializers are followed, three messages deep; everything else is stepped over. Numbers outside the
file ("external data") are refused.

Reference:
    The ONNX IR specification (``onnx.proto3``).
"""

from __future__ import annotations

import math

from studio.checkpoints.protobuf import fields, messages, packed
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
    for graph in messages(data, GRAPH):
        for message in messages(graph, INITIALIZER):
            name, tensor = _tensor(message)
            if name in tensors:
                raise UnsafeFileError("uses a name twice for its tensors; refused.")
            if tensor is not None:
                tensors[name] = tensor
            if len(tensors) > MAX_TENSORS:
                raise TooBigError(f"holds more than {MAX_TENSORS:,} tensors; the studio reads up to that many.")
    return tensors


def _tensor(message: memoryview) -> tuple[str, StoredTensor | None]:
    """Read one tensor; None where its numbers are of no kind that the studio reads."""
    shape: list[int] = []
    name, kind, numbers = "", 0, None
    for field, value in fields(message):
        if field in (EXTERNAL, LOCATION) and value != 0:
            raise UnsafeFileError("keeps its numbers in other files, which the studio does not follow. Ask for a file that holds them.")
        if field == DIMS:
            shape += [value] if isinstance(value, int) else packed(value, MAX_AXES)
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
