"""A style of one's own: the book stays what it is, a run resumes bit for bit, any painting will do, and it is used by its name."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from studio import checkpoints, paths
from studio.checkpoints import Library, ModelCard
from studio.checkpoints.tensors import read_tensors
from studio.cli import app
from studio.cli.library import find_book
from studio.errors import StudioError, TrainingError
from studio.training import export, learn, loop, presets, runs
from studio.training.settings import Settings
from studio.training.state import RunFolder
from studio.training.style_book import TABLES

SMALL: dict[str, Any] = {"resolution": 64, "load_size": 72, "batch": 2, "kimg": 0.008, "minutes": None, "precision": "fp32"}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def paint(file: Path, *, size: tuple[int, int] = (100, 90), mode: str = "RGB", **options: Any) -> Path:
    rng = np.random.default_rng(size[0])
    image = np.clip(np.array((150, 60, 30)) + rng.normal(0, 40, (size[1], size[0], 3)), 0, 255).astype(np.uint8)
    Image.fromarray(image).convert(mode).save(file, **options)
    return file


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    given = learn.settings_for([paint(tmp_path / "painting.png")], name="mine", folder=tmp_path / "run")
    return dataclasses.replace(given, **SMALL)


def newest(settings: Settings) -> dict[str, torch.Tensor]:
    return read_tensors(loop.run_folder(settings).states()[-1])[0]


def shipped() -> Any:
    return checkpoints.load(paths.pretrained_folder() / "styles.safetensors")


def test_only_the_new_row_changes_and_every_other_style_paints_bit_for_bit_as_before(settings: Settings, tmp_path: Path) -> None:
    list(loop.train(settings))
    (file,) = export.export(tmp_path / "run", tmp_path, ModelCard())
    learnt: Any = checkpoints.load(file)
    book = shipped()
    assert learnt.card.classes == ("mine", *book.card.classes) and book.card.credit in learnt.card.credit
    before, after = book.state_dict(), learnt.state_dict()
    for name, value in before.items():
        assert torch.equal(after[name][1:] if name.endswith(TABLES) else after[name], value), name
        if name.endswith(TABLES):
            assert not (after[name][:1] == value).all(1).any(), "the new row is no other one"
    photo = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    rows = torch.eye(len(learnt.card.classes))
    with torch.inference_mode():
        assert torch.equal(learnt(photo, rows[5:6]), book(photo, rows[5:6, 1:]))
        assert not torch.equal(learnt(photo, rows[0:1]), learnt(photo, (rows[0:1] + rows[5:6]) / 2)), "they blend"


def test_a_network_of_its_own_holds_the_new_style_alone(settings: Settings, tmp_path: Path) -> None:
    own = dataclasses.replace(settings, learns="network")
    list(loop.train(own))
    tensors = newest(own)
    assert all(len(value) == 1 for name, value in tensors.items() if name.startswith("forward/") and name.endswith(TABLES))
    convs = [name for name in shipped().state_dict() if not name.endswith(TABLES)]
    assert all(not torch.equal(tensors[f"forward/{name}"], shipped().state_dict()[name]) for name in convs)
    (file,) = export.export(tmp_path / "run", tmp_path, ModelCard())
    assert checkpoints.load(file).card.classes == ("mine",)  # type: ignore[union-attr]


@pytest.mark.parametrize("learns", ["row", "network"])
def test_a_run_that_was_killed_goes_on_bit_for_bit(settings: Settings, tmp_path: Path, learns: str) -> None:
    whole, parts = (dataclasses.replace(settings, learns=learns, folder=str(tmp_path / name)) for name in ("whole", "parts"))
    list(loop.train(whole))
    often = dataclasses.replace(parts, save_minutes=0.0, measure_minutes=100.0)
    asked = iter(range(100))
    list(loop.train(often, should_stop=lambda: next(asked) >= 3))
    loop.run_folder(parts).states()[-1].unlink()
    last = list(loop.train(parts))
    assert last[0].step == 2 and last[-1].kind == "end"
    wanted, got = newest(whole), newest(parts)
    assert wanted.keys() == got.keys() and all(torch.equal(wanted[name], got[name]) for name in wanted)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("grey.png", {"mode": "L"}),
        ("tiny.png", {"size": (9, 5)}),
        ("huge.jpg", {"size": (4000, 3000)}),
        ("clear.png", {"mode": "RGBA"}),
        ("palette.png", {"mode": "P"}),
        ("cmyk.jpg", {"mode": "CMYK"}),
        ("scroll.png", {"size": (40, 700)}),
        ("turned.jpg", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"}),
    ],
)
def test_any_painting_is_measured_and_shown(settings: Settings, tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    chosen = dataclasses.replace(settings, data=(str(paint(tmp_path / name, **options)),))
    trainer: Any = presets.build_trainer(presets.resolve(chosen))
    assert all(torch.isfinite(moment).all() and moment.abs().sum() > 0 for layer in trainer.targets for moment in layer)
    trainer.begin()
    grid = trainer.sample_grid()
    assert grid.ndim == 3 and grid.shape[0] == 256
    values = trainer.step(loop.StepRandom(0, 0, 0), loop.Clock(0, 0, 0.0))
    assert np.isfinite(list(values.values())).all()


def test_of_a_scroll_everything_is_measured(settings: Settings, tmp_path: Path) -> None:
    trainer: Any = presets.build_trainer(presets.resolve(settings))
    long = np.arange(600)[None, :, None].repeat(100, 0).repeat(3, 2).astype(np.float64) * 255 / 600
    pieces = trainer.pieces(long.astype(np.uint8))
    assert len(pieces) == 4 and pieces[0].min() == 0 and pieces[-1].max() == 254
    assert len(trainer.pieces(np.zeros((256, 256, 3), np.uint8))) == 1


def test_the_photos_of_a_step_are_like_the_painting_together(settings: Settings) -> None:
    trainer: Any = presets.build_trainer(presets.resolve(settings))
    made = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * torch.tensor([2.0, 0.5])[:, None, None, None] - 1
    none = torch.zeros(2, dtype=torch.int64)
    with torch.inference_mode():
        together = trainer.terms(made, made, none)[1]
        each = [trainer.terms(made[k : k + 1], made[k : k + 1], none[:1])[1] for k in range(2)]
    assert together < (each[0] + each[1]) / 2, "the distance is convex, and one may have what the other lacks"


def test_the_preview_shows_the_painting_and_the_users_photo_painted(settings: Settings, tmp_path: Path) -> None:
    photo = paint(tmp_path / "photo.png", size=(1030, 500))
    trainer: Any = presets.build_trainer(presets.resolve(dataclasses.replace(settings, photo=str(photo))))
    assert trainer.shown.shape == (248, 512, 3)
    assert trainer.sample_grid().shape == (248, 276 + 512 + 512, 3)
    with pytest.raises(TrainingError, match=r"gone\.png: this cannot be read"):
        presets.build_trainer(presets.resolve(dataclasses.replace(settings, photo=str(tmp_path / "gone.png"))))


def test_a_style_starts_as_the_row_of_the_book_that_is_nearest(settings: Settings, tmp_path: Path) -> None:
    book = shipped()
    row = book.card.classes.index("ink-dry-brush")
    photo = Image.open(next(paths.practice_folder().glob("landscape-00088*"))).convert("RGB").resize((256, 256))
    weights = torch.eye(len(book.card.classes))[row : row + 1]
    img = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.inference_mode():
        painted = ((book(img, weights)[0].permute(1, 2, 0) + 1) * 127.5).byte().numpy()
    Image.fromarray(painted).save(tmp_path / "painted.png")
    trainer: Any = presets.build_trainer(
        presets.resolve(dataclasses.replace(settings, data=(str(tmp_path / "painted.png"),), load_size=256))
    )
    trainer.begin()
    tables = {name: value for name, value in trainer.networks["forward"].state_dict().items() if name.endswith(TABLES)}
    assert all(torch.equal(value[0], value[1 + row]) for value in tables.values())


def test_what_cannot_be_learnt_is_refused_in_words(settings: Settings, tmp_path: Path) -> None:
    for wrong, words in (
        ({"data": (str(tmp_path / "gone.jpg"),)}, r"gone\.jpg: there is no such folder, picture"),
        ({"name": "snow"}, "already has a style called snow. Choose another name"),
        ({"start_from": "monet"}, "no book of painting styles"),
    ):
        with pytest.raises(StudioError, match=words):
            list(loop.train(dataclasses.replace(settings, **wrong)))


def test_a_page_starts_a_run_of_an_upload_that_may_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(paths.models_folder(), paths.pretrained_folder())
    upload, given = paint(tmp_path / "upload.PNG", size=(300, 90)), list[Settings]()

    def start(settings: Settings) -> RunFolder:
        given.append(settings)
        return RunFolder(Path(settings.folder))

    monkeypatch.setattr(runs, "begin", start)
    with pytest.raises(TrainingError, match=r"gone\.png: there is no such file"):
        learn.begin([tmp_path / "gone.png"], name="mine", home=tmp_path, library=library)
    with pytest.raises(TrainingError, match="There is no painting"):
        learn.begin([], name="mine", home=tmp_path, library=library)
    with pytest.raises(TrainingError, match="already is a model called styles"):
        learn.begin([upload], name="styles", home=tmp_path, library=library)
    with pytest.raises(TrainingError, match="styles already has a style called snow"):
        learn.begin([upload], name="snow", home=tmp_path, library=library)
    folder = learn.begin([upload], name="mine", home=tmp_path, library=library, minutes=20, photo=upload)
    upload.unlink()
    assert (given[0].minutes, given[0].snapshot_minutes, given[0].folder) == (20, 1.0, str(tmp_path / "mine"))
    list(loop.train(dataclasses.replace(given[0], **SMALL)))
    assert folder.snapshots() and runs.state_of(folder, runs.Log(folder).update()) == "finished"
    with pytest.raises(TrainingError, match="is there already"):
        learn.begin([paint(upload)], name="mine", home=tmp_path, library=library)
    runs.publish(folder, paths.models_folder())
    assert find_book(library, ["mine", "snow"]).name == "mine"
    assert find_book(library, ["snow"]).name == "styles"


def test_the_commands_learn_list_and_paint(tmp_path: Path) -> None:
    painting, photo = paint(tmp_path / "a.png"), paint(tmp_path / "photo.png", size=(80, 64))
    cli = CliRunner()
    small = [part for name in ("resolution", "batch", "load_size") for part in (f"--{name.replace('_', '-')}", str(SMALL[name]))]
    command = ["train", "style", str(painting), str(paint(tmp_path / "b.png", size=(70, 70))), "--name", "mine", "--kimg", "0.004", *small]
    trained = cli.invoke(app, command)
    assert trained.exit_code == 0 and "studio restyle PHOTO --style mine" in trained.output, trained.output
    listed = cli.invoke(app, ["styles"]).output
    assert "mine: mine; blends with those of styles" in listed
    done = cli.invoke(app, ["restyle", str(photo), "--style", "mine:0.5,snow:0.5", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "out").glob("*.png"))) == 1
    unknown = cli.invoke(app, ["restyle", str(photo), "--style", "unheard", "--out", str(tmp_path / "out")])
    assert unknown.exit_code == 1 and "No book of styles has 'unheard'" in unknown.stderr
