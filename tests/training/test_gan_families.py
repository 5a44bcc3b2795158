"""Every family and every objective goes through the one trainer: weights change, stay finite, and resume exactly."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from studio import checkpoints, latents
from studio.checkpoints import ModelCard
from studio.checkpoints.tensors import read_tensors
from studio.errors import TrainingError
from studio.models import common
from studio.training import export, families, loop, losses, objectives, presets
from studio.training.classic import CLASSIC
from studio.training.objectives import LOSSES, Objective
from studio.training.settings import Settings
from studio.training.trainer import Clock, StepRandom, to_image

Make = Callable[..., Settings]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    rng = np.random.default_rng(0)
    for name in ("apple", "pear"):
        (tmp_path / "fruit" / name).mkdir(parents=True)
        for k in range(4):
            Image.fromarray(rng.integers(0, 256, (8, 8, 4), dtype=np.uint8)).save(tmp_path / "fruit" / name / f"{k}.png")
    small = {"resolution": 8, "batch": 4, "channel_base": 64, "channel_max": 8, "z_dim": 8, "w_dim": 8, "kimg": 0.016}

    def settings(family: str, folder: str = "run", **changes: Any) -> Settings:
        return Settings(family, (str(tmp_path / "fruit"),), name="tiny", folder=str(tmp_path / folder), **(small | changes))

    return settings


def run(settings: Settings, *, steps: int | None = None) -> dict[str, torch.Tensor]:
    asked = iter(range(1_000_000))
    list(loop.train(settings, should_stop=lambda: steps is not None and next(asked) >= steps))
    return read_tensors(loop.run_folder(settings).states()[-1])[0]


def assert_learned(settings: Settings, tensors: dict[str, torch.Tensor]) -> None:
    assert all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point())
    fresh = presets.build_trainer(presets.resolve(settings)).state()[0]
    for network in ("G/", "D/", "G_ema/"):
        assert any(not torch.equal(fresh[n], tensors[n]) for n in fresh if n.startswith(network)), network


@pytest.mark.parametrize("family", CLASSIC)
def test_every_family_trains_resumes_exactly_and_opens_in_the_studio(make: Make, family: str, tmp_path: Path) -> None:
    whole, parts = make(family, "whole", img_channels=4, kimg=0.032), make(family, "parts", img_channels=4, kimg=0.032)
    expected = run(whole)
    assert_learned(whole, expected)
    run(parts, steps=1)
    got = run(parts)
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    (file,) = export.export(tmp_path / "whole", tmp_path / "models", ModelCard(licence="CC0-1.0"))
    G: Any = checkpoints.load(file)
    assert (G.family, G.img_channels, G.img_resolution) == (family, 4, 8)
    assert G.card.classes == (("apple", "pear") if G.c_dim else ())
    assert G.config.get("spectral_norm", False) is False
    trainer: Any = presets.build_trainer(presets.resolve(whole))
    trainer.load_state(expected, {"signs": [], "mean_length": 0.0, "augment_p": 0.0})
    shown, labels = trainer.averaged.samples(3)
    c = torch.eye(2)[labels] if G.c_dim else None
    center = latents.class_center(G, torch.zeros(3, 0) if c is None else c)
    ws = latents.truncate(G.mapping(latents.seed_to_z(range(3), G.z_dim), c), center, 0.7)
    assert np.abs(to_image(G.synthesis(ws)).astype(int) - shown).max() <= 8


def test_the_samples_of_a_class_follow_its_own_mean_as_the_weights_change(make: Make) -> None:
    trainer: Any = presets.build_trainer(presets.resolve(make("stylegan2")))
    before, labels = trainer.averaged.samples(4, psi=0.0)
    assert np.array_equal(before[0], before[2]) and np.array_equal(before[1], before[3]), "psi 0 shows the class, not the seed"
    assert labels.tolist() == [0, 1, 0, 1] and not np.array_equal(before[0], before[1])
    trainer.G_ema.mapping.embed.weight.mul_(-1)
    trainer.averaged.changed()
    assert not np.array_equal(trainer.averaged.samples(4, psi=0.0)[0], before)


def test_the_families_that_need_classes_say_so(make: Make, tmp_path: Path) -> None:
    settings = dataclasses.replace(make("cgan"), data=(str(tmp_path / "fruit" / "apple"),))
    with pytest.raises(TrainingError, match="cgan learns classes, but this folder has none"):
        run(settings)


def test_progressive_growing_holds_each_size_and_reaches_the_last_one_in_time() -> None:
    levels = [families.level(progress, 3) for progress in (0, 1 / 12, 1 / 8, 1 / 6, 1 / 4, 0.5, 1)]
    assert levels == pytest.approx([0, 0, 0.5, 1, 1, 3, 3])
    assert sorted(families.level(k / 200, 3) for k in range(201)) == [families.level(k / 200, 3) for k in range(201)]


def test_a_growing_network_is_trained_and_kept_at_the_size_that_the_clock_says(make: Make) -> None:
    tensors = run(make("progan", kimg=0.04), steps=4)
    assert 0 < tensors["G/synthesis.level"].item() < 1
    assert tensors["G/synthesis.level"] == tensors["G_ema/synthesis.level"] == tensors["D/level"]


def test_transparency_is_laid_on_white_in_the_sample_sheet(make: Make) -> None:
    trainer: Any = presets.build_trainer(presets.resolve(make("dcgan", img_channels=4)))
    assert trainer.sample_grid().shape == (6 * 8, 10 * 8, 3)
    assert trainer.quality()["diversity"] > 0


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains_the_style_based_networks(make: Make, loss: str) -> None:
    settings = make("stylegan2", loss=loss, r2_gamma=0.1, gp_weight=1.0, drift_weight=0.001, r1_interval=1)
    assert_learned(settings, run(settings, steps=2))


def test_several_discriminator_steps_count_every_real_picture_and_resume_exactly(make: Make) -> None:
    several = {"d_steps": 2, "loss": "relativistic", "r1_interval": 2, "r2_gamma": 0.1, "lr_floor": 0.1}
    whole, parts = make("stylegan2", "whole", **several), make("stylegan2", "parts", **several)
    expected = run(whole)
    header = read_tensors(loop.run_folder(whole).states()[-1])[1]
    assert (header["step"], header["cur_nimg"]) == (2, 16)
    run(parts, steps=1)
    got = run(parts)
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)


def test_learning_rates_hold_for_half_of_the_time_and_then_fall_to_their_floor(make: Make) -> None:
    trainer: Any = presets.build_trainer(presets.resolve(make("stylegan2", g_lr=0.01, lr_floor=0.2)))
    rates = []
    for progress in (0.0, 0.5, 0.75, 1.0):
        trainer._follow(progress)
        rates.append(trainer.g_optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.01, 0.01, 0.006, 0.002])


def test_an_unknown_loss_is_refused_with_the_known_ones(make: Make) -> None:
    with pytest.raises(TrainingError, match=r"loss='cosine' is not known\. Use one of: minimax, non-saturating"):
        presets.resolve(make("stylegan2", loss="cosine"))


def test_penalties_are_weighed_by_half_gamma_lambda_and_the_interval() -> None:
    slope = torch.tensor([3.0, -4.0])
    objective = Objective("wasserstein", r1_gamma=2.0, r2_gamma=0.5, gp_weight=10.0)
    real, fake = torch.ones(6, 2), torch.zeros(6, 2)
    found = objective.penalties(lambda img: img @ slope, real, fake, lambda: torch.full((6,), 0.5))
    assert {name: round(value.item(), 3) for name, value in found.items()} == {"r1": 25.0, "r2": 25.0, "gradient_penalty": 16.0}
    assert objective.weigh(found, 4).item() == pytest.approx(4 * (25.0 + 6.25 + 160.0))


def test_drift_pulls_the_logits_of_real_pictures_to_zero() -> None:
    real, fake = torch.tensor([3.0, 1.0]), torch.tensor([0.0, 0.0])
    assert Objective("wasserstein", drift_weight=0.1).d_loss(real, fake).item() == pytest.approx(-2.0 + 0.1 * 5.0)


def test_clipped_weights_lie_within_the_clip() -> None:
    D = torch.nn.Linear(50, 3)
    Objective("wasserstein", weight_clip=0.01).clip(D)
    assert max(p.abs().max().item() for p in D.parameters()) <= 0.01


def test_the_orthogonal_penalty_covers_filters_but_no_bias_and_no_embedding() -> None:
    G = torch.nn.ModuleDict({"fc": torch.nn.Linear(2, 2), "embed": torch.nn.Linear(2, 2)})
    torch.nn.init.ones_(G["fc"].weight)  # type: ignore[arg-type]
    found = Objective(orthogonal_weight=0.5).generator_penalty(G, torch.zeros(1))
    assert found is not None
    assert found.item() == pytest.approx(0.5 * losses.orthogonal_penalty(torch.ones(2, 2)).item())
    assert objectives.Objective().generator_penalty(G, torch.zeros(1)) is None


def test_colours_beyond_black_and_white_cost_the_square_of_what_is_beyond() -> None:
    inside, beyond = torch.tensor([-1.0, 0.3, 1.0, 0.0]), torch.tensor([-1.5, 0.3, 3.0, 0.0])
    objective = Objective(range_weight=2.0)
    assert objective.generator_penalty(torch.nn.Identity(), inside) == 0
    assert objective.generator_penalty(torch.nn.Identity(), beyond) == pytest.approx(2 * (0.25 + 4) / 4)
    assert presets.resolve(Settings("stylegan2", ("x",), resolution=32, kimg=1.0, discriminator="projected")).range_weight > 0


def test_the_penalty_of_a_wide_picture_has_a_gradient_in_bfloat16() -> None:
    D = common.build("stylegan2-discriminator", {"c_dim": 0, "img_resolution": 128, "img_channels": 3, "channels": [16] * 6})
    img = torch.zeros(32, 3, 128, 128).contiguous(memory_format=torch.channels_last).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        logits = D.to(memory_format=torch.channels_last)(img, None)
    losses.zero_centred_penalty(logits.float(), img).backward()
    assert all(parameter.grad is None or torch.isfinite(parameter.grad).all() for parameter in D.parameters())


def test_without_noise_a_network_is_trained_and_kept_still(make: Make) -> None:
    tensors = run(make("stylegan2", noise=False))
    strengths = [value for name, value in tensors.items() if name.startswith(("G/", "G_ema/")) and name.endswith("noise_strength")]
    assert strengths and not any(value.any() for value in strengths)


def test_a_stylegan2_learns_from_a_strided_discriminator_and_grows_with_it(make: Make) -> None:
    small = make("stylegan2", folder="coarse", discriminator="strided")
    coarse = run(small)
    assert_learned(small, coarse)
    finer = presets.resolve(make("stylegan2", folder="fine", discriminator="strided", resolution=16, start_from=small.folder))
    trainer = presets.build_trainer(finer)
    trainer.begin()
    fine = trainer.state()[0]
    assert torch.equal(fine["D/out.weight"], coarse["D/out.weight"])
    assert torch.equal(fine["G/synthesis.b8.conv1.weight"], coarse["G/synthesis.b8.conv1.weight"])


def test_an_unknown_discriminator_is_refused(make: Make) -> None:
    with pytest.raises(TrainingError, match="'huge' is not known"):
        presets.resolve(make("stylegan2", discriminator="huge"))


@pytest.mark.parametrize("family", families.FAMILIES)
def test_every_family_learns_from_pretrained_features_and_resumes_bit_for_bit(make: Make, family: str) -> None:
    size = {"resolution": 32, "discriminator": "projected", "kimg": 0.008, "img_channels": 4 if family == "dcgan" else 3}
    whole, parts = make(family, "whole", **size), make(family, "parts", **size)
    expected = run(whole)
    assert_learned(whole, expected)
    assert not any(name.startswith("D/") and "depthwise" in name for name in expected), "the frozen network is no part of a state"
    run(parts, steps=1)
    got = run(parts)
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)


def test_a_projected_discriminator_brings_its_numbers_and_each_can_be_changed(make: Make) -> None:
    resolved = presets.resolve(make("wgan", resolution=32, discriminator="projected", d_lr=0.001))
    assert (resolved.loss, resolved.d_lr, resolved.r1_gamma, resolved.weight_clip, resolved.d_steps) == ("hinge", 0.001, 0.0, 0.0, 1)
    assert (resolved.augment, resolved.diversity_weight) == ("diff", 5.0)
    assert presets.resolve(make("wgan", resolution=32, discriminator="projected", batch=6)).diversity_weight == 0
    assert presets.resolve(make("wgan", resolution=32)).weight_clip == 0.01
    assert presets.resolve(make("fastgan", resolution=32, discriminator="strided")).r1_gamma > 0


@pytest.mark.parametrize("augment", ["none", "fixed", "ada", "diff"])
def test_a_projected_discriminator_learns_under_every_augmentation_and_with_a_plain_one_beside_it(make: Make, augment: str) -> None:
    settings = make("stylegan2", resolution=32, discriminator="projected", augment=augment, plain_share=0.2, kimg=0.008)
    assert_learned(settings, run(settings))


def test_samples_of_a_class_that_are_alike_are_penalised_up_to_the_real_difference(make: Make) -> None:
    settings = presets.resolve(make("stylegan2", resolution=32, batch=8, diversity_weight=2.0))
    trainer: Any = presets.build_trainer(settings)
    c = trainer.inputs.classes(8, StepRandom(0, 0, 0))
    assert torch.equal(c[:4], c[4:]), "each class comes twice"
    variety = trainer.variety
    one, other = (torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1 for seed in (0, 1))
    alike, nearly, apart = (variety.penalty(torch.cat([one, torch.lerp(one, other, t)]), c).item() for t in (0.0, 0.3, 1.0))
    assert alike == 1 > nearly > apart >= 0
    variety.levels.zero_()
    assert variety.penalty(torch.cat([one, other]), c).item() == 0, "no more is asked than real pictures have"
    assert "alike" in trainer.step(StepRandom(0, 0, 0), Clock(0, 0, 0.0))
    with pytest.raises(TrainingError, match="batch=6: use a multiple of 4"):
        presets.build_trainer(dataclasses.replace(settings, batch=6))


def test_pretrained_features_are_refused_for_pictures_that_are_too_small(make: Make) -> None:
    with pytest.raises(TrainingError, match=r"'projected' needs pictures of 32 px or more, not 8"):
        presets.resolve(make("stylegan2", discriminator="projected"))


def test_a_run_grown_from_half_its_size_keeps_what_its_projected_judges_know_and_see(make: Make) -> None:
    small = make("stylegan2", folder="coarse", discriminator="projected", resolution=32)
    coarse = run(small)
    trainer = presets.build_trainer(presets.resolve(make("stylegan2", folder="fine", resolution=64, start_from=small.folder)))
    trainer.begin()
    fine = trainer.state()[0]
    for name in ("D/view.across_scales.0.weight", "D/judges.0.out.weight", "G/synthesis.b32.conv1.weight"):
        assert torch.equal(fine[name], coarse[name]), name


def test_the_discriminator_left_open_follows_the_run_the_start_and_the_device(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(**changes: Any) -> tuple[str | None, float | None]:
        resolved = presets.resolve(make("stylegan2", **changes))
        return resolved.discriminator, resolved.d_lr

    assert chosen() == ("strided", 0.0004)
    assert chosen(resolution=32) == ("projected", 0.0003)
    assert chosen(discriminator="residual") == ("residual", 0.002)
    assert chosen(d_lr=0.01) == ("strided", 0.01)
    assert presets.resolve(make("dcgan")).discriminator is None
    before = make("stylegan2", folder="before", discriminator="residual")
    run(before)
    assert chosen(folder="before") == ("residual", 0.002), "a run keeps its own"
    assert chosen(folder="after", start_from=before.folder) == ("residual", 0.002), "a run that grows keeps it too"
    monkeypatch.setattr(presets, "choose_device", lambda device: torch.device("cuda"))
    assert chosen() == ("residual", 0.002)


@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
@pytest.mark.parametrize("family", families.FAMILIES)
def test_every_family_has_networks_at_every_resolution(family: str, resolution: int) -> None:
    settings = presets.resolve(Settings(family, ("pictures",), resolution=resolution, channel_base=256, channel_max=8, kimg=1.0))
    generator = common.build(*presets.generator(settings, c_dim=2 if families.FAMILIES[family].classes != "never" else 0, channels_out=3))
    common.build(*presets.discriminator(settings, c_dim=0, channels_in=3))
    assert generator.img_resolution == resolution
