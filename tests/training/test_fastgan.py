"""FastGAN: what its parts promise, and a run that learns, resumes bit for bit and opens in the studio."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from studio import checkpoints
from studio.checkpoints import ModelCard
from studio.errors import StudioError
from studio.models.common import LatentGenerator, build
from studio.models.fastgan import SkipLayerExcitation, quarter
from studio.training import export, loop, presets, self_supervision
from studio.training.settings import Settings


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def generator(resolution: int = 32, img_channels: int = 3) -> Any:
    torch.manual_seed(0)
    widths = [8] * (resolution.bit_length() - 2)
    return build("fastgan", {"z_dim": 6, "c_dim": 0, "img_resolution": resolution, "img_channels": img_channels, "channels": widths}).eval()


def judge(resolution: int = 32) -> Any:
    torch.manual_seed(0)
    widths = [8] * (resolution.bit_length() - 2)
    return build("fastgan-discriminator", {"c_dim": 0, "img_resolution": resolution, "img_channels": 3, "channels": widths})


@pytest.mark.parametrize(("resolution", "img_channels"), [(8, 1), (16, 3), (32, 4), (64, 3)])
def test_the_generator_serves_the_protocol_at_every_size(resolution: int, img_channels: int) -> None:
    G = generator(resolution, img_channels)
    assert isinstance(G, LatentGenerator)
    img = G.synthesis(G.mapping(torch.randn(2, 6)))
    assert img.shape == (2, img_channels, resolution, resolution)
    assert img.abs().max() <= 1
    with pytest.raises(StudioError, match="this model needs"):
        G.synthesis(torch.zeros(1, 2, 6))


def test_a_picture_does_not_depend_on_its_batch() -> None:
    G, z = generator(), torch.randn(5, 6)
    assert torch.allclose(G(z)[2:3], G(z[2:3]), atol=1e-6)


def test_coarse_features_switch_whole_channels_between_off_and_on() -> None:
    skip = SkipLayerExcitation(4, 6)
    low, high = torch.randn(2, 4, 8, 8), torch.randn(2, 6, 32, 32)
    ratio = skip(low, high) / high
    assert torch.allclose(ratio, ratio.mean((2, 3), keepdim=True).expand_as(ratio), atol=1e-4)
    assert ratio.min() > 0 and ratio.max() < 1


def test_every_layer_takes_part_in_the_picture() -> None:
    G = generator(64).train()
    G(torch.randn(4, 6)).square().sum().backward()
    assert [name for name, value in G.named_parameters() if value.grad is None or not value.grad.any()] == []


@pytest.mark.parametrize("resolution", [16, 32, 256])
def test_the_discriminator_rebuilds_the_whole_and_a_quarter_of_what_it_sees(resolution: int) -> None:
    D, img = judge(resolution), torch.rand(2, 3, resolution, resolution)
    logits, whole, part = D.judge_and_rebuild(img, torch.tensor([0, 3]))
    side = min(resolution, 128)
    assert (logits.shape, whole.shape, part.shape) == ((2, 25), (2, 3, side, side), (2, 3, side // 2, side // 2))


def test_quarters_are_numbered_in_reading_order() -> None:
    img = torch.arange(16.0).view(1, 1, 4, 4).expand(4, 1, 4, 4)
    cut = quarter(img, torch.arange(4))
    assert [float(piece[0, 0, 0]) for piece in cut] == [0, 2, 8, 10]


def test_rebuilding_is_zero_for_the_picture_itself_and_sees_edges_beyond_colours() -> None:
    img = torch.rand(2, 3, 16, 16)
    assert self_supervision.rebuilding(img, img) == 0
    shifted, shuffled = img + 0.1, img.flip(3)
    assert abs(float(self_supervision.rebuilding(shifted, img)) - 0.1) < 1e-5
    assert self_supervision.rebuilding(shuffled, img) > (shuffled - img).abs().mean()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    rng = np.random.default_rng(0)
    for name in ("apple", "pear"):
        (tmp_path / "fruit" / name).mkdir(parents=True)
        for k in range(3):
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(tmp_path / "fruit" / name / f"{k}.png")
    return Settings(
        "fastgan",
        (str(tmp_path / "fruit"),),
        name="few",
        folder=str(tmp_path / "run"),
        resolution=16,
        batch=4,
        channel_base=128,
        channel_max=8,
        z_dim=8,
        kimg=0.016,
    )


def run(settings: Settings, steps: int | None = None) -> dict[str, torch.Tensor]:
    asked = iter(range(1000))
    list(loop.train(settings, should_stop=lambda: steps is not None and next(asked) >= steps))
    found = loop.run_folder(settings).read_newest_state()
    assert found is not None
    return found[0]


def test_a_run_changes_every_weight_resumes_bit_for_bit_and_opens_without_classes(settings: Settings, tmp_path: Path) -> None:
    whole = run(settings)
    broken = dataclasses.replace(settings, folder=str(tmp_path / "broken"))
    run(broken, steps=2)
    parts = run(broken)
    assert whole.keys() == parts.keys()
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())
    fresh = presets.build_trainer(presets.resolve(settings)).state()[0]
    learned = [name for name in fresh if name.startswith(("G/", "D/")) and name.endswith("weight")]
    assert len(learned) > 20
    assert all(not torch.equal(fresh[name], whole[name]) for name in learned)
    (file,) = export.export(tmp_path / "run", tmp_path, ModelCard())
    network: Any = checkpoints.load(file, device="cpu")
    assert (network.family, network.card.classes, network.card.resolution) == ("fastgan", (), 16)
    assert network(torch.zeros(1, 8)).shape == (1, 3, 16, 16)


def test_the_published_choices_are_the_defaults(settings: Settings) -> None:
    resolved = presets.resolve(Settings("fastgan", settings.data))
    assert (resolved.loss, resolved.augment, resolved.batch, resolved.g_lr, resolved.beta1) == ("hinge", "diff", 8, 0.0002, 0.5)
    assert presets.build_trainer(presets.resolve(settings)).augment.p == 1.0  # type: ignore[attr-defined]
