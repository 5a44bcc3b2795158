"""StyleGAN2 on graphics cards, and what the fused kernels cannot do on CPUs: the module itself in another dtype, prepared.

The most frequent request (one picture, stored noise as trained) is recorded as a CUDA graph or compiled; every other
one runs the same copy of the module eagerly, so that no request ever waits for a compiler. This is *not* a second
network: it is the code of ``models/stylegan2.py`` on a copy of the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from torch import Tensor

from studio.models.stylegan2 import Generators, SynthesisNetwork

WARM_UP_RUNS = 3


class PreparedSynthesis:
    """Synthesis with the signature of :class:`studio.models.stylegan2.SynthesisNetwork`, for inference.

    Args:
        synthesis: The network to copy; the copy keeps its device and has channels last in memory.
        dtype: What convolutions compute in; None is float32.
        way: ``eager``, ``graph`` (CUDA only) or ``inductor`` (needs a compiler).
    """

    @torch.no_grad()
    def __init__(self, synthesis: SynthesisNetwork, *, dtype: torch.dtype | None, way: str = "eager") -> None:
        self.synthesis = deepcopy(synthesis).eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.device = next(self.synthesis.parameters()).device
        self.dtype = dtype
        self.usual: Callable[[Tensor], Tensor] | None = None
        ws = torch.zeros(1, synthesis.num_ws, synthesis.w_dim, device=self.device)
        self._cast(ws)
        if way == "graph":
            self.usual = record(self._cast, ws)
        elif way == "inductor":
            self.usual = torch.compile(self._cast, dynamic=False, options={"freezing": True})
            self.usual(ws)

    def _cast(self, ws: Tensor) -> Tensor:
        with torch.autocast(self.device.type, dtype=self.dtype or torch.bfloat16, enabled=self.dtype is not None):
            img: Tensor = self.synthesis(ws)
        return img.contiguous()

    @torch.no_grad()
    def __call__(
        self,
        ws: Tensor,
        *,
        noise_mode: str = "const",
        noise_strength: float = 1.0,
        noise_layers: Sequence[float] = (),
        noise_generator: Generators = None,
        transform: Tensor | None = None,
    ) -> Tensor:
        """Make pictures; see :meth:`studio.models.stylegan2.SynthesisNetwork.forward`."""
        is_plain = noise_mode == "const" and noise_strength == 1 and all(layer == 1 for layer in noise_layers) and transform is None
        if self.usual is not None and is_plain and ws.shape == (1, self.synthesis.num_ws, self.synthesis.w_dim):
            return self.usual(ws.to(self.device, torch.float32))
        with torch.autocast(self.device.type, dtype=self.dtype or torch.bfloat16, enabled=self.dtype is not None):
            img: Tensor = self.synthesis(
                ws.to(self.device),
                noise_mode=noise_mode,
                noise_strength=noise_strength,
                noise_layers=noise_layers,
                noise_generator=noise_generator,
                transform=transform,
            )
        return img.contiguous()


def record(work: Callable[[Tensor], Tensor], sample: Tensor) -> Callable[[Tensor], Tensor]:
    """Record ``work`` as a CUDA graph for inputs of the shape of ``sample`` and return what replays it."""
    given = sample.clone()
    aside = torch.cuda.Stream(sample.device)  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream(sample.device))
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP_RUNS):
            work(given)
    torch.cuda.current_stream(sample.device).wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = work(given)

    def replay(x: Tensor) -> Tensor:
        given.copy_(x)
        graph.replay()
        return result.clone()

    return replay
