"""What kind of file this is, by its bytes alone, and its content as inert records.

It does *not* know networks; ``formats`` does. A file that is no model at all gets its own sentence here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from studio.checkpoints.onnx import looks_like_onnx, read_onnx
from studio.checkpoints.pickles import Budget, Machine, UnlistedNameError
from studio.checkpoints.safetensors_io import looks_like_safetensors, read_safetensors
from studio.checkpoints.torchfiles import read_legacy, read_zip
from studio.checkpoints.vocabulary import vocabulary
from studio.errors import DamagedFileError, UnknownModelError, UnsafeFileError

LEGACY_START = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
OTHER_FILES = (
    (rb"version https://git-lfs", "is a git-LFS pointer, not the model itself. Download the real file (git lfs pull)."),
    (
        rb"\s*(<!doctype html|<html|<\?xml|<head|<body)",
        "is a web page, not a model. Download the file that the page links to.",
    ),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP|BM....\0\0\0\0", "is a picture, not a model. Drop it on Restyle or the Gallery instead."),
    (rb"....ftyp|\x1aE\xdf\xa3|RIFF....AVI", "is a film, not a model."),
    (rb"%PDF", "is a PDF document, not a model."),
    (rb"\x1f\x8b|7z\xbc\xaf|Rar!|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd", "is a compressed archive. Unpack it and open the model inside."),
    (rb"\x89HDF", "is an HDF5 file (Keras or TensorFlow); the studio does not read these. Ask for a .safetensors export."),
    (rb"GGUF", "is a GGUF file of a language model; the studio opens GANs."),
    (rb"\x93NUMPY", "is a numpy array, not a model."),
    (rb"\s*[{\[]\s*[\"'\]}{\[]", "is a JSON text, not a model."),
)
"""The first bytes of files that are often taken for models, and what to tell the user."""


@dataclass(frozen=True, slots=True)
class Contents:
    """A file as inert records: ``value`` is a tree of dictionaries, lists, numbers, text and records."""

    container: str
    """"pickle", "torch zip", "torch legacy", "safetensors" or "onnx"."""
    value: Any
    size: int
    """Bytes in the file."""
    metadata: dict[str, str] = field(default_factory=dict)
    """The free text of a safetensors header."""


def read_contents(data: memoryview) -> Contents:
    """Tell the container by its first bytes and read it.

    Raises:
        StudioError: The file is no model, damaged, or unsafe; the sentence starts with a verb ("is cut short ...").
    """
    head = bytes(data[:512])
    if not head:
        raise DamagedFileError("is empty. Download it again.")
    try:
        if head.startswith(b"PK"):
            return Contents("torch zip", read_zip(data, vocabulary(), _budget(data)), len(data))
        if head.startswith(LEGACY_START):
            return Contents("torch legacy", read_legacy(data, vocabulary(), _budget(data)), len(data))
        if head[0] == 0x80 and len(head) > 1 and head[1] <= 5:
            return Contents("pickle", _pickle(data), len(data))
    except UnlistedNameError as error:
        raise _program_objects(data, error) from error
    if looks_like_safetensors(data):
        tensors, metadata = read_safetensors(data)
        return Contents("safetensors", tensors, len(data), metadata)
    if looks_like_onnx(data):
        return Contents("onnx", read_onnx(data), len(data))
    raise _not_a_model(data, head)


def _budget(data: memoryview) -> Budget:
    return Budget(bytes_as_text=len(data))


def _pickle(data: memoryview) -> Any:
    machine = Machine(data, vocabulary=vocabulary(), budget=_budget(data))
    value = machine.run()
    if machine.position != len(data):
        raise DamagedFileError(f"is damaged: {len(data) - machine.position:,} bytes follow after its end.")
    return value


def _program_objects(data: memoryview, error: UnlistedNameError) -> UnsafeFileError:
    """Tell a whole pickled network (a common mistake) from a file that wants to run something."""
    if not error.is_standard_library and b"torch.nn.modules" in bytes(data[: 16 << 20]):
        return UnsafeFileError(
            f"holds program objects ({error.what}), not only weights. Ask its author for a state_dict export or a .safetensors file.",
            detail=str(error),
        )
    return error


def _not_a_model(data: memoryview, head: bytes) -> UnsafeFileError | UnknownModelError:
    for pattern, sentence in OTHER_FILES:
        if re.match(pattern, head, re.IGNORECASE | re.DOTALL):
            return UnknownModelError(sentence)
    if head[257:262] == b"ustar":
        return UnknownModelError("is a tar archive. Unpack it; a torch file of 2016 has to be saved again with a newer torch.")
    text_pickle = re.match(rb"c([\w.]{1,100})\n([\w.]{1,100})\n|\((dp|lp|c|i)|\]|\}", head)
    if text_pickle and data[len(data) - 1] in b".\n":
        what = b".".join(part for part in text_pickle.groups()[:2] if part).decode("ascii", "replace")
        asks = f", and asks to run {what}" if what else ""
        return UnsafeFileError(f"is a pickle in the old text form, which no model is saved in{asks}; refused, nothing was run.")
    return UnknownModelError("is not a model file: it is no safetensors, torch, pickle or ONNX file.")
