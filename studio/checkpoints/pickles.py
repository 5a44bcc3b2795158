"""An inert interpreter for pickle streams: bytes in; dictionaries, lists, numbers and records out.

It is *not* built on Python's own unpickler and cannot act: a name in the file is looked up in a closed list of words
(:mod:`studio.checkpoints.vocabulary`) and stays a word; nothing is imported, called, compiled, or given an attribute.
Only the binary opcodes that model files use exist here. Every count in the file is checked against what is left of it
before anything is allocated, and large byte strings stay windows into the file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from studio.checkpoints.opcodes import MAX_NAME_BYTES, OPCODES, decode
from studio.checkpoints.records import Global, shorten
from studio.errors import DamagedFileError, TooBigError, UnsafeFileError

MAX_OPERATIONS = 400_000
MAX_TEXT_BYTES = 32 << 20
MAX_NUMBER_KEYS = 20_000
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
        data, end, budget = self.data, len(self.data), self.budget
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
            opcode = OPCODES[code]
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
        return decode(window[:length])

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
