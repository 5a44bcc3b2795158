"""Laws of writing films: every frame once, the exact rate, sound as long as the picture, whole or not at all."""

import itertools
import json
import os
import subprocess
import sys
import textwrap
import types
import zipfile
from fractions import Fraction

import av
import numpy as np
import pytest
from film_synthesis import HEIGHT, WIDTH, packets, samples, square_film, write_tone
from PIL import Image

from studio.errors import MediaError
from studio.media import (
    KINDS,
    FilmFormat,
    FilmWriter,
    Sound,
    available_kinds,
    film_zips,
    fit_frame,
    format_for,
    inspect_media,
    probe_film,
    read_film,
    read_image,
    sweep_parts,
    write_film,
)
from studio.media.encoding_video import _redate, real_time_threads
from studio.recipe import MAX_FILM_JSON_BYTES, Latent, Recipe, Restyle

RECIPE = Recipe(latent=Latent(x=42.0))
MOVING = [kind for kind in available_kinds() if kind not in ("png", "jpeg", "sprites")]
WITH_SOUND = [kind for kind in MOVING if KINDS[kind].has_sound]


def difference(image, other):
    return float(np.abs(image[..., :3].astype(int) - other[..., :3].astype(int)).mean())


def square_place(image):
    """How far right the red square is, in pixels."""
    return np.nonzero((image[..., 0] > 218) & (image[..., 1] < 100))[1].mean()


def write(folder, kind, frames, rate=24, **options):
    settings = {name: options.pop(name) for name in list(options) if name in FilmFormat.__dataclass_fields__}
    path = folder / f"film{KINDS[kind].suffix}"
    return path, write_film(path, frames, rate=rate, format=FilmFormat(kind=kind, **settings), **options)


@pytest.mark.parametrize("kind", MOVING)
def test_every_frame_comes_back_once_in_its_place(kind, tmp_path):
    frames = square_film(12)
    path, saved = write(tmp_path, kind, frames)
    facts = probe_film(path)
    back = list(read_film(path))
    assert (facts.width, facts.height, facts.rate, facts.frames, facts.is_variable) == (WIDTH, HEIGHT, 24, 12, False)
    assert (saved.frames, saved.duration, facts.duration) == (12, Fraction(1, 2), Fraction(1, 2))
    assert [frame.time for frame in back] == [Fraction(index, 24) for index in range(12)]
    for index, frame in enumerate(back):
        assert abs(square_place(frame.image) - square_place(frames[index])) < 0.9
        assert difference(frame.image, frames[index]) < (15 if kind == "gif" else 3)
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", MOVING)
def test_while_a_film_is_written_no_thread_of_the_process_becomes_real_time(kind, tmp_path):
    """SVT-AV1 tries, and may where one is root; a machine with two cores would stand still."""
    found = []

    def watched():
        for frame in square_film(12):
            yield frame
            found.append(real_time_threads())

    write(tmp_path, kind, watched())
    assert found == [set()] * 12


@pytest.mark.parametrize("kind", [kind for kind in MOVING if KINDS[kind].has_alpha])
def test_alpha_comes_back(kind, tmp_path):
    frames = square_film(6, has_alpha=True)
    path, _ = write(tmp_path, kind, frames)
    assert probe_film(path).has_alpha
    back = list(read_film(path))
    assert len(back) == 6
    for frame, original in zip(back, frames, strict=True):
        inside = original[..., 3] == 255
        assert np.abs(frame.image[..., 3].astype(int) - original[..., 3]).mean() < 2
        assert difference(frame.image[inside], original[inside]) < 16


@pytest.mark.parametrize("kind", available_kinds())
def test_the_same_frames_give_the_same_bytes(kind, tmp_path):
    """Whatever was in memory before: in between, other films are written (96 x 96 is a size at which x264 can err)."""
    frames, others = square_film(6, width=96, height=96), [np.full((48, 128, 3), value, np.uint8) for value in (9, 99, 200)]
    hashes = set()
    for _ in range(4):
        hashes.add(write(tmp_path, kind, frames, recipe=RECIPE)[1].sha256)
        write(tmp_path, kind, others)
    assert len(hashes) == 1


@pytest.mark.parametrize("kind", [kind for kind in available_kinds() if kind not in ("png", "jpeg")])
def test_recipe_and_mark_travel_in_the_file(kind, tmp_path):
    recipe = Recipe(restyle=Restyle(source_name="cat & <dog>.mp4"))
    path, _ = write(tmp_path, kind, square_film(3), recipe=recipe)
    header = inspect_media(path)
    assert header.recipe == recipe
    assert header.marks.digital_source_type == "compositeWithTrainedAlgorithmicMedia"
    path, _ = write(tmp_path, kind, square_film(3), recipe=RECIPE, include_recipe=False)
    header = inspect_media(path)
    assert header.recipe is None
    assert header.marks.digital_source_type == "trainedAlgorithmicMedia"


@pytest.mark.parametrize("rate", ["30000/1001", "24000/1001", 60, Fraction(25, 2), 120, 1])
@pytest.mark.parametrize("kind", ["h264", "vp9", "prores", "apng"])
def test_rates_are_exact(kind, rate, tmp_path):
    path, _ = write(tmp_path, kind, square_film(9), rate=rate)
    facts = probe_film(path)
    assert (facts.rate, facts.frames, facts.is_variable) == (Fraction(rate), 9, False)
    assert facts.duration == 9 / Fraction(rate)


@pytest.mark.parametrize("kind", WITH_SOUND)
def test_sound_lasts_exactly_as_long_as_the_film(kind, tmp_path):
    for seconds in (0.3, 1.0, 1.6):
        tone = write_tone(tmp_path / "tone.flac", seconds, codec="flac")
        path, _ = write(tmp_path, kind, square_film(24), sound=Sound(tone))
        wave, rate = samples(path)
        assert abs(wave.shape[1] - rate) < 1024
        assert abs(float(probe_film(path).sound.duration) - 1.0) < (0.01 if kind == "vp9" else 0.0005)
        heard = round(min(seconds, 1.0) * rate)
        assert np.sqrt((wave[:, 2000 : heard - round(0.07 * rate)] ** 2).mean()) == pytest.approx(0.5 / 2**0.5, rel=0.1)
        assert np.abs(wave[:, heard + 1200 :]).max(initial=0) < 0.02
        if seconds > 1.0:
            assert np.abs(wave[:, rate - 100 : rate]).max() < 0.1


def test_sound_of_the_films_length_is_copied_untouched(tmp_path):
    for codec, suffix, kind in (("aac", "m4a", "h264"), ("mp3", "mp3", "h264"), ("libopus", "webm", "vp9"), ("aac", "m4a", "prores")):
        tone = write_tone(tmp_path / f"tone.{suffix}", 1.0, codec=codec)
        path, _ = write(tmp_path, kind, square_film(24), sound=Sound(tone))
        assert packets(path) == packets(tone), (codec, kind)
        assert abs(float(probe_film(path).sound.duration) - 1.0) <= 1 / 24


def test_copied_sound_is_cut_at_the_films_end_and_begins_where_it_is_told(tmp_path):
    tone = write_tone(tmp_path / "tone.m4a", 3.0)
    path, _ = write(tmp_path, "h264", square_film(24), sound=Sound(tone, start=1.5, mode="copy"))
    copied, whole = packets(path), packets(tone)
    first = whole.index(copied[0])
    assert copied == whole[first : first + len(copied)]
    assert abs(float(probe_film(path).sound.duration) - 1.0) < 0.03
    assert abs(first * 1024 / 48_000 - 1.5) < 0.05


def test_encoded_sound_begins_where_it_is_told(tmp_path):
    """The tone is silent before 1.5 s: a range from 1.4 s has its onset after 0.1 s, in every container."""
    silence = write_tone(tmp_path / "s.wav", 3.0, codec="pcm_s16le")
    data = bytearray(silence.read_bytes())
    begin = len(data) - 3 * 48_000 * 4
    data[begin : begin + 4 * 72_000] = bytes(4 * 72_000)
    silence.write_bytes(data)
    for kind in WITH_SOUND:
        path, _ = write(tmp_path, kind, square_film(24), sound=Sound(silence, start=1.4))
        wave, rate = samples(path)
        onset = np.argmax(np.abs(wave[0]) > 0.1) / rate
        assert abs(onset - 0.1) < 0.012, kind


def test_sound_of_a_film_goes_untouched_into_its_restyled_copy(tmp_path):
    tone = write_tone(tmp_path / "tone.m4a", 1.0)
    source, _ = write(tmp_path, "h264", square_film(24), sound=Sound(tone))
    write_film(tmp_path / "copy.mp4", [frame.image for frame in read_film(source)], rate=24, sound=Sound(source, mode="copy"))
    assert packets(tmp_path / "copy.mp4") == packets(source) == packets(tone)
    assert probe_film(tmp_path / "copy.mp4").sound == probe_film(source).sound


@pytest.mark.parametrize(("kind", "suffix"), [("png", ".png"), ("jpeg", ".jpg")])
def test_a_zip_holds_every_frame_and_tells_rate_and_recipe(kind, suffix, tmp_path):
    frames = square_film(5)
    path, _ = write(tmp_path, kind, frames, rate="30000/1001", recipe=RECIPE)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"frame-{index:05d}{suffix}" for index in range(5)] + ["film.json", "recipe.json"]
        facts = json.loads(archive.read("film.json"))
        assert (facts["rate"], facts["frames"], facts["width"], facts["height"]) == ("30000/1001", 5, WIDTH, HEIGHT)
        assert json.loads(archive.read("recipe.json")) == json.loads(RECIPE.to_json())
        for index, frame in enumerate(frames):
            picture = read_image(archive.read(f"frame-{index:05d}{suffix}"))
            assert difference(picture.image, frame) <= (0 if kind == "png" else 3)
            assert picture.marks.is_generated


def test_a_zip_of_frames_gives_its_recipe_back_and_any_other_zip_is_refused_in_one_sentence(tmp_path, monkeypatch):
    path, _ = write(tmp_path, "png", square_film(3), rate=24, recipe=RECIPE)
    found = inspect_media(path)
    assert (found.recipe, found.width, found.height, found.format) == (RECIPE, WIDTH, HEIGHT, "ZIP")
    (tmp_path / "bare").mkdir()
    bare, _ = write(tmp_path / "bare", "jpeg", square_film(3), rate=24)
    assert inspect_media(bare).recipe is None
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("film.json", b" " * (MAX_FILM_JSON_BYTES + 1))
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("../film.json", "{}")
    (tmp_path / "half.zip").write_bytes(path.read_bytes()[:400])
    for name, words in (("bomb.zip", "damaged"), ("other.zip", "no film of the studio"), ("half.zip", "cut short")):
        with pytest.raises(MediaError, match=words) as caught:
            inspect_media(tmp_path / name)
        assert str(caught.value).startswith(name)
        assert "\n" not in str(caught.value)
    monkeypatch.setattr(film_zips, "MAX_DIRECTORY_BYTES", 10)
    with pytest.raises(MediaError, match="too many entries"):
        inspect_media(path)


@pytest.mark.parametrize("columns", [None, 1, 4, 9])
def test_a_spritesheet_and_its_json_give_every_frame(columns, tmp_path):
    frames = square_film(7, has_alpha=True)
    path, _ = write(tmp_path, "sprites", frames, rate=12, columns=columns, recipe=RECIPE)
    picture, sheet = read_image(path), json.loads(path.with_suffix(".json").read_text())
    assert picture.recipe == RECIPE
    assert sheet["meta"]["size"] == {"w": picture.width, "h": picture.height}
    assert len(sheet["frames"]) == 7
    pixels = np.dstack([picture.image, picture.alpha])
    for entry, frame in zip(sheet["frames"], frames, strict=True):
        x, y, w, h = (entry["frame"][key] for key in "xywh")
        assert (pixels[y : y + h, x : x + w] == frame).all()


def test_others_read_the_animations_too(tmp_path):
    for kind in ("gif", "webp", "apng"):
        path, _ = write(tmp_path, kind, square_film(10), rate=20, loops=0)
        with Image.open(path) as file:
            assert (file.n_frames, file.size, file.info["loop"]) == (10, (WIDTH, HEIGHT), 0)
    path, _ = write(tmp_path, "gif", square_film(3), loops=1)
    with Image.open(path) as file:
        assert "loop" not in file.info


def test_equal_frames_stay_separate_frames(tmp_path):
    frames = [square_film(1)[0]] * 5
    for kind in MOVING:
        path, _ = write(tmp_path, kind, frames)
        assert len(list(read_film(path))) == probe_film(path).frames == 5, kind


def test_lossless_kinds_keep_every_pixel(tmp_path):
    frames = square_film(3)
    for kind in ("webp", "apng"):
        path, _ = write(tmp_path, kind, frames)
        assert all((frame.image == original).all() for frame, original in zip(read_film(path), frames, strict=True))


def test_gif_frames_with_their_own_palettes_are_truer(tmp_path):
    frames = square_film(8)

    def error(**options):
        path, _ = write(tmp_path, "gif", frames, **options)
        return np.mean([difference(frame.image, original) for frame, original in zip(read_film(path), frames, strict=True)])

    assert error(palette="frame") < 4 < error(palette="global") < 12
    assert all(error(palette="frame", dither=dither) < 4 for dither in ("sierra", "floyd", "bayer", "none"))


def test_frames_that_come_only_once_make_a_gif_too(tmp_path):
    frames = square_film(4)
    write_film(tmp_path / "a.gif", iter(frames), rate=10)
    write_film(tmp_path / "b.gif", lambda: iter(frames), rate=10)
    write_film(tmp_path / "c.gif", frames, rate=10)
    assert (tmp_path / "b.gif").read_bytes() == (tmp_path / "c.gif").read_bytes() != (tmp_path / "a.gif").read_bytes()
    assert probe_film(tmp_path / "a.gif").frames == 4


def test_sharp_colours_survive_444_and_not_420(tmp_path):
    stripes = np.zeros((48, 64, 3), np.uint8)
    stripes[:, ::2], stripes[:, 1::2] = (255, 0, 0), (0, 0, 255)
    errors = {}
    for kind in ("h264", "h265", "vp9"):
        for chroma in ("420", "444"):
            path, _ = write(tmp_path, kind, [stripes] * 3, chroma=chroma, crf=4)
            errors[chroma] = difference(next(read_film(path)).image, stripes)
        assert errors["444"] < 10 < errors["420"], (kind, errors)


@pytest.mark.parametrize(("even", "size"), [("pad", (64, 48)), ("crop", (62, 46))])
def test_odd_sides_are_padded_or_cropped_never_scaled(even, size, tmp_path):
    frames = square_film(3, width=63, height=47)
    path, _ = write(tmp_path, "h264", frames, even=even, crf=4)
    image = next(read_film(path)).image
    assert (image.shape[1], image.shape[0]) == size
    assert difference(image[:46, :62], frames[0][:46, :62]) < 2
    if even == "pad":
        assert difference(image[:47, 63], frames[0][:, 62]) < 8
    path, _ = write(tmp_path, "h264", frames, chroma="444")
    assert next(read_film(path)).image.shape == (47, 63, 3)
    for kind in ("vp9", "gif", "webp", "apng", "prores4444"):
        path, _ = write(tmp_path, kind, frames)
        assert next(read_film(path)).image.shape == (47, 63, 3), kind


def test_colours_are_tagged_and_mp4_begins_with_its_index(tmp_path):
    for kind in ("h264", "h265", "av1", "vp9", "prores"):
        path, _ = write(tmp_path, kind, square_film(3))
        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1), kind
        if path.suffix == ".mp4":
            data = path.read_bytes()
            assert data.index(b"moov") < data.index(b"mdat")


def test_a_better_quality_is_nearer_and_larger(tmp_path):
    frames = [np.random.RandomState(index).randint(0, 255, (48, 64, 3), np.uint8) for index in range(4)]
    for kind in ("h264", "h265", "vp9", "av1"):
        (_, good), (_, poor) = (write(tmp_path, kind, frames, crf=crf) for crf in (5, 45))
        assert good.size_bytes > 1.5 * poor.size_bytes, kind


@pytest.mark.parametrize("count", [1, 2, 3, 4, 40])
@pytest.mark.parametrize("kind", [kind for kind in ("h264", "h265") if kind in available_kinds()])
def test_short_films_are_decoded_in_order(kind, count, tmp_path):
    path, _ = write(tmp_path, kind, square_film(count))
    with av.open(str(path)) as container:
        times = [(packet.pts, packet.dts) for packet in container.demux(video=0) if packet.size]
    step = min(abs(one[0] - two[0]) for one, two in itertools.pairwise(sorted(times))) if count > 1 else 1
    assert len(times) == count
    assert [dts for _, dts in times] == sorted({dts for _, dts in times})
    assert all(0 <= pts - dts <= 5 * step for pts, dts in times), "x265 leaves the times of very short films undefined"


@pytest.mark.parametrize(
    ("shown", "decoded"), [([0], [0]), ([0, 1], [0, 1]), ([0, 2, 1], [-1, 0, 1]), ([0, 4, 2, 1, 3], [-2, -1, 0, 1, 2])]
)
def test_times_that_the_encoder_left_undefined_are_set(shown, decoded):
    packets = [types.SimpleNamespace(pts=pts, dts=-171798693551) for pts in shown]
    _redate(packets)
    assert [packet.dts for packet in packets] == decoded


@pytest.mark.parametrize("kind", available_kinds())
def test_a_film_that_fails_leaves_the_old_one(kind, tmp_path):
    path, _ = write(tmp_path, kind, square_film(2))
    names, old = sorted(os.listdir(tmp_path)), path.read_bytes()

    def failing():
        yield from square_film(3)
        raise RuntimeError("the renderer broke")

    with pytest.raises(RuntimeError, match="the renderer broke"):
        write_film(path, failing(), rate=24, format=FilmFormat(kind=kind))
    with pytest.raises(MediaError, match="no frames"):
        write_film(path, [], rate=24, format=FilmFormat(kind=kind, palette="frame"))
    with pytest.raises(MediaError, match="the first was"):
        write_film(path, [*square_film(2), square_film(1, width=32)[0]], rate=24, format=FilmFormat(kind=kind, palette="frame"))
    assert (sorted(os.listdir(tmp_path)), path.read_bytes()) == (names, old)


FULL = """
    import resource, signal, sys
    sys.path.insert(0, {tests!r})
    from film_synthesis import square_film
    from studio.errors import MediaError
    from studio.media import FilmFormat, write_film
    import numpy as np
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    noise = [np.random.RandomState(i).randint(0, 255, (64, 64, 3), np.uint8) for i in range(40)]
    for kind, suffix in {kinds!r}:
        try:
            write_film(sys.argv[1] + "/film-" + kind + suffix, noise, rate=24, format=FilmFormat(kind=kind))
            print(kind, "was written")
        except MediaError as error:
            print(kind, error)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs limits on file sizes")
def test_a_full_disk_is_one_sentence_and_leaves_nothing_behind(tmp_path):
    kinds = [(kind, KINDS[kind].suffix) for kind in available_kinds()]
    script = textwrap.dedent(FULL).format(tests=os.path.dirname(os.path.dirname(__file__)), kinds=kinds)
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    assert len(lines) == len(kinds), done.stderr
    for line in lines:
        assert "the disk is full" in line, (line, done.stderr)
    assert os.listdir(tmp_path) == []


KILLED = """
    import os, sys
    sys.path.insert(0, {tests!r})
    from film_synthesis import square_film
    from studio.media import write_film
    def frames():
        yield from square_film(5)
        os.kill(os.getpid(), 9)
    write_film(sys.argv[1] + "/film.mp4", frames(), rate=24)
"""


def test_a_killed_encoder_leaves_a_part_that_is_swept(tmp_path):
    script = textwrap.dedent(KILLED).format(tests=os.path.dirname(os.path.dirname(__file__)))
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, timeout=60)
    assert done.returncode == -9
    assert [name.endswith(".part") for name in os.listdir(tmp_path)] == [True]
    assert sweep_parts(tmp_path) == 1
    assert os.listdir(tmp_path) == []


def test_frames_are_taken_one_by_one(tmp_path):
    """While frame n is made, all but the few that an encoder looks ahead are gone: frames are never collected."""
    alive, most = set(), 0

    class Counted(np.ndarray):
        def __del__(self):
            alive.discard(id(self))

    def frames():
        nonlocal most
        for index in range(100):
            frame = np.full((16, 16, 3), index, np.uint8).view(Counted)
            alive.add(id(frame))
            most = max(most, len(alive))
            yield frame

    for kind in [kind for kind in available_kinds() if kind != "sprites"]:
        write_film(tmp_path / "film", frames(), rate=24, format=FilmFormat(kind=kind))
    assert 0 < most < 8


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: write_film(path / "a.xyz", [], rate=24), "none of these"),
        (lambda path: write_film(path / "a.mp4", [], rate=0), "1 to 120"),
        (lambda path: write_film(path / "a.gif", square_film(1), rate=60), "at most 50"),
        (lambda path: write_film(path / "a.gif", square_film(1), rate=10, sound=Sound("x.wav")), "has no sound"),
        (lambda path: write_film(path / "a.mp4", square_film(1), rate=10, sound=Sound(path / "x.wav")), "not found"),
        (lambda path: write_film(path / "a.mp4", [np.zeros((4, 4), np.uint8)], rate=10), "frame must be uint8"),
        (lambda path: write_film(path / "a.mp4", [np.zeros((4, 4, 3))], rate=10), "must be uint8"),
        (lambda path: FilmFormat(kind="mpeg1"), "kind='mpeg1'"),
        (lambda path: FilmFormat(crf=99), "crf=99"),
        (lambda path: FilmFormat(preset="turbo"), "preset='turbo'"),
        (lambda path: FilmFormat(kind="av1", chroma="444"), "chroma"),
        (lambda path: FilmFormat(even="stretch"), "even"),
        (lambda path: Sound("x", start=3, end=2), "is empty"),
    ],
)
def test_impossible_wishes_are_named(make, words, tmp_path):
    with pytest.raises(MediaError, match=words):
        make(tmp_path)
    assert os.listdir(tmp_path) == []


def test_the_suffix_chooses_the_format():
    assert [format_for(f"a{suffix}").kind for suffix in (".mp4", ".WEBM", ".mov", ".gif", ".webp", ".apng", ".zip", ".png")] == [
        *("h264", "vp9", "prores", "gif", "webp", "apng", "png", "sprites")
    ]
    assert format_for("a.mp4", kind="h265", crf=30) == FilmFormat(kind="h265", crf=30)


def test_a_writer_takes_frames_as_they_come(tmp_path):
    with FilmWriter(tmp_path / "a.mp4", rate=24, recipe=RECIPE) as writer:
        for frame in square_film(7):
            writer.write(frame)
    assert (writer.frames, writer.saved.frames, writer.saved.duration) == (7, 7, Fraction(7, 24))
    assert write_film(tmp_path / "b.mp4", square_film(7), rate=24, recipe=RECIPE).sha256 == writer.saved.sha256


@pytest.mark.parametrize("has_alpha", [False, True])
@pytest.mark.parametrize(("width", "height"), [(128, 48), (30, 90), (64, 48), (33, 17), (500, 20)])
def test_fitting_gives_the_size_and_keeps_the_middle(width, height, has_alpha):
    image = square_film(1, has_alpha=has_alpha)[0]
    image[..., :3] = 200
    for mode in ("pad", "mirror", "crop", "stretch"):
        fitted = fit_frame(image, width, height, mode)
        assert fitted.shape == (height, width, image.shape[2])
        if not has_alpha:
            assert abs(int(fitted[height // 2, width // 2, 0]) - 200) <= 2
            assert mode == "pad" or (abs(fitted.astype(int) - 200) <= 2).all()
    padded = fit_frame(image, width, height, "pad", ground=(1, 2, 3))
    if width / height != 64 / 48:
        assert padded[0, 0].tolist() == ([1, 2, 3, 0] if has_alpha else [1, 2, 3])


def test_mirrored_edges_reflect_the_picture():
    image = square_film(1)[0]
    fitted = fit_frame(image, 96, 48, "mirror")
    assert (fitted[:, 16:80] == image).all()
    assert (fitted[:, :16] == image[:, :16][:, ::-1]).all()
    with pytest.raises(MediaError, match="mode='fill'"):
        fit_frame(image, 96, 48, "fill")


@pytest.mark.parametrize("kind", [kind for kind in MOVING if KINDS[kind].suffix != ".mov"])
def test_frames_with_their_own_times_keep_them(kind, tmp_path):
    stamps = [Fraction(stamp, 100) for stamp in (0, 4, 7, 20, 33, 100, 104, 150)]
    with FilmWriter(tmp_path / "a", rate=None, format=FilmFormat(kind=kind)) as writer:
        for frame, stamp in zip(square_film(8), stamps, strict=True):
            writer.write(frame, stamp + 3)
        writer.end_at(Fraction(170, 100) + 3)
    facts, back = probe_film(tmp_path / "a"), list(read_film(tmp_path / "a"))
    assert (facts.is_variable, facts.frames, writer.saved.duration) == (True, 8, Fraction(17, 10))
    assert facts.duration == Fraction(17, 10) or kind == "apng"
    assert [frame.time for frame in back] == stamps
    write_film(tmp_path / "b", back, rate=None, format=FilmFormat(kind=kind))
    assert [(frame.time, frame.duration) for frame in read_film(tmp_path / "b")] == [(frame.time, frame.duration) for frame in back]
    with pytest.raises(MediaError, match="is not after"), FilmWriter(tmp_path / "c", rate=None, format=FilmFormat(kind=kind)) as writer:
        for stamp in (1, 2, 1.5):
            writer.write(square_film(1)[0], stamp)
