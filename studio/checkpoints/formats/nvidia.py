"""What the two NVIDIA layouts share: finding the generator in the file, and reading its settings without running its code.

``nvidia2`` (StyleGAN2, StyleGAN2-ADA) and ``nvidia3`` (StyleGAN3) turn the result into a network. Settings are taken
from the keyword arguments in the file; sizes are taken from the tensors, and the two must agree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from studio.checkpoints.bounds import check_integer
from studio.checkpoints.contents import Contents
from studio.checkpoints.formats.states import State, fields, flatten, states
from studio.checkpoints.records import Network, Stored, shorten
from studio.errors import DamagedFileError, UnknownModelError

POSITIONAL = ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels")
NESTED = ("synthesis_kwargs", "block_kwargs", "layer_kwargs")


@dataclass(slots=True)
class Found:
    """A generator in NVIDIA's layout: its tensors by name and what the file says of its settings."""

    state: State
    settings: dict[str, Any] = field(default_factory=dict)
    mapping: dict[str, Any] = field(default_factory=dict)
    network: Network | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def tensors(self) -> dict[str, Stored]:
        """Names to tensors."""
        return self.state.tensors

    @property
    def origin(self) -> str:
        """Say where it comes from; the program text in the file serves as a fingerprint only."""
        mark = self.network.fingerprint()[:12] if self.network is not None else ""
        return "a network in NVIDIA's layout" + (f" (fingerprint of its code {mark})" if mark else "")

    def claim(self, name: str, actual: int) -> int:
        """Compare a size that the file says with the one that its tensors have.

        Raises:
            TooBigError: What it says is beyond all bounds.
            DamagedFileError: The two differ.
        """
        said = self.settings.get(name)
        if said is not None:
            check_integer(name, said)
            if said != actual:
                raise DamagedFileError(f"says {name}={said}, but its tensors have {actual}.")
        check_integer(name, actual)
        return actual

    def attribute(self, path: str, name: str) -> Any:
        """Return a plain field of a layer, None when the file has none: what a fork's code left there."""
        current: Any = self.network
        for part in path.split("."):
            current = fields(current.state, "_modules").get(part) if isinstance(current, Network) else None
        return current.state.get(name) if isinstance(current, Network) else None


def find(contents: Contents) -> Found | None:
    """Find the averaged generator, or a bare state dictionary in NVIDIA's names."""
    network, note = _network(contents.value)
    if network is not None:
        tensors = flatten(network)
        settings, mapping = _settings(network)
        state = State("G_ema", tensors, {})
        return Found(state, settings, mapping, network, [note] if note else [])
    for state in states(contents):
        if "mapping.w_avg" in state.tensors or any(re.match(r"synthesis\.(b4|input)\.", name) for name in state.tensors):
            return Found(state)
    return None


def _network(value: object) -> tuple[Network | None, str]:
    """Choose the network to use: G_ema, else G, else whatever generator there is."""
    if isinstance(value, Network):
        return value, ""
    if not isinstance(value, dict):
        return None, ""
    networks = {name: item for name, item in value.items() if isinstance(item, Network)}
    if "G_ema" in networks:
        return networks["G_ema"], ""
    if "G" in networks:
        return networks["G"], "The file has no averaged generator (G_ema); the raw one (G) is used, pictures are rougher."
    for name, network in networks.items():
        if "synthesis" in fields(network.state, "_modules"):
            return network, f"The generator was found under the name {shorten(name)}."
    if networks:
        names = ", ".join(shorten(name) for name in list(networks)[:5])
        raise UnknownModelError(f"holds networks ({names}) but no generator. Ask for the file that has G_ema.")
    return None, ""


def _settings(network: Network) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the keyword arguments that the network was made with, nested groups laid flat, those of the mapping apart."""
    settings: dict[str, Any] = {}
    arguments = network.state.get("_init_args")
    if isinstance(arguments, (tuple, list)):
        settings.update(zip(POSITIONAL, arguments, strict=False))
    pending = [fields(network.state, "_init_kwargs")]
    for _ in range(8):
        if not pending:
            break
        group = pending.pop()
        settings.update({name: value for name, value in group.items() if isinstance(name, str) and not isinstance(value, dict)})
        pending += [fields(group, name) for name in NESTED if name in group]
    return settings, dict(fields(fields(network.state, "_init_kwargs"), "mapping_kwargs"))


def mapping_depth(found: Found) -> int:
    """Count the layers of the mapping network."""
    numbers = {int(match[1]) for name in found.tensors if (match := re.fullmatch(r"mapping\.fc(\d{1,3})\.weight", name))}
    if numbers != set(range(len(numbers))):
        raise DamagedFileError("is damaged: layers of its mapping network are missing.")
    said = found.mapping.get("num_layers")
    if said is not None:
        check_integer("num_layers", said)
        if said != len(numbers):
            raise DamagedFileError(f"says num_layers={said} in its mapping network, but has {len(numbers)}.")
    return len(numbers)


def class_names(c_dim: int) -> tuple[str, ...]:
    """Number the classes: the file does not name them."""
    return tuple(str(index) for index in range(c_dim))


def number(value: Any, default: float) -> float:
    """Return a number as it is, and the default for None; anything else is left for the bounds check to refuse."""
    return default if value is None else value
