"""FID's own features: the network of 2015 out of torchvision's parts, only from the right file, read without running it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from studio.errors import TrainingError
from studio.training import inception


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.set_num_threads(1)
    network = inception.build()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.dim() > 1:
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * (2 / tensor[0].numel()) ** 0.5)
            elif tensor.is_floating_point():
                base = 0.5 if name.endswith(("running_var", "weight")) else 0.0
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.5 + base)
    return network


@pytest.fixture
def file(network: torch.nn.Module, tmp_path: Path) -> Path:
    weights = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    torch.save(weights, tmp_path / "inception.pth")
    return tmp_path / "inception.pth"


def test_it_computes_what_torch_fidelity_computes_from_the_same_file(network: torch.nn.Module, file: Path) -> None:
    fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3", reason="needs torch-fidelity, which is absent")
    theirs = fidelity.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(file))
    img = torch.randint(0, 256, (1, 3, 299, 299), generator=torch.Generator().manual_seed(1))
    assert torch.allclose(theirs(img.byte())[0], inception.features(network, img.float()), atol=1e-4)


def test_another_file_is_refused_with_the_name_of_the_right_one(file: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="6726825d"):
        inception.load_inception(file)
    with pytest.raises(TrainingError, match="no such file"):
        inception.load_inception(tmp_path / "nothing.pth")


def test_the_right_file_gives_features_of_any_size_of_picture(
    network: torch.nn.Module, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from studio.checkpoints.digest import file_sha256

    monkeypatch.setattr(inception, "SHA256", file_sha256(file))
    images = np.random.default_rng(0).integers(0, 256, (2, 24, 24, 3), dtype=np.uint8)
    found = inception.load_inception(file)(images)
    assert found.shape == (2, 2048)
    assert found.dtype == torch.float64
    whole = torch.stack([inception.resized(image) for image in images])
    assert torch.allclose(found, inception.features(network, whole).double(), atol=1e-4)


def test_resizing_keeps_a_flat_picture_flat_and_does_not_round() -> None:
    flat = np.full((50, 40, 3), (10, 100, 200), np.uint8)
    assert torch.allclose(inception.resized(flat), torch.tensor([10.0, 100.0, 200.0])[:, None, None].expand(3, 299, 299), atol=1e-3)
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None], 64, 0).repeat(3, 2)
    assert (inception.resized(ramp) % 1).abs().max() > 0.1
