"""What the bench of training times."""

import types
from dataclasses import replace

import pytest

from studio import bench_training
from studio.bench_training import CASES, measure, select
from studio.errors import RecipeError
from studio.training.settings import Settings

SMALL = bench_training.Case(
    "small 8",
    Settings("stylegan2", ("",), resolution=8, batch=2, channel_base=64, channel_max=8, z_dim=8, w_dim=8, augment="none", r1_interval=4),
)
PAIRS = bench_training.Case(
    "pairs 32", Settings("cyclegan", ("",), ("",), resolution=32, load_size=32, batch=1, ngf=4, ndf=4, n_blocks=1), "pairs"
)


def test_the_cases_are_the_promised_sizes():
    projected, first, published, second = (case.settings for case in CASES)
    assert (first.resolution, first.channel_base, first.batch) == (64, 2048, 32)
    assert published == replace(first, discriminator="residual")
    assert replace(projected, augment="none", discriminator="strided") == first
    assert (second.resolution, second.ngf, second.n_blocks) == (128, 32, 6)


def test_cases_are_chosen_by_family():
    assert [case.settings.family for case in select(["cyclegan"])] == ["cyclegan"]
    with pytest.raises(RecipeError, match="no training to time for biggan"):
        select(["biggan"])


@pytest.mark.parametrize("case", [SMALL, PAIRS], ids=lambda case: case.name)
def test_both_precisions_are_timed_in_whole_steps(case, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path))
    monkeypatch.setattr(bench_training, "PICTURES", 3)
    rows = measure(case, tmp_path, seconds=0.05, device="cpu")
    assert [row.precision for row in rows] == ["fp32", "fast"]
    assert rows[0].dtype == "float32" and rows[0].ratio is None and rows[1].ratio > 0
    assert all(row.images_per_second == pytest.approx(case.settings.batch / row.milliseconds * 1000) for row in rows)
    assert {row.unit for row in rows} == {case.unit}


def test_a_rare_step_counts_with_its_share(monkeypatch):
    class Sleepy:
        images_per_step, now = 1, 0.0

        def step(self, random, clock):
            self.now += 0.02 if clock.step % 10 == 0 else 0.002

    sleepy = Sleepy()
    monkeypatch.setattr(bench_training, "time", types.SimpleNamespace(monotonic=lambda: sleepy.now, perf_counter=lambda: sleepy.now))
    seconds = bench_training._seconds_per_step(sleepy, replace(SMALL.settings, r1_interval=10), 0.3)
    assert seconds == pytest.approx(0.002 + 0.018 / 10)
