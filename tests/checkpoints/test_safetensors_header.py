"""The header of a safetensors file is checked before anything believes it."""

import checkpoint_craft as craft
import numpy as np
import pytest
import torch
from safetensors.torch import save

from studio.checkpoints.safetensors_io import looks_like_safetensors, read_safetensors
from studio.errors import DamagedFileError, StudioError, TooBigError

ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def read(data):
    return read_safetensors(memoryview(data))


def test_what_the_library_writes_is_read_back():
    tensors = {
        "float": torch.randn(3, 4),
        "half": torch.randn(5).half(),
        "bfloat": torch.randn(2, 2).bfloat16(),
        "long": torch.arange(5),
        "flag": torch.tensor([True, False]),
        "scalar": torch.tensor(3.0),
        "empty": torch.zeros(0, 4),
    }
    data = save(tensors, metadata={"a": "b"})
    assert looks_like_safetensors(memoryview(data))
    stored, metadata = read(data)
    assert metadata == {"a": "b"}
    for name, tensor in tensors.items():
        values = torch.from_numpy(np.asarray(stored[name].read()))
        assert tuple(stored[name].shape) == tuple(tensor.shape)
        assert torch.equal(values, tensor.to(values.dtype))


BROKEN = {
    "a hole": ({"a": ENTRY, "b": {**ENTRY, "data_offsets": [12, 20]}}, bytes(20)),
    "bytes after the end": ({"a": ENTRY}, bytes(12)),
    "cut short": ({"a": ENTRY}, bytes(7)),
    "unknown type": ({"a": {**ENTRY, "dtype": "F7"}}, bytes(8)),
    "type that is a list": ({"a": {**ENTRY, "dtype": ["F32"]}}, bytes(8)),
    "negative side": ({"a": {**ENTRY, "shape": [-2]}}, bytes(8)),
    "side that is text": ({"a": {**ENTRY, "shape": ["2"]}}, bytes(8)),
    "side that is true": ({"a": {**ENTRY, "shape": [True, 2]}}, bytes(8)),
    "offsets the wrong way": ({"a": {**ENTRY, "data_offsets": [8, 0]}}, bytes(8)),
    "three offsets": ({"a": {**ENTRY, "data_offsets": [0, 4, 8]}}, bytes(8)),
    "nine dimensions": ({"a": {**ENTRY, "shape": [1] * 8 + [2]}}, bytes(8)),
    "an entry that is a number": ({"a": 5}, b""),
    "a list": ([ENTRY], b""),
    "metadata that is no text": ({"__metadata__": {"a": 1}, "a": ENTRY}, bytes(8)),
    "not JSON": (b"{'a': 1}", b""),
    "not UTF-8": (b"{\xff}", b""),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_header_is_refused(kind):
    header, data = BROKEN[kind]
    with pytest.raises(StudioError):
        read(craft.safetensors(header, data))


def test_the_missing_bytes_are_counted():
    whole = craft.safetensors({"a": ENTRY}, bytes(8))
    with pytest.raises(DamagedFileError, match=f"holds {len(whole) - 3:,} bytes, expected {len(whole):,} bytes"):
        read(whole[:-3])


def test_twenty_thousand_tensors_are_enough():
    with pytest.raises(TooBigError, match="20,000"):
        read(craft.safetensors({f"t{i}": {**ENTRY, "shape": [0], "data_offsets": [0, 0]} for i in range(20_001)}))


def test_text_that_starts_with_a_brace_later_is_not_safetensors():
    assert not looks_like_safetensors(memoryview(b'{"json": {"a": 1}}'))
    assert not looks_like_safetensors(memoryview(b"12345678{"))
    assert not looks_like_safetensors(memoryview(b""))
