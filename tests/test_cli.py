"""The command line, from what is typed to what lies on the disk."""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from toys import save_toy, toy_stylegan2, toy_stylegan3, toy_translator
from typer.testing import CliRunner

from studio import Recipe, __version__, load, paths
from studio.checkpoints import ModelCard, save
from studio.cli import app, values
from studio.errors import RecipeError
from studio.media import read_image, write_image
from studio.models.common import build
from studio.recipe import Blend, Latent, Noise, StyleMix, Truncation
from studio.render import draw
from studio.upscaling import upscale


@pytest.fixture
def model(tmp_path):
    return save_toy(tmp_path / "files")


def studio(*words, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def test_help_answers_in_under_a_second_without_torch():
    script = "import sys, studio.cli\nsys.argv = ['studio', '--help']\ntry: studio.cli.main()\nexcept SystemExit: pass\n"
    script += "assert not {'torch', 'numpy', 'gradio'} & set(sys.modules)"
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "restyle" in done.stdout
    assert time.perf_counter() - start < 3


def test_every_command_explains_itself_with_an_example():
    for command in ("app", "generate", "mix", "restyle", "import", "bench"):
        assert f"studio {command}" in studio(command, "--help").output.replace("\n", " ")
    assert __version__ in studio("--version").output


def test_seeds_are_numbers_and_ranges_in_the_order_given():
    assert values.parse_seeds("0-3,42, 7") == [0, 1, 2, 3, 42, 7]
    for text in ("", "a", "3-1", "-1", "4294967296", "1-200000", "1..3"):
        with pytest.raises(RecipeError, match="seeds="):
            values.parse_seeds(text)


def test_classes_are_numbers_or_names_with_weights():
    assert values.parse_classes("3") == ((3, 1.0),)
    assert values.parse_classes("3:0.5, 7:0.25") == ((3, 0.5), (7, 0.25))
    assert values.parse_classes("Lemon:2,apple", ["apple", "lemon"]) == ((1, 2.0), (0, 1.0))
    for text in ("plum", "3:x"):
        with pytest.raises(RecipeError, match="class="):
            values.parse_classes(text, ["apple"])


def test_generate_writes_one_picture_for_each_seed_with_its_recipe(model, tmp_path):
    out = tmp_path / "out"
    studio("generate", model, "--seeds", "0-1,42", "--psi", "0.5", "--out", out)
    assert sorted(path.name for path in out.iterdir()) == ["toy-seed0000.png", "toy-seed0001.png", "toy-seed0042.png"]
    recipe = read_image(out / "toy-seed0042.png").recipe
    assert (recipe.model.name, recipe.latent.x, recipe.truncation.psi, recipe.studio) == ("toy", 42, 0.5, __version__)


def test_a_picture_made_from_a_pictures_recipe_has_the_same_pixels(model, tmp_path):
    out = tmp_path / "out"
    studio("generate", model, "--seeds", "9", "--cutoff", "3", "--size", "48", "--out", out)
    studio("generate", model, "--recipe", out / "toy-seed0009.png", "--out", out)
    first, second = (read_image(out / name) for name in ("toy-seed0009.png", "toy-recipe.png"))
    assert first.image.shape == (48, 48, 3)
    assert np.array_equal(first.image, second.image) and first.recipe == second.recipe


def test_a_recipe_can_be_a_json_file(model, tmp_path):
    recipe = tmp_path / "recipe.json"
    recipe.write_text(Recipe(latent=Latent(x=5.5, y=2), truncation=Truncation(psi=1)).to_json())
    studio("generate", model, "--recipe", recipe, "--psi", "0.2", "--out", tmp_path)
    made = read_image(tmp_path / "toy-recipe.png").recipe
    assert made.latent == Latent(x=5.5, y=2) and made.truncation.psi == 0.2


def test_pictures_are_never_overwritten(model, tmp_path):
    for _ in range(2):
        studio("generate", model, "--seeds", "1", "--out", tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_formats_and_leaving_the_recipe_out(model, tmp_path):
    for suffix in ("jpg", "webp"):
        studio("generate", model, "--seeds", "1", "--format", suffix, "--no-recipe", "--out", tmp_path)
        picture = read_image(tmp_path / f"toy-seed0001.{suffix}")
        assert picture.recipe is None and "trainedAlgorithmicMedia" in str(picture.marks)


def test_a_transparent_model_gives_transparent_png_and_opaque_jpeg(tmp_path):
    model = save_toy(tmp_path, network=toy_stylegan2(img_channels=4))
    for suffix in ("png", "jpg"):
        studio("generate", model, "--seeds", "1", "--format", suffix, "--out", tmp_path)
    assert read_image(tmp_path / "toy-seed0001.png").alpha is not None
    assert read_image(tmp_path / "toy-seed0001.jpg").alpha is None


def test_stylegan3_moves_and_classes_reach_the_recipe(tmp_path):
    model = save_toy(tmp_path, network=toy_stylegan3(c_dim=3))
    studio("generate", model, "--seeds", "1", "--class", "2:0.5,0:0.5", "--translate", "0.25,0", "--rotate", "-10", "--out", tmp_path)
    recipe = read_image(tmp_path / "toy-seed0001.png").recipe
    assert recipe.latent.classes == ((2, 0.5), (0, 0.5)) and recipe.transform.translate_x == 0.25 and recipe.transform.rotate == -10


def test_many_pictures_are_drawn_by_one_fast_way_and_say_so(model, tmp_path):
    studio("generate", model, "--seeds", "0-7", "--out", tmp_path)
    assert {read_image(path).recipe.precision for path in tmp_path.glob("*.png")} == {"auto"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--seeds", "1", "--psi", "5"), "recipe.truncation.psi=5.0 is out of range. Use -1 to 2."),
        (("--seeds", "1", "--size", "0"), "recipe.size=0 is out of range. Use 4 to 16384."),
        (("--seeds", "1", "--cutoff", "40"), "truncation_cutoff=40 is too high: this model has 8 style layers (num_ws). Use 0 to 8."),
        (("--seeds", "1", "--class", "1"), "class=1 was asked for, but this model has no classes. Leave the class out."),
        (("--seeds", "x"), "seeds='x' is not understood. Use whole numbers and ranges, such as 0-7,42."),
        (("--seeds", "1", "--format", "gif"), "format='gif' is unknown. Use png, jpg or webp."),
        (("--seeds", "1", "--noise", "loud"), "recipe.noise.mode='loud' is not known. Use one of: const, random, none."),
        (("--seeds", "1", "--rotate", "3"), "This model cannot move, turn or zoom its picture; only StyleGAN3 can. Reset the transform."),
        ((), "No seeds were given. Use e.g. --seeds 0-7,42, or --recipe FILE."),
    ],
)
def test_what_a_user_got_wrong_is_one_sentence_and_exit_code_1(model, tmp_path, words, sentence):
    result = studio("generate", model, *words, "--out", tmp_path / "out", code=1)
    assert result.stderr.strip() == sentence
    assert not (tmp_path / "out").exists()


def test_a_missing_model_and_a_picture_without_recipe_are_one_sentence(model, tmp_path):
    assert "nothing" in studio("generate", "nothing", "--seeds", "1", code=1).stderr
    studio("generate", model, "--seeds", "1", "--no-recipe", "--out", tmp_path)
    assert "holds no recipe" in studio("generate", "--recipe", tmp_path / "toy-seed0001.png", code=1).stderr
    assert "does not exist" in studio("generate", "--recipe", tmp_path / "none.json", code=1).stderr


def test_mix_draws_a_sheet_with_its_sources(model, tmp_path):
    out = tmp_path / "mix.png"
    studio("mix", model, "--rows", "1,2", "--cols", "3,4,5", "--layers", "coarse", "--size", "16", "--out", out)
    assert read_image(out).image.shape == (3 * 16, 4 * 16, 3)
    studio("mix", model, "--rows", "1", "--cols", "3", "--layers", "0-1,fine:0.5", "--size", "16", "--no-headers", "--out", out)
    assert read_image(out).image.shape == (16, 16, 3)
    assert "not understood" in studio("mix", model, "--layers", "rough", "--out", out, code=1).stderr


def test_a_recipe_gives_a_sheet_its_place_its_styles_and_its_layers(model, tmp_path):
    place, style = Latent(x=5.5, y=2), Latent(x=9)
    recipe = Recipe(latent=place, mixing=(StyleMix(style, (1.0, 0.5)),), truncation=Truncation(psi=1))
    (tmp_path / "recipe.json").write_text(recipe.to_json())
    given = ("mix", model, "--recipe", tmp_path / "recipe.json", "--size", "32", "--no-headers")
    studio(*given, "--out", tmp_path / "sheet.png")
    cell = draw(load(model), recipe)
    assert np.array_equal(read_image(tmp_path / "sheet.png").image, cell)
    studio(*given, "--cols", "1,2,3", "--layers", "fine", "--out", tmp_path / "sheet.png")
    assert read_image(tmp_path / "sheet.png").image.shape == (32, 96, 3)
    assert "names no picture" in studio(*given, "--out", tmp_path, code=1).stderr


def test_every_part_of_a_style_can_be_said_on_the_command_line(model, tmp_path):
    studio("generate", model, "--seeds", "4", "--center", "42", "--blend", "7:0.5,9", "--noise", "random", "--noise-seed", "3",
           "--noise-strength", "0.5", "--noise-layers", "1,0.5", "--out", tmp_path)  # fmt: skip
    made = read_image(tmp_path / "toy-seed0004.png").recipe
    assert made.truncation.center == Latent.from_seed(42)
    assert made.blends == (Blend(Latent.from_seed(7), 0.5), Blend(Latent.from_seed(9), 1.0))
    assert made.noise == Noise("random", 3, 0.5, (1.0, 0.5))
    studio("generate", model, "--seeds", "5", "--center", tmp_path / "toy-seed0004.png", "--out", tmp_path)
    assert read_image(tmp_path / "toy-seed0005.png").recipe.truncation.center == Latent.from_seed(4)
    for words, sentence in (
        (("--blend", "x"), "blend='x' is not understood"),
        (("--noise-layers", "a"), "noise_layers='a' is not"),
        (("--center", "x"), "Say class or average"),
    ):
        assert sentence in studio("generate", model, "--seeds", "1", *words, code=1).stderr


def test_classes_keep_to_their_own_average_unless_told_otherwise(model, tmp_path):
    kinds = save_toy(tmp_path / "files", "kinds", toy_stylegan2(16, c_dim=3))

    def made(path, *words):
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        studio("generate", path, "--seeds", "1", "--out", folder, *words)
        return next(folder.iterdir())

    def towards(file):
        truncation = read_image(file).recipe.truncation
        return truncation.towards, truncation.center

    own = made(kinds, "--class", "2")
    average = made(kinds, "--class", "2", "--center", "average")
    assert towards(own) == ("class", None) and towards(average) == ("average", None)
    assert np.array_equal(read_image(own).image, draw(load(kinds), read_image(own).recipe))
    assert not np.array_equal(read_image(own).image, read_image(average).image)
    assert towards(made(model)) == ("average", None) and towards(made(model, "--center", "class")) == ("class", None)
    placed = made(kinds, "--class", "2", "--center", "7")
    assert towards(placed)[1] == Latent.from_seed(7, [(2, 1.0)])
    assert towards(made(kinds, "--recipe", average)) == ("average", None), "a recipe keeps what it says"
    assert towards(made(kinds, "--recipe", placed, "--center", "class")) == ("class", None)


def test_a_model_file_that_is_not_there_is_said_to_be_missing():
    assert studio("generate", "faces.pkl", "--seeds", "1", code=1).stderr.startswith("faces.pkl does not exist.")


def test_restyle_keeps_the_size_and_marks_a_composite(tmp_path):
    from PIL import Image

    model, photo = save_toy(tmp_path, "painter", toy_translator()), tmp_path / "photo.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (37, 50, 3), np.uint8)).save(photo)
    studio("restyle", model, photo, "--strength", "0.5", "--keep-colors", "--out", tmp_path / "out")
    picture = read_image(tmp_path / "out" / "photo-painter.png")
    assert picture.image.shape == (37, 50, 3) and "compositeWithTrainedAlgorithmicMedia" in str(picture.marks)
    restyle = picture.recipe.restyle
    assert (restyle.source_name, restyle.strength, restyle.keep_colors) == ("photo.jpg", 0.5, True)


def test_a_book_of_styles_is_listed_and_paints_in_the_styles_that_are_asked_for(tmp_path, monkeypatch):
    assert "styles: ink-dry-brush, " in studio("styles").stdout, "the shipped book"
    monkeypatch.setattr(paths, "pretrained_folder", lambda: tmp_path / "nothing")
    assert "No book of painting styles is installed" in studio("styles").stderr
    torch.manual_seed(0)
    book = build("style-transfer", {"n_styles": 2, "width": 8, "n_blocks": 1}).eval()
    book.expand[-1].beta.data[:] = torch.tensor([[2.0, 0.0, -2.0], [-2.0, 0.0, 2.0]])
    paths.models_folder().mkdir(parents=True, exist_ok=True)
    save(book, paths.models_folder() / "book.safetensors", ModelCard(family=book.family, classes=("warm", "cold")))
    assert studio("styles").stdout.split() == ["book:", "warm,", "cold"]
    assert json.loads(studio("styles", "--json").stdout)[1] == {"name": "cold", "book": "book", "row": 1}
    photo = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)).save(photo)

    def warmth(*words):
        out = tmp_path / "-".join(words or ("plain",)).replace(":", "").replace(",", "")
        studio("restyle", "book", photo, *words, "--out", out)
        image = read_image(next(out.iterdir()))
        assert image.image.shape == (50, 70, 3)
        assert [style.name for style in image.recipe.restyle.styles] == [
            part.split(":")[0] for word in words[1:] for part in word.split(",")
        ]
        return image.image[..., 0].mean() - image.image[..., 2].mean()

    warm, cold, both = warmth("--style", "warm"), warmth("--style", "cold"), warmth("--style", "warm:0.5,cold:0.5")
    assert warm > both + 20 and both > cold + 20
    assert warmth() == warm, "without a wish it is the first one"
    assert "not in this book. It has: warm, cold" in studio("restyle", "book", photo, "--style", "hot", "--out", tmp_path, code=1).stderr
    for wrong in ("warm:much", "warm:nan", "warm:-1", "warm,,cold"):
        assert "is not understood" in studio("restyle", "book", photo, "--style", wrong, "--out", tmp_path, code=1).stderr
    assert "all styles are 0" in studio("restyle", "book", photo, "--style", "warm:0", "--out", tmp_path, code=1).stderr
    save_toy(paths.models_folder(), "painter", toy_translator())
    said = studio("restyle", "painter", photo, "--style", "warm", "--out", tmp_path, code=1).stderr
    assert "painter has one style of its own" in said


def test_a_restyled_picture_is_the_recipe_for_other_photos(tmp_path):
    from PIL import Image

    model, photo, other = save_toy(tmp_path, "painter", toy_translator()), tmp_path / "a.png", tmp_path / "b.png"
    for path, value in ((photo, 40), (other, 90)):
        Image.new("RGB", (20, 12), (value, 200, 30)).save(path)
    studio("import", model)
    studio("restyle", "painter", photo, "--strength", "0.25", "--norm", "eval", "--out", tmp_path)
    studio("restyle", other, photo, "--recipe", tmp_path / "a-painter.png", "--keep-colors", "--out", tmp_path / "again")
    recipe = read_image(tmp_path / "again" / "b-painter.png").recipe
    assert (recipe.restyle.strength, recipe.restyle.norm_mode, recipe.restyle.keep_colors) == (0.25, "eval", True)
    assert (recipe.precision, recipe.restyle.source_name) == ("exact", "b.png")
    assert (tmp_path / "again" / "a-painter.png").exists()
    assert "No photo was given" in studio("restyle", "painter", code=1).stderr


def test_models_are_imported_listed_described_renamed_and_removed(model, tmp_path):
    assert "No models are installed" in studio("models").output or "toy" not in studio("models", "list").output
    assert "faces is ready" in studio("import", model, "--name", "faces").output
    assert "faces" in studio("models").output
    assert "stylegan2" in studio("models", "info", "faces").output
    studio("generate", "faces", "--seeds", "1", "--out", tmp_path)
    studio("models", "rename", "faces", "people")
    studio("generate", "--recipe", tmp_path / "faces-seed0001.png", "--out", tmp_path)
    assert read_image(tmp_path / "people-recipe.png").recipe.model.name == "people"
    studio("models", "remove", "people", "--yes")
    assert "people" in studio("models", "info", "people", code=1).stderr
    assert not list(paths.models_folder().glob("people*"))


def test_names_of_models_are_listed_in_full_however_narrow_the_terminal(model, monkeypatch):
    name = "a-name-of-a-model-that-one-has-to-type-in-full"
    monkeypatch.setenv("COLUMNS", "72")
    studio("import", model, "--name", name)
    assert name in studio("models").output
    studio("models", "remove", name, "--yes")


def test_bench_of_training_prints_what_is_counted(tmp_path, monkeypatch):
    from studio import bench_training

    row = bench_training.Row("cyclegan", "fast", "bfloat16", "cpu", 500.0, 8.0, "pairs", 900.0, 4.0)
    monkeypatch.setattr(bench_training, "run", lambda cases, **kw: iter([[row] for case in cases]))
    result = studio("bench", "train", "--families", "cyclegan", "--json", tmp_path / "speed.json")
    assert "8.0 pairs" in result.stdout and "4.0x" in result.stdout
    assert json.loads((tmp_path / "speed.json").read_text())["rows"][0]["unit"] == "pairs"
    assert "Use pictures or train" in studio("bench", "naps", code=2).stderr


def test_bench_writes_its_table_as_json(tmp_path, monkeypatch):
    from studio import bench

    case = replace(bench.CASES[-1], size=32, config={"ngf": 4, "n_blocks": 1})
    monkeypatch.setattr(bench, "CASES", (case,))
    monkeypatch.setattr(bench, "run", lambda cases, **kw: iter([bench.measure(case, quick=True, device="cpu") for case in cases]))
    result = studio("bench", "--quick", "--json", tmp_path / "speed.json")
    assert "resnet9 512" in result.output
    data = json.loads((tmp_path / "speed.json").read_text())
    assert data["rows"][0]["way"] == "module" and data["machine"]["studio"] == __version__
    assert "unknown" in studio("bench", "--families", "biggan", code=1).stderr


def test_the_app_is_launched_with_what_was_asked_for(monkeypatch, tmp_path):
    from studio.ui import app as page

    seen = []
    monkeypatch.setattr(page, "launch", lambda settings: seen.append(settings))
    monkeypatch.setenv("STUDIO_HOME", "")
    studio("app", "--port", "8001", "--no-browser", "--public", "--home", tmp_path / "home")
    assert (seen[0].port, seen[0].host, seen[0].public, seen[0].open_browser) == (8001, "127.0.0.1", True, False)
    assert seen[0].models == tmp_path / "home" / "models"


def test_pictures_are_enlarged_and_what_cannot_be_is_named(tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (6, 8, 4), np.uint8)
    for name in ("a/one.png", "a/below/two.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(tmp_path / name, photo)
    (tmp_path / "a/broken.png").write_bytes(b"no picture")
    result = studio("enlarge", tmp_path / "a", "--scale", 8, "--out", tmp_path / "large", code=1)
    assert "broken.png" in result.output
    made = read_image(tmp_path / "large/below/two-8x.png")
    assert made.image.shape == (48, 64, 3) and made.alpha.shape == (48, 64) and (tmp_path / "large/one-8x.png").exists()
    refused = studio("enlarge", tmp_path / "a/one.png", "--scale", 3, code=1)
    assert "3 times larger is not possible" in refused.output


def test_a_generated_picture_is_enlarged_and_its_recipe_says_by_what(tmp_path):
    save_toy(tmp_path / "studio-home" / "models", "toy")
    studio("generate", "toy", "--seeds", 1, "--enlarge", 4, "--out", tmp_path / "large")
    studio("generate", "toy", "--seeds", 1, "--out", tmp_path / "own")
    own, large = read_image(tmp_path / "own/toy-seed0001.png"), read_image(tmp_path / "large/toy-seed0001.png")
    assert np.array_equal(large.image, upscale(load(paths.pretrained_folder() / "enlarge-4x.safetensors"), own.image))
    assert [ref.name for ref in large.recipe.enlarge] == ["enlarge-4x"] and not own.recipe.enlarge
    studio("generate", "--recipe", tmp_path / "large/toy-seed0001.png", "--out", tmp_path / "again")
    assert np.array_equal(read_image(tmp_path / "again/toy-recipe.png").image, large.image)
    studio("generate", "--recipe", tmp_path / "large/toy-seed0001.png", "--enlarge", 1, "--out", tmp_path / "plain")
    assert np.array_equal(read_image(tmp_path / "plain/toy-recipe.png").image, own.image)
    both = studio("generate", "toy", "--seeds", 1, "--enlarge", 2, "--upscale", "enlarge-2x", code=1)
    assert "were both given" in both.output
