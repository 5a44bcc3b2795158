"""A network that a format recognised in a file, before anything was built or read. It needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from studio.checkpoints.card import LICENCE_UNKNOWN, ModelCard
from studio.checkpoints.records import Stored


@dataclass(slots=True)
class Draft:
    """A network that a format recognised in a file, before anything was built or read.

    ``weights`` holds a still stored tensor for every name of the network's ``state_dict``; names ending in one of
    ``derivable`` may be absent, their values follow from the configuration.
    """

    format: str
    family: str
    config: dict[str, Any]
    weights: dict[str, Stored]
    derivable: dict[str, Stored] = field(default_factory=dict)
    licence: str = LICENCE_UNKNOWN
    origin: str = "unknown"
    notes: list[str] = field(default_factory=list)
    classes: tuple[str, ...] = ()
    """Names of its classes or styles, where the file is known by its content."""
    finish: Callable[[Any], None] | None = None
    """Something to compute once the network stands (a missing average style)."""
    card: ModelCard | None = None
    """The card that came with the file, if it is one of our own."""
