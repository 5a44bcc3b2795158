"""The board that hears in a real browser: its own fake microphone, a sound file, a MIDI controller that is not there, OSC."""

import socket
import wave

import numpy as np
import pytest
from pythonosc.osc_message_builder import OscMessageBuilder
from real_studio import real_context

from studio import osc
from studio.gallery import Gallery
from studio.media import probe_film, read_image
from studio.ui import live_sound

WAIT = 60_000
BOARD = "#studio-live"
WATCH = """() => {
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    const Context = window.AudioContext;
    Object.assign(window, { tracks: [], contexts: [] });
    window.AudioContext = class extends Context { constructor(...wanted) { super(...wanted); window.contexts.push(this); } };
    navigator.mediaDevices.getUserMedia = async (wanted) => {
        const stream = await open(wanted);
        window.tracks.push(...stream.getTracks());
        return stream;
    };
}"""
FREE = "window.tracks.every((t) => t.readyState === 'ended') && window.contexts.every((c) => c.state === 'closed')"
CONTROLLER = """() => {
    const input = { name: "Test knobs", onmidimessage: null };
    window.asked = [];
    navigator.requestMIDIAccess = async (wanted) => {
        window.asked.push(wanted);
        return { inputs: new Map([["1", input]]), onstatechange: null };
    };
    window.turn = (...data) => input.onmidimessage({ data });
}"""
HEARD = """async ([frequency, seconds]) => {
    const rate = 44100;
    const values = [];
    const hearing = new studio.Hearing(rate, (one) => values.push(Array.from(one)));
    hearing.push(Float32Array.from({ length: rate * seconds }, (_, i) => 0.5 * Math.sin((2 * Math.PI * frequency * i) / rate)));
    return Object.fromEntries(studio.Hearing.names.map((name, i) => [name, values.map((one) => one[i])]));
}"""
CLICKS = """async () => {
    const rate = 44100;
    const values = [];
    const hearing = new studio.Hearing(rate, (one) => values.push(Array.from(one)));
    const samples = new Float32Array(rate * 6);
    for (let beat = 0; beat < 12; beat += 1) {
        for (let i = 0; i < 2000; i += 1) samples[beat * rate / 2 + 500 + i] = Math.exp(-i / 300) * Math.sin(i * i * 7.3);
    }
    hearing.push(samples);
    const at = studio.Hearing.names.indexOf("beat");
    return values.flatMap((one, hop) => (one[at] ? [(hop + 1) * studio.Hearing.hop / rate] : []));
}"""

PACE = """async (gaps) => {
    const real = performance.now;
    let clock = 0;
    performance.now = () => clock;
    const dot = document.createElement("canvas").toDataURL();
    const told = [];
    await new Promise((resolve, reject) => {
        const loop = new studio.LiveLoop({
            ask: async () => ({ url: dot, ...loop.stamp() }),
            show: () => { clock += gaps.shift(); },
            onRate: ({ rate }) => told.push([clock, rate]),
            onError: reject,
        });
        const count = loop.count.bind(loop);
        loop.count = (...given) => { count(...given); if (!gaps.length) { loop.stop(); resolve(); } };
        loop.start();
    });
    performance.now = real;
    return told;
}"""
RATES = """(pictures) => {
    const pace = new studio.PictureRate();
    return pictures.map(([now, taken]) => { pace.add(now, taken); return pace.rate; });
}"""


@pytest.fixture(scope="module")
def studio(tmp_path_factory, serve):
    """A studio with a generator, listening to OSC."""
    ctx = real_context(tmp_path_factory.mktemp("live"))
    listener = ctx.sessions.parts[live_sound.OSC] = osc.Listener(0)
    yield serve(ctx)
    listener.close()


@pytest.fixture
def person(visit):
    """Somebody at the board, with an eye on what the microphone does."""
    somebody = visit(settle=False)
    somebody.page.evaluate(WATCH)
    somebody.page.evaluate(CONTROLLER)
    opened(somebody)
    return somebody


def opened(person):
    person.page.evaluate("studio.tabs.show('live')")
    person.page.wait_for_selector("#studio-live .studio-widget[data-ready]", timeout=WAIT, state="attached")
    person.page.evaluate("studio.liveViews.show('sound')")
    person.page.wait_for_selector(f"{BOARD} .studio-widget[data-desk] .live-line", timeout=WAIT)


def board(person):
    return person.page.locator(BOARD)


def press(person, name):
    board(person).get_by_role("button", name=name, exact=True).click()


def start(person):
    press(person, "Start")
    person.page.wait_for_selector(f"{BOARD} output[data-rate]", timeout=WAIT)


def frame(person):
    return int(board(person).locator(".studio-canvas").get_attribute("data-frame") or 0)


def wait_frames(person, count):
    script = f"(least) => Number(document.querySelector('{BOARD} .studio-canvas').dataset.frame) >= least"
    person.page.wait_for_function(script, arg=frame(person) + count, timeout=WAIT)


def pixels(person):
    return person.page.evaluate(f"document.querySelector('{BOARD} .studio-canvas').toDataURL()")


def let_kicks_zoom(person):
    """Let one thing that is heard move one value, and nothing wander."""
    board(person).get_by_label("Preset", exact=True).select_option("kick-zoom")
    person.page.wait_for_function(f"document.querySelectorAll('{BOARD} .live-line').length === 1", timeout=WAIT)


def test_the_microphone_moves_the_picture_until_it_is_stopped_and_is_freed_then(person):
    start(person)
    seen = pixels(person)
    drawn = f"(seen) => document.querySelector('{BOARD} .studio-canvas').toDataURL() !== seen"
    person.page.wait_for_function(drawn, arg=seen, timeout=WAIT)
    wait_frames(person, 4)
    heard = f"Number(document.querySelector('{BOARD} .live-meters i').style.getPropertyValue('--level')) > 0"
    person.page.wait_for_function(heard, timeout=WAIT)
    assert person.page.evaluate("window.tracks.map((t) => [t.kind, t.readyState])") == [["audio", "live"]]
    assert person.page.evaluate("window.tracks[0].getSettings().echoCancellation") is False
    press(person, "Stop")
    person.page.wait_for_function(FREE, timeout=WAIT)
    last = frame(person)
    person.page.wait_for_timeout(800)
    assert frame(person) == last


def test_the_fake_microphones_beeps_are_what_moves_the_picture(person):
    let_kicks_zoom(person)
    start(person)
    levels = f"Number(document.querySelector('{BOARD} .live-line .film-meter').style.getPropertyValue('--level'))"
    person.page.wait_for_function(f"{levels} > 0.5", timeout=WAIT)
    press(person, "Stop")
    assert person.page.evaluate(levels) == 0


@pytest.mark.parametrize("leave", ["Escape", "tab", "view"])
def test_leaving_frees_the_microphone(person, leave):
    start(person)
    if leave == "tab":
        person.page.get_by_role("tab", name="Gallery").click()
    elif leave == "view":
        board(person).get_by_role("radio", name="Camera").check(force=True)
    else:
        person.page.keyboard.press("Escape")
    person.page.wait_for_function(FREE, timeout=WAIT)


def test_a_sound_file_is_played_instead_and_no_microphone_is_asked_for(person, tmp_path):
    path = tmp_path / "beats with a name that is rather long for this narrow place.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 44100, 0, "NONE", ""))
        tone = np.sin(np.arange(44100) * 2 * np.pi * 80 / 44100) * np.repeat([1, 0], 22050)
        file.writeframes((tone * 20000).astype("<i2").tobytes())
    board(person).locator("input[type=file]").set_input_files(path)
    person.page.wait_for_selector(f"{BOARD} output[data-rate]", timeout=WAIT)
    wait_frames(person, 2)
    assert person.page.evaluate("window.tracks") == []
    press(person, "Stop")
    person.page.wait_for_function(FREE, timeout=WAIT)


def test_a_snapshot_and_a_recording_with_sound_go_to_the_gallery(studio, person):
    start(person)
    press(person, "Snapshot")
    person.wait_say("Saved")
    gallery = Gallery(studio.ctx.settings.pictures)
    picture = read_image(gallery.items()[0].path)
    assert picture.recipe.precision == "exact"
    press(person, "Record")
    wait_frames(person, 12)
    person.page.evaluate("studio.status('')")
    person.page.keyboard.press("v")
    person.wait_say("Saved")
    item = gallery.items()[0]
    facts = probe_film(item.path)
    assert item.is_film
    assert facts.sound is not None
    assert float(facts.duration) > 0.1
    assert gallery.recipe(item.id).model.name == "waves"


def test_a_knob_is_learned_moves_its_value_is_remembered_and_forgotten(person):
    assert person.page.evaluate("window.asked") == []
    press(person, "Turn MIDI on")
    person.page.wait_for_selector(f"{BOARD} .live-learn:visible", timeout=WAIT)
    assert person.page.evaluate("window.asked") == [{"sysex": False}]
    press(person, "Learn a knob for Psi")
    person.page.evaluate("window.turn(0xb0, 21, 127)")
    psi = board(person).get_by_role("slider", name="Psi", exact=True)
    assert float(psi.input_value()) == 2
    person.page.evaluate("window.turn(0xb0, 21, 0); window.turn(0xb0, 22, 127); window.turn(0xf8)")
    assert float(psi.input_value()) == -1
    cell = board(person).locator(".live-line .live-learn").first
    cell.click()
    person.page.evaluate("window.turn(0x93, 60, 127)")
    assert float(board(person).locator(".live-line .studio-number").first.input_value()) == 2
    learned = board(person).locator(".live-bindings li").all_inner_texts()
    assert len(learned) == 2
    assert learned[0] == "Knob 21, channel 1 moves Psi"
    person.page.reload()
    person.ready()
    opened(person)
    assert board(person).locator(".live-bindings li").all_inner_texts() == learned
    assert not board(person).locator(".live-learn:visible").count()
    press(person, "Forget Knob 21, channel 1")
    assert board(person).locator(".live-bindings li").count() == 1


def test_a_browser_without_midi_says_so_in_one_sentence(person):
    person.page.evaluate("navigator.requestMIDIAccess = undefined")
    press(person, "Turn MIDI on")
    assert "no MIDI" in board(person).locator(".studio-problem:visible").inner_text()


def test_a_message_by_osc_moves_the_slider_and_is_shown(studio, person):
    board(person).get_by_role("radio", name="Nothing").check(force=True)
    start_without_sound(person)
    builder = OscMessageBuilder("/studio/psi")
    builder.add_arg(-0.75)
    port = studio.ctx.sessions.parts[live_sound.OSC].port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(builder.build().dgram, ("127.0.0.1", port))
    script = f"Number([...document.querySelectorAll('{BOARD} input[type=range]')].find((i) => i.ariaLabel === 'Psi').value) === -0.75"
    person.page.wait_for_function(script, timeout=WAIT)
    assert board(person).locator(".live-osc-last").inner_text() == "/studio/psi -0.75"
    assert f"port {port}" in board(person).inner_text()
    press(person, "Stop")


def start_without_sound(person):
    press(person, "Start")
    person.page.wait_for_selector(f"{BOARD} .studio-canvas[data-frame]", timeout=WAIT)


DENIED = "void (navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError')))"
NOTHING = "void (navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotFoundError')))"
INSECURE = "void Object.defineProperty(Navigator.prototype, 'mediaDevices', { get: () => undefined })"


@pytest.mark.parametrize(("trouble", "words"), [(DENIED, "Allow it"), (NOTHING, "Connect one"), (INSECURE, "https")])
def test_a_microphone_that_cannot_be_had_is_one_sentence(person, trouble, words):
    person.page.evaluate(trouble)
    press(person, "Start")
    problem = board(person).locator(".studio-stage .studio-problem")
    problem.wait_for(timeout=WAIT)
    assert words in problem.inner_text()
    assert board(person).get_by_role("button", name="Start", exact=True).first.is_enabled()


def test_a_tone_is_heard_in_its_band_and_as_its_note(person):
    for frequency, band, note in ((82.41, "low", 4), (440.0, "mid", 9), (4186.0, "high", 0)):
        heard = person.page.evaluate(HEARD, [frequency, 1])
        last = {name: values[-1] for name, values in heard.items()}
        assert last["rms"] == pytest.approx(0.5 / np.sqrt(2), rel=0.03)
        assert max(("low", "mid", "high"), key=lambda name: last[name]) == band
        assert max(range(12), key=lambda number: last[f"chroma.{number}"]) == note
        assert last["centroid"] == pytest.approx(frequency, rel=0.1)
        assert max(heard["onset"][1:]) > 0.2 > 20 * last["onset"]
        assert last["harmonic"] > last["percussive"]


LEVELS = """([quiet, loud]) => {
    const ears = new studio.Ears();
    ears.perSecond = 94;
    const say = (rms) => ears.hear(studio.Hearing.names.map((name) => (name === "rms" ? rms : 0)));
    for (let hop = 0; hop < 400; hop += 1) say(quiet + (hop % 40 < 20 ? loud - quiet : 0) * (0.9 + 0.1 * Math.sin(hop)));
    say(quiet);
    const low = ears.level("rms");
    say(loud);
    const taken = ears.take([["rms", 97], ["onset", 97]]).map((one) => one[2]);
    return [low, ears.level("rms"), ears.level("rms", 50), taken, ears.take([["onset", 97]])];
}"""


def test_levels_are_measured_against_what_was_heard_before_and_noise_stays_silence(person):
    for quiet, loud in ((0.0, 0.02), (0.1, 0.9)):
        low, high, half, (mean, onset), again = person.page.evaluate(LEVELS, [quiet, loud])
        assert low == 0
        assert high > 0.95
        assert half == 1
        assert 0.2 < mean < 0.8
        assert (onset, again) == (0, [["onset", 97, 0]])
    assert person.page.evaluate(LEVELS, [0.0, 0.0002])[1] < 0.1


def test_clicks_twice_a_second_are_beats(person):
    beats = np.array(person.page.evaluate(CLICKS))
    wanted = 500 / 44100 + 0.5 * np.arange(12)
    assert len(beats) >= 10
    assert all(np.abs(wanted - beat).min() < 0.06 for beat in beats)


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desktop", "phone"])
def test_nothing_of_the_board_is_cut_off(visit, size):
    person = visit(settle=False, viewport={"width": size[0], "height": size[1]})
    opened(person)
    assert person.page.evaluate("document.documentElement.scrollWidth") <= size[0]
    buttons = (".studio-actions .studio-button >> nth=0", ".studio-actions .studio-button >> nth=-1")
    for selector in (".studio-empty .primary", *buttons, ".studio-segments"):
        box = board(person).locator(selector).first.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= size[0]
        assert box["y"] + box["height"] <= size[1]


def test_pictures_that_arrive_together_say_no_rate_until_a_second_of_them_was_seen(visit):
    page = visit(settle=False).page
    assert page.evaluate(PACE, [1000, 0.4, 0.4, 0.4, 0.4, 90]) == []
    told = page.evaluate(PACE, [1000, *[100] * 40])
    assert told[0][0] == 2000
    assert [rate for _, rate in told] == pytest.approx([10] * len(told))
    assert len(told) > 5


def test_a_slow_model_gets_its_rate_too_and_a_pause_is_no_slowness(visit):
    page = visit(settle=False).page
    slow = page.evaluate(RATES, [[now, now - 6000] for now in range(6000, 24000, 3000)])
    assert slow == [None, None, None, *[pytest.approx(1 / 3)] * 3]
    steady = [[now, now - 100] for now in range(0, 2100, 100)]
    paused = page.evaluate(RATES, steady + [[60_000 + now, 60_000 + now - 100] for now, _ in steady])
    assert paused == [None] * 10 + [pytest.approx(10)] * 32
    bursts = page.evaluate(RATES, [[5000 * beat + now, 5000 * beat + now - 100] for beat in range(8) for now in (0, 100, 200)])
    assert bursts == [None] * 10 + [pytest.approx(10)] * 14
