"""The queue of long trainings, and the comparison of discriminators: both stop anywhere and go on."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from studio.errors import TrainingError
from studio.training import comparison, evaluation, loop, presets, queue
from studio.training.export import networks, read_run
from studio.training.settings import Settings

SMALL: dict[str, Any] = {"batch": 4, "channel_base": 64, "channel_max": 8, "z_dim": 8, "w_dim": 8}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("apple", "pear"):
        (tmp_path / "data" / "fruit" / name).mkdir(parents=True)
        for k in range(12):
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(tmp_path / "data" / "fruit" / name / f"{k}.png")
    return tmp_path / "data"


def write(tmp_path: Path, *entries: dict[str, Any]) -> Path:
    file = tmp_path / "queue.json"
    file.write_text(json.dumps(entries))
    return file


def test_a_queue_trains_its_runs_in_order_and_goes_on_where_it_stood(tmp_path: Path, data: Path) -> None:
    entries = [{"name": name, "family": "dcgan", "data": ["fruit"], "resolution": 8, "kimg": 0.012, **SMALL} for name in ("one", "two")]
    file, out = write(tmp_path, *entries), tmp_path / "runs"
    list(loop.train(queue.read_queue(file, data, out)[0], should_stop=iter([False, True]).__next__))
    said = list(queue.work(file, data, out))
    assert [line for line in said if "is done" in line] == [f"{name} is done: {out / name}" for name in ("one", "two")]
    assert "continues" in said[0]
    assert {path.name for path in out.iterdir()} == {"one", "two"}
    assert read_run(out / "two")[2]["cur_nimg"] == 12
    again = list(queue.work(file, data, out, names=["two"]))
    assert "continues at 0.0 kimg" in again[0] and again[-1].startswith("two is done")


def test_the_queue_of_the_shipped_weights_names_settings_that_hold_and_earlier_runs() -> None:
    file = Path(__file__).parents[2] / "pretrained" / "queue.json"
    runs = queue.read_queue(file, Path("data"), Path("out"))
    assert {"inkwash", "pomona", "monet", "ink"} <= {run.name for run in runs}
    for run in runs:
        assert (run.kimg is None) != (run.minutes is None), run.name
        assert presets.resolve(dataclasses.replace(run, start_from="")).name == run.name
        shipped = {entry["name"] for entry in json.loads(file.with_name("index.json").read_text())["models"]}
        assert run.start_from in ("", *shipped, *(earlier.folder for earlier in runs[: runs.index(run)])), run.name


def test_what_is_no_queue_is_refused_in_one_sentence(tmp_path: Path, data: Path) -> None:
    entry = {"name": "one", "family": "dcgan", "data": ["fruit"], "kimg": 1.0}
    with pytest.raises(TrainingError, match="two trainings have the same name"):
        queue.read_queue(write(tmp_path, entry, entry), data, tmp_path)
    with pytest.raises(TrainingError, match=r"has no training 'three'\. It has: one"):
        list(queue.work(write(tmp_path, entry), data, tmp_path, names=["three"]))
    (tmp_path / "wrong.json").write_text('{"name"')
    with pytest.raises(TrainingError, match="this is no queue of trainings"):
        queue.read_queue(tmp_path / "wrong.json", data, tmp_path)


def test_measurements_of_a_long_run_come_as_far_apart_as_asked_and_at_its_end(tmp_path: Path, data: Path) -> None:
    def measured(minutes: float) -> int:
        settings = Settings("dcgan", (str(data / "fruit"),), folder=str(tmp_path / str(minutes)), resolution=8, kimg=0.024, **SMALL)
        settings = dataclasses.replace(settings, save_minutes=0.0, measure_minutes=minutes)
        return sum("score" in tick.values for tick in loop.train(settings))

    assert measured(60.0) == 1
    assert measured(0.0) >= 6


def test_the_processors_clock_counts_only_what_was_computed(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = iter(range(0, 1000, 2))
    monkeypatch.setitem(loop.CLOCKS, "processor", lambda: float(next(computed)))
    settings = Settings(
        "dcgan", (str(data / "fruit"),), folder=str(tmp_path / "run"), resolution=8, minutes=0.1, clock="processor", **SMALL
    )
    ticks = list(loop.train(settings))
    assert (ticks[-1].kind, ticks[-1].step, ticks[-1].seconds) == ("end", 3, 6.0)
    with pytest.raises(TrainingError, match="clock='sun' is not known"):
        list(loop.train(dataclasses.replace(settings, clock="sun")))


def test_a_comparison_trains_what_is_missing_and_orders_by_the_distance(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {name: ("stylegan2", {"resolution": 32, "discriminator": name, **SMALL}) for name in ("strided", "projected")}
    monkeypatch.setattr(comparison, "ENTRIES", entries)
    out = tmp_path / "out"
    said = list(comparison.compare(data / "fruit", out, 0.01, ["projected"]))
    assert any(line.startswith("projected: 0 min") for line in said)
    (out / "strided.json").write_text(json.dumps({"kimg": 1.0, "fd_lite0": 1.0, "kid_lite0": -5.0}))
    result = (out / "projected.json").read_text()
    table = list(comparison.compare(data / "fruit", out, 0.01))[-1].splitlines()
    assert (out / "projected.json").read_text() == result, "what is there is not trained again"
    assert [line.split(" | ")[0] for line in table[2:]] == ["| strided", "| projected"]
    assert {"fd_lite0", "kid_lite0", "random_feature_kid", "diversity_within", "copies"} <= json.loads(result).keys()
    with Image.open(out / "projected.webp") as sheet:
        assert sheet.size[0] == 2 * 32
    with pytest.raises(TrainingError, match="no entry 'none'"):
        list(comparison.compare(data / "fruit", out, 0.01, ["none"]))


def test_samples_of_one_picture_per_class_have_no_diversity_within_a_class(tmp_path: Path, data: Path) -> None:
    settings = Settings("stylegan2", (str(data / "fruit"),), folder=str(tmp_path / "run"), resolution=32, kimg=0.004, **SMALL)
    list(loop.train(settings))
    resolved, tensors, header = read_run(tmp_path / "run")
    G: Any = networks(resolved, tensors, header["scalars"])[""]
    pictures = presets.load_pictures(resolved, resolved.data)
    free = evaluation.evaluate(G, pictures, n=24)
    mapping = G.mapping.forward
    monkey = lambda z, c=None: mapping(torch.zeros_like(z) + 0.1, c)  # noqa: E731
    G.mapping.forward = monkey
    stuck = evaluation.evaluate(G, pictures, n=24)
    assert free["diversity_within"] > stuck["diversity_within"] == pytest.approx(0, abs=1e-3)
    assert stuck["diversity_least"] <= stuck["diversity_within"]
    assert free["likeness"] < 1 and free["likeness_of_real"] < 1


def test_copies_of_training_pictures_are_as_like_as_can_be(data: Path) -> None:
    resolved = presets.resolve(Settings("stylegan2", (str(data / "fruit"),), resolution=32, kimg=0.004))
    pictures = presets.load_pictures(resolved, resolved.data)
    found = evaluation._likeness(pictures.batch(range(10)), pictures)
    assert found["likeness"] == pytest.approx(1, abs=1e-4) and found["likeness_of_real"] < 0.999
