"""The loop: weights change, stay finite, and a stopped run continues as if nothing had happened."""

import dataclasses
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from studio.checkpoints.tensors import read_tensors
from studio.errors import TrainingError
from studio.training import loop, presets
from studio.training.settings import Settings, Tick
from studio.training.team import Team
from studio.training.trainer import StepRandom


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def paint(folder: Path, n: int, side: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for k in range(n):
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    return folder


@pytest.fixture
def gan(tmp_path: Path) -> Settings:
    for name in ("apple", "pear"):
        paint(tmp_path / "fruit" / name, 4, 8, len(name))
    return Settings(
        family="stylegan2",
        data=(str(tmp_path / "fruit"),),
        name="tiny",
        folder=str(tmp_path / "run"),
        resolution=8,
        batch=4,
        channel_base=64,
        channel_max=8,
        discriminator="residual",
        z_dim=8,
        w_dim=8,
        r1_interval=2,
        kimg=0.024,
        augment="ada",
        ada_target=-1.0,
        ada_kimg=0.1,
    )


@pytest.fixture
def cycle(tmp_path: Path) -> Settings:
    return Settings(
        family="cyclegan",
        data=(str(paint(tmp_path / "a", 3, 40, 1)),),
        target=(str(paint(tmp_path / "b", 3, 40, 2)),),
        name="tiny",
        folder=str(tmp_path / "run"),
        resolution=32,
        load_size=36,
        batch=2,
        ngf=4,
        ndf=4,
        n_blocks=1,
        pool_size=3,
        kimg=0.012,
    )


@pytest.fixture(params=["gan", "cycle"])
def settings(request: pytest.FixtureRequest) -> Settings:
    return request.getfixturevalue(request.param)


def newest(settings: Settings) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    return read_tensors(loop.run_folder(settings).states()[-1])


def run(settings: Settings, *, steps: int | None = None) -> list[Tick]:
    asked = iter(range(1_000_000))
    return list(loop.train(settings, should_stop=lambda: steps is not None and next(asked) >= steps))


def test_training_changes_the_weights_and_keeps_them_finite(settings: Settings) -> None:
    ticks = run(settings)
    assert [ticks[0].kind, ticks[-1].kind] == ["start", "end"]
    assert ticks[-1].progress == 1.0
    tensors, _ = newest(settings)
    assert all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point())
    fresh = presets.build_trainer(presets.resolve(settings)).state()[0]
    learned = [n for n, t in fresh.items() if n.endswith("weight") and "optimizer" not in n]
    assert learned
    assert all(not torch.equal(fresh[n], tensors[n]) for n in learned if "mapping" not in n)


def test_a_run_resumed_halfway_equals_an_uninterrupted_one_bit_for_bit(settings: Settings, tmp_path: Path) -> None:
    broken = dataclasses.replace(settings, folder=str(tmp_path / "broken"))
    run(settings)
    assert run(broken, steps=3)[-1].kind == "stopped"
    assert run(broken)[0].message.startswith("continues")
    (whole, header), (parts, parts_header) = newest(settings), newest(broken)
    assert header["step"] == parts_header["step"] == 6
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_sigterm_saves_and_ends_the_run(gan: Settings) -> None:
    kinds = []
    for tick in loop.train(dataclasses.replace(gan, kimg=100.0)):
        kinds.append(tick.kind)
        if tick.kind == "state" and len(kinds) < 4:
            os.kill(os.getpid(), signal.SIGTERM)
    assert kinds[-1] == "stopped"
    assert newest(gan)[1]["step"] == 0


def test_stopping_saves_at_once_without_measuring_first(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    build = presets.build_trainer

    def unmeasurable(*args: Any, **options: Any) -> Any:
        trainer = build(*args, **options)
        monkeypatch.setattr(trainer, "quality", lambda: pytest.fail("nobody waits for it"))
        return trainer

    monkeypatch.setattr(presets, "build_trainer", unmeasurable)
    assert [tick.kind for tick in run(settings, steps=2)][-3:] == ["state", "snapshot", "stopped"]
    assert newest(settings)[1]["step"] == 2


def test_closing_the_iterator_saves_the_last_step(gan: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "TICK_SECONDS", 0.0)
    ticks = loop.train(dataclasses.replace(gan, kimg=100.0))
    step = next(tick.step for tick in ticks if tick.kind == "step")
    ticks.close()
    assert newest(gan)[1]["step"] == step


def test_a_number_that_is_not_finite_goes_back_to_the_last_good_state(gan: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from studio.training.gan import GanTrainer

    step, failed = GanTrainer.step, []

    def stumble(self: GanTrainer, *args: object) -> dict[str, float]:
        values = step(self, *args)  # type: ignore[arg-type]
        if len(failed) < 1 and args[1].step == 2:  # type: ignore[attr-defined]
            failed.append(1)
            self.G.get_parameter("synthesis.b4.const").data.fill_(float("nan"))
            raise FloatingPointError("g_loss became nan")
        return values

    monkeypatch.setattr(GanTrainer, "step", stumble)
    ticks = run(gan)
    assert [t.message for t in ticks if t.kind == "rollback"] == ["g_loss became nan; back to 0.0 kimg"]
    assert ticks[-1].kind == "end"
    assert torch.isfinite(newest(gan)[0]["G/synthesis.b4.const"]).all()


def test_a_run_that_always_diverges_says_so(gan: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from studio.training.gan import GanTrainer

    def explode(*_: object) -> dict[str, float]:
        raise FloatingPointError("d_loss became inf")

    monkeypatch.setattr(GanTrainer, "step", explode)
    with pytest.raises(TrainingError, match=r"diverged 5 times \(d_loss became inf\)\. Lower the learning rates"):
        run(gan)


def test_two_states_and_the_best_are_kept(gan: Settings) -> None:
    run(dataclasses.replace(gan, save_minutes=0.0, kimg=0.02))
    folder = loop.run_folder(gan)
    assert len(folder.states()) == 2
    assert folder.best_file.exists()
    assert len(folder.snapshots()) >= 1


def test_a_damaged_newest_state_falls_back_to_the_one_before(gan: Settings) -> None:
    run(dataclasses.replace(gan, save_minutes=0.0, kimg=0.02))
    states = loop.run_folder(gan).states()
    states[-1].write_bytes(states[-1].read_bytes()[:500])
    ticks = run(gan)
    assert ticks[0].step == 4
    assert ticks[-1].step == 6


def test_another_network_under_the_same_name_is_refused(gan: Settings) -> None:
    run(gan, steps=1)
    with pytest.raises(TrainingError, match=r"started with z_dim=8, not 16\. Use the same value"):
        run(dataclasses.replace(gan, z_dim=16))


def test_a_finished_run_goes_on_when_it_is_given_more(gan: Settings) -> None:
    run(gan)
    ticks = run(dataclasses.replace(gan, kimg=0.032))
    assert (ticks[0].step, ticks[-1].step) == (6, 8)


def test_a_finer_run_grows_from_a_coarse_one_and_resumes_while_it_fades_in(gan: Settings, tmp_path: Path) -> None:
    run(gan)
    finer = dataclasses.replace(gan, resolution=16, folder=str(tmp_path / "finer"), start_from=gan.folder, fade_kimg=0.02, kimg=0.024)
    coarse = read_tensors(loop.run_folder(gan).states()[-1])[0]
    start = presets.build_trainer(presets.resolve(finer))
    start.begin()
    kept = start.state()[0]
    assert torch.equal(kept["D/b8.conv0.weight"], coarse["D/b8.conv0.weight"])
    assert kept["G_ema/synthesis.b16.torgb.weight"].abs().max() == 0
    assert run(finer, steps=3)[-1].kind == "stopped"
    assert "fade.weight" in newest(finer)[0]
    assert run(finer)[-1].kind == "end"
    assert "fade.weight" not in newest(finer)[0]


def test_the_start_must_fit_the_network(gan: Settings, tmp_path: Path) -> None:
    run(gan, steps=1)
    other = dataclasses.replace(gan, w_dim=24, z_dim=24, channel_max=16, folder=str(tmp_path / "other"), start_from=gan.folder)
    with pytest.raises(TrainingError, match="start_from: only"):
        run(other, steps=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "vae"}, "family='vae' is not known. Use one of: stylegan2, "),
        ({"target": ("x",)}, "learns from one set of pictures"),
        ({"resolution": 60}, "resolution=60 is no power of two"),
        ({"minutes": 1.0}, "either minutes or kimg"),
        ({"data": ("nowhere",)}, "no such folder"),
    ],
)
def test_wrong_settings_are_refused_with_advice(gan: Settings, change: dict[str, object], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        run(dataclasses.replace(gan, **change))  # type: ignore[arg-type]


def test_settings_survive_json_and_say_the_command(gan: Settings) -> None:
    settings = presets.resolve(gan)
    assert Settings.from_json(settings.to_json()) == settings
    assert Settings(family="cyclegan", data=("a", "b"), target=("c",), minutes=5, mirror=False).command() == (
        "studio train cyclegan a,b c --minutes 5 --no-mirror"
    )


def test_random_numbers_are_a_function_of_seed_salt_and_step() -> None:
    draws = {tuple(StepRandom(*key).normal(3).tolist()) for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)]}
    assert len(draws) == 4


def test_a_machine_that_slept_during_a_step_did_not_train_meanwhile(gan: Settings) -> None:
    resolved = presets.resolve(gan)
    current = loop._Run(resolved, loop.run_folder(resolved), presets.build_trainer(resolved), Team())
    assert [current._awake(seconds) for seconds in (1.0, 2.0, 3600.0, 1.5)] == [1.0, 2.0, 2.0, 1.5]


def test_ticks_tell_of_gradients_and_states_of_copies_and_event_files_are_written(gan: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "TICK_SECONDS", 0.0)
    ticks = run(gan)
    steps = [tick for tick in ticks if tick.kind == "step"]
    assert all(tick.values["g_grad"] > 0 and tick.values["d_grad"] > 0 for tick in steps)
    assert [tick.values["copies"] for tick in ticks if tick.kind == "state" and tick.step]
    pytest.importorskip("tensorboardX", reason="needs tensorboardX, which is absent")
    files = loop.run_folder(gan).path / "tensorboard"
    assert not files.exists()
    run(dataclasses.replace(gan, tensorboard=True, kimg=0.03))
    assert list(files.glob("events.*"))
