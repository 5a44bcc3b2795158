"""Learning to enlarge: small versions are drawn alike again, a run resumes bit for bit, a teacher's picture is learnt from."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from upscalers import compact, write_pair

from studio import checkpoints
from studio.checkpoints import ModelCard
from studio.checkpoints.tensors import read_tensors
from studio.errors import TrainingError
from studio.training import export, loop, presets, translator_presets
from studio.training.degradation import degrade
from studio.training.settings import Settings


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(translator_presets, "ENLARGER", {"ngf": 8, "n_convs": 2})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    rng = np.random.default_rng(0)
    for folder, side in (("originals", 80), ("small", 128)):
        (tmp_path / folder).mkdir()
        for k in range(2):
            coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8))
            coarse.resize((side, side), Image.Resampling.BICUBIC).save(tmp_path / folder / f"{k}.png")
    small: dict[str, Any] = {"resolution": 64, "load_size": 64, "batch": 2, "kimg": 0.012, "precision": "fp32"}
    return Settings("enlarge", (str(tmp_path / "originals"),), name="larger", folder=str(tmp_path / "run"), **small)


def newest(settings: Settings) -> dict[str, torch.Tensor]:
    return read_tensors(loop.run_folder(settings).states()[-1])[0]


@pytest.mark.parametrize("scale", [2, 4])
def test_an_enlarger_learns_resumes_bit_for_bit_and_opens(settings: Settings, tmp_path: Path, scale: int) -> None:
    settings = dataclasses.replace(
        settings, scale=scale, teacher=str(write_pair(tmp_path, compact(scale=4))), target=(str(tmp_path / "small"),)
    )
    assert list(loop.train(settings))[-1].kind == "end"
    whole, fresh = newest(settings), presets.build_trainer(presets.resolve(settings)).state()[0]
    learned = [name for name in fresh if name.startswith(("forward/", "average_forward/"))]
    assert all(not torch.equal(fresh[name], whole[name]) and torch.isfinite(whole[name]).all() for name in learned)
    parts = dataclasses.replace(settings, folder=str(tmp_path / "parts"))
    asked = iter(range(100))
    list(loop.train(parts, should_stop=lambda: next(asked) >= 2))
    list(loop.train(parts))
    got = newest(parts)
    assert whole.keys() == got.keys() and all(torch.equal(whole[name], got[name]) for name in whole)
    (file,) = export.export(tmp_path / "run", tmp_path, ModelCard())
    network: Any = checkpoints.load(file)
    assert (network.scale, network.card.family, network.card.direction) == (scale, "compact", f"{scale} times larger")


def test_the_score_falls_while_enlarging_is_learnt(settings: Settings) -> None:
    trainer: Any = presets.build_trainer(presets.resolve(dataclasses.replace(settings, kimg=1.0, batch=4, scale=2)))
    before = trainer.quality()
    from studio.training.trainer import Clock, StepRandom

    for step in range(30):
        values = trainer.step(StepRandom(0, 0, step, trainer.team), Clock(step, step * 4, 0.0))
    assert trainer.quality()["look_measured"] < before["look_measured"] and set(values) == {"look", "plain"}
    assert trainer.sample_grid().shape[2] == 3


def test_small_versions_are_drawn_alike_again_and_differ_from_picture_to_picture() -> None:
    originals = np.stack([np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)] * 8)
    first, again = (degrade(originals, 4, np.random.default_rng(5)) for _ in range(2))
    assert first.shape == (8, 16, 16, 3) and first.dtype == np.uint8 and np.array_equal(first, again)
    assert len({image.tobytes() for image in first}) == 8
    means = originals.reshape(8, -1, 3).mean(1)
    assert np.abs(first.reshape(8, -1, 3).mean(1) - means).max() < 6, "brightness stays"


def test_what_an_enlarger_cannot_be_told_is_said(settings: Settings, tmp_path: Path) -> None:
    for changes, words in (
        ({"scale": 3}, "scale=3 is not possible"),
        ({"target": ("small",)}, "Name one: --set teacher"),
        ({"discriminator": "projected"}, "an enlarger knows it"),
        ({"resolution": 48}, "multiple of 32"),
    ):
        with pytest.raises(TrainingError, match=words):
            presets.resolve(dataclasses.replace(settings, **changes))
    teacher = str(write_pair(tmp_path, compact(scale=2)))
    with pytest.raises(TrainingError, match="enlarges 2 times"):
        presets.build_trainer(presets.resolve(dataclasses.replace(settings, scale=4, resolution=64, teacher=teacher)))
