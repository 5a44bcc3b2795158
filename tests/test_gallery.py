"""Laws of the gallery: the files are the truth, nothing is overwritten or lost, and everything is found again."""

import dataclasses
import multiprocessing
import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from crowd import add_many

from studio import paths
from studio.errors import MediaError
from studio.gallery import Changes, Gallery
from studio.media import encode_image, read_image, write_image
from studio.recipe import Blend, Latent, ModelRef, Recipe, Restyle, StyleMix, pack_floats


def picture(value=0, side=8):
    return np.full((side, side + 2, 3), value % 256, np.uint8)


def recipe(model="pomona", seed=42, **more):
    return Recipe(model=ModelRef(model), latent=Latent.from_seed(seed), **more)


@pytest.fixture
def gallery(tmp_path):
    return Gallery(tmp_path / "pictures here", tmp_path / "cache")


def names(items):
    return [item.id for item in items]


def settle(gallery):
    """Make everything in the folder look older than the time that stamps need to be trusted."""
    for path in [*gallery.folder.rglob("*"), gallery.folder]:
        if not path.name.startswith("."):
            os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns - 10_000_000_000))


def test_making_a_gallery_and_looking_into_an_absent_one_creates_nothing(gallery):
    assert gallery.items() == [] and gallery.count() == 0 and gallery.sync() == Changes() and gallery.models() == {}
    assert not gallery.folder.exists()


def test_without_folders_it_is_the_users_own(studio_home):
    assert Gallery().folder == paths.pictures_folder()
    item = Gallery().add(picture(), recipe())
    assert item.path.parent == paths.pictures_folder() and Gallery().thumbnail(item.id).is_relative_to(paths.cache_folder())


def test_a_picture_is_saved_numbered_listed_and_its_recipe_returns(gallery):
    first, second = gallery.add(picture(1), recipe()), gallery.add(picture(2), recipe(seed=7))
    assert (first.id, second.id) == ("pomona-0001.png", "pomona-0002.png")
    assert names(gallery.items()) == ["pomona-0002.png", "pomona-0001.png"]
    assert gallery.recipe(first.id) == recipe() and gallery.recipe(second.id) == recipe(seed=7)
    assert np.array_equal(read_image(first.path).image, picture(1))
    assert gallery.item(first.id) == first and (first.width, first.height, first.seeds, first.model) == (10, 8, (42,), "pomona")
    assert first.label == "pomona, seed 42" and first.size_bytes == first.path.stat().st_size


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_every_format_and_alpha_go_in(gallery, suffix):
    item = gallery.add(picture(), recipe("inkwash"), suffix=suffix, composite=True)
    assert item.id == f"inkwash-0001{suffix}" and gallery.recipe(item.id) == recipe("inkwash")
    assert read_image(item.path).marks.digital_source_type == "compositeWithTrainedAlgorithmicMedia"
    if suffix == ".png":
        layered = gallery.add(picture(), recipe(), alpha=np.full((8, 10), 9, np.uint8))
        assert read_image(layered.path).alpha.max() == 9 == read_image(gallery.thumbnail(layered.id)).alpha.max()
        bare = gallery.add(picture(), recipe(), include_recipe=False)
        assert gallery.recipe(bare.id) is None and not gallery.item(bare.id).has_recipe and bare.model == ""


@pytest.mark.parametrize(
    ("model", "stem"),
    [
        ("../../evil", "evil"),
        ("", "picture"),
        ("a b", "a-b"),
        ("CON", "_CON"),
        ("水墨", "水墨"),
        ("\ud800|*", "--"),
        (".x", "x"),
        ("x" * 300, "x" * 60),
    ],
)
def test_a_models_name_never_leaves_the_folder(gallery, model, stem):
    item = gallery.add(picture(), recipe(model))
    assert item.id == f"{stem}-0001.png" and item.path.parent == gallery.folder and names(gallery.items()) == [item.id]


def test_numbers_go_on_and_are_never_used_twice(gallery):
    gallery.folder.mkdir()
    (gallery.folder / "pomona-0041.jpg").write_bytes(b"anything")
    first = gallery.add(picture(), recipe())
    assert first.id == "pomona-0042.png"
    gallery.remove(first.id)
    assert gallery.add(picture(), recipe()).id == "pomona-0043.png"
    assert gallery.add(picture(), recipe("POMONA")).id == "POMONA-0044.png"
    assert gallery.add(picture(), recipe("pomona-2")).id == "pomona-2-0001.png"


SEARCHES = [
    ("", "abcd"),
    ("model:pomona", "ab"),
    ("MODEL:Pom", "ab"),
    ("seed:42", "ac"),
    ("seed:4", ""),
    ("seed:9", "b"),
    ("tag:blue", "ad"),
    ('tag:"deep sea"', "d"),
    ("model:pomona tag:blue", "a"),
    ("seed:42 model:ink", "c"),
    ("sunset", "d"),
    ("SUNSET blue", "d"),
    ("is:starred", "b"),
    ("blue pomona", "a"),
    ("0001", "acd"),
    ("model:", "abcd"),
    ("ÉTUDE", "d"),
    ("nothing", ""),
    ("100%", ""),
    ("_", ""),
    ("\\", ""),
    ("' OR 1=1 --", ""),
    ('"', ""),
    ("tag:|", ""),
    ("x " * 500, ""),
    ("\ud800", ""),
]


@pytest.fixture
def searched(gallery):
    ws = pack_floats([0.5] * 8)
    found = {
        "a": gallery.add(picture(1), recipe()).id,
        "b": gallery.add(picture(2), recipe(seed=7, mixing=(StyleMix(Latent.from_seed(8)),), blends=(Blend(Latent.from_seed(9)),))).id,
        "c": gallery.add(picture(3), recipe("inkwash")).id,
        "d": gallery.add(picture(4), Recipe(model=ModelRef("étude"), latent=Latent(ws=ws), restyle=Restyle(source_name="Sunset.jpg"))).id,
    }
    gallery.tag(found["a"], "Blue")
    gallery.tag(found["d"], ["deep  sea", "blue"])
    gallery.star(found["b"])
    return gallery, found


@pytest.mark.parametrize(("query", "expected"), SEARCHES)
def test_a_search_finds_what_holds_every_word_and_nothing_else(searched, query, expected):
    gallery, found = searched
    assert sorted(names(gallery.items(query))) == sorted(found[letter] for letter in expected)
    assert gallery.count(query) == len(expected)


def test_pages_put_together_are_the_whole_list_newest_first(gallery):
    added = [gallery.add(picture(value), recipe(seed=value)).id for value in range(12)]
    whole = names(gallery.items())
    assert whole == added[::-1]
    assert [name for page in range(5) for name in names(gallery.items(offset=3 * page, limit=3))] == whole
    assert names(gallery.items("seed:3")) == [added[3]] and gallery.items(limit=0) == []


def test_stars_and_tags_are_kept_and_taken_back(searched):
    gallery, found = searched
    assert names(gallery.items(starred=True)) == [found["b"]] and gallery.star(found["b"], False).starred is False
    assert gallery.items(starred=True) == []
    assert gallery.item(found["d"]).tags == ("blue", "deep sea") and gallery.tags() == {"blue": 2, "deep sea": 1}
    assert gallery.tag(found["d"], "BLUE", on=False).tags == ("deep sea",)
    assert gallery.models() == {"pomona": 2, "inkwash": 1, "étude": 1}
    for wrong in ("", "  ", "x" * 41, "|"):
        with pytest.raises(MediaError, match="1 to 40"):
            gallery.tag(found["a"], wrong)


def test_files_that_came_went_or_were_renamed_outside_are_seen(gallery):
    kept, gone, moved = (gallery.add(picture(value), recipe(seed=value)) for value in range(3))
    gallery.star(moved.id)
    gallery.tag(moved.id, "mine")
    settle(gallery)
    gallery.sync()
    gone.path.unlink()
    (gallery.folder / "best").mkdir()
    moved.path.rename(gallery.folder / "best" / "my favourite.png")
    write_image(gallery.folder / "from a friend.webp", picture(9), recipe=recipe(seed=99))
    assert sorted(names(gallery.items())) == ["best/my favourite.png", "from a friend.webp", kept.id]
    renamed = gallery.item("best/my favourite.png")
    assert renamed.starred and renamed.tags == ("mine",) and names(gallery.items("seed:99")) == ["from a friend.webp"]
    with pytest.raises(MediaError, match="not in the gallery"):
        gallery.item(gone.id)


def test_a_look_into_the_folder_counts_what_changed(gallery):
    items = [gallery.add(picture(value), recipe(seed=value)) for value in range(4)]
    assert gallery.sync() == Changes()
    items[0].path.unlink()
    items[1].path.rename(gallery.folder / "other.png")
    write_image(items[2].path, picture(50, side=20), recipe=recipe("inkwash"))
    write_image(gallery.folder / "new.png", picture(60))
    assert gallery.sync() == Changes(added=1, changed=1, renamed=1, removed=1)
    assert gallery.item(items[2].id).model == "inkwash" and read_image(gallery.thumbnail(items[2].id)).image[0, 0, 0] in range(48, 53)


def test_an_unchanged_folder_is_not_read_again(gallery, monkeypatch):
    gallery.add(picture(), recipe())
    settle(gallery)
    assert gallery.count() == 1
    looked = []
    monkeypatch.setattr("studio.gallery.index.walk", lambda folder: looked.append(folder))
    assert gallery.count() == 1 and not looked


def test_what_is_no_picture_is_not_listed_and_harms_nothing(gallery):
    good = gallery.add(picture(), recipe())
    (gallery.folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (gallery.folder / "empty.jpg").write_bytes(b"")
    (gallery.folder / "notes.txt").write_text("hello")
    (gallery.folder / ".hidden.png").write_bytes(good.path.read_bytes())
    (gallery.folder / "folder.png").mkdir()
    (gallery.folder / "loop").symlink_to(gallery.folder, target_is_directory=True)
    with open(os.fsencode(gallery.folder) + b"/\xff.png", "wb") as file:
        file.write(good.path.read_bytes())
    assert names(gallery.items()) == [good.id]


def test_a_damaged_recipe_is_listed_and_named_when_asked_for(gallery):
    data = encode_image(picture(), ".webp", recipe=recipe()).data
    gallery.folder.mkdir()
    (gallery.folder / "a.webp").write_bytes(data.replace(b'"x":42.0', b'"x":"no"'))
    assert names(gallery.items()) == ["a.webp"] and not gallery.items()[0].has_recipe
    with pytest.raises(MediaError, match=r"a\.webp: recipe\.latent\.x"):
        gallery.recipe("a.webp")


def test_a_thumbnail_is_small_made_once_and_made_again_when_lost(gallery):
    item = gallery.add(picture(77, side=600), recipe())
    path = gallery.thumbnail(item.id)
    assert max(read_image(path).image.shape) == 256 and path.suffix == ".webp"
    stamp = path.stat().st_mtime_ns
    assert gallery.thumbnail(item.id) == path and path.stat().st_mtime_ns == stamp
    path.unlink()
    assert gallery.thumbnail(item.id) == path and path.exists()
    (gallery.folder / "half.png").write_bytes(item.path.read_bytes()[:2000])
    with pytest.raises(MediaError, match="damaged"):
        gallery.thumbnail("half.png")


def test_removing_is_undone_with_star_and_tags(gallery):
    item = gallery.add(picture(), recipe())
    gallery.star(item.id)
    gallery.tag(item.id, "mine")
    trashed = gallery.remove(item.id)
    assert gallery.items() == [] and (gallery.folder / "trash" / trashed).exists() and gallery.trashed() == [trashed]
    gallery.sync()
    back = gallery.restore(trashed)
    assert back == dataclasses.replace(item, starred=True, tags=("mine",)) and gallery.trashed() == []
    with pytest.raises(MediaError, match="not in the trash"):
        gallery.restore(trashed)


def test_the_trash_keeps_pictures_of_one_name_apart_and_can_be_emptied(gallery):
    for value in range(3):
        write_image(gallery.folder / "sub" / "same.png", picture(value), recipe=recipe())
        gallery.remove("sub/same.png")
    assert sorted(gallery.trashed()) == ["sub/same (2).png", "sub/same (3).png", "sub/same.png"]
    assert gallery.restore("sub/same (3).png").id == "sub/same (3).png"
    assert gallery.empty_trash() == 2 and gallery.trashed() == [] and gallery.count() == 1


@pytest.mark.parametrize("id", ["../secret.png", "/etc/passwd", "", ".", "trash/x.png", "..\\secret.png", "\0", "\ud800", "a" * 5000])
def test_no_id_reaches_outside_the_folder(gallery, id):
    gallery.add(picture(), recipe())
    write_image(gallery.folder.parent / "secret.png", picture())
    for act in (gallery.item, gallery.recipe, gallery.thumbnail, gallery.star, gallery.remove, gallery.restore):
        with pytest.raises(MediaError, match="not in the"):
            act(id)
    assert (gallery.folder.parent / "secret.png").exists()


@pytest.mark.parametrize("damage", [b"this is no database at all" * 50, b"", b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_index_is_made_anew_from_the_files(gallery, damage):
    item = gallery.add(picture(), recipe())
    (gallery.folder / ".gallery" / "index.sqlite3").write_bytes(damage)
    assert names(gallery.items()) == [item.id] and gallery.recipe(item.id) == recipe()


def test_an_index_damaged_inside_heals_at_the_second_try(gallery):
    item = gallery.add(picture(), recipe())
    path = gallery.folder / ".gallery" / "index.sqlite3"
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xaa" * (len(data) - 4096)
    path.write_bytes(data)
    try:
        found = gallery.items()
    except MediaError:
        found = gallery.items()
    assert names(found) == [item.id]


def test_a_picture_is_saved_even_when_the_index_is_stuck(gallery, monkeypatch):
    first = gallery.add(picture(), recipe())
    monkeypatch.setattr("studio.gallery.index.BUSY_SECONDS", 0.05)
    with sqlite3.connect(gallery.folder / ".gallery" / "index.sqlite3", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        second = gallery.add(picture(5), recipe(seed=5))
        assert second.path.exists() and second.seeds == (5,)
        with pytest.raises(MediaError, match="in use by another program"):
            gallery.items()
        other.execute("ROLLBACK")
    other.close()
    assert names(gallery.items()) == [second.id, first.id]


def test_a_full_disk_or_a_locked_folder_is_named_and_leaves_no_picture(gallery, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    gallery.add(picture(), recipe())
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(MediaError, match="disk is full"):
            gallery.add(picture(), recipe())
    assert gallery.count() == 1 and not list(gallery.folder.glob(".*.part"))


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_two_studios_on_one_folder_lose_nothing(kind, tmp_path):
    jobs = [(tmp_path / "pictures", tmp_path / "cache", worker) for worker in range(4 if kind == "threads" else 2)]
    if kind == "threads":
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(add_many, jobs))
    else:
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            results = pool.map(add_many, jobs, chunksize=1)
    ids = [id for result in results for id in result]
    gallery = Gallery(tmp_path / "pictures", tmp_path / "cache")
    assert len(set(ids)) == len(ids) == len(gallery.items(starred=True))
    assert {gallery.recipe(id).latent.x for id in ids} == {10.0 * worker + value for worker in range(len(jobs)) for value in range(6)}


def test_visitors_with_a_folder_each_never_see_each_other(tmp_path):
    one, two = (Gallery(tmp_path / name, tmp_path / "cache") for name in ("one", "two"))
    item = one.add(picture(), recipe())
    two.add(picture(1), recipe("inkwash"))
    assert names(two.items()) == ["inkwash-0001.png"]
    with pytest.raises(MediaError):
        two.item(item.id)


def test_a_big_folder_is_listed_and_searched_in_a_moment(gallery):
    gallery.folder.mkdir(parents=True)
    data = encode_image(picture(), recipe=recipe()).data
    for number in range(1_000):
        (gallery.folder / f"pomona-{number:05d}.png").write_bytes(data)
    settle(gallery)
    assert gallery.sync().added == 1_000
    for query, limit in (("", None), ("", 60), ("model:pomona seed:42 00999", None), ("nothing", None)):
        times = []
        for _ in range(3):
            start = time.perf_counter()
            gallery.items(query, limit=limit)
            times.append(time.perf_counter() - start)
        assert min(times) < 0.1, (query, limit, times)


def film(folder, name="film.mp4", *, recipe=None, n=12, rate=6):
    """A short film: each frame is one grey, lighter than the one before."""
    from studio.media import write_film

    folder.mkdir(parents=True, exist_ok=True)
    frames = [np.full((32, 48, 3), 16 * number, np.uint8) for number in range(n)]
    return write_film(folder / name, frames, rate=rate, recipe=recipe).path


def test_films_are_listed_with_their_length_a_poster_and_their_recipe(gallery):
    gallery.add(picture(1), recipe())
    item = gallery.add_film(film(gallery.folder, ".film-7.mp4", recipe=recipe(seed=9)), recipe(seed=9))
    assert item.id == "pomona-0002.mp4" and item.is_film and (item.seconds, item.frames, item.width) == (2.0, 12, 48)
    listed = gallery.items("is:film")
    assert names(listed) == ["pomona-0002.mp4"] and listed[0].seconds == 2.0 and listed[0].frames == 12
    assert names(gallery.items("is:picture")) == ["pomona-0001.png"] and gallery.count("seed:9") == 1
    assert gallery.recipe(item.id) == recipe(seed=9)
    assert abs(int(read_image(gallery.thumbnail(item.id)).image.mean()) - 16 * 4) < 8
    assert gallery.restore(gallery.remove(item.id)).is_film


def test_films_of_other_programs_and_animations_are_found(gallery):
    for name in ("a.webm", "b.gif", "c.webp", "d.mov"):
        film(gallery.folder, name)
    (gallery.folder / "broken.mp4").write_bytes(b"no film")
    assert sorted(names(gallery.items("is:film"))) == ["a.webm", "b.gif", "c.webp", "d.mov"]
    assert all(gallery.thumbnail(item.id).exists() for item in gallery.items())


def test_a_film_is_told_its_name_before_it_gets_it_and_takes_no_other(gallery):
    path, seen = film(gallery.folder, ".film-8.mp4"), []
    (gallery.folder / "pomona-0001.mp4").write_bytes(b"somebody else's")
    item = gallery.add_film(path, recipe(), choose=lambda place: seen.append((place.name, path.exists(), place.exists())))
    assert seen == [(item.name, True, False)] and (gallery.folder / "pomona-0001.mp4").read_bytes() == b"somebody else's"


def test_a_spritesheet_keeps_its_description_and_zipped_frames_their_place(gallery):
    sheet = film(gallery.folder, ".film-9.png")
    item = gallery.add_film(sheet, recipe())
    assert item.path.exists() and item.name in item.path.with_suffix(".json").read_text()
    zipped = gallery.add_film(film(gallery.folder, ".film-9.zip"), recipe())
    assert zipped.path.exists() and not gallery.items("zip") and not list(gallery.folder.glob(".film*"))


def test_an_index_of_before_films_keeps_its_stars(gallery):
    item = gallery.add(picture(3), recipe())
    gallery.star(item.id)
    path = gallery.folder / ".gallery" / "index.sqlite3"
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE files DROP COLUMN seconds")
        db.execute("ALTER TABLE files DROP COLUMN frames")
        db.execute("PRAGMA user_version = 2")
    db.close()
    assert gallery.items()[0].starred and not gallery.items()[0].is_film
