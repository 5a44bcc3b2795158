"""Models in a real browser, with the real library and engine."""

import os
import pickle

import pytest
from real_studio import real_context

WAIT = 90_000


@pytest.fixture(scope="module")
def studio(tmp_path_factory, serve):
    """A studio in which nothing is installed."""
    return serve(real_context(tmp_path_factory.mktemp("real"), models=False))


class Attack:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def cards(person):
    return person.page.locator(".studio-card:not(.gone)")


def open_models(person):
    person.page.evaluate("studio.tabs.show('models')")
    person.page.wait_for_selector(".studio-droparea")
    return person


def test_a_malicious_checkpoint_shows_its_sentence_and_nothing_else_happens(studio, visit, tmp_path):
    person = open_models(visit(settle=False))
    evil = tmp_path / "evil.pkl"
    evil.write_bytes(pickle.dumps(Attack(tmp_path / "pwned")))
    before = cards(person).count()
    person.drop(evil)
    person.page.wait_for_selector(".studio-import[data-refused='1']", timeout=WAIT)
    sentence = person.page.locator(".studio-import .what").inner_text()
    assert sentence.startswith("evil.pkl asks to run")
    assert person.say() == sentence
    assert not (tmp_path / "pwned").exists()
    assert cards(person).count() == before
    models = studio.ctx.settings.models
    assert not models.exists() or not [path for path in models.rglob("*") if "evil" in path.name or path.name.startswith(".import")]
    assert not list(studio.ctx.settings.uploads.rglob("*.pkl"))


REMEMBER = """() => {
  window.said = [];
  const status = document.getElementById("studio-status");
  new MutationObserver(() => said.push(status.textContent)).observe(status, { childList: true, characterData: true, subtree: true });
}"""
"""Keep every status, however soon another takes its place."""


def test_an_imported_generator_opens_in_explore(visit, shared_fixtures):
    person = visit(settle=False)
    person.page.evaluate(REMEMBER)
    person.drop(shared_fixtures / "sg2ada_classes_32.pkl")
    card = person.page.locator(".studio-card[data-name=sg2ada_classes_32]")
    card.wait_for(timeout=WAIT)
    person.page.wait_for_function("said.some((words) => words.includes('4 kinds'))", timeout=WAIT)
    card.get_by_role("button", name="Open").click()
    person.settled()
    assert person.recipe()["model"]["name"] == "sg2ada_classes_32"
    assert person.page.get_by_role("tab", name="Explore").get_attribute("aria-selected") == "true"


def test_an_imported_translator_opens_in_restyle_as_the_chosen_style(visit, shared_fixtures):
    person = open_models(visit(settle=False))
    person.drop(shared_fixtures / "cyclegan_resnet9.pth")
    card = person.page.locator(".studio-card[data-name=cyclegan_resnet9]")
    card.wait_for(timeout=WAIT)
    card.get_by_role("button", name="Open").click()
    person.page.wait_for_selector(".studio-style[aria-checked=true][data-name=cyclegan_resnet9]", timeout=WAIT)


def test_a_model_is_renamed_in_place_and_removed_with_a_way_back(studio, visit):
    from toys import save_toy

    save_toy(studio.ctx.settings.models, "waves")
    person = open_models(visit(settle=False))
    card = person.page.locator(".studio-card[data-name=waves]")
    card.get_by_role("button", name="Rename").click()
    person.page.get_by_label("New name of waves").fill("deep sea")
    person.page.keyboard.press("Enter")
    renamed = person.page.locator(".studio-card[data-name='deep sea']")
    renamed.wait_for()
    renamed.get_by_role("button", name="Remove").click()
    person.page.get_by_role("button", name="Undo", exact=True).click()
    renamed.wait_for()
    assert "deep sea is back" in person.say()


def test_a_long_name_sticks_out_nowhere(studio, visit):
    from toys import save_toy, toy_translator

    save_toy(studio.ctx.settings.models, "a-translator-with-a-name-" * 4, toy_translator())
    person = open_models(visit(settle=False, viewport={"width": 390, "height": 844}))
    cards(person).first.wait_for()
    assert person.page.evaluate("document.documentElement.scrollWidth") <= 390
    sticking = person.page.evaluate(
        "[...document.querySelectorAll('.studio-card *')].filter((it) => it.getBoundingClientRect().right > 390).map((it) => it.className)"
    )
    assert sticking == []
