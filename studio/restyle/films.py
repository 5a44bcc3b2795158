"""What a film asks of a network: statistics taken once for a whole shot, so that its colours do not pulse from frame to frame.

An instance norm looks at the whole picture, so a bird that flies in changes the sky. Sample frames of a shot, laid under one
another as one tall picture, are sent through the network, and what its norms find there holds for every frame of the shot. This
is *not* where a film is read or cut up (``film_restyle``), nor where what still flickers is smoothed (``steadying.py``).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.errors import DeviceError
from studio.models.translator_layers import BatchNorm
from studio.restyle import frozen, memory, streaming
from studio.restyle.geometry import Image, image_to_img, img_to_image, padded_side, working_size
from studio.restyle.parts import Moments, Parts
from studio.restyle.picture import Photo, Steps, check_channels, fast_parts
from studio.restyle.plain import PlainParts
from studio.restyle.stores import Memory

NORMS = (nn.InstanceNorm2d, nn.BatchNorm2d)


def depends_on_picture(net: Any) -> bool:
    """Say whether a norm of a translator looks at the picture, so that frames of a film may pulse."""
    own = net.norm_mode == "published"
    return any(isinstance(layer, nn.InstanceNorm2d) or (own and isinstance(layer, nn.BatchNorm2d)) for layer in net.modules())


def hold(
    net: Any, frames: Sequence[Image], *, forward: Any = None, texture_scale: float = 1.0, max_memory: int | None = None
) -> Steps[Any]:
    """Make a copy of a translator whose norms use the statistics of some frames together.

    Args:
        net: The translator; ``norm_mode`` is followed.
        frames: Sample frames of a shot, ``[H, W, 3]`` each.
        forward: A fast path of it, if there is one.
        texture_scale: As the frames will be restyled.
        max_memory: Most memory to use, in bytes; fewer frames are taken where they do not fit.

    Yields:
        The share that is done.

    Returns:
        A translator that gives each of these frames as if they were one picture; ``net`` itself if no norm looks at the picture.

    Raises:
        DeviceError: Not even one frame fits into the memory.
        StudioError: The network does not take or give RGB or greyscale.
    """
    check_channels(net)
    if not depends_on_picture(net):
        return net
    seen = [_seen(net, frame, texture_scale) for frame in frames]
    if net.family != "resnet" or not memory.can_stream(net):
        yield 0.0
        return _held_whole(net, seen)
    own = net.norm_mode == "published"
    parts = _Recorder(fast_parts(forward) or PlainParts(net))
    while True:
        photo = Photo(net, np.concatenate(seen))
        try:
            plan = memory.plan(net, *photo.image.shape[:2], max_memory=max_memory, itemsize=parts.dtype.itemsize)
        except DeviceError:
            plan = None
        if len(seen) == 1 or (plan is not None and plan.way != "tiled"):
            break
        seen = seen[:: -(-len(seen) // max(1, len(seen) // 2))]
    if plan is None or plan.way == "tiled":
        yield 0.0
        tiles = frozen.sample_tiles(photo, photo.height, photo.width, count=frozen.MOST_SAMPLES)
        return frozen.freeze(net, frozen.measure(net, tiles))
    layout = streaming.Layout(photo.height, photo.width, plan.strip_pixels, keep=plan.keep or Memory, own=own)
    stages = 1 + 2 * int(net.config["n_downs"]) + 2 * int(net.config["n_blocks"])
    with torch.no_grad():
        for share in streaming.stream(parts, net.config, photo, _ignore, layout):
            yield share
            if len(parts.found) == stages:
                break
    return _frozen(net, [parts.found[stage] for stage in range(stages)])


class _Recorder:
    """Pieces of a network that remember the moments that its norms were given."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.dtype, self.device = parts.dtype, parts.device
        self.found: dict[int, Moments] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parts, name)

    def affine(self, stage: int, moments: Moments | None, *, gain: float = 1.0) -> Any:
        assert moments is not None, "every norm of such a network looks at the picture"
        self.found[stage] = moments
        return self._parts.affine(stage, moments, gain=gain)


def _ignore(_: int, __: Tensor) -> None:
    """Take the result of a run that was only measured."""


def _frozen(net: Any, found: list[Moments]) -> Any:
    """Build the copy. Moments are those of convolutions without their bias, so a bias that the copy keeps is added."""
    convs = [layer for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))]
    statistics = []
    for conv, moments in zip(convs, found, strict=False):
        mean, variance = moments.mean[: conv.out_channels].cpu(), (moments.deviations / moments.count)[: conv.out_channels].cpu()
        statistics.append((mean if conv.bias is None else mean + conv.bias.cpu(), variance))
    return frozen.freeze(net, statistics)


def _seen(net: Any, frame: Image, texture_scale: float) -> Image:
    """Return a frame at the size at which the network will see it."""
    height, width = working_size(net, *frame.shape[:2], texture_scale=texture_scale)
    if (height, width) == frame.shape[:2]:
        return frame
    small = F.interpolate(image_to_img(frame), size=(height, width), mode="bicubic", antialias=True, align_corners=False)
    return img_to_image(small.clamp_(-1, 1))


@torch.no_grad()
def _held_whole(net: Any, frames: Sequence[Image]) -> Any:
    """Hold a network that cannot be streamed, such as a U-Net: the frames, side by side in a batch, go through at once."""
    twin = copy.deepcopy(net).eval().requires_grad_(False)
    for parent in list(twin.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, NORMS):
                setattr(parent, name, _as_batch_norm(layer))
    norms = [layer for layer in twin.modules() if isinstance(layer, BatchNorm)]
    found: dict[BatchNorm, tuple[Tensor, Tensor]] = {}

    def remember(norm: BatchNorm, given: tuple[Tensor]) -> None:
        variance, mean = torch.var_mean(given[0].float(), dim=(0, 2, 3), correction=0)
        found[norm] = (mean, variance)

    hooks = [norm.register_forward_pre_hook(remember) for norm in norms]
    twin.norm_mode = "published"
    photos = [Photo(net, frame) for frame in frames]
    twin(torch.cat([photo.rows(0, padded_side(net, photo.image.shape[0])) for photo in photos]))
    for hook in hooks:
        hook.remove()
    for norm, (mean, variance) in found.items():
        norm.running_mean, norm.running_var = mean, variance
    twin.norm_mode = "eval"
    return twin


def _as_batch_norm(layer: Any) -> BatchNorm:
    """Return a batch norm with the same scale and shift."""
    norm = BatchNorm(layer.num_features, eps=layer.eps)
    for name in ("weight", "bias"):
        values = getattr(layer, name, None)
        if values is not None:
            getattr(norm, name).data.copy_(values)
    return norm.to(next((p.device for p in layer.parameters()), None)).eval().requires_grad_(False)
