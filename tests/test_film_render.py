"""Laws of drawing films: a frame depends on the recipe and its number alone, frames are kept safe, and previews come first."""

import itertools
import json
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from films import film_recipe, toy_engine
from toys import save_toy, toy_stylegan2
from upscalers import tiny

import studio
from studio.checkpoints import ModelCard, save
from studio.errors import MediaError, RecipeError
from studio.film_render import FilmRender, Look, find_sound, keep_sound, refer_to, render_frames
from studio.film_render.pipeline import ahead, reading, storing
from studio.film_render.store import DamagedFrameError, FrameStore, is_running, working_in
from studio.media.lossless import pack_frame, unpack_frame
from studio.media.mixing import mix_sounds
from studio.media.sounds import read_sound
from studio.recipe import Noise, Recipe
from studio.recipe_film import Keyframe, Lane, SoundRef
from studio.upscaling import upscale


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    engine = toy_engine(tmp_path_factory.mktemp("models"))
    yield engine
    engine.close()


def pictures(recipe, engine, **more):
    return [frame.image for frame in render_frames(recipe, engine=engine, **more)]


def test_every_frame_is_the_picture_of_its_moment(engine):
    film = FilmRender(film_recipe(), engine=engine)
    assert film.count == 12
    for index in (0, 5, 11):
        still = film.timelines[0].still(index)
        assert np.array_equal(film.frame(index), engine.render(still))


def test_neither_order_nor_selection_changes_a_frame(engine):
    whole = pictures(film_recipe(), engine)
    assert len({image.tobytes() for image in whole}) > 6
    for index in (11, 3, 3, 0):
        assert np.array_equal(pictures(film_recipe(), engine, indices=[index])[0], whole[index])
    assert np.array_equal(pictures(film_recipe(), engine, indices=[12 + 4])[0], whole[4])


def test_frames_keep_their_place_in_batches_of_one_shape(engine, monkeypatch):
    calls = []
    film = FilmRender(film_recipe(seconds=0.25), engine=engine)
    (cell,) = film._cells
    shapes = replace(cell, batch=4, call=lambda ws, **more: (calls.append(ws.clone()), cell.call(ws, **more))[1])
    film._cells, film._batch = [shapes], 4
    whole = [image for _, image in film.raws(range(6))]
    assert [len(ws) for ws in calls] == [4, 4]
    calls.clear()
    assert np.array_equal(next(film.raws([5]))[1], whole[5])
    assert [len(ws) for ws in calls] == [4]


def test_frames_whose_noise_differs_do_not_share_it(engine):
    lanes = (Lane("noise.strength", (Keyframe(0.0, 0.0), Keyframe(0.2, 5.0))),)
    recipe = film_recipe(seconds=0.25, noise=Noise(mode="random", seed=3))
    recipe = replace(recipe, film=replace(recipe.film, lanes=lanes))
    film = FilmRender(recipe, engine=engine)
    film._cells, film._batch = [replace(film._cells[0], batch=4)], 4
    for index, image in film.raws(range(6)):
        assert np.abs(image.astype(int) - engine.render(film.timelines[0].still(index))).max() <= 1


def test_a_picture_is_no_film():
    with pytest.raises(RecipeError, match="is a picture, not a film"):
        render_frames(Recipe())


def test_the_public_name_streams_frames_without_keeping_them(engine):
    frames = studio.render_frames(film_recipe(), engine=engine)
    first = next(frames)
    assert (first.index, first.total, first.image.shape, first.image.dtype.name) == (0, 12, (16, 16, 3), "uint8")
    frames.close()


@pytest.mark.parametrize(("look", "shape"), [(Look(), (48, 48)), (Look(64, 32), (32, 64)), (Look(32, 64, "crop"), (64, 32))])
def test_frames_come_in_the_size_asked_for(engine, look, shape):
    recipe = film_recipe(size=48)
    assert next(render_frames(recipe, look=look, engine=engine)).image.shape == (*shape, 3)


def test_films_side_by_side_are_the_films_themselves(engine):
    both = [film_recipe(), film_recipe(model="other"), film_recipe(seconds=3.0, fps="5")]
    film = FilmRender(both, look=Look(columns=2), engine=engine)
    sheet = film.frame(7)
    assert sheet.shape == (32, 32, 3) and film.count == 12
    assert np.array_equal(sheet[:16, :16], FilmRender(both[0], engine=engine).frame(7))
    assert np.array_equal(sheet[:16, 16:], FilmRender(both[1], engine=engine).frame(7))


def test_a_look_that_cannot_be_is_refused():
    for wrong in ({"width": 100}, {"fit": "melt"}, {"width": 0, "height": 5}, {"columns": 0}, {"ground": (0, 0, 300)}):
        with pytest.raises(RecipeError):
            Look(**wrong)
    assert Look.from_dict(json.loads(json.dumps(Look(64, 48, "mirror", (1, 2, 3)).to_dict()))) == Look(64, 48, "mirror", (1, 2, 3))


def test_a_model_with_transparency_keeps_it(tmp_path):
    save_toy(tmp_path, "toy", toy_stylegan2(16, img_channels=4))
    engine = toy_engine(tmp_path)
    assert next(render_frames(film_recipe(), engine=engine)).image.shape == (16, 16, 4)
    engine.close()


def test_leaving_the_loop_ends_the_work(engine):
    done = engine.models.load("toy").network
    before = FilmRender(film_recipe(seconds=10), engine=engine)
    drawn = before.raws(range(before.count))
    next(drawn)
    drawn.close()
    assert done is engine.models.load("toy").network and engine.preview(film_recipe()).shape == (16, 16, 3)


def test_films_step_back_while_somebody_looks_and_go_on_afterwards(engine):
    film = FilmRender(film_recipe(), engine=engine)
    slow = replace(film._cells[0], call=lambda ws, **more: (time.sleep(0.05), film_call(ws, **more))[1])
    film_call = film._cells[0].call
    film._cells = [slow]
    recipe, stop, frames = film_recipe(), threading.Event(), []
    asked = itertools.takewhile(lambda _: not stop.is_set(), itertools.count())
    thread = threading.Thread(target=lambda: [frames.append(index) for index, _ in film.raws(asked)])
    thread.start()
    wait_until(lambda: len(frames) > 3)
    before = len(frames)
    for _ in range(8):
        engine.preview(recipe)
        time.sleep(0.01)
    during = len(frames) - before
    wait_until(lambda: len(frames) > before + during + 3)
    stop.set()
    thread.join()
    assert during <= 4


def wait_until(condition, seconds=30.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.005)


def test_stored_frames_come_back_and_survive_a_new_start(tmp_path, engine):
    store = FrameStore(tmp_path / "frames", 12)
    assert store.begin({"model": "a"}) and store.done == 0
    images = pictures(film_recipe(), engine)
    for index in (0, 1, 5):
        store.add(index, images[index])
    again = FrameStore(tmp_path / "frames", 12)
    assert again.begin({"model": "a"}) and again.done == 3 and again.hashes() == store.hashes()
    assert list(again.missing()) == [2, 3, 4, 6, 7, 8, 9, 10, 11]
    assert np.array_equal(again.read(5), images[5])


def test_frames_made_otherwise_are_not_mixed(tmp_path):
    store = FrameStore(tmp_path / "frames", 3)
    store.begin({"device": "cpu"})
    store.add(0, np.zeros((4, 4, 3), np.uint8))
    other = FrameStore(tmp_path / "frames", 3)
    assert not other.begin({"device": "cuda"}) and other.done == 0 and not (tmp_path / "frames" / "frames.data").exists()


def test_damaged_missing_and_half_listed_frames_are_made_again(tmp_path):
    store = FrameStore(tmp_path / "frames", 5)
    store.begin({})
    for index in range(5):
        store.add(index, np.full((4, 4, 3), index, np.uint8))
    data, log = tmp_path / "frames" / "frames.data", tmp_path / "frames" / "frames.log"
    whole = data.read_bytes()
    size = len(whole) // 5
    data.write_bytes(whole[:size] + bytes(size) + whole[2 * size :])
    log.write_bytes(log.read_bytes()[:-20])
    again = FrameStore(tmp_path / "frames", 5)
    again.begin({})
    assert list(again.missing()) == [1, 4]
    again.add(4, np.full((4, 4, 3), 4, np.uint8))
    assert log.read_text().splitlines()[-1].startswith("4 ") and len(log.read_text().splitlines()) == 5
    assert again.read(4)[0, 0, 0] == 4 and again.read(2)[0, 0, 0] == 2
    data.write_bytes(b"other")
    with pytest.raises(DamagedFrameError):
        again.read(0)
    assert list(again.missing()) == [0, 1]
    for line in ("x", "9 00 0 5", "0 " + "0" * 64 + " -1 5", "0 " + "0" * 64 + " 0 99999999999"):
        log.write_text(line + "\n")
        again.verify()
        assert again.done == 0


def test_a_folder_belongs_to_one_process_at_a_time(tmp_path):
    with working_in(tmp_path / "frames"):
        owner = tmp_path / "frames" / "owner.json"
        entry = json.loads(owner.read_text())
        assert is_running(entry) and not is_running({**entry, "began": 5.0}) and not is_running({**entry, "pid": 2**31 - 1})
        owner.write_text(json.dumps({**entry, "host": "elsewhere"}))
        with pytest.raises(MediaError, match="is being made already"), working_in(tmp_path / "frames", "a.mp4"):
            raise AssertionError
    assert not owner.exists()


def test_sounds_are_kept_and_found_by_what_is_in_them(tmp_path):
    file = tmp_path / "beat.wav"
    tone(file, 0.5)
    ref = keep_sound(file, "My beat.wav")
    assert ref.name == "My beat.wav" and ref.is_heard
    file.rename(tmp_path / "elsewhere.wav")
    assert find_sound(ref).read_bytes() == (tmp_path / "elsewhere.wav").read_bytes()
    assert find_sound(refer_to(tmp_path / "elsewhere.wav"), [tmp_path / "elsewhere.wav"]) == tmp_path / "elsewhere.wav"
    with pytest.raises(MediaError, match="lost\\.wav is not here any more"):
        find_sound(SoundRef("lost.wav", "0" * 64))


def tone(path, seconds, value=0.25):
    import wave

    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 48_000, 0, "NONE", ""))
        out.writeframes(np.full(round(seconds * 48_000), value * 32767).astype("<i2").tobytes())


def test_several_sounds_are_mixed_each_from_its_own_moment(tmp_path):
    tone(tmp_path / "a.wav", 1.0, 0.25)
    tone(tmp_path / "b.wav", 1.0, 0.5)
    mix_sounds([(tmp_path / "a.wav", 0.5), (tmp_path / "b.wav", -0.25)], 1.5, tmp_path / "mix.wav")
    y, sr = read_sound(tmp_path / "mix.wav")
    assert sr == 48_000 and y.shape == (2, 72_000)
    levels = [float(y[0, round(second * sr)]) for second in (0.1, 0.4, 0.7, 1.4)]
    assert levels == pytest.approx([0.25, 0.75, 0.5, 0.0], abs=1e-3)


def test_the_view_of_a_picture_is_applied_to_stills_too(engine):
    recipe = replace(film_recipe(), film=None)
    bright = replace(recipe, view=replace(recipe.view, flash=1.0))
    assert engine.render(bright).mean() > engine.render(recipe).mean() + 50


def test_an_upscaler_changes_the_frames_and_what_they_are_known_by(tmp_path):
    engine = toy_engine(tmp_path)
    save(tiny(), tmp_path / "sharp.safetensors", ModelCard())
    with pytest.raises(RecipeError, match="other is no upscaler"):
        FilmRender(film_recipe(), look=Look(upscaler="other"), engine=engine)
    plain, larger = FilmRender(film_recipe(), engine=engine), FilmRender(film_recipe(), look=Look(upscaler="sharp"), engine=engine)
    assert larger.raw(3).shape == (64, 64, 3)
    assert np.array_equal(larger.raw(3), upscale(tiny(), plain.raw(3)))
    assert larger.estimate_bytes() == pytest.approx(16 * plain.estimate_bytes(), rel=0.01)
    assert larger.facts() == plain.facts() | {"upscaler": larger.facts()["upscaler"]}
    assert Look.from_dict(Look(upscaler="sharp").to_dict()) == Look(upscaler="sharp")


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 7, 4), (300, 301, 3), (301, 300, 4)])
def test_frames_are_packed_without_loss_and_equal_ones_to_equal_bytes(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    data = pack_frame(image)
    assert np.array_equal(unpack_frame(data), image) and pack_frame(image[:, ::-1][:, ::-1]) == data
    for damaged in (b"", b"qoif", data[:9], b"P7\nWIDTH 5\nENDHDR\n", b"P7\nWIDTH 5\nHEIGHT -1\nDEPTH 9\nENDHDR\nabc"):
        with pytest.raises(MediaError, match="damaged"):
            unpack_frame(damaged)


def test_frames_stored_and_read_beside_other_work_are_the_same_and_errors_come_in_turn(tmp_path, engine):
    images, store = pictures(film_recipe(), engine), FrameStore(tmp_path / "frames", 12)
    store.begin({})
    with pytest.raises(ZeroDivisionError), storing(store) as add:
        for index in range(9):
            add(index, images[index])
        raise ZeroDivisionError
    assert store.done == 9
    got = reading(store, 12, np.copy, frame_bytes=images[0].nbytes)
    with pytest.raises(DamagedFrameError):
        list(got)
    assert all(np.array_equal(got, wanted) for got, wanted in zip(reading(store, 9, np.copy, frame_bytes=1 << 20), images, strict=False))
    assert list(ahead(iter(range(99)), frame_bytes=1 << 17)) == list(ahead(iter(range(99)), frame_bytes=1 << 20)) == list(range(99))
    shutil.rmtree(tmp_path / "frames")
    (tmp_path / "frames").write_bytes(b"in the way")
    with pytest.raises(MediaError), storing(store) as add:
        add(9, images[9])


def test_drawn_frames_are_stored_soon_even_when_no_more_come(tmp_path):
    store = FrameStore(tmp_path / "frames", 30)
    store.begin({})
    with storing(store) as add:
        for index in range(21):
            add(index, np.zeros((16, 16, 3), np.uint8))
        wait_until(lambda: store.done == 21, 5)


ENDING = """
import atexit, sys, threading, time
import numpy as np
from pathlib import Path
from studio.film_render.pipeline import ahead, reading, storing
from studio.film_render.store import FrameStore

store = FrameStore(Path(sys.argv[1]), 40)
store.begin({})
stop = threading.Event()


def film(side):
    image = np.full((side, side, 3), 7, np.uint8)
    with storing(store) as add:
        for index in range(40):
            add(index, image)
    for frame in ahead(reading(store, 40, np.copy, frame_bytes=image.nbytes), frame_bytes=image.nbytes):
        stop.wait(0.02)
    print("whole", side, store.done, flush=True)


threads = [threading.Thread(target=film, args=(side,), daemon=True) for side in map(int, sys.argv[2:])]
atexit.register(lambda: (stop.set(), [thread.join() for thread in threads]))
for thread in threads:
    thread.start()
time.sleep(0.3)
"""


@pytest.mark.parametrize("side", ["16", "300"])
def test_a_film_that_is_under_way_when_the_program_ends_can_be_put_back(tmp_path, side):
    """Python lets no executor begin anything from then on, but the list of jobs is closed later."""
    result = subprocess.run([sys.executable, "-c", ENDING, str(tmp_path / "frames"), side], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr, result.stdout.split()) == (0, "", ["whole", side, "40"])
