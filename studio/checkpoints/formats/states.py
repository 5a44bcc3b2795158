"""Finding state dictionaries (names to tensors) in whatever a file wraps them in.

This is *not* a format: it only says where tensors are. Prefixes that wrappers add (``module.``) are taken off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from studio.checkpoints.contents import Contents
from studio.checkpoints.records import Bundle, Network, Stored, StoredArray, StoredTensor, Walk
from studio.errors import TooBigError

WRAPPERS = ("module.", "_orig_mod.", "model_ema.", "generator.", "netG.", "netG_A.", "G_ema.", "g_ema.", "gen.", "decoder.")
"""What training code puts before every name."""
FIRST = ("g_ema", "G_ema", "ema", "params_ema", "state_dict", "model", "params", "netG", "G", "g", "generator", "netG_A", "G_A")
"""Where to look first when a file holds several networks: averaged generators, then generators."""
MAX_DEPTH = 3
MAX_TENSORS = 20_000


@dataclass(frozen=True, slots=True)
class State:
    """One state dictionary: ``path`` says where it was found ("" is the root), ``owner`` is the dictionary around it."""

    path: str
    tensors: dict[str, Stored]
    owner: dict[str, Any]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape, () when there is none."""
        return tuple(self.tensors[name].shape) if name in self.tensors else ()

    def size(self, name: str, axis: int) -> int:
        """Return one side of a tensor, 0 when there is none."""
        shape = self.shape(name)
        return shape[axis] if -len(shape) <= axis < len(shape) else 0


def is_tensor(value: object) -> bool:
    """Tell whether a record is a tensor."""
    return isinstance(value, (StoredTensor, StoredArray))


def states(contents: Contents) -> Iterator[State]:
    """Yield the state dictionaries of a file, the likeliest generator first."""
    yield from _within(contents.value, "", {}, Walk(), 0)


def _within(value: object, path: str, owner: dict[str, Any], walk: Walk, depth: int) -> Iterator[State]:
    if not isinstance(value, dict) or depth > MAX_DEPTH:
        return
    tensors = {name: tensor for name, tensor in walk.items(value, depth) if isinstance(name, str) and is_tensor(tensor)}
    if len(tensors) > MAX_TENSORS:
        raise TooBigError(f"holds {len(tensors):,} tensors in one network; the studio reads up to {MAX_TENSORS:,}.")
    if len(tensors) > 1:
        yield State(path, strip(tensors), owner or value)
        yield from _prefixed(tensors, path, owner or value)
    inner = {name: item for name, item in value.items() if isinstance(name, str) and isinstance(item, dict)}
    order = [name for name in FIRST if name in inner] + [name for name in inner if name not in FIRST]
    for name in order:
        yield from _within(inner[name], f"{path}.{name}" if path else name, value, walk, depth + 1)


def _prefixed(tensors: dict[str, Stored], path: str, owner: dict[str, Any]) -> Iterator[State]:
    """Yield the parts of a mixed dictionary (``netG.model.1.weight`` beside ``netD...``) that a known wrapper holds."""
    for prefix in WRAPPERS:
        part = {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        if part and len(part) < len(tensors):
            yield State(f"{path}.{prefix[:-1]}" if path else prefix[:-1], strip(part), owner)


def strip(tensors: dict[str, Stored]) -> dict[str, Stored]:
    """Take off the wrappers that all names start with."""
    while tensors:
        prefix = next((p for p in WRAPPERS if all(name.startswith(p) for name in tensors)), None)
        if prefix is None:
            break
        tensors = {name[len(prefix) :]: tensor for name, tensor in tensors.items()}
    return tensors


def flatten(network: Network) -> dict[str, Stored]:
    """Collect the parameters and buffers of an NVIDIA network record under their dotted names."""
    walk = Walk()
    tensors: dict[str, Stored] = {}
    pending: list[tuple[str, Network, int]] = [("", network, 0)]
    while pending:
        prefix, current, depth = pending.pop()
        for kind in ("_parameters", "_buffers"):
            for name, value in walk.items(fields(current.state, kind), depth):
                if isinstance(name, str) and is_tensor(value):
                    tensors[prefix + name] = value
        for name, value in walk.items(fields(current.state, "_modules"), depth):
            if isinstance(name, str) and isinstance(value, Network):
                pending.append((f"{prefix}{name[:100]}.", value, depth + 1))
    return tensors


def fields(value: object, name: str) -> dict[Any, Any]:
    """Return a dictionary inside a dictionary (or inside a record of fields), empty when there is none."""
    holder = value.fields if isinstance(value, Bundle) else value
    inner = holder.get(name) if isinstance(holder, dict) else None
    if isinstance(inner, Bundle):
        return inner.fields
    return inner if isinstance(inner, dict) else {}
