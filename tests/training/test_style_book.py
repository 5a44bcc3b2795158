"""Learning painting styles: a row for each folder, a run that resumes bit for bit, and a file that paints."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from studio import checkpoints
from studio.checkpoints import ModelCard
from studio.checkpoints.tensors import read_tensors
from studio.errors import TrainingError
from studio.training import export, loop, losses, presets
from studio.training.settings import Settings


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    rng = np.random.default_rng(0)
    for folder, n, colour in (("book/red", 2, (220, 40, 30)), ("book/blue", 1, (20, 60, 200)), ("photos", 3, (128, 128, 128))):
        (tmp_path / folder).mkdir(parents=True)
        for k in range(n):
            image = np.clip(np.array(colour) + rng.normal(0, 30, (96, 100, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(image).save(tmp_path / folder / f"{k}.png")
    small: dict[str, Any] = {"resolution": 64, "load_size": 72, "batch": 2, "kimg": 0.012, "precision": "fp32"}
    return Settings("style", (str(tmp_path / "book"),), (str(tmp_path / "photos"),), name="book", folder=str(tmp_path / "run"), **small)


def newest(settings: Settings) -> dict[str, torch.Tensor]:
    return read_tensors(loop.run_folder(settings).states()[-1])[0]


def test_styles_are_learnt_resume_bit_for_bit_and_open_as_a_book(settings: Settings, tmp_path: Path) -> None:
    ticks = list(loop.train(settings))
    assert ticks[-1].kind == "end"
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
    book: Any = checkpoints.load(file)
    assert (book.n_styles, book.card.classes, book.card.direction) == (2, ("blue", "red"), "photo to painting")


def test_the_score_falls_while_a_book_is_learnt_and_its_sheet_has_a_row_for_each_style(settings: Settings) -> None:
    trainer: Any = presets.build_trainer(presets.resolve(settings))
    before = trainer.quality()["score"]
    assert trainer.sample_grid().shape == (3 * 72, 5 * 72, 3)
    list(loop.train(dataclasses.replace(settings, kimg=0.06)))
    trainer.load_state(newest(settings), {})
    assert trainer.quality()["score"] < before


def test_a_style_of_several_paintings_is_their_mean(settings: Settings) -> None:
    trainer: Any = presets.build_trainer(presets.resolve(settings))
    means, covariances = trainer.targets[0]
    assert means.shape == (2, 32) and covariances.shape == (2, 32, 32)
    one = dataclasses.replace(settings, data=(str(Path(settings.data[0]) / "red"),))
    alone: Any = presets.build_trainer(presets.resolve(one))
    assert alone.names == ("book",)
    assert torch.allclose(alone.targets[0][0][0], means[1], atol=1e-4), "labels follow the names: blue, red"


def test_calm_pictures_have_no_unrest() -> None:
    img = torch.zeros(1, 3, 8, 8)
    assert losses.total_variation(img) == 0
    img[:, :, :, 4:] = 1
    assert losses.total_variation(img) == pytest.approx(1 / 7)


def test_settings_that_do_not_fit_are_refused_in_words(settings: Settings) -> None:
    for wrong, words in (
        ({"learns": "colours"}, "Use one of: row, network"),
        ({"resolution": 50}, "a multiple of 4, at least 64"),
        ({"load_size": 32}, "smaller than the crops"),
        ({"discriminator": "projected"}, "learnt from statistics alone"),
    ):
        with pytest.raises(TrainingError, match=words):
            presets.resolve(dataclasses.replace(settings, **wrong))
