"""An inert interpreter for pickle streams: bytes in; dictionaries, lists, numbers and records out.

It is *not* built on Python's own unpickler and cannot act: a name in the file is looked up in a closed list of words
(:mod:`studio.checkpoints.vocabulary`) and stays a word; nothing is imported, called, compiled, or given an attribute.
Only the binary opcodes that model files use exist here. Every count in the file is checked against what is left of it
before anything is allocated, and large byte strings stay windows into the file.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from studio.checkpoints.records import Global, shorten
from studio.errors import DamagedFileError, TooBigError, UnsafeFileError

MAX_OPERATIONS = 600_000
MAX_STRING_BYTES = 16 << 20
MAX_TEXT_BYTES = 32 << 20
MAX_NAME_BYTES = 300
MAX_INTEGER_BYTES = 16
MAX_NUMBER_KEYS = 20_000
LAZY_TEXT_BYTES = 64 << 10
STANDARD_LIBRARY = sys.stdlib_module_names | {"__builtin__", "copy_reg", "commands", "os2"}

Reducer = Callable[["Machine", tuple[Any, ...]], Any]
Builder = Callable[["Machine", Any, Any], None]
Persistent = Callable[[Any], Any]


@dataclass(slots=True)
class Budget:
    """What one file may still use; its nested streams draw on the same budget."""

    operations: int = MAX_OPERATIONS
    text_bytes: int = MAX_TEXT_BYTES
    bytes_as_text: int = 0
    """How many bytes written as text (protocol 2) may still be decoded; the file's own size is enough for an honest one."""
    number_keys: int = MAX_NUMBER_KEYS
    nesting: int = 1
    """How many streams may still lie inside this one."""


@dataclass(frozen=True, slots=True, eq=False)
class RawText:
    """A long string that stays undecoded in the file: embedded source code, or the bytes of a protocol 2 tensor."""

    data: memoryview


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The closed list of what a pickle may name, and what each name does when the file applies it."""

    words: frozenset[tuple[str, str]]
    reducers: dict[str, Reducer]
    makers: dict[str, Callable[[], Any]]
    builders: dict[type, Builder]


class Machine:
    """Runs one pickle stream inside ``data``, from ``position`` on.

    Args:
        data: The whole file, or the part that may be read.
        vocabulary: What the stream may name.
        budget: Shared by all streams of one file.
        persistent: Resolves persistent ids (torch's storages); None refuses them.
        position: Where the stream starts.
    """

    def __init__(
        self,
        data: memoryview,
        *,
        vocabulary: Vocabulary,
        budget: Budget,
        persistent: Persistent | None = None,
        position: int = 0,
    ) -> None:
        self.data = data
        self.vocabulary = vocabulary
        self.budget = budget
        self.persistent = persistent
        self.position = position
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Interpret until STOP and return the value; ``position`` is then the byte after it.

        Raises:
            DamagedFileError: The stream is cut short or makes no sense.
            UnsafeFileError: It names something off the list, uses an opcode no model needs, or is far too long.
        """
        if self._byte() != 0x80 or self._byte() not in (2, 3, 4, 5):
            raise DamagedFileError("is not a pickle that a model was saved in.")
        data, end, budget, opcodes = self.data, len(self.data), self.budget, OPCODES
        while True:
            if self.position >= end:
                raise self.cut_short(1)
            code = data[self.position]
            self.position += 1
            if code == 0x2E:
                break
            budget.operations -= 1
            if budget.operations < 0:
                self.charge(0)
            opcode = opcodes[code]
            if opcode is None:
                raise UnsafeFileError(f"uses the pickle instruction 0x{code:02x}, which no model needs; refused.")
            opcode(self)
        if len(self.stack) != 1 or self.marked:
            raise DamagedFileError("is damaged: its pickle does not end in one value.")
        return self.stack[0]

    def cut_short(self, more: int) -> DamagedFileError:
        """Say that the file ends too early: ``more`` bytes are announced at the current position."""
        expected = self.position + more
        size = f"{expected:,}" if expected < 2**50 else "a nonsensical number of"
        return DamagedFileError(f"is cut short: it holds {len(self.data):,} bytes, expected {size} bytes or more. Download it again.")

    def charge(self, operations: int) -> None:
        """Count work that one instruction causes beyond itself.

        Raises:
            UnsafeFileError: The file has used up what it may.
        """
        self.budget.operations -= operations
        if self.budget.operations < 0:
            raise UnsafeFileError(f"holds more than {MAX_OPERATIONS:,} instructions, far more than a model needs; refused.")

    def charge_bytes(self, size: int) -> None:
        """Count ``size`` bytes that were written as text.

        Raises:
            TooBigError: The same bytes are asked for over and over.
        """
        self.budget.bytes_as_text -= size
        if self.budget.bytes_as_text < 0:
            raise TooBigError("would need far more memory than its size.")

    def charge_text(self, size: int) -> None:
        """Count ``size`` bytes of text that are decoded.

        Raises:
            TooBigError: The file has used up what it may.
        """
        self.budget.text_bytes -= size
        if self.budget.text_bytes < 0:
            raise TooBigError("holds more text than any model needs.")

    def take(self, count: int) -> memoryview:
        """Step over ``count`` bytes and return a window onto them."""
        if count > len(self.data) - self.position:
            raise self.cut_short(count)
        start = self.position
        self.position += count
        return self.data[start : self.position]

    def pop(self) -> Any:
        """Take the top of the stack."""
        if not self.stack:
            raise DamagedFileError("is damaged: its pickle takes more from the stack than it put there.")
        return self.stack.pop()

    def key(self, value: Any) -> Any:
        """Check that a value may be a key: text, or a few numbers (nested keys could take for ever to compare)."""
        if type(value) is str:
            return value
        if value is None or type(value) is bool:
            return value
        if type(value) is int and -(2**62) < value < 2**62:
            self.budget.number_keys -= 1
            if self.budget.number_keys < 0:
                raise UnsafeFileError("uses far more numbers as names than a model needs; refused.")
            return value
        raise DamagedFileError(f"uses {shorten(value)} as a name, which no model does.")

    def top(self, kind: type) -> Any:
        """Return the top of the stack, which must be of one kind."""
        if not self.stack or type(self.stack[-1]) is not kind:
            raise DamagedFileError(f"is damaged: its pickle adds to something that is not a {kind.__name__}.")
        return self.stack[-1]

    def _byte(self) -> int:
        return self.take(1)[0]

    def pop_mark(self) -> list[Any]:
        """Take everything above the last mark."""
        if not self.marked:
            raise DamagedFileError("is damaged: its pickle closes a group that it never opened.")
        items = self.stack
        self.stack = self.marked.pop()
        return items

    def line(self) -> str:
        """Read a name that ends with a line feed."""
        window = bytes(self.data[self.position : self.position + MAX_NAME_BYTES + 1])
        length = window.find(b"\n")
        if length < 0:
            raise UnsafeFileError("holds a name of more than 300 bytes; refused.")
        self.position += length + 1
        return _decode(window[:length])

    def allow(self, module: Any, name: Any) -> Global:
        """Return a name as an inert word when it is on the list.

        Raises:
            UnsafeFileError: It is not, and what it would have done is said.
        """
        if type(module) is str and type(name) is str and (module, name) in self.vocabulary.words:
            return Global(module, name)
        raise UnlistedNameError(module, name)


class UnlistedNameError(UnsafeFileError):
    """The file names something that is not on the list: ``what``."""

    def __init__(self, module: object, name: object) -> None:
        self.what = f"{shorten(module)}.{shorten(name)}"
        self.is_standard_library = not isinstance(module, str) or module.split(".")[0] in STANDARD_LIBRARY
        super().__init__(
            f"asks to run {self.what}, which a model has no need of; refused, nothing was run. "
            "Do not trust this file; ask its author for a .safetensors file."
        )


def _decode(raw: bytes | memoryview) -> str:
    try:
        return bytes(raw).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise DamagedFileError("is damaged: a text in it is not UTF-8.") from error


def _proto(m: Machine) -> None:
    raise DamagedFileError("is damaged: a second pickle starts inside the first.")


def _frame(m: Machine) -> None:
    (length,) = struct.unpack("<Q", m.take(8))
    if length > len(m.data) - m.position:
        raise m.cut_short(length)


def _mark(m: Machine) -> None:
    m.marked.append(m.stack)
    m.stack = []


def _integer(width: int, *, signed: bool) -> Callable[[Machine], None]:
    def run(m: Machine) -> None:
        m.stack.append(int.from_bytes(m.take(width), "little", signed=signed))

    return run


def _long(m: Machine) -> None:
    length = m.take(1)[0]
    if length > MAX_INTEGER_BYTES:
        raise UnsafeFileError(f"holds an integer of {length} bytes, which no model needs; refused.")
    m.stack.append(int.from_bytes(m.take(length), "little", signed=True))


def _float(m: Machine) -> None:
    m.stack.append(struct.unpack(">d", m.take(8))[0])


def _text(width: int) -> Callable[[Machine], None]:
    def run(m: Machine) -> None:
        raw = m.take(int.from_bytes(m.take(width), "little"))
        if len(raw) > LAZY_TEXT_BYTES:
            if len(raw) > MAX_STRING_BYTES:
                raise TooBigError("holds a text of more than 16 MB, which no model needs.")
            m.stack.append(RawText(raw))
            return
        m.charge_text(len(raw))
        m.stack.append(_decode(raw))

    return run


def _latin(width: int) -> Callable[[Machine], None]:
    """Python 2's strings: names and, in arrays, bytes."""

    def run(m: Machine) -> None:
        raw = m.take(int.from_bytes(m.take(width), "little"))
        m.stack.append(str(raw, "latin-1") if len(raw) <= MAX_NAME_BYTES else raw)

    return run


def _bytes(width: int) -> Callable[[Machine], None]:
    def run(m: Machine) -> None:
        m.stack.append(m.take(int.from_bytes(m.take(width), "little")))

    return run


def _push(make: Callable[[], Any]) -> Callable[[Machine], None]:
    return lambda m: m.stack.append(make())


def _tuple(count: int) -> Callable[[Machine], None]:
    def run(m: Machine) -> None:
        items = [m.pop() for _ in range(count)]
        m.stack.append(tuple(reversed(items)))

    return run


def _marked(make: Callable[[Machine, list[Any]], Any]) -> Callable[[Machine], None]:
    def run(m: Machine) -> None:
        items = m.pop_mark()
        m.stack.append(make(m, items))

    return run


def _fill(m: Machine, target: dict[Any, Any], items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise DamagedFileError("is damaged: a dictionary has a name without a value.")
    for index in range(0, len(items), 2):
        target[m.key(items[index])] = items[index + 1]
    return target


def _set_item(m: Machine) -> None:
    value, key = m.pop(), m.pop()
    m.top(dict)[m.key(key)] = value


def _set_items(m: Machine) -> None:
    items = m.pop_mark()
    _fill(m, m.top(dict), items)


def _append(m: Machine) -> None:
    value = m.pop()
    m.top(list).append(value)


def _appends(m: Machine) -> None:
    items = m.pop_mark()
    m.top(list).extend(items)


def _add_items(m: Machine) -> None:
    items = m.pop_mark()
    m.top(set).update(m.key(item) for item in items)


def _put(width: int) -> Callable[[Machine], None]:
    def run(m: Machine) -> None:
        index = int.from_bytes(m.take(width), "little")
        m.memo[index] = m.stack[-1] if m.stack else m.pop()

    return run


def _memoize(m: Machine) -> None:
    m.memo[len(m.memo)] = m.stack[-1] if m.stack else m.pop()


def _get(width: int) -> Callable[[Machine], None]:
    def run(m: Machine) -> None:
        index = int.from_bytes(m.take(width), "little")
        if index not in m.memo:
            raise DamagedFileError(f"is damaged: its pickle refers to value {index}, which it never stored.")
        m.stack.append(m.memo[index])

    return run


def _global(m: Machine) -> None:
    module = m.line()
    m.stack.append(m.allow(module, m.line()))


def _stack_global(m: Machine) -> None:
    name, module = m.pop(), m.pop()
    m.stack.append(m.allow(module, name))


def _reduce(m: Machine) -> None:
    arguments, word = m.pop(), m.pop()
    reducer = m.vocabulary.reducers.get(word.path) if type(word) is Global else None
    if reducer is None or type(arguments) is not tuple:
        raise UnsafeFileError(f"asks to run {_named(word)}; refused, nothing was run.")
    m.stack.append(reducer(m, arguments))


def _new_object(m: Machine) -> None:
    arguments, word = m.pop(), m.pop()
    maker = m.vocabulary.makers.get(word.path) if type(word) is Global else None
    if maker is None or arguments != ():
        raise UnsafeFileError(f"asks to create a {_named(word)}; refused, nothing was run.")
    m.stack.append(maker())


def _build(m: Machine) -> None:
    state = m.pop()
    target = m.stack[-1] if m.stack else m.pop()
    builder = m.vocabulary.builders.get(type(target))
    if builder is None:
        raise UnsafeFileError(f"asks to change {_named(target)}; refused, nothing was run.")
    builder(m, target, state)


def _persistent_id(m: Machine) -> None:
    value = m.pop()
    if m.persistent is None:
        raise UnsafeFileError("refers to data outside itself; refused.")
    m.stack.append(m.persistent(value))


def _named(value: object) -> str:
    return shorten(value.path if isinstance(value, Global) else value)


def _opcodes() -> tuple[Callable[[Machine], None] | None, ...]:
    """Lay out the opcodes that model files use; there is no POP, DUP, INST, OBJ, EXT or text opcode among them."""
    table: dict[int, Callable[[Machine], None]] = {
        0x80: _proto,
        0x95: _frame,
        0x28: _mark,
        0x4E: _push(lambda: None),
        0x88: _push(lambda: True),
        0x89: _push(lambda: False),
        0x4B: _integer(1, signed=False),
        0x4D: _integer(2, signed=False),
        0x4A: _integer(4, signed=True),
        0x8A: _long,
        0x47: _float,
        0x8C: _text(1),
        0x58: _text(4),
        0x8D: _text(8),
        0x55: _latin(1),
        0x54: _latin(4),
        0x43: _bytes(1),
        0x42: _bytes(4),
        0x8E: _bytes(8),
        0x96: _bytes(8),
        0x29: _push(tuple),
        0x5D: _push(list),
        0x7D: _push(dict),
        0x8F: _push(set),
        0x85: _tuple(1),
        0x86: _tuple(2),
        0x87: _tuple(3),
        0x74: _marked(lambda m, items: tuple(items)),
        0x6C: _marked(lambda m, items: items),
        0x64: _marked(lambda m, items: _fill(m, {}, items)),
        0x91: _marked(lambda m, items: {m.key(item) for item in items}),
        0x73: _set_item,
        0x75: _set_items,
        0x61: _append,
        0x65: _appends,
        0x90: _add_items,
        0x71: _put(1),
        0x72: _put(4),
        0x94: _memoize,
        0x68: _get(1),
        0x6A: _get(4),
        0x63: _global,
        0x93: _stack_global,
        0x52: _reduce,
        0x81: _new_object,
        0x62: _build,
        0x51: _persistent_id,
    }
    return tuple(table.get(code) for code in range(256))


OPCODES = _opcodes()
