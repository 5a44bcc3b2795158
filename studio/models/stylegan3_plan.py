"""What each layer of a StyleGAN3 generator is: rates, cutoffs, sizes, channels, filter lengths and paddings. Numbers only, no tensors.

This is *not* where the layers compute (``stylegan3.py``) nor where their filters are designed (``filters.py``).

Reference:
    Karras et al. 2021, "Alias-Free Generative Adversarial Networks", section 3.2 and appendix F.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Band:
    """A signal's sampling rate, cutoff and half transition width, all per picture width."""

    rate: int
    cutoff: float
    half_width: float


@dataclass(frozen=True)
class LayerPlan:
    """One layer: convolution, upsampling by ``up``, leaky ReLU, downsampling by ``down``."""

    name: str
    before: Band
    after: Band
    in_size: int
    out_size: int
    in_channels: int
    out_channels: int
    kernel: int
    inner_rate: int
    """The rate at which the leaky ReLU works."""
    up_taps: int
    down_taps: int
    is_radial: bool
    """The downsampling filter is rotationally symmetric."""
    is_rgb: bool
    """The last layer: 1x1, linear, no demodulation."""

    @property
    def up(self) -> int:
        """How much finer the leaky ReLU works than the input."""
        return self.inner_rate // self.before.rate

    @property
    def down(self) -> int:
        """How much finer the leaky ReLU works than the output."""
        return self.inner_rate // self.after.rate

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """Samples to add around the upsampled picture (left, right, top, bottom; negative crops) so that it stays centred."""
        needed = (self.out_size - 1) * self.down + self.up_taps + self.down_taps - 1
        extra = needed - (self.in_size + self.kernel - 1) * self.up
        first = (extra + self.up) // 2
        return first, extra - first, first, extra - first


def plan_layers(
    *,
    img_resolution: int,
    img_channels: int,
    num_layers: int,
    num_critical: int,
    cutoffs: tuple[float, float, float],
    margin_size: int,
    channels: Sequence[int] | None,
    channel_base: int,
    channel_max: int,
    conv_kernel: int,
    filter_size: int,
    lrelu_upsampling: int,
    use_radial_filters: bool,
) -> list[LayerPlan]:
    """Plan ``num_layers`` layers and the one to RGB.

    The arguments are those of :class:`studio.models.stylegan3.StyleGAN3Generator`; ``cutoffs`` holds the first cutoff, the
    first stop band, and the last stop band relative to the last cutoff.
    """
    assert img_resolution >= 4 and img_resolution & (img_resolution - 1) == 0, "img_resolution is a power of two"
    assert 0 <= num_critical < num_layers
    bands = plan_bands(img_resolution, num_layers=num_layers, num_critical=num_critical, cutoffs=cutoffs)
    sizes = [band.rate + 2 * margin_size for band in bands[:-2]] + [img_resolution] * 2
    if channels is None:
        channels = [min(round(channel_base / 2 / band.cutoff), channel_max) for band in bands[:-1]]
    assert len(channels) == num_layers, "one width per layer before RGB"
    widths = [*channels, img_channels]
    plans = []
    for index, (after, size, width) in enumerate(zip(bands, sizes, widths, strict=True)):
        is_rgb = index == num_layers
        previous = max(index - 1, 0)
        before = bands[previous]
        inner_rate = max(before.rate, after.rate) * (1 if is_rgb else lrelu_upsampling)
        up, down = inner_rate // before.rate, inner_rate // after.rate
        plans.append(
            LayerPlan(
                name=f"L{index}_{size}_{width}",
                before=before,
                after=after,
                in_size=sizes[previous],
                out_size=size,
                in_channels=widths[previous],
                out_channels=width,
                kernel=1 if is_rgb else conv_kernel,
                inner_rate=inner_rate,
                up_taps=filter_size * up if up > 1 and not is_rgb else 1,
                down_taps=filter_size * down if down > 1 and not is_rgb else 1,
                is_radial=use_radial_filters and index < num_layers - num_critical,
                is_rgb=is_rgb,
            )
        )
    return plans


def plan_bands(img_resolution: int, *, num_layers: int, num_critical: int, cutoffs: tuple[float, float, float]) -> list[Band]:
    """Let cutoff and stop band grow geometrically to the last, critically sampled layers; one band per layer and one for RGB."""
    first_cutoff, first_stopband, last_stopband_rel = cutoffs
    last_cutoff = img_resolution / 2
    last_stopband = last_cutoff * last_stopband_rel
    bands = []
    for index in range(num_layers + 1):
        at = min(index / (num_layers - num_critical), 1.0)
        cutoff = first_cutoff * (last_cutoff / first_cutoff) ** at
        stopband = first_stopband * (last_stopband / first_stopband) ** at
        rate = 2 ** math.ceil(math.log2(min(stopband * 2, img_resolution)))
        bands.append(Band(rate, cutoff, max(stopband, rate / 2) - cutoff))
    return bands
