"""Fast paths of the image translators: convolutions packed once, everything between them fused into single passes.

On a CPU, in float32 (``exact``) or bfloat16 (``auto``), without a compiler (torch's own, which takes a minute for each size of
picture, gains nothing over these kernels). A bias before a norm that subtracts the mean is dropped, since it
cancels; a transposed convolution becomes two ordinary ones that compute even and odd rows apart. The arithmetic between the
convolutions is float32, statistics are summed per row and finished in float64. This module is *not* about training.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.accel.candidate import Candidate
from studio.accel.kernels_translators import KERNELS, REFLECT, REPLICATE, ZEROS
from studio.accel.kernels_winograd_bordered import can_convolve
from studio.accel.runtime import bfloat16_wins
from studio.accel.translator_convs import Closing, Stage, bordered, split_precision
from studio.accel.translator_parts import BARE, Border, Raw, empty, round_up
from studio.models.translators import ResnetTranslator, UnetTranslator

MODES = {"zeros": ZEROS, "reflect": REFLECT, "replicate": REPLICATE}


def candidates(net: Any, precision: str, device: torch.device) -> list[Candidate]:
    """Return the fast paths of a translator, quickest to prepare first.

    In the automatic mode the exact one follows, for networks that bfloat16 does not serve well enough.

    Args:
        net: A :class:`ResnetTranslator` or :class:`UnetTranslator` in eval mode.
        precision: "exact" (float32) or "auto" (bfloat16 or float16 where the device has fast units for it).
        device: Where the network is.
    """
    if device.type != "cpu":
        return [Candidate("half", lambda: halved(net, torch.float16))] if precision == "auto" and device.type == "cuda" else []
    path = FastResnet if net.family == "resnet" else FastUnet
    if precision == "exact" or not bfloat16_wins():
        return [Candidate("numba", lambda: path(net, torch.float32))]
    return [Candidate("numba", lambda: path(net, torch.bfloat16)), Candidate("numba-exact", lambda: path(net, torch.float32))]


NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d, nn.Identity)

Step = Callable[[Border], Tensor]
"""An activation that is still to be written, once the border that the next layer wants is known."""


class FastResnet:
    """A :class:`ResnetTranslator` on a CPU, with its own copy of the weights; ``norm_mode`` and dropout are followed."""

    def __init__(self, net: ResnetTranslator, dtype: torch.dtype) -> None:
        self.net, self.dtype, self.config = net, dtype, net.config
        downs, blocks = self.config["n_downs"], self.config["n_blocks"]
        self.is_bordered = dtype == torch.float32 and can_convolve(round_up(self.config["ngf"] << downs))
        layers = [layer for part in net.model.children() for layer in getattr(part, "conv_block", [part])]
        convs: list[Any] = [layer for layer in layers if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))]
        norms = [layer for layer in layers if isinstance(layer, NORMS)]
        self.stages: list[Stage] = []
        for index, (conv, norm) in enumerate(zip(convs[:-1], norms, strict=True)):
            is_bordered = self.is_bordered and downs < index <= downs + 2 * blocks
            self.stages.append(Stage(conv, norm, dtype, is_first=index == 0, is_bordered=is_bordered))
        self.closing = Closing(convs[-1], dtype)

    def __call__(self, img: Tensor) -> Tensor:
        """Translate ``img``, as the network does."""
        return _one_by_one(self.net, self._translate, img)

    def _translate(self, img: Tensor) -> Tensor:
        own, downs, blocks = self.net.norm_mode == "published", self.config["n_downs"], self.config["n_blocks"]
        stages = iter(self.stages)
        padded = F.pad(split_precision(img, self.dtype), (3, 3, 3, 3), mode="reflect").contiguous(memory_format=torch.channels_last)
        step: Step = next(stages)(padded, own=own).write
        for _ in range(downs):
            step = self._down(step, next(stages), own)
        size = (img.shape[2] >> downs, img.shape[3] >> downs)
        for _ in range(blocks):
            step = self._block(step, next(stages), next(stages), own, size)
        for _ in range(downs):
            step = self._up(step, next(stages), own)
        return self.closing(step(Border.around(3, REFLECT)))

    def _down(self, step: Step, stage: Stage, own: bool) -> Step:
        raw = stage(step(BARE), own=own)
        if self.config["downsample"] == "strided":
            return raw.write

        def blur(border: Border) -> Tensor:
            height, width = raw.values.height, raw.values.width
            rows, columns = border.top + height // 2 + border.bottom, border.left + width // 2 + border.right
            out = empty(rows, columns, raw.channels, self.dtype)
            KERNELS[self.dtype].blur_down(rows, raw.values.addresses[0], raw.affine, out, height, width, raw.channels, *border)
            return out

        return blur

    def _block(self, step: Step, first: Stage, second: Stage, own: bool, size: tuple[int, int]) -> Step:
        mode = MODES[self.config["block_padding"]]
        border = bordered(*size, mode) if self.is_bordered else _padding(mode)
        x = step(border)
        raw = second(first(x, own=own, size=size).write(border), own=own, size=size)
        return lambda after: raw.write(after, slope=1.0, residual=x, inset=border.top)

    def _up(self, step: Step, stage: Stage, own: bool) -> Step:
        kind = self.config["upsample"]
        if kind == "transposed":
            return stage(step(stage.border), own=own).write
        x = step(BARE)
        padding = _padding(MODES[self.config["resize_padding"]]).top if kind == "resize" else 0
        near = 1.0 if kind == "resize" and self.config["resize_mode"] == "nearest" else 0.75
        height, width = x.shape[2:]
        out = empty(2 * (height + padding), 2 * (width + padding), x.shape[1], self.dtype)
        KERNELS[self.dtype].enlarge(out.shape[2], x, out, height, width, x.shape[1], near, padding, REFLECT)
        return stage(out, own=own).write


class FastUnet:
    """A :class:`UnetTranslator` on a CPU, with its own copy of the weights; ``norm_mode`` and dropout are followed."""

    def __init__(self, net: UnetTranslator, dtype: torch.dtype) -> None:
        self.net, self.dtype = net, dtype
        self.downs: list[Stage] = []
        self.ups: list[Stage] = []
        level: Any = net.model
        while level is not None:
            layers = list(level.model)
            deeper = next((layer for layer in layers if hasattr(layer, "model")), None)
            for index, layer in enumerate(layers):
                behind = layers[index + 1] if index + 1 < len(layers) else None
                norm = behind if isinstance(behind, NORMS) else nn.Identity()
                if isinstance(layer, nn.ConvTranspose2d):
                    halves = 1 if deeper is None else 2
                    self.ups.append(Stage(layer, norm, dtype, input_parts=halves))
                elif isinstance(layer, nn.Conv2d):
                    self.downs.append(Stage(layer, norm, dtype, is_first=level is net.model))
            level = deeper

    def __call__(self, img: Tensor) -> Tensor:
        """Translate ``img``, as the network does."""
        return _one_by_one(self.net, self._translate, img)

    def _translate(self, img: Tensor) -> Tensor:
        own = self.net.norm_mode == "published"
        x = split_precision(img, self.dtype).contiguous(memory_format=torch.channels_last)
        skips: list[Raw] = []
        for stage in self.downs:
            skips.append(stage(x, own=own))
            if stage is not self.downs[-1]:
                x = skips[-1].write(slope=0.2)
        x = skips.pop().write(self.ups[-1].border)
        for stage in reversed(self.ups[1:]):
            x = _beside(skips.pop(), stage(x, own=own), self.ups[0].border)
        values = self.ups[0](x, own=own).write(slope=1.0)[:, : self.net.img_channels_out]
        return values.float().contiguous().tanh_()


def _padding(mode: int) -> Border:
    """Return what a 3x3 convolution of the CPU library wants around its input; zeros it adds itself."""
    return BARE if mode == ZEROS else Border.around(1, mode)


def _beside(skip: Raw, result: Raw, border: Border) -> Tensor:
    """Write ``max(0, v)`` of both, one after the other in the channels of one tensor with a border of zeros."""
    height, width = skip.values.height + 2 * border.top, skip.values.width + 2 * border.top
    out = empty(height, width, skip.channels + result.channels, skip.values.dtype)
    skip.write(border, out=out)
    return result.write(border, out=out, first=skip.channels)


def _one_by_one(net: Any, translate: Callable[[Tensor], Tensor], img: Tensor) -> Tensor:
    """Run ``translate`` on each picture, or the network itself where it does what fast paths do not (dropout, training)."""
    if net.dropout_on or net.training:
        result: Tensor = net(img)
        return result
    net.check_input(img)
    with torch.no_grad():
        return torch.cat([translate(one) for one in torch.split(img, 1)])


def halved(net: Any, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """Return a copy of the network with convolutions in ``dtype`` and norms in float32, channels last."""
    twin = copy.deepcopy(net).to(memory_format=torch.channels_last)
    for layer in twin.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            layer.to(dtype)

    def run(img: Tensor) -> Tensor:
        twin.norm_mode, twin.dropout_on, twin.dropout_seed = net.norm_mode, net.dropout_on, net.dropout_seed
        with torch.no_grad():
            result: Tensor = twin(img.to(dtype, memory_format=torch.channels_last))
        return result.float().contiguous()

    return run
