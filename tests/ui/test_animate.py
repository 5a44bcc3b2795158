"""What the Animate tab answers, without a browser: routes, keyframes of pictures, previews, jobs, and what strangers may not ask."""

import os
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest
from media.test_sounds import write_wav
from real_studio import real_context
from toys import save_toy, toy_stylegan2

from studio.errors import StudioError
from studio.recipe import Latent, ModelRef, Recipe
from studio.recipe_film import Film, Mapping, SoundRef
from studio.ui import animate, animate_film, animate_sound, gallery, jobs_drawer
from studio.ui.animate_listening import Listening
from studio.ui.animate_requests import FileRequest, FilmRequest, FrameRequest, RouteRequest, StateRequest
from studio.ui.context import recipe_to_page
from studio.ui.payloads import Fields, ItemRequest, Payload


@pytest.fixture(scope="module")
def ctx(tmp_path_factory):
    context = real_context(tmp_path_factory.mktemp("animate"), models=False)
    save_toy(context.settings.models, "waves", toy_stylegan2(16))
    yield context
    context.sessions.parts[jobs_drawer.PART].close()
    context.engine.close()


@pytest.fixture
def session(ctx):
    return ctx.sessions.open()


def ask(kind, session, **entries):
    return kind.read(Fields({"token": session.token, **entries}))


def picture(seed, psi=0.7):
    recipe = Recipe(model=ModelRef("waves"), latent=Latent.from_seed(seed))
    return replace(recipe, truncation=replace(recipe.truncation, psi=psi))


def test_a_route_spreads_its_pictures_evenly_over_a_loop():
    film = animate_film.route([(picture(seed), picture(seed).latent) for seed in (1, 5, 9)]).film
    assert film.loop
    assert [key.time for key in film.latents[0].keys] == [0.0, film.seconds / 3, 2 * film.seconds / 3]
    assert [key.latent.x for key in film.latents[0].keys] == [1, 5, 9]
    assert film.lanes == ()


def test_a_route_moves_psi_only_where_its_pictures_differ_in_it_and_keeps_the_sound():
    old = Film(seconds=20.0, sounds=(SoundRef("song.wav", "a" * 64),), matrix=(Mapping(),))
    film = animate_film.route([(picture(1, 0.5), Latent(1)), (picture(2, 1.0), Latent(2))], old).film
    assert [(key.time, key.value) for key in film.lanes[0].keys] == [(0.0, 0.5), (10.0, 1.0)]
    assert (film.sounds, film.matrix, film.seconds) == (old.sounds, old.matrix, 20.0)


def test_a_film_goes_through_one_model_and_at_least_one_picture():
    other = replace(picture(2), model=ModelRef("else"))
    with pytest.raises(StudioError, match="different models"):
        animate_film.route([(picture(1), Latent(1)), (other, Latent(2))])
    with pytest.raises(StudioError, match="at least one"):
        animate_film.route([])


def test_a_picture_put_in_at_a_moment_leaves_the_other_places_as_they_were():
    first = animate_film.add_state(replace(picture(1), film=Film()), picture(1), Latent(1), 0.0)
    second = animate_film.add_state(first, picture(4, 1.2), Latent(4), 5.0)
    assert [(key.time, key.latent.x) for key in second.film.latents[0].keys] == [(0.0, 1.0), (5.0, 4.0)]
    lane = next(lane for lane in second.film.lanes if lane.target == "truncation.psi")
    assert [(key.time, key.value) for key in lane.keys] == [(0.0, 0.7), (5.0, 1.2)]
    again = animate_film.add_state(second, picture(6, 1.2), Latent(6), 5.0)
    assert [key.latent.x for key in again.film.latents[0].keys] == [1.0, 6.0]


def test_a_film_is_drawn_frame_by_frame_undone_and_ordered(ctx, session):
    pictures = [{"recipe": recipe_to_page(picture(seed))} for seed in (1, 5)]
    made = animate.make_route(ctx, session, ask(RouteRequest, session, pictures=pictures))
    assert made["count"] == 180
    first = animate.frame(ctx, session, ask(FrameRequest, session, index=0, size=16))["url"]
    assert animate.frame(ctx, session, ask(FrameRequest, session, index=90, size=16))["url"] != first
    shorter = {**made["recipe"], "film": {**made["recipe"]["film"], "seconds": 0.2}}
    assert animate.adopt(ctx, session, ask(FilmRequest, session, recipe=shorter))["steps"] == {"undo": 1, "redo": 0}
    assert animate.undo(ctx, session, ask(Payload, session))["count"] == 180
    assert animate.redo(ctx, session, ask(Payload, session))["count"] == 6
    job = jobs_drawer.render(ctx, session, ask(jobs_drawer.RenderRequest, session, recipe=shorter))
    ended = jobs_drawer.queue_of(ctx).wait(job["id"])
    assert (ended.state, ended.error) == ("done", "")
    entry = jobs_drawer.jobs(ctx, session, ask(Payload, session))["jobs"][0]
    assert ctx.gallery_of(session).recipe(entry["item"]).film == animate.reel_of(session).shown.film
    sheet = gallery.sheet(ctx, session, ask(gallery.ItemsRequest, session, ids=[entry["item"]]))
    assert sheet["name"] == "waves-0001-sheet.jpg" and sheet["url"].startswith("data:image/jpeg")


def test_a_film_that_the_server_forgot_is_asked_for_again(ctx, session):
    assert animate.frame(ctx, session, ask(FrameRequest, session, index=0, size=16)) == {"missing": True}


def test_a_picture_in_explore_begins_a_film(ctx, session):
    made = animate.add_state(ctx, session, ask(StateRequest, session, state=recipe_to_page(picture(3))))
    assert made["recipe"]["film"]["latents"][0]["keys"][0]["latent"]["x"] == 3
    assert {"view.zoom", "truncation.psi", "latent.pulse"} <= {target["path"] for target in made["targets"]}


def test_a_picture_is_no_film_and_a_preset_needs_a_matrix(session):
    with pytest.raises(StudioError, match="not a film"):
        ask(FilmRequest, session, recipe=recipe_to_page(picture(1)))
    with pytest.raises(StudioError, match="matrix is empty"):
        animate_sound.own_preset(replace(picture(1), film=Film()), "Mine")


def test_strangers_make_short_small_films(ctx):
    public = replace(ctx, settings=replace(ctx.settings, public=True))
    for film in (Film(seconds=31.0), Film(seconds=5.0, fps="60")):
        with pytest.raises(StudioError, match="at most"):
            jobs_drawer.check_limits(public, replace(picture(1), film=film))
    with pytest.raises(StudioError, match="512 pixels"):
        jobs_drawer.check_limits(public, replace(picture(1), film=Film(seconds=5.0, fps="24"), size=1024))
    long = animate_film.route([(picture(seed), Latent(seed)) for seed in range(20)])
    short = jobs_drawer.within_limits(public, long).film
    assert (short.seconds, max(key.time for key in short.latents[0].keys)) == (30.0, 28.5)


def bring(ctx, session, file):
    """Give a sound to the page as if it was uploaded, and wait until it was listened to."""
    lot = ctx.settings.uploads / "lot"
    lot.mkdir(parents=True, exist_ok=True)
    upload = shutil.copy(file, lot / file.name)
    answer = animate.open_file(ctx, session, ask(FileRequest, session, path=str(upload), name=file.name))
    work = animate.reel_of(session).listening[answer["listening"]]
    assert work.ended.wait(200)
    return animate.listen_state(ctx, session, ask(ItemRequest, session, id=answer["listening"], on=True))


@pytest.fixture
def tone(tmp_path):
    return write_wav(tmp_path / "tone.wav", 0.5 * np.sin(np.arange(22_050) / 8)[None])


def test_a_sound_is_taken_in_aside_and_its_upload_goes(ctx, session, tone):
    found = bring(ctx, session, tone)
    assert (found["sound"]["name"], found["refused"], found["share"]) == ("tone.wav", "", 1.0)
    assert found["duration"] == pytest.approx(1.0, abs=0.01)
    assert list((ctx.settings.uploads / "lot").iterdir()) == []
    with pytest.raises(StudioError, match="does not listen"):
        animate.listen_state(ctx, session, ask(ItemRequest, session, id="gone", on=True))


def test_what_is_no_sound_is_refused_in_one_sentence(ctx, session, tmp_path):
    (tmp_path / "noise.wav").write_bytes(b"RIFF no sound at all")
    found = bring(ctx, session, tmp_path / "noise.wav")
    assert "sound" not in found
    assert found["refused"].startswith("sound.wav is damaged")


def test_listening_waits_for_its_turn_and_can_be_stopped_meanwhile(tone):
    turns = threading.BoundedSemaphore(1)
    turns.acquire()
    work = Listening(tone, turns)
    work.start(lambda: pytest.fail("it was stopped"))
    assert work.state()["done"] is False
    work.stopped.set()
    assert work.ended.wait(100)
    assert work.state()["refused"].startswith("Stopped")
    assert not tone.exists()
    assert turns.acquire(blocking=False) is False


def test_the_sounds_of_strangers_go_with_them_but_not_before_their_films_are_made(tmp_path, tone):
    public = real_context(tmp_path / "public", public=True, models=False)
    save_toy(public.settings.models, "waves", toy_stylegan2(16))
    try:
        guest = public.sessions.open()
        ref = SoundRef(**bring(public, guest, tone)["sound"])
        folder = public.settings.galleries / "sounds"
        [file] = folder.iterdir()
        assert animate_sound.sound_file(public, animate.reel_of(guest), ref.sha256) == file
        os.utime(file, (0, 0))
        animate_sound.sweep_sounds(public)
        assert file.exists()
        film = Film(seconds=0.2, fps="10", sounds=(ref,))
        queue = jobs_drawer.queue_of(public)
        queue.close()
        job = queue.add(replace(picture(1), film=film), pictures=guest.pictures)
        public.sessions._sessions.clear()
        animate_sound.sweep_sounds(public)
        assert file.exists()
        queue.start()
        ended = queue.wait(job.id)
        assert (ended.state, ended.error) == ("done", "")
        animate_sound.sweep_sounds(public)
        assert not file.exists()
    finally:
        jobs_drawer.queue_of(public).close()
        public.engine.close()


def test_a_stranger_brings_only_so_many_sounds(ctx, session, tone):
    public = replace(ctx, settings=replace(ctx.settings, public=True))
    animate.reel_of(session).sounds.update(str(number) for number in range(animate_sound.MAX_PUBLIC_SOUNDS))
    with pytest.raises(StudioError, match="8 sounds"):
        animate_sound.listen(public, animate.reel_of(session), tone, "tone.wav")


def test_an_order_says_how_the_film_is_encoded_and_what_enlarges_it(ctx, session):
    recipe = recipe_to_page(replace(picture(1), film=Film(seconds=0.2, fps="10")))
    order = ask(jobs_drawer.RenderRequest, session, recipe=recipe, crf=23, preset="faster", chroma="444", upscaler="waves")
    assert (order.format.crf, order.format.preset, order.format.chroma, order.look.upscaler) == (23, "faster", "444", "waves")
    with pytest.raises(StudioError, match="waves is no upscaler"):
        jobs_drawer.render(ctx, session, order)
    with pytest.raises(StudioError, match="420, 444"):
        ask(jobs_drawer.RenderRequest, session, recipe=recipe, chroma="411")
    public = replace(ctx, settings=replace(ctx.settings, public=True))
    with pytest.raises(StudioError, match="not enlarged by a network"):
        jobs_drawer.check_limits(public, order.recipe, order.look)
