"""Opening any model file: content, format, network, card. The one place where errors get the file's name.

Nothing in a file is ever executed, imported or compiled; see ``pickles`` and ``vocabulary``. This module does *not* know
where installed models lie (``library``) and keeps nothing in memory between calls.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from studio.checkpoints.assemble import Draft, assemble
from studio.checkpoints.card import ModelCard
from studio.checkpoints.contents import read_contents
from studio.checkpoints.formats import recognise
from studio.checkpoints.records import shorten
from studio.checkpoints.tensors import write_tensors
from studio.errors import (
    CheckpointError,
    DamagedFileError,
    DeviceError,
    StudioError,
    TooBigError,
    UnknownModelError,
    UnsafeFileError,
)

MAX_FILE_BYTES = 16 << 30
READ_BYTES = 4 << 20
PRECISIONS = ("exact", "auto")
KINDS = (UnsafeFileError, DamagedFileError, UnknownModelError, TooBigError, CheckpointError, StudioError)


def load_file(path: Path) -> nn.Module:
    """Open a model file of any supported format on the CPU.

    Returns:
        The network in eval mode, without gradients, with its :class:`ModelCard` as ``network.card``.

    Raises:
        StudioError: One sentence that starts with the file's name.
    """
    with _named_errors(path.name), _opened(path) as source:
        draft = recognise(read_contents(source.data))
        network = assemble(draft, file_bytes=source.size)
        network.card = _card(network, draft, path.name, source)  # type: ignore[assignment]
    return network


def save(network: nn.Module, path: str | Path, card: ModelCard) -> None:
    """Write a network in the studio's own format (safetensors with configuration and card in the header), atomically.

    The card's ``sha256`` and ``name`` are left out of the header: they belong to the file, not to its content.
    """
    header = {
        "family": network.family,
        "config": network.config,
        "card": replace(card, sha256="", name="").to_json(),
    }
    write_tensors(Path(path), network.state_dict(), header)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def choose_device(name: str) -> torch.device:
    """Turn ``auto`` or a device's name into a device that is there.

    Raises:
        DeviceError: The device is unknown or absent.
    """
    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"device={name!r} is not known. Use auto, cpu, cuda or mps.") from error
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": has_mps}
    if not present.get(device.type, False):
        raise DeviceError(f"device={name!r} is not there on this computer. Use auto or cpu.")
    return device


@dataclass(frozen=True, slots=True)
class _Source:
    """An open file: a window onto its bytes."""

    data: memoryview
    size: int
    sha256: str


@contextmanager
def _opened(path: Path) -> Iterator[_Source]:
    """Map a regular file into memory, read-only; its pages are read when they are needed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError as error:
        raise UnknownModelError("is not there. Check the name.", detail=str(path)) from error
    except OSError as error:
        raise CheckpointError(f"cannot be opened: {error.strerror}.", detail=str(path)) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnknownModelError("is not a file. Choose the model file itself.")
        if status.st_size > MAX_FILE_BYTES:
            raise TooBigError(f"is {status.st_size / 2**30:.0f} GB; the studio opens files up to 16 GB.")
        if status.st_size == 0:
            raise DamagedFileError("is empty. Download it again.")
        digest = hashlib.sha256()
        while block := os.read(descriptor, READ_BYTES):
            digest.update(block)
        yield _Source(memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)), status.st_size, digest.hexdigest())
    finally:
        os.close(descriptor)


@contextmanager
def _named_errors(name: str) -> Iterator[None]:
    """Put the file's name before every sentence; anything unforeseen means that the file is damaged."""
    shown = shorten(name)
    try:
        yield
    except StudioError as error:
        kind = next(kind for kind in KINDS if isinstance(error, kind))
        raise kind(f"{shown} {error}", detail=error.detail) from error
    except MemoryError as error:
        raise TooBigError(f"{shown} needs more memory than there is.", detail=repr(error)) from error
    except Exception as error:
        raise DamagedFileError(f"{shown} is damaged or makes no sense to the studio. Download it again.", detail=repr(error)) from error


def _card(network: nn.Module, draft: Draft, name: str, source: _Source) -> ModelCard:
    """Write the card of a network that was just loaded, or complete the one in the file."""
    facts: dict[str, Any] = {
        "name": Path(name).stem,
        "family": draft.family,
        "sha256": source.sha256,
        "resolution": int(draft.config.get("img_resolution", 0)),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
    }
    if draft.card is not None:
        return replace(draft.card, **facts)
    return ModelCard(
        **facts,
        source_name=shorten(name),
        source_sha256=source.sha256,
        source_format=draft.format,
        classes=tuple(str(index) for index in range(int(draft.config.get("c_dim", 0)))),
        licence=draft.licence,
        origin=draft.origin,
        notes=tuple(draft.notes),
    )
