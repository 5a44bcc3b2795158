"""The live tab in a real browser with the browser's own fake camera, the real engine and small models."""

import pytest
from real_studio import real_context

from studio.gallery import Gallery
from studio.media import probe_film, read_image

WAIT = 60_000
DENIED = "void (navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError')))"
NO_CAMERA = "void (navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotFoundError')))"
INSECURE = "void Object.defineProperty(Navigator.prototype, 'mediaDevices', { get: () => undefined })"
WATCH = """() => {
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    window.tracks = [];
    navigator.mediaDevices.getUserMedia = async (wanted) => {
        const stream = await open(wanted);
        window.tracks.push(...stream.getTracks());
        return stream;
    };
}"""


@pytest.fixture(scope="module")
def studio(tmp_path_factory, serve):
    """A studio with a generator and two translators."""
    return serve(real_context(tmp_path_factory.mktemp("live")))


@pytest.fixture
def person(visit):
    """Somebody in the Camera tab, with an eye on what the camera does."""
    somebody = visit(settle=False)
    somebody.page.evaluate(WATCH)
    somebody.page.evaluate("studio.tabs.show('live')")
    somebody.page.wait_for_selector("#studio-camera .studio-style", timeout=WAIT)
    return somebody


def start(person):
    person.page.get_by_role("button", name="Start", exact=True).click()
    person.page.wait_for_selector("#studio-camera output[data-rate]", timeout=WAIT)


def frame(person):
    return int(person.page.locator("#studio-camera .studio-canvas").get_attribute("data-frame") or 0)


def pixels(person):
    return person.page.evaluate("document.querySelector('#studio-camera .studio-canvas').toDataURL()")


def press(person, name):
    person.page.get_by_role("button", name=name, exact=True).click()


def test_the_camera_is_restyled_picture_after_picture_until_it_is_stopped(person):
    start(person)
    first, seen = frame(person), pixels(person)
    person.page.wait_for_function(
        "(first) => Number(document.querySelector('#studio-camera .studio-canvas').dataset.frame) > first + 3", arg=first, timeout=WAIT
    )
    assert pixels(person) != seen
    assert float(person.page.locator("#studio-camera output").get_attribute("data-rate")) > 0
    assert person.page.evaluate("window.tracks.map((track) => track.readyState)") == ["live"]
    press(person, "Stop")
    assert person.page.evaluate("window.tracks.map((track) => track.readyState)") == ["ended"]
    last = frame(person)
    person.page.wait_for_timeout(1500)
    assert frame(person) == last


@pytest.mark.parametrize("leave", ["Escape", "tab"])
def test_leaving_frees_the_camera(person, leave):
    start(person)
    if leave == "tab":
        person.page.get_by_role("tab", name="Gallery").click()
    else:
        person.page.keyboard.press("Escape")
    person.page.wait_for_function("window.tracks.every((track) => track.readyState === 'ended')", timeout=WAIT)


def test_a_snapshot_goes_to_the_strip_and_the_gallery_in_full_quality(studio, person):
    start(person)
    press(person, "Snapshot")
    person.wait_say("Saved")
    person.page.wait_for_selector(".studio-strip-item [aria-label*='photo-to-ink']", timeout=WAIT)
    picture = read_image(Gallery(studio.ctx.settings.pictures).items()[0].path)
    assert picture.recipe.precision == "exact"
    assert picture.recipe.restyle.source_name.startswith("camera ")
    assert picture.width == picture.height > 256


def test_a_recording_has_the_times_in_which_it_was_made(studio, person):
    start(person)
    press(person, "Record")
    person.page.wait_for_timeout(3000)
    person.page.keyboard.press("v")
    person.wait_say("Saved")
    item = Gallery(studio.ctx.settings.pictures).items()[0]
    assert item.is_film
    assert 2.0 < float(probe_film(item.path).duration) < 12.0
    assert Gallery(studio.ctx.settings.pictures).recipe(item.id).model.name == "photo-to-ink"


def test_a_walk_goes_by_itself_and_is_kept_like_the_camera(studio, person):
    person.page.get_by_role("radio", name="Walk").check(force=True)
    start(person)
    place = "document.querySelector('#studio-camera .studio-plane').getAttribute('aria-valuetext')"
    here = person.page.evaluate(place)
    person.page.wait_for_function(f"(here) => {place} !== here", arg=here, timeout=WAIT)
    assert person.page.evaluate("window.tracks") == []
    press(person, "Snapshot")
    person.wait_say("Saved")
    item = Gallery(studio.ctx.settings.pictures).items()[0]
    assert not float(Gallery(studio.ctx.settings.pictures).recipe(item.id).latent.x).is_integer()


@pytest.mark.parametrize(("trouble", "words"), [(DENIED, "Allow the camera"), (NO_CAMERA, "Connect one"), (INSECURE, "https")])
def test_a_camera_that_cannot_be_had_is_one_sentence(person, trouble, words):
    person.page.evaluate(trouble)
    press(person, "Start")
    problem = person.page.locator("#studio-camera .studio-problem")
    problem.wait_for(timeout=WAIT)
    assert words in problem.inner_text()
    assert person.page.get_by_role("button", name="Start", exact=True).is_enabled()


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desktop", "phone"])
def test_nothing_of_the_live_tab_is_cut_off(visit, size):
    person = visit(settle=False, viewport={"width": size[0], "height": size[1]})
    person.page.evaluate("studio.tabs.show('live')")
    person.page.wait_for_selector("#studio-camera .studio-track", timeout=WAIT)
    assert person.page.evaluate("document.documentElement.scrollWidth") <= size[0]
    for selector in (".studio-empty .primary", ".studio-actions .studio-button >> nth=0", ".studio-segments >> nth=0"):
        box = person.page.locator(f"#studio-camera {selector}").first.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= size[0]
        assert box["y"] + box["height"] <= size[1]
