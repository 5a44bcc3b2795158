"""The inert interpreter: it reads what Python's pickler writes, and what it cannot read it refuses."""

import argparse
import io
import pickle
import random
import struct
from collections import OrderedDict, defaultdict

import checkpoint_craft as craft
import numpy as np
import pytest
import torch

from studio.checkpoints.contents import read_contents
from studio.checkpoints.records import Bundle, Global, StoredArray, StoredTensor, shorten
from studio.errors import DamagedFileError, StudioError, TooBigError, UnsafeFileError


def read(data):
    return read_contents(memoryview(data)).value


PLAIN = {
    "numbers": [0, 1, -1, 255, 256, 65535, -(2**31), 2**40, -(2**60), 1.5, -0.0, True, False, None],
    "texts": ["", "a", "Zürich ☀", "x" * 300, "\ud800"],
    "nesting": {"a": [1, (2, 3), {"b": {"c": ()}}], 5: "five", None: 1, True: 2},
    "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
    "sets": [{1, 2}, set(), {"a"}],
    "ordered": OrderedDict([("b", 1), ("a", 2)]),
    "default": defaultdict(dict, {"a": 1}),
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", PLAIN)
def test_plain_values_come_back_equal(kind, protocol):
    value = PLAIN[kind]
    assert read(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_shared_values_stay_shared(protocol):
    inner = [1]
    first, second = read(pickle.dumps([inner, inner], protocol))
    assert first is second


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_bytes_are_windows_with_the_same_content(protocol):
    for value in (b"", b"abc", bytes(range(256)), bytes(70_000), bytearray(b"xyz")):
        assert bytes(read(pickle.dumps(value, protocol))) == value


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", "<f2", "<i8", "|u1", "?"])
def test_numpy_arrays_come_back_equal(kind, order, protocol):
    value = np.asarray(np.arange(24).reshape(2, 3, 4) % 2, dtype=kind, order=order)
    stored = read(pickle.dumps(value, protocol))
    assert isinstance(stored, StoredArray)
    assert np.array_equal(stored.read(), value)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_numpy_scalars_become_numbers(protocol):
    assert read(pickle.dumps([np.float64(1.25), np.int32(-7), np.bool_(True)], protocol)) == [1.25, -7, True]


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_namespace_becomes_a_bundle_of_fields(protocol):
    bundle = read(pickle.dumps(argparse.Namespace(size=256, path="x"), protocol))
    assert isinstance(bundle, Bundle) and bundle.fields == {"size": 256, "path": "x"}


TENSORS = {
    "float": lambda: torch.randn(3, 4),
    "half": lambda: torch.randn(5).half(),
    "bfloat16": lambda: torch.randn(5).bfloat16(),
    "double": lambda: torch.randn(2, 2).double(),
    "integers": lambda: torch.arange(6).reshape(2, 3),
    "bytes": lambda: torch.arange(6, dtype=torch.uint8),
    "booleans": lambda: torch.tensor([True, False]),
    "scalar": lambda: torch.tensor(2.5),
    "bfloat16 scalar": lambda: torch.tensor(2.5).bfloat16(),
    "empty": lambda: torch.zeros(0, 3),
    "transposed": lambda: torch.randn(3, 4).t(),
    "view": lambda: torch.randn(10, 10)[2:5, ::3],
    "channels last": lambda: torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "parameter": lambda: torch.nn.Parameter(torch.randn(3)),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", TENSORS)
def test_tensors_agree_with_torch_in_both_layouts(kind, zipped):
    value = TENSORS[kind]()
    data = craft.saved({"t": value, "again": value}, zipped=zipped)
    theirs = torch.load(io.BytesIO(data), weights_only=True)["t"].detach()
    stored = read(data)["t"]
    assert isinstance(stored, StoredTensor)
    ours = torch.from_numpy(np.asarray(stored.read()))
    assert ours.dtype == (torch.float32 if theirs.is_floating_point() else theirs.dtype)
    assert tuple(stored.shape) == tuple(theirs.shape)
    assert torch.equal(ours, theirs.to(ours.dtype))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tensors_pickled_directly_are_nested_streams(protocol):
    stored = read(pickle.dumps({"t": torch.arange(4.0)}, protocol))["t"]
    assert stored.read().tolist() == [0, 1, 2, 3]


def test_metadata_of_a_state_dictionary_is_dropped():
    value = read(craft.saved(torch.nn.Conv2d(1, 1, 1).state_dict()))
    assert type(value) is dict and list(value) == ["weight", "bias"]


def test_names_are_words_and_not_the_things_they_name():
    assert read(craft.pickled(craft.word("builtins", "dict"))) == Global("builtins", "dict")


REFUSED = {
    "opcode of protocol 0": (b"I5\n", UnsafeFileError),
    "instance opcode": (b"(iposix\nsystem\n", UnsafeFileError),
    "stack underflow": (b"a", DamagedFileError),
    "mark underflow": (b"t", DamagedFileError),
    "unknown memo": (b"h\x09", DamagedFileError),
    "two values": (b"NN", DamagedFileError),
    "open group": (b"N(", DamagedFileError),
    "append to a number": (b"K\x01Na", DamagedFileError),
    "odd dictionary": (b"}(Nu", DamagedFileError),
    "key that is a list": (b"}]Ns", DamagedFileError),
    "key that is bytes": (b"}C\x01aNs", DamagedFileError),
    "key of 70 bits": (b"}\x8a\x0a" + bytes(9) + b"\x01Ns", DamagedFileError),
    "long name": (b"c" + b"a" * 400 + b"\nb\n", UnsafeFileError),
    "long integer": (b"\x8a\xff" + bytes(255), UnsafeFileError),
    "call of a number": (b"K\x01)R", UnsafeFileError),
    "call without a tuple": (craft.word("collections", "OrderedDict") + b"NR", UnsafeFileError),
    "call of a type": (craft.word("torch", "FloatStorage") + b")R", UnsafeFileError),
    "build on a list": (b"]}b", UnsafeFileError),
    "persistent id": (b"NQ", UnsafeFileError),
    "second start": (b"\x80\x02N", DamagedFileError),
    "text that is not UTF-8": (b"X\x01\x00\x00\x00\xff", DamagedFileError),
    "frame beyond the end": (b"\x95" + struct.pack("<Q", 10**6) + b"N", DamagedFileError),
    "numbers as keys without end": (b"}(" + b"".join(b"J" + struct.pack("<i", i) + b"N" for i in range(20_001)) + b"u", UnsafeFileError),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_no_model_needs_is_refused(kind):
    body, error = REFUSED[kind]
    with pytest.raises(error):
        read(craft.pickled(body, 4))


def test_long_texts_are_not_decoded_and_longer_ones_refused():
    long = read(craft.pickled(craft.text("a" * 100_000)))
    assert len(long.data) == 100_000
    with pytest.raises(TooBigError, match="16 MB"):
        read(craft.pickled(craft.text("a" * (17 << 20))))


def test_random_instructions_end_in_a_value_or_a_refusal():
    draw = random.Random(5)
    opcodes = b"(N\x88\x89K\x01M\x01\x01\x8c\x01aX\x01\x00\x00\x00bC\x01x)]}\x8f\x85\x86\x87tlduesaq\x01\x94h\x01R\x81bQ0"
    words = [
        craft.word("collections", "OrderedDict"),
        craft.word("argparse", "Namespace"),
        craft.word("torch._utils", "_rebuild_tensor_v2"),
    ]
    pieces = [bytes([byte]) for byte in opcodes] + words * 4
    for _ in range(3000):
        body = b"".join(draw.choices(pieces, k=draw.randint(1, 40)))
        try:
            read(craft.pickled(body, 4))
        except StudioError as error:
            assert str(error)


def test_values_in_sentences_are_short_and_printable():
    nested = ()
    for _ in range(50):
        nested = (nested, nested)
    for value in (nested, "a\n\x1b[31m" * 100, 10**30, [1] * 100, None, 1.5, (1, 2)):
        shown = shorten(value)
        assert len(shown) <= 80 and shown.isprintable()
