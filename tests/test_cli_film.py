"""Laws of ``studio film`` and ``studio jobs``: what is typed becomes the film that is meant, and can be stopped and steered."""

import os
import subprocess
import sys
from dataclasses import replace

import av
import numpy as np
import pytest
import torch
from films import film_recipe
from test_film_render import tone
from toys import save_toy, toy_stylegan2
from typer.testing import CliRunner
from upscalers import numbered, tiny

from studio import paths
from studio.cli import app
from studio.jobs import JobQueue
from studio.media import hash_file, inspect_media, probe_film, read_film

runner = CliRunner()


@pytest.fixture(autouse=True)
def models(studio_home):
    for seed, name in enumerate(("toy", "other")):
        save_toy(paths.models_folder(), name, toy_stylegan2(16, seed=seed))


def studio(*words):
    result = runner.invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def made(path, *words):
    result = studio("film", *words, "--out", path)
    assert result.exit_code == 0, result.output
    return probe_film(path)


def test_a_model_and_seeds_become_a_film_that_carries_them(tmp_path):
    facts = made(tmp_path / "a.mp4", "toy", "--seeds", "1,5,9", "--seconds", "0.5", "--fps", "24", "--size", "32", "--psi", "0.5")
    assert (facts.frames, facts.rate, facts.width) == (12, 24, 32)
    (lane,) = facts.recipe.film.latents
    assert [key.latent.x for key in lane.keys] == [1, 5, 9] and [round(key.time, 3) for key in lane.keys] == [0, 0.167, 0.333]
    assert facts.recipe.truncation.psi == 0.5 and facts.recipe.precision == "auto" and facts.recipe.film.loop
    assert facts.recipe.model.sha256 and [path.name for path in tmp_path.glob("*.mp4*")] == ["a.mp4"]


def test_the_film_of_a_class_keeps_to_its_average_unless_told_otherwise(tmp_path):
    save_toy(paths.models_folder(), "kinds", toy_stylegan2(16, c_dim=3))
    films = [
        made(tmp_path / f"{name}.mp4", "kinds", "--seeds", "1,5", "--class", "1", "--seconds", "0.2", "--fps", "10", *words)
        for name, words in (("own", ()), ("all", ("--center", "average")))
    ]
    assert [facts.recipe.truncation.towards for facts in films] == ["class", "average"]
    again = made(tmp_path / "again.mp4", tmp_path / "own.mp4", "--psi", "0.4")
    assert (again.recipe.truncation.towards, again.recipe.truncation.psi) == ("class", 0.4)


def test_without_a_loop_the_last_seed_is_at_the_end(tmp_path):
    facts = made(tmp_path / "a.mp4", "toy", "--seeds", "1,5", "--seconds", "1", "--no-loop", "--precision", "exact")
    assert [key.time for key in facts.recipe.film.latents[0].keys] == [0, 1] and not facts.recipe.film.loop
    assert facts.recipe.precision == "exact"


def test_a_sound_gives_the_length_and_moves_the_film_unless_told_otherwise(tmp_path):
    tone(tmp_path / "tone.wav", 0.8)
    facts = made(tmp_path / "a.mp4", "toy", "--seeds", "1,5", "--audio", tmp_path / "tone.wav")
    assert facts.frames == 24 and abs(facts.sound.duration - facts.duration) < 1 / 30
    assert facts.recipe.film.matrix and facts.recipe.film.sounds[0].name == "tone.wav"
    still = made(tmp_path / "b.mp4", "toy", "--seeds", "1,5", "--audio", tmp_path / "tone.wav", "--preset", "none", "--start", "0.3")
    assert still.frames == 15 and still.recipe.film.matrix == () and still.recipe.film.sounds[0].start == 0.3


def test_a_film_is_a_recipe_for_another_one(tmp_path):
    first = made(tmp_path / "a.apng", "toy", "--seeds", "1,5", "--seconds", "0.4", "--precision", "exact")
    again = made(tmp_path / "b.apng", tmp_path / "a.apng")
    assert again.recipe == first.recipe
    frames = [[frame.image for frame in read_film(tmp_path / name)] for name in ("a.apng", "b.apng")]
    assert all(np.array_equal(one, other) for one, other in zip(*frames, strict=True))
    (tmp_path / "c.json").write_text(replace(film_recipe(), size=None).to_json())
    assert made(tmp_path / "c.gif", tmp_path / "c.json", "--fps", "12").frames == 6


def test_films_stand_side_by_side_by_model_and_by_seeds(tmp_path):
    facts = made(tmp_path / "a.mp4", "toy,other", "--seeds", "1", "--seconds", "0.2", "--columns", "2")
    assert (facts.width, facts.height) == (32, 16)
    facts = made(tmp_path / "b.mp4", "toy", "--seeds", "0-3", "--grid", "4", "--seconds", "0.2")
    assert (facts.width, facts.height) == (32, 32)
    assert "cannot be shared among 3 films" in studio("film", "toy", "--seeds", "0-3", "--grid", "3").output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["toy"], "No seeds were given"),
        (["nobody", "--seeds", "1"], "nobody"),
        (["toy", "--seeds", "1", "--preset", "lucid"], "there is none"),
        (["toy", "--seeds", "1", "--preset", "wild", "--audio", "tone.wav"], "'wild' is not known"),
        (["toy", "--seeds", "1", "--size", "big"], "is not understood"),
        (["toy", "--seeds", "1", "--size", "0"], "out of range"),
        (["toy", "--seeds", "1", "--fps", "500"], "cannot be used"),
        (["toy", "--seeds", "1", "--out", "film"], "names no film"),
        (["toy", "--seeds", "1", "--out", "film.xyz"], "none of these"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    tone(tmp_path / "tone.wav", 0.3)
    result = studio("film", *words)
    assert result.exit_code == 1 and sentence in result.output and len(result.output.strip().splitlines()) == 1
    assert not list(tmp_path.glob(".*frames"))


def test_the_same_command_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
    from studio.film_render.store import FrameStore

    words = ("toy", "--seeds", "1,5", "--seconds", "0.5", "--precision", "exact")
    made(tmp_path / "whole.mp4", *words)
    real, drawn = FrameStore.add, []

    def add(self, index, image):
        if len(drawn) == 7:
            raise KeyboardInterrupt
        drawn.append(index)
        real(self, index, image)

    monkeypatch.setattr(FrameStore, "add", add)
    result = studio("film", *words, "--out", tmp_path / "a.mp4")
    assert result.exit_code == 130 and "goes on where it was" in result.output and (tmp_path / ".a.mp4.frames").is_dir()
    monkeypatch.setattr(FrameStore, "add", lambda self, index, image: (drawn.append(index), real(self, index, image))[1])
    made(tmp_path / "a.mp4", *words)
    assert drawn == list(range(15)) and hash_file(tmp_path / "a.mp4") == hash_file(tmp_path / "whole.mp4")


def test_jobs_are_ordered_and_steered_from_the_command_line(tmp_path):
    assert "No films" in studio("jobs", "list").output
    tone(tmp_path / "tone.wav", 0.3)
    words = ("toy", "--seeds", "1,5", "--audio", tmp_path / "tone.wav", "--queue")
    assert studio("film", *words, "--out", tmp_path / "a.mp4").exit_code == 0
    (job,) = JobQueue().list()
    assert job.state == "waiting" and job.out == tmp_path / "a.mp4" and job.id in studio("jobs", "list").output
    for word, state in (("pause", "paused"), ("resume", "waiting"), ("cancel", "cancelled")):
        assert state in studio("jobs", word, job.id[:6]).output and JobQueue().get(job.id).state == state
    assert "names no job" in studio("jobs", "pause", "zzz").output
    assert "Forgot 1 job." in studio("jobs", "clear").output and JobQueue().list() == []


CLUSTER = """
import os, sys
os.environ["STUDIO_HOME"] = sys.argv[1]
from studio.cli import main
sys.argv = ["studio", "film", "toy", "--seeds", "1,5", "--seconds", "1", "--precision", "exact", "--out", sys.argv[2], *sys.argv[3:]]
main()
"""


@pytest.mark.timeout(280)
def test_two_workers_of_a_cluster_make_the_same_frames(tmp_path, studio_home):
    pytest.importorskip("ray", reason="needs Ray: pip install 'gan-art-studio[cluster]'")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    for name, more in (("alone.apng", []), ("cluster.apng", ["--ray", "local", "--workers", "2"])):
        command = [sys.executable, "-c", CLUSTER, str(studio_home), str(tmp_path / name), *more]
        result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=250)
        assert result.returncode == 0, result.stdout + result.stderr
    assert hash_file(tmp_path / "alone.apng") == hash_file(tmp_path / "cluster.apng")
    assert inspect_media(tmp_path / "cluster.apng").recipe is not None


@pytest.fixture
def sharpener(tmp_path):
    """An upscaler with random weights, as a file of the first release would be."""
    path = tmp_path / "4x_Sharp.pth"
    torch.save(numbered(tiny(ups=2).state_dict(), 2), path)
    return path


def test_an_upscaler_enlarges_every_frame_before_it_gets_its_size(tmp_path, sharpener):
    words = ("toy", "--seeds", "1,5", "--seconds", "0.2", "--fps", "10", "--upscale", sharpener)
    assert made(tmp_path / "a.mp4", *words).width == 64
    assert made(tmp_path / "b.mp4", *words, "--size", "40x24", "--fit", "crop").width == 40
    refused = studio("film", "toy", "--seeds", "1", "--upscale", "other", "--out", tmp_path / "c.mp4")
    assert refused.exit_code == 1 and "other is no upscaler" in refused.output
    refused = studio("film", "toy", "--seeds", "1", "--upscale", sharpener, "--queue")
    assert refused.exit_code == 1 and "studio import" in refused.output.replace("\n", " ")


def test_a_still_is_enlarged_too(tmp_path, sharpener):
    assert studio("generate", "toy", "--seeds", "1", "--upscale", sharpener, "--out", tmp_path / "out").exit_code == 0
    (file,) = (tmp_path / "out").glob("*.png")
    assert inspect_media(file).width == 64 and inspect_media(file).recipe.model.name == "toy"


def test_quality_effort_and_colour_detail_reach_the_encoder(tmp_path):
    words = ("toy", "--seeds", "1,5", "--seconds", "0.5", "--fps", "12", "--size", "64", "--encoder-preset", "ultrafast")
    made(tmp_path / "fine.mp4", *words, "--crf", "5", "--chroma", "444")
    made(tmp_path / "small.mp4", *words, "--crf", "40")
    assert (tmp_path / "fine.mp4").stat().st_size > (tmp_path / "small.mp4").stat().st_size
    with av.open(str(tmp_path / "fine.mp4")) as file:
        assert file.streams.video[0].codec_context.pix_fmt.startswith("yuv444p")
    refused = studio("film", "toy", "--seeds", "1", "--chroma", "411", "--out", tmp_path / "c.mp4")
    assert refused.exit_code == 1 and "420, 444" in refused.output


def test_a_film_is_laid_out_on_a_contact_sheet(tmp_path):
    made(tmp_path / "a.mp4", "toy", "--seeds", "1,5", "--seconds", "0.5", "--fps", "12", "--sheet")
    sheet = inspect_media(tmp_path / "a-sheet.jpg")
    assert (sheet.width, sheet.height) == (3 * 264 + 8, 2 * 264 + 8)
    assert sheet.marks.is_generated
