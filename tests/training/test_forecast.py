"""The forecast measures real steps and says less of less time."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.training import presets
from studio.training.forecast import describe, forecast
from studio.training.settings import Settings


def test_a_forecast_turns_minutes_into_kimg_at_the_measured_speed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(4):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(tmp_path / f"{k}.png")
    small = {"resolution": 8, "batch": 4, "channel_base": 64, "channel_max": 8, "z_dim": 8, "w_dim": 8}
    said = forecast(Settings(family="stylegan2", data=(str(tmp_path),), minutes=2.0, **small), steps=2)
    assert said.images_per_second > 0
    assert said.kimg == pytest.approx(said.images_per_second * 0.12)
    assert said.minutes == pytest.approx(2.0)
    assert said.words.startswith("Expect ")


def test_more_pictures_never_promise_less() -> None:
    settings = presets.resolve(Settings(family="stylegan2", data=("x",), resolution=128, minutes=1))
    assert describe(settings, 1) == "Expect blots of colour."
    assert describe(settings, 49) == "Expect kinds that differ, few variants of each."
    assert describe(dataclasses.replace(settings, discriminator="strided"), 49) == "Expect recognisable subjects with noise."
    assert describe(settings, 10_000).startswith("Expect clear, varied pictures")
