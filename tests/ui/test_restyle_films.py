"""What the restyle tab answers about films, without a browser, with real but small translators."""

import base64
import io
import time

import numpy as np
import pytest
from film_synthesis import square_film, write_tone
from PIL import Image
from real_studio import real_context

from studio import media
from studio.errors import MediaError, StudioError
from studio.recipe import ModelRef, Recipe, Restyle
from studio.ui import jobs_drawer, restyle, restyle_films
from studio.ui.context import recipe_to_page
from studio.ui.media_parts import PartRequest
from studio.ui.payloads import Fields, ItemRequest, Payload, RecipeRequest, recipe_from
from studio.ui.restyle_requests import ArriveRequest, FilmRequest, FrameRequest, PhotoRequest, SheetRequest


@pytest.fixture
def ctx(tmp_path):
    context = real_context(tmp_path)
    yield context
    context.sessions.parts[jobs_drawer.PART].close()
    context.engine.close()


@pytest.fixture
def public(tmp_path):
    context = real_context(tmp_path, public=True)
    yield context
    context.sessions.parts[jobs_drawer.PART].close()
    context.engine.close()


@pytest.fixture
def session(ctx):
    return ctx.sessions.open()


def ask(kind, session, **entries):
    return kind.read(Fields({"token": session.token, **entries}))


def film_file(ctx, name="walk.mp4", frames=None, *, rate=12, tone=None):
    """Write a film where Gradio puts uploads."""
    sound = None if tone is None else media.Sound(tone, mode="copy")
    path = ctx.settings.uploads / name
    media.write_film(path, frames or square_film(12), rate=rate, sound=sound)
    return path


def wishes(model="photo-to-ink", **values):
    return recipe_to_page(Recipe(model=ModelRef(model), restyle=Restyle(**values)))


def drop(ctx, session, file, recipe=None, **entries):
    return restyle.arrive(ctx, session, ask(ArriveRequest, session, path=str(file), name=file.name, recipe=recipe or wishes(), **entries))


def developed(ctx, session, **entries):
    """Ask until the answer is there, as the page does."""
    for _ in range(200):
        answer = restyle.develop(ctx, session, ask(PhotoRequest, session, **entries))
        if not answer.get("pending"):
            return answer
    raise AssertionError("it never ends")


def told(ctx, session, film, **values):
    answer = restyle_films.tell_film(ctx, session, ask(FilmRequest, session, id=film["id"], recipe=wishes(**values)))
    return {**answer, **dict(answer["lines"])}


def ordered(ctx, session, film, **values):
    """Restyle a whole film and return its item of the gallery."""
    answer = restyle_films.order_film(ctx, session, ask(FilmRequest, session, id=film["id"], recipe=wishes(**values)))
    job = jobs_drawer.queue_of(ctx).wait(answer["id"])
    assert job.state == "done", job.error
    return ctx.gallery_of(session).item(job.item)


def pixels(url):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB")).astype(int)


def test_a_dropped_film_tells_what_it_is_and_shows_any_of_its_frames(ctx, session, tmp_path):
    file = film_file(ctx, tone=write_tone(tmp_path / "tone.m4a", 1.0))
    originals = [frame.image for frame in media.read_film(file)]
    film = drop(ctx, session, file)["photo"]
    assert (film["width"], film["height"]) == (64, 48)
    assert (film["film"]["frames"], film["film"]["seconds"], film["film"]["rate"]) == (12, 1.0, 12.0)
    assert dict(film["film"]["lines"]) == {
        "Length": "1.00 s, 12 frames", "Rate": "12 frames per second", "Sound": "AAC",
    }  # fmt: skip
    for index in (0, 7, 11):
        shown = pixels(restyle_films.frame(ctx, session, ask(FrameRequest, session, id=film["id"], frame=index))["url"])
        errors = [np.abs(shown - original).mean() for original in originals]
        assert np.argmin(errors) == index
    small = restyle_films.frame(ctx, session, ask(FrameRequest, session, id=film["id"], frame=10**6, size=32))
    assert small["frame"] == 11 and pixels(small["url"]).shape == (24, 32, 3)


def test_a_frame_is_developed_like_a_photo_of_it(ctx, session):
    file = film_file(ctx)
    originals = [frame.image for frame in media.read_film(file)]
    film = drop(ctx, session, file)["photo"]
    recipe = recipe_from(wishes(strength=0.8))
    made = pixels(developed(ctx, session, id=film["id"], recipe=recipe_to_page(recipe), frame=9)["url"])
    errors = [np.abs(made - ctx.engine.restyle(recipe, original)).mean() for original in originals]
    assert np.argmin(errors) == 9
    assert session.strip == [], "a frame is no picture of its own"
    (known,) = restyle.desk(ctx, session, ask(Payload, session))["photos"]
    assert known["film"]["frame"] == 9


def test_what_only_the_whole_film_depends_on_runs_no_network(ctx, session, monkeypatch):
    film = drop(ctx, session, film_file(ctx))["photo"]
    calls, real = [], ctx.engine.restyle
    monkeypatch.setattr(ctx.engine, "restyle", lambda *args, **options: (calls.append(1), real(*args, **options))[1])
    for values in ({}, {"flicker": 0.2}, {"start": 0.25}, {"end": 0.75}, {"strength": 0.5}):
        developed(ctx, session, id=film["id"], recipe=wishes(**values), frame=3)
    assert len(calls) == 1
    developed(ctx, session, id=film["id"], recipe=wishes(), frame=4)
    assert len(calls) == 2


def test_the_estimate_is_there_before_the_start_and_its_time_once_a_frame_was_drawn(ctx, session):
    film = drop(ctx, session, film_file(ctx))["photo"]
    before = told(ctx, session, film)
    assert (before["Frames"], before["Time"]) == ("12", "known when this frame is drawn")
    assert "free" in before["Disk meanwhile"] and "free" in before["Memory meanwhile"]
    developed(ctx, session, id=film["id"], recipe=wishes(), frame=0)
    after = told(ctx, session, film, start=0.25, end=0.75)
    assert (after["Frames"], after["refused"]) == ("6", "") and after["Time"].startswith("about ")
    assert "not after" in told(ctx, session, film, start=0.5, end=0.25)["refused"]


def test_the_time_is_measured_again_because_a_first_run_also_makes_ready(ctx, session, monkeypatch):
    film = drop(ctx, session, film_file(ctx))["photo"]
    calls, real = [], ctx.engine.restyle
    monkeypatch.setattr(ctx.engine, "restyle", lambda *args, **options: (calls.append(1), real(*args, **options))[1])
    assert not told(ctx, session, film)["again"], "nothing was drawn yet"
    developed(ctx, session, id=film["id"], recipe=wishes(), frame=5)
    answers = [told(ctx, session, film)["again"]]
    until = time.monotonic() + 120
    while answers[-1] and time.monotonic() < until:
        time.sleep(0.02)
        answers.append(told(ctx, session, film)["again"])
    assert answers[0] and not answers[-1] and len(calls) == 2


def test_a_film_whose_frames_do_not_fit_on_the_disk_is_said_before_the_start(ctx, session, monkeypatch):
    film = drop(ctx, session, film_file(ctx))["photo"]
    monkeypatch.setattr(restyle_films.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    assert any("not enough room on the disk" in note for note in told(ctx, session, film)["notes"])


def test_sound_that_cannot_stay_as_it_is_is_said_before_the_start(ctx, session, tmp_path):
    tone = write_tone(tmp_path / "tone.wav", 1.0, codec="pcm_s16le")
    film = drop(ctx, session, film_file(ctx, "walk.mov", tone=tone))["photo"]
    assert told(ctx, session, film)["notes"] == ["The sound is PCM, which MP4 films cannot hold as it is, so it is encoded as AAC."]


def test_a_restyled_film_goes_to_the_gallery_with_its_recipe_and_brings_its_film_back(ctx, session):
    file = film_file(ctx)
    sha256 = media.hash_file(file)
    film = drop(ctx, session, file)["photo"]
    item = ordered(ctx, session, film, flicker=0.5, start=0.25, end=0.75)
    made = media.probe_film(item.path)
    assert item.is_film and made.frames == 6
    assert made.recipe.restyle == Restyle("walk.mp4", sha256, flicker=0.5, start=0.25, end=0.75)
    (known,) = restyle.desk(ctx, session, ask(Payload, session))["photos"]
    assert [(order["start"], order["seconds"]) for order in known["film"]["orders"]] == [(0.25, 0.5)]
    assert recipe_from(known["recipe"]).restyle.start == 0, "a part that is tried is not the film's own range"
    again = ctx.settings.uploads / item.path.name
    again.write_bytes(item.path.read_bytes())
    found = drop(ctx, session, again)
    assert found["photo"]["id"] == film["id"] and recipe_from(found["photo"]["recipe"]).restyle.start == 0.25
    stranger = ctx.sessions.open()
    asked = restyle.reopen(ctx, stranger, ask(RecipeRequest, stranger, recipe=recipe_to_page(made.recipe)))
    assert asked["missing"] == "walk.mp4"
    back = drop(ctx, stranger, film_file(ctx))["photo"]
    assert recipe_from(back["recipe"]).restyle.flicker == 0.5


def test_an_original_that_browsers_cannot_play_is_made_ready_frame_for_frame_as_it_was_cut(ctx, session):
    film = drop(ctx, session, film_file(ctx, "walk.mov"))["photo"]
    request = ask(ItemRequest, session, id=film["id"])
    with pytest.raises(StudioError, match="Restyle it first"):
        restyle_films.make_original(ctx, session, request)
    made = media.probe_film(ordered(ctx, session, film, start=0.25, end=0.75).path)
    for _ in range(200):
        answer = restyle_films.make_original(ctx, session, request)
        if answer["done"]:
            break
    assert answer["refused"] == ""
    part = restyle_films.original_part(ctx, session, ask(PartRequest, session, id=film["id"]))
    file = ctx.settings.uploads / "original.mp4"
    file.write_bytes(base64.b64decode(part["data"]))
    facts = media.probe_film(file)
    assert (facts.codec, facts.frames, facts.rate, facts.duration) == ("h264", made.frames, made.rate, made.duration)
    wanted = square_film(12)[3:9]
    shown = [frame.image.astype(int) for frame in media.read_film(file)]
    assert all(np.argmin([np.abs(one - frame).mean() for frame in wanted]) == place for place, one in enumerate(shown))


def test_an_animation_is_a_film_and_a_gif_of_one_frame_is_a_picture(ctx, session):
    assert drop(ctx, session, film_file(ctx, "dance.gif"))["photo"]["film"]["frames"] == 12
    still = ctx.settings.uploads / "still.gif"
    Image.fromarray(square_film(1)[0]).save(still)
    assert drop(ctx, session, still)["photo"]["film"] is None


def test_a_film_that_cannot_be_read_is_named_and_deleted(ctx, session):
    broken = ctx.settings.uploads / "walk.mp4"
    broken.write_bytes(b"<html>not found</html>")
    with pytest.raises(MediaError, match=r"walk\.mp4"):
        drop(ctx, session, broken)
    assert not broken.exists()


def test_a_photo_takes_no_wishes_of_films_and_a_new_film_no_range_of_another(ctx, session):
    photo = media.write_image(ctx.settings.uploads / "lake.png", square_film(1)[0]).path
    entry = drop(ctx, session, photo)["photo"]
    developed(ctx, session, id=entry["id"], recipe=wishes(flicker=0.1, start=3.0, end=4.0))
    (known,) = restyle.desk(ctx, session, ask(Payload, session))["photos"]
    plain = Restyle()
    restyled = recipe_from(known["recipe"]).restyle
    assert (restyled.flicker, restyled.start, restyled.end) == (plain.flicker, plain.start, plain.end)
    film = drop(ctx, session, film_file(ctx), wishes(flicker=0.1, start=3.0, end=4.0))["photo"]
    restyled = recipe_from(film["recipe"]).restyle
    assert (restyled.flicker, restyled.start, restyled.end) == (0.1, 0.0, None)


def test_saved_pictures_and_films_of_a_batch_lie_on_one_contact_sheet(ctx, session):
    film = drop(ctx, session, film_file(ctx))["photo"]
    ids = [ordered(ctx, session, film, end=0.25).id]
    photo = media.write_image(ctx.settings.uploads / "lake.png", square_film(1)[0]).path
    entry = drop(ctx, session, photo)["photo"]
    while (answer := restyle.save(ctx, session, ask(PhotoRequest, session, id=entry["id"], recipe=wishes()))).get("pending"):
        pass
    sheet = restyle.sheet(ctx, session, ask(SheetRequest, session, ids=[*ids, answer["id"]]))
    assert sheet["name"] == "contact-sheet-2.jpg" and pixels(sheet["url"]).shape[1] >= 2 * 256
    with pytest.raises(StudioError, match="Nothing was saved"):
        restyle.sheet(ctx, session, ask(SheetRequest, session, ids=[]))


def test_strangers_restyle_short_films_of_a_moderate_size_and_rate(public):
    session = public.sessions.open()
    large = film_file(public, "large.mp4", square_film(2, width=1200, height=900))
    with pytest.raises(StudioError, match=r"1\.1 megapixels"):
        drop(public, session, large)
    with pytest.raises(StudioError, match="60 frames per second"):
        drop(public, session, film_file(public, "quick.mp4", rate=60))
    assert not any(path.is_file() for path in public.settings.uploads.iterdir())
    film = drop(public, session, film_file(public, "long.mp4", square_film(40), rate=1))["photo"]
    assert recipe_from(film["recipe"]).restyle.end == film["film"]["most"] == 30
    for values in ({}, {"start": 5.0}):
        assert "up to 30 seconds" in told(public, session, film, **values)["refused"]
        with pytest.raises(StudioError, match="up to 30 seconds"):
            ordered(public, session, film, **values)
    assert told(public, session, film, start=8.0, end=38.0)["refused"] == ""


def test_visitors_never_see_each_others_films(public):
    session, other = public.sessions.open(), public.sessions.open()
    film = drop(public, session, film_file(public))["photo"]
    item = ordered(public, session, film, end=0.25)
    assert restyle.desk(public, other, ask(Payload, other))["photos"] == []
    for handler, request in (
        (restyle_films.frame, ask(FrameRequest, other, id=film["id"], frame=0)),
        (restyle_films.source_part, ask(PartRequest, other, id=film["id"])),
        (restyle_films.order_film, ask(FilmRequest, other, id=film["id"], recipe=wishes())),
        (restyle.gallery.film_part, ask(PartRequest, other, id=item.id)),
        (restyle.put_away, ask(ItemRequest, other, id=film["id"], on=True)),
    ):
        with pytest.raises(StudioError):
            handler(public, other, request)
    assert jobs_drawer.jobs(public, other, ask(Payload, other))["jobs"] == []
    assert restyle_films.source_part(public, session, ask(PartRequest, session, id=film["id"]))["mime"] == "video/mp4"
