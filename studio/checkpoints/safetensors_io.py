"""Reading safetensors files: the header is checked here, byte by byte, and every tensor stays a window into the file.

The library is fast but lets a 99 MB header, a doubled name and a million empty tensors through; this reader does not.
Writing is :func:`studio.checkpoints.tensors.write_tensors`.
"""

from __future__ import annotations

import json
import math
from typing import Any

from studio.checkpoints.card import ModelCard
from studio.checkpoints.records import ITEM_BYTES, Storage, StoredTensor, checked_tensor, is_count, shorten
from studio.errors import DamagedFileError, TooBigError, UnsafeFileError

MAX_HEADER_BYTES = 16 << 20
MAX_TENSORS = 20_000
HEADER = "studio"
"""Where our own files keep ``{family, config, card}`` in the header."""
TYPES = {
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "BOOL": "bool",
}


def looks_like_safetensors(data: memoryview) -> bool:
    """Tell whether a file starts as a safetensors file does: a length that is no text, and a brace."""
    if len(data) < 9 or data[8] != 0x7B:
        return False
    return not all(32 <= byte < 127 or byte in (9, 10, 13) for byte in data[:8])


def read_safetensors(data: memoryview) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """Read the header: tensors by name, and the free text beside them.

    Raises:
        DamagedFileError: Cut short, or the header makes no sense.
        TooBigError: More than 16 MB of header or 20,000 tensors.
        UnsafeFileError: Names or bytes are used twice.
    """
    header, start = _header(data)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise DamagedFileError("is damaged: the text in its header makes no sense.")
    spans = sorted((_span(name, entry), name) for name, entry in header.items())
    position = 0
    for (first, last), name in spans:
        if first < position:
            raise UnsafeFileError(f"uses the same bytes for {shorten(name)} and another tensor; refused.")
        if first > position:
            raise DamagedFileError("is damaged: it holds bytes that belong to no tensor.")
        position = last
    if start + position > len(data):
        raise DamagedFileError(f"is cut short: it holds {len(data):,} bytes, expected {start + position:,} bytes. Download it again.")
    if start + position < len(data):
        raise DamagedFileError(f"is damaged: {len(data) - start - position:,} bytes follow after its end.")
    body = data[start:]
    return {name: _tensor(name, entry, body) for name, entry in header.items()}, metadata


def read_card(data: memoryview) -> ModelCard:
    """Read the card in the header of one of our own files, without looking at its tensors.

    Raises:
        StudioError: The header is damaged, or the file is not one of ours.
    """
    header, _ = _header(data)
    metadata = header.get("__metadata__")
    text = metadata.get(HEADER) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise DamagedFileError("is not a model of this studio.")
    card = parse_own_header(text).get("card", {})
    return ModelCard.from_json(card)


def parse_own_header(text: str) -> dict[str, Any]:
    """Parse the JSON that our own files carry under :data:`HEADER`."""
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError("is damaged: its studio header cannot be read.", detail=str(error)) from error
    if not isinstance(header, dict):
        raise DamagedFileError("is damaged: its studio header makes no sense.")
    return header


def _header(data: memoryview) -> tuple[dict[str, Any], int]:
    size = int.from_bytes(data[:8], "little")
    if size > MAX_HEADER_BYTES and size + 8 <= len(data):
        raise TooBigError(f"has a header of {size >> 20} MB; the studio reads up to 16 MB.")
    if size + 8 > len(data):
        expected = f"{size + 8:,} bytes or more" if size < 2**50 else "a nonsensical number of bytes"
        raise DamagedFileError(f"is cut short: it holds {len(data):,} bytes, expected {expected}. Download it again.")
    raw = bytes(data[8 : 8 + size])
    if raw.count(b'"data_offsets"') > MAX_TENSORS:
        raise TooBigError(f"holds more than {MAX_TENSORS:,} tensors; the studio reads up to that many.")
    try:
        header = json.loads(raw, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError("is damaged: its header cannot be read.", detail=str(error)) from error
    if not isinstance(header, dict):
        raise DamagedFileError("is damaged: its header cannot be read.")
    return header, 8 + size


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise UnsafeFileError("uses a name twice in its header; refused.")
    return result


def _span(name: str, entry: Any) -> tuple[int, int]:
    """Check one entry and return where its bytes lie."""
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    shape = entry.get("shape") if isinstance(entry, dict) else None
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(is_count(value) for value in offsets):
        raise DamagedFileError(f"is damaged: where {shorten(name)} lies makes no sense.")
    kind = entry.get("dtype")
    if not isinstance(kind, str) or kind not in TYPES:
        raise DamagedFileError(f"holds {shorten(name)} as {shorten(kind)}, a type of number that the studio does not read.")
    if not isinstance(shape, list) or len(shape) > 8 or not all(is_count(value) for value in shape):
        raise DamagedFileError(f"is damaged: the shape of {shorten(name)} makes no sense.")
    first, last = offsets
    if last - first != math.prod(shape) * ITEM_BYTES[TYPES[entry["dtype"]]]:
        raise DamagedFileError(f"is damaged: {shorten(name)} of shape {shorten(shape)} does not match its {last - first:,} bytes.")
    return first, last


def _tensor(name: str, entry: dict[str, Any], body: memoryview) -> StoredTensor:
    first, last = entry["data_offsets"]
    shape, kind = entry["shape"], TYPES[entry["dtype"]]
    storage = Storage(name, kind, (last - first) // ITEM_BYTES[kind], body[first:last])
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return checked_tensor(storage, 0, shape, strides)
