"""The engine: who draws next, with what, and what happens when something is missing or full."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_networks import ToyGenerator, ToyLibrary, ToyTranslator
from upscalers import compact

from studio import checkpoints
from studio.accel import choose
from studio.accel.candidate import Candidate
from studio.accel.device import pick_device
from studio.engine import Engine
from studio.errors import CheckpointError, DeviceError, RecipeError
from studio.fallback import CANNOT_GO_ON, attempt
from studio.media import resize
from studio.recipe import Latent, ModelRef, Recipe, Restyle, Truncation
from studio.render import draw, mix_recipes, to_image
from studio.runners import Preparer, Runner
from studio.upscaling import upscale
from studio.worker import Priority, Worker


@pytest.fixture
def library(monkeypatch):
    library = ToyLibrary(one=ToyGenerator(), two=ToyGenerator(c_dim=3), three=ToyGenerator(channels=4), negative=ToyTranslator())
    monkeypatch.setattr(checkpoints, "load", library.load, raising=False)
    return library


@pytest.fixture
def engine(library):
    engine = Engine(library, device="cpu", max_models=2)
    yield engine
    engine.close()


def of(name, **values):
    return Recipe(model=ModelRef(name), **values)


def test_a_preview_is_the_picture_shrunk_to_its_size(engine, library):
    recipe = of("one", latent=Latent(x=2.5))
    assert np.array_equal(engine.preview(recipe), draw(library.networks["one"], recipe))
    assert engine.preview(recipe, 8).shape == (8, 8, 3)
    assert engine.preview(recipe, 800).shape == (16, 16, 3)
    assert engine.preview(of("three"), 8).shape == (8, 8, 3)


def test_a_render_has_the_size_and_the_transparency_of_the_recipe(engine):
    assert engine.render(of("one", size=40)).shape == (40, 40, 3)
    assert engine.render(of("three")).shape == (16, 16, 4)


def test_sliders_other_than_the_place_do_not_map_again(engine, library):
    for psi in (0.1, 0.5, 0.9):
        engine.preview(of("one", latent=Latent(x=7), truncation=Truncation(psi=psi)))
    assert library.networks["one"].mapping.calls == 1


def test_networks_run_in_one_thread_only(engine, library):
    threads = [threading.Thread(target=engine.preview, args=(of("one", latent=Latent(x=seed)),)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert library.networks["one"].synthesis.threads == {"studio-worker"}


def test_the_least_used_model_makes_room(engine):
    engine.load("one")
    engine.load("two")
    engine.load("one")
    engine.load("three")
    assert engine.models.names() == ["one", "three"]
    engine.unload("one")
    assert engine.models.names() == ["three"]


def test_a_recipe_finds_its_model_by_hash_when_it_was_renamed(engine, library):
    sha256 = library.find("two").card.sha256
    assert engine.models.find(ModelRef("old name", sha256)).name == "two"
    assert engine.status().note == ""
    assert engine.models.find(ModelRef("two", "0" * 64)).name == "two"
    assert engine.status().note == "two is not the file that this picture was made with, so it may look different."


def test_a_picture_made_from_a_file_finds_the_model_that_was_imported_from_it(engine, library):
    source = library.find("two").card.source_sha256
    assert engine.models.find(ModelRef("as it was", source)).name == "two"
    assert engine.status().note == ""


def test_what_cannot_be_drawn_is_one_sentence(engine):
    with pytest.raises(RecipeError, match="names no model"):
        engine.preview(Recipe())
    with pytest.raises(CheckpointError, match="no model 'nothing'"):
        engine.preview(of("nothing"))
    with pytest.raises(RecipeError, match="needs a photo"):
        engine.preview(of("negative"))
    with pytest.raises(RecipeError, match="this model has 8 style layers"):
        engine.render(of("one", truncation=Truncation(cutoff=9)))


def test_a_grid_grows_cell_by_cell_and_stops_when_nobody_looks(engine, library):
    grid = mix_recipes(of("one"), [Latent(x=1), Latent(x=2)], [Latent(x=3), Latent(x=4)], (1, 1), headers=True)
    frames = engine.mix_grid(grid, 8)
    first = next(frames)
    assert (first.index, first.total) == (0, 8) and first.image.shape == (24, 24, 3)
    frames.close()
    calls = library.networks["one"].synthesis.calls
    assert calls < 8
    *_, last = engine.mix_grid(grid, 8)
    assert last.index == 7 and np.array_equal(last.image[8:16, 16:24], engine.preview(grid[1][2], 8))
    assert (last.image[:8, :8] == 128).all()
    with pytest.raises(RecipeError, match="too large"):
        next(engine.mix_grid(grid, 10_000))


def test_restyle_keeps_size_and_transparency_and_follows_strength(engine):
    photo, alpha = np.random.default_rng(0).integers(0, 255, (11, 7, 3), np.uint8), np.full((11, 7), 200, np.uint8)
    negative = of("negative", restyle=Restyle())
    assert np.abs(engine.restyle(negative, photo).astype(int) - (255 - photo)).max() <= 1
    assert np.array_equal(engine.restyle(of("negative", restyle=Restyle(strength=0)), photo), photo)
    assert engine.restyle(of("negative", precision="auto"), photo, alpha)[..., 3].min() == 200
    with pytest.raises(RecipeError, match="cannot restyle photos"):
        engine.restyle(of("one"), photo)


def test_status_tells_the_way_and_the_time(engine):
    assert engine.status().milliseconds == 0
    engine.preview(of("one"))
    status = engine.status()
    assert (status.device, status.runner, status.model) == ("cpu", "module", "one") and status.milliseconds > 0


def test_the_style_vectors_of_a_recipe_can_be_taken_out(engine, library):
    recipe = of("one", latent=Latent(x=3), truncation=Truncation(psi=1))
    img = library.networks["one"].synthesis(engine.ws(recipe))
    assert np.array_equal(to_image(img), engine.render(recipe))


def test_a_full_gpu_goes_on_on_the_cpu_with_a_note(engine, library, monkeypatch):
    network, engine.models.device = library.networks["one"], torch.device("mps")
    plain = network.synthesis.forward

    def full(*args, **kwargs):
        if engine.device.type != "cpu":
            raise RuntimeError("MPS backend out of memory")
        return plain(*args, **kwargs)

    monkeypatch.setattr(network.synthesis, "forward", full)
    assert engine.preview(of("one")).shape == (16, 16, 3)
    assert "on the CPU now" in engine.status().note and engine.status().device == "cpu"


def failing(error):
    def task():
        raise error

    return task


def test_only_what_speaks_of_memory_counts_as_full():
    for error in (MemoryError(), RuntimeError("CUDA out of memory"), RuntimeError("not enough memory: you tried")):
        with pytest.raises(DeviceError, match="not enough memory to go on"):
            attempt(failing(error), CANNOT_GO_ON)
    with pytest.raises(RuntimeError, match="shape"):
        attempt(failing(RuntimeError("shape mismatch")))
    assert attempt(lambda: 7) == 7


def test_a_full_computer_is_one_sentence(engine, library, monkeypatch):
    def full(*args, **kwargs):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(library.networks["one"].synthesis, "forward", full)
    with pytest.raises(DeviceError, match="not enough memory"):
        engine.preview(of("one"))


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(DeviceError, match="finds no such device"):
        pick_device("cuda:99")
    with pytest.raises(DeviceError, match="unknown"):
        pick_device("toaster")
    monkeypatch.setenv("STUDIO_DEVICE", "toaster")
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(DeviceError, match="unknown"):
        pick_device("auto")


def test_the_most_urgent_task_goes_first():
    worker, order, gate = Worker(), [], threading.Event()
    threads = [threading.Thread(target=worker.run, args=(Priority.BATCH, gate.wait))]
    threads[0].start()
    time.sleep(0.05)
    for priority in (Priority.IDLE, Priority.BATCH, Priority.PREVIEW, Priority.SETTLE):
        threads.append(threading.Thread(target=worker.run, args=(priority, lambda p=priority: order.append(p))))
        threads[-1].start()
        time.sleep(0.02)
    gate.set()
    for thread in threads:
        thread.join()
    assert order == [Priority.PREVIEW, Priority.SETTLE, Priority.BATCH, Priority.IDLE]
    worker.close()


def test_a_task_that_fails_fails_where_it_was_asked_for():
    worker = Worker()
    with pytest.raises(ZeroDivisionError):
        worker.run(Priority.PREVIEW, lambda: 1 / 0)
    assert worker.run(Priority.PREVIEW, lambda: worker.run(Priority.IDLE, lambda: 7)) == 7
    worker.close()
    with pytest.raises(RuntimeError, match="closed"):
        worker.run(Priority.PREVIEW, lambda: 1)


SLOW = 0.15
"""Seconds: longer than a busy machine keeps a quick call waiting."""


class Slow(torch.nn.Module):
    """A module that takes its time."""

    def forward(self, x):
        time.sleep(SLOW)
        return x * 2


def prepared(candidates, precision="auto"):
    worker = Worker()
    runner = Runner(Slow(), candidates, lambda: torch.linspace(-0.4, 0.4, 48).view(1, 3, 4, 4), precision=precision)
    preparer = Preparer(worker)
    preparer.add(runner)
    assert runner.settled.wait(20)
    worker.close()
    return runner


def broken():
    raise OSError("no compiler")


def test_the_module_answers_until_a_faster_way_is_ready():
    gate = threading.Event()

    def build():
        gate.wait()
        return lambda x: x * 2

    worker = Worker()
    runner = Runner(Slow(), [Candidate("quick", build)], lambda: torch.ones(1, 3, 4, 4), precision="exact")
    preparer = Preparer(worker)
    preparer.add(runner)
    assert runner.name == "module" and torch.equal(runner(torch.ones(1)), torch.full((1,), 2.0))
    gate.set()
    runner.settled.wait(20)
    assert runner.name == "quick"
    worker.close()


def test_ending_waits_for_the_build_in_progress_and_begins_no_other(engine, monkeypatch):
    begun, finished = threading.Event(), []

    def build():
        begun.set()
        time.sleep(0.2)
        finished.append(len(finished))
        return lambda ws, **k: ws

    monkeypatch.setattr(choose, "fast_paths", lambda net, precision, device: [Candidate("slow", build), Candidate("next", build)])
    engine.preview(of("one"))
    assert begun.wait(20)
    engine.close()
    assert finished == [0], "compiled code that runs while a process ends brings it down"


def test_wrong_slow_and_broken_ways_are_passed_over(caplog):
    candidates = [
        Candidate("broken", broken),
        Candidate("wrong", lambda: lambda x: x * 2.1),
        Candidate("slow", lambda: lambda x: (time.sleep(3 * SLOW), x * 2)[1]),
        Candidate("good", lambda: lambda x: x * 2),
        Candidate("not a number", lambda: lambda x: x * float("nan")),
    ]
    runner = prepared(candidates)
    assert runner.name == "good"
    assert "'broken' could not be prepared" in caplog.text and "'wrong' is not accurate enough" in caplog.text


def test_exact_asks_for_more_than_auto():
    def near(x):
        return x * 2.001

    assert prepared([Candidate("near", lambda: near)], "auto").name == "near"
    assert prepared([Candidate("near", lambda: near)], "exact").name == "module"


def test_a_fast_way_that_fails_later_gives_way_to_the_module():
    def fragile(x):
        if x.shape[0] > 1:
            raise ValueError("batch")
        return x * 2

    runner = prepared([Candidate("fragile", lambda: fragile)])
    assert runner.name == "fragile"
    assert torch.equal(runner(torch.ones(2, 1)), torch.full((2, 1), 2.0)) and runner.name == "module"


def test_saved_pictures_come_from_the_module_even_when_a_faster_way_is_in_use(engine, library, monkeypatch):
    network = library.networks["one"]
    module = network.synthesis.forward
    slow = lambda *a, **k: (time.sleep(SLOW), module(*a, **k))[1]  # noqa: E731
    monkeypatch.setattr(network.synthesis, "forward", slow)
    fast = Candidate("fast", lambda: lambda ws, **k: module(ws, **k) + 1e-4)
    monkeypatch.setattr(choose, "fast_paths", lambda net, precision, device: [fast] if net is network else [])
    assert engine.prepare("one", timeout=20) == "fast"
    calls = network.synthesis.calls
    engine.preview(of("one"))
    assert engine.status().runner == "fast"
    assert np.array_equal(engine.render(of("one")), draw(network, of("one")))
    assert network.synthesis.calls > calls


def test_an_accelerated_network_is_itself_but_for_its_speed(monkeypatch):
    G = ToyGenerator()
    monkeypatch.setattr(G.synthesis, "forward", lambda ws, m=G.synthesis.forward, **k: (time.sleep(SLOW), m(ws, **k))[1])
    module = type(G.synthesis).forward
    fast = Candidate("fast", lambda: lambda ws, **k: module(G.synthesis, ws, **k))
    monkeypatch.setattr(choose, "fast_paths", lambda net, precision, device: [fast])
    net = choose.accelerate(G)
    ws = torch.randn(2, G.num_ws, G.w_dim)
    assert net.path == "fast" and net.num_ws == G.num_ws and net.w_avg is G.w_avg
    assert torch.equal(net.synthesis(ws), G.synthesis(ws))
    assert net.state_dict().keys() == {f"network.{key}" for key in G.state_dict()}
    monkeypatch.setattr(choose, "fast_paths", lambda net, precision, device: [])
    assert choose.accelerate(G) is G


@pytest.fixture
def enlarging(library):
    library.networks |= {"four": compact(scale=4), "twice": compact(scale=2)}
    engine = Engine(library, device="cpu", max_models=4)
    yield engine
    engine.close()


def test_a_picture_is_enlarged_by_the_upscalers_of_its_recipe_up_to_its_size(enlarging):
    four, twice = ModelRef("four"), ModelRef("twice")
    plain = enlarging.render(of("one"))
    assert np.array_equal(enlarging.render(of("one", enlarge=(four,))), upscale(compact(scale=4), plain))
    assert enlarging.render(of("three", enlarge=(four, twice))).shape == (128, 128, 4)
    assert np.array_equal(enlarging.render(of("one", enlarge=(four, twice), size=16)), plain)
    assert enlarging.render(of("one", enlarge=(four,), size=40)).shape == (40, 40, 3)
    assert np.array_equal(enlarging.preview(of("one", enlarge=(four,))), plain), "a preview never waits"
    with pytest.raises(RecipeError, match="is no upscaler"):
        enlarging.render(of("one", enlarge=(ModelRef("one"),)))


def test_large_strokes_of_a_photo_are_enlarged_by_the_upscalers_of_the_recipe(enlarging):
    photo = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    soft = of("negative", restyle=Restyle(texture_scale=2.0))
    crisp = replace(soft, enlarge=(ModelRef("twice"),))
    small = enlarging.restyle(of("negative"), resize(photo, 32, 24))
    made = enlarging.restyle(crisp, photo)
    assert made.shape == photo.shape and np.abs(made.astype(int) - upscale(compact(scale=2), small)).mean() < 8
    assert not np.array_equal(made, enlarging.restyle(soft, photo))
    fine = replace(crisp, restyle=Restyle())
    assert np.array_equal(enlarging.restyle(fine, photo), enlarging.restyle(of("negative"), photo))
