"""A style is learnt from the Restyle page: the run is a real one, of a few steps."""

import time

import numpy as np
import pytest
from real_studio import real_context

from studio import media
from studio.errors import StudioError
from studio.ui import train
from studio.ui.payloads import Fields
from studio.ui.restyle_learn import LessonRequest, begin_lesson
from studio.ui.train_requests import RunRequest

LONGEST = 240


@pytest.fixture
def ctx(tmp_path):
    context = real_context(tmp_path)
    yield context
    context.engine.close()


def ask(kind, session, **entries):
    return kind.read(Fields({"token": session.token, **entries}))


def painting(ctx, name="sunset.png"):
    image = np.random.default_rng(0).integers(0, 256, (96, 120, 3), dtype=np.uint8)
    return str(media.write_image(ctx.settings.uploads / name, image).path)


def test_a_painting_becomes_a_style_beside_those_of_the_shipped_book(ctx):
    session = ctx.sessions.open()
    said = begin_lesson(ctx, session, ask(LessonRequest, session, paths=[painting(ctx)], name="sunset-of-mine", minutes=0.02))
    assert said["name"] == "sunset-of-mine"
    run = ask(RunRequest, session, name="sunset-of-mine")
    end = time.monotonic() + LONGEST
    while (state := train.run_state(ctx, session, run))["state"] in ("preparing", "running"):
        assert time.monotonic() < end
        time.sleep(0.5)
    assert state["state"] == "finished", state["say"]
    assert state["snapshots"], "there is a preview to look at"
    assert train.open_run(ctx, session, run)["kind"] == "translator"
    styles = ctx.library.find("sunset-of-mine").card.classes
    assert styles[0] == "sunset-of-mine" and "snow" in styles


def test_what_cannot_be_learnt_from_is_refused_before_anything_is_begun(ctx):
    session = ctx.sessions.open()
    text = ctx.settings.uploads / "notes.png"
    text.write_text("no picture")
    for wishes in ({"paths": [str(text)], "name": "mine"}, {"paths": [], "name": "mine"}, {"paths": [painting(ctx)], "name": "waves"}):
        with pytest.raises(StudioError):
            begin_lesson(ctx, session, ask(LessonRequest, session, **wishes))
    with pytest.raises(StudioError):
        begin_lesson(ctx, session, ask(LessonRequest, session, paths=["/etc/passwd"], name="mine"))
    assert not train.home(ctx).exists() or not any(train.home(ctx).iterdir())
