"""Laws of the film part of a recipe: exact rates and counts, bounds, and values found and changed by their path."""

import json
from fractions import Fraction

import pytest

from studio.errors import RecipeError
from studio.recipe import MAX_FILM_JSON_BYTES, Blend, Latent, Noise, Recipe, Restyle, StyleMix, Truncation, from_json, pack_floats
from studio.recipe_film import Film, Keyframe, Lane, LatentKey, LatentLane, Mapping, SoundRef, parse_rate
from studio.recipe_paths import animatable, bounds_at, get_latent, get_value, set_latent, set_values

RICH = Recipe(
    latent=Latent.from_seed(3, [(1, 0.5)]),
    blends=(Blend(Latent.from_seed(4), 0.5),),
    mixing=(StyleMix(Latent.from_seed(5), (0.0, 1.0)),),
    truncation=Truncation(psi=0.5, center=Latent.from_seed(6)),
    noise=Noise(mode="random", layers=(1.0, 2.0)),
    restyle=Restyle(strength=0.5),
)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        *(
            ("30", Fraction(30)),
            ("30000/1001", Fraction(30000, 1001)),
            ("29.97", Fraction(30000, 1001)),
            ("12.5", Fraction(25, 2)),
            (60, Fraction(60)),
        ),
        *(
            ("23.976", Fraction(24000, 1001)),
            (29.97, Fraction(30000, 1001)),
            (60, Fraction(60)),
            ("1", Fraction(1)),
            ("120", Fraction(120)),
        ),
    ],
)
def test_a_frame_rate_is_exact(text, rate):
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["0", "121", "1/2", "30/0", "abc", "", "-30", "1e2", "30 ", "1/1/1", "30000000/1"])
def test_a_frame_rate_that_cannot_be_used_is_refused_in_one_sentence(text):
    with pytest.raises(RecipeError, match="fps"):
        parse_rate(text)
    with pytest.raises(RecipeError, match="fps"):
        from_json(json.dumps({"film": {"fps": text}}))


@pytest.mark.parametrize(
    ("fps", "seconds", "count"), [("30", 10, 300), ("30000/1001", 10, 300), ("30000/1001", 3600, 107892), ("24", 0.01, 1), ("25", 0.1, 3)]
)
def test_a_film_has_the_nearest_whole_number_of_frames(fps, seconds, count):
    film = Film(fps=fps, seconds=seconds)
    assert film.count == count
    assert film.time_of(count) == count / film.rate
    assert count == 1 or abs(float(film.time_of(count)) - seconds) <= 0.5 / film.rate + 1e-9


def test_a_still_recipe_says_nothing_of_films_and_views():
    assert json.loads(Recipe().to_json()) == {"version": 1}
    assert from_json("{}").film is None


def test_a_film_with_whole_style_vectors_in_every_keyframe_is_read_back_equal():
    keys = tuple(LatentKey(float(second), Latent(ws=pack_floats([0.25] * 18 * 512))) for second in range(20))
    lanes = (Lane("truncation.psi", (Keyframe(0.0, 0.2), Keyframe(1.0, 0.9, "bounce"))),)
    film = Film(latents=(LatentLane(keys=keys),), lanes=lanes, sounds=(SoundRef("a.flac", "ab" * 32),), matrix=(Mapping(),))
    text = Recipe(film=film).to_json()
    assert from_json(text, MAX_FILM_JSON_BYTES) == Recipe(film=film)
    with pytest.raises(RecipeError, match="longer than 256 KB"):
        from_json(text)


@pytest.mark.parametrize(
    ("film", "words"),
    [
        ({"lanes": [{"target": "__class__"}]}, "recipe.film.lanes[0].target"),
        ({"lanes": [{"target": "truncation psi"}]}, "dotted path"),
        ({"lanes": [{"keys": [{"easing": "eval(1)"}]}]}, "smoothstep"),
        ({"lanes": [{"keys": [{"time": -1}]}]}, "0 to 36000"),
        ({"lanes": [{"keys": [{}] * 4001}]}, "the most is 4000"),
        ({"latents": [{"path": "teleport"}]}, "spline"),
        ({"latents": [{"keys": [{"latent": {"x": "0"}}]}]}, "not a number"),
        ({"sounds": [{"sha256": "xyz"}]}, "64 hexadecimal"),
        ({"matrix": [{"amount": 2.5}]}, "-2 to 2"),
        ({"matrix": [{"mode": "run"}]}, "trigger"),
        ({"matrix": [{"envelope": {"power": 0}}]}, "0.25 to 6"),
        ({"matrix": [{}] * 257}, "the most is 256"),
        ({"seconds": 1e9}, "36000"),
        ({"script": "x"}, "unknown entry"),
    ],
)
def test_what_a_film_may_not_hold_is_refused_in_one_sentence(film, words):
    with pytest.raises(RecipeError) as caught:
        from_json(json.dumps({"film": film}))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_every_number_that_can_move_is_found_set_and_read_back():
    paths = animatable(RICH)
    assert {"truncation.psi", "truncation.cutoff", "latent.x", "latent.classes.1", "blends.0.weight", "mixing.0.weights.1"} <= set(paths)
    assert {
        "noise.mode",
        "noise.seed",
        "noise.layers.1",
        "transform.rotate",
        "view.zoom",
        "restyle.strength",
        "restyle.keep_colors",
    } <= set(paths)
    assert not any(path.split(".")[0] in ("model", "film", "size", "version") or path.endswith("ws") for path in paths)
    for path, bounds in paths.items():
        top = len(bounds.choices) - 1 if bounds.choices else 1 if bounds.high is None else bounds.high
        assert get_value(set_values(RICH, {path: top}), path) == top, path


def test_numbers_are_kept_in_their_range_and_rounded_where_they_are_whole():
    recipe = set_values(
        RICH, {"truncation.psi": 99, "truncation.cutoff": 2.6, "noise.seed": -3, "noise.mode": 0.4, "restyle.keep_colors": 0.7}
    )
    assert recipe.truncation.psi == 2.0 and recipe.truncation.cutoff == 3
    assert recipe.noise.seed == 0 and recipe.noise.mode == "const" and recipe.restyle.keep_colors is True
    assert from_json(recipe.to_json()) == recipe


def test_a_list_grows_with_what_changes_nothing_up_to_the_entry_that_is_set():
    recipe = set_values(Recipe(mixing=(StyleMix(),)), {"mixing.0.weights.2": 0.5, "noise.layers.1": 0.0, "latent.classes.4": 0.25})
    assert recipe.mixing[0].weights == (0.0, 0.0, 0.5)
    assert recipe.noise.layers == (1.0, 0.0)
    assert recipe.latent.classes == ((4, 0.25),)


@pytest.mark.parametrize(
    "path",
    [
        *("truncation", "psi", "truncation.sigh", "blends.1.weight", "blends.x.weight", "model.name", "size", "version", "film.seconds"),
        *("latent.ws", "latent.classes.x", "mixing.0.weights.64", "restyle.source_name", "restyle.strength.0", "view.zoom.x", "studio"),
    ],
)
def test_what_cannot_move_is_refused_by_its_path(path):
    recipe = Recipe(mixing=(StyleMix(),), blends=(Blend(),), restyle=Restyle())
    for act in (lambda: get_value(recipe, path), lambda: set_values(recipe, {path: 1.0}), lambda: bounds_at(recipe, path)):
        with pytest.raises(RecipeError, match="can move"):
            act()


def test_latents_are_found_and_replaced_by_path():
    other = Latent.from_seed(99)
    for path in ("latent", "blends.0.latent", "mixing.0.latent", "truncation.center"):
        changed = set_latent(RICH, path, other)
        assert get_latent(changed, path) == other and changed != RICH
    assert get_latent(set_latent(Recipe(), "truncation.center", other), "truncation.center") == other
    for path in ("truncation", "blends.3.latent", "latent.x", "nowhere"):
        with pytest.raises(RecipeError, match="can move"):
            get_latent(RICH, path)
