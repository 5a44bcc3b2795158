"""What the restyle tab answers, without a browser, with real but small translators."""

import threading
import time
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from PIL import ImageCms
from real_studio import real_context

from studio import media
from studio.errors import DeviceError, MediaError, StudioError
from studio.recipe import ModelRef, Recipe, Restyle
from studio.restyle import CancelledError, pack_mask
from studio.ui import restyle, shell
from studio.ui.context import recipe_to_page
from studio.ui.darkroom import darkroom
from studio.ui.darkroom_work import Shelf
from studio.ui.payloads import Fields, ItemRequest, Payload, RecipeRequest, recipe_from


@pytest.fixture
def ctx(tmp_path):
    context = real_context(tmp_path)
    yield context
    context.engine.close()


@pytest.fixture
def session(ctx):
    return ctx.sessions.open()


def ask(kind, session, **entries):
    return kind.read(Fields({"token": session.token, **entries}))


def photo_file(ctx, name="lake.png", *, size=(20, 28), seed=0, **written):
    """Write a photo where Gradio puts uploads."""
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return media.write_image(ctx.settings.uploads / name, image, **written).path


def wishes(model="photo-to-ink", **values):
    return recipe_to_page(Recipe(model=ModelRef(model), restyle=Restyle(**values)))


def drop(ctx, session, file, recipe=None, **entries):
    request = ask(restyle.ArriveRequest, session, path=str(file), name=file.name, recipe=recipe or wishes(), **entries)
    return restyle.arrive(ctx, session, request)


def finished(handler, ctx, session, **entries):
    """Ask until the answer is there, as the page does."""
    for _ in range(200):
        answer = handler(ctx, session, ask(restyle.PhotoRequest, session, **entries))
        if not answer.get("pending"):
            return answer
    raise AssertionError("it never ends")


def test_a_saved_picture_is_what_the_engine_makes_of_the_photo_with_its_alpha_and_profile(ctx, session):
    alpha = np.random.default_rng(1).integers(0, 256, (20, 28), dtype=np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = photo_file(ctx, alpha=alpha, icc=profile)
    source = media.read_image(file)
    photo = drop(ctx, session, file)["photo"]
    answer = finished(restyle.save, ctx, session, id=photo["id"], recipe=wishes(strength=0.6, keep_colors=True))
    saved = media.read_image(ctx.gallery_of(session).item(answer["id"]).path)
    assert saved.recipe.restyle == Restyle("lake.png", source.sha256, strength=0.6, keep_colors=True)
    assert (saved.width, saved.height) == (28, 20)
    assert (saved.alpha == alpha).all()
    assert saved.icc == source.icc
    assert saved.marks.digital_source_type == "compositeWithTrainedAlgorithmicMedia"
    assert np.array_equal(np.dstack([saved.image, saved.alpha]), ctx.engine.restyle(saved.recipe, source.image, source.alpha))


def test_a_restyled_picture_dropped_again_brings_its_photo_and_settings_back(ctx, session):
    photo = drop(ctx, session, photo_file(ctx))["photo"]
    answer = finished(restyle.save, ctx, session, id=photo["id"], recipe=wishes("photo-to-oil", strength=0.25))
    made = ctx.gallery_of(session).item(answer["id"]).path
    again = ctx.settings.uploads / made.name
    again.write_bytes(made.read_bytes())
    found = drop(ctx, session, again)
    assert found["photo"]["id"] == photo["id"]
    back = recipe_from(found["photo"]["recipe"])
    assert (back.model.name, back.restyle.strength) == ("photo-to-oil", 0.25)
    assert not again.exists()


def test_a_restyled_picture_without_its_photo_asks_for_it_and_waits(ctx, session):
    first = ctx.sessions.open()
    photo = drop(ctx, first, photo_file(ctx))["photo"]
    answer = finished(restyle.save, ctx, first, id=photo["id"], recipe=wishes(strength=0.25))
    made = ctx.gallery_of(first).item(answer["id"]).path
    again = ctx.settings.uploads / made.name
    again.write_bytes(made.read_bytes())
    asked = drop(ctx, session, again)
    assert asked["missing"] == "lake.png"
    assert "Drop that photo" in asked["say"]
    arrived = drop(ctx, session, photo_file(ctx, "other name.png"))
    assert recipe_from(arrived["photo"]["recipe"]).restyle.strength == 0.25


def test_two_visitors_never_see_each_others_photos(ctx, session):
    photo = drop(ctx, session, photo_file(ctx))["photo"]
    other = ctx.sessions.open()
    assert restyle.desk(ctx, other, ask(Payload, other))["photos"] == []
    with pytest.raises(StudioError, match="no longer here"):
        restyle.original(ctx, other, ask(ItemRequest, other, id=photo["id"]))


def test_photos_with_their_settings_are_there_after_a_reload(ctx, session):
    photo = drop(ctx, session, photo_file(ctx))["photo"]
    finished(restyle.develop, ctx, session, id=photo["id"], recipe=wishes("photo-to-oil", strength=0.5))
    (known,) = restyle.desk(ctx, session, ask(Payload, session))["photos"]
    assert (known["id"], known["recipe"]["restyle"]["strength"], known["recipe"]["model"]["name"]) == (photo["id"], 0.5, "photo-to-oil")


def test_changing_strength_or_colours_runs_the_network_only_once(ctx, session, monkeypatch):
    photo = drop(ctx, session, photo_file(ctx))["photo"]
    calls = []
    real = ctx.engine.restyle
    monkeypatch.setattr(ctx.engine, "restyle", lambda *args, **options: (calls.append(1), real(*args, **options))[1])
    for strength in (1.0, 0.3, 0.7):
        finished(restyle.develop, ctx, session, id=photo["id"], recipe=wishes(strength=strength, keep_colors=strength > 0.5))
    restyle.sketch(ctx, session, ask(restyle.PhotoRequest, session, id=photo["id"], recipe=wishes(strength=0.1)))
    assert len(calls) == 1


def test_a_photo_too_large_for_the_memory_is_refused_before_any_work(ctx, session, monkeypatch):
    photo = drop(ctx, session, photo_file(ctx))["photo"]
    monkeypatch.setattr(import_module("studio.restyle.memory"), "free_memory", lambda net: 1000)
    monkeypatch.setattr(ctx.engine, "restyle", lambda *_, **__: pytest.fail("it started to work"))
    with pytest.raises(DeviceError, match="Reduce it to"):
        finished(restyle.develop, ctx, session, id=photo["id"], recipe=wishes())


def test_a_file_that_is_no_picture_is_refused_and_deleted(ctx, session):
    file = ctx.settings.uploads / "lake.jpg"
    file.write_bytes(b"<html>not found</html>")
    with pytest.raises(MediaError):
        drop(ctx, session, file)
    assert not file.exists()


def test_work_that_nobody_waits_for_any_more_is_dropped(ctx, session, monkeypatch):
    first, second = (drop(ctx, session, photo_file(ctx, f"{seed}.png", seed=seed))["photo"] for seed in (1, 2))
    seen, gate = [], threading.Event()

    def slow(recipe, image, alpha=None, **options):
        seen.append(recipe.model.name)
        gate.wait(60)
        return image

    monkeypatch.setattr(ctx.engine, "restyle", slow)
    restyle.develop(ctx, session, ask(restyle.PhotoRequest, session, id=first["id"], recipe=wishes()))
    restyle.develop(ctx, session, ask(restyle.PhotoRequest, session, id=second["id"], recipe=wishes("photo-to-oil")))
    restyle.cancel(ctx, session, ask(ItemRequest, session, id=second["id"]))
    gate.set()
    finished(restyle.develop, ctx, session, id=first["id"], recipe=wishes())
    assert seen == ["photo-to-ink"]


def test_a_photo_put_away_comes_back_with_undo(ctx, session):
    photo = drop(ctx, session, photo_file(ctx))["photo"]
    restyle.put_away(ctx, session, ask(ItemRequest, session, id=photo["id"], on=True))
    assert darkroom(ctx, session).photos() == []
    restyle.put_away(ctx, session, ask(ItemRequest, session, id=photo["id"], on=False))
    assert [entry.id for entry in darkroom(ctx, session).photos()] == [photo["id"]]


def test_a_star_on_a_restyled_picture_of_the_strip_saves_it(ctx, session):
    photo = drop(ctx, session, photo_file(ctx))["photo"]
    item = finished(restyle.develop, ctx, session, id=photo["id"], recipe=wishes(strength=0.5))["item"]
    kept = shell.keep(ctx, session, ask(ItemRequest, session, id=item["id"]))["kept"]
    assert ctx.gallery_of(session).recipe(kept).restyle.strength == 0.5


def test_a_picture_of_the_strip_is_reopened_on_its_photo(ctx, session):
    photo = drop(ctx, session, photo_file(ctx))["photo"]
    item = finished(restyle.develop, ctx, session, id=photo["id"], recipe=wishes(strength=0.5))["item"]
    finished(restyle.develop, ctx, session, id=photo["id"], recipe=wishes(strength=1.0))
    found = restyle.reopen(ctx, session, ask(RecipeRequest, session, recipe=item["recipe"]))
    assert found["photo"]["recipe"]["restyle"]["strength"] == 0.5


def test_a_public_studio_takes_few_photos_of_a_moderate_size(tmp_path):
    ctx = real_context(tmp_path, public=True)
    session = ctx.sessions.open()
    with pytest.raises(StudioError, match="megapixels"):
        drop(ctx, session, photo_file(ctx, "large.jpg", size=(2100, 2100)))
    assert not any(ctx.settings.uploads.iterdir())
    for seed in range(8):
        drop(ctx, session, photo_file(ctx, f"{seed}.png", size=(4, 4), seed=seed))
    with pytest.raises(StudioError, match="already 8"):
        drop(ctx, session, photo_file(ctx, "9.png", size=(4, 4), seed=9))
    ctx.engine.close()


def test_the_tile_of_a_style_is_made_once(ctx, session, monkeypatch):
    from studio.ui.restyle_requests import TileRequest

    first = restyle.tile(ctx, session, ask(TileRequest, session, name="photo-to-ink"))
    monkeypatch.setattr(ctx.engine, "restyle", lambda *_, **__: pytest.fail("made again"))
    assert restyle.tile(ctx, session, ask(TileRequest, session, name="photo-to-ink")) == first


def test_the_recipe_of_a_photo_names_the_photo_whatever_the_page_says(ctx, session):
    photo = drop(ctx, session, photo_file(ctx))["photo"]
    lie = replace(recipe_from(wishes()), restyle=Restyle("secret.png", "0" * 64))
    answer = finished(restyle.develop, ctx, session, id=photo["id"], recipe=recipe_to_page(lie))
    assert answer["item"]["recipe"]["restyle"]["source_sha256"] == photo["sha256"]


def test_cancel_stops_what_is_being_computed_and_what_comes_next_begins(ctx, session, monkeypatch):
    photo = drop(ctx, session, photo_file(ctx))["photo"]
    started, ended = threading.Event(), []
    real = ctx.engine.restyle

    def endless(recipe, image, alpha=None, *, progress=None, should_stop=None, **options):
        if recipe.model.name == "photo-to-oil":
            return real(recipe, image, alpha, **options)
        progress(0.25)
        started.set()
        while not should_stop():
            time.sleep(0.005)
        ended.append(recipe.model.name)
        raise CancelledError("Cancelled.")

    monkeypatch.setattr(ctx.engine, "restyle", endless)
    answer = restyle.develop(ctx, session, ask(restyle.PhotoRequest, session, id=photo["id"], recipe=wishes()))
    assert answer["pending"] and started.wait(10)
    assert restyle.develop(ctx, session, ask(restyle.PhotoRequest, session, id=photo["id"], recipe=wishes()))["share"] == 0.25
    restyle.cancel(ctx, session, ask(ItemRequest, session, id=photo["id"]))
    finished(restyle.develop, ctx, session, id=photo["id"], recipe=wishes("photo-to-oil"))
    assert ended == ["photo-to-ink"]


def test_wishes_that_an_older_request_overtakes_are_asked_for_again_and_come(ctx, session, monkeypatch):
    photo = drop(ctx, session, photo_file(ctx))["photo"]
    started, answers = threading.Event(), []
    real = ctx.engine.restyle

    def once(recipe, image, alpha=None, *, should_stop=None, **options):
        if recipe.model.name == "photo-to-ink" and not started.is_set():
            started.set()
            while not should_stop():
                time.sleep(0.005)
            raise CancelledError("Cancelled.")
        return real(recipe, image, alpha, should_stop=should_stop, **options)

    def newest():
        answers.append(restyle.develop(ctx, session, ask(restyle.PhotoRequest, session, id=photo["id"], recipe=wishes())))

    monkeypatch.setattr(restyle, "PATIENCE", 60.0)
    monkeypatch.setattr(ctx.engine, "restyle", once)
    waiting = threading.Thread(target=newest)
    waiting.start()
    assert started.wait(10)
    finished(restyle.develop, ctx, session, id=photo["id"], recipe=wishes("photo-to-oil"))
    waiting.join(30)
    assert answers[0]["pending"] and "url" not in answers[0]
    assert "url" in finished(restyle.develop, ctx, session, id=photo["id"], recipe=wishes())


def test_stroke_size_runs_the_network_again_and_a_mask_does_not(ctx, session, monkeypatch):
    photo = drop(ctx, session, photo_file(ctx))["photo"]
    calls, real = [], ctx.engine.restyle
    monkeypatch.setattr(ctx.engine, "restyle", lambda *args, **options: (calls.append(1), real(*args, **options))[1])
    mask = pack_mask(np.full((8, 8), 255, np.uint8))
    for more in ({}, {"mask": mask}, {"keep_luminance": True}, {"texture_scale": 2.0}, {"texture_scale": 2.0, "mask": mask}):
        finished(restyle.develop, ctx, session, id=photo["id"], recipe=wishes(**more))
    assert len(calls) == 2


def test_how_long_work_takes_is_the_quickest_of_its_last_runs():
    shelf, key = Shelf(1), ("model", "work", "auto")
    assert shelf.rate(key) is None
    rates = []
    for seconds in (9.0, 2.0, 3.0, 4.0, 5.0):
        shelf.tell_rate(key, seconds)
        rates.append(shelf.rate(key))
    assert rates == [9.0, 2.0, 2.0, 2.0, 3.0] and shelf.rate(("model",)) is None


def test_tiles_show_the_photo_itself_in_each_style_and_nothing_where_a_style_is_missing(ctx, session):
    first, second = (drop(ctx, session, photo_file(ctx, f"{seed}.png", seed=seed))["photo"] for seed in (1, 2))
    styles = [{"name": "photo-to-ink"}, {"name": "none-of-this-name"}, {"name": "photo-to-ink", "style": "none-of-its-styles"}]
    answers = [
        restyle.photo_tiles(ctx, session, ask(restyle.PhotoTilesRequest, session, id=photo["id"], styles=styles))["urls"]
        for photo in (first, second)
    ]
    assert [url is None for url in answers[0]] == [False, True, True]
    assert answers[0][0] != answers[1][0], "each photo has tiles of its own"


def test_a_new_photo_keeps_the_wish_for_crisp_strokes_only_where_the_enlargers_are_installed(ctx, session):
    wished = {**wishes(), "enlarge": [{"name": "enlarge-4x", "sha256": "0" * 64}]}
    assert not drop(ctx, session, photo_file(ctx), recipe=wished)["photo"]["recipe"]["enlarge"]
