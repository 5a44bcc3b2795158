"""What the gallery tab answers, without a browser."""

import base64
from dataclasses import replace

import numpy as np
import pytest
from fake_studio import fake_context

from studio.errors import StudioError
from studio.media import inspect_image
from studio.recipe import Latent, ModelRef, Recipe, Restyle, Transform, Truncation
from studio.ui import gallery
from studio.ui.payloads import Fields, ItemRequest


@pytest.fixture
def room(tmp_path):
    ctx = fake_context(tmp_path)
    session = ctx.sessions.open()
    pictures = ctx.gallery_of(session)
    rng = np.random.default_rng(0)
    for seed in (3, 7, 11):
        image = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        pictures.add(image, Recipe(model=ModelRef("pomona"), latent=Latent.from_seed(seed)))
    return ctx, session, pictures


def ask(kind, session, **entries):
    return kind.read(Fields({"token": session.token, **entries}))


def test_a_search_lists_only_what_it_finds_and_counts_all(room):
    ctx, session, _ = room
    answer = gallery.browse(ctx, session, ask(gallery.BrowseRequest, session, query="seed:7"))
    assert [item["label"] for item in answer["items"]] == [item.label for item in room[2].items("seed:7")]
    assert (answer["total"], answer["all"], answer["models"]) == (1, 3, ["pomona"])


def test_the_recipe_of_a_picture_is_read_out_in_words(room):
    ctx, session, pictures = room
    item = pictures.items("seed:11")[0]
    answer = gallery.look(ctx, session, ask(ItemRequest, session, id=item.id))
    assert ["Place", "seed 11"] in answer["lines"]
    assert answer["recipe"]["latent"]["x"] == 11.0


def test_what_is_removed_is_listed_again_after_restoring(room):
    ctx, session, pictures = room
    names = [item.id for item in pictures.items()][:2]
    gone = gallery.remove(ctx, session, ask(gallery.ItemsRequest, session, ids=names))
    assert pictures.count() == 1
    back = gallery.restore(ctx, session, ask(gallery.ItemsRequest, session, ids=gone["trashed"]))
    assert sorted(back["ids"]) == sorted(names)


def test_a_name_that_leads_out_of_the_gallery_is_refused(room):
    ctx, session, _ = room
    for name in ("../secret.png", "/etc/passwd", "pomona-9999.png"):
        with pytest.raises(StudioError):
            gallery.download(ctx, session, ask(ItemRequest, session, id=name))


def test_a_public_page_is_not_told_where_the_folder_is(tmp_path):
    ctx = fake_context(tmp_path, public=True)
    session = ctx.sessions.open()
    assert gallery.browse(ctx, session, ask(gallery.BrowseRequest, session))["folder"] == ""


def test_a_picture_of_a_model_that_is_gone_cannot_be_returned_to_but_can_be_looked_at(room):
    ctx, session, pictures = room
    item = pictures.add(np.zeros((8, 8, 3), np.uint8), Recipe(model=ModelRef("gone")))
    assert gallery.look(ctx, session, ask(ItemRequest, session, id=item.id))["recipe"]["model"]["name"] == "gone"
    with pytest.raises(StudioError, match="not installed"):
        gallery.return_to(ctx, session, ask(ItemRequest, session, id=item.id))


def test_kinds_are_called_by_their_names(room):
    ctx, session, pictures = room
    item = pictures.add(np.zeros((8, 8, 3), np.uint8), Recipe(model=ModelRef("pomona"), latent=Latent.from_seed(1, [(8, 1.0)])))
    assert ["Kinds", "pear 100%"] in gallery.look(ctx, session, ask(ItemRequest, session, id=item.id))["lines"]


def test_truncation_and_frame_are_read_out_in_words(room):
    ctx, session, pictures = room
    truncation = Truncation(psi=0.5, cutoff=0, center=Latent.from_seed(9))
    recipe = Recipe(model=ModelRef("pomona"), truncation=truncation, transform=Transform(rotate=-30, scale=2))
    item = pictures.add(np.zeros((8, 8, 3), np.uint8), recipe)
    lines = dict(gallery.look(ctx, session, ask(ItemRequest, session, id=item.id))["lines"])
    assert lines["psi"] == "0.50, towards seed 9, first 0 layers"
    grape = replace(recipe, latent=Latent.from_seed(1, [(3, 1.0)]), truncation=Truncation(psi=0.5, towards="class"))
    for one, words in ((grape, "0.50, towards the average of its kind"), (replace(grape, latent=Latent()), "0.50")):
        item = pictures.add(np.zeros((8, 8, 3), np.uint8), one)
        assert dict(gallery.look(ctx, session, ask(ItemRequest, session, id=item.id))["lines"])["psi"] == words
    assert lines["Frame"].startswith("right 0.00") and "turned -30" in lines["Frame"] and "zoom 2.00" in lines["Frame"]


def test_a_photo_in_a_picture_is_owned_up_to_in_every_copy(room):
    ctx, session, pictures = room
    image = np.zeros((8, 8, 3), np.uint8)
    silent = pictures.add(image, Recipe(model=ModelRef("painter"), restyle=Restyle()), include_recipe=False)
    copy = gallery.download(ctx, session, ask(ItemRequest, session, id=silent.id, on=False))
    sheet = gallery.sheet(ctx, session, ask(gallery.ItemsRequest, session, ids=[silent.id, pictures.items("seed:3")[0].id]))
    plain = gallery.sheet(ctx, session, ask(gallery.ItemsRequest, session, ids=[pictures.items("seed:3")[0].id]))
    marks = [inspect_image(base64.b64decode(answer["url"].partition(",")[2])).marks.digital_source_type for answer in (copy, sheet, plain)]
    assert marks == ["compositeWithTrainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "trainedAlgorithmicMedia"]


def test_a_picture_is_returned_to_when_its_model_was_renamed(room):
    ctx, session, pictures = room
    ctx.library.find("waves").card.sha256 = "5" * 64
    item = pictures.add(np.zeros((8, 8, 3), np.uint8), Recipe(model=ModelRef("sea", "5" * 64)))
    assert gallery.return_to(ctx, session, ask(ItemRequest, session, id=item.id))["recipe"]["model"]["name"] == "waves"
