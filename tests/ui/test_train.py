"""What the Train tab answers, without a browser and without training: handlers, words, plots, dropped files."""

import base64
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from real_studio import real_context

from studio.errors import StudioError
from studio.training import words as plain
from studio.training.forecast import Forecast
from studio.training.settings import Settings, Tick
from studio.training.state import RunFolder
from studio.ui import app, train
from studio.ui import train_words as words
from studio.ui.payloads import Fields, ItemRequest, NameRequest, Payload
from studio.ui.train_pictures import Gathering, details, gather, read_path, summary


@pytest.fixture(scope="module")
def ctx(tmp_path_factory):
    context = real_context(tmp_path_factory.mktemp("train"))
    yield context
    context.engine.close()


@pytest.fixture
def session(ctx):
    return ctx.sessions.open()


def ask(kind, session, **entries):
    return kind.read(Fields({"token": session.token, **entries}))


def tick(kind="step", kimg=1.0, seconds=60.0, **values):
    return Tick(kind, int(kimg * 10), round(kimg * 1000), seconds, 0.5, 20.0, values)


def finish(ctx, session, job):
    for _ in range(100):
        answer = train.job_state(ctx, session, ask(ItemRequest, session, id=job["id"]))
        if answer["done"]:
            return answer
    raise AssertionError("it never ends")


def written_run(ctx, name, ticks, **settings):
    folder = RunFolder(train.home(ctx) / name)
    folder.write_settings(Settings(family="stylegan2", data=("/fruit",), name=name, minutes=2.0, resolution=16, **settings).to_json())
    folder.log_file.write_text("".join(one.to_json() + "\n" for one in ticks))
    return folder


def test_a_run_may_start_from_an_installed_generator_whose_size_it_takes(ctx, session):
    starts = train.overview(ctx, session, ask(Payload, session))["starts"]
    installed = {entry.name: entry.card.family for entry in ctx.library.list()}
    assert starts
    assert all(installed[start["name"]] == start["family"] for start in starts)
    assert not {start["family"] for start in starts} & {"resnet", "unet", "esrgan"}
    plan = {"family": "stylegan2", "data": "/fruit", "resolution": 64}
    tuned = ask(train.PlanRequest, session, **plan, start_from="pomona").settings
    assert (tuned.start_from, tuned.resolution) == ("pomona", None)
    assert ask(train.PlanRequest, session, **plan).settings.resolution == 64
    assert ask(train.PlanRequest, session, **plan | {"family": "cyclegan"}, start_from="pomona").settings.start_from == ""


def test_public_studios_have_no_train_tab():
    names = [tab.__name__ for tab in app._tabs(app.Settings(public=True))]
    assert "studio.ui.train" not in names
    assert "studio.ui.train" in [tab.__name__ for tab in app._tabs(app.Settings(public=False))]


def test_every_family_of_the_trainer_is_offered_in_one_of_two_groups(ctx, session):
    from studio.training import presets

    families = train.overview(ctx, session, ask(Payload, session))["families"]
    assert {entry["name"] for entry in families} == set(presets.FAMILIES)
    assert {entry["group"] for entry in families} == {words.MAKES, words.TURNS}
    assert all(entry["translates"] == (entry["name"] in presets.TRANSLATORS) for entry in families)


def test_a_look_shows_crops_and_says_what_was_left_out(ctx, session, tmp_path):
    rng = np.random.default_rng(0)
    for k in range(5):
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(tmp_path / f"{k}.png")
    (tmp_path / "torn.png").write_bytes(b"\x89PNG no more")
    plan = {"data": f"'{tmp_path}'", "family": "stylegan2", "resolution": 32}
    job = train.begin_look(ctx, session, ask(train.PlanRequest, session, **plan))
    answer = finish(ctx, session, job)
    assert answer["refused"] == ""
    assert answer["sheet"].startswith("data:image/jpeg")
    assert answer["say"].startswith("5 pictures, 1 left out as unreadable. That is few")
    assert "only 20 pixels" in answer["say"]
    assert [line for line in answer["details"] if line.startswith("torn.png")]


def test_a_look_at_pairs_shows_both_sides_and_names_what_has_no_partner(ctx, session, tmp_path):
    for k in range(3):
        for side, level in (("outlines", 250), ("photos", 40)):
            (tmp_path / side).mkdir(exist_ok=True)
            Image.fromarray(np.full((48, 64, 3), level + k, np.uint8)).save(tmp_path / side / f"{k}.png")
    Image.new("RGB", (64, 48)).save(tmp_path / "outlines" / "lonely.png")
    plan = {"data": str(tmp_path / "outlines"), "family": "pix2pix", "resolution": 32}
    alone = finish(ctx, session, train.begin_look(ctx, session, ask(train.PlanRequest, session, **plan)))
    assert alone["refused"] == "" and "pairs" not in alone, "ordinary wide pictures are no pairs side by side"
    both = train.begin_look(ctx, session, ask(train.PlanRequest, session, **plan, target=str(tmp_path / "photos"), which="target"))
    answer = finish(ctx, session, both)
    assert (answer["refused"], answer["pairs"], answer["total"]) == ("", True, 3)
    assert answer["say"].startswith("3 pairs, 1 left out without a partner or unreadable.")
    assert [line for line in answer["details"] if line.startswith("lonely.png")]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["sheet"].split(",")[1]))).convert("L"))
    assert shown[:, :32].min() > 200 and shown[:32, 34:62].max() < 90, "the picture is left of what it becomes"


def test_pictures_that_still_wait_for_their_partners_are_shown_alone(ctx, session, tmp_path):
    for k in range(2):
        Image.fromarray(np.full((64, 48, 3), 40 * k, np.uint8)).save(tmp_path / f"{k}.png")
    plan = {"data": str(tmp_path), "family": "pix2pix", "resolution": 32}
    answer = finish(ctx, session, train.begin_look(ctx, session, ask(train.PlanRequest, session, **plan)))
    assert (answer["refused"], answer["shown"]) == ("", 2) and "pairs" not in answer
    assert answer["say"] == "2 pictures. Choose the pictures that they become, too."


def test_a_plan_that_makes_no_sense_is_refused_in_one_sentence(ctx, session):
    with pytest.raises(StudioError, match="no family"):
        ask(train.PlanRequest, session, data="x", family="biggestgan")
    with pytest.raises(StudioError, match="minutes is not"):
        ask(train.PlanRequest, session, data="x", family="stylegan2", minutes=-3)
    with pytest.raises(StudioError, match="no such folder"):
        train.begin_run(ctx, session, ask(train.PlanRequest, session, data="/nowhere/at/all", family="stylegan2"))
    with pytest.raises(StudioError, match="Choose a folder"):
        train.begin_look(ctx, session, ask(train.PlanRequest, session, data=" ", family="stylegan2"))
    with pytest.raises(StudioError, match="no run called"):
        train.run_state(ctx, session, ask(train.RunRequest, session, name="../models"))


def test_a_run_cannot_take_the_name_of_a_model_or_of_another_run(ctx, session, tmp_path):
    written_run(ctx, "old", [tick()])
    for name, sentence in (("waves", "already is a model called waves"), ("old", "already is a run called old")):
        with pytest.raises(StudioError, match=sentence):
            train.begin_run(ctx, session, ask(train.PlanRequest, session, data=str(tmp_path), family="stylegan2", name=name))


def test_a_run_on_disk_is_listed_and_told_with_its_plots_and_snapshots(ctx, session):
    ticks = [tick("start", 0, 0), tick("step", 1, 30, g_loss=2.0, d_loss=1.0, real_sign=0.3, fake_sign=-0.3), tick("snapshot", 1, 30)]
    ticks += [tick("state", 2, 60, score=80.0, diversity=0.9, random_feature_kid=80.0), tick("stopped", 2, 60)]
    folder = written_run(ctx, "seen", ticks)
    folder.write_snapshot(10, np.zeros((8, 16, 3), np.uint8))
    run = train.run_state(ctx, session, ask(train.RunRequest, session, name="seen"))
    assert run["state"] == "stopped"
    assert run["say"] == "2.0 thousand pictures seen in 1 minute; Continue takes it up again"
    assert run["snapshots"] == [10]
    assert run["seen"] == {"10": "1.0 thousand"}
    losses, quality = run["plots"]
    assert [line["name"] for line in losses["lines"]] == ["Generator", "Discriminator"]
    assert {line["name"]: line["last"] for line in quality["lines"]}["Distance from real"] == "80"
    assert all(-1 <= y <= 1 for line in quality["lines"] for _, y in line["points"])
    assert run["can_open"] is False
    assert train.snapshot(ctx, session, ask(train.RunRequest, session, name="seen", step=10))["url"].startswith("data:image")
    with pytest.raises(StudioError, match="not there"):
        train.snapshot(ctx, session, ask(train.RunRequest, session, name="seen", step=11))
    assert "seen" in [line["name"] for line in train.overview(ctx, session, ask(Payload, session))["runs"]]
    with pytest.raises(StudioError, match="no state yet"):
        train.open_run(ctx, session, ask(train.RunRequest, session, name="seen"))


def test_dropped_files_keep_their_classes_and_never_leave_their_folder(ctx, session, tmp_path):
    identity = train.begin_gather(ctx, session, ask(NameRequest, session, name="fruit/../bowl"))["id"]
    for path in ("bowl/apple/1.png", "bowl/pear/1.png", "bowl/pear/1.png"):
        upload = ctx.settings.uploads / "1.png"
        upload.write_bytes(b"picture")
        train.add_file(ctx, session, ask(train.GatherRequest, session, id=identity, path=str(upload), name=path))
    upload.write_bytes(b"picture")
    for path in ("../../out.png", "a/../../out.png", ""):
        with pytest.raises(StudioError, match="no file's name"):
            train.add_file(ctx, session, ask(train.GatherRequest, session, id=identity, path=str(upload), name=path))
    with pytest.raises(StudioError, match="did not upload"):
        outside = tmp_path / "secret.png"
        outside.write_bytes(b"mine")
        train.add_file(ctx, session, ask(train.GatherRequest, session, id=identity, path=str(outside), name="x.png"))
    place = train.end_gather(ctx, session, ask(ItemRequest, session, id=identity))["path"]
    assert place.startswith(str(train.home(ctx) / "pictures"))
    assert sorted(str(p.relative_to(place)) for p in Path(place).rglob("*.png")) == ["apple/1.png", "pear/1-2.png", "pear/1.png"]


def test_one_dropped_zip_is_used_as_it_is_and_nothing_dropped_is_refused(tmp_path):
    gathering = gather(tmp_path, "shots")
    with pytest.raises(StudioError, match="None of these"):
        gathering.place()
    (tmp_path / "up.zip").write_bytes(b"PK")
    gathering.add(tmp_path / "up.zip", "shots.zip")
    assert gathering.place().name == "shots.zip"
    assert gather(tmp_path, "shots").folder.name == "shots-2"
    assert isinstance(gathering, Gathering)


def test_paths_are_understood_as_people_paste_them(tmp_path):
    (tmp_path / "my pictures").mkdir()
    path = tmp_path / "my pictures"
    for text in (str(path), f'"{path}"', f" {path} ", path.as_uri()):
        assert read_path(text) == path.resolve()


def test_a_long_series_is_thinned_and_ends_where_it_ended():
    points = [[float(x), float(x % 2)] for x in range(5000)]
    thin = words.thinned(points)
    assert len(thin) <= words.PLOT_POINTS
    assert thin[-1] == points[-1]
    assert abs(np.mean([y for _, y in thin[:-1]]) - 0.5) < 0.05


def test_time_and_numbers_are_said_in_plain_words():
    assert [plain.duration(s) for s in (5, 61, 3600, 5400)] == ["5 seconds", "1 minute", "1 h 00 min", "1 h 30 min"]
    assert [plain.count(n) for n in (12, 1374, 4_100_000)] == ["12", "1.4 thousand", "4.10 million"]
    settings = Settings(family="stylegan2", data=("x",), minutes=10.0)
    assert plain.seconds_left(settings, [tick(seconds=240.0)]) == 360.0
    assert plain.seconds_left(dataclasses.replace(settings, minutes=None, kimg=2.0), [tick(kimg=1.0)]) == 50.0
    assert "1.0 thousand pictures seen in 4 minutes, 6 minutes left" in plain.sentence("running", settings, [tick(seconds=240.0)])
    promise = plain.forecast_sentence(Forecast(31.2, 1.24, 56.0, 30.0, "Expect blots of colour."))
    assert promise == "31 pictures a second and 1.2 GB of memory here: 56.0 thousand in 30 minutes. Expect blots of colour."


def test_a_report_is_said_with_its_classes_and_what_may_disappoint():
    from studio.training.data import Report

    report = Report(60, ("a", "b"), (40, 20), (("x.png", "torn"),), (("y.png", "z.png"),), 20)
    settings = Settings(family="stylegan2", data=("x",), resolution=64)
    said = summary(report, settings)
    assert said.startswith("60 pictures, 2 classes, 1 left out because they come twice, 1 left out as unreadable.")
    assert "only 20 pixels" in said
    assert details(report) == ["a: 40 pictures", "b: 20 pictures", "y.png: left out, the same as z.png", "x.png: left out, torn"]


def test_the_log_of_a_killed_run_says_interrupted(ctx, session):
    folder = written_run(ctx, "killed", [tick("start", 0, 0), tick("step", 1, 30, g_loss=1.0)])
    folder.running_file.write_text(json.dumps({"pid": 2**22 + 1, "began": 0.0, "host": "nowhere"}))
    import os

    os.utime(folder.running_file, (0, 0))
    answer = train.run_state(ctx, session, ask(train.RunRequest, session, name="killed"))
    assert answer["state"] == "interrupted"
    assert "ended without a word" in answer["say"]
