"""Playing with sound: what the page may send, what it gets back, what OSC adds, what is kept."""

import base64
import io
import json
from dataclasses import asdict, replace

import av
import numpy as np
import pytest
from PIL import Image
from real_studio import real_context

from studio import mapping, osc
from studio.cli import service
from studio.errors import StudioError
from studio.media import probe_film, read_image
from studio.media.recordings import recording_suffix, rewrap
from studio.recipe import ModelRef, Recipe, Truncation
from studio.recipe_film import Envelope, Mapping
from studio.ui import live_sound as live
from studio.ui.app import make_context
from studio.ui.context import recipe_to_page
from studio.ui.payloads import Fields, NameRequest, Payload, RecipeRequest

RECIPE = Recipe(model=ModelRef("waves"), truncation=Truncation(psi=0.5), precision="auto")
ZOOM = Mapping("rms", 0, "view.zoom", 1.0, "multiply", envelope=Envelope(release=0.0))
PSI = Mapping("onset_low", 0, "truncation.psi", 0.5, envelope=Envelope(release=0.0))


@pytest.fixture(scope="module")
def ctx(tmp_path_factory):
    context = real_context(tmp_path_factory.mktemp("studio"))
    yield context
    context.engine.close()


@pytest.fixture
def session(ctx):
    return ctx.sessions.open()


@pytest.fixture
def inbox(ctx):
    """A studio that listens to OSC."""
    listener = ctx.sessions.parts[live.OSC] = osc.Listener(0)
    yield listener.inbox
    listener.close()
    ctx.sessions.parts[live.OSC] = None


def preset(*matrix):
    return mapping.Preset("own", matrix=matrix)


def payload(session, chosen, heard=(), time=0.0, of=RECIPE, **more):
    page = {"recipe": recipe_to_page(of), "preset": asdict(chosen), "heard": [list(one) for one in heard]}
    return {"token": session.token, "run": "a", "time": time, "size": 32, **page, **more}


def played(ctx, session, *arguments, **more):
    return live.play(ctx, session, live.PlayRequest.read(Fields(payload(session, *arguments, **more))))


def shown(answer):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["url"].partition(",")[2])))).astype(int)


def still(session, answer):
    return live._stage(session).stills[answer["still"]]


def test_what_is_heard_moves_the_recipe_and_its_picture(ctx, session):
    chosen = preset(ZOOM, PSI)
    quiet = played(ctx, session, chosen)
    loud = played(ctx, session, chosen, [("rms", 97, 0.5), ("onset_low", 97, 1)], 0.1)
    assert still(session, quiet).view.zoom == 1
    assert still(session, loud).view.zoom == pytest.approx(1.5)
    assert still(session, loud).truncation.psi == pytest.approx(1.0)
    assert loud["levels"] == [0.5, 1.0]
    assert abs(shown(quiet) - shown(loud)).max() > 10


def test_silence_draws_nothing_again(ctx, session):
    assert "url" in played(ctx, session, preset(ZOOM))
    again = played(ctx, session, preset(ZOOM), time=1.0)
    assert again["same"]
    assert "url" not in again


def test_a_performance_goes_on_until_the_page_begins_another(ctx, session):
    slow = preset(replace(ZOOM, envelope=Envelope(release=1.0)))
    played(ctx, session, slow, [("rms", 97, 1)])
    assert 0.3 < played(ctx, session, slow, time=1.0)["levels"][0] < 0.4
    assert played(ctx, session, slow, time=0.0, run="b")["levels"] == [0.0]


def test_at_rest_the_model_is_let_go_and_what_was_shown_can_be_kept(ctx, session):
    answer = played(ctx, session, preset(ZOOM), [("rms", 97, 1)])
    live.rest(ctx, session, Payload(session.token))
    assert live._stage(session).performance._space is None
    assert live.keep_still(ctx, session, NameRequest(session.token, answer["still"]))["id"]


def test_two_visitors_do_not_hear_each_other(ctx):
    first, second = ctx.sessions.open(), ctx.sessions.open()
    played(ctx, first, preset(ZOOM), [("rms", 97, 1)])
    assert played(ctx, second, preset(ZOOM))["levels"] == [0.0]


def test_hands_set_values_and_the_amount_scales_what_sound_does(ctx, session):
    hands = [["truncation.psi", 0.25], ["latent.x", 7.5], ["amount", 0.5], ["no.such.value", 3]]
    answer = played(ctx, session, preset(ZOOM), [("rms", 97, 1)], hands=hands)
    recipe = still(session, answer)
    assert (recipe.truncation.psi, recipe.latent.x, recipe.view.zoom) == (0.25, 7.5, 1.5)


def test_what_only_films_and_photos_have_is_left_out(ctx, session):
    strange = replace(RECIPE, size=999, precision="exact")
    assert still(session, played(ctx, session, preset(ZOOM), of=strange)) == RECIPE


@pytest.mark.parametrize(
    "change",
    [
        {"heard": [["rms", 97, float("nan")]]},
        {"heard": [["rms", 97, 2]]},
        {"heard": [["rms", 97]]},
        {"heard": [["rms", 97, "1"]]},
        {"heard": [["r" * 99, 97, 1]]},
        {"heard": [["rms", 97, 1]] * 301},
        {"heard": "rms"},
        {"hands": [["truncation.psi", float("inf")]]},
        {"hands": [[5, 5]]},
        {"hands": [["truncation.psi", 1]] * 129},
        {"time": -1},
        {"time": 1e300},
        {"run": "../x"},
        {"preset": []},
        {"preset": {"name": "own", "matrix": [{"feature": "rms", "target": "__class__"}]}},
        {"preset": {"name": "own", "matrix": [{"amount": 99}]}},
        {"preset": {"name": "own", "matrix": [{}] * 300}},
        {"preset": {"name": "own", "speed": float("nan")}},
        {"preset": {"name": "../own"}},
        {"recipe": {"truncation": {"psi": 99}}},
        {"size": 10**9},
        {"seen": -1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_a_page_should_not_send_is_refused_with_a_sentence(ctx, session, change):
    with pytest.raises(StudioError):
        played(ctx, session, preset(ZOOM), **change)


def test_a_matrix_for_something_that_is_not_there_is_refused_and_nothing_breaks(ctx, session):
    with pytest.raises(StudioError, match="nothing in this recipe"):
        played(ctx, session, preset(replace(ZOOM, target="blends.0.weight")))
    assert "url" in played(ctx, session, preset(ZOOM))


def test_every_preset_plays_with_a_real_model(ctx, session):
    for number, (name, chosen) in enumerate(mapping.presets().items()):
        heard = [(entry.feature, entry.envelope.clip, 1) for entry in chosen.matrix]
        first = played(ctx, session, chosen, run=name)
        second = played(ctx, session, chosen, heard, 0.2, run=name)
        third = played(ctx, session, chosen, heard, 0.4, run=name)
        assert "still" in first, number
        assert any("still" in answer for answer in (second, third)), name


def test_osc_sets_values_is_heard_and_is_told_to_the_page(ctx, session, inbox):
    for address, value in (("/studio/psi", -0.5), ("/studio/rms", 1.0), ("/studio/amount", 0.5), ("/studio/view/flash", 9e9)):
        assert inbox.take(address, [value])
    answer = played(ctx, session, preset(ZOOM), [("rms", 97, 0.2)])
    recipe = still(session, answer)
    assert (recipe.truncation.psi, recipe.view.zoom, recipe.view.flash) == (-0.5, 1.5, 1.0)
    assert answer["osc"]["values"]["truncation.psi"] == -0.5
    assert answer["osc"]["last"].startswith("/studio/view/flash")


def test_a_hand_that_moves_after_a_message_counts(ctx, session, inbox):
    inbox.take("/studio/psi", [0.1])
    first = played(ctx, session, preset(ZOOM))
    later = played(ctx, session, preset(ZOOM), time=0.1, hands=[["truncation.psi", 0.3]], seen=first["osc"]["serial"])
    assert still(session, first).truncation.psi == pytest.approx(0.1)
    assert still(session, later).truncation.psi == pytest.approx(0.3)
    assert later["osc"]["values"] == {}


def test_the_page_knows_whether_osc_is_listened_to(ctx, session, inbox):
    inbox.take("/studio/x", [3])
    answer = live.listen(ctx, session, Payload(session.token))
    assert answer["osc"]["host"] == "127.0.0.1"
    assert answer["osc"]["last"] == "/studio/x 3"
    ctx.sessions.parts[live.OSC], kept = None, ctx.sessions.parts[live.OSC]
    assert live.listen(ctx, session, Payload(session.token))["osc"] is None
    ctx.sessions.parts[live.OSC] = kept


def test_strangers_cannot_be_moved_by_osc(ctx):
    with pytest.raises(StudioError, match="public"):
        make_context(replace(ctx.settings, public=True, osc_port=0))
    assert live.open_osc(ctx.settings) is None


def test_flashes_are_limited_unless_switched_off(ctx, session):
    light = preset(replace(PSI, feature="rms", target="view.flash", amount=1.0))
    turns = [[("rms", 97, number % 2)] for number in range(24)]

    def jumps(run, **more):
        answers = [played(ctx, session, light, heard, number / 12, run=run, **more) for number, heard in enumerate(turns)]
        means = [shown(answer).mean() for answer in answers if "url" in answer]
        return int((np.abs(np.diff(means)) > 40).sum())

    assert jumps("wild", limits_flashes=False) == 23
    assert jumps("safe") <= 14


def test_a_snapshot_is_the_picture_that_was_shown_in_full_quality(ctx, session):
    answer = played(ctx, session, preset(ZOOM), [("rms", 97, 1)])
    kept = live.keep_still(ctx, session, NameRequest(session.token, answer["still"]))
    found = read_image(session.pictures / kept["id"])
    assert found.recipe.view.zoom == 2.0
    assert found.recipe.precision == "exact"
    assert session.strip[0].id == kept["item"]["id"]
    with pytest.raises(StudioError, match="too long ago"):
        live.keep_still(ctx, session, NameRequest(session.token, "other"))


def test_the_desk_offers_what_the_model_can_follow(ctx, session):
    answer = live.desk(ctx, session, RecipeRequest(session.token, RECIPE))
    assert {"lucid", "maua", "kick-zoom", "section-cut", "breathing"} <= {entry["name"] for entry in answer["presets"]}
    assert "view.zoom" in {move["path"] for move in answer["moves"]}
    assert live.desk(ctx, session, RecipeRequest(session.token, Recipe()))["moves"] == []


def test_a_preset_chosen_and_saved_is_the_same_matrix(ctx, session, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path))
    chosen = live.choose_preset(ctx, session, NameRequest(session.token, "kick-zoom"))["preset"]
    fields = Fields({"token": session.token, "preset": chosen, "label": "My kicks"})
    answer = live.save_preset(ctx, session, live.PresetRequest.read(fields))
    assert mapping.find_preset("my-kicks").matrix == mapping.find_preset("kick-zoom").matrix
    assert mapping.parse_preset(answer["json"]) == mapping.find_preset("my-kicks")
    assert mapping.parse_preset(json.dumps(answer["preset"])) == mapping.find_preset("my-kicks")


def test_the_command_line_asks_for_osc_only_when_told_to(monkeypatch):
    asked = []
    monkeypatch.setattr("studio.ui.app.launch", asked.append)
    service.run_app(no_browser=True)
    service.run_app(no_browser=True, osc=9001)
    service.run_app(no_browser=True, osc=9002, osc_host="0.0.0.0")
    assert [(settings.osc_port, settings.osc_host) for settings in asked] == [(None, "127.0.0.1"), (9001, "127.0.0.1"), (9002, "0.0.0.0")]


def recorded(path, start):
    """A film as a browser records it: pictures from ``start`` ms on, and sound from 0 on."""
    with av.open(str(path), "w", format="webm", options={"live": "1"}) as file:
        pictures, sound = file.add_stream("libvpx", rate=1000), file.add_stream("libopus", rate=48000)
        pictures.width = pictures.height = 32
        pictures.pix_fmt = "yuv420p"
        sound.layout = "mono"
        for moment in (0, 40, 300, 900):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), moment % 255, np.uint8), format="rgb24")
            frame.pts = start + moment
            file.mux(pictures.encode(frame))
        for number in range(50):
            block = av.AudioFrame.from_ndarray(np.full((1, 960), 0.1 * (number % 2), np.float32), format="flt", layout="mono")
            block.sample_rate, block.pts = 48000, 960 * number
            file.mux(sound.encode(block))
        file.mux([*pictures.encode(), *sound.encode()])


@pytest.mark.parametrize("start", [0, 200])
def test_a_recording_keeps_its_sound_in_step(tmp_path, start):
    source = tmp_path / "raw.webm"
    recorded(source, start)
    target = tmp_path / f"film{recording_suffix(source)}"
    assert rewrap(source, target, RECIPE, composite=False) == 4
    assert probe_film(target).recipe == RECIPE
    with av.open(str(target)) as file:
        moments = [float(packet.pts * packet.time_base) for packet in file.demux(video=0) if packet.pts is not None]
    assert moments == pytest.approx([0, 0.04, 0.3, 0.9])
    with av.open(str(source)) as before, av.open(str(target)) as after:
        old, new = ([packet for packet in file.demux(audio=0) if packet.pts is not None] for file in (before, after))
    kept = [packet for packet in old if packet.pts * packet.time_base * 1000 >= start]
    assert [bytes(packet) for packet in new] == [bytes(packet) for packet in kept]
    for first, second in zip(kept, new, strict=True):
        assert float(first.pts * first.time_base - second.pts * second.time_base) * 1000 == pytest.approx(start, abs=1.01)
