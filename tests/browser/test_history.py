"""The history of GANs in a real browser, with the real engine and small models."""

import os

import pytest
from real_studio import real_context
from zoo_studio import zoo_context

WAIT = 60_000
SEEDS = "[...document.querySelectorAll('.studio-history-card img')].map((image) => image.dataset.seed)"


@pytest.fixture(scope="module")
def studio(tmp_path_factory, serve):
    """A studio with five generations."""
    return serve(zoo_context(tmp_path_factory.mktemp("zoo")))


def opened(person):
    person.page.evaluate("studio.tabs.show('models')")
    person.page.get_by_role("button", name="History of GANs").click()
    person.page.wait_for_function(f"{SEEDS}.length === 5 && {SEEDS}.every((seed) => seed === '42')", timeout=WAIT)


def test_one_button_plays_the_same_seed_with_all_and_a_click_opens_one(visit):
    person = visit(settle=False)
    opened(person)
    before = person.page.evaluate("[...document.querySelectorAll('.studio-history-card img')].map((image) => image.src)")
    person.page.get_by_role("dialog").get_by_role("button", name="Random").click()
    person.page.wait_for_function(f"new Set({SEEDS}).size === 1 && {SEEDS}[0] !== '42'", timeout=WAIT)
    after = person.page.evaluate("[...document.querySelectorAll('.studio-history-card img')].map((image) => image.src)")
    assert all(a != b for a, b in zip(before, after, strict=True))
    seed = person.page.evaluate(f"Number({SEEDS}[0])")
    person.page.get_by_title("Open zoo-dcgan in Explore").click()
    person.page.wait_for_function("studio.tabs.current() === 'explore' && studio.recipe.value.model.name === 'zoo-dcgan'", timeout=WAIT)
    person.page.wait_for_function("(seed) => studio.recipe.value.latent.x === seed", arg=seed, timeout=WAIT)


@pytest.mark.parametrize(("width", "height", "scheme"), [(1280, 800, "dark"), (390, 844, "light")], ids=["desktop", "phone"])
def test_nothing_of_the_history_is_cut_off(visit, width, height, scheme):
    person = visit(settle=False, viewport={"width": width, "height": height}, color_scheme=scheme)
    person.page.evaluate("studio.emit('history')")
    person.page.wait_for_function(f"{SEEDS}.length === 5 && {SEEDS}.every((seed) => seed === '42')", timeout=WAIT)
    if "STUDIO_SHOTS" in os.environ:
        person.page.screenshot(path=f"{os.environ['STUDIO_SHOTS']}/history-{width}.png")
    wide = person.page.evaluate(
        "(() => { const box = document.querySelector('.studio-history'); return box.scrollWidth - box.clientWidth; })()"
    )
    assert wide <= 0
    for card in person.page.locator(".studio-history-card").all():
        box = card.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


def test_without_a_zoo_there_is_no_button(tmp_path, serve, visit):
    bare = serve(real_context(tmp_path))
    person = visit(bare.url, settle=False)
    person.page.evaluate("studio.tabs.show('models')")
    assert not person.page.get_by_role("button", name="History of GANs").is_visible()
