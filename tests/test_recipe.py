"""Laws of the recipe: what is written is read back equal, and nothing unacceptable gets in."""

import dataclasses
import json
import math
import re
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio import recipe as module
from studio.errors import RecipeError
from studio.recipe import (
    MAX_JSON_BYTES,
    Bounds,
    Latent,
    ModelRef,
    Noise,
    Recipe,
    Restyle,
    Truncation,
    bounds_of,
    from_json,
    pack_floats,
    unpack_floats,
)

PATTERNED = ("", "0aF9" * 16, "30", "29.97", "24000/1001", "truncation.psi", "latent.classes.3", "onset_low")
"""Something for every text of a recipe that has a form."""
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40)


def of(kind, bounds=Bounds()):  # noqa: B008 - frozen
    """Any acceptable value of a type hint within its bounds."""
    if dataclasses.is_dataclass(kind):
        return part(kind)
    if type(None) in typing.get_args(kind):
        return st.none() | of(typing.get_args(kind)[0], bounds)
    if typing.get_origin(kind) is tuple:
        args = typing.get_args(kind)
        if args[1] is Ellipsis:
            return st.lists(of(args[0], Bounds(low=bounds.low, high=bounds.high)), max_size=min(4, bounds.max_length or 4)).map(tuple)
        return st.tuples(*map(of, args))
    if kind is str:
        if bounds.pattern:
            return st.sampled_from([text for text in PATTERNED if re.fullmatch(bounds.pattern, text)])
        return st.sampled_from(bounds.choices) if bounds.choices else TEXT
    if kind is bool:
        return st.booleans()
    low, high = (-1e6 if bounds.low is None else bounds.low), (1e6 if bounds.high is None else bounds.high)
    return st.integers(math.ceil(low), math.floor(high)) if kind is int else st.floats(low, high)


def part(kind):
    """Any acceptable part of a recipe; only the version is fixed."""
    hints = typing.get_type_hints(kind)
    fields = {
        field.name: of(hints[field.name], bounds_of(kind, field.name)) for field in dataclasses.fields(kind) if field.name != "version"
    }
    return st.builds(kind, **fields)


def numbers_with_bounds():
    """Every bounded number of every part, with a path to it in JSON."""
    for kind in (Truncation, Noise, module.Transform, Restyle, Recipe, Latent):
        for field in dataclasses.fields(kind):
            bounds = bounds_of(kind, field.name)
            if bounds.low is not None and field.name != "version":
                yield pytest.param(kind, field.name, bounds, id=f"{kind.__name__}.{field.name}")


def inside(kind, entry):
    """JSON of a recipe that holds one entry of one of its parts."""
    places = {
        Truncation: "truncation",
        Noise: "noise",
        module.Transform: "transform",
        Restyle: "restyle",
        Latent: "latent",
        ModelRef: "model",
    }
    return json.dumps(entry if kind is Recipe else {places[kind]: entry})


def assert_refused(text, *words):
    with pytest.raises(RecipeError) as caught:
        from_json(text)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message and len(message) < 250 and message.endswith(".")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(part(Recipe))
def test_any_recipe_is_read_back_equal_from_text_and_from_bytes(recipe):
    text = recipe.to_json()
    assert from_json(text) == Recipe.from_json(text.encode()) == recipe
    assert from_json(text).to_json() == text and hash(from_json(text)) == hash(recipe)


def test_what_equals_the_default_is_left_out_and_the_version_stays():
    assert json.loads(Recipe().to_json()) == {"version": 1}
    assert json.loads(Recipe(truncation=Truncation(psi=0.5)).to_json()) == {"truncation": {"psi": 0.5}, "version": 1}
    assert from_json("{}") == Recipe()


def test_the_default_of_every_field_is_within_its_bounds():
    for kind in (module.ModelRef, Latent, module.Blend, module.StyleMix, Truncation, Noise, module.Transform, Restyle, Recipe):
        default = kind()
        for field in dataclasses.fields(kind):
            bounds, value = bounds_of(kind, field.name), getattr(default, field.name)
            assert not bounds.choices or value in bounds.choices
            assert value is None or bounds.low is None or isinstance(value, tuple) or bounds.low <= value <= bounds.high
            assert dataclasses.is_dataclass(value) or value is None or bounds.help, f"{kind.__name__}.{field.name} has no help"


@pytest.mark.parametrize(("kind", "name", "bounds"), list(numbers_with_bounds()))
def test_a_number_at_its_bound_is_taken_and_one_beyond_is_refused_with_the_range(kind, name, bounds):
    is_list = isinstance(getattr(kind(), name), tuple)
    for bound, beyond in ((bounds.low, bounds.low - 1), (bounds.high, bounds.high + 1)):
        taken, refused = ([bound], [beyond]) if is_list else (bound, beyond)
        from_json(inside(kind, {name: taken}))
        assert_refused(inside(kind, {name: refused}), f"{name}", "out of range", f"{bounds.low:.15g} to {bounds.high:.15g}")


def test_parts_inside_lists_keep_their_bounds_too():
    assert_refused('{"blends": [{}, {"weight": 17}]}', "recipe.blends[1].weight=17", "0 to 16")
    assert_refused('{"mixing": [{"weights": [0.5, 1.5]}]}', "recipe.mixing[0].weights[1]=1.5", "0 to 1")
    assert_refused('{"mixing": [{"latent": {"y": 1e9}}]}', "recipe.mixing[0].latent.y")
    assert_refused('{"truncation": {"center": {"x": 1e10}}}', "recipe.truncation.center.x")


def test_a_word_outside_its_choices_is_refused_with_the_choices():
    assert_refused(inside(Noise, {"mode": "loud"}), "recipe.noise.mode='loud'", "const, random, none")
    assert_refused('{"precision": "fp8"}', "exact, auto")
    assert_refused('{"precision": "' + "x" * 100_000 + '"}', "recipe.precision='xxx", "exact, auto")


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ('{"model": {"name": "%s"}}' % ("x" * 201), "200"),
        ('{"model": {"sha256": "%s"}}' % ("0" * 65), "64"),
        ('{"latent": {"ws": "%s"}}' % ("A" * (128 * 1024 + 1)), "131072"),
        (json.dumps({"latent": {"classes": [[0, 1.0]] * 1001}}), "1000"),
        (json.dumps({"blends": [{}] * 17}), "16"),
        (json.dumps({"mixing": [{}] * 17}), "16"),
        (json.dumps({"mixing": [{"weights": [0.5] * 65}]}), "64"),
        (json.dumps({"noise": {"layers": [0.5] * 65}}), "64"),
    ],
)
def test_what_is_too_long_is_refused_with_the_most_there_may_be(text, length):
    assert_refused(text, "the most is", length)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"truncation": {"psi": "0.5"}}', "recipe.truncation.psi='0.5' is not a number"),
        ('{"truncation": {"psi": true}}', "not a number"),
        ('{"truncation": {"psi": null}}', "not a number"),
        ('{"truncation": {"psi": [1]}}', "recipe.truncation.psi=[...] is not a number"),
        ('{"truncation": {"cutoff": 2.5}}', "2.5 is not a whole number"),
        ('{"truncation": {"psi": 1e999}}', "not a number"),
        ('{"truncation": {"psi": 1' + "0" * 4000 + "}}", "not a number"),
        ('{"truncation": []}', "not an object"),
        ('{"truncation": "exec"}', "not an object"),
        ('{"blends": {}}', "not a list"),
        ('{"blends": [3]}', "recipe.blends[0]=3 is not an object"),
        ('{"latent": {"classes": [[1]]}}', "a list of 2"),
        ('{"latent": {"classes": [["a", 1]]}}', "not a number"),
        ('{"restyle": {"keep_colors": 1}}', "not true or false"),
        ('{"model": {"name": 7}}', "not plain text"),
        ('{"model": {"name": "a\\u0000b"}}', "not plain text"),
        ('{"model": {"name": "a\\nb"}}', "not plain text"),
        ('{"model": {"name": "\\ud800"}}', "not plain text"),
        ('{"path": "/etc/passwd"}', "unknown entry 'path'"),
        ('{"model": {"__class__": "os.system"}}', "unknown entry '__class__'"),
        ('{"' + "k" * 100_000 + '": 1}', "unknown entry"),
        ('{"version": 2}', "version 2"),
        ('{"version": 0}', "out of range"),
        ('{"version": "1"}', "not a number"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_and_named(text, words):
    assert_refused(text, words)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "{", "nonsense", '{"a": }', "'", "{'version': 1}", "\ufeff{}"),
        *('{"truncation": {"psi": NaN}}', '{"truncation": {"psi": -Infinity}}'),
        *('{"size": 512, "size": 64}', '{"noise": {"seed": 1, "seed": 2}}'),
        *(b"\xff\xfe\x00", b"\x80\x04\x95", b'{"studio": "\xff"}'),
        *("[" * 100_000, '{"a":' * 50_000, '{"size": ' + "9" * 5000 + "}"),
    ],
)
def test_what_is_not_readable_json_is_refused(text):
    assert_refused(text, "not readable JSON")


@pytest.mark.parametrize("text", ["[]", "null", "3", '"text"', "true"])
def test_json_that_is_no_object_is_refused(text):
    assert_refused(text, "not a JSON object")


def test_nesting_of_any_depth_is_refused_in_one_sentence():
    for depth in (1, 10, 300, 900, 950, 990, 1000, 3000, 100_000):
        assert_refused('{"model": ' + "[" * depth + "]" * depth + "}")
        assert_refused('{"model": ' * depth + "1" + "}" * depth)


def test_a_recipe_longer_than_the_limit_is_refused_before_it_is_parsed():
    for text in (" " * (MAX_JSON_BYTES + 1), b" " * (MAX_JSON_BYTES + 1), "é" * (MAX_JSON_BYTES // 2 + 1)):
        assert_refused(text, "longer than 256 KB")
    assert from_json("{}" + " " * (MAX_JSON_BYTES - 2)) == Recipe()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*Recipe.__dataclass_fields__, "x", "psi", "ws", "weights"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from([*Recipe.__dataclass_fields__]), json_values, max_size=4))
def test_any_json_gives_a_sound_recipe_or_one_sentence(data):
    try:
        recipe = from_json(json.dumps(data))
    except RecipeError as error:
        assert "\n" not in str(error) and len(str(error)) < 250
    else:
        assert from_json(recipe.to_json()) == recipe


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=40))
def test_packed_floats_come_back_bit_for_bit(values):
    assert unpack_floats(pack_floats(values)) == tuple(values)


@pytest.mark.parametrize("text", ["AAA", "AAAA", "not base64!", "é", "A" * 5, pack_floats([math.nan]), pack_floats([1.0, math.inf])])
def test_damaged_style_vectors_are_refused(text):
    with pytest.raises(RecipeError, match=r"^ws "):
        unpack_floats(text)


def test_a_seed_is_a_place_on_the_first_row_of_the_plane():
    assert Latent.from_seed(42, [(3, 1.0)]) == Latent(x=42.0, y=0.0, classes=((3, 1.0),))


def test_a_recipe_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().size = 64  # type: ignore[misc]
    with pytest.raises(AssertionError, match="no field"):
        bounds_of(Truncation, "sigh")
