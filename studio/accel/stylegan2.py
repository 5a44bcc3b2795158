"""Fast StyleGAN2 synthesis on CPUs: packed matrix products, and one fused kernel for everything between two of them.

Styles scale activations, so the weights stay constant and can be packed. An upsampling layer is one matrix product with
all nine taps side by side; the kernel behind it adds up what lands on each pixel while it smooths. Features are in
bfloat16 where that was asked for and pays; the picture and everything between products is float32. This is *not* a
second network: it holds copies of the weights, and the maths is that of ``models/stylegan2.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from studio.accel.candidate import Candidate
from studio.accel.runtime import bfloat16_wins, find_compiler, tune_allocator
from studio.accel.stylegan2_parts import ColorLayer, Factors, SameLayer, UpLayer, is_supported, pad_channels
from studio.accel.stylegan2_prepared import PreparedSynthesis
from studio.models.stylegan2 import Generators, Noise, StyleGAN2Generator, SynthesisNetwork, check_request


def candidates(net: StyleGAN2Generator, precision: str, device: torch.device) -> list[Candidate]:
    """Return the fast paths of a StyleGAN2 generator, quickest to prepare first.

    Args:
        net: The generator, in eval mode.
        precision: ``exact`` (relative L2 under 1e-5) or ``auto`` (PSNR over 45 dB).
        device: Where the pictures are to be made.
    """
    synthesis, is_auto = net.synthesis, precision == "auto"
    if device.type == "cuda":
        dtype = torch.float16 if is_auto else None
        return [
            Candidate("eager", partial(PreparedSynthesis, synthesis, dtype=dtype)),
            Candidate("graph", partial(PreparedSynthesis, synthesis, dtype=dtype, way="graph")),
        ]
    if device.type != "cpu":
        return []
    if is_supported(synthesis):  # what torch.compile makes of the module is slower than these kernels
        return [Candidate("numba", partial(FusedSynthesis, synthesis, precision=precision))]
    dtype = torch.bfloat16 if is_auto and bfloat16_wins() else None
    others = [Candidate("eager", partial(PreparedSynthesis, synthesis, dtype=dtype))]
    if find_compiler() is not None:
        others.append(Candidate("inductor", partial(PreparedSynthesis, synthesis, dtype=dtype, way="inductor")))
    return others


class FusedSynthesis:
    """Synthesis with the signature of :class:`studio.models.stylegan2.SynthesisNetwork`, on a CPU, for inference.

    Args:
        synthesis: The network to copy; see :func:`studio.accel.stylegan2_parts.is_supported`.
        precision: ``exact`` or ``auto`` (bfloat16 features where the CPU gains from them).
    """

    @torch.no_grad()
    def __init__(self, synthesis: SynthesisNetwork, *, precision: str) -> None:
        tune_allocator()
        self.dtype = torch.bfloat16 if precision == "auto" and bfloat16_wins() else torch.float32
        self.num_ws, self.w_dim = synthesis.num_ws, synthesis.w_dim
        self.factors = Factors(synthesis.w_dim)
        self.blocks: list[tuple[UpLayer | None, SameLayer, ColorLayer | None]] = []
        index = 0
        for block in synthesis.blocks():
            up = None if block.conv0 is None else UpLayer(block.conv0, index, self.factors, self.dtype)
            same = SameLayer(block.conv1, index + block.num_conv - 1, self.factors, self.dtype)
            color = None if block.torgb is None else ColorLayer(block.torgb, index + block.num_conv, self.factors, block.resample_filter)
            self.blocks.append((up, same, color))
            index += block.num_conv
        self.factors.pack()
        const = synthesis.blocks()[0].const
        self.const = pad_channels(const.detach().permute(1, 2, 0)).contiguous()
        self(torch.zeros(1, self.num_ws, self.w_dim))

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
        check_request(ws, self.num_ws, self.w_dim, transform)
        noise = Noise(noise_mode, noise_strength, noise_layers, noise_generator)
        styles = self.factors(ws)
        n, first = len(ws), self.blocks[0][1]
        x: Tensor | None = (self.const * styles.of(first.style).view(n, 1, 1, -1)).to(self.dtype)
        image: Tensor | None = None
        for position, (up, same, color) in enumerate(self.blocks):
            assert x is not None
            if up is not None:
                x = up(x, styles, noise, following=same.style)
            following = self.blocks[position + 1][0] if position + 1 < len(self.blocks) else None
            x, image = same(x, styles, noise, following=None if following is None else following.style, color=color, before=image)
        assert image is not None
        return image
