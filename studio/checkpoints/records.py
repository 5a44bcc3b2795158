"""The inert things a model file turns into: tensors that are not read yet, numbers, and named bundles of fields.

Nothing here can act: no attribute of a real class is ever set, and a tensor stays a window into the file until
:meth:`Stored.read` copies it out. This module does *not* parse; ``pickles``, ``torchfiles`` and ``safetensors_io`` do.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from studio.errors import DamagedFileError, UnsafeFileError

MAX_DIMENSIONS = 8
MAX_WALK_DEPTH = 64
MAX_WALK_NODES = 100_000

ITEM_BYTES = {
    "float16": 2,
    "bfloat16": 2,
    "float32": 4,
    "float64": 8,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "uint8": 1,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
    "bool": 1,
}
"""The element types that a model file may hold, and their sizes."""


class Stored(Protocol):
    """A tensor that is still in the file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        ...

    @property
    def nbytes(self) -> int:
        """How many bytes it takes in the file."""
        ...

    def read(self) -> NDArray[Any]:
        """Copy it out; floats of every width come as float32."""
        ...


@dataclass(slots=True)
class Storage:
    """A run of elements in the file. ``data`` is None until the container has been read to where they lie."""

    key: str
    dtype: str
    count: int
    data: memoryview | None = None
    crc: int = 0
    """The check sum that the file gives for the data; 0 for none, or once it was compared."""

    @property
    def nbytes(self) -> int:
        """The size that the file claims for it."""
        return self.count * ITEM_BYTES[self.dtype]

    def window(self) -> memoryview:
        """Return the data, compared with its check sum the first time."""
        if self.data is None:
            raise DamagedFileError("is damaged: a tensor's data is missing.")
        check_sum(self.data, self.crc)
        self.crc = 0
        return self.data


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A view into a storage: element ``i, j`` lies at ``offset + i * stride[0] + j * stride[1]``."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """The size of its elements in the file."""
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]

    def read(self) -> NDArray[Any]:
        """Copy the elements out; bounds were checked when the view was made (:func:`checked_tensor`)."""
        data = self.storage.window()
        if math.prod(self.shape) == 0:
            return np.zeros(self.shape, np.float32)
        item = ITEM_BYTES[self.dtype]
        count = len(data) // item - self.offset
        flat = np.frombuffer(data, _raw_dtype(self.dtype), count, self.offset * item)
        view = np.lib.stride_tricks.as_strided(flat, self.shape, tuple(s * item for s in self.stride), writeable=False)
        return _own(view, self.dtype)


@dataclass(slots=True)
class StoredArray:
    """A numpy array in the file; filled by its pickle's BUILD, so empty until then."""

    dtype: str = "uint8"
    shape: tuple[int, ...] = (0,)
    fortran: bool = False
    swapped: bool = False
    data: memoryview = field(default_factory=lambda: memoryview(b""))

    @property
    def nbytes(self) -> int:
        """The size of its elements in the file."""
        return len(self.data)

    def read(self) -> NDArray[Any]:
        """Copy the elements out."""
        raw = _raw_dtype(self.dtype)
        flat = np.frombuffer(self.data, raw.newbyteorder(">") if self.swapped else raw)
        return _own(flat.reshape(self.shape, order="F" if self.fortran else "C"), self.dtype)


@dataclass(frozen=True, slots=True)
class Derived:
    """A tensor made from one in the file: transposed, flipped, shifted ..., still not read."""

    shape: tuple[int, ...]
    nbytes: int
    make: Callable[[], NDArray[Any]]

    def read(self) -> NDArray[Any]:
        """Read the origin and change it."""
        return np.ascontiguousarray(self.make())


def derive(origin: Stored, shape: tuple[int, ...], change: Callable[[NDArray[Any]], NDArray[Any]]) -> Derived:
    """Describe ``change(origin.read())`` without reading it; ``shape`` is what it will have."""
    return Derived(shape, origin.nbytes, lambda: change(origin.read()))


def constant(values: NDArray[Any]) -> Derived:
    """Offer values that the file does not hold as if it did (a filter that follows from the configuration)."""
    return Derived(tuple(values.shape), 0, lambda: values.astype(np.float32))


@dataclass(frozen=True, slots=True)
class Global:
    """A name on the allow-list. It is a word, not the thing it names."""

    module: str
    name: str

    @property
    def path(self) -> str:
        """Both parts with a dot between."""
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True, eq=False)
class RawText:
    """A long string that stays undecoded in the file: embedded source code, or the bytes of a protocol 2 tensor."""

    data: memoryview


@dataclass(slots=True)
class Bundle:
    """An object that was pickled by its fields: ``kind`` is the name of its class, which is never looked up."""

    kind: str
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class NumpyType:
    """A numpy dtype: one of :data:`ITEM_BYTES`, and whether its bytes are swapped."""

    name: str
    swapped: bool = False


@dataclass(frozen=True, slots=True)
class Network:
    """A network object of NVIDIA's PyTorch code: its class name, its fields, and the program text beside them, which is never run."""

    class_name: str
    state: dict[str, Any]
    source: str | memoryview

    def fingerprint(self) -> str:
        """Return the SHA-256 of the program text beside the weights, a name for it and nothing else (empty: no text)."""
        raw = self.source.encode("utf-8", "surrogatepass") if isinstance(self.source, str) else self.source
        return hashlib.sha256(raw).hexdigest() if len(raw) else ""


def check_sum(data: memoryview, crc: int) -> None:
    """Compare a window of the file with its check sum (0: the writer made none)."""
    if crc and zlib.crc32(data) != crc:
        raise DamagedFileError("is damaged: a check sum in it does not match. Download it again.")


def checked_tensor(storage: object, offset: object, shape: object, stride: object, dtype: str | None = None) -> StoredTensor:
    """Make a view into a storage, refusing any that would reach outside it or be larger than it.

    Raises:
        DamagedFileError: The view does not fit the storage.
        UnsafeFileError: The view repeats its data so that it would need more memory than the file has.
    """
    if not isinstance(storage, Storage):
        raise DamagedFileError("is damaged: a tensor without a storage.")
    kind = dtype or storage.dtype
    capacity = storage.nbytes // ITEM_BYTES[kind]
    sizes, steps = _dimensions(shape, "shape"), _dimensions(stride, "stride")
    if len(sizes) != len(steps) or not is_count(offset) or len(sizes) > MAX_DIMENSIONS:
        raise DamagedFileError("is damaged: a tensor's shape, strides or offset are impossible.")
    total = math.prod(sizes)
    if total > capacity:
        raise UnsafeFileError(f"holds a tensor of shape {shorten(sizes)}, larger than its data ({capacity} numbers); refused.")
    assert isinstance(offset, int)
    last = offset + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
    if total and last >= capacity:
        raise DamagedFileError(f"is damaged: a tensor reaches to element {last} of a storage that holds {capacity}.")
    return StoredTensor(storage, kind, offset, sizes, steps)


def is_count(value: object) -> bool:
    """Tell whether a value is a plain non-negative integer below 2^48."""
    return type(value) is int and 0 <= value < 2**48


def shorten(value: object, length: int = 80) -> str:
    """Show a value from a file in a sentence: printable characters only, not many, and never a nested structure."""
    if isinstance(value, str):
        text = value[: length + 1]
    elif isinstance(value, (tuple, list)) and len(value) <= MAX_DIMENSIONS and all(type(v) in (int, float, bool) for v in value):
        text = "[" + ", ".join(shorten(v, 20) for v in value) + "]"
    elif type(value) is int:
        text = str(value) if abs(value) < 2**64 else "a number of more than 64 bits"
    elif value is None or isinstance(value, (bool, float)):
        text = str(value)
    else:
        text = f"a {type(value).__name__}"
    clean = "".join(c if c.isprintable() else "?" for c in text)
    return clean if len(clean) <= length else clean[: length - 1] + "…"


class Walk:
    """Counts the nodes that one file's walkers visit, so that shared or circular references end in a refusal."""

    def __init__(self, limit: int = MAX_WALK_NODES) -> None:
        self._left = limit

    def items(self, value: dict[Any, Any], depth: int) -> Iterator[tuple[Any, Any]]:
        """Go through one dictionary at ``depth`` below the root, counting.

        Raises:
            UnsafeFileError: Too deep, or too many nodes.
        """
        if depth > MAX_WALK_DEPTH:
            raise UnsafeFileError("is nested too deeply to be a model; refused.")
        self._left -= len(value)
        if self._left < 0:
            raise UnsafeFileError("refers to itself over and over; no model does that; refused.")
        return iter(value.items())


def _dimensions(value: object, what: str) -> tuple[int, ...]:
    if not isinstance(value, (tuple, list)) or not all(is_count(v) for v in value):
        raise DamagedFileError(f"is damaged: a tensor's {what} is {shorten(value)}.")
    return tuple(value)


def _raw_dtype(name: str) -> np.dtype[Any]:
    raw: np.dtype[Any] = np.dtype("uint16" if name == "bfloat16" else name).newbyteorder("<")
    return raw


def _own(view: NDArray[Any], name: str) -> NDArray[Any]:
    """Copy a window of the file; floats become float32."""
    if name == "bfloat16":
        return np.asarray(view.astype(np.uint32, order="C") << 16, np.uint32).view(np.float32)
    if name in ("float16", "float32", "float64"):
        with np.errstate(over="ignore", invalid="ignore"):
            return np.array(view, np.float32, order="C")
    return np.array(view, view.dtype.newbyteorder("="), order="C")
