"""Fast StyleGAN3 synthesis on CPUs: packed weights, channels innermost, and one fused kernel for everything between convolutions.

The maths is that of ``models/stylegan3.py``; this is *not* a second network, and it holds copies of the weights that do
not follow later changes. Convolutions run in bfloat16 where that was asked for and pays; filters always run in float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.accel import kernels_winograd as winograd
from studio.accel import products
from studio.accel.candidate import Candidate
from studio.accel.kernels_stylegan3 import filtered_lrelu
from studio.accel.runtime import bfloat16_wins, tune_allocator
from studio.accel.stylegan3_layer import AUTO_TOLERANCE, EXACT_TOLERANCE, FusedLayer, blank, is_supported, pad_channels
from studio.models.stylegan3 import StyleGAN3Generator, SynthesisNetwork, check_request


def candidates(net: StyleGAN3Generator, precision: str, device: torch.device) -> list[Candidate]:
    """Return the fast paths of a StyleGAN3 generator: on a CPU the fused kernels, for ``auto`` also with bfloat16; else half precision.

    Args:
        net: The generator, in eval mode.
        precision: ``exact`` (relative L2 under 1e-5) or ``auto`` (PSNR over 45 dB).
        device: Where the pictures are to be made.
    """
    if device.type != "cpu":
        return [Candidate("half", partial(HalfSynthesis, net.synthesis))] if precision == "auto" else []
    if not all(is_supported(layer) for layer in net.synthesis.layers):
        return []
    tolerance = AUTO_TOLERANCE if precision == "auto" else EXACT_TOLERANCE
    build = partial(FusedSynthesis, net.synthesis, tolerance=tolerance)
    found = [Candidate("numba", partial(build, dtype=torch.float32))]
    if precision == "auto" and bfloat16_wins():
        found.append(Candidate("numba-bf16", partial(build, dtype=torch.bfloat16)))
    elif net.config["conv_kernel"] == 3 and products.is_available():
        found.append(Candidate("numba-winograd", partial(build, dtype=torch.float32, is_canvas=True)))
    return found


class FusedSynthesis:
    """Synthesis with the signature of :class:`studio.models.stylegan3.SynthesisNetwork`, on a CPU, for inference.

    Args:
        synthesis: The network to copy.
        dtype: What convolutions run in, and what is kept between layers.
        tolerance: What a sum of separable filters may leave of a radial one, relative L2.
        is_canvas: Convolve on canvases with fewer multiplications (3x3, float32) where that is faster.
    """

    @torch.no_grad()
    def __init__(self, synthesis: SynthesisNetwork, *, dtype: torch.dtype, tolerance: float, is_canvas: bool = False) -> None:
        tune_allocator()
        filtered_lrelu.compile()
        if is_canvas:
            winograd.convolve.compile()
        self.dtype = dtype
        *layers, rgb = synthesis.layers
        self.layers = [FusedLayer.pack(deepcopy(layer), dtype=dtype, tolerance=tolerance, is_canvas=is_canvas) for layer in layers]
        self.rgb, self.input = deepcopy(rgb), deepcopy(synthesis.input)
        self.input_weight = (self.input.weight.detach() / math.sqrt(self.input.channels)).to(dtype)
        self.output_scale = synthesis.output_scale

    @torch.no_grad()
    def __call__(
        self,
        ws: Tensor,
        *,
        noise_mode: str = "const",
        noise_strength: float = 1.0,
        noise_layers: Sequence[float] = (),
        noise_generator: Any = None,
        transform: Tensor | None = None,
    ) -> Tensor:
        """Make pictures; see :meth:`studio.models.stylegan3.SynthesisNetwork.forward`."""
        check_request(ws, len(self.layers) + 2, self.input.affine.weight.shape[1], transform)
        first, *others, last = ws.to(torch.float32).unbind(1)
        scales = [layer.scales(w) for layer, w in zip(self.layers, others, strict=True)]
        rgb_scale, _ = self.rgb.scales(last)
        before = [scale for scale, _ in scales] + [pad_channels(rgb_scale)]
        x = self._features(first, transform, before[0])
        canvases = [layer.convolve.canvas for layer in self.layers[1:]] + [0]
        for index, (layer, canvas) in enumerate(zip(self.layers, canvases, strict=True)):
            dtype = self.dtype if index + 1 < len(self.layers) else torch.float32
            x = layer.activate(layer.convolve(x), scales[index][1], before[index + 1], dtype=dtype, canvas=canvas)
        return self._to_rgb(x)

    def _features(self, w: Tensor, transform: Tensor | None, scale: Tensor) -> Tensor:
        freqs, phases, amplitudes = self.input.placement(w, transform)
        place = self.input.grid()[:, None]
        along_x = place * freqs[:, None, :, 0] + phases[:, None]
        along_y = place * freqs[:, None, :, 1]
        waves = torch.sin((along_x[:, None] + along_y[:, :, None]) * (2 * math.pi)) * amplitudes[:, None, None]
        x = F.linear(waves.to(self.dtype), self.input_weight)
        x = (pad_channels(x) * scale[:, None, None]).to(self.dtype)
        canvas = self.layers[0].convolve.canvas
        if canvas == 0:
            return x
        y = blank(len(x), x.shape[1], x.shape[3], dtype=self.dtype, canvas=canvas)
        y[:, 1 : x.shape[1] + 1, 1 : x.shape[1] + 1] = x
        return y

    def _to_rgb(self, x: Tensor) -> Tensor:
        weight = self.rgb.weight[:, :, 0, 0]
        y = F.linear(x[..., : weight.shape[1]], weight, self.rgb.bias)
        if self.rgb.conv_clamp is not None:
            y = y.clamp(-self.rgb.conv_clamp, self.rgb.conv_clamp)
        return (y * self.output_scale).permute(0, 3, 1, 2).contiguous()


class HalfSynthesis:
    """The plain synthesis with its finest layers in float16, as the published networks run on a GPU."""

    FINEST = 4
    """How many of the finest resolutions are computed in float16."""

    def __init__(self, synthesis: SynthesisNetwork) -> None:
        self.net = deepcopy(synthesis)
        plans = synthesis.plans
        self.dtypes = [torch.float16 if plan.after.rate * 2**self.FINEST > plans[-1].after.rate else torch.float32 for plan in plans]

    @torch.no_grad()
    def __call__(
        self,
        ws: Tensor,
        *,
        noise_mode: str = "const",
        noise_strength: float = 1.0,
        noise_layers: Sequence[float] = (),
        noise_generator: Any = None,
        transform: Tensor | None = None,
    ) -> Tensor:
        """Make pictures; see :meth:`studio.models.stylegan3.SynthesisNetwork.forward`."""
        first, *others = ws.to(torch.float32).unbind(1)
        x = self.net.input(first, transform)
        for layer, w, dtype in zip(self.net.layers, others, self.dtypes, strict=True):
            x = layer(x.to(dtype), w)
        pictures: Tensor = x.to(torch.float32) * self.net.output_scale
        return pictures
