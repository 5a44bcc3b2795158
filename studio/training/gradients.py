"""The lengths of gradients, watched without touching a step: they tell of stalling and of running away before the pictures do."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor


class GradientNorms:
    """Notes the length of all gradients of each optimiser just before it steps; what a step does stays as it is."""

    def __init__(self, optimizers: Mapping[str, torch.optim.Optimizer]) -> None:
        self._lengths: dict[str, list[Tensor]] = {name: [] for name in optimizers}
        for name, optimizer in optimizers.items():
            optimizer.register_step_pre_hook(partial(self._note, name))

    def _note(self, name: str, optimizer: torch.optim.Optimizer, *rest: Any) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if gradients:
            self._lengths[name].append(torch.nn.utils.get_total_norm(gradients))

    def take(self) -> dict[str, float]:
        """Return the mean length since the last call by ``NAME_grad``, for each optimiser that stepped (root of summed squares)."""
        means = {f"{name}_grad": float(torch.stack(lengths).mean()) for name, lengths in self._lengths.items() if lengths}
        for lengths in self._lengths.values():
            lengths.clear()
        return means
