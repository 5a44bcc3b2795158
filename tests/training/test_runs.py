"""Runs as processes: begun, watched from outside, stopped, continued, exported; a real process with a network of a few numbers."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from toys import save_toy

from studio import checkpoints, paths
from studio.checkpoints import Library
from studio.errors import StudioError, TrainingError
from studio.training import presence, runs
from studio.training.settings import Settings, Tick
from studio.training.state import RunFolder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    rng = np.random.default_rng(0)
    (tmp_path / "fruit").mkdir()
    for k in range(8):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(tmp_path / "fruit" / f"{k}.png")
    sizes = {"resolution": 8, "batch": 4, "channel_base": 64, "channel_max": 8, "z_dim": 8, "w_dim": 8}
    return Settings(family="stylegan2", data=(str(tmp_path / "fruit"),), name="tiny", folder=str(tmp_path / "tiny"), kimg=1000.0, **sizes)


def wait(folder: RunFolder, *states: str, seconds: float = 120) -> runs.Log:
    log = runs.Log(folder)
    for _ in range(int(seconds / 0.1)):
        state = runs.state_of(folder, log.update())
        if state in states:
            return log
        assert state != "failed", folder.error_file.read_text()
        time.sleep(0.1)
    raise AssertionError(f"it is {state}: {folder.output_file.read_text()}")


def test_a_run_is_a_process_that_is_stopped_continued_and_exported_and_leaves_no_zombie(settings: Settings) -> None:
    folder = runs.begin(settings)
    held = presence.holder(folder)
    assert held is not None
    wait(folder, "running")
    with pytest.raises(TrainingError, match="already"):
        runs.begin(settings)
    states = len(folder.states())
    runs.save_now(folder, patience=30)
    assert not folder.save_request.exists()
    assert folder.states()
    runs.stop(folder)
    log = wait(folder, "stopped")
    assert log.ticks[-1].step > 0
    assert states >= 0
    for _ in range(50):
        if not psutil.pid_exists(held.pid):
            break
        time.sleep(0.1)
    assert not psutil.pid_exists(held.pid), "the process is gone, not a zombie"
    ending = log.ticks[-1].cur_nimg / 1000 + 0.02
    runs.begin(dataclasses.replace(settings, kimg=ending))
    log = wait(folder, "finished")
    assert any(tick.message.startswith("continues at") for tick in log.ticks)
    files = runs.publish(folder, paths.models_folder())
    assert [file.name for file in files] == ["tiny.safetensors"]
    assert checkpoints.load(files[0]).card.origin == "trained on fruit"


def test_a_run_whose_process_fails_says_why_in_one_sentence(settings: Settings) -> None:
    folder = runs.begin(dataclasses.replace(settings, data=(str(Path(settings.data[0]) / "nowhere"),)))
    log = runs.Log(folder)
    for _ in range(600):
        if runs.state_of(folder, log.update()) == "failed":
            break
        time.sleep(0.1)
    assert "no such folder" in folder.error_file.read_text()


def test_a_dead_process_of_the_same_number_is_not_taken_for_the_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    presence.claim(folder)
    assert presence.holder(folder) == presence.Holder(os.getpid(), True)
    entry = json.loads(folder.running_file.read_text())
    folder.running_file.write_text(json.dumps(entry | {"began": entry["began"] - 100}))
    assert presence.holder(folder) is None
    folder.running_file.write_text("not json")
    assert presence.holder(folder) is None


def test_what_a_killed_run_left_half_written_goes_when_it_continues(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    dies = "import os, sys\nfrom studio.media.files import atomic_write\nwith atomic_write(sys.argv[1]): os._exit(9)"
    for place in (folder.path / "state-000000001.safetensors", folder.path / "snapshots" / "000000001.png"):
        assert subprocess.run([sys.executable, "-c", dies, str(place)], check=False).returncode == 9
    assert len(list(folder.path.rglob("*.part"))) == 2
    presence.claim(folder)
    assert [path.name for path in folder.path.rglob("*") if path.is_file()] == [folder.running_file.name]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file modes of this kind")
def test_states_and_models_can_be_read_by_whoever_may_read_other_files(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    state = RunFolder(tmp_path / "run").write_state(1, {}, {}, is_best=False)
    assert state.stat().st_mode == save_toy(tmp_path).stat().st_mode == plain.stat().st_mode


def test_a_run_that_another_process_trains_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        presence.claim(folder, other.pid)
        with pytest.raises(TrainingError, match="trained already"), presence.present(folder):
            raise AssertionError("never here")
    finally:
        other.communicate(b"\n")
    with presence.present(folder):
        assert presence.holder(folder) is not None
    assert presence.holder(folder) is None


def test_the_log_is_read_as_it_grows_and_a_torn_line_waits(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    tick = Tick("step", 1, 32, 1.0, 0.1, 32.0, {"g_loss": 1.0})
    line = tick.to_json()
    log = runs.Log(folder)
    assert log.update() == []
    folder.log_file.write_text(line + "\n" + line[:20])
    assert log.update() == [tick]
    folder.log_file.write_text(line + "\n" + line + "\n{damaged\n")
    assert log.update() == [tick, tick]
    assert runs.state_of(folder, log.ticks) == "interrupted"


def test_continuing_a_finished_run_adds_time_and_an_unfinished_one_keeps_its_goal(settings: Settings) -> None:
    folder = RunFolder(Path(settings.folder))
    folder.write_settings(dataclasses.replace(settings, kimg=None, minutes=2.0).to_json())
    half = Tick("stopped", 10, 320, 60.0, 0.5, 5.0, {})
    assert runs.extended(folder, 30, [half]).minutes == 2.0
    assert runs.extended(folder, 30, [dataclasses.replace(half, seconds=120.0, progress=1.0)]).minutes == 32.0


def test_a_name_of_an_imported_model_is_refused(tmp_path: Path) -> None:
    save_toy(paths.models_folder(), "mine")
    library = Library(paths.models_folder(), tmp_path)
    with pytest.raises(TrainingError, match="already is a model called mine"):
        runs.check_free("mine", library)
    with pytest.raises(StudioError, match="not allowed"):
        runs.check_free("a/mine", library)
    runs.check_free("other", library)


def test_a_forecast_in_a_process_of_its_own_tells_speed_and_memory(settings: Settings, tmp_path: Path) -> None:
    import threading

    found = runs.measure(settings, tmp_path / "scratch", stopped=threading.Event())
    assert found.images_per_second > 0
    assert found.kimg == 1000.0
    with pytest.raises(StudioError, match="no such folder"):
        runs.measure(dataclasses.replace(settings, data=("/nowhere",)), tmp_path / "scratch", stopped=threading.Event())


def test_a_run_outlives_the_studio_that_began_it_and_a_kill_loses_only_what_was_not_saved(settings: Settings, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(settings.to_json())
    studio = f"from studio.training import runs, settings; runs.begin(settings.Settings.from_json(open({str(plan)!r}).read()))"
    source = Path(runs.__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", studio], check=True, env={**os.environ, "PYTHONPATH": str(source)})
    folder = RunFolder(Path(settings.folder))
    wait(folder, "running")
    held = presence.holder(folder)
    assert held is not None, "the studio is gone, the run is not"
    runs.save_now(folder, patience=30)
    saved = int(folder.states()[-1].stem.removeprefix("state-"))
    psutil.Process(held.pid).kill()
    log = wait(folder, "interrupted")
    runs.begin(dataclasses.replace(settings, kimg=(saved * 4 + 8) / 1000))
    wait(folder, "finished")
    ticks = runs.Log(folder).update()[len(log.ticks) :]
    assert ticks[0].message.startswith("continues at")
    assert ticks[0].step >= saved
