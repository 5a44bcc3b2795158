"""Nodes of ONNX files, read as data: what is read is what was written, 8-bit numbers are what they stand for, and damage is a sentence."""

import random
import tracemalloc

import numpy as np
import pytest
from onnx_craft import field, model, mutant, node, setting, tensor

from studio.checkpoints import extras, onnx_graph
from studio.checkpoints.onnx import read_onnx
from studio.checkpoints.onnx_graph import read_convolutions, read_nodes
from studio.errors import DamagedFileError, StudioError, TooBigError, UnknownModelError, UnsafeFileError

MUTANTS = 20_000
REAL_MUTANTS = 1000
REAL_FILES = ("multistyle26", "arbitrary_predict", "arbitrary_transform")

RNG = np.random.default_rng(0)
COUNTS = RNG.integers(-127, 128, (4, 3, 3, 3), np.int8)
SCALES = RNG.random(4, np.float32)
ZEROS = np.array([0, 3, -5, 0], np.int8)
BIAS = RNG.integers(-900, 900, 4, np.int32)
FLOATS = RNG.random((2, 4, 1, 1), np.float32)

TENSORS = {
    "w": COUNTS,
    "w.scale": SCALES,
    "w.zero": ZEROS,
    "b": BIAS,
    "b.scale": np.float32(0.01).reshape(()),
    "second": FLOATS,
}
NODES = [
    node("DequantizeLinear", ["w", "w.scale", "w.zero"], ["w.floats"], axis=0),
    node("DequantizeLinear", ["b", "b.scale"], ["b.floats"]),
    node("Conv", ["image", "w.floats", "b.floats"], ["x"], strides=[2, 2], pads=[0, 0, 1, 1], auto_pad="NOTSET"),
    node("LeakyRelu", ["x"], ["y"], alpha=0.25),
    node("Conv", ["y", "second"], ["z"]),
]


def written(nodes=NODES, **changed):
    return model(nodes, [tensor(name, value) for name, value in {**TENSORS, **changed}.items() if value is not None])


def read(data):
    return read_convolutions(memoryview(data))


def test_nodes_come_back_as_they_were_written():
    nodes = read_nodes(memoryview(written()))
    assert [one.operator for one in nodes] == ["DequantizeLinear", "DequantizeLinear", "Conv", "LeakyRelu", "Conv"]
    assert nodes[2].inputs == ("image", "w.floats", "b.floats") and nodes[2].outputs == ("x",)
    assert nodes[2].settings == {"strides": (2, 2), "pads": (0, 0, 1, 1), "auto_pad": "NOTSET"}
    assert nodes[3].settings == {"alpha": 0.25}


def test_settings_of_every_kind_are_read_and_graphs_within_are_stepped_over():
    given = {"least": -1, "axes": [-2, 3], "share": 0.5, "shares": [0.25, -8.0], "mode": "reflect"}
    inner = field(1, b"body") + field(6, field(1, node("Conv", ["a", "b"], ["c"]))) + field(20, 5)
    packed = field(1, b"packed") + field(8, b"\x05" + b"\xff" * 9 + b"\x01")
    (found,) = read_nodes(memoryview(model([node("Any", [], ["x"], **given) + field(5, inner) + field(5, packed)], [])))
    assert found.settings == {**given, "axes": (-2, 3), "shares": (0.25, -8.0), "packed": (5, -1)}


def test_eight_bit_numbers_are_read_as_what_they_stand_for():
    found = read(written())
    assert list(found) == ["w", "second"]
    expected = (COUNTS.astype(np.float32) - ZEROS.reshape(4, 1, 1, 1)) * SCALES.reshape(4, 1, 1, 1)
    assert np.array_equal(found["w"].weight.read(), expected)
    assert np.array_equal(found["w"].bias.read(), BIAS.astype(np.float32) * np.float32(0.01))
    assert np.array_equal(found["second"].weight.read(), FLOATS) and found["second"].bias is None
    assert found["w"].weight.shape == expected.shape and found["w"].bias.shape == (4,)


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (written(**{"w.scale": SCALES[:3]}), DamagedFileError, "scales"),
        (written(**{"w.zero": BIAS}), DamagedFileError, "make no sense"),
        (written(**{"w.scale": None}), DamagedFileError, "are missing"),
        (written([node("DequantizeLinear", ["w", "w.scale"], ["w.floats"], axis=7), *NODES[1:]]), DamagedFileError, "do not fit"),
        (written([node("DequantizeLinear", ["w", "w.scale"], ["w.floats"], axis="0"), *NODES[1:]]), DamagedFileError, "do not fit"),
        (written([*NODES, NODES[0]]), UnsafeFileError, "makes w.floats twice"),
        (written([*NODES, node("Conv", ["z", "second"], ["end"])]), UnknownModelError, "in two places"),
        (written([*NODES, node("Conv", ["z", "y"], ["end"])]), UnknownModelError, "computes y"),
        (written([node("DequantizeLinear", ["a", "s"], ["a"]), node("Conv", ["x", "a"], ["y"])]), DamagedFileError, "are missing"),
        (written([*NODES, node("Conv", ["z"], ["end"])]), DamagedFileError, "1 inputs"),
        (written([*NODES, field(1, 3)]), DamagedFileError, "a number stands"),
        (written([*NODES, field(1, b"x" * 600)]), DamagedFileError, "too long"),
        (written([*NODES, field(5, field(7, b"12345"))]), DamagedFileError, "cut off"),
        (written([*NODES, field(5, setting("axes", [1] * 5000))]), TooBigError, "4,096"),
        (written()[:-9], DamagedFileError, "cut short"),
    ],
)
def test_what_is_wrong_with_a_graph_is_said(data, error, words):
    with pytest.raises(error, match=words):
        read(data)


def test_a_graph_of_endless_nodes_or_names_ends_in_a_sentence(monkeypatch):
    monkeypatch.setattr(onnx_graph, "MAX_NODES", 50)
    with pytest.raises(TooBigError, match="50 steps"):
        read(model([node("Relu", ["x"], ["x"])] * 51, []))
    monkeypatch.setattr(onnx_graph, "MAX_PARTS", 300)
    with pytest.raises(TooBigError, match="300 names"):
        read(model([field(1, b"") * 301], []))
    with pytest.raises(TooBigError, match="300 names"):
        read(model([node("Any", [], [], axes=[1] * 200), node("Any", [], [], axes=[1] * 200)], []))


def attempt(data):
    """Read all numbers of all convolutions; tell whether that was refused."""
    try:
        for found in read(data).values():
            for stored in (found.weight, found.bias):
                assert stored is None or stored.read().shape == tuple(stored.shape)
    except StudioError as error:
        assert str(error)[0].islower() and len(str(error)) < 400 and "\n" not in str(error)
        return True
    return False


def test_twenty_thousand_mutants_give_numbers_or_a_sentence_in_bounded_memory():
    data, rng = written(), random.Random(0)
    tracemalloc.start()
    refused = sum(attempt(mutant(data, rng)) for _ in range(MUTANTS))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert MUTANTS // 4 < refused < MUTANTS
    assert peak < 8 << 20


@pytest.mark.parametrize("name", REAL_FILES)
def test_mutants_of_real_files_give_numbers_or_a_sentence(name):
    path = extras.package_file(extras.STYLES_PACKAGE, f"models/{name}.onnx")
    if path is None:
        pytest.skip("needs the optional styles: pip install 'gan-art-studio[styles]'")
    data, rng = path.read_bytes(), random.Random(2)
    assert len(read_nodes(memoryview(data))) > 50 and read_onnx(memoryview(data))
    refused = sum(attempt(mutant(data, rng)) for _ in range(REAL_MUTANTS))
    assert refused < REAL_MUTANTS, "most of a file is numbers, of which any will do"
    assert refused > 0
