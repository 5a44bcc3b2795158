"""Enlarge pictures with an ESRGAN upscaler, in tiles: the same picture as in one piece, in memory that has a bound.

The blocks of the trunk run one after the other, each over the whole picture in tiles that see exactly as far beyond their edges as
the block does; so no seam can show, and no tile pays for the reach of the whole network. What is kept whole is the trunk's features
(256 bytes per pixel of the small picture, for the usual 64). This is *not* where models are found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.errors import RecipeError
from studio.media import ImageArray, resize
from studio.models.rrdbnet import ResidualInResidual, RRDBNet

if TYPE_CHECKING:
    from studio.engine import Engine
    from studio.model_cache import Loaded

T = TypeVar("T")
Turn = Callable[[Callable[[], T]], T]
"""Runs one piece of the work: in the engine's turn, or at once."""

TILE = 192
"""Side of a tile in pixels of the small picture."""
MAX_RESULT_SIDE = 16_384


def find_upscaler(engine: Engine, name: str) -> RRDBNet:
    """Load an installed upscaler, or one that the engine has opened.

    Raises:
        RecipeError: The model of this name is none.
        CheckpointError: There is none of this name.
    """
    return upscaler_of(engine.load(name))


def upscaler_of(loaded: Loaded) -> RRDBNet:
    """Return the network of a model that enlarges.

    Raises:
        RecipeError: It is another kind of model.
    """
    if not isinstance(loaded.network, RRDBNet):
        raise RecipeError(f"{loaded.name} is no upscaler. Bring one in (an ESRGAN or Real-ESRGAN .pth file) and name it.")
    return loaded.network


def upscale(network: RRDBNet, image: ImageArray, *, tile: int = TILE, turn: Turn[Any] | None = None) -> ImageArray:
    """Enlarge a picture by the network's scale.

    Args:
        network: The upscaler.
        image: ``uint8 [H, W, 3 or 4]``; transparency is enlarged smoothly.
        tile: Side of a tile in pixels of the small picture; the result does not depend on it.
        turn: Runs the pieces of the work one by one.

    Returns:
        ``uint8 [scale * H, scale * W, 3 or 4]``.

    Raises:
        RecipeError: The result would be too large.
    """
    height, width = image.shape[0] * network.scale, image.shape[1] * network.scale
    if max(height, width) > MAX_RESULT_SIDE:
        raise RecipeError(f"{width} x {height} is larger than {MAX_RESULT_SIDE} pixels. Make the picture smaller before it is enlarged.")
    turn = turn or _at_once
    device = network.conv_first.weight.device
    colours = torch.from_numpy(np.ascontiguousarray(image[..., :3].transpose(2, 0, 1))[None]).to(device).float() / 255
    step = network.unshuffle
    padded = F.pad(colours, (0, -image.shape[1] % step, 0, -image.shape[0] % step), mode="replicate")
    made = enlarge(network, padded, tile=tile, turn=turn)[0, :, :height, :width]
    flat = (made.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    if image.shape[2] == 3:
        return np.ascontiguousarray(flat)
    alpha = resize(np.repeat(image[..., 3:], 3, 2), width, height)[..., :1]
    return np.concatenate([flat, alpha], 2)


def enlarge(network: RRDBNet, img: Tensor, *, tile: int = TILE, turn: Turn[Any] | None = None) -> Tensor:
    """Run an upscaler in tiles.

    Args:
        network: The upscaler.
        img: ``[1, 3, H, W]``, values in [0, 1]; both sides multiples of ``unshuffle``.
        tile: Side of a tile in features.
        turn: Runs the pieces of the work one by one.

    Returns:
        What ``network(img)`` gives, up to rounding.
    """
    turn = turn or _at_once
    first: Tensor = turn(_quietly(lambda: network.enter(img)))
    deep = first
    for block in network.body:
        deep = _tiled(block, deep, reach=ResidualInResidual.reach, tile=tile, turn=turn)
    joined: Tensor = turn(_quietly(lambda: first + network.conv_body(deep)))
    return _tiled(network.paint, joined, reach=network.paint_reach, tile=tile, turn=turn, factor=2**network.ups)


def _tiled(run: Callable[[Tensor], Tensor], x: Tensor, *, reach: int, tile: int, turn: Turn[Any], factor: int = 1) -> Tensor:
    """Run a stage piece by piece; every piece sees ``reach`` pixels beyond its edges, as far as there are any."""
    height, width = x.shape[2:]
    out: Tensor | None = None
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            up, before = max(top - reach, 0), max(left - reach, 0)
            piece = x[:, :, up : bottom + reach, before : right + reach]
            made: Tensor = turn(_quietly(lambda piece=piece: run(piece)))  # type: ignore[misc]
            if out is None:
                out = torch.empty(1, made.shape[1], height * factor, width * factor, device=made.device)
            inner = made[:, :, (top - up) * factor : (bottom - up) * factor, (left - before) * factor : (right - before) * factor]
            out[:, :, top * factor : bottom * factor, left * factor : right * factor] = inner
    assert out is not None, "a picture has pixels"
    return out


def _quietly(task: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Run a piece without gradients, in whatever thread its turn comes."""

    def run() -> Tensor:
        with torch.no_grad():
            return task()

    return run


def _at_once(task: Callable[[], T]) -> T:
    return task()
