"""Writing small ONNX files, and changing valid ones in all the ways that a damaged or hostile file can differ."""

import struct

import numpy as np

from studio.checkpoints.onnx import read_onnx
from studio.checkpoints.protobuf import fields

CODES = {"float32": 1, "int8": 3, "int32": 6, "int64": 7}


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number, value):
    """One field of a protocol buffer: a whole number, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(name, values, *more):
    kind = CODES[values.dtype.name]
    return b"".join(
        [*(field(1, side) for side in values.shape), field(2, kind), field(8, name.encode()), field(9, values.tobytes()), *more]
    )


def setting(name, value):
    """One attribute of a node: a whole number, a float, a text, or a list of the first two."""
    head = field(1, name.encode())
    if isinstance(value, float):
        return head + varint(2 << 3 | 5) + struct.pack("<f", value) + field(20, 1)
    if isinstance(value, int):
        return head + field(3, value % (1 << 64)) + field(20, 2)
    if isinstance(value, str):
        return head + field(4, value.encode()) + field(20, 3)
    if isinstance(value[0], float):
        return head + field(7, np.asarray(value, "<f4").tobytes()) + field(20, 6)
    return head + b"".join(field(8, one % (1 << 64)) for one in value) + field(20, 7)


def node(operator, inputs, outputs, **settings):
    parts = [*(field(1, name.encode()) for name in inputs), *(field(2, name.encode()) for name in outputs), field(4, operator.encode())]
    return b"".join([*parts, *(field(5, setting(name, value)) for name, value in settings.items())])


def model(nodes, tensors):
    return field(1, 8) + field(2, b"pytorch") + field(7, b"".join([*(field(1, one) for one in nodes), *(field(5, one) for one in tensors)]))


def mutant(data, rng):
    """Change a valid file: bytes, lengths, pieces that are cut, repeated or moved."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        if not out:
            break
        place, size = rng.randrange(len(out)), rng.choice((1, 2, 8, 200))
        kind = rng.randrange(6)
        if kind == 0:
            out[place] = rng.randrange(256)
        elif kind == 1:
            del out[place : place + size]
        elif kind == 2:
            out[place:place] = out[max(0, place - size) : place]
        elif kind == 3:
            out[place:place] = rng.choice((b"\xff" * 9 + b"\x7f", varint(1 << 40), struct.pack("<Q", 1 << 62), b"\x80" * 20, b"\x00" * 3))
        elif kind == 4:
            out = out[: place + 16]
        else:
            head = rng.randrange(min(400, len(out)))
            out[head] ^= 1 << rng.randrange(8)
    return bytes(out)


def in_floats(data, sides):
    """Take the rounding of activations to 8 bits out of a quantised model, and give its inputs other sizes.

    Args:
        data: The model's bytes.
        sides: Name of an input -> its new shape.
    """
    names = set(read_onnx(memoryview(data)))
    out = b""
    for number, value in fields(memoryview(data)):
        out += field(number, value if isinstance(value, int) else _graph_in_floats(value, sides, names) if number == 7 else bytes(value))
    return out


def _graph_in_floats(graph, sides, stored):
    out = b""
    for number, value in fields(graph):
        if number == 13:
            continue  # what is known of the values between
        part = bytes(value) if not isinstance(value, int) else value
        if number == 1:
            first, ends, operator = _ends(value)
            if operator == "QuantizeLinear" or (operator == "DequantizeLinear" and first not in stored):
                part = node("Identity", [first], ends)
        elif number in (11, 12):
            name = next(bytes(inner).decode() for place, inner in fields(value) if place == 1)
            shape = field(2, b"".join(field(1, field(1, side)) for side in sides[name])) if name in sides else b""
            part = field(1, name.encode()) + field(2, field(1, field(1, 1) + shape))
        out += field(number, part)
    return out


def _ends(message):
    """Return the first input, the outputs and the operator of a node."""
    found = {}
    for number, value in fields(message):
        found.setdefault(number, []).append(value if isinstance(value, int) else bytes(value).decode("utf-8", "replace"))
    return found.get(1, [""])[0], found.get(2, []), found[4][0]
