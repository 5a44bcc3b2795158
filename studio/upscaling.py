"""Enlarge pictures with an upscaler, in tiles: the same picture as in one piece, in memory that has a bound.

The stages of a network run one after the other, each over the whole picture in tiles that see exactly as far beyond their edges as
the stage does; so no seam can show, and no tile pays for the reach of the whole network. What an ESRGAN keeps whole is its trunk's
features (256 bytes per pixel of the small picture, for the usual 64); a compact network keeps nothing. This is *not* where the networks are
(``studio/models/compact.py``, ``studio/models/rrdbnet.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.errors import RecipeError
from studio.media import ImageArray, resize
from studio.models.common import Upscaler
from studio.recipe import ModelRef
from studio.render import fit

if TYPE_CHECKING:
    from studio.engine import Engine
    from studio.model_cache import Loaded

T = TypeVar("T")
Turn = Callable[[Callable[[], T]], T]
"""Runs one piece of the work: in the engine's turn, or at once."""

OWN = {2: "enlarge-2x", 4: "enlarge-4x"}
"""The upscalers that come with the studio, by scale."""
CHAINS = {2: (2,), 4: (4,), 8: (4, 2), 16: (4, 4)}
"""How many times larger pictures can be made with these, and by which of them in turn."""
TILE = 192
"""Side of a tile in pixels of the small picture."""
SHORT_TILE = 96
"""The same where a hand must not wait for the end of a tile."""
MAX_RESULT_SIDE = 16_384


def upscaler_of(loaded: Loaded) -> Upscaler:
    """Return the network of a model that enlarges.

    Raises:
        RecipeError: It is another kind of model.
    """
    if not isinstance(loaded.network, Upscaler):
        raise RecipeError(f"{loaded.name} is no upscaler. Name one, such as enlarge-4x, or bring one in (a Real-ESRGAN .pth file).")
    return loaded.network


class Loads(Protocol):
    """What can load a model by its name."""

    def load(self, name: str) -> Any:
        """Return the model, with its ``network`` and ``ref``."""
        ...


def own_refs(entries: Iterable[Any]) -> tuple[ModelRef, ...]:
    """Return the studio's own upscalers among installed models, the largest scale first; none where one of them is missing."""
    found = {entry.name: ModelRef(entry.name, entry.card.sha256) for entry in entries if entry.name in OWN.values()}
    return tuple(found[OWN[scale]] for scale in CHAINS[8]) if len(found) == len(OWN) else ()


def own_chain(engine: Loads, times: int) -> tuple[ModelRef, ...]:
    """Return the studio's own upscalers that make a picture 2, 4, 8 or 16 times larger, in the order in which they are applied.

    Raises:
        RecipeError: That is no such number.
        CheckpointError: The studio's own upscalers are not installed.
    """
    if times not in CHAINS:
        raise RecipeError(f"{times} times larger is not possible. Use {', '.join(map(str, CHAINS))}.")
    return tuple(engine.load(OWN[scale]).ref for scale in CHAINS[times])


def own_to(engine: Loads, side: int, size: int) -> tuple[ModelRef, ...]:
    """Return the studio's own upscalers that make a picture of ``side`` pixels at least ``size``, or as large as they can; none at best.

    Raises:
        CheckpointError: The studio's own upscalers are not installed.
    """
    if size <= side:
        return ()
    return own_chain(engine, next((times for times in CHAINS if side * times >= size), max(CHAINS)))


def chain_of(engine: Engine, refs: Sequence[ModelRef]) -> list[Upscaler]:
    """Load the upscalers that a recipe names.

    Raises:
        RecipeError: One of them is none.
        CheckpointError: One of them is not installed.
    """
    return [upscaler_of(engine.models.find(ref)) for ref in refs]


def upscale_to(
    networks: Sequence[Upscaler], image: ImageArray, size: int | None, *, tile: int = TILE, turn: Turn[Any] | None = None
) -> ImageArray:
    """Enlarge a picture by some upscalers in turn until its longest side is ``size``; what is too much is taken back by Lanczos.

    Args:
        networks: The upscalers; those that are not needed any more are left out.
        image: ``uint8 [H, W, 3 or 4]``.
        size: Longest side of the result, pixels; None: what all of them make of it.
        tile: Side of a tile in pixels of the small picture.
        turn: Runs the pieces of the work one by one.

    Returns:
        ``uint8 [h, w, 3 or 4]``; Lanczos enlarges the rest where the networks do not reach ``size``.

    Raises:
        RecipeError: The result would be too large.
    """
    for network in networks:
        if size is not None and max(image.shape[:2]) >= size:
            break
        image = upscale(network, image, tile=tile, turn=turn)
    return fit(image, size)


def enlarger(networks: Sequence[Upscaler]) -> Callable[[ImageArray, int, int], ImageArray] | None:
    """Return what makes a picture so many pixels wide and high with some upscalers; None without any."""
    if not networks:
        return None
    return lambda image, width, height: resize(upscale_to(networks, image, max(width, height)), width, height)


def upscale(network: Upscaler, image: ImageArray, *, tile: int = TILE, turn: Turn[Any] | None = None) -> ImageArray:
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
    device = next(network.parameters()).device
    colours = torch.from_numpy(np.ascontiguousarray(image[..., :3].transpose(2, 0, 1))[None]).to(device).float() / 255
    step = network.unshuffle
    padded = F.pad(colours, (0, -image.shape[1] % step, 0, -image.shape[0] % step), mode="replicate")
    made = enlarge(network, padded, tile=tile, turn=turn)[0, :, :height, :width]
    flat = (made.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    if image.shape[2] == 3:
        return np.ascontiguousarray(flat)
    alpha = resize(np.repeat(image[..., 3:], 3, 2), width, height)[..., :1]
    return np.concatenate([flat, alpha], 2)


def enlarge(network: Upscaler, img: Tensor, *, tile: int = TILE, turn: Turn[Any] | None = None) -> Tensor:
    """Run an upscaler in tiles.

    Args:
        network: The upscaler.
        img: ``[1, 3, H, W]``, values in [0, 1]; both sides multiples of ``unshuffle``.
        tile: Side of a tile in features.
        turn: Runs the pieces of the work one by one.

    Returns:
        What ``network(img)`` gives, up to rounding.
    """
    take = turn or _at_once

    def tiled(run: Callable[[Tensor], Tensor], x: Tensor, *, reach: int | None, factor: int = 1) -> Tensor:
        if reach is None:
            whole: Tensor = take(_quietly(lambda: run(x)))
            return whole
        return _tiled(run, x, reach=reach, tile=tile, turn=take, factor=factor)

    with torch.no_grad():  # for the sums between the pieces
        return network.in_tiles(img, tiled)


def _tiled(run: Callable[[Tensor], Tensor], x: Tensor, *, reach: int, tile: int, turn: Turn[Any], factor: int) -> Tensor:
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
