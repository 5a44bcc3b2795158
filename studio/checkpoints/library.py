"""The installed models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from studio.checkpoints.card import ModelCard
from studio.errors import UnknownModelError


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One installed model."""

    name: str
    path: Path
    card: ModelCard
    preview: Path | None = None
    shipped: bool = False


class Library:
    """The models folder and the shipped ones."""

    def __init__(self, models: Path, pretrained: Path) -> None:
        self.models, self.pretrained = models, pretrained

    def list(self) -> list[ModelEntry]:
        """Return all."""
        return []

    def find(self, name: str) -> ModelEntry:
        """Find one."""
        raise UnknownModelError(f"There is no model called {name}.")
