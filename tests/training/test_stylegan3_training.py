"""StyleGAN3 through the same loop: it learns, resumes bit for bit, opens, and config r begins softly."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from studio import checkpoints
from studio.checkpoints import ModelCard
from studio.training import export, families, loop, presets
from studio.training.settings import Settings
from studio.training.softening import Softening
from studio.training.trainer import Clock


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    rng = np.random.default_rng(0)
    for name in ("apple", "pear"):
        (tmp_path / "fruit" / name).mkdir(parents=True)
        for k in range(3):
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(tmp_path / "fruit" / name / f"{k}.png")
    return Settings(
        "stylegan3",
        (str(tmp_path / "fruit"),),
        name="free",
        folder=str(tmp_path / "run"),
        resolution=16,
        batch=2,
        channel_base=256,
        channel_max=8,
        z_dim=8,
        w_dim=8,
        precision="fp32",
        kimg=0.006,
    )


def run(settings: Settings, steps: int | None = None) -> dict[str, torch.Tensor]:
    asked = iter(range(1000))
    list(loop.train(settings, should_stop=lambda: steps is not None and next(asked) >= steps))
    found = loop.run_folder(settings).read_newest_state()
    assert found is not None
    return found[0]


@pytest.mark.parametrize("family", ["stylegan3", "stylegan3-r"])
def test_a_run_changes_the_weights_resumes_bit_for_bit_and_opens(family: str, settings: Settings, tmp_path: Path) -> None:
    settings = dataclasses.replace(settings, family=family)
    whole = run(settings)
    broken = dataclasses.replace(settings, folder=str(tmp_path / "broken"))
    run(broken, steps=1)
    parts = run(broken)
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())
    fresh = presets.build_trainer(presets.resolve(settings)).state()[0]
    moved = [name for name in fresh if name.startswith("G/synthesis.L") and name.endswith("weight")]
    assert moved
    assert all(not torch.equal(fresh[name], whole[name]) for name in moved)
    assert all(torch.isfinite(value).all() for value in whole.values())
    (file,) = export.export(tmp_path / "run", tmp_path, ModelCard())
    network: Any = checkpoints.load(file, device="cpu")
    assert (network.family, network.card.classes) == ("stylegan3", ("apple", "pear"))
    assert network(torch.zeros(1, 8), torch.eye(2)[:1]).shape == (1, 3, 16, 16)


def test_the_two_configs_differ_in_their_filters_and_the_start_of_config_r_is_soft(settings: Settings) -> None:
    described = {name: families.FAMILIES[name] for name in ("stylegan3", "stylegan3-r")}
    t, r = (family.generator(presets.resolve(settings), 0, 3)[1] for family in described.values())
    assert (t.get("conv_kernel", 3), r["conv_kernel"], r["use_radial_filters"]) == (3, 1, True)
    assert [family.numbers["blur_init_sigma"] for family in described.values()] == [0.0, 10.0]
    assert all(family.numbers["style_mixing"] == 0.0 for family in described.values())


def softening(settings: Settings, **clock: float) -> Softening:
    made = Softening(presets.resolve(dataclasses.replace(settings, family="stylegan3-r", resolution=128)))
    made.follow(Clock(0, int(clock.get("cur_nimg", 0)), clock.get("progress", 0.0)))
    return made


def test_the_blur_falls_to_nothing_and_then_returns_the_picture_itself(settings: Settings) -> None:
    sigmas = [softening(settings, progress=p).sigma for p in (0.0, 0.1, 0.2, 0.5)]
    assert sigmas == [5.0, 2.5, 0.0, 0.0]
    img = torch.rand(1, 3, 8, 8)
    assert softening(settings, progress=1.0)(img) is img
    assert softening(settings, cur_nimg=1e9)(img) is img


def test_the_blur_keeps_flat_pictures_and_lowers_contrast_without_moving_anything(settings: Settings) -> None:
    soft = softening(settings)
    flat = torch.full((1, 3, 16, 16), 0.3)
    assert torch.allclose(soft(flat), flat, atol=1e-6)
    spot = torch.zeros(1, 1, 65, 65)
    spot[..., 32, 32] = 1
    blurred = soft(spot)
    assert abs(float(blurred.sum()) - 1) < 1e-5
    assert torch.allclose(blurred, blurred.flip(2), atol=1e-8)
    places = torch.arange(65) - 32.0
    assert abs(float((blurred[0, 0].sum(0) * places.square()).sum().sqrt()) - soft.sigma) < 0.1


def test_a_member_of_a_team_agrees_on_everything_that_follows_the_data(settings: Settings) -> None:
    from studio.training import gan

    trainer = presets.build_trainer(presets.resolve(settings))
    names = [name for name, _ in trainer.G.named_buffers() if name.endswith(gan.RUNNING)]  # type: ignore[attr-defined]
    assert "mapping.w_avg" in names
    assert any(name.endswith("magnitude_ema") for name in names)
