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


def test_a_scan_of_sixteen_bits_keeps_its_greys(tmp_path: Path) -> None:
    greys = np.linspace(0, 65535, 48 * 48).reshape(48, 48).astype(np.uint16)
    Image.fromarray(greys).save(tmp_path / "scan.png")
    (picture,) = data.prepare([tmp_path / "scan.png"], resolution=48, crop="none", cache=tmp_path / "cache").batch([0])
    assert np.abs(picture - greys[..., None] / 257.0).max() <= 1


def test_a_single_picture_is_taken_where_a_folder_is(folder: Path, tmp_path: Path) -> None:
    pictures = data.prepare([folder / "pear" / "1.png", folder / "apple" / "0.png"], resolution=16, crop="centre", cache=tmp_path)
    assert [pictures.picture(k)[8, 8].tolist() for k in (0, 1)] == [[0, 200, 10], [200, 0, 0]] and not pictures.classes
    with pytest.raises(TrainingError, match=r"2\.png: there is no such folder, picture, zip or film\. Check the path"):
        data.prepare([folder / "pear" / "2.png"], resolution=16, cache=tmp_path)


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
    with pytest.raises(TrainingError, match="no folder, zip or film"):
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


def test_a_film_gives_a_picture_for_each_part_of_a_second_and_still_frames_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = tmp_path / "sea.mp4"
    film.write_bytes(b"frames come from the reader below")
    from fractions import Fraction
    from types import SimpleNamespace

    films = pytest.importorskip("studio.media.films")
    frames = [
        SimpleNamespace(time=Fraction(k, 25), image=np.full((36, 48, 3), 3 * min(k, 60), np.uint8))
        for k in range(100)  # 4 s, the last 1.6 of them stand still
    ]
    monkeypatch.setattr(films, "read_film", lambda path: iter(frames))
    pictures = data.prepare([film], resolution=16, crop="centre", film_rate=2.5, cache=tmp_path)
    assert [int(pictures.picture(i)[8, 8, 0]) for i in range(len(pictures))] == [30 * k for k in range(7)]
    assert [name for name, _ in pictures.report.duplicates] == ["sea.mp4 at 2.80 s", "sea.mp4 at 3.20 s", "sea.mp4 at 3.60 s"]
    assert len(data.prepare([film], resolution=16, crop="centre", film_rate=25, cache=tmp_path)) == 61
    with pytest.raises(TrainingError, match="film_rate=0"):
        data.prepare([film], resolution=16, film_rate=0, cache=tmp_path)


def test_a_real_film_is_read_through_the_studio(tmp_path: Path) -> None:
    pytest.importorskip("studio.media.films")
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "grey.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for k in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 12 * k, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (tmp_path / "torn.mp4").write_bytes((tmp_path / "grey.mp4").read_bytes()[:200])
    pictures = data.prepare([tmp_path], resolution=16, crop="centre", film_rate=5, cache=tmp_path / "cache")
    greys = [float(pictures.picture(i).mean()) for i in range(len(pictures))]
    assert np.allclose(greys, [24 * k for k in range(10)], atol=8)
    assert [name for name, _ in pictures.report.broken] == ["torn.mp4"]


def test_a_first_look_cuts_as_the_training_will_and_stores_nothing(folder: Path, tmp_path: Path) -> None:
    from studio.training.preview import preview

    total, images = preview(folder, resolution=16, crop="smart", most=5)
    assert total == 8
    assert images.shape == (5, 16, 16, 3)
    whole = data.prepare([folder], resolution=16, crop="smart", cache=tmp_path)
    assert np.array_equal(images[0], whole.picture(0))
    assert preview(folder, resolution=16, crop="none")[1].shape == (8, 16, 16, 3)


def test_the_smart_crop_of_a_huge_picture_needs_little_memory_and_finds_the_same_place() -> None:
    small = np.full((300, 400, 3), 240, np.uint8)
    small[60:200, 200:330] = (180, 40, 40)
    huge = small.repeat(8, 0).repeat(8, 1)
    top, left, side = crops.smart_window(small)
    import tracemalloc

    tracemalloc.start()
    found = crops.smart_window(huge)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.allclose(found, [8 * top, 8 * left, 8 * side], atol=40)
    assert peak < 300e6, f"{peak / 1e6:.0f} MB for a picture of {huge.nbytes / 1e6:.0f} MB"


def test_decoding_that_is_stopped_leaves_nothing_half_written(folder: Path, tmp_path: Path) -> None:
    def again(done: int, total: int) -> None:
        raise TrainingError("stopped in the middle")

    def suffixes() -> list[str]:
        return sorted(p.suffix for p in (tmp_path / "cache").glob("*"))

    for k in range(30):
        paint(folder / "pear" / f"more{k}.png", (7, 7, k))
    with pytest.raises(TrainingError, match="in the middle"):
        data.prepare([folder], resolution=16, cache=tmp_path / "cache", progress=again)
    assert suffixes() == []
    data.prepare([folder], resolution=16, cache=tmp_path / "cache")
    assert suffixes() == [".bin", ".json"]
