"""Laws of the list of films: it outlives its processes, does as it is told within a frame, and no crash changes a byte."""

import contextlib
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from films import film_recipe, toy_engine
from test_film_render import tone, wait_until

from studio.errors import MediaError, RecipeError, StudioError
from studio.export import export_film
from studio.film_render import FilmRender, Look, refer_to
from studio.film_render import store as store_module
from studio.gallery import Gallery
from studio.jobs import JobError, JobQueue
from studio.media import FilmFormat, hash_file, probe_film, read_image
from studio.recipe import Recipe

WORKER = Path(__file__).with_name("film_worker.py")


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    engine = toy_engine(tmp_path_factory.mktemp("models"))
    yield engine
    engine.close()


@pytest.fixture
def queue(tmp_path, engine):
    queue = JobQueue(tmp_path / "jobs", engine, reserve_bytes=0)
    yield queue
    queue.close()


@pytest.fixture
def slow(monkeypatch):
    """Make every frame take at least 20 ms, so that there is time to interfere."""
    real = FilmRender._group
    monkeypatch.setattr(FilmRender, "_group", lambda self, members, priority: (time.sleep(0.02), real(self, members, priority))[1])


def parts(folder):
    return [path for path in folder.rglob("*") if path.name.endswith(".part") or path.name.startswith(".film")]


def test_a_film_goes_to_the_gallery_with_poster_and_recipe(tmp_path, queue):
    pictures = tmp_path / "pictures"
    job = queue.add(film_recipe(size=32), pictures=pictures)
    assert (job.state, job.total, job.title) == ("waiting", 12, "toy, 0.5 s")
    queue.start()
    job = queue.wait(job.id)
    assert (job.state, job.item, job.share, job.label) == ("done", "toy-0001.mp4", 1.0, "done"), job.error
    gallery = Gallery(pictures)
    (item,) = gallery.items()
    assert item.is_film and item.frames == 12 and gallery.recipe(item.id) == film_recipe(size=32)
    assert job.result == item.path and job.sha256 == item.sha256 and gallery.thumbnail(item.id).exists()
    assert max(read_image(queue.thumbnail(job.id)).image.shape) == 16
    assert not (queue.folder(job.id) / "frames").exists() and not parts(pictures)


def test_films_can_go_to_any_file_in_any_format_and_size(tmp_path, queue):
    job = queue.add(film_recipe(), out=tmp_path / "film.webm", format=FilmFormat("vp9"), look=Look(64, 32))
    queue.start()
    assert queue.wait(job.id).result == tmp_path / "film.webm"
    facts = probe_film(tmp_path / "film.webm")
    assert (facts.width, facts.height, facts.frames) == (64, 32, 12)


def test_jobs_are_done_in_order_and_can_be_moved(queue, tmp_path):
    first, second, third = (queue.add(film_recipe(seconds=0.1), out=tmp_path / f"{n}.mp4") for n in range(3))
    queue.move(third.id, 0)
    queue.pause(second.id)
    assert [job.id for job in queue.list()] == [third.id, first.id, second.id]
    queue.start()
    assert queue.wait(first.id).finished > queue.wait(third.id).finished
    assert queue.get(second.id).state == "paused"
    with pytest.raises(JobError, match="Only jobs that wait"):
        queue.move(first.id, 0)


def test_a_running_job_pauses_within_a_frame_and_goes_on_to_the_same_film(queue, tmp_path, engine, slow):
    whole = hash_file(export_film(film_recipe(seconds=2.0), tmp_path / "whole.mp4", engine=engine).path)
    job = queue.add(film_recipe(seconds=2.0), out=tmp_path / "a.mp4")
    queue.start()
    wait_until(lambda: queue.get(job.id).done > 3)
    seen = queue.get(job.id)
    assert seen.state == "running" and seen.phase == "drawing" and "drawing" in seen.label and queue.thumbnail(job.id)
    queue.pause(job.id)
    wait_until(lambda: queue.get(job.id).state == "paused")
    stored = frames_in(queue.folder(job.id))
    assert 3 < stored < 48 and not (tmp_path / "a.mp4").exists()
    time.sleep(0.1)
    assert frames_in(queue.folder(job.id)) == stored
    queue.resume(job.id)
    assert queue.wait(job.id).state == "done" and hash_file(tmp_path / "a.mp4") == whole


def test_cancel_ends_within_a_frame_keeps_what_is_there_and_remove_forgets_it(queue, tmp_path, monkeypatch):
    drawn, real = [], FilmRender._group
    monkeypatch.setattr(
        FilmRender, "_group", lambda self, members, priority: (time.sleep(0.05), drawn.append(members), real(self, members, priority))[2]
    )
    job = queue.add(film_recipe(seconds=20.0), out=tmp_path / "a.mp4")
    queue.start()
    wait_until(lambda: len(drawn) > 2)
    queue.cancel(job.id)
    before = len(drawn)
    wait_until(lambda: queue.get(job.id).state == "cancelled")
    assert len(drawn) <= before + 1 and queue.folder(job.id).exists()
    queue.remove(job.id)
    assert not queue.list() and not queue.folder(job.id).exists()
    with pytest.raises(JobError, match="not in the list any more"):
        queue.get(job.id)


def test_a_running_job_can_be_removed_at_once(queue, tmp_path, slow):
    job = queue.add(film_recipe(seconds=20.0), pictures=tmp_path / "pictures")
    queue.start()
    wait_until(lambda: queue.get(job.id).done > 2)
    queue.remove(job.id)
    wait_until(lambda: not queue.list())
    wait_until(lambda: not queue.folder(job.id).exists())


def test_what_cannot_be_made_fails_with_a_sentence_and_can_be_tried_again(queue, tmp_path, engine):
    with pytest.raises(RecipeError, match="is a picture"):
        queue.add(Recipe())
    with pytest.raises(MediaError, match="at most 50 frames a second"):
        queue.add(film_recipe(fps="60"), format=FilmFormat("gif"))
    tone(tmp_path / "tone.wav", 0.5)
    lost = replace(film_recipe(), film=replace(film_recipe().film, sounds=(refer_to(tmp_path / "tone.wav"),)))
    with pytest.raises(MediaError, match=r"tone\.wav is not here any more"):
        queue.add(lost)
    assert queue.add(lost, sounds=[tmp_path / "tone.wav"]).state == "waiting"
    job = queue.add(film_recipe(model="nobody"), out=tmp_path / "a.mp4")
    after = queue.add(film_recipe(), out=tmp_path / "b.mp4")
    queue.start()
    assert queue.wait(job.id).state == "failed" and "nobody" in queue.get(job.id).error
    assert queue.wait(after.id).state == "done"
    assert queue.resume(job.id).error == ""
    for call in (queue.resume, queue.pause, queue.cancel):
        with pytest.raises(StudioError):
            call(after.id)
    assert queue.clear() >= 1 and all(entry.state not in ("done", "cancelled") for entry in queue.list())


def test_closing_puts_the_job_back_and_another_queue_goes_on(queue, tmp_path, engine, slow):
    job = queue.add(film_recipe(seconds=2.0), out=tmp_path / "a.mp4")
    queue.start()
    wait_until(lambda: queue.get(job.id).done > 3)
    queue.close()
    stored = (queue.folder(job.id) / "frames" / "frames.data").read_bytes()
    assert queue.get(job.id).state == "waiting" and 0 < frames_in(queue.folder(job.id)) < 48
    other, seen = JobQueue(tmp_path / "jobs", engine, reserve_bytes=0), b""
    other.start()
    while other.get(job.id).state != "done":
        with contextlib.suppress(OSError):
            seen = (other.folder(job.id) / "frames" / "frames.data").read_bytes()
    other.close()
    assert seen.startswith(stored) and len(seen) > len(stored) and probe_film(tmp_path / "a.mp4").frames == 48


def test_a_remote_control_without_an_engine_steers_the_queue_that_runs(queue, tmp_path, slow):
    remote = JobQueue(tmp_path / "jobs")
    job = remote.add(film_recipe(seconds=20.0), out=tmp_path / "a.mp4", visitor="someone")
    queue.start()
    wait_until(lambda: remote.get(job.id).done > 2)
    remote.cancel(job.id)
    wait_until(lambda: remote.get(job.id).state == "cancelled", 10)
    assert remote.list("someone") and not remote.list("another") and remote.clear("another") == 0


def test_a_full_disk_pauses_with_a_sentence_and_goes_on_afterwards(queue, tmp_path, engine, monkeypatch):
    whole = hash_file(export_film(film_recipe(), tmp_path / "whole.mp4", engine=engine).path)
    real, left = store_module._append, [5]

    def append(path, data):
        left[0] -= path.suffix == ".log"
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(store_module, "_append", append)
    job = queue.add(film_recipe(), out=tmp_path / "a.mp4")
    queue.start()
    job = queue.wait(job.id)
    assert job.state == "paused" and job.note.startswith("The disk is full: 5 of 12 frames are safe. Free about ")
    left[0] = 100
    queue.resume(job.id)
    assert queue.wait(job.id).state == "done" and queue.get(job.id).note == "" and left[0] == 100 - 7
    assert hash_file(tmp_path / "a.mp4") == whole


def test_on_a_disk_that_is_really_full_it_is_the_same(tmp_path, engine):
    small = tmp_path / "small"
    small.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1000k", "tmpfs", str(small)]
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    queue = JobQueue(small / "jobs", engine, reserve_bytes=0)
    try:
        ballast = small / "ballast"
        ballast.write_bytes(bytes(600_000))
        job = queue.add(film_recipe(seconds=20.0), out=tmp_path / "a.mp4")
        queue.start()
        job = queue.wait(job.id)
        assert job.state == "paused" and "The disk is full" in job.note
        ballast.unlink()
        queue.resume(job.id)
        assert queue.wait(job.id).state == "done"
    finally:
        queue.close()
        subprocess.run(["umount", str(small)], check=True)
    assert hash_file(tmp_path / "a.mp4") == hash_file(export_film(film_recipe(seconds=20.0), tmp_path / "b.mp4", engine=engine).path)


def test_a_crash_between_the_film_and_the_list_makes_no_second_film(queue, tmp_path, monkeypatch):
    job = queue.add(film_recipe(), pictures=tmp_path / "pictures")
    real, table = queue._table.set, queue._table
    monkeypatch.setattr(table, "set", lambda id, **values: real(id, **values) if values.get("state") != "done" else None)
    queue.start()
    wait_until(lambda: list((tmp_path / "pictures").glob("*.mp4")) and queue.get(job.id).item)
    wait_until(lambda: not (queue.folder(job.id) / "frames").exists())
    queue.close()
    monkeypatch.undo()
    table.set(job.id, state="waiting")
    queue.start()
    assert queue.wait(job.id).state == "done"
    assert [path.name for path in (tmp_path / "pictures").glob("*.mp4")] == ["toy-0001.mp4"]


def test_a_damaged_list_is_put_aside(tmp_path):
    queue = JobQueue(tmp_path)
    (tmp_path / "jobs.sqlite3").write_bytes(b"no list at all" * 100)
    with pytest.raises(JobError, match="made anew"):
        queue.list()
    assert queue.list() == [] and list(tmp_path.glob("damaged-*"))


def start_worker(home):
    env = {**os.environ, "STUDIO_HOME": str(home), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, str(WORKER), str(home)], stdout=subprocess.PIPE, env=env)


def kill_and_continue(tmp_path, engine, moments, seconds):
    """Kill a process that makes a film at random moments and start it again; then compare with a film that nobody disturbed."""
    recipe = film_recipe(seconds=seconds, size=64)
    home = tmp_path / "home"
    shutil.copytree(engine.library.models_folder, home / "models")
    watch = JobQueue(home / "jobs")
    job = watch.add(recipe, out=home / "a.mp4")
    frames, dice, kills = home / "jobs" / job.id / "frames", random.Random(5), 0
    while kills < moments and watch.get(job.id).state not in ("done", "failed"):
        process = start_worker(home)
        process.stdout.readline()
        goal = frames_in(frames) + dice.randrange(1, max(2, recipe.film.count // moments * 2))
        wait_until(partial(has_come_to, process, watch, job.id, frames, goal), 60)
        time.sleep(dice.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
    process = start_worker(home)
    said = process.communicate(timeout=120)[0].decode()
    return recipe, home, kills, said


def has_come_to(process, watch, id, frames, goal):
    """Tell whether a film has enough frames or is being encoded, or its process ended by itself."""
    return process.poll() is not None or frames_in(frames) >= goal or watch.get(id).phase == "encoding"


def frames_in(folder):
    return sum(log.read_bytes().count(b"\n") for log in folder.rglob("frames*.log"))


def check_killed(tmp_path, engine, moments, seconds):
    recipe, home, kills, said = kill_and_continue(tmp_path, engine, moments, seconds)
    assert kills == moments and said.splitlines()[-1] == "['done']"
    assert probe_film(home / "a.mp4").frames == recipe.film.count and not parts(home)
    assert hash_file(home / "a.mp4") == hash_file(export_film(recipe, tmp_path / "whole.mp4", engine=engine).path)


def test_killed_and_continued_a_film_is_the_same_byte_for_byte(tmp_path, engine):
    check_killed(tmp_path, engine, 2, 6.0)


@pytest.mark.slow
@pytest.mark.skipif("STUDIO_SLOW" not in os.environ, reason="takes minutes; set STUDIO_SLOW=1 to run it")
@pytest.mark.timeout(1500)
def test_killed_twenty_times_a_film_is_the_same_byte_for_byte(tmp_path, engine):
    check_killed(tmp_path, engine, 20, 20.0)
