"""What the page's functions answer, without a browser."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from fake_studio import FakeLibrary, fake_context, picture_of

from studio.checkpoints import extras
from studio.errors import StudioError
from studio.media import read_image, write_image
from studio.recipe import Latent, ModelRef, Recipe, Truncation
from studio.ui import explore, facts, mix, shell
from studio.ui.context import bounds_for_page, endpoint, recipe_to_page
from studio.ui.payloads import NameRequest, Payload, RecipeRequest, UploadRequest

RECIPE = Recipe(model=ModelRef("pomona"), latent=Latent(x=3.0))


@pytest.fixture
def ctx(tmp_path):
    return fake_context(tmp_path)


@pytest.fixture
def session(ctx):
    return ctx.sessions.open()


def hello(ctx, **data):
    return shell.hello_endpoint(ctx)(data)


def test_a_page_that_says_hello_learns_all_it_needs(ctx):
    answer = hello(ctx)
    assert answer["model"]["name"] == answer["recipe"]["model"]["name"] == "pomona"
    assert [entry["kind"] for entry in answer["models"]] == ["generator"] * 3 + ["translator"]
    assert answer["bounds"]["truncation.psi"]["low"] == -1
    assert hello(ctx, token=answer["token"])["token"] == answer["token"]


def test_the_browsers_recipe_is_taken_up_and_a_broken_one_forgotten(ctx):
    assert hello(ctx, recipe=recipe_to_page(RECIPE))["recipe"]["latent"]["x"] == 3.0
    assert hello(ctx, recipe={"truncation": {"psi": 99}})["recipe"]["truncation"]["psi"] == 0.7
    assert "error" not in hello(ctx, recipe="nonsense")
    assert "error" in shell.hello_endpoint(ctx)("nonsense")


def test_without_any_model_the_page_still_opens(tmp_path):
    library = FakeLibrary()
    library.models = library.models[3:]
    answer = hello(fake_context(tmp_path, library=library))
    assert answer["model"] is None
    assert answer["recipe"]["model"]["name"] == ""


def test_a_recipe_of_a_model_that_was_removed_starts_anew_with_one_that_is_there(ctx):
    gone = replace(RECIPE, model=ModelRef("gone"))
    assert hello(ctx, recipe=recipe_to_page(gone))["recipe"]["model"]["name"] == "pomona"


def test_every_value_of_a_recipe_has_help_and_a_default_inside_its_range():
    for path, bounds in bounds_for_page().items():
        assert bounds["help"], path
        if bounds["low"] is not None and isinstance(bounds["default"], (int, float)):
            assert bounds["low"] <= bounds["default"] <= bounds["high"], path


def test_undo_answers_the_step_before_and_says_so_when_there_is_none(ctx, session):
    for x in (1.0, 2.0):
        explore.record(ctx, session, RecipeRequest(session.token, replace(RECIPE, latent=Latent(x=x))))
    request = Payload(session.token)
    assert explore.undo(ctx, session, request)["recipe"]["latent"]["x"] == 1.0
    assert explore.undo(ctx, session, request)["say"] == "There is nothing to undo."
    assert explore.redo(ctx, session, request)["recipe"]["latent"]["x"] == 2.0
    assert explore.redo(ctx, session, request)["say"] == "There is nothing to redo."


def test_save_writes_the_exact_picture_with_its_recipe(ctx, session):
    answer = explore.save(ctx, session, explore.SaveRequest(session.token, RECIPE, crisp=False))
    file = ctx.settings.pictures / "pomona-0001.png"
    assert answer["say"] == "Saved pomona-0001.png to Pictures/studio."
    found = read_image(file)
    assert found.recipe == RECIPE
    assert (found.image == picture_of(RECIPE)).all()


def test_a_picture_is_enlarged_for_the_screen_and_when_it_is_saved_larger_than_the_models_own(ctx, session):
    own = {2: ModelRef("enlarge-2x", "2"), 4: ModelRef("enlarge-4x", "4")}
    plain, load = ctx.engine.render, ctx.engine.load
    ctx.engine.load = lambda name: SimpleNamespace(
        ref=next((ref for ref in own.values() if ref.name == name), None), network=load("pomona").network
    )
    rendered = []
    ctx.engine.render = lambda recipe, **_: rendered.append(recipe) or plain(recipe)
    assert explore.crisp(ctx, session, RecipeRequest(session.token, RECIPE, 100)) == {"url": None}, "it is large enough"
    assert explore.crisp(ctx, session, RecipeRequest(session.token, RECIPE, 512))["url"].startswith("data:image/")
    assert (rendered[-1].enlarge, rendered[-1].size) == ((own[4],), None)
    for size, crisp, chain in ((None, True, ()), (128, True, ()), (200, True, (own[2],)), (1024, True, (own[4], own[2])), (512, False, ())):
        explore.save(ctx, session, explore.SaveRequest(session.token, replace(RECIPE, size=size), crisp))
        assert (rendered[-1].enlarge, rendered[-1].size) == (chain, size)


def test_a_public_save_is_sent_to_its_visitor(tmp_path):
    ctx = fake_context(tmp_path, public=True)
    session = ctx.sessions.open()
    answer = explore.save(ctx, session, explore.SaveRequest(session.token, RECIPE, crisp=False))
    assert answer["download"].startswith("data:image/png;base64,")
    assert str(tmp_path) not in str(answer["say"])


def test_a_dropped_picture_of_ours_gives_its_recipe_and_a_photo_none(ctx, session):
    ctx.settings.uploads.mkdir(parents=True)
    ours, photo = ctx.settings.uploads / "ours.png", ctx.settings.uploads / "photo.png"
    write_image(ours, picture_of(RECIPE), recipe=RECIPE)
    write_image(photo, picture_of(RECIPE))
    answer = shell.open_picture(ctx, session, UploadRequest(session.token, str(ours), "../../ours.png"))
    assert answer["recipe"] == recipe_to_page(RECIPE)
    assert answer["say"] == "Everything is as it was for ours.png."
    assert shell.open_picture(ctx, session, UploadRequest(session.token, str(photo), "photo.png"))["recipe"] is None


def test_a_refusal_reaches_the_page_as_one_sentence_and_a_fault_without_details(ctx, session, caplog):
    def refuse(ctx, session, request):
        raise StudioError("Not like this.")

    def fail(ctx, session, request):
        raise RuntimeError("secret path")

    ask = {"token": session.token}
    assert endpoint(ctx, Payload, refuse)(ask) == {"error": "Not like this."}
    assert "secret" not in endpoint(ctx, Payload, fail)(ask)["error"]
    assert endpoint(ctx, Payload, fail)({"token": "unknown"})["error"].startswith("This page was away")
    assert endpoint(ctx, Payload, fail)(None)["error"]
    assert session.calls == 0


def test_a_star_saves_and_taking_it_away_keeps_the_file(ctx, session):
    from studio.ui.payloads import ItemRequest

    item = session.add_picture(RECIPE, b"jpeg")
    kept = shell.keep(ctx, session, ItemRequest(session.token, item.id, True))["kept"]
    gallery = ctx.gallery_of(session)
    assert gallery.item(kept).starred
    assert shell.keep(ctx, session, ItemRequest(session.token, item.id, False))["kept"] == ""
    assert not gallery.item(kept).starred
    assert (ctx.settings.pictures / kept).exists()


def test_a_translator_is_not_offered_where_seeds_are_travelled(ctx):
    ctx.library.models[3].network = type("Translator", (), {})()
    with pytest.raises(StudioError, match="Choose it in Restyle"):
        facts.model_facts(ctx, "photo-to-monet")


def test_cells_of_a_mix_are_the_recipes_that_are_adopted(ctx, session):
    rows, cols = [Latent(x=1.0), Latent(x=2.0)], [Latent(x=5.0)]
    page = [[recipe_to_page(Recipe(latent=latent))["latent"] for latent in side] for side in (rows, cols)]
    ask = {"token": session.token, "recipe": recipe_to_page(RECIPE), "rows": page[0], "cols": page[1], "weights": [1, 0], "size": 64}
    serve = endpoint(ctx, mix.CellsRequest, mix.mix_cells)
    assert len(serve({**ask, "cells": [[0, 1], [1, 0], [2, 1]]})["cells"]) == 3
    for cells in ([[0, 0]], [[3, 0]], [[0, 2]], [[1]], [[0.5, 1]], [[0, 1]] * 9, "x"):
        assert "error" in serve({**ask, "cells": cells}), cells


def test_a_picture_that_is_a_mix_becomes_a_source_with_its_own_style(ctx, session):
    from studio.recipe import StyleMix

    plain = mix.source(ctx, session, RecipeRequest(session.token, RECIPE))["latent"]
    assert (plain["x"], plain["ws"]) == (3.0, "")
    mixed = replace(RECIPE, mixing=(StyleMix(Latent(x=4.0), (1.0,)),))
    assert mix.source(ctx, session, RecipeRequest(session.token, mixed))["latent"]["ws"]


def test_a_mix_of_kinds_that_becomes_a_source_keeps_its_kinds(ctx, session):
    from studio.recipe import Blend

    mixed = replace(RECIPE, latent=Latent.from_seed(3, [(0, 1.0)]), blends=(Blend(Latent.from_seed(4, [(5, 1.0)]), 3.0),))
    latent = mix.source(ctx, session, RecipeRequest(session.token, mixed))["latent"]
    assert latent["ws"] and [list(pair) for pair in latent["classes"]] == [[0, 0.25], [5, 0.75]]


def test_a_new_page_keeps_each_kind_to_its_own_average_where_there_are_kinds(ctx, tmp_path):
    assert shell.greet(ctx, ctx.sessions.open(""), None)["recipe"]["truncation"]["towards"] == "class"
    assert [shell.model_facts(ctx, None, NameRequest("", name))["towards"] for name in ("pomona", "waves")] == ["class", "average"]
    remembered = replace(RECIPE, truncation=Truncation(psi=0.3))
    assert shell.greet(ctx, ctx.sessions.open(""), remembered)["recipe"]["truncation"]["towards"] == "average"
    library = FakeLibrary([model for model in ctx.library.list() if model.name == "waves"])
    plain = fake_context(tmp_path / "plain", library=library)
    assert shell.greet(plain, plain.sessions.open(""), None)["recipe"]["truncation"]["towards"] == "average"


def test_the_page_says_how_to_get_more_styles_where_they_are_not_installed(ctx, monkeypatch):
    def hint():
        return shell.greet(ctx, ctx.sessions.open(""), None)["settings"]["more_styles"]

    monkeypatch.setattr(extras, "is_installed", lambda package: False)
    assert "pip install" in hint()
    monkeypatch.setattr(extras, "is_installed", lambda package: True)
    assert hint() == ""
