"""The binary pickle opcodes that model files use, each as one small function on a :class:`~studio.checkpoints.pickles.Machine`.

There is no POP, DUP, INST, OBJ, EXT or text opcode among them: no model needs one, and the machine refuses them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from studio.checkpoints.records import Global, RawText, shorten
from studio.errors import DamagedFileError, TooBigError, UnsafeFileError

if TYPE_CHECKING:
    from studio.checkpoints.pickles import Machine

MAX_STRING_BYTES = 16 << 20
MAX_NAME_BYTES = 300
MAX_INTEGER_BYTES = 16
LAZY_TEXT_BYTES = 64 << 10


def decode(raw: bytes | memoryview) -> str:
    """Decode a text of the file."""
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
        m.stack.append(decode(raw))

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
