"""The library: what is installed, imports that are all or nothing, names that never overwrite."""

import json
import os
import signal
import threading
import time

import checkpoint_craft as craft
import psutil
import pytest
import toys

import studio
from studio.checkpoints import Library, ModelCard, digest, library, quarantine
from studio.errors import CheckpointError, DamagedFileError, TooBigError, UnknownModelError


@pytest.fixture
def models(tmp_path):
    return Library(tmp_path / "models", tmp_path / "pretrained")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "My CycleGAN.pth"
    path.write_bytes(craft.saved(craft.state_of(toys.toy_translator())))
    return path


def installed(models):
    return sorted(path.name for path in models.models_folder.iterdir()) if models.models_folder.exists() else []


def put(models, name="toy"):
    path = toys.save_toy(models.models_folder, name)
    path.with_suffix(".json").write_text(json.dumps(ModelCard(name=name, sha256=digest.file_sha256(path)).to_json()))
    return path


def test_importing_installs_weights_card_and_preview(models, file):
    told = []
    entry = models.import_file(file, progress=lambda share, what: told.append((share, what)), preview=lambda network: b"WEBP")
    assert installed(models) == ["My CycleGAN.json", "My CycleGAN.safetensors", "My CycleGAN.webp"]
    assert entry.preview.read_bytes() == b"WEBP"
    assert entry.card.family == "resnet" and entry.card.source_name == file.name
    assert entry.card.source_sha256 == digest.file_sha256(file)
    assert entry.card.sha256 == digest.file_sha256(entry.path)
    assert [share for share, _ in told] == sorted(share for share, _ in told) and told[-1][0] == 1.0
    network = studio.load(entry.path, device="cpu")
    assert network.card.source_sha256 == entry.card.source_sha256


def test_importing_twice_keeps_both(models, file):
    first = models.import_file(file, name="monet")
    before = first.path.read_bytes()
    second = models.import_file(file, name="monet")
    assert (first.name, second.name) == ("monet", "monet-2")
    assert first.path.read_bytes() == before
    assert [entry.name for entry in models.list()] == ["monet", "monet-2"]


def test_a_failing_preview_costs_only_the_picture(models, file):
    def fail(network):
        raise RuntimeError("no picture today")

    assert models.import_file(file, preview=fail).preview is None


@pytest.mark.parametrize("step", ["_write_card", "_link"])
def test_a_failure_while_installing_leaves_nothing(step, models, file, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(library, step, full)
    with pytest.raises(OSError, match="No space"):
        models.import_file(file)
    assert installed(models) == []


def test_a_killed_child_leaves_nothing(models, file):
    def kill():
        for _ in range(400):
            for child in psutil.Process().children():
                if "studio.checkpoints.importer" in " ".join(child.cmdline()):
                    child.send_signal(signal.SIGKILL)
                    return
            time.sleep(0.02)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(TooBigError, match=r"^My CycleGAN.*nothing was installed"):
        models.import_file(file)
    killer.join()
    assert installed(models) == []


def test_a_child_that_takes_too_long_is_stopped(models, file, monkeypatch):
    monkeypatch.setattr(quarantine, "BASE_SECONDS", 0)
    with pytest.raises(TooBigError, match="longer than 0 seconds"):
        models.import_file(file)
    assert installed(models) == []


def test_a_crashed_import_is_swept_by_the_next(models):
    models.models_folder.mkdir()
    stale = models.models_folder / ".import-999999999-1-abc"
    (stale / "deep").mkdir(parents=True)
    running = models.models_folder / f".import-{os.getpid()}-{int(psutil.Process().create_time())}-abc"
    running.mkdir()
    with quarantine.Quarantine(models.models_folder):
        assert not stale.exists() and running.exists()


def test_a_missing_file_and_a_folder_are_named(models, tmp_path):
    for path in (tmp_path / "absent.pkl", tmp_path):
        with pytest.raises(UnknownModelError, match=path.name):
            models.import_file(path)
    assert installed(models) == []


def test_a_disk_that_is_too_full_is_named_first(models, file, monkeypatch):
    monkeypatch.setattr(quarantine, "SPARE_DISK", 1 << 60)
    with pytest.raises(CheckpointError, match="GB of disk"):
        models.import_file(file)


def test_rename_moves_all_files_and_refuses_taken_names(models):
    put(models, "first")
    put(models, "second")
    (models.models_folder / "first.webp").write_bytes(b"x")
    entry = models.rename("first", "renamed")
    assert (entry.name, entry.card.name, entry.preview.name) == ("renamed", "renamed", "renamed.webp")
    assert installed(models) == ["renamed.json", "renamed.safetensors", "renamed.webp", "second.json", "second.safetensors"]
    with pytest.raises(CheckpointError, match="already"):
        models.rename("renamed", "second")
    with pytest.raises(CheckpointError, match="cannot be a model's name"):
        models.rename("renamed", "../out")


def test_remove_deletes_all_files_of_one_model(models):
    put(models, "keep")
    put(models, "drop")
    models.remove("drop")
    assert installed(models) == ["keep.json", "keep.safetensors"]
    with pytest.raises(UnknownModelError, match="keep"):
        models.remove("drop")


def test_shipped_models_come_first_and_stay(models):
    toys.save_toy(models.pretrained_folder, "ukiyo-e-256")
    item = {"name": "ukiyo-e", "file": "ukiyo-e-256.safetensors", "sha256": "ab", "licence": "CC0", "data": "prints", "credit": "museum"}
    outside = {"name": "out", "file": "../models/toy.safetensors"}
    (models.pretrained_folder / "index.json").write_text(json.dumps([item, outside, {"name": "absent", "file": "absent.safetensors"}]))
    put(models, "a")
    put(models, "toy")
    first, *others = models.list()
    assert (first.name, first.shipped, first.card.licence, first.card.credit, first.card.origin) == (
        "ukiyo-e",
        True,
        "CC0",
        "museum",
        "prints",
    )
    assert [entry.name for entry in others] == ["a", "toy"]
    for change in (lambda: models.remove("ukiyo-e"), lambda: models.rename("ukiyo-e", "x")):
        with pytest.raises(CheckpointError, match="came with the studio"):
            change()


def test_what_cannot_be_read_is_left_out_of_the_list(models, caplog):
    put(models, "good")
    (models.models_folder / "empty.safetensors").write_bytes(b"")
    (models.models_folder / "broken.safetensors").write_bytes(b"\1\0\0\0\0\0\0\0{")
    (models.models_folder / ".hidden.safetensors").write_bytes(b"x")
    assert [entry.name for entry in models.list()] == ["good"]
    assert "broken" in caplog.text


def test_a_link_that_leaves_the_folder_is_left_out(models, tmp_path):
    outside = toys.save_toy(tmp_path / "elsewhere")
    models.models_folder.mkdir()
    try:
        (models.models_folder / "link.safetensors").symlink_to(outside)
    except OSError:
        pytest.skip("links are not allowed here")
    assert models.list() == []


def test_a_lost_card_is_read_from_the_weights(models):
    toys.save_toy(models.models_folder, "alone")
    (entry,) = models.list()
    assert (entry.name, entry.card.family, entry.card.resolution) == ("alone", "stylegan2", 32)


def test_load_finds_installed_models_by_name(studio_home):
    toys.save_toy(studio_home / "models", "mine")
    assert studio.load("mine", device="cpu").card.name == "mine"
    with pytest.raises(UnknownModelError, match=r"no model called 'other'.*mine"):
        studio.load("other")


def test_a_precision_that_is_none_is_refused(studio_home):
    with pytest.raises(studio.errors.StudioError, match="exact, auto"):
        studio.load("mine", precision="half")


CARDS = ["[]", '{"name": 5}', '{"classes": "abc"}', '{"parameters": -1}', "{", "[" * 10**5, '{"licence": "' + "x" * 9999 + '"}']


@pytest.mark.parametrize("data", CARDS, ids=range(len(CARDS)))
def test_a_card_that_makes_no_sense_is_refused(data):
    with pytest.raises(DamagedFileError, match="card"):
        ModelCard.from_json(data)


def test_a_card_survives_json():
    card = ModelCard(name="a", classes=("0", "1"), notes=("careful",), parameters=7)
    assert ModelCard.from_json(json.loads(json.dumps(card.to_json()))) == card
    assert ModelCard.from_json({"unknown": 1}) == ModelCard()
