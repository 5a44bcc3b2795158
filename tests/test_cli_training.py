"""Training from the command line, with pictures of a few pixels."""

import numpy as np
import pytest
from PIL import Image
from toys import save_toy, toy_stylegan2
from typer.main import get_command
from typer.testing import CliRunner

from studio import checkpoints, paths
from studio.cli import app
from studio.errors import TrainingError
from studio.training.settings import GIVEN, OPTIONS, Settings, read_values


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for kind in ("round", "square"):
        (tmp_path / "shapes" / kind).mkdir(parents=True)
        for k in range(4):
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(tmp_path / "shapes" / kind / f"{k}.png")
    return tmp_path / "shapes"


def run(*arguments):
    return CliRunner().invoke(app, ["train", *map(str, arguments)], prog_name="studio")


def test_a_folder_becomes_a_model_that_opens_by_its_name_and_the_same_command_continues(folder):
    options = ("--name", "shapes", "--resolution", 8, "--batch", 4)
    first = run("stylegan2", folder, *options, "--kimg", 0.008)
    assert first.exit_code == 0, first.output
    network = checkpoints.load("shapes")
    assert network.card.classes == ("round", "square")
    assert network.card.licence.startswith("yours")
    again = run("stylegan2", folder, *options, "--kimg", 0.016)
    assert again.exit_code == 0, again.output
    assert [path.name for path in paths.models_folder().glob("*.safetensors")] == ["shapes.safetensors"]
    assert checkpoints.load("shapes").card.sha256 != network.card.sha256


def test_a_name_that_is_taken_is_refused_before_any_work(folder):
    save_toy(paths.models_folder(), "mine")
    before = (paths.models_folder() / "mine.safetensors").read_bytes()
    result = run("stylegan2", folder, "--name", "mine", "--minutes", 1)
    assert result.exit_code == 1
    assert "already is a model called mine" in result.output
    assert (paths.models_folder() / "mine.safetensors").read_bytes() == before


def test_pairs_become_a_translator_that_restyles_and_says_what_it_does(folder, tmp_path):
    from studio.restyle.picture import restyle

    for k in range(3):
        (tmp_path / "outline").mkdir(exist_ok=True)
        Image.fromarray(np.full((40, 40, 3), 40 * k, np.uint8)).save(tmp_path / "outline" / f"{k}.png")
        (folder / "square" / f"{k}.png").replace(folder / f"{k}.png")
    (tmp_path / "outline" / "lonely.png").write_bytes((tmp_path / "outline" / "0.png").read_bytes())
    options = ("--name", "colourist", "--resolution", 32, "--batch", 2, "--ngf", 4, "--kimg", 0.004, "--words", "outline to tile")
    result = run("pix2pix", tmp_path / "outline", folder, *options)
    assert result.exit_code == 0, result.output
    assert "lonely.png: no partner of this name" in result.output
    network = checkpoints.load("colourist")
    assert network.card.direction == "outline to tile"
    assert restyle(network, np.zeros((50, 70, 3), np.uint8)).shape == (50, 70, 3)


def test_folders_without_pairs_are_refused_with_a_way_on(folder, tmp_path):
    (tmp_path / "other").mkdir()
    (folder / "round" / "0.png").replace(tmp_path / "other" / "else.png")
    result = run("pix2pix", folder, tmp_path / "other", "--minutes", 1)
    assert result.exit_code == 1
    assert "train cyclegan or cut" in " ".join(result.output.split())


def test_an_unknown_family_is_refused_in_one_sentence(folder):
    result = run("biggestgan", folder)
    assert result.exit_code == 1
    assert "biggestgan" in result.output
    assert "Traceback" not in result.output


def test_a_translator_without_its_second_folder_is_refused(folder):
    result = run("cyclegan", folder, "--minutes", 1)
    assert result.exit_code == 1
    assert "two folders" in result.output


def test_a_model_is_tuned_by_its_name_and_the_command_says_what_starts_afresh(folder):
    save_toy(paths.models_folder(), "mine", toy_stylegan2(8))
    result = run("stylegan2", folder, "--start-from", "mine", "--name", "tuned", "--batch", 4, "--kimg", 0.008)
    assert result.exit_code == 0, result.output
    assert "Starts from mine (stylegan2, 8 px)." in result.output
    assert "no discriminator: a fresh one starts" in result.output
    assert "the 2 of the folders are new to it" in result.output
    assert "fine-tuned from mine" in checkpoints.load("tuned").card.origin


def test_every_setting_can_be_given_by_an_option_or_by_its_name():
    parameters = {parameter.name for parameter in get_command(app).commands["train"].params}
    assert parameters - {"family", "data", "target", "others", "help"} == OPTIONS
    assert read_values(["d_lr=0.0004", "noise=false", "discriminator=strided", "r1_interval=8"]) == {
        "d_lr": 0.0004,
        "noise": False,
        "discriminator": "strided",
        "r1_interval": 8,
    }
    command = Settings("stylegan2", ("x",), d_lr=0.0004, noise=False, mirror=False).command()
    assert command == "studio train stylegan2 x --no-mirror --set d_lr=0.0004 --set noise=false" and "folder" in GIVEN


@pytest.mark.parametrize(
    ("pair", "words"),
    [("dlr=1", "no setting 'dlr'"), ("kimg=3", "no setting 'kimg'"), ("d_lr=fast", "not what d_lr takes"), ("noise=0", "not what noise")],
)
def test_a_setting_that_cannot_be_is_one_sentence(pair, words):
    with pytest.raises(TrainingError, match=words):
        read_values([pair])
