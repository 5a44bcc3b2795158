"""A folder becomes a block of pictures; nothing in it stops the others."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.errors import TrainingError
from studio.training import crops, data, sources


def paint(path: Path, colour: tuple[int, ...], size: tuple[int, int] = (40, 60)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for k in range(6):
        paint(tmp_path / "set" / "apple" / f"{k}.png", (200, 10 * k, 0))
    for k in range(2):
        paint(tmp_path / "set" / "pear" / f"{k}.png", (0, 200, 10 * k))
    return tmp_path / "set"


def test_sub_folders_become_classes_in_the_order_of_their_names(folder: Path, tmp_path: Path) -> None:
    pictures = data.prepare([folder], resolution=16, crop="centre", cache=tmp_path)
    assert pictures.classes == ("apple", "pear")
    assert pictures.report.counts == (6, 2)
    assert pictures.batch([0, 7]).shape == (2, 16, 16, 3)
    assert pictures.picture(7)[8, 8].tolist() == [0, 200, 10]


def test_broken_files_and_duplicates_are_reported_and_left_out(folder: Path, tmp_path: Path) -> None:
    (folder / "apple" / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (folder / "pear" / "again.png").write_bytes((folder / "apple" / "3.png").read_bytes())
    report = data.prepare([folder], resolution=16, crop="centre", cache=tmp_path).report
    assert report.kept == 8
    assert [name for name, _ in report.broken] == ["torn.jpg"]
    assert report.duplicates == (("again.png", "3.png"),)
    assert "1 duplicates" in report.sentence()


def test_the_second_opening_reads_the_stored_block(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = data.prepare([folder], resolution=16, cache=tmp_path)
    monkeypatch.setattr(data, "read_pixels", lambda *_: pytest.fail("decoded again"))
    second = data.prepare([folder], resolution=16, cache=tmp_path)
    assert np.array_equal(first.batch(range(8)), second.batch(range(8)))


def test_a_changed_folder_is_decoded_anew(folder: Path, tmp_path: Path) -> None:
    data.prepare([folder], resolution=16, cache=tmp_path)
    paint(folder / "pear" / "new.png", (1, 2, 3))
    assert len(data.prepare([folder], resolution=16, cache=tmp_path)) == 9


def test_transparency_stands_on_white_or_is_kept(tmp_path: Path) -> None:
    file = paint(tmp_path / "clear.png", (255, 0, 0, 0))
    with file.open("rb") as clear:
        assert data.read_pixels(clear, 3)[0, 0].tolist() == [255, 255, 255]
        assert data.read_pixels(clear, 4).shape == (60, 40, 4)


def test_pictures_keep_their_shape_for_translators(tmp_path: Path) -> None:
    paint(tmp_path / "in" / "wide.png", (5, 5, 5), (90, 30))
    pictures = data.prepare([tmp_path / "in"], resolution=16, crop="none", cache=tmp_path)
    assert pictures.picture(0).shape == (16, 48, 3)


def test_an_empty_folder_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no pictures in it\. Use JPEG"):
        sources.find_sources([tmp_path])
    with pytest.raises(TrainingError, match="no such folder"):
        sources.find_sources([tmp_path / "nowhere"])


def test_a_zip_gives_the_same_pictures_as_its_folder(folder: Path, tmp_path: Path) -> None:
    for name in ("flat.zip", "nested.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for file in folder.rglob("*.png"):
                archive.write(file, file.relative_to(folder if name == "flat.zip" else folder.parent))
            archive.writestr("__MACOSX/apple/._0.png", b"nothing")
        packed = data.prepare([tmp_path / name], resolution=16, crop="centre", cache=tmp_path)
        plain = data.prepare([folder], resolution=16, crop="centre", cache=tmp_path)
        assert packed.classes == plain.classes
        assert np.array_equal(packed.batch(range(8)), plain.batch(range(8)))


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "song.mp3").write_bytes(b"la la la")
    with pytest.raises(TrainingError, match="neither a folder nor a zip"):
        sources.find_sources([tmp_path / "song.mp3"])


def test_the_square_root_lies_between_fair_to_pictures_and_fair_to_classes() -> None:
    labels = np.array([0] * 16 + [1] * 4)
    assert data.class_probabilities(labels, 2, 1.0).tolist() == pytest.approx([0.8, 0.2])
    assert data.class_probabilities(labels, 2, 0.5).tolist() == pytest.approx([2 / 3, 1 / 3])
    assert data.class_probabilities(labels, 2, 0.0).tolist() == pytest.approx([0.5, 0.5])


def test_a_class_without_pictures_is_never_drawn() -> None:
    assert data.class_probabilities(np.array([0, 2]), 3, 0.0).tolist() == [0.5, 0.0, 0.5]


def test_the_same_generator_draws_the_same_pictures(folder: Path, tmp_path: Path) -> None:
    draw = data.Draw(data.prepare([folder], resolution=16, cache=tmp_path))
    first, second = (draw.indices(32, np.random.Generator(np.random.PCG64(5))) for _ in range(2))
    assert first.tolist() == second.tolist()
    assert set(first.tolist()) <= set(range(8))


def fruit(height: int, width: int, top: int, left: int, side: int) -> np.ndarray:
    pixels = np.full((height, width, 3), 240, np.uint8)
    pixels[top : top + side, left : left + side] = (180, 20, 20)
    return pixels


def test_the_smart_crop_frames_a_subject_on_paper_wherever_it_lies() -> None:
    for top in (10, 60, 110):
        cut = crops.square_crop(fruit(180, 110, top, 30, 50), "smart")
        assert cut.shape[0] == cut.shape[1]
        assert (cut[..., 1] < 100).sum() == 50 * 50


def test_the_smart_crop_of_blank_paper_is_the_centre() -> None:
    assert crops.smart_window(np.full((100, 60, 3), 200, np.uint8)) == (20, 0, 60)


def test_thin_pencil_lines_do_not_move_the_smart_crop() -> None:
    plain = fruit(180, 110, 20, 30, 50)
    lined = plain.copy()
    lined[170, 10:100] = 150
    moved = np.subtract(crops.smart_window(plain), crops.smart_window(lined))
    assert abs(moved).max() <= 2


def test_padding_keeps_every_pixel() -> None:
    pixels = np.arange(6 * 10 * 3, dtype=np.uint8).reshape(6, 10, 3)
    padded = crops.square_crop(pixels, "pad")
    assert padded.shape == (10, 10, 3)
    assert np.array_equal(padded[2:8], pixels)
    assert np.array_equal(padded[0], pixels[0])


def test_an_unknown_crop_is_named(folder: Path) -> None:
    with pytest.raises(TrainingError, match=r"crop='round' is not known\. Use one of: centre, smart, pad, none"):
        data.prepare([folder], resolution=16, crop="round")
