"""Which fast paths a network has, and a network that runs by the best of them at once.

The engine prepares fast paths in the background instead (``runners.py``); this is for scripts, which would rather wait.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from studio.accel import compare
from studio.accel.candidate import Candidate
from studio.accel.runtime import tune_allocator
from studio.errors import StudioError
from studio.models.common import LatentGenerator

log = logging.getLogger(__name__)

Call = Callable[..., Tensor]

FAST_PATHS = {
    "stylegan2": "studio.accel.stylegan2",
    "stylegan3": "studio.accel.stylegan3",
    "resnet": "studio.accel.translators",
    "unet": "studio.accel.translators",
}
"""Family -> module with ``candidates(net, precision, device)``."""

SAMPLE_SIDE = 256


def fast_paths(net: Any, precision: str, device: torch.device | str) -> list[Candidate]:
    """Return the fast paths of a network, quickest to prepare first; none for a family that has none.

    Args:
        net: A network of ``studio.models``.
        precision: ``exact`` or ``auto``.
        device: Where the network is.
    """
    home = FAST_PATHS.get(net.family)
    if home is None:
        return []
    try:
        found: list[Candidate] = importlib.import_module(home).candidates(net, precision, torch.device(device))
    except ImportError:
        log.warning("the fast paths of %s cannot be used here", net.family, exc_info=True)
        return []
    return found


def reference(net: Any) -> Call:
    """Return the plain module that fast paths stand in for: ``synthesis`` of a generator, a translator itself."""
    call: Call = net.synthesis if isinstance(net, LatentGenerator) else net
    return call


def sample(net: Any) -> Tensor:
    """Return a realistic input of :func:`reference` for checking and timing: a style, or a picture-like pattern.

    Returns:
        ``ws [1, num_ws, w_dim]`` at psi 0.7, or ``img [1, C, 256, 256]`` (larger where the network asks for it).
    """
    generator = torch.Generator().manual_seed(0)
    if isinstance(net, LatentGenerator):
        z = torch.randn(1, net.z_dim, generator=generator).to(net.w_avg.device)
        c = torch.full((1, net.c_dim), 1 / net.c_dim, device=z.device) if net.c_dim else None
        with torch.no_grad():
            styles: Tensor = net.w_avg.lerp(net.mapping(z, c), 0.7)
        return styles
    side = max(SAMPLE_SIDE, net.min_size)
    side += -side % net.multiple_of
    coarse = torch.randn(1, net.img_channels_in, 8, 8, generator=generator) * 0.6
    img = nn.functional.interpolate(coarse, size=(side, side), mode="bicubic")
    img = (img + 0.1 * torch.randn(img.shape, generator=generator)).clamp(-1, 1)
    return img.to(next(net.parameters()).device)


def fastest(net: Any, precision: str, candidates: Sequence[Candidate] | None = None) -> tuple[str, Call]:
    """Build, check and time every fast path now and return the name and the callable of the best, which may be the module.

    A fast path that cannot be built, or that is not accurate enough, is logged and passed over.
    """
    module, given = reference(net), sample(net)
    paths = fast_paths(net, precision, given.device) if candidates is None else candidates
    best: tuple[str, Call] = ("module", module)
    with torch.no_grad():
        wanted = module(given)
        for candidate in paths:
            try:
                call = candidate.build()
                got = call(given)
            except Exception:
                log.warning("the fast path %r could not be prepared", candidate.name, exc_info=True)
                continue
            if not compare.is_accurate(got, wanted, precision):
                log.warning("the fast path %r is not accurate enough", candidate.name)
                continue
            now, then = compare.alternate([partial(best[1], given), partial(call, given)], runs=3)
            if then < now:
                best = (candidate.name, call)
    return best


class FastCall(nn.Module):
    """Calls a fast path as if it were a module; where the fast path fails, the module itself answers that call."""

    def __init__(self, call: Call, module: Call) -> None:
        super().__init__()
        self._ways = (call, module)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Run the fast path."""
        call, module = self._ways
        try:
            return call(*args, **kwargs)
        except (StudioError, torch.OutOfMemoryError):
            raise
        except Exception:
            log.exception("a fast path failed; the plain module answers")
            return module(*args, **kwargs)


class Accelerated(nn.Module):
    """A network that runs by a fast path and is otherwise itself: every other attribute is the network's own.

    ``network`` is the plain network, ``path`` the name of the fast path.
    """

    network: nn.Module

    def __init__(self, network: nn.Module, path: str, call: Call) -> None:
        super().__init__()
        self.network = network
        self.path = path
        self.is_generator = isinstance(network, LatentGenerator)
        self._run = FastCall(call, reference(network))
        if self.is_generator:
            self.synthesis = self._run

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Run the network: a translator by its fast path, a generator as its own ``forward`` does."""
        answer: Tensor = self.network(*args, **kwargs) if self.is_generator else self._run(*args, **kwargs)
        return answer

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "network":
                raise
            return getattr(self.network, name)


def accelerate(net: nn.Module, precision: str = "auto") -> nn.Module:
    """Return ``net`` run by its fastest path, or ``net`` itself when the plain module is the fastest.

    Takes the seconds that building and timing the fast paths takes. Changes made to the weights later are not followed.

    Args:
        net: A network of ``studio.models``, in eval mode.
        precision: ``exact`` or ``auto``.
    """
    tune_allocator()
    path, call = fastest(net, precision)
    return net if path == "module" else Accelerated(net, path, call)
