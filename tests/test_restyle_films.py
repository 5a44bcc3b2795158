"""Restyled films: what holds them together from frame to frame, what is kept of them, and what becomes of sound and times."""

import itertools
import signal
import subprocess
import sys
import time
from contextlib import closing
from fractions import Fraction

import numpy as np
import pytest
import torch
from film_synthesis import packets, write_tone
from toys import save_toy, toy_translator
from typer.testing import CliRunner

from studio import media
from studio.cli import app, values
from studio.engine import Engine
from studio.errors import MediaError, RecipeError
from studio.film_restyle import RestyleExport, estimate, restyle_frames, sound_note
from studio.gallery import Gallery
from studio.jobs import JobQueue
from studio.models.common import build
from studio.recipe import Recipe, Restyle, StyleShare
from studio.restyle import films, frozen
from studio.restyle.geometry import image_to_img
from studio.restyle.motion import find_motion, lightness, warped_error
from studio.restyle.picture import exhaust
from studio.restyle.shots import ShotFinder
from studio.restyle.steadying import Pair, film_error, steady


def scene(seed, height=96, width=512):
    """A smooth, coloured, photo-like picture."""
    coarse = torch.from_numpy(np.random.default_rng(seed).random((1, 3, height // 8, width // 8), np.float32))
    fine = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)
    return (fine[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)


def pan(count, seed=0, *, step=2, height=64, width=96):
    """Frames of a camera that moves to the right over a scene."""
    wide = scene(seed, height, width + step * count + 8)
    return [np.ascontiguousarray(wide[:, step * k : step * k + width]) for k in range(count)]


def hold(net, frames, **wishes):
    return exhaust(films.hold(net, frames, **wishes))


def test_motion_points_to_where_things_are_in_the_other_frame():
    frames = pan(6, step=3)
    here, there = lightness(frames[3]), lightness(frames[2])
    forth, back = find_motion(here, there)
    inner = (slice(12, -12), slice(16, -16))
    assert np.abs(forth.flow[inner] - (3, 0)).max() < 0.3
    assert np.abs(back.flow[inner] + (3, 0)).max() < 0.3
    assert forth.trust[inner].min() == 1 and not forth.trust[:, -2:].any(), "what comes from outside cannot be seen in both"
    two = find_motion(here, lightness(frames[4]))[0].then(find_motion(lightness(frames[4]), lightness(frames[5]))[0])
    assert np.abs(two.flow[inner] + (6, 0)).max() < 0.5


def test_the_warped_error_is_zero_for_what_moves_along_and_grows_with_what_does_not():
    frames = pan(3)
    motion, _ = find_motion(lightness(frames[2]), lightness(frames[1]))
    noise = np.random.default_rng(0).normal(0, 12, frames[0].shape)
    noisy = np.clip(frames[2] + noise, 0, 255).astype(np.uint8)
    calm, restless = warped_error(motion, frames[2], frames[1]), warped_error(motion, noisy, frames[1])
    assert calm < 0.004
    assert restless == pytest.approx(12 * (2 / np.pi) ** 0.5 / 255, rel=0.1)


def test_cuts_are_found_where_they_are_and_a_flash_or_a_pan_is_none():
    finder, flash = ShotFinder(), np.full((64, 96, 3), 255, np.uint8)
    dark = scene(7, 64, 200) // 3
    shots = [pan(12, 1, step=6), pan(9, 2), [np.ascontiguousarray(dark[:, k : k + 96]) for k in range(10)]]
    shots[1][4] = flash
    for frame in itertools.chain.from_iterable(shots):
        finder.add(frame)
    assert finder.cuts == [0, 12, 21]


@pytest.mark.parametrize("settings", [{}, {"norm": "batch"}, {"norm": "instance-affine", "upsample": "resize", "downsample": "antialias"}])
def test_statistics_of_one_frame_give_that_frame_as_it_would_be_alone(settings):
    net = toy_translator()
    if settings:
        net = build("resnet", {"ngf": 4, "n_blocks": 2, **settings}).eval().requires_grad_(False)
    frame = pan(1)[0]
    held = hold(net, [frame])
    img = image_to_img(frame)
    assert held is not net and held.norm_mode == "eval"
    torch.testing.assert_close(held(img), net(img), atol=1e-4, rtol=0)


def test_statistics_of_a_unet_are_held_too():
    net = build("unet", {"ngf": 4, "n_downs": 5, "norm": "instance", "dropout": False}).eval().requires_grad_(False)
    frame = pan(1, height=32, width=64)[0]
    held = hold(net, [frame])
    torch.testing.assert_close(held(image_to_img(frame)), net(image_to_img(frame)), atol=1e-4, rtol=0)


def test_held_statistics_do_not_change_with_what_comes_into_the_picture():
    net = toy_translator()
    frames = pan(2, step=0)
    frames[1][40:, 60:] = 255
    held = hold(net, frames)
    far = (..., slice(0, 24), slice(0, 24))
    before, after = (image_to_img(frame) for frame in frames)
    torch.testing.assert_close(held(before)[far], held(after)[far], atol=1e-5, rtol=0)
    assert (net(before)[far] - net(after)[far]).abs().mean() > 0.01


def test_statistics_that_do_not_fit_into_memory_come_from_fewer_frames_or_tiles():
    net, frames = toy_translator(), pan(4, height=300, width=400)
    whole, one = hold(net, frames), hold(net, frames, max_memory=180 << 20)
    norms = [layer for layer in whole.modules() if isinstance(layer, frozen.BatchNorm)]
    fewer = [layer for layer in one.modules() if isinstance(layer, frozen.BatchNorm)]
    assert any((a.running_mean != b.running_mean).any() for a, b in zip(norms, fewer, strict=True))


def noisy(frames, seed=0):
    """A restless restyling: inverted, with its own grain in every frame."""
    random = np.random.default_rng(seed)
    return [np.clip(255.0 - frame + random.normal(0, 15, frame.shape), 0, 255).astype(np.uint8) for frame in frames]


def test_the_steadier_the_smaller_the_error_and_at_nought_nothing_changes():
    frames = pan(12)
    styled = noisy(frames)
    errors = []
    for flicker in (0.0, 0.3, 0.8, 1.0):
        made = list(steady((Pair(a, b) for a, b in zip(frames, styled, strict=True)), flicker))
        assert len(made) == 12
        errors.append(film_error(Pair(a, b) for a, b in zip(frames, made, strict=True)))
        if not flicker:
            assert all(a is b for a, b in zip(made, styled, strict=True))
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < errors[0] / 3


def test_a_frame_depends_on_its_neighbours_of_the_same_shot_alone():
    frames = [*pan(6, 1), *pan(6, 2)]
    styled = noisy(frames)

    def made(first, last):
        pairs = (Pair(frames[k], styled[k], k in (0, 6)) for k in range(first, last))
        return list(steady(pairs, 0.8))

    whole = made(0, 12)
    for a, b in zip(made(6, 12), whole[6:], strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(made(0, 6), whole[:6], strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(made(1, 6)[2], whole[3])


def test_what_is_uncovered_is_not_mixed_with_what_covered_it():
    ground, red = scene(3, 64, 96), np.uint8([230, 20, 20])
    frames = []
    for k in range(5):
        frame = ground.copy()
        frame[16:48, 8 + 8 * k : 40 + 8 * k] = red
        frames.append(frame)
    made = list(steady((Pair(frame, frame) for frame in frames), 1.0))
    trail = made[2][20:44, 10:22].astype(int) - frames[2][20:44, 10:22]
    assert np.abs(trail).mean() < 6


@pytest.fixture
def painter(tmp_path):
    """A toy translator in a file, and an engine that holds it."""
    path = save_toy(tmp_path / "models", "painter", toy_translator())
    engine = Engine(compilers=False)
    yield path, engine, engine.open(path).ref
    engine.close()


def film_file(path, frames, *, rate=12, sound=None, times=None):
    """A film of the given frames, with a tone beside it."""
    spoken = None if sound is None else media.Sound(sound, mode="copy")
    if times is None:
        media.write_film(path, frames, rate=rate, sound=spoken)
    else:
        shown = [
            media.FilmFrame(k, time, after - time, image)
            for k, (image, time, after) in enumerate(zip(frames, times, times[1:], strict=False))
        ]
        media.write_film(path, shown, rate=None, sound=spoken)
    return path


def made(recipe, source, path, engine, **wishes):
    export = RestyleExport(recipe, source, path, path.parent / "frames", engine=engine, reserve_bytes=0, **wishes)
    steps = list(export.steps())
    return export.result, steps


def images(path):
    return [frame.image for frame in media.read_film(path)]


def test_a_restyled_film_keeps_frames_length_and_sound_and_says_how_it_was_made(painter, tmp_path):
    _, engine, ref = painter
    source = film_file(tmp_path / "pan.mp4", pan(24), sound=write_tone(tmp_path / "tone.m4a", 2.0))
    recipe = Recipe(model=ref, restyle=Restyle(flicker=0.8, strength=0.9), studio="1")
    saved, steps = made(recipe, source, tmp_path / "out.mp4", engine)
    before, after = media.probe_film(source), media.probe_film(saved.film.path)
    assert (after.frames, after.rate, after.width, after.height) == (24, 12, 96, 64)
    assert abs(after.duration - before.duration) <= 1 / before.rate
    assert packets(saved.film.path) == packets(source), "the sound is the same, bit for bit"
    assert after.recipe.restyle == Restyle(flicker=0.8, strength=0.9, source_name="pan.mp4", source_sha256=media.hash_file(source))
    assert "composite" in str(after.marks).lower()
    assert {step.phase for step in steps} == {"looking", "drawing", "encoding"} and steps[-1].done == steps[-1].total == 24
    assert not (tmp_path / "frames").exists()


def test_flicker_control_at_least_halves_the_error_and_the_report_agrees(painter, tmp_path):
    _, engine, ref = painter
    frames = pan(24)
    for k, frame in enumerate(frames):
        frame[:20, 70:][(k % 3) * 6 :][:6] = 255 * (k % 2)
    source = film_file(tmp_path / "pan.mp4", frames)
    originals = images(source)
    errors = {}
    for flicker in (0.0, 0.8):
        saved, _ = made(Recipe(model=ref, restyle=Restyle(flicker=flicker)), source, tmp_path / f"{flicker}.mp4", engine)
        errors[flicker] = film_error(Pair(a, b) for a, b in zip(originals, images(saved.film.path), strict=True))
        assert (saved.before == saved.after) == (flicker == 0)
        assert 0 < saved.after <= saved.before
    assert errors[0.8] <= errors[0.0] / 2
    assert saved.after <= saved.before / 2 and "without control" in saved.words


def test_frames_with_their_own_times_keep_them_and_a_range_is_cut_exactly(painter, tmp_path):
    _, engine, ref = painter
    times = [Fraction(t, 100) for t in (0, 10, 15, 40, 50, 90, 95, 100)]
    source = film_file(tmp_path / "own.mp4", pan(7), times=times)
    recipe = Recipe(model=ref, restyle=Restyle(flicker=0.5))
    saved, _ = made(recipe, source, tmp_path / "out.mp4", engine)
    kept = [frame.time for frame in media.read_film(saved.film.path)]
    assert kept == [frame.time for frame in media.read_film(source)] and media.probe_film(saved.film.path).is_variable
    plain = film_file(tmp_path / "plain.mp4", pan(12), rate=12)
    cut, _ = made(Recipe(model=ref, restyle=Restyle(start=0.25, end=0.75)), plain, tmp_path / "cut.mp4", engine)
    assert cut.film.frames == 6 and cut.film.duration == Fraction(1, 2)
    assert media.probe_film(cut.film.path).recipe.restyle.start == 0.25


def test_an_export_that_was_left_goes_on_with_the_frames_that_are_there(painter, tmp_path):
    _, engine, ref = painter
    frames = [*pan(8, 1), *pan(8, 2)]
    source, recipe = film_file(tmp_path / "two.mp4", frames), Recipe(model=ref)
    whole, _ = made(recipe, source, tmp_path / "whole.mp4", engine)
    for stop_at in (5, 11):
        left = RestyleExport(recipe, source, tmp_path / "again.mp4", tmp_path / "kept", engine=engine, reserve_bytes=0)
        with closing(left.steps()) as steps:
            next(step for step in steps if step.phase == "drawing" and step.done == stop_at)
    again = RestyleExport(recipe, source, tmp_path / "again.mp4", tmp_path / "kept", engine=engine, reserve_bytes=0)
    drawn = [step.done for step in again.steps() if step.phase == "drawing"]
    assert drawn == [12, 13, 14, 15, 16]
    assert again.result.film.sha256 == whole.film.sha256


KILLED = """
import sys, time
from pathlib import Path
from studio.engine import Engine
from studio.film_restyle import RestyleExport
from studio.recipe import Recipe
model, source, folder = map(Path, sys.argv[1:])
engine = Engine(compilers=False)
export = RestyleExport(Recipe(model=engine.open(model).ref), source, folder / "out.mp4", folder / "frames", engine=engine, reserve_bytes=0)
for step in export.steps():
    print(step.phase, step.done, flush=True)
    time.sleep(0.15)
"""


def test_a_film_that_was_killed_goes_on_and_is_as_if_nothing_had_happened(painter, tmp_path):
    model, engine, ref = painter
    source = film_file(tmp_path / "pan.mp4", pan(12))
    words = [sys.executable, "-c", KILLED, str(model), str(source), str(tmp_path)]
    stored = tmp_path / "frames" / "frames.log"
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("drawing") and stored.exists() and stored.read_text().count("\n") > 2:
                process.kill()
    assert process.returncode == -signal.SIGKILL and not (tmp_path / "out.mp4").exists()
    again, steps = made(Recipe(model=ref), source, tmp_path / "out.mp4", engine)
    assert min(step.done for step in steps if step.phase == "drawing") > 3
    whole, _ = made(Recipe(model=ref), source, tmp_path / "whole" / "out.mp4", engine)
    assert again.film.sha256 == whole.film.sha256


def test_chains_mixtures_and_transparency_go_through_films_too(painter, tmp_path):
    _, engine, ref = painter
    other = engine.open(save_toy(tmp_path / "models", "other", toy_translator(seed=3))).ref
    frames = [np.dstack([frame, np.full(frame.shape[:2], 128, np.uint8)]) for frame in pan(4)]
    source = tmp_path / "clear.webp"
    media.write_film(source, frames, rate=10)
    recipe = Recipe(model=ref, restyle=Restyle(mix=(StyleShare(other, 0.5),), then=(other,), texture_scale=2.0))
    saved, _ = made(recipe, source, tmp_path / "out.webp", engine)
    shown = images(saved.film.path)
    assert len(shown) == 4 and all((image[..., 3] == 128).all() for image in shown)
    assert [frame.image.shape for frame in restyle_frames(recipe, source, engine=engine)] == [(64, 96, 4)] * 4


def test_an_estimate_tells_length_sound_time_and_room_before_anything_is_made(painter, tmp_path):
    _, engine, ref = painter
    source = film_file(tmp_path / "pan.mp4", pan(24), sound=write_tone(tmp_path / "tone.m4a", 2.0))
    found = estimate(Recipe(model=ref, restyle=Restyle(start=1.0)), source, engine=engine)
    assert (found.frames, found.length, found.width, found.height, found.has_sound) == (12, 1.0, 96, 64, True)
    assert found.seconds > 0 and found.disk_bytes > 12 * 64 * 96
    bare = estimate(Recipe(model=ref, restyle=Restyle(start=1.0, flicker=0.0)), source, engine=engine)
    assert 64 * 96 * 3 < bare.memory_bytes <= found.memory_bytes
    with pytest.raises(MediaError, match="after start"):
        estimate(Recipe(model=ref, restyle=Restyle(start=1.0, end=0.5)), source, engine=engine)


def test_sound_that_the_container_cannot_hold_is_encoded_and_one_sentence_says_so(painter, tmp_path):
    _, engine, ref = painter
    source = film_file(tmp_path / "pan.mov", pan(4), sound=write_tone(tmp_path / "tone.wav", 0.5, codec="pcm_s16le"))
    facts = media.probe_film(source)
    sentence = "The sound is PCM, which MP4 films cannot hold as it is, so it is encoded as AAC."
    assert sound_note(facts, ".mp4") == sentence and sound_note(facts, ".mov") == ""
    saved, _ = made(Recipe(model=ref), source, tmp_path / "out.mp4", engine)
    assert saved.film.note.count(sentence) == 1 and media.probe_film(saved.film.path).sound.codec == "aac"


def test_what_is_no_film_or_no_range_of_it_is_said_in_one_sentence(painter, tmp_path):
    _, engine, ref = painter
    source = film_file(tmp_path / "pan.mp4", pan(6))
    (tmp_path / "page.mp4").write_bytes(b"<html>")
    with pytest.raises(MediaError, match=r"page\.mp4"):
        RestyleExport(Recipe(model=ref), tmp_path / "page.mp4", tmp_path / "out.mp4", tmp_path / "f", engine=engine)
    with pytest.raises(MediaError, match="after the end"):
        RestyleExport(Recipe(model=ref, restyle=Restyle(start=9.0)), source, tmp_path / "out.mp4", tmp_path / "f", engine=engine)
    seeds = engine.open(save_toy(tmp_path / "models", "seeds")).ref
    with pytest.raises(RecipeError, match="Choose a translator"):
        list(RestyleExport(Recipe(model=seeds), source, tmp_path / "out.mp4", tmp_path / "f", engine=engine, reserve_bytes=0).steps())


def studio(*words, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def test_the_command_takes_films_among_pictures_and_folders_and_skips_what_is_done(tmp_path):
    model = save_toy(tmp_path / "models", "painter", toy_translator())
    folder = tmp_path / "in"
    (folder / "clips").mkdir(parents=True)
    film_file(folder / "clips" / "pan.mp4", pan(6), sound=write_tone(tmp_path / "tone.m4a", 0.5))
    (folder / "broken.mov").write_bytes(b"no film")
    media.write_film(folder / "moving.gif", pan(3), rate=10)
    media.create_exclusive(folder, ["photo.png"], media.encode_image(pan(1)[0], ".png").data)
    words = ("restyle", model, folder, "--out", tmp_path / "out", "--flicker", "0.5", "--end", "0.4", "--sheet")
    result = studio(*words, code=3)
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert names == {"clips/pan-painter.mp4", "moving-painter.webp", "photo-painter.png", "contact-sheet.png"}
    assert "broken.mov" in result.stderr and "without control" in result.stderr
    done = media.probe_film(tmp_path / "out" / "clips" / "pan-painter.mp4")
    assert (done.frames, done.sound.codec, done.recipe.restyle.flicker, done.recipe.restyle.end) == (5, "aac", 0.5, 0.4)
    assert media.inspect_media(tmp_path / "out" / "photo-painter.png").recipe.restyle.end is None
    assert studio(*words, code=3).output.count("was done already") == 3
    assert values.read_recipe(tmp_path / "out" / "clips" / "pan-painter.mp4") == done.recipe


def test_a_restyled_film_is_a_job_that_outlives_a_stop_and_comes_to_the_gallery(painter, tmp_path):
    _, engine, ref = painter
    source = film_file(tmp_path / "pan.mp4", pan(12), sound=write_tone(tmp_path / "tone.m4a", 1.0))
    recipe = Recipe(model=ref, restyle=Restyle(flicker=0.6))
    queue = JobQueue(tmp_path / "jobs", engine, reserve_bytes=0)
    job = queue.add_restyle(recipe, source, pictures=tmp_path / "pictures")
    assert (job.state, job.title, job.total) == ("waiting", "pan.mp4, painter", 12)
    source.unlink()
    queue.start()
    while queue.get(job.id).done < 3:
        time.sleep(0.01)
    queue.close()
    assert queue.get(job.id).state in ("waiting", "done")
    later = JobQueue(tmp_path / "jobs", engine, reserve_bytes=0)
    later.start()
    done = later.wait(job.id)
    later.close()
    assert done.state == "done" and "without control" in done.note, done
    item = Gallery(tmp_path / "pictures").items()[0]
    found = media.probe_film(item.path)
    assert item.is_film and found.frames == 12 and found.sound is not None
    assert found.recipe.restyle == Restyle(flicker=0.6, source_name="pan.mp4", source_sha256=found.recipe.restyle.source_sha256)
    assert not [path for path in (tmp_path / "jobs" / job.id).rglob("*") if path.suffix in (".mp4", ".png", ".data")]
