"""The wire format of Protocol Buffers, read with limits and without a schema: fields of a message, one after another.

Nothing here calls itself, so that depth is what a caller asks for; nothing is copied, a part of a message stays a window into the file.
What the fields mean is *not* known here: see ``onnx`` and ``onnx_graph``.

Reference:
    "Encoding", the documentation of Protocol Buffers by their authors.
"""

from __future__ import annotations

from collections.abc import Iterator

from studio.errors import DamagedFileError

Value = int | memoryview


def fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield number and value of each field of a message: whole numbers, or the bytes of anything else.

    Raises:
        DamagedFileError: The message is cut off or malformed.
    """
    place, end = 0, len(data)
    while place < end:
        key, place = varint(data, place)
        field, kind = key >> 3, key & 7
        if kind == 0:
            value, place = varint(data, place)
            yield field, value
            continue
        if kind == 2:
            length, place = varint(data, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise DamagedFileError("is damaged: it is no ONNX file, or a part of it is missing.")
        if length > end - place:
            raise DamagedFileError("is cut short: a part of it says that it is longer than what is there. Download it again.")
        yield field, data[place : place + length]
        place += length


def messages(data: memoryview, wanted: int) -> Iterator[memoryview]:
    """Yield the parts of a message under one number.

    Raises:
        DamagedFileError: A whole number stands there.
    """
    for field, value in fields(data):
        if field == wanted:
            if isinstance(value, int):
                raise DamagedFileError("is damaged: a number stands where a part of the network should be.")
            yield value


def packed(data: memoryview, most: int) -> list[int]:
    """Read whole numbers that lie one after another; it stops behind one more than ``most``."""
    numbers: list[int] = []
    place = 0
    while place < len(data) and len(numbers) <= most:
        number, place = varint(data, place)
        numbers.append(number)
    return numbers


def varint(data: memoryview, place: int) -> tuple[int, int]:
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
