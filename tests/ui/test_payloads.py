"""What a page sends is checked before anything acts on it."""

import math
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.errors import RecipeError, StudioError
from studio.recipe import Latent, ModelRef, Recipe, StyleMix, Truncation
from studio.ui.context import recipe_to_page
from studio.ui.payloads import Fields, ItemRequest, NameRequest, Payload, RecipeRequest, UploadRequest, recipe_from, uploaded_file

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["token", "recipe", "size", "id", "path"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
@pytest.mark.parametrize("kind", [Payload, RecipeRequest, ItemRequest, NameRequest, UploadRequest])
def test_any_json_is_read_or_refused_with_a_sentence(kind, data):
    try:
        kind.read(Fields(data))
    except StudioError as error:
        assert str(error)[0].isupper() or str(error).split()[0].isidentifier() or "." in str(error)


def test_a_recipe_goes_to_the_page_and_back_unchanged():
    recipe = Recipe(
        model=ModelRef("pomona"),
        latent=Latent(x=1.25, y=-3, classes=((2, 0.5), (3, 0.5))),
        mixing=(StyleMix(Latent(x=7), (0.0, 1.0)),),
        truncation=Truncation(psi=-0.3, cutoff=4, center=Latent(x=9)),
        size=512,
    )
    assert recipe_from(recipe_to_page(recipe)) == recipe


@pytest.mark.parametrize("psi", [math.nan, math.inf, -math.inf, 2.001, "0.7", None, True, [0.7]])
def test_a_psi_that_is_no_number_in_range_is_refused(psi):
    page = recipe_to_page(Recipe())
    page["truncation"]["psi"] = psi
    with pytest.raises(RecipeError):
        recipe_from(page)


def test_an_unknown_entry_of_a_recipe_is_refused():
    with pytest.raises(RecipeError, match="surprise"):
        recipe_from({**asdict(Recipe()), "surprise": 1})


@pytest.mark.parametrize("value", [math.nan, math.inf, True, "3", None, 11])
def test_a_number_must_be_finite_and_in_range(value):
    with pytest.raises(StudioError, match="not a number from 0 to 10"):
        Fields({"n": value}).number("n", low=0, high=10)


@pytest.mark.parametrize("token", ["../x", "a b", "x" * 65, 7, None, "ä"])
def test_a_token_is_letters_digits_and_dashes_only(token):
    with pytest.raises(StudioError):
        Payload.read(Fields({"token": token}))


def test_a_path_outside_the_upload_folder_is_refused(tmp_path):
    folder = tmp_path / "uploads"
    (folder / "hash").mkdir(parents=True)
    inside, outside = folder / "hash" / "a.png", tmp_path / "b.png"
    inside.write_bytes(b"1")
    outside.write_bytes(b"2")
    (folder / "link.png").symlink_to(outside)
    assert uploaded_file(folder, str(inside)) == inside.resolve()
    for path in (outside, folder / "hash" / ".." / ".." / "b.png", folder / "link.png", folder / "hash", folder):
        with pytest.raises(StudioError):
            uploaded_file(folder, str(path))
    with pytest.raises(StudioError, match="did not arrive"):
        uploaded_file(folder, str(folder / "gone.png"))
    with pytest.raises(StudioError):
        uploaded_file(folder, "\0")


def test_lists_and_texts_have_a_longest_length():
    with pytest.raises(StudioError, match="up to 3 entries"):
        Fields({"list": [1] * 4}).list("list", longest=3)
    with pytest.raises(StudioError, match="up to 3 letters"):
        Fields({"text": "long"}).text("text", longest=3)


def test_a_picture_is_a_data_url_of_an_image():
    assert Fields({"p": "data:image/png;base64,AQID"}).picture("p", most_bytes=10) == b"\1\2\3"
    for value in ("data:text/html;base64,AQID", "AQID", "data:image/png;base64,%%%"):
        with pytest.raises(StudioError):
            Fields({"p": value}).picture("p", most_bytes=100)
