"""The closed list of names that a model's pickle may use, and the inert value that each one makes.

It is *not* a list of things to import: ``collections.OrderedDict`` here is two words that make a plain dictionary, and
``torch._utils._rebuild_tensor_v2`` is two words that make a checked window into the file.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from studio.checkpoints import torchfiles
from studio.checkpoints.pickles import Builder, Machine, Reducer, Vocabulary
from studio.checkpoints.records import (
    ITEM_BYTES,
    MAX_DIMENSIONS,
    Bundle,
    Global,
    Network,
    NumpyType,
    RawText,
    Storage,
    StoredArray,
    StoredTensor,
    checked_tensor,
    is_count,
    shorten,
)
from studio.errors import DamagedFileError, UnsafeFileError

TORCH_TYPES = tuple(ITEM_BYTES)
NUMPY_MODULES = ("numpy.core", "numpy._core")
NUMPY_TYPES = {
    "f2": "float16",
    "f4": "float32",
    "f8": "float64",
    "i1": "int8",
    "i2": "int16",
    "i4": "int32",
    "i8": "int64",
    "u1": "uint8",
    "u2": "uint16",
    "u4": "uint32",
    "u8": "uint64",
    "b1": "bool",
}
PATHS = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path")


def _tensor(_: Machine, arguments: tuple[Any, ...]) -> StoredTensor:
    _at_least(arguments, 4)
    return checked_tensor(arguments[0], arguments[1], arguments[2], arguments[3])


def _tensor_v3(_: Machine, arguments: tuple[Any, ...]) -> StoredTensor:
    _at_least(arguments, 7)
    kind = arguments[6]
    if not isinstance(kind, Global) or kind.module != "torch" or kind.name not in ITEM_BYTES:
        raise DamagedFileError("is damaged: a tensor's element type is not one the studio reads.")
    return checked_tensor(arguments[0], arguments[1], arguments[2], arguments[3], kind.name)


def _parameter(_: Machine, arguments: tuple[Any, ...]) -> StoredTensor:
    _at_least(arguments, 1)
    if not isinstance(arguments[0], StoredTensor):
        raise DamagedFileError("is damaged: a parameter that is not a tensor.")
    return arguments[0]


def _typed_tensor(m: Machine, arguments: tuple[Any, ...]) -> Any:
    """``_rebuild_from_type_v2(how, class, arguments, state)``: a tensor that carried Python attributes, which are dropped."""
    _at_least(arguments, 3)
    how, _, inner = arguments[:3]
    if not isinstance(how, Global) or how.name not in ("_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter"):
        raise UnsafeFileError("asks for an unusual kind of tensor; refused.")
    if not isinstance(inner, tuple):
        raise DamagedFileError("is damaged: a tensor without arguments.")
    return m.vocabulary.reducers[how.path](m, inner)


def _nested_storage(m: Machine, arguments: tuple[Any, ...]) -> Storage:
    """``_load_from_bytes(blob)``: one storage in torch's old stream format, inside the pickle."""
    _at_least(arguments, 1)
    if m.budget.nesting < 1:
        raise UnsafeFileError("holds a file within a file within a file; refused.")
    m.budget.nesting -= 1
    value = torchfiles.read_legacy(_buffer(arguments[0]), m.vocabulary, m.budget)
    m.budget.nesting += 1
    if not isinstance(value, Storage):
        raise DamagedFileError("is damaged: a tensor's data is not a storage.")
    return value


def _persistent_network(_: Machine, arguments: tuple[Any, ...]) -> Network:
    """NVIDIA's persistence: a class name, its source text (never compiled) and its fields."""
    meta = arguments[0] if len(arguments) == 1 else None
    if not isinstance(meta, dict) or meta.get("type") != "class" or not isinstance(meta.get("state"), dict):
        raise DamagedFileError("is damaged: a network without its fields.")
    name, source = meta.get("class_name"), meta.get("module_src")
    text = source.data if isinstance(source, RawText) else source if isinstance(source, str) else ""
    return Network(name if isinstance(name, str) else "", meta["state"], text)


def _dictionary(m: Machine, arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """``OrderedDict()``, or the old way with a list of pairs."""
    if not arguments or isinstance(arguments[0], Global):
        return {}
    pairs = arguments[0]
    if isinstance(pairs, dict):
        m.charge(len(pairs))
        return dict(pairs)
    if not isinstance(pairs, list) or not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs):
        raise DamagedFileError("is damaged: a dictionary that is not made of pairs.")
    m.charge(len(pairs))
    return {m.key(key): value for key, value in pairs}


def _collection(make: Callable[[Any], Any]) -> Reducer:
    def run(m: Machine, arguments: tuple[Any, ...]) -> Any:
        items = arguments[0] if arguments else []
        if not isinstance(items, (list, tuple, set)):
            raise DamagedFileError("is damaged: a collection that is not made of items.")
        m.charge(len(items))
        return make([m.key(item) for item in items])

    return run


def _text_bytes(m: Machine, arguments: tuple[Any, ...]) -> memoryview:
    """``_codecs.encode(text, 'latin1')``: how protocol 2 writes bytes."""
    text = arguments[0] if len(arguments) == 2 and arguments[1] in ("latin1", "latin-1") else None
    try:
        if isinstance(text, RawText):
            m.charge_bytes(len(text.data))
            return memoryview(str(text.data, "utf-8").encode("latin-1"))
        if isinstance(text, str):
            return memoryview(text.encode("latin-1"))
    except UnicodeError as error:
        raise DamagedFileError("is damaged: bytes written as text cannot be read back.") from error
    raise DamagedFileError("is damaged: bytes that are not written as text.")


def _byte_array(_: Machine, arguments: tuple[Any, ...]) -> memoryview:
    return _buffer(arguments[0]) if arguments else memoryview(b"")


def _path(m: Machine, arguments: tuple[Any, ...]) -> str:
    text = "/".join(part[:300] for part in arguments[:64] if isinstance(part, str))
    m.charge_text(len(text))
    return text


def _plain_tuple(m: Machine, arguments: tuple[Any, ...]) -> Any:
    items = arguments[0] if arguments and isinstance(arguments[0], (tuple, list)) else ()
    m.charge(len(items))
    return tuple(items)


def _device(_: Machine, arguments: tuple[Any, ...]) -> str:
    return shorten(arguments[0]) if arguments else ""


def _numpy_type(_: Machine, arguments: tuple[Any, ...]) -> NumpyType:
    code = arguments[0] if arguments else None
    plain = code.lstrip("<|=>") if isinstance(code, str) else ""
    if plain not in NUMPY_TYPES:
        raise UnsafeFileError(f"holds a numpy array of {shorten(code)}, which is not a type of number; refused.")
    return NumpyType(NUMPY_TYPES[plain], swapped=str(code).startswith(">"))


def _numpy_scalar(_: Machine, arguments: tuple[Any, ...]) -> float | int | bool:
    _at_least(arguments, 2)
    kind, raw = arguments[0], _buffer(arguments[1])
    if not isinstance(kind, NumpyType) or len(raw) != ITEM_BYTES[kind.name]:
        raise DamagedFileError("is damaged: a number of the wrong size.")
    raw_type = np.dtype(kind.name).newbyteorder(">" if kind.swapped else "<")
    value: float | int | bool = np.frombuffer(raw, raw_type)[0].item()
    return value


def _empty_array(_: Machine, arguments: tuple[Any, ...]) -> StoredArray:
    if not arguments or not isinstance(arguments[0], Global) or arguments[0].path != "numpy.ndarray":
        raise UnsafeFileError("asks for an unusual kind of array; refused.")
    return StoredArray()


def _array_from_buffer(_: Machine, arguments: tuple[Any, ...]) -> StoredArray:
    """Protocol 5: ``_frombuffer(buffer, dtype, shape, order)``."""
    _at_least(arguments, 4)
    array = StoredArray()
    _fill_array(array, arguments[2], arguments[1], fortran=arguments[3] == "F", data=_buffer(arguments[0]))
    return array


def _build_array(_: Machine, array: StoredArray, state: Any) -> None:
    if not isinstance(state, tuple) or len(state) != 5:
        raise DamagedFileError("is damaged: an array without its data.")
    _fill_array(array, state[1], state[2], fortran=state[3] is True, data=_buffer(state[4]))


def _fill_array(array: StoredArray, shape: Any, kind: Any, *, fortran: bool, data: memoryview) -> None:
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    if not isinstance(kind, NumpyType) or not all(is_count(v) for v in sizes) or len(sizes) > MAX_DIMENSIONS:
        raise DamagedFileError("is damaged: an array of an impossible shape or type.")
    if math.prod(sizes) * ITEM_BYTES[kind.name] != len(data):
        raise DamagedFileError(f"is damaged: an array of shape {shorten(sizes)} does not match its {len(data):,} bytes.")
    array.dtype, array.shape, array.fortran, array.swapped, array.data = kind.name, sizes, fortran, kind.swapped, data


def _build_numpy_type(_: Machine, kind: NumpyType, state: Any) -> None:
    if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
        raise UnsafeFileError("holds a numpy array of records, which no model needs; refused.")
    kind.swapped = state[1] == ">"


def _build_dictionary(_: Machine, __: dict[Any, Any], state: Any) -> None:
    """A dictionary's attributes (torch's ``_metadata``) are dropped."""
    if not isinstance(state, dict):
        raise UnsafeFileError("asks to change a dictionary in an unusual way; refused.")


def _build_bundle(_: Machine, bundle: Bundle, state: Any) -> None:
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise UnsafeFileError(f"asks to change a {bundle.kind} in an unusual way; refused.")
    bundle.fields.update(state)


def _at_least(arguments: tuple[Any, ...], count: int) -> None:
    if len(arguments) < count:
        raise DamagedFileError("is damaged: a value in its pickle lacks a part.")


def _buffer(value: Any) -> memoryview:
    if isinstance(value, memoryview):
        return value
    if isinstance(value, str) and len(value) <= 300:
        return memoryview(value.encode("latin-1", "replace"))
    raise DamagedFileError("is damaged: bytes were expected.")


def _reducers() -> dict[str, Reducer]:
    table: dict[str, Reducer] = {
        "torch_utils.persistence._reconstruct_persistent_obj": _persistent_network,
        "torch._utils._rebuild_tensor": _tensor,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_tensor_v3": _tensor_v3,
        "torch._utils._rebuild_parameter": _parameter,
        "torch._utils._rebuild_parameter_with_state": _parameter,
        "torch._tensor._rebuild_from_type_v2": _typed_tensor,
        "torch.storage._load_from_bytes": _nested_storage,
        "torch.Size": _plain_tuple,
        "torch.device": _device,
        "collections.OrderedDict": _dictionary,
        "collections.defaultdict": _dictionary,
        "_codecs.encode": _text_bytes,
        "numpy.dtype": _numpy_type,
    }
    for module in ("builtins", "__builtin__"):
        table[f"{module}.set"] = _collection(set)
        table[f"{module}.frozenset"] = _collection(set)
        table[f"{module}.bytearray"] = table[f"{module}.bytes"] = _byte_array
    for module in NUMPY_MODULES:
        table[f"{module}.multiarray.scalar"] = _numpy_scalar
        table[f"{module}.multiarray._reconstruct"] = _empty_array
        table[f"{module}.numeric._frombuffer"] = _array_from_buffer
    for name in PATHS:
        table[f"pathlib.{name}"] = table[f"pathlib._local.{name}"] = _path
    return table


def _makers() -> dict[str, Callable[[], Any]]:
    table: dict[str, Callable[[], Any]] = {"collections.OrderedDict": dict, "dnnlib.util.EasyDict": dict, "dnnlib.EasyDict": dict}
    for kind in ("argparse.Namespace", "types.SimpleNamespace", "dnnlib.tflib.network.Network"):
        table[kind] = _bundle_maker(kind)
    return table


def _bundle_maker(kind: str) -> Callable[[], Bundle]:
    return lambda: Bundle(kind)


def _words(*tables: dict[str, Any]) -> frozenset[tuple[str, str]]:
    """Collect every name that a table applies, and those that only stand as arguments."""
    paths = {path for table in tables for path in table}
    paths |= {f"torch.{name}" for name in (*torchfiles.STORAGE_TYPES, *TORCH_TYPES, "Tensor")}
    paths |= {"torch.storage.UntypedStorage", "torch.nn.parameter.Parameter", "numpy.ndarray"}
    paths |= {f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("dict", "list", "int", "float")}
    return frozenset((path.rpartition(".")[0], path.rpartition(".")[2]) for path in paths)


def vocabulary() -> Vocabulary:
    """Put the closed list together."""
    reducers, makers = _reducers(), _makers()
    builders: dict[type, Builder] = {
        dict: _build_dictionary,
        Bundle: _build_bundle,
        StoredArray: _build_array,
        NumpyType: _build_numpy_type,
    }
    return Vocabulary(_words(reducers, makers), reducers, makers, builders)
