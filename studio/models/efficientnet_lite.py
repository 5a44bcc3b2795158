"""EfficientNet-Lite0: a network that has learnt to see on photographs, used frozen, for its features.

Batch norms are folded into the convolutions, so there is nothing left to train or to switch. Where its weights come from is
*not* known here: see ``studio/features``.

Reference:
    Tan and Le 2019, "EfficientNet"; the Lite variant leaves out squeeze-and-excitation and swish (TensorFlow authors 2020).
"""

from __future__ import annotations

from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCKS = (
    # kernel, channels, stride
    *((3, 16, 1),),
    *((3, 24, 2), (3, 24, 1)),
    *((5, 40, 2), (5, 40, 1)),
    *((3, 80, 2), (3, 80, 1), (3, 80, 1)),
    *((5, 112, 1), (5, 112, 1), (5, 112, 1)),
    *((5, 192, 2), (5, 192, 1), (5, 192, 1), (5, 192, 1)),
    *((3, 320, 1),),
)
"""The inverted residual blocks in order."""
STEM = 32
EXPANSION = 6
"""How many times wider a block is inside; the first one is not."""
HEAD = 1280
CLASSES = 1000
TAPS = ("block2", "block4", "block10", "block15")
"""The usual features: 24, 40, 112 and 320 channels at 1/4, 1/8, 1/16 and 1/32 of the picture's side."""


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's ``SAME``: an odd pixel of padding goes below and to the right."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel, stride=stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x [n, in, h, w]`` to ``[n, out, ceil(h / stride), ceil(w / stride)]``."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        down, across = (max(0, (-(-side // stride) - 1) * stride + kernel - side) for side in x.shape[2:])
        if down % 2 or across % 2:
            x, padding = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2)), (0, 0)
        else:
            padding = (down // 2, across // 2)
        return F.conv2d(x, self.weight, self.bias, stride, padding, 1, self.groups)


class InvertedResidual(nn.Module):
    """Widen, look around channel by channel, narrow again (Sandler et al. 2018); the input is added where the shapes agree."""

    def __init__(self, in_channels: int, out_channels: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = in_channels * expansion
        self.expand = SameConv(in_channels, width, 1) if expansion > 1 else None
        self.depthwise = SameConv(width, width, kernel, stride=stride, groups=width)
        self.project = SameConv(width, out_channels, 1)
        self.is_residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``x [n, in, h, w]`` to the widened map ``[n, 6 in, h, w]`` and the block's output ``[n, out, h / stride, w / stride]``."""
        wide = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(wide)))
        return wide, x + y if self.is_residual else y


class EfficientNetLite0(nn.Module):
    """The network: ``forward(img, wanted)`` gives features by name. It has 4.6 million numbers and costs 0.13 GFLOP for 128 px.

    Names of features: ``stem`` (32 channels at 1/2), ``expandN`` (inside block N, widened, after its activation), ``blockN`` (behind
    block N, 0 to 15), ``head`` (1280 channels at 1/32). Bf16 weights (``network.to(torch.bfloat16)``) give bf16 features.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, STEM, 3, stride=2)
        blocks, width = [], STEM
        for number, (kernel, channels, stride) in enumerate(BLOCKS):
            blocks.append(InvertedResidual(width, channels, kernel=kernel, stride=stride, expansion=EXPANSION if number else 1))
            width = channels
        self.blocks = nn.ModuleList(blocks)
        self.head = SameConv(width, HEAD, 1)
        self.fc = nn.Linear(HEAD, CLASSES)

    def forward(self, img: Tensor, wanted: Collection[str] = TAPS) -> dict[str, Tensor]:
        """Return the wanted features of ``img [n, 3, H, W]`` in [-1, 1]; nothing behind the last of them is computed."""
        unknown = set(wanted)
        levels = img * (127.5 / 128) + 0.5 / 128  # (255 levels - 127) / 128, what the network was trained on
        x = F.relu6(self.stem(levels.to(self.stem.weight.dtype, memory_format=torch.channels_last)))
        found = {"stem": x}
        for number, block in enumerate(self.blocks):
            if not unknown - found.keys():
                break
            found[f"expand{number}"], x = block(x)
            found[f"block{number}"] = x
        if "head" in unknown:
            found["head"] = F.relu6(self.head(x))
        assert unknown <= found.keys(), unknown - found.keys()
        return {name: found[name] for name in wanted}

    def pooled(self, img: Tensor) -> Tensor:
        """Return one vector for each of ``img [n, 3, H, W]``: the mean of the head's map, float32 ``[n, 1280]``."""
        head: Tensor = self(img, ("head",))["head"]
        return head.float().mean((2, 3))

    def classify(self, img: Tensor) -> Tensor:
        """Return the probabilities of ImageNet's classes, float32 ``[n, 1000]``."""
        logits: Tensor = self.fc(self.pooled(img).to(self.fc.weight.dtype))
        return logits.float().softmax(1)
