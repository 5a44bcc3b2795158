"""From a draft (family, configuration, weights still in the file) to a network.

Every name and shape is compared on a network without memory before a single weight is read, so a lying file costs
nothing. This module does *not* know formats or paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from studio.checkpoints.bounds import check_config
from studio.checkpoints.draft import Draft
from studio.checkpoints.outline import Outline
from studio.checkpoints.records import Stored, shorten
from studio.checkpoints.weights import check_memory, is_finite, not_finite
from studio.errors import DamagedFileError, StudioError
from studio.models.common import FAMILIES, build

NAMED = 5


def assemble(draft: Draft, *, file_bytes: int) -> nn.Module:
    """Build the network of a draft and fill it, in eval mode and without gradients.

    Args:
        draft: What the format found.
        file_bytes: Size of the file, which bounds what its tensors may take in memory.

    Raises:
        StudioError: Sizes beyond the bounds, tensors missing or of another shape, or values that are not finite.
    """
    if draft.family not in FAMILIES:
        raise DamagedFileError(f"says it is a {shorten(draft.family)}, a kind of network that the studio does not know.")
    check_config(draft.family, draft.config)
    try:
        with torch.random.fork_rng(devices=[]), Outline():
            network = build(draft.family, draft.config)
    except (StudioError, AssertionError, ArithmeticError, TypeError, ValueError, RuntimeError, LookupError) as error:
        raise DamagedFileError("says settings that make no network.", detail=repr(error)) from error
    expected = network.state_dict()
    weights = match(expected, draft)
    check_memory(weights, file_bytes)
    tensors = _read(expected, weights)
    draft.notes += _filter_notes(expected, tensors)
    network.load_state_dict(tensors, assign=True)
    _fill_unsaved(network, draft)
    network.train(False).requires_grad_(False)
    if draft.finish is not None:
        draft.finish(network)
    average = dict(network.named_buffers()).get("mapping.w_avg")
    if average is not None and not average.any():
        draft.notes.append("The average style (w_avg) is all zeros, so truncation pulls towards zero instead of the average.")
    return network


def match(expected: Mapping[str, Tensor], draft: Draft) -> dict[str, Stored]:
    """Pair every tensor that the network needs with one of the file.

    Raises:
        DamagedFileError: Some are missing, too many or of another shape; the first five are named.
    """
    found = dict(draft.weights)
    for name in expected:
        if name not in found:
            suffix = next((end for end in draft.derivable if name.endswith(end)), None)
            if suffix is not None:
                found[name] = draft.derivable[suffix]
    wrong = [f"{shorten(name)} is missing" for name in expected if name not in found]
    for name, tensor in expected.items():
        if name in found and tuple(found[name].shape) != tuple(tensor.shape):
            wrong.append(f"{shorten(name)} is {shorten(found[name].shape)} instead of {shorten(list(tensor.shape))}")
    wrong += [f"{shorten(name)} is not part of it" for name in found if name not in expected]
    if wrong:
        more = f", and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        raise DamagedFileError(f"looks like {draft.format}, but does not fit it: {'; '.join(wrong[:NAMED])}{more}.")
    return found


def _read(expected: Mapping[str, Tensor], weights: Mapping[str, Stored]) -> dict[str, Tensor]:
    """Copy the weights out of the file and look for values that are not numbers."""
    tensors: dict[str, Tensor] = {}
    broken: list[str] = []
    for name, target in expected.items():
        values = np.asarray(weights[name].read())
        if not is_finite(values):
            broken.append(name)
        tensor = torch.from_numpy(values)
        tensors[name] = tensor if tensor.dtype == target.dtype else tensor.to(target.dtype)
    if broken:
        raise not_finite(broken, len(tensors))
    return tensors


def _filter_notes(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> list[str]:
    """Compare the low-pass filters of the file with those that follow from the settings; the file's are used."""
    filters = [name for name, made in expected.items() if name.endswith("_filter") and not made.is_meta]
    odd = [name for name in filters if not torch.allclose(expected[name], tensors[name], atol=1e-4)]
    return [f"{len(odd)} of its {len(filters)} filters differ from what its settings say; those in the file are used."] if odd else []


def _fill_unsaved(network: nn.Module, draft: Draft) -> None:
    """Give values to the buffers that are in no file because they follow from the configuration."""
    if not any(buffer.is_meta for buffer in network.buffers()):
        return
    with torch.random.fork_rng(devices=[]):
        values: dict[str, Any] = dict(build(draft.family, draft.config).named_buffers())
    for name, buffer in list(network.named_buffers()):
        if buffer.is_meta:
            owner, _, last = name.rpartition(".")
            setattr(network.get_submodule(owner), last, values[name])
