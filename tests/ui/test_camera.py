"""Live pictures: what the page may ask for, what comes back, what is kept."""

import io

import numpy as np
import pytest
from PIL import Image
from real_studio import real_context

from studio.errors import StudioError
from studio.media import FilmWriter, encode_jpeg, probe_film, read_film, read_image, write_image
from studio.media.recordings import recording_suffix, rewrap
from studio.recipe import Latent, ModelRef, Recipe, Restyle
from studio.ui import camera
from studio.ui.pace import Pace
from studio.ui.payloads import RecipeRequest

LIVE = Recipe(model=ModelRef("photo-to-ink"), restyle=Restyle(), precision="auto")


@pytest.fixture(scope="module")
def ctx(tmp_path_factory):
    context = real_context(tmp_path_factory.mktemp("studio"))
    yield context
    context.engine.close()


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    context = real_context(tmp_path_factory.mktemp("public"), public=True)
    yield context
    context.engine.close()


def picture(height=24, width=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def asked(ctx, session, image, recipe=LIVE):
    return camera.frame(ctx, session, camera.FrameRequest(session.token, recipe, encode_jpeg(image, 90)))


def shown(answer):
    import base64

    return np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["url"].partition(",")[2]))))


def uploaded(ctx, image, name="camera.png"):
    return str(write_image(ctx.settings.uploads / name, image).path)


def films(ctx, frames, name="live.webm"):
    path = ctx.settings.uploads / name
    with FilmWriter(path, rate=10) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def test_a_picture_of_the_camera_comes_back_restyled_at_its_own_size(ctx):
    image = picture(24, 40)
    answer = asked(ctx, ctx.sessions.open(), image)
    assert shown(answer).shape == image.shape
    assert answer["ms"] > 0


def test_no_strength_gives_the_camera_itself(ctx):
    image = np.full((16, 16, 3), (200, 90, 40), np.uint8)
    recipe = Recipe(model=LIVE.model, restyle=Restyle(strength=0))
    assert abs(shown(asked(ctx, ctx.sessions.open(), image, recipe)).astype(int) - image).max() <= 6


def test_live_pictures_leave_nothing_behind(ctx):
    session = ctx.sessions.open()
    before = sorted(ctx.settings.uploads.rglob("*"))
    asked(ctx, session, picture())
    assert sorted(ctx.settings.uploads.rglob("*")) == before
    assert not session.strip


@pytest.mark.parametrize("shape", [(800, 800), (100, 1925)], ids=["too many pixels", "too long"])
def test_a_picture_that_is_too_large_is_refused(ctx, shape):
    with pytest.raises(StudioError, match="smaller size"):
        asked(ctx, ctx.sessions.open(), np.zeros((*shape, 3), np.uint8))


def test_strangers_are_slowed_down_and_told_for_how_long(public):
    session = public.sessions.open()
    answers = [asked(public, session, picture()) for _ in range(12)]
    waits = [answer["wait"] for answer in answers if "wait" in answer]
    assert waits
    assert all(0 < wait <= 1 / camera.PUBLIC_RATE + 1e-6 for wait in waits)
    assert any("url" in answer for answer in answers)


def test_strangers_get_small_pictures_only(public):
    with pytest.raises(StudioError, match="256"):
        asked(public, public.sessions.open(), picture(300, 300))
    sides = camera.limits(public, public.sessions.open(), None)["sides"]
    assert max(sides) == camera.PUBLIC_SIDE


def test_a_pace_lets_its_rate_through_whatever_the_hurry():
    now = [0.0]
    pace = Pace(5.0, 2, clock=lambda: now[0])
    passed = 0
    for _ in range(1000):
        now[0] += 0.01
        passed += pace.wait() == 0.0
    assert 50 <= passed <= 52


def test_a_snapshot_is_kept_in_the_cameras_own_size_with_strokes_as_on_the_screen(ctx):
    session = ctx.sessions.open()
    image = picture(48, 48, seed=2)
    answer = camera.snapshot(ctx, session, camera.FileRequest(session.token, uploaded(ctx, image), LIVE, 24))
    found = read_image(session.pictures / f"{answer['id']}")
    assert found.image.shape == image.shape
    assert found.recipe.precision == "exact"
    assert found.recipe.restyle.texture_scale == 2.0
    assert session.strip[0].id == answer["item"]["id"]


def test_a_snapshot_can_be_gone_on_with_in_restyle(ctx):
    from studio.ui import restyle

    session = ctx.sessions.open()
    camera.snapshot(ctx, session, camera.FileRequest(session.token, uploaded(ctx, picture(seed=5)), LIVE, 24))
    assert restyle.desk(ctx, session, None)["photos"] == []
    again = restyle.reopen(ctx, session, RecipeRequest(session.token, session.strip[0].recipe))
    assert again["photo"]["recipe"]["model"]["name"] == "photo-to-ink"


def test_a_place_of_a_walk_is_drawn_and_kept_exactly(ctx):
    session = ctx.sessions.open()
    recipe = Recipe(model=ModelRef("waves"), latent=Latent(x=1.25, y=0.5), precision="auto")
    assert shown(camera.step(ctx, session, RecipeRequest(session.token, recipe, 32))).shape == (32, 32, 3)
    answer = camera.still(ctx, session, RecipeRequest(session.token, recipe))
    found = read_image(session.pictures / answer["id"])
    assert (found.recipe.latent.x, found.recipe.precision) == (1.25, "exact")
    assert np.array_equal(found.image, ctx.engine.render(found.recipe))


def test_a_recording_goes_to_the_gallery_with_its_recipe(ctx):
    session = ctx.sessions.open()
    path = films(ctx, [picture(32, 32, seed=i) for i in range(5)])
    answer = camera.keep_recording(ctx, session, camera.FileRequest(session.token, str(path), LIVE, 256))
    item = ctx.gallery_of(session).item(answer["id"])
    assert item.is_film
    assert ctx.gallery_of(session).recipe(item.id).restyle.source_name == "camera"
    assert not path.exists()


def test_a_public_studio_keeps_no_recording(public):
    session = public.sessions.open()
    path = films(public, [picture(32, 32)])
    with pytest.raises(StudioError, match="downloads"):
        camera.keep_recording(public, session, camera.FileRequest(session.token, str(path), LIVE, 256))
    assert not path.exists()


def test_rewrapping_keeps_every_picture_and_its_time(tmp_path):
    import av

    source = tmp_path / "raw.webm"
    times = [0, 40, 55, 300, 310]
    with av.open(str(source), "w", format="webm", options={"live": "1"}) as file:
        stream = file.add_stream("libvpx", rate=1000)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for i, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(32, 32, seed=i), format="rgb24")
            frame.pts = time
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    target = tmp_path / f"film{recording_suffix(source)}"
    assert rewrap(source, target, LIVE, composite=True) == len(times)
    facts = probe_film(target)
    assert facts.recipe == LIVE
    pairs = zip(read_film(source), read_film(target), strict=True)
    assert all(float(a.time) == float(b.time) and np.array_equal(a.image, b.image) for a, b in pairs)
    assert [round(float(frame.time) * 1000) for frame in read_film(target)] == times


def test_a_file_that_no_browser_recorded_is_refused(tmp_path):
    fake = tmp_path / "live.webm"
    fake.write_bytes(b"not a film")
    with pytest.raises(StudioError, match="Record it again"):
        recording_suffix(fake)
