"""A book of painting styles in a real browser: a tile for each style, kept in the saved picture, undone and brought back."""

import numpy as np
import pytest
import torch
from real_studio import real_context

from studio.checkpoints import ModelCard, save
from studio.gallery import Gallery
from studio.media import read_image, write_image
from studio.models.common import build

WAIT = 60_000
FULL = ".studio-viewer[data-quality=full]"
STYLES = ("warm", "cold-light", "green")


@pytest.fixture(scope="module")
def studio(tmp_path_factory, serve):
    """A studio with two translators and a book of three styles, which differ in colour."""
    ctx = real_context(tmp_path_factory.mktemp("styles"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        book = build("style-transfer", {"n_styles": 3, "width": 8, "n_blocks": 1}).eval()
    book.expand[-1].beta.data[:] = torch.tensor([[2.0, 0.0, -2.0], [-2.0, 0.0, 2.0], [-2.0, 2.0, -2.0]])
    ctx.settings.models.mkdir(parents=True, exist_ok=True)
    save(book, ctx.settings.models / "book.safetensors", ModelCard(family=book.family, classes=STYLES))
    folder = ctx.settings.pretrained / "photos"
    folder.mkdir(parents=True)
    write_image(folder / "hill.png", np.random.default_rng(4).integers(0, 256, (48, 72, 3), dtype=np.uint8))
    (folder / "photos.json").write_text('[{"file": "hill.png", "style": "green", "source": "Somewhere", "licence": "CC BY 2.0"}]')
    return serve(ctx)


@pytest.fixture
def photo(tmp_path):
    image = np.random.default_rng(3).integers(0, 256, (48, 72, 3), dtype=np.uint8)
    return write_image(tmp_path / "lake.png", image).path


def tile(person, name):
    return person.page.locator(f"#studio-restyle .studio-style[data-name='book/{name}']")


def settled(person):
    person.page.wait_for_function("!document.querySelector('.studio-photo[data-busy]')", timeout=WAIT)
    person.page.wait_for_selector(FULL, timeout=WAIT)


SHOWN = "[...document.querySelectorAll('#studio-restyle .studio-plate img')].at(-1).src"


def choose(person, act):
    """Do something that changes the style, and wait for its picture."""
    before = person.page.evaluate(SHOWN)
    act()
    person.page.wait_for_function(f"(before) => {SHOWN} !== before", arg=before, timeout=WAIT)
    settled(person)


def is_chosen(person, name):
    person.page.wait_for_selector(f"#studio-restyle .studio-style[data-name='book/{name}'][aria-checked=true]", timeout=WAIT)
    return person.page.locator("#studio-restyle .studio-style[aria-checked=true]").count() == 1


def test_every_style_has_a_tile_paints_and_is_kept_in_the_saved_picture(studio, visit, photo):
    person = visit()
    person.drop(photo)
    settled(person)
    assert person.page.locator("#studio-restyle .studio-style").count() == 2 + len(STYLES)
    assert tile(person, "cold-light").inner_text() == "cold light"
    choose(person, tile(person, "cold-light").click)
    assert is_chosen(person, "cold-light")
    choose(person, tile(person, "green").click)
    assert is_chosen(person, "green")
    person.page.locator(".studio-photo .picture").first.focus()
    choose(person, lambda: person.page.keyboard.press("z"))
    assert is_chosen(person, "cold-light")
    person.page.get_by_role("button", name="Save", exact=True).click()
    person.page.wait_for_function("document.getElementById('studio-status').textContent.includes('Saved')", timeout=WAIT)
    saved = Gallery(studio.ctx.settings.pictures).items()[0].path
    picture = read_image(saved)
    assert [style.name for style in picture.recipe.restyle.styles] == ["cold-light"]
    assert picture.image[..., 2].mean() > picture.image[..., 0].mean() + 50, "it is the cold one"
    person.page.reload()
    person.page.wait_for_selector(FULL, timeout=WAIT)
    assert is_chosen(person, "cold-light")
    choose(person, tile(person, "warm").click)
    person.drop(saved)
    person.page.wait_for_function("document.getElementById('studio-status').textContent.includes('as it was')", timeout=WAIT)
    assert is_chosen(person, "cold-light")


def test_tiles_show_one_picture_each_in_its_own_style(studio, visit):
    person = visit()
    person.page.get_by_role("tab", name="Restyle").click()
    person.page.wait_for_function(
        "[...document.querySelectorAll('#studio-restyle .studio-style img')].every((image) => image.src && image.complete)", timeout=WAIT
    )
    sources = person.page.evaluate("[...document.querySelectorAll('#studio-restyle .studio-style img')].map((image) => image.src)")
    assert len(set(sources)) == 2 + len(STYLES)


def test_tiles_show_the_photo_that_was_dropped(studio, visit, photo):
    person = visit()
    person.page.get_by_role("tab", name="Restyle").click()
    sources = "[...document.querySelectorAll('#studio-restyle .studio-style img')].map((image) => image.src)"
    person.page.wait_for_function(f"{sources}.every((source) => source)", timeout=WAIT)
    before = set(person.page.evaluate(sources))
    person.drop(photo)
    settled(person)
    person.page.wait_for_function(f"(before) => {sources}.every((source) => !before.includes(source))", arg=list(before), timeout=WAIT)


WEIGHTS = "JSON.parse(localStorage['studio.restyle.like']).restyle.styles"


def test_styles_are_blended_by_tiles_bars_and_the_pad_and_taken_out_again(studio, visit, photo):
    person = visit()
    person.drop(photo)
    settled(person)
    assert is_chosen(person, "warm")
    choose(person, lambda: tile(person, "cold-light").click(modifiers=["Shift"]))
    blended = person.page.locator("#studio-restyle .studio-style.blended")
    assert [blended.nth(k).get_attribute("data-name") for k in range(blended.count())] == ["book/warm", "book/cold-light"]
    pad = person.page.locator("#studio-restyle .studio-style-pad")
    pad.focus()
    choose(person, lambda: person.page.keyboard.press("ArrowRight"))
    weights = [style["weight"] for style in person.page.evaluate(WEIGHTS)]
    assert weights == pytest.approx([0.4, 0.6])
    box = pad.bounding_box()
    choose(person, lambda: person.page.mouse.click(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2))
    assert person.page.evaluate(WEIGHTS)[1]["weight"] == pytest.approx(0.9, abs=0.02)
    person.page.get_by_role("button", name="Save", exact=True).click()
    person.page.wait_for_function("document.getElementById('studio-status').textContent.includes('Saved')", timeout=WAIT)
    kept = read_image(Gallery(studio.ctx.settings.pictures).items()[0].path).recipe.restyle.styles
    assert [style.name for style in kept] == ["warm", "cold-light"] and kept[1].weight == pytest.approx(0.9, abs=0.02)
    choose(person, person.page.get_by_label("Take out warm").click)
    assert is_chosen(person, "cold-light")
    assert pad.is_hidden()


def test_somebody_without_a_photo_takes_one_that_is_painted_already(studio, visit):
    person = visit()
    person.page.get_by_role("tab", name="Restyle").click()
    person.page.get_by_role("button", name="hill, green").click()
    settled(person)
    assert is_chosen(person, "green")
    assert person.page.locator(".studio-examples").is_hidden()
