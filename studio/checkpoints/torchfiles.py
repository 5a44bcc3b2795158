"""Torch's two file layouts: the zip archive, and the older stream of five pickles followed by raw numbers.

Both give a tree of inert records whose storages are windows into the file. Nothing is unpacked to disk, and neither
Python's zip module nor torch's reader is involved: entries must be stored uncompressed, named once, and lie in the file.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass
from typing import Any

from studio.checkpoints.pickles import Budget, Machine, Vocabulary
from studio.checkpoints.records import Global, Storage, check_sum, is_count, shorten
from studio.errors import DamagedFileError, UnknownModelError, UnsafeFileError

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001
MAX_ENTRIES = 30_000
STORAGE_TYPES = {
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "DoubleStorage": "float64",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "UntypedStorage": "uint8",
}
"""Torch's storage classes and the numbers they hold."""


class _Storages:
    """Answers the persistent ids of one file: the same key is the same storage, of one type and size."""

    def __init__(self) -> None:
        self.found: dict[str, Storage] = {}

    def __call__(self, value: Any) -> Storage:
        """Return the storage that ``('storage', class, key, location, count, ...)`` names."""
        if not isinstance(value, tuple) or len(value) < 5 or value[0] != "storage" or not isinstance(value[2], str):
            raise UnsafeFileError("refers to something other than a tensor's data; refused.")
        kind, key, count = _element_type(value[1]), value[2], value[4]
        if not is_count(count):
            raise DamagedFileError(f"is damaged: a tensor's data is said to hold {shorten(count)} numbers.")
        if len(value) > 5 and value[5] is not None:
            raise DamagedFileError("was written by a torch older than 0.4; open and save it again with a newer one.")
        storage = self.found.setdefault(key, Storage(key, kind, count))
        if (storage.dtype, storage.count) != (kind, count):
            raise DamagedFileError(f"is damaged: the data {shorten(key)} is described in two different ways.")
        return storage


def read_legacy(data: memoryview, vocabulary: Vocabulary, budget: Budget) -> Any:
    """Read torch's old stream: magic, version, machine, the value, the list of storages, then their numbers.

    Raises:
        StudioError: The stream is cut short, inconsistent or unsafe; never with a storage left unfilled.
    """
    storages = _Storages()
    machine = Machine(data, vocabulary=vocabulary, budget=budget, persistent=storages)
    if machine.run() != LEGACY_MAGIC or _next(machine) != LEGACY_VERSION:
        raise DamagedFileError("is damaged: it does not start as a torch file does.")
    system = _next(machine)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise DamagedFileError("was written on a big-endian machine, which the studio does not read.")
    value, keys = _next(machine), _next(machine)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise DamagedFileError("is damaged: its list of tensor data makes no sense.")
    if len(keys) != len(set(keys)) or set(keys) != set(storages.found):
        raise DamagedFileError(f"is damaged: it lists data for {len(keys)} tensors but uses {len(storages.found)}.")
    ordered = [storages.found[key] for key in keys]
    _fill(machine, ordered)
    return value


def _next(machine: Machine) -> Any:
    machine.stack, machine.marked, machine.memo = [], [], {}
    return machine.run()


def _fill(machine: Machine, ordered: list[Storage]) -> None:
    """Point every storage at its numbers, which lie one after the other behind the pickles."""
    total = sum(8 + storage.nbytes for storage in ordered)
    rest = len(machine.data) - machine.position
    if rest < total:
        raise machine.cut_short(total)
    if rest > total:
        raise DamagedFileError(f"is damaged: {rest - total:,} bytes follow after its end.")
    for storage in ordered:
        (count,) = struct.unpack("<q", machine.take(8))
        if count != storage.count:
            raise DamagedFileError(f"is damaged: data said to hold {storage.count:,} numbers holds {count:,}.")
        storage.data = machine.take(storage.nbytes)


def _element_type(word: object) -> str:
    name = word.name if isinstance(word, Global) and word.module in ("torch", "torch.storage") else ""
    if name not in STORAGE_TYPES:
        raise DamagedFileError(f"is damaged: {shorten(name or word)} is not a kind of tensor data that the studio reads.")
    return STORAGE_TYPES[name]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One stored member of the archive."""

    data: memoryview
    crc: int


def read_zip(data: memoryview, vocabulary: Vocabulary, budget: Budget) -> Any:
    """Read torch's zip archive: ``ROOT/data.pkl`` and the storages ``ROOT/data/KEY``.

    Raises:
        StudioError: The archive is cut short, compressed, inconsistent or holds a program.
    """
    entries = _directory(data, vocabulary)
    pickles = [name for name in entries if name == "data.pkl" or name.endswith("/data.pkl")]
    root = pickles[0][: -len("data.pkl")] if pickles else ""
    if any(name.endswith("/constants.pkl") or name.startswith(f"{root}code/") for name in entries):
        raise UnknownModelError("holds a TorchScript program, not only weights; ask its author for a state_dict export.")
    if not pickles:
        inside = ", ".join(shorten(name, 40) for name in list(entries)[:3])
        raise UnknownModelError(f"is a zip archive but not a torch file (it holds {inside or 'nothing'}). Unpack it first.")
    if len(pickles) > 1:
        raise UnsafeFileError("holds two models in one archive (two data.pkl); refused.")
    order = entries.get(f"{root}byteorder")
    if order is not None and bytes(order.data[:8]) != b"little":
        raise DamagedFileError("was written on a big-endian machine, which the studio does not read.")
    storages = _Storages()
    entry = entries[pickles[0]]
    check_sum(entry.data, entry.crc)
    machine = Machine(entry.data, vocabulary=vocabulary, budget=budget, persistent=storages)
    value = machine.run()
    if machine.position != len(entry.data):
        raise DamagedFileError("is damaged: bytes follow after the end of its data.pkl.")
    for storage in storages.found.values():
        _attach(storage, entries, root)
    return value


def _attach(storage: Storage, entries: dict[str, _Entry], root: str) -> None:
    entry = entries.get(f"{root}data/{storage.key}")
    if entry is None:
        raise DamagedFileError(f"is damaged: the data {shorten(storage.key)} of a tensor is missing.")
    if len(entry.data) != storage.nbytes:
        raise DamagedFileError(f"is damaged: a tensor is said to take {storage.nbytes:,} bytes, but {len(entry.data):,} are there.")
    storage.data, storage.crc = entry.data, entry.crc


def _directory(data: memoryview, vocabulary: Vocabulary) -> dict[str, _Entry]:
    """Read the archive's central directory; each entry becomes a window into the file."""
    count, size, start = _end_record(data, vocabulary)
    if count > MAX_ENTRIES:
        raise UnsafeFileError(f"holds {count:,} entries, far more than a model needs; refused.")
    if start + size > len(data):
        raise DamagedFileError("is damaged: its directory lies outside the file.")
    entries: dict[str, _Entry] = {}
    spans: list[tuple[int, int]] = []
    position = start
    for _ in range(count):
        name, entry, span, position = _entry(data, position, start + size)
        if name in entries:
            raise UnsafeFileError(f"holds {shorten(name)} twice; refused.")
        entries[name] = entry
        spans.append(span)
    spans.sort()
    if any(first[1] > second[0] for first, second in itertools.pairwise(spans)):
        raise UnsafeFileError("holds entries that share their bytes, as no torch file does; refused.")
    return entries


def _end_record(data: memoryview, vocabulary: Vocabulary) -> tuple[int, int, int]:
    """Find the end record: the number of entries, the directory's size and where it starts."""
    tail_start = max(0, len(data) - 22 - 0xFFFF)
    tail = bytes(data[tail_start:])
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + 22 > len(tail):
        raise _cut_short(data, vocabulary)
    _, _, _, count, size, start, comment = struct.unpack_from("<HHHHIIH", tail, at + 4)
    if at + 22 + comment != len(tail):
        raise DamagedFileError("is damaged: bytes follow after its end.")
    if count == 0xFFFF or 0xFFFFFFFF in (size, start):
        end = tail_start + at
        if end < 76 or bytes(data[end - 20 : end - 16]) != b"PK\x06\x07":
            raise DamagedFileError("is damaged: its directory cannot be found.")
        (where,) = struct.unpack_from("<Q", data, end - 12)
        if where > end - 56 or bytes(data[where : where + 4]) != b"PK\x06\x06":
            raise DamagedFileError("is damaged: its directory cannot be found.")
        count, size, start = struct.unpack_from("<QQQ", data, where + 32)
    return count, size, start


def _entry(data: memoryview, position: int, limit: int) -> tuple[str, _Entry, tuple[int, int], int]:
    if position + 46 > limit or bytes(data[position : position + 4]) != b"PK\x01\x02":
        raise DamagedFileError("is damaged: its directory makes no sense.")
    flags, method = struct.unpack_from("<HH", data, position + 8)
    crc, packed, size, name_size, extra_size, comment_size = struct.unpack_from("<IIIHHH", data, position + 16)
    (offset,) = struct.unpack_from("<I", data, position + 42)
    end = position + 46 + name_size + extra_size + comment_size
    if end > limit:
        raise DamagedFileError("is damaged: its directory makes no sense.")
    name = _entry_name(data[position + 46 : position + 46 + name_size])
    if method != 0 or packed != size:
        raise UnsafeFileError(f"holds compressed entries ({shorten(name)}), which torch never writes; refused.")
    if flags & 0x1:
        raise UnsafeFileError("is encrypted; refused.")
    extra = data[position + 46 + name_size : position + 46 + name_size + extra_size]
    size, offset = _wide(extra, size, offset)
    start = _data_start(data, offset, name_size)
    if start + size > len(data):
        raise DamagedFileError(f"is damaged: {shorten(name)} lies outside the file.")
    return name, _Entry(data[start : start + size], crc), (offset, start + size), end


def _entry_name(raw: memoryview) -> str:
    try:
        name = bytes(raw).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DamagedFileError("is damaged: a name in its directory is not text.") from error
    if name.startswith("/") or "\\" in name or "\0" in name or ".." in name.split("/"):
        raise UnsafeFileError(f"holds an entry named {shorten(name)}, which tries to leave its folder; refused.")
    return name


def _wide(extra: memoryview, size: int, offset: int) -> tuple[int, int]:
    """Take 64-bit sizes from the extra field where the 32-bit ones are full."""
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        if kind == 1:
            values = iter(struct.unpack_from(f"<{min(length, len(extra) - position - 4) // 8}Q", extra, position + 4))
            if size == 0xFFFFFFFF:
                size = next(values, size)
                next(values, 0)
            if offset == 0xFFFFFFFF:
                offset = next(values, offset)
        position += 4 + length
    return size, offset


def _data_start(data: memoryview, offset: int, name_size: int) -> int:
    if offset + 30 > len(data) or bytes(data[offset : offset + 4]) != b"PK\x03\x04":
        raise DamagedFileError("is damaged: an entry of its directory leads nowhere.")
    local_name, local_extra = struct.unpack_from("<HH", data, offset + 26)
    if local_name != name_size:
        raise DamagedFileError("is damaged: an entry has two names.")
    return int(offset + 30 + local_name + local_extra)


def _cut_short(data: memoryview, vocabulary: Vocabulary) -> DamagedFileError:
    """Say how long an archive without its end should be, as far as its first entry (``data.pkl``) tells."""
    size = f"is cut short: it holds {len(data):,} bytes"
    if len(data) > 30:
        storages = _Storages()
        start = 30 + sum(struct.unpack_from("<HH", data, 26))
        machine = Machine(data, vocabulary=vocabulary, budget=Budget(), persistent=storages, position=start)
        try:
            machine.run()
        except DamagedFileError:
            return DamagedFileError(f"{size}, and its end is missing. Download it again.")
        total = machine.position + sum(storage.nbytes for storage in storages.found.values())
        return DamagedFileError(f"{size}, expected {total:,} bytes or more. Download it again.")
    return DamagedFileError(f"{size}, and its end is missing. Download it again.")
