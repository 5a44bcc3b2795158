"""Which device networks run on, and how exactly it reckons. This is *not* where fast paths are chosen; see ``choose.py``."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from studio.errors import DeviceError


def pick_device(wanted: str = "auto") -> torch.device:
    """Choose where networks run; ``auto`` is what ``STUDIO_DEVICE`` says, else CUDA, else MPS, else the CPU.

    Raises:
        DeviceError: The named device is not there.
    """
    name = (os.environ.get("STUDIO_DEVICE") or wanted) if wanted == "auto" else wanted
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if has_cuda else "mps" if has_mps else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"device={name!r} is unknown. Use auto, cpu, cuda or mps.") from error
    count = {"cpu": 1, "cuda": torch.cuda.device_count() if has_cuda else 0, "mps": int(has_mps)}.get(device.type, 0)
    if (device.index or 0) >= count:
        raise DeviceError(f"device={name!r} was asked for, but torch finds no such device here. Use auto or cpu.")
    return device


def full_floats(device: torch.device, precision: str | None) -> AbstractContextManager[Any]:
    """Keep a GPU from rounding to TF32 for a while, except in the fast mode (``auto``)."""
    if precision == "auto" or device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
