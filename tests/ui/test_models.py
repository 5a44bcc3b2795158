"""What the models tab answers, without a browser, with the real library."""

import os
import pickle
import shutil

import pytest
from real_studio import real_context

from studio.errors import StudioError
from studio.ui import models
from studio.ui.payloads import Fields, ItemRequest, NameRequest, Payload, UploadRequest


@pytest.fixture
def ctx(tmp_path):
    context = real_context(tmp_path)
    yield context
    context.engine.close()


@pytest.fixture
def session(ctx):
    return ctx.sessions.open()


def ask(kind, session, **entries):
    return kind.read(Fields({"token": session.token, **entries}))


def names(ctx):
    return [entry.name for entry in ctx.library.list()]


def import_of(ctx, session, file):
    """Import a file of the upload folder to its end, as the page does."""
    job = models.begin_import(ctx, session, ask(UploadRequest, session, path=str(file), name=file.name))
    for _ in range(600):
        answer = models.import_state(ctx, session, ask(ItemRequest, session, id=job["id"]))
        if answer.get("done"):
            return answer
    raise AssertionError("it never ends")


def everything_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.is_dir() else []


class Attack:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def test_a_card_says_in_words_what_a_model_is(ctx, session):
    answer = models.cards(ctx, session, ask(Payload, session))
    cards = {card["name"]: card for card in answer["cards"]}
    assert cards["waves"]["summary"] == "StyleGAN2, 32 x 32 pixels"
    assert cards["photo-to-ink"]["summary"] == "CycleGAN, photo to ink"
    assert (cards["waves"]["kind"], cards["photo-to-ink"]["kind"]) == ("generator", "translator")
    assert "Licence" in dict(cards["waves"]["lines"])


def test_an_imported_file_gets_a_card_with_a_preview(ctx, session, shared_fixtures):
    file = ctx.settings.uploads / "fruit.pkl"
    shutil.copy(shared_fixtures / "sg2ada_classes_32.pkl", file)
    answer = import_of(ctx, session, file)
    assert answer["card"]["summary"] == "StyleGAN2, 32 x 32 pixels, 4 kinds"
    assert answer["card"]["preview"].startswith("data:image/webp")
    assert "fruit" in names(ctx)
    assert not file.exists()


def test_a_file_that_attacks_is_refused_with_one_sentence_and_leaves_nothing(ctx, session, tmp_path):
    before = everything_in(ctx.settings.models)
    file = ctx.settings.uploads / "evil.pkl"
    file.write_bytes(pickle.dumps(Attack(tmp_path / "pwned")))
    answer = import_of(ctx, session, file)
    assert "evil.pkl asks to run" in answer["refused"]
    assert not (tmp_path / "pwned").exists()
    assert everything_in(ctx.settings.models) == before
    assert everything_in(ctx.settings.uploads) == []


def test_a_cancelled_import_installs_nothing(ctx, session, shared_fixtures):
    before = everything_in(ctx.settings.models)
    file = ctx.settings.uploads / "fruit.pkl"
    shutil.copy(shared_fixtures / "sg2ada_classes_32.pkl", file)
    job = models.begin_import(ctx, session, ask(UploadRequest, session, path=str(file), name=file.name))
    models.stop_import(ctx, session, ask(ItemRequest, session, id=job["id"]))
    models._imports(session)[job["id"]].done.wait(60)
    answer = models.import_state(ctx, session, ask(ItemRequest, session, id=job["id"]))
    assert answer["stopped"]
    assert everything_in(ctx.settings.models) == before


def test_a_renamed_model_keeps_its_file_and_card(ctx, session):
    before = ctx.library.find("waves").path.read_bytes()
    ctx.engine.load("waves")
    answer = models.rename(ctx, session, ask(models.RenameRequest, session, name="waves", new="deep sea"))
    assert answer["card"]["name"] == "deep sea"
    assert ctx.library.find("deep sea").path.read_bytes() == before
    assert "waves" not in names(ctx)


def test_a_removed_model_comes_back_whole_with_undo(ctx, session):
    before, files = names(ctx), everything_in(ctx.settings.models)
    answer = models.remove(ctx, session, ask(NameRequest, session, name="waves"))
    assert "waves" not in names(ctx)
    models.restore(ctx, session, ask(ItemRequest, session, id=answer["trashed"]))
    assert names(ctx) == before
    assert [name for name in everything_in(ctx.settings.models) if ".removed" not in name] == files
    ctx.engine.load("waves")


def test_a_removed_model_never_replaces_another_of_its_name(ctx, session):
    answer = models.remove(ctx, session, ask(NameRequest, session, name="waves"))
    models.rename(ctx, session, ask(models.RenameRequest, session, name="photo-to-oil", new="waves"))
    with pytest.raises(StudioError, match="another model called 'waves'"):
        models.restore(ctx, session, ask(ItemRequest, session, id=answer["trashed"]))


def test_the_way_back_leads_nowhere_but_to_removed_models(ctx, session):
    for token in ("../../models", "..", "", "0" * 16, "/etc"):
        with pytest.raises(StudioError):
            models.restore(ctx, session, ask(ItemRequest, session, id=token))


def test_a_public_studio_lets_nobody_change_its_models(tmp_path):
    ctx = real_context(tmp_path, public=True)
    session = ctx.sessions.open()
    assert models.cards(ctx, session, ask(Payload, session))["refused"]
    file = ctx.settings.uploads / "model.pkl"
    file.write_bytes(b"x")
    for attempt in (
        lambda: models.begin_import(ctx, session, ask(UploadRequest, session, path=str(file), name=file.name)),
        lambda: models.remove(ctx, session, ask(NameRequest, session, name="waves")),
        lambda: models.rename(ctx, session, ask(models.RenameRequest, session, name="waves", new="mine")),
    ):
        with pytest.raises(StudioError, match="public studio"):
            attempt()
    assert not file.exists()
    assert "waves" in names(ctx)
    ctx.engine.close()
