"""Several processes training as one: each takes its share of every batch, gradients are averaged (torch.distributed).

Started by ``torchrun`` or ``accelerate launch``, which set WORLD_SIZE; a lone process is a team of one and needs none of this. The first
member alone writes files and decides when to stop. This is *not* tied to a family: trainers call it between backward and step.
"""

import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, distributed

DEVIATION_GROUP = 4
"""Group of the minibatch deviation (StyleGAN2's default): its members stay on one process."""


def is_follower() -> bool:
    """Tell whether this process is a member of a team, but not the first: it computes, and says and writes nothing."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and int(os.environ.get("RANK", "0")) > 0


class _Total(torch.autograd.Function):
    """The sum of a tensor over the team; every member's loss depends on it, so the gradient is the sum of theirs, and again so."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        """Add up."""
        total = tensor.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Add up the gradients."""
        total: Tensor = _Total.apply(gradients[0])
        return total


class Team:
    """The processes of a run, seen from one of them."""

    def __init__(self) -> None:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not distributed.is_initialized():
            distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        self.size = distributed.get_world_size() if distributed.is_initialized() else 1
        self.rank = distributed.get_rank() if distributed.is_initialized() else 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files and decides."""
        return self.rank == 0

    def share(self, n: int) -> Tensor:
        """Return which of ``n`` samples of the whole batch are this process's: indices ``[n / size]``.

        Samples whose minibatch deviation is taken together (StyleGAN2 groups every ``n / 4``-th) stay together, so that the team
        computes what one process with the whole batch computes.
        """
        assert n % self.size == 0, (n, self.size)
        groups = n // DEVIATION_GROUP if n % (DEVIATION_GROUP * self.size) == 0 else n
        return torch.arange(n)[torch.arange(n) % groups // (groups // self.size) == self.rank]

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their mean over the team, in place."""
        kept = list(tensors)
        if self.size == 1 or not kept:
            return
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in kept])
        distributed.all_reduce(flat)
        flat.div_(self.size)
        with torch.no_grad():
            for tensor, part in zip(kept, torch.split(flat, [tensor.numel() for tensor in kept]), strict=True):
                tensor.copy_(part.view(tensor.shape))

    def shared_mean(self, tensor: Tensor) -> Tensor:
        """Return the mean of a tensor over the team, with gradients: how batch norms see the whole batch."""
        total: Tensor = _Total.apply(tensor)
        return total / self.size

    def average_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        """Average the gradients of everything an optimiser steps."""
        self.average(p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None)

    def average_values(self, values: dict[str, float]) -> dict[str, float]:
        """Return the mean of plotted values over the team."""
        if self.size == 1:
            return values
        numbers = torch.tensor(list(values.values()), dtype=torch.float32)
        self.average([numbers])
        return dict(zip(values, numbers.tolist(), strict=True))

    def follow_first(self, *values: float) -> list[float]:
        """Return the first member's values on every member."""
        if self.size == 1:
            return list(values)
        numbers = torch.tensor(values, dtype=torch.float64)
        distributed.broadcast(numbers, 0)
        return [float(v) for v in numbers]

    def wait(self) -> None:
        """Wait until all members are here."""
        if self.size > 1:
            distributed.barrier()
