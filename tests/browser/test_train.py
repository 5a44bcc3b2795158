"""Training in a real browser, with real processes and a real engine: from a folder to a model in Explore, through a reload."""

import json
import time

import numpy as np
import pytest
from PIL import Image
from real_studio import real_context

from studio.training import presence, runs
from studio.training.state import RunFolder
from studio.ui import train

WAIT = 60_000


@pytest.fixture(scope="module")
def studio(tmp_path_factory, serve):
    """A studio in which nothing is installed."""
    return serve(real_context(tmp_path_factory.mktemp("real"), models=False))


@pytest.fixture
def pictures(tmp_path):
    """Two classes of eight small pictures, one of them twice, and one broken file."""
    rng = np.random.default_rng(0)
    for kind in ("round", "square"):
        (tmp_path / "shapes" / kind).mkdir(parents=True)
        for k in range(8):
            Image.fromarray(rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)).save(tmp_path / "shapes" / kind / f"{k}.png")
    (tmp_path / "shapes" / "round" / "again.png").write_bytes((tmp_path / "shapes" / "round" / "0.png").read_bytes())
    (tmp_path / "shapes" / "round" / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    return tmp_path / "shapes"


@pytest.fixture
def no_run_left(studio):
    """Stop every process that the test started, and make sure that it is gone."""
    yield
    for folder in runs.find_runs(train.home(studio.ctx)):
        runs.stop(folder)
        for _ in range(300):
            if presence.holder(folder) is None:
                break
            time.sleep(0.1)
        assert presence.holder(folder) is None


def open_train(person):
    person.page.evaluate("studio.tabs.show('train')")
    person.page.wait_for_selector("#studio-train .train-pick", timeout=WAIT)
    return person


def set_field(person, label, value):
    field = person.page.get_by_label(label, exact=True)
    field.fill(str(value))
    field.press("Tab")


@pytest.mark.slow
def test_a_folder_becomes_a_model_in_explore_and_a_reload_loses_nothing(studio, visit, pictures, no_run_left):
    person = open_train(visit(settle=False))
    page = person.page
    assert page.get_by_role("button", name="Start training").is_disabled()
    set_field(person, "Pictures", pictures)
    page.wait_for_function("document.querySelector('.train-set[data-which=data] .say').textContent.includes('16 pictures')", timeout=WAIT)
    found = page.locator(".train-set[data-which=data] .say").inner_text()
    assert "2 classes" in found
    assert "1 left out because they come twice, 1 left out as unreadable" in found
    page.get_by_text("What is in it, what was left out").first.click()
    assert "again.png: left out, the same as 0.png" in page.locator(".train-set[data-which=data] ul").inner_text()
    assert page.locator("img.train-sheet").evaluate("(img) => img.naturalWidth") > 64

    page.locator("#studio-train").get_by_label("Size", exact=True).select_option("16")
    set_field(person, "Minutes", 100)
    set_field(person, "Name", "tiny shapes")
    page.get_by_role("button", name="Forecast").click()
    page.wait_for_function("document.querySelector('.promise').textContent.includes('pictures a second')", timeout=WAIT)

    page.get_by_role("button", name="Start training").click()
    page.wait_for_selector(".studio-run-side[data-state=running]", timeout=WAIT)
    folder = RunFolder(train.home(studio.ctx) / "tiny shapes")
    held = presence.holder(folder)
    assert held is not None

    page.reload()
    open_train(person.ready())
    page.wait_for_selector(".studio-run-side[data-state=running]", timeout=WAIT)
    assert presence.holder(folder) == held, "the process never noticed"
    page.get_by_role("button", name="Open in Explore").wait_for(timeout=WAIT)
    page.wait_for_function("document.querySelectorAll('.studio-plot polyline').length >= 2", timeout=WAIT)
    page.get_by_role("button", name="Open in Explore").click()
    page.wait_for_function("studio.model.facts?.name === 'tiny shapes'", timeout=WAIT)
    person.settled()
    assert page.get_by_role("tab", name="Explore").get_attribute("aria-selected") == "true"
    assert page.evaluate("studio.model.facts.classes") == ["round", "square"]
    assert presence.holder(folder) == held, "it trains on while its model is played with"

    page.evaluate("studio.tabs.show('train')")
    page.get_by_role("button", name="Stop", exact=True).click()
    page.wait_for_selector(".studio-run-side[data-state=stopped]", timeout=WAIT)
    page.wait_for_selector("img.train-sheet[alt^='Samples of tiny shapes']", timeout=WAIT)
    assert presence.holder(folder) is None
    step = int(json.loads(folder.log_file.read_text().splitlines()[-1])["step"])
    page.get_by_role("button", name="Continue").click()
    page.wait_for_selector(".studio-run-side[data-state=running]", timeout=WAIT)
    assert any(line["message"].startswith("continues at") for line in map(json.loads, folder.log_file.read_text().splitlines()))
    assert step > 0


def test_dropped_pictures_become_a_folder_of_the_studio(studio, visit, pictures, no_run_left):
    person = open_train(visit(settle=False))
    person.page.get_by_label("Run", exact=True).select_option("")
    person.drop(pictures / "square" / "3.png", "#studio-train .studio-stage")
    person.page.wait_for_function(
        "document.querySelector('.train-set[data-which=data] .say').textContent.includes('1 picture.')", timeout=WAIT
    )
    path = person.page.get_by_label("Pictures", exact=True).input_value()
    assert path.startswith(str(train.home(studio.ctx) / "pictures"))
    assert not list(studio.ctx.settings.uploads.rglob("3.png"))


def test_a_wrong_folder_is_refused_beside_its_field(visit, tmp_path):
    person = open_train(visit(settle=False))
    person.page.get_by_label("Run", exact=True).select_option("")
    set_field(person, "Pictures", tmp_path / "nowhere")
    person.page.wait_for_function(
        "document.querySelector('.train-set[data-which=data] .say').textContent.includes('no such folder')", timeout=WAIT
    )


def test_a_translator_asks_for_the_second_kind_of_pictures(visit, pictures):
    person = open_train(visit(settle=False))
    page = person.page
    page.get_by_label("Run", exact=True).select_option("")
    set_field(person, "Pictures", pictures)
    assert not page.get_by_label("In the style of", exact=True).is_visible()
    page.get_by_label("Family", exact=True).select_option("cyclegan")
    assert page.get_by_label("In the style of", exact=True).is_visible()
    assert page.get_by_role("button", name="Start training").is_disabled()


def test_pairs_are_shown_side_by_side_under_words_of_their_own(visit, tmp_path):
    for side, level in (("outlines", 240), ("photos", 60)):
        (tmp_path / side).mkdir()
        for k in range(4):
            Image.fromarray(np.full((64, 64, 3), level + k, np.uint8)).save(tmp_path / side / f"{k}.png")
    person = open_train(visit(settle=False))
    page = person.page
    page.get_by_label("Run", exact=True).select_option("")
    page.get_by_label("Family", exact=True).select_option("pix2pix")
    assert not page.get_by_label("In the style of", exact=True).is_visible()
    set_field(person, "Pictures", tmp_path / "outlines")
    set_field(person, "What they become", tmp_path / "photos")
    page.wait_for_function("document.querySelector('.train-set[data-which=data] .say').textContent.startsWith('4 pairs.')", timeout=WAIT)
    assert page.locator(".train-caption").inner_text().startswith("4 of 4 pairs, the picture and what it becomes,")
    page.get_by_label("Family", exact=True).select_option("cyclegan")
    assert page.get_by_label("In the style of", exact=True).input_value() == str(tmp_path / "photos")


@pytest.mark.slow
def test_a_translator_that_still_trains_restyles_a_photo(studio, visit, pictures, tmp_path, no_run_left):
    person = open_train(visit(settle=False))
    page = person.page
    page.get_by_label("Run", exact=True).select_option("")
    page.get_by_label("Family", exact=True).select_option("cyclegan")
    set_field(person, "Pictures", pictures / "round")
    set_field(person, "In the style of", pictures / "square")
    page.wait_for_function("document.querySelector('.train-set[data-which=target] .say').textContent.includes('8 pictures')", timeout=WAIT)
    page.locator("#studio-train").get_by_label("Size", exact=True).select_option("32")
    set_field(person, "Minutes", 100)
    set_field(person, "Name", "round2square")
    page.get_by_role("button", name="Start training").click()
    page.get_by_role("button", name="Open in Restyle").click(timeout=2 * WAIT)
    page.wait_for_selector("#studio-restyle .studio-style[data-name=round2square][aria-checked=true]", timeout=WAIT)
    photo = tmp_path / "lake.png"
    Image.new("RGB", (48, 36), (90, 120, 160)).save(photo)
    person.drop(photo)
    page.wait_for_selector('.studio-viewer[data-quality=full] .studio-plate img[alt="After: lake.png, round2square"]', timeout=WAIT)
    assert presence.holder(RunFolder(train.home(studio.ctx) / "round2square")) is not None
    assert page.locator("#studio-restyle .studio-style").count() == 2, "there is a way back too"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_on_a_narrow_screen(visit, scheme):
    person = open_train(visit(settle=False, viewport={"width": 390, "height": 844}, color_scheme=scheme))
    assert person.page.evaluate("document.documentElement.scrollWidth") <= 390
    sticking = person.page.evaluate(
        "[...document.querySelectorAll('#studio-train *')].filter((it) => it.getBoundingClientRect().right > 391).map((it) => it.className)"
    )
    assert sticking == []
