"""What the training loop needs from a family: the protocol, the random numbers of a step, and small shared pieces.

The loop (``loop.py``) knows no family, a family (``gan.py``, ``cyclegan.py``) knows neither files nor the clock on the wall.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from studio.errors import DeviceError
from studio.training.team import Team

UInt8 = npt.NDArray[np.uint8]
Scalars = dict[str, Any]
"""Whatever of a trainer's state is no tensor; JSON-able."""


@dataclass(frozen=True)
class Clock:
    """Where a run stands: ``progress`` runs from 0 to 1 over the time that the user gave."""

    step: int
    cur_nimg: int
    progress: float


class StepRandom:
    """The random numbers of one training step: a pure function of (seed, salt, step), so that a resumed run repeats them.

    ``salt`` counts rollbacks: after one, the same step meets other pictures. In a team every member draws for the whole batch and keeps
    its share, so the team as a whole sees what a lone process would see.
    """

    def __init__(self, seed: int, salt: int, step: int, team: Team | None = None) -> None:
        self.team = team or Team()
        first, second = np.random.SeedSequence([seed, salt, step]).spawn(2)
        self.numpy = np.random.Generator(np.random.PCG64(first))
        self.torch = torch.Generator().manual_seed(int(second.generate_state(1, np.uint64)[0] >> 1))

    def normal(self, n: int, *shape: int) -> Tensor:
        """Draw normal values ``[n, *shape]`` on the CPU, the same on every device; each member of a team gets its samples' share."""
        return torch.randn(n * self.team.size, *shape, generator=self.torch)[self.team.share(n * self.team.size)]

    def uniform(self, n: int, *shape: int) -> Tensor:
        """Draw values in [0, 1), as :meth:`normal` does."""
        return torch.rand(n * self.team.size, *shape, generator=self.torch)[self.team.share(n * self.team.size)]

    def integers(self, n: int, low: int, high: int) -> Tensor:
        """Draw ``n`` whole numbers from ``low`` to ``high - 1``, as :meth:`normal` does."""
        return torch.randint(low, high, (n * self.team.size,), generator=self.torch)[self.team.share(n * self.team.size)]

    def generators(self, n: int) -> list[torch.Generator]:
        """Return one generator per sample."""
        return [torch.Generator().manual_seed(int(seed)) for seed in self.integers(n, 0, 2**62)]


class Trainer(Protocol):
    """One family's networks, optimisers and training step."""

    images_per_step: int
    """Pictures of one step, over all members of a team."""

    def begin(self) -> None:
        """Prepare a run that has no state yet; called once, before its first state is written."""
        ...

    def step(self, random: StepRandom, clock: Clock) -> dict[str, float]:
        """Take one training step and return what is worth plotting; raises FloatingPointError when a loss is not finite."""
        ...

    def state(self) -> tuple[dict[str, Tensor], Scalars]:
        """Return everything that the next step depends on."""
        ...

    def load_state(self, tensors: Mapping[str, Tensor], scalars: Scalars) -> None:
        """Take up a state that :meth:`state` returned."""
        ...

    def sample_grid(self) -> UInt8:
        """Return a sheet of pictures from fixed inputs, uint8 ``[H, W, 3]``, so that sheets over time compare."""
        ...

    def quality(self) -> dict[str, float]:
        """Return measures of the present networks; ``score``, where present, is what "best" means (lower is better)."""
        ...

    def watched(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return the optimisers whose gradients are plotted, by a short name."""
        ...

    def products(self) -> dict[str, nn.Module]:
        """Return the networks worth shipping by name; the empty name is the run's own."""
        ...


@contextlib.contextmanager
def fresh_weights(seed: int) -> Iterator[None]:
    """Build networks inside this block to give them the weights of a seed; afterwards the global generator is as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def channels_last(network: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to a device, its filters laid out with the channels last: the layout that matrix units want."""
    return network.to(device).to(memory_format=torch.channels_last)


def choose_device(device: str) -> torch.device:
    """Turn ``auto`` into the best device here; others are taken by name.

    Raises:
        DeviceError: The device is not on this machine.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceError(f"device={device!r} was asked for, but no CUDA device is present. Use cpu or auto.")
    return torch.device(device)


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Turn ``auto`` into bf16 where the device multiplies matrices in it, else fp32."""
    if precision == "auto":
        has_units = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_has_bf16_units()
        return torch.bfloat16 if has_units else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Return the block in which convolutions may compute in the run's number format."""
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)


def _cpu_has_bf16_units() -> bool:
    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(supported()) if supported else False


def to_float(images: UInt8, device: torch.device) -> Tensor:
    """Turn uint8 ``[n, H, W, C]`` into float32 ``[n, C, H, W]`` in [-1, 1], channels last in memory."""
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).to(torch.float32).mul_(1 / 127.5).sub_(1)


def to_image(img: Tensor) -> UInt8:
    """Turn float ``[n, C, H, W]`` in [-1, 1] into uint8 ``[n, H, W, C]``, rounded; for sample sheets and measures."""
    scaled = (img.detach().float().permute(0, 2, 3, 1) + 1).mul_(127.5).round_().clamp_(0, 255)
    image: UInt8 = scaled.to("cpu", torch.uint8).numpy()
    return image


def sheet(images: UInt8, columns: int) -> UInt8:
    """Lay pictures ``[n, H, W, C]`` out in rows of ``columns``, white where the last row ends early."""
    n, height, width, channels = images.shape
    rows = -(-n // columns)
    canvas = np.full((rows * columns, height, width, channels), 255, np.uint8)
    canvas[:n] = images
    grid: UInt8 = canvas.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return grid.reshape(rows * height, columns * width, channels)


def flatten_optimizer(prefix: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return an optimiser's moments as named tensors; the groups' settings are the trainer's to set."""
    entries = optimizer.state_dict()["state"]
    return {f"{prefix}/{index}/{key}": torch.as_tensor(value) for index, entry in entries.items() for key, value in entry.items()}


def restore_optimizer(prefix: str, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Take up the moments that :func:`flatten_optimizer` named, in the memory layout of their parameters (fused steps need that)."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    entries: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(f"{prefix}/"):
            index, key = name[len(prefix) + 1 :].split("/")
            like = parameters[int(index)]
            entries.setdefault(int(index), {})[key] = value if value.dim() == 0 else torch.empty_like(like).copy_(value)
    optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})


def flatten_network(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    """Return a network's parameters and buffers under ``prefix/``."""
    return {f"{prefix}/{name}": value.detach() for name, value in network.state_dict().items()}


def restore_network(prefix: str, network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Take up what :func:`flatten_network` named; every name must be there."""
    start = len(prefix) + 1
    network.load_state_dict({name[start:]: value for name, value in tensors.items() if name.startswith(f"{prefix}/")})


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, weight: float) -> None:
    """Move an exponential average ``weight`` of the way towards a network; buffers are copied (Karras et al. 2018, section 4.1)."""
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), weight)
    for kept, value in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(value)


def require_finite(values: Iterable[tuple[str, float]]) -> None:
    """Raise FloatingPointError naming the first value that is infinite or not a number."""
    for name, value in values:
        if not np.isfinite(value):
            raise FloatingPointError(f"{name} became {value}")
