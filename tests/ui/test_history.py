"""The generations of GANs side by side."""

import pytest
from real_studio import real_context
from zoo_studio import CONFIGS, zoo_context

from studio.errors import StudioError
from studio.recipe import Latent, ModelRef, Recipe, Truncation
from studio.ui import facts, history
from studio.ui.context import image_url


@pytest.fixture(scope="module")
def ctx(tmp_path_factory):
    context = zoo_context(tmp_path_factory.mktemp("zoo"))
    yield context
    context.engine.close()


def drawn(ctx, name, seed, psi=0.8):
    session = ctx.sessions.open()
    return history.play(ctx, session, history.PlayRequest(session.token, name, seed, 0, psi))["url"]


def test_the_generations_stand_in_the_order_of_their_years(ctx):
    models = history.generations(ctx, ctx.sessions.open(), None)["models"]
    assert {entry["name"] for entry in models} == {f"zoo-{family}" for family in (*CONFIGS, "stylegan2")}
    years = [entry["year"] for entry in models]
    assert years == sorted(years)
    assert all(str(entry["paper"]) and entry["brought"].endswith(".") for entry in models)


def test_without_a_zoo_there_is_no_history(tmp_path):
    bare = real_context(tmp_path)
    assert history.generations(bare, bare.sessions.open(), None)["models"] == []
    bare.engine.close()


def test_every_family_that_makes_pictures_has_its_year_and_paper():
    assert set(history.GENERATIONS) == set(facts.GENERATORS)


@pytest.mark.parametrize("family", [*CONFIGS, "stylegan2"])
def test_a_seed_is_the_picture_that_explore_draws(ctx, family):
    recipe = Recipe(model=ModelRef(f"zoo-{family}"), latent=Latent.from_seed(7), truncation=Truncation(psi=0.8))
    assert drawn(ctx, f"zoo-{family}", 7) == image_url(ctx.engine.render(recipe), quality=92)
    assert drawn(ctx, f"zoo-{family}", 7) != drawn(ctx, f"zoo-{family}", 8)


def test_a_model_that_is_not_installed_is_a_sentence(ctx):
    with pytest.raises(StudioError, match="zoo-nothing"):
        drawn(ctx, "zoo-nothing", 1)
