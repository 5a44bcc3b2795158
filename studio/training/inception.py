"""The features that FID and KID are defined by: the Inception network of 2015, from a file that the user has.

The weights are not ours to ship. The file is ``pt_inception-2015-12-05-6726825d.pth`` (or ``weights-inception-...``), which pytorch-fid
and torch-fidelity use; its SHA-256 is checked, and it is read without running anything in it. Pictures are resized as
Parmar et al. 2022 ("On Aliased Resizing", clean-fid) advise: bicubic, antialiased, in floating point.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import inception as tv

from studio.checkpoints.contents import read_contents
from studio.checkpoints.digest import file_sha256
from studio.checkpoints.opening import named_errors, opened
from studio.errors import TrainingError

UInt8 = npt.NDArray[np.uint8]

SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
SIDE = 299
BATCH = 16
CLASSES = 1008


class _PoolA(tv.InceptionA):
    """Block A of 2015: the average leaves out the padding."""

    def _forward(self, x: Tensor) -> list[Tensor]:
        five, three = self.branch5x5_2(self.branch5x5_1(x)), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        return [self.branch1x1(x), five, self.branch3x3dbl_3(three), self.branch_pool(_mean(x))]


class _PoolC(tv.InceptionC):
    """Block C of 2015: the average leaves out the padding."""

    def _forward(self, x: Tensor) -> list[Tensor]:
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = x
        for layer in (self.branch7x7dbl_1, self.branch7x7dbl_2, self.branch7x7dbl_3, self.branch7x7dbl_4, self.branch7x7dbl_5):
            double = layer(double)
        return [self.branch1x1(x), single, double, self.branch_pool(_mean(x))]


class _PoolE(tv.InceptionE):
    """Block E of 2015: the average leaves out the padding; the last block takes the largest instead."""

    takes_largest = False

    def _forward(self, x: Tensor) -> list[Tensor]:
        three, double = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        wide = torch.cat([self.branch3x3_2a(three), self.branch3x3_2b(three)], 1)
        deep = torch.cat([self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)], 1)
        pooled = F.max_pool2d(x, 3, stride=1, padding=1) if self.takes_largest else _mean(x)
        return [self.branch1x1(x), wide, deep, self.branch_pool(pooled)]


def _mean(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def build() -> nn.Module:
    """Build the network with torchvision's parts and the names of the file; its weights are not set."""
    blocks: list[Callable[..., nn.Module]] = [
        tv.BasicConv2d,
        _PoolA,
        tv.InceptionB,
        _PoolC,
        tv.InceptionD,
        _PoolE,
        tv.InceptionAux,
    ]
    network = tv.Inception3(num_classes=CLASSES, aux_logits=False, inception_blocks=blocks, init_weights=False)
    last = network.get_submodule("Mixed_7c")
    assert isinstance(last, _PoolE)
    last.takes_largest = True
    network.fc = nn.Linear(2048, CLASSES)
    return network.eval().requires_grad_(False)


def features(network: nn.Module, img: Tensor) -> Tensor:
    """Return the pooled features ``[n, 2048]`` of pictures ``[n, 3, 299, 299]`` in levels from 0 to 255."""
    kept: list[Tensor] = []
    hook = network.get_submodule("avgpool").register_forward_hook(lambda module, given, result: kept.append(result))
    try:
        network((img - 128) / 128)
    finally:
        hook.remove()
    return kept[0].flatten(1)


def load_inception(path: Path) -> Callable[[UInt8], Tensor]:
    """Read the standard file and return what turns pictures ``[n, H, W, 3]`` into features ``[n, 2048]``, float64.

    Raises:
        TrainingError: It is not there, or another file.
    """
    path = path.expanduser()
    if not path.is_file():
        raise TrainingError(f"{path}: there is no such file. inception must be the path of the standard Inception file.")
    if file_sha256(path) != SHA256:
        raise TrainingError(
            f"{path.name} is not the standard Inception file (pt_inception-2015-12-05-6726825d.pth): its SHA-256 differs. "
            "Get that file, or leave it out; figures of another network would not be FID."
        )
    network = build()
    with named_errors(path.name), opened(path) as source:
        weights = {name: torch.from_numpy(tensor.read()) for name, tensor in read_contents(source.data).value.items()}
        network.load_state_dict(weights, strict=False)  # the file has no counters of batches
        missing = {name for name in network.state_dict() if not name.endswith("num_batches_tracked")} - weights.keys()
        assert not missing, missing
    return lambda images: _all_features(network, images)


@torch.inference_mode()
def _all_features(network: nn.Module, images: UInt8) -> Tensor:
    parts = [images[i : i + BATCH] for i in range(0, len(images), BATCH)]
    return torch.cat([features(network, torch.stack([resized(image) for image in part])) for part in parts]).double()


def resized(image: UInt8) -> Tensor:
    """Bring one picture ``[H, W, 3]`` to ``[3, 299, 299]`` in levels, bicubic with antialiasing, not rounded."""
    planes = [Image.fromarray(np.ascontiguousarray(image[..., k], np.float32), mode="F") for k in range(3)]
    return torch.from_numpy(np.stack([np.asarray(plane.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for plane in planes]))
