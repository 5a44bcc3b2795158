"""Named tensors in one safetensors file, written atomically: the ground under shipped weights and training states.

This is *not* a model format: it knows no networks, only names, tensors and a JSON header.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise

from studio.checkpoints.safetensors_io import HEADER
from studio.errors import DamagedFileError
from studio.media.files import atomic_write


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]) -> None:
    """Write named tensors and a JSON-able header to ``path``; the old file stays whole until the new one is on disk."""
    kept = {name: value.detach().to("cpu").contiguous().clone() for name, value in tensors.items()}
    data = serialise(kept, metadata={HEADER: json.dumps(header)})
    with atomic_write(path) as file:
        file.write(data)


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what :func:`write_tensors` wrote: the tensors on the CPU, and the header.

    Raises:
        DamagedFileError: The file is cut short, altered, or has no header of ours.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header: dict[str, Any] = json.loads((file.metadata() or {})[HEADER])
            return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118 - no mapping
    except (SafetensorError, KeyError, ValueError) as error:
        raise DamagedFileError(f"{path.name}: this file is damaged. Use an older copy of it.", detail=str(error)) from error
