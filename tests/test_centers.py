"""Laws of the centre of truncation: a class keeps to its own mean, and nothing jumps."""

from dataclasses import replace
from functools import cache, partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_networks import ToyGenerator

from studio import latents
from studio.errors import RecipeError
from studio.model_cache import Loaded
from studio.models.common import build
from studio.recipe import Blend, Latent, Recipe, StyleMix, Truncation

KINDS = 3
TOY = ToyGenerator(c_dim=KINDS)
MEANS = cache(partial(latents.mean_of_class, TOY))


@pytest.fixture(name="G")
def conditional_generator():
    return ToyGenerator(c_dim=KINDS)


def of_class(seed, *classes):
    return Latent.from_seed(seed, [(index, 1.0) for index in classes])


def one_hot(*classes):
    return torch.eye(KINDS)[list(classes)]


def towards_class(latent, psi=0.5, **more):
    return Recipe(latent=latent, truncation=Truncation(psi=psi, towards="class", **more))


def test_the_mean_of_a_class_is_near_the_mean_of_many_other_seeds(G):
    z = torch.randn(40_000, G.z_dim, generator=torch.Generator().manual_seed(1))
    for index in range(KINDS):
        ws = G.mapping(z, one_hot(index).expand(len(z), -1))
        off = (latents.mean_of_class(G, index) - ws.mean(0)).norm() / (ws - ws.mean(0)).flatten(1).norm(dim=1).mean()
        assert off < 0.05


def test_the_mean_of_a_class_is_always_the_same_and_changes_with_the_weights(G):
    before = latents.mean_of_class(G, 1)
    assert before.shape == (G.num_ws, G.w_dim) and torch.equal(before, latents.mean_of_class(G, 1))
    G.mapping.embed.weight.data[:, 1] += 1.0
    assert torch.allclose(latents.mean_of_class(G, 1), before + 1.0, atol=1e-5)
    assert torch.equal(latents.mean_of_class(G, 0), latents.mean_of_class(TOY, 0))


def test_where_the_latent_is_the_style_the_mean_of_a_class_is_no_noise_and_the_class():
    G = build("gan", {"z_dim": 6, "c_dim": KINDS, "img_resolution": 8, "img_channels": 3, "features": [8]}).eval()
    for index in range(KINDS):
        nothing = G.mapping(torch.zeros(1, 6), one_hot(index))[0]
        assert torch.allclose(latents.mean_of_class(G, index), nothing, atol=1e-6)


def test_a_pure_class_has_its_mean_and_even_weights_have_the_average(G):
    found = latents.class_center(G, torch.cat([one_hot(2, 0), latents.class_vector((), KINDS)]))
    assert found.shape == (3, G.num_ws, G.w_dim)
    assert torch.equal(found[0], latents.mean_of_class(G, 2)) and torch.equal(found[1], latents.mean_of_class(G, 0))
    assert torch.equal(found[2], G.w_avg.expand(G.num_ws, -1))
    assert latents.class_center(G, torch.zeros(0, KINDS)).shape == (0, G.num_ws, G.w_dim)


def test_a_model_without_classes_has_only_its_average():
    G = ToyGenerator()
    assert torch.equal(latents.class_center(G, torch.zeros(2, 0)), G.w_avg.expand(2, G.num_ws, -1))


@pytest.mark.parametrize("u", [0.0, 0.001, 0.25, 0.9, 1.0])
def test_from_no_class_to_a_class_and_from_class_to_class_the_centre_goes_straight(G, u):
    none, first, second = latents.class_vector((), KINDS), one_hot(0), one_hot(1)
    mean = [latents.mean_of_class(G, index)[None] for index in range(2)]
    average = G.w_avg.expand(1, G.num_ws, -1)
    assert torch.allclose(latents.class_center(G, none.lerp(first, u)), average.lerp(mean[0], u), atol=1e-5)
    assert torch.allclose(latents.class_center(G, first.lerp(second, u)), mean[0].lerp(mean[1], u), atol=1e-5)


def test_only_classes_that_stand_out_are_looked_up_and_each_once(G):
    seen = []

    def means(index):
        seen.append(index)
        return torch.full((G.num_ws, G.w_dim), float(index))

    latents.class_center(G, torch.tensor([[0.2, 0.2, 0.6], [0.0, 0.5, 0.5], [1 / 3] * 3]), means)
    assert seen == [2, 1]


def test_weights_of_another_width_and_classes_that_are_not_there_are_refused(G):
    with pytest.raises(RecipeError, match="this model has 3 classes"):
        latents.class_center(G, torch.ones(1, 2))
    with pytest.raises(RecipeError, match="Use 0 to 2"):
        latents.mean_of_class(G, 3)
    with pytest.raises(RecipeError, match="unknown"):
        latents.recipe_to_ws(G, towards_class(replace(latents.keep_ws(torch.zeros(G.w_dim)), classes=((5, 1.0),))))


def test_psi_0_is_the_mean_of_the_class_whatever_the_seed(G):
    for seed in (1, 2):
        ws = latents.recipe_to_ws(G, towards_class(of_class(seed, 1), psi=0))
        assert torch.equal(ws[0], latents.mean_of_class(G, 1))


def test_the_cutoff_leaves_the_later_layers_alone(G):
    latent = of_class(4, 2)
    ws, raw = (latents.recipe_to_ws(G, towards_class(latent, psi, cutoff=3)) for psi in (0.0, 1.0))
    assert torch.equal(ws[0, :3], latents.mean_of_class(G, 2)[:3]) and torch.equal(ws[0, 3:], raw[0, 3:])


def test_a_centre_of_ones_own_wins_over_the_class(G):
    recipe = towards_class(of_class(1, 2), psi=0, center=of_class(8, 0))
    assert torch.equal(latents.recipe_to_ws(G, recipe), latents.place_to_ws(G, of_class(8, 0)))


@pytest.mark.parametrize("psi", [-0.5, 0.0, 0.7, 1.0])
def test_without_classes_towards_class_is_the_average_bit_for_bit(G, psi):
    kept = latents.keep_ws(latents.place_to_ws(G, of_class(7, 1)))
    for network, latent in ((G, Latent(x=3.5)), (ToyGenerator(), Latent(x=3)), (G, kept)):
        recipe = Recipe(latent=latent, blends=(Blend(Latent(x=9), 0.3),), mixing=(StyleMix(Latent(x=2), (1, 0.5)),))
        average, own = (replace(recipe, truncation=Truncation(psi=psi, towards=towards)) for towards in ("average", "class"))
        assert torch.equal(latents.recipe_to_ws(network, average), latents.recipe_to_ws(network, own))


def test_towards_the_average_is_what_it_always_was(G):
    latent = of_class(5, 1)
    ws = latents.recipe_to_ws(G, Recipe(latent=latent, truncation=Truncation(psi=0.7)))
    assert torch.equal(ws, latents.truncate(latents.place_to_ws(G, latent), G.w_avg, 0.7))


def test_kept_styles_that_know_their_class_keep_to_its_mean(G):
    latent = of_class(5, 1)
    kept = replace(latents.keep_ws(latents.place_to_ws(G, latent)), classes=latent.classes)
    assert torch.equal(latents.recipe_to_ws(G, towards_class(kept)), latents.recipe_to_ws(G, towards_class(latent)))


SHARE = st.floats(0, 1, allow_subnormal=False)
CLASSES = st.one_of(
    st.just(()),
    st.integers(0, KINDS - 1).map(lambda index: ((index, 1.0),)),
    st.tuples(*[st.floats(0.01, 1)] * KINDS).map(lambda weights: tuple(enumerate(weights))),
)
LATENTS = st.builds(lambda seed, classes: Latent.from_seed(seed, classes), st.integers(0, 50), CLASSES)
RECIPES = st.builds(
    Recipe,
    latent=LATENTS,
    blends=st.lists(st.builds(Blend, LATENTS, SHARE), max_size=2).map(tuple),
    mixing=st.lists(st.builds(StyleMix, LATENTS, st.lists(SHARE, max_size=TOY.num_ws).map(tuple)), max_size=2).map(tuple),
    truncation=st.builds(Truncation, psi=st.floats(-1, 2), cutoff=st.none() | st.integers(0, TOY.num_ws), towards=st.just("class")),
)


@settings(max_examples=40, deadline=None)
@given(RECIPES)
def test_truncating_the_whole_equals_truncating_every_source_around_its_own_centre(recipe):
    psi, cutoff = recipe.truncation.psi, recipe.truncation.cutoff

    def pulled(latent):
        center = latents.class_center(TOY, latents.class_vector(latent.classes, KINDS), MEANS)
        return latents.truncate(latents.place_to_ws(TOY, latent), center, psi, cutoff)

    sources = [pulled(recipe.latent), *(pulled(part.latent) for part in recipe.blends)]
    ws = latents.blend(sources, [1.0, *(part.weight for part in recipe.blends)])
    for source in recipe.mixing:
        ws = latents.mix(ws, pulled(source.latent), source.weights)
    assert torch.allclose(latents.recipe_to_ws(TOY, recipe, means=MEANS), ws, atol=1e-4)


def test_the_classes_of_a_recipe_are_blended_and_mixed_like_its_styles(G):
    recipe = Recipe(
        latent=of_class(1, 0),
        blends=(Blend(of_class(2, 1), 1.0),),
        mixing=(StyleMix(of_class(3, 2), (1.0,) * (G.num_ws // 2)),),
    )
    assert dict(latents.recipe_classes(G, recipe)) == pytest.approx({0: 0.25, 1: 0.25, 2: 0.5})
    assert latents.recipe_classes(G, Recipe(latent=of_class(1, 2))) == ((2, 1.0),)
    assert latents.recipe_classes(G, Recipe(latent=Latent(x=3))) == ()
    assert latents.recipe_classes(ToyGenerator(), recipe) == ()


def test_a_loaded_model_measures_a_class_once_until_it_is_forgotten(G):
    loaded = Loaded("toy", G, None)
    latents.recipe_to_ws(G, towards_class(of_class(1, 0), psi=1.0), loaded.place, loaded.mean)
    assert not loaded.means, "nothing is pulled, so nothing is measured"
    first = latents.recipe_to_ws(G, towards_class(of_class(1, 0)), loaded.place, loaded.mean)
    calls = G.mapping.calls
    for psi in (0.1, 0.2, 0.3):
        latents.recipe_to_ws(G, towards_class(of_class(1, 0), psi), loaded.place, loaded.mean)
    assert G.mapping.calls == calls and set(loaded.means) == {0}
    assert torch.equal(first, latents.recipe_to_ws(G, towards_class(of_class(1, 0))))
    loaded.forget()
    assert not loaded.means


def test_a_fresh_recipe_keeps_to_the_class_where_there_are_classes():
    assert Truncation.fresh(14) == Truncation(towards="class") and Truncation.fresh(0) == Truncation()
