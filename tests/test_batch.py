"""Restyling many files, from the command line to what lies on the disk."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from toys import save_toy, toy_translator
from typer.testing import CliRunner

from studio import media
from studio.cli import app, values
from studio.errors import RecipeError


@pytest.fixture
def model(tmp_path):
    return save_toy(tmp_path / "files", "painter", toy_translator())


def studio(*words, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def picture(path, seed=0, size=(8, 12), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)).convert(mode).save(path)
    return path


def test_three_broken_files_among_three_hundred_are_named_and_do_not_stop_the_others(model, tmp_path):
    photos = tmp_path / "photos"
    for number in range(297):
        picture(photos / f"{number % 7}" / f"p{number:03d}.png", number)
    broken = {"cut.png": (photos / "0" / "p000.png").read_bytes()[:-40], "page.jpg": b"<html>not found</html>", "empty.png": b""}
    for name, data in broken.items():
        (photos / name).write_bytes(data)
    result = studio("restyle", model, photos, "--out", tmp_path / "out", code=3)
    made = sorted((tmp_path / "out").rglob("*.png"))
    assert len(made) == 297
    assert {str(path.relative_to(tmp_path / "out")) for path in made} == {f"{n % 7}/p{n:03d}-painter.png" for n in range(297)}
    assert all(name in result.stderr for name in broken) and "3 of 300 files could not be restyled." in result.stderr


def test_what_is_done_is_skipped_and_other_wishes_are_not(model, tmp_path):
    for seed in range(3):
        picture(tmp_path / "photos" / f"{seed}.png", seed)
    words = ("restyle", model, tmp_path / "photos", "--out", tmp_path / "out")
    studio(*words)
    picture(tmp_path / "photos" / "3.png", 3)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert studio(*words).output.count("was done already") == 3
    assert len(list((tmp_path / "out").iterdir())) == 4
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert "done already" not in studio(*words, "--strength", "0.5").output
    assert studio(*words, "--strength", "0.5").output.count("was done already") == 4
    studio(*words, "--again")
    assert len(list((tmp_path / "out").iterdir())) == 12


def test_pictures_that_share_a_name_get_results_of_their_own(model, tmp_path):
    picture(tmp_path / "a.png", 1), picture(tmp_path / "a.bmp", 2)
    studio("restyle", model, tmp_path / "a.png", tmp_path / "a.bmp", "--out", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a-png-painter.png", "a-bmp-painter.png"}


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "1", "LA", "I;16"])
def test_every_kind_of_picture_comes_back_at_its_size(model, tmp_path, mode):
    name = tmp_path / ("photo.tif" if mode in ("CMYK", "I;16") else "photo.png")
    if mode == "I;16":
        Image.fromarray(np.random.default_rng(0).integers(0, 65536, (75, 101), np.uint16)).save(name)
    else:
        picture(name, size=(75, 101), mode=mode)
    studio("restyle", model, name, "--out", tmp_path / "out")
    made = media.read_image(tmp_path / "out" / "photo-painter.png")
    assert (made.width, made.height) == (101, 75)
    assert (made.alpha is not None) == (mode in ("RGBA", "LA"))


def test_a_turned_photo_comes_back_upright(model, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20), (200, 90, 30)).save(tmp_path / "turned.jpg", exif=exif)
    studio("restyle", model, tmp_path / "turned.jpg", "--out", tmp_path)
    made = media.read_image(tmp_path / "turned-painter.png")
    assert (made.width, made.height) == (20, 40)


@pytest.mark.parametrize("size", [(1, 1), (3, 5000), (757, 1001)])
def test_odd_sizes_come_back_as_they_are(model, tmp_path, size):
    picture(tmp_path / "odd.png", size=size)
    studio("restyle", model, tmp_path / "odd.png", "--out", tmp_path)
    assert media.read_image(tmp_path / "odd-painter.png").image.shape[:2] == size


def test_every_frame_of_an_animation_is_restyled_and_keeps_its_time(model, tmp_path):
    frames = [Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 24, 3), np.uint8)) for seed in range(3)]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:], duration=[100, 200, 100], loop=0)
    studio("restyle", model, tmp_path / "film.gif", "--out", tmp_path / "out")
    before, after = (list(media.read_film(path)) for path in (tmp_path / "film.gif", tmp_path / "out" / "film-painter.webp"))
    assert [frame.duration for frame in after] == [frame.duration for frame in before] == [Fraction(n, 10) for n in (1, 2, 1)]
    assert after[0].image.shape[:2] == (16, 24) and not np.array_equal(after[0].image, after[1].image)
    assert "done already" in studio("restyle", model, tmp_path / "film.gif", "--out", tmp_path / "out").output


def test_a_contact_sheet_shows_before_and_after(model, tmp_path):
    for seed in range(2):
        picture(tmp_path / "photos" / f"{seed}.png", seed, size=(40, 30))
    studio("restyle", model, tmp_path / "photos", "--sheet", "--out", tmp_path / "out")
    assert media.read_image(tmp_path / "out" / "contact-sheet.png").image.std() > 10


def test_styles_are_mixed_and_chained_and_all_of_it_is_in_the_recipe(model, tmp_path):
    other = save_toy(tmp_path / "files", "other", toy_translator(seed=5))
    photo, mask = picture(tmp_path / "a.png", size=(24, 32)), tmp_path / "mask.png"
    Image.fromarray(np.repeat(np.array([0, 255], np.uint8), 16)[None].repeat(24, 0)).save(mask)
    studio("restyle", model, photo, "--mix", f"{other}:0.25", "--then", other, "--mask", mask, "--mask-feather", "0", "--out", tmp_path)
    made = media.read_image(tmp_path / "a-painter.png")
    wishes = made.recipe.restyle
    assert [(share.model.name, share.share) for share in wishes.mix] == [("other", 0.25)] and wishes.then[0].name == "other"
    before = media.read_image(photo).image
    assert np.array_equal(made.image[:, :15], before[:, :15]) and not np.array_equal(made.image[:, 17:], before[:, 17:])


def test_a_mixture_with_all_of_the_share_is_the_other_style_alone(model, tmp_path):
    other, photo = save_toy(tmp_path / "files", "other", toy_translator(seed=5)), picture(tmp_path / "a.png", size=(24, 32))
    studio("restyle", model, photo, "--mix", f"{other}:1", "--out", tmp_path / "mixed")
    studio("restyle", other, photo, "--out", tmp_path / "alone")
    mixed, alone = (media.read_image(next((tmp_path / name).iterdir())).image for name in ("mixed", "alone"))
    assert np.array_equal(mixed, alone)


def test_amounts_of_memory_are_read_as_people_write_them():
    assert [values.parse_bytes(text) for text in ("2GB", "1.5 GiB", "500mb", "7", None)] == [2 * 10**9, 3 << 29, 5 * 10**8, 7, None]
    for text in ("much", "-1GB", "2XB", "iB"):
        with pytest.raises(RecipeError, match="max_memory="):
            values.parse_bytes(text)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("nowhere.png",), "nowhere.png does not exist"),
        (("a.png", "--texture-scale", "20"), "recipe.restyle.texture_scale=20.0 is out of range. Use 0.125 to 8."),
        (("a.png", "--mix", "painter:x"), "mix='painter:x' is not understood"),
        (("a.png", "--strength-space", "soul"), "recipe.restyle.strength_space='soul' is not known. Use one of: lab, features."),
        (("a.png", "--max-memory", "1KB"), "Reduce it to"),
    ],
)
def test_what_a_user_got_wrong_is_one_sentence(model, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "a.png")
    studio("import", model)
    result = studio("restyle", "painter", *words, code=1)
    assert sentence in result.stderr and len(result.stderr.strip().splitlines()) == 1
