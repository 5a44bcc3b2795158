"""The photos that come with the studio, painted for an empty desk and taken from there."""

import json

import numpy as np
import pytest
import torch
from real_studio import real_context

from studio import media
from studio.checkpoints import ModelCard, save
from studio.errors import StudioError
from studio.models.common import build
from studio.paths import pretrained_folder
from studio.recipe import StyleWeight
from studio.ui import restyle
from studio.ui.payloads import Fields, NameRequest, Payload

PHOTOS = [
    {"file": "lake.webp", "style": "cold", "source": "Somewhere", "licence": "CC BY 2.0"},
    {"file": "hill.webp", "style": "not-installed", "source": "Somewhere", "licence": "CC BY 2.0"},
]


@pytest.fixture
def ctx(tmp_path):
    context = real_context(tmp_path)
    folder = context.settings.pretrained / "photos"
    folder.mkdir(parents=True)
    (folder / "photos.json").write_text(json.dumps(PHOTOS))
    for number, photo in enumerate(PHOTOS):
        image = np.random.default_rng(number).integers(0, 256, (40, 56, 3), dtype=np.uint8)
        media.write_image(folder / photo["file"], image)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        book = build("style-transfer", {"n_styles": 2, "width": 8, "n_blocks": 1}).eval()
    save(book, context.settings.models / "book.safetensors", ModelCard(family=book.family, classes=("warm", "cold")))
    yield context
    context.engine.close()


def ask(kind, session, **entries):
    return kind.read(Fields({"token": session.token, **entries}))


def test_an_empty_desk_shows_the_photos_whose_style_is_installed_painted_and_credited(ctx):
    session = ctx.sessions.open()
    shown = restyle.examples(ctx, session, ask(Payload, session))["examples"]
    assert [(example["name"], example["style"], example["credit"]) for example in shown] == [("lake.webp", "cold", "Somewhere, CC BY 2.0")]
    assert shown[0]["url"].startswith("data:image/webp")


def test_an_example_is_taken_like_a_dropped_photo_and_stays_where_it_was(ctx):
    session = ctx.sessions.open()
    answer = restyle.take_example(ctx, session, ask(NameRequest, session, name="lake.webp"))
    recipe, file = answer["photo"]["recipe"], ctx.settings.pretrained / "photos" / "lake.webp"
    assert recipe["model"]["name"] == "book"
    assert [StyleWeight(**style) for style in recipe["restyle"]["styles"]] == [StyleWeight("cold")]
    assert recipe["restyle"]["source_sha256"] == media.hash_file(file)
    restyle.take_example(ctx, session, ask(NameRequest, session, name="lake.webp"))
    assert len(restyle.desk(ctx, session, ask(Payload, session))["photos"]) == 1
    for name in ("hill.webp", "../photos.json"):
        with pytest.raises(StudioError, match="There is no example"):
            restyle.take_example(ctx, session, ask(NameRequest, session, name=name))


def test_every_shipped_photo_is_there_with_its_rights_and_a_style_of_the_shipped_book():
    listed = json.loads((pretrained_folder() / "photos" / "photos.json").read_text("utf-8"))
    models = json.loads((pretrained_folder() / "index.json").read_text("utf-8"))["models"]
    styles = next(model["classes"] for model in models if model["name"] == "styles")
    assert len(listed) == 3
    for photo in listed:
        assert media.read_image(pretrained_folder() / "photos" / photo["file"]).image.shape[2] == 3
        assert photo["style"] in styles and photo["source"] and photo["licence"] == "CC BY 2.0"
