"""Networks with frozen statistics: each norm becomes a fixed scale and shift, so that tiles and frames agree by construction.

For pictures beyond the memory that exact restyling takes, with statistics of samples at the picture's own scale (a reduced copy
would show the network other textures than it will meet). With frozen statistics a tile depends on nothing further away than
the network looks, so tiles with that much around them fit together exactly.

Reference:
    Chen et al. 2022, "Towards Ultra-Resolution Neural Style Transfer via Thumbnail Instance Normalization", section 3.2 (there
    the statistics come from a thumbnail).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from studio.models.common import build
from studio.models.translator_layers import BatchNorm
from studio.restyle.parts import Rows

SAMPLE_SIDE = 256
MOST_SAMPLES = 16

Statistics = list[tuple[Tensor, Tensor]]
"""Mean and variance ``[C]`` of each norm, in the order of the layers."""

_NORMS = (nn.InstanceNorm2d, nn.BatchNorm2d)


def freeze(net: Any, statistics: Statistics | None = None) -> Any:
    """Return a copy of a residual translator whose norms are batch norms with given statistics.

    Args:
        net: A :class:`studio.models.translators.ResnetTranslator` with instance or batch norms.
        statistics: As :func:`measure` gives them; None leaves them at mean 0 and variance 1.

    Returns:
        A network of the same family with ``norm_mode = "eval"``, for which every fast path works as for any other.
    """
    twin: Any = build("resnet", {**net.config, "norm": "batch"}).to(next(net.parameters()).device)
    theirs = [layer for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, *_NORMS))]
    ours = [layer for layer in twin.modules() if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, *_NORMS))]
    with torch.no_grad():
        for layer, copy in zip(theirs, ours, strict=True):
            if getattr(layer, "weight", None) is not None:
                copy.load_state_dict({key: value for key, value in layer.state_dict().items() if key in ("weight", "bias")}, strict=False)
        for norm, (mean, variance) in zip(_norms(twin), statistics or [], strict=statistics is not None):
            norm.running_mean, norm.running_var = mean.to(norm.weight), variance.to(norm.weight)
    twin.eval().requires_grad_(False).norm_mode = "eval"
    return twin


def _norms(net: Any) -> list[BatchNorm]:
    return [layer for layer in net.modules() if isinstance(layer, BatchNorm)]


@torch.no_grad()
def measure(net: Any, samples: Tensor) -> Statistics:
    """Return the statistics that each norm meets on some pictures together.

    Args:
        net: A residual translator.
        samples: ``[n, C, H, W]`` float32 in [-1, 1].
    """
    twin, found = freeze(net), list[tuple[Tensor, Tensor]]()
    twin.norm_mode = "published"

    def remember(_: nn.Module, given: tuple[Tensor]) -> None:
        variance, mean = torch.var_mean(given[0].float(), dim=(0, 2, 3), correction=0)
        found.append((mean, variance))

    for norm in _norms(twin):
        norm.register_forward_pre_hook(remember)
    twin.model(samples)
    return found


def sample_tiles(picture: Rows, height: int, width: int, *, count: int) -> Tensor:
    """Cut up to ``count`` squares out of a picture, spread evenly, ``[n, C, side, side]``."""
    side_rows, side_columns = min(SAMPLE_SIDE, height), min(SAMPLE_SIDE, width)
    down = max(1, min(round((count * height / width) ** 0.5), height // side_rows, count))
    across = max(1, min(count // down, width // side_columns))
    tiles = []
    for row in range(down):
        top = round((height - side_rows) * (row + 0.5) / down)
        strip = picture.rows(top, top + side_rows)
        for column in range(across):
            left = round((width - side_columns) * (column + 0.5) / across)
            tiles.append(strip[..., left : left + side_columns])
    return torch.cat(tiles).contiguous()


def run_tiles(
    forward: Callable[[Tensor], Tensor],
    picture: Rows,
    sink: Callable[[int, int, Tensor], None],
    size: tuple[int, int],
    *,
    tile: int,
    halo: int,
) -> Iterator[float]:
    """Run a network with frozen statistics over tiles, each with ``halo`` pixels of the picture around it.

    Args:
        forward: The network, or a fast path of it.
        picture: Rows of the padded picture.
        sink: Takes the result: row and column of a tile, and ``[1, C, h, w]``.
        size: Height and width of the picture, multiples of what the network takes.
        tile: Side of a tile, a multiple too.
        halo: How far the network looks, a multiple too.

    Yields:
        The share that is done after each tile.
    """
    height, width = size
    places = [(top, left) for top in range(0, height, tile) for left in range(0, width, tile)]
    for done, (top, left) in enumerate(places, 1):
        above, before = max(0, top - halo), max(0, left - halo)
        strip = picture.rows(above, min(height, top + tile + halo))[..., before : min(width, left + tile + halo)]
        result = forward(strip.contiguous())
        sink(top, left, result[..., top - above :, left - before :][..., :tile, :tile])
        yield done / len(places)
