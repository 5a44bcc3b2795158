"""Laws of reading films: the frames that are there, at their times, upright and in the right colours, or one sentence."""

import os
import random
import struct
import time
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import psutil
import pytest
from film_synthesis import HEIGHT, WIDTH, square_film, turn_mp4, write_raw, write_tone
from PIL import Image

from studio.errors import MediaError
from studio.media import FilmFormat, inspect_media, is_film, parse_rate, probe_film, read_film, write_film, write_image

FLAT = {"crf": "1", "preset": "ultrafast", "g": "8"}


def difference(image, other):
    return float(np.abs(image[..., :3].astype(int) - other[..., :3].astype(int)).mean())


def times(path, **options):
    return [frame.time for frame in read_film(path, **options)]


@pytest.fixture
def film(tmp_path):
    """Forty frames at 20 a second with a key frame every eight."""
    return write_raw(tmp_path / "film.mp4", square_film(40), rate=20, options=FLAT)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "avi", "ts"])
def test_every_container_gives_every_frame_at_its_time(suffix, tmp_path):
    frames = square_film(20)
    path = write_raw(tmp_path / f"film.{suffix}", frames, rate=25)
    facts = probe_film(path)
    assert (facts.width, facts.height, facts.rate, facts.frames, facts.is_exact) == (WIDTH, HEIGHT, 25, 20, True)
    assert facts.container == suffix
    back = list(read_film(path))
    assert [(frame.index, frame.time, frame.duration) for frame in back] == [(i, Fraction(i, 25), Fraction(1, 25)) for i in range(20)]
    assert max(difference(frame.image, frames[frame.index]) for frame in back) < 3


def test_uneven_times_are_kept(tmp_path):
    stamps = [0, 40, 50, 200, 333, 1000, 1010, 1500]
    path = write_raw(tmp_path / "film.mkv", square_film(8), stamps=stamps)
    facts = probe_film(path)
    assert (facts.is_variable, facts.frames) == (True, 8)
    back = list(read_film(path))
    assert [frame.time for frame in back] == [Fraction(stamp, 1000) for stamp in stamps]
    assert [frame.duration for frame in back[:-1]] == [Fraction(b - a, 1000) for a, b in pairwise(stamps)]


def test_a_constant_rate_gives_the_nearest_frame_on_an_exact_grid(tmp_path):
    stamps = [0, 40, 50, 200, 333, 1000, 1010, 1500]
    frames = square_film(8)
    path = write_raw(tmp_path / "film.mkv", frames, stamps=stamps)
    facts = probe_film(path)
    back = list(read_film(path, rate=10))
    assert len(back) == round(facts.duration * 10)
    assert [frame.time for frame in back] == [Fraction(index, 10) for index in range(len(back))]
    for frame in back:
        shown = int(np.argmin([difference(frame.image, other) for other in frames]))
        begins = stamps[shown] / 1000
        ends = stamps[shown + 1] / 1000 if shown < 7 else 99
        assert begins - 0.05 <= float(frame.time) <= ends + 0.05


@pytest.mark.parametrize("kind", ["h264", "vp9", "gif", "webp", "apng"])
def test_the_films_own_rate_gives_each_frame_once(kind, tmp_path):
    path = tmp_path / "film"
    write_film(path, square_film(23), rate=Fraction(30000, 1001), format=FilmFormat(kind=kind))
    own, constant = list(read_film(path)), list(read_film(path, rate="30000/1001"))
    assert len(own) == len(constant) == 23
    assert all((a.image == b.image).all() for a, b in zip(own, constant, strict=True))
    assert len(list(read_film(path, rate=60))) == round(23 * 60 * 1001 / 30000)


@pytest.mark.parametrize(
    ("matrix", "turn", "rotation"),
    [
        ((1, 0, 0, 1), lambda image: image, 0),
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1), 90),
        ((-1, 0, 0, -1), lambda image: np.rot90(image, 2), 180),
        ((0, -1, 1, 0), lambda image: np.rot90(image, 1), 270),
        ((-1, 0, 0, 1), lambda image: image[:, ::-1], 0),
    ],
)
def test_frames_are_turned_as_the_file_asks(matrix, turn, rotation, tmp_path):
    frames = square_film(3)
    path = turn_mp4(write_raw(tmp_path / "film.mp4", frames), matrix)
    facts, back = probe_film(path), list(read_film(path))
    wanted = turn(frames[2])
    assert back[2].image.shape == wanted.shape == (facts.height, facts.width, 3)
    assert difference(back[2].image, wanted) < 3
    assert facts.rotation == rotation


@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv420p"])
@pytest.mark.parametrize("matrix", [1, 5])
@pytest.mark.parametrize("value_range", [1, 2])
def test_matrix_and_range_are_those_that_the_film_names(value_range, matrix, pixel_format, tmp_path):
    flat = [np.full((HEIGHT, WIDTH, 3), color, np.uint8) for color in [(200, 30, 60), (10, 220, 90), (255, 255, 255), (0, 0, 0)]]
    settings = {"colorspace": matrix, "color_range": value_range}
    reformat = {"dst_colorspace": matrix, "dst_color_range": value_range}
    path = write_raw(tmp_path / "film.mp4", flat, pixel_format=pixel_format, settings=settings, reformat=reformat)
    for frame, color in zip(read_film(path), flat, strict=True):
        assert np.abs(frame.image.astype(int) - color).max() <= 4


@pytest.mark.parametrize(("height", "matrix"), [(48, 5), (720, 1)])
def test_a_film_that_names_no_matrix_is_read_as_players_do(height, matrix, tmp_path):
    flat = [np.full((height, 64, 3), (200, 30, 60), np.uint8)] * 2
    reformat = {"dst_colorspace": matrix, "dst_color_range": 1}
    path = write_raw(tmp_path / "film.mp4", flat, settings={"colorspace": 2}, reformat=reformat)
    assert np.abs(next(read_film(path)).image.astype(int) - flat[0]).max() <= 4


def test_odd_sizes_are_kept(tmp_path):
    frames = square_film(4, width=63, height=47)
    for name, codec, pixel_format in (("a.mp4", "libx264", "yuv444p"), ("b.webm", "libvpx-vp9", "yuv420p")):
        path = write_raw(tmp_path / name, frames, codec=codec, pixel_format=pixel_format, options={"crf": "4"})
        assert next(read_film(path)).image.shape == (47, 63, 3)


def test_pixels_become_square(tmp_path):
    path = write_raw(tmp_path / "film.mp4", square_film(2), settings={"sample_aspect_ratio": Fraction(3, 2)})
    facts = probe_film(path)
    assert (facts.width, facts.height) == (96, 48)
    assert next(read_film(path)).image.shape == (48, 96, 3)


def test_a_range_gives_the_frames_that_are_on_screen_in_it(film):
    whole = list(read_film(film))
    part = list(read_film(film, start=0.5, end=Fraction(3, 4)))
    assert [frame.time for frame in part] == [Fraction(index, 20) for index in range(10, 15)]
    assert [frame.index for frame in part] == list(range(5))
    assert all((frame.image == whole[10 + frame.index].image).all() for frame in part)
    assert times(film, start=0.52)[0] == Fraction(1, 2)
    assert times(film, start=1.93) == [Fraction(38, 20), Fraction(39, 20)]
    assert times(film, start=0.5, end=1, rate=40) == [Fraction(1, 2) + Fraction(index, 40) for index in range(20)]


def test_a_range_is_sought_not_decoded_up_to(tmp_path):
    """The first half of the pictures is overwritten: reading from there fails, reading past it does not notice."""
    path = write_raw(tmp_path / "film.mp4", square_film(80), rate=20, options=FLAT)
    with av.open(str(path)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.pos is not None and packet.size]
    data = bytearray(path.read_bytes())
    data[places[0] : places[40]] = os.urandom(places[40] - places[0])
    path.write_bytes(data)
    assert len(times(path, start=3)) == 20


def test_alpha_of_palettes_and_of_pillow_is_kept(tmp_path):
    frames = [Image.fromarray(frame) for frame in square_film(4, has_alpha=True)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=50, lossless=True)
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], duration=50)
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=50, disposal=2)
    for name in ("a.webp", "a.png", "a.gif"):
        facts, back = probe_film(tmp_path / name), list(read_film(tmp_path / name))
        assert (facts.has_alpha, facts.frames, facts.rate, len(back)) == (True, 4, 20, 4)
        for frame, original in zip(back, frames, strict=True):
            assert (frame.image[..., 3] == np.asarray(original)[..., 3]).all()


def test_a_gif_without_times_plays_at_ten_a_second_as_viewers_do(tmp_path):
    frames = [Image.fromarray(frame) for frame in square_film(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=0)
    assert times(tmp_path / "a.gif") == [0, Fraction(1, 10), Fraction(2, 10)]


def test_sound_is_described(tmp_path):
    tone = write_tone(tmp_path / "tone.m4a", 1.0, rate=44_100)
    assert probe_film(write_raw(tmp_path / "silent.mp4", square_film(2))).sound is None
    with pytest.raises(MediaError, match="holds only sound"):
        probe_film(tone)
    assert not is_film(tone)


def test_pictures_and_films_are_inspected_alike(tmp_path, film):
    write_image(tmp_path / "a.png", square_film(1)[0])
    assert [inspect_media(path).format for path in (tmp_path / "a.png", film)] == ["PNG", "MP4"]
    assert not is_film(tmp_path / "a.png")
    with pytest.raises(MediaError, match="is a picture, not a film"):
        probe_film(tmp_path / "a.png")


def sentence(error):
    text = str(error)
    assert len(text) < 250
    assert "\n" not in text
    assert "Traceback" not in text
    assert "0x" not in text
    return text


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_film_cut_short_gives_its_good_frames_and_then_one_sentence(suffix, tmp_path):
    options = {"movflags": "+faststart"} if suffix == "mp4" else {}
    path = tmp_path / f"film.{suffix}"
    write_raw(path, square_film(80), rate=20, options={**FLAT, **options})
    whole = [frame.image for frame in read_film(path)]
    with av.open(str(path)) as container:
        places = sorted(packet.pos for packet in container.demux(video=0) if packet.pos is not None and packet.size)
    moved = tmp_path / f"cut.{suffix}"
    data = path.read_bytes()
    if suffix == "mp4":
        remux_faststart(path, moved)
        data = moved.read_bytes()
        with av.open(str(moved)) as container:
            places = sorted(packet.pos for packet in container.demux(video=0) if packet.pos is not None and packet.size)
    moved.write_bytes(data[: places[40] + 3])
    given = []
    with pytest.raises(MediaError) as caught:
        given.extend(frame.image for frame in read_film(moved))
    assert "damaged" in sentence(caught.value)
    assert 30 <= len(given) <= 41
    assert all((a == b).all() for a, b in zip(given[:35], whole, strict=False))


def remux_faststart(source, target):
    with av.open(str(source)) as reader, av.open(str(target), "w", container_options={"movflags": "+faststart"}) as writer:
        stream = writer.add_stream_from_template(reader.streams.video[0])
        for packet in reader.demux(video=0):
            if packet.size:
                packet.stream = stream
                writer.mux(packet)


def test_what_is_no_film_is_refused_in_one_sentence(tmp_path, film):
    data = film.read_bytes()
    cases = {
        "empty.mp4": b"",
        "noise.mp4": random.Random(1).randbytes(5000),
        "headless.mp4": data[: data.index(b"moov") - 4],
        "text.mp4": b"hello " * 100,
        "list.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfilm.mp4\n#EXT-X-ENDLIST\n",
        "list.ffconcat": b"ffconcat version 1.0\nfile film.mp4\n",
        "list.mp4": b"ffconcat version 1.0\nfile film.mp4\n",
        "session.sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MediaError) as caught:
            list(read_film(tmp_path / name))
        assert name in sentence(caught.value)
        assert not is_film(tmp_path / name)
    os.mkfifo(tmp_path / "pipe.mp4")
    for name in ("pipe.mp4", "absent.mp4", "."):
        with pytest.raises(MediaError):
            probe_film(tmp_path / name)
    with pytest.raises(MediaError):
        probe_film(f"concat:{film}")


def test_frames_beyond_the_limit_are_refused_before_they_are_decoded(tmp_path):
    """In the header of a GIF, and in the parameters of an MPEG-4 stream in AVI (60000 x 60000 would be 5 GB a frame)."""
    screen = b"GIF89a" + struct.pack("<HH", 65_000, 65_000) + b"\x80\0\0" + bytes(6)
    frame = b"\x2c" + struct.pack("<HHHH", 0, 0, 65_000, 65_000) + b"\0\x02\x02\x44\x01\0;"
    (tmp_path / "huge.gif").write_bytes(screen + frame)
    path = write_raw(tmp_path / "huge.avi", square_film(3), codec="mjpeg", pixel_format="yuvj420p", options={})
    data = path.read_bytes().replace(struct.pack(">HH", HEIGHT, WIDTH), struct.pack(">HH", 60_000, 60_000))
    path.write_bytes(data.replace(struct.pack("<II", WIDTH, HEIGHT), struct.pack("<II", 60_000, 60_000)))
    before = psutil.Process().memory_info().rss
    for name, words in (("huge.gif", "million pixels"), ("huge.avi", "million pixels|be decoded")):
        with pytest.raises(MediaError, match=words):
            probe_film(tmp_path / name)
    assert psutil.Process().memory_info().rss - before < 200e6


def test_a_film_that_claims_to_last_for_years_is_refused(tmp_path):
    path = write_raw(tmp_path / "film.mkv", square_film(3), stamps=[0, 40, 10**11])
    with pytest.raises(MediaError, match="most is 24"):
        list(read_film(path, rate=30))


def test_no_damage_raises_anything_but_a_sentence(tmp_path):
    chance = random.Random(7)
    sources = []
    for kind, suffix in (("h264", "mp4"), ("vp9", "webm"), ("gif", "gif"), ("webp", "webp"), ("apng", "apng")):
        path = tmp_path / f"good.{suffix}"
        write_film(path, square_film(6), rate=12, format=FilmFormat(kind=kind))
        sources.append(path)
    broken = 0
    for _ in range(60):
        source = chance.choice(sources)
        data = bytearray(source.read_bytes())
        for _ in range(chance.choice([1, 4, 30])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.3:
            del data[chance.randrange(8, len(data)) :]
        path = tmp_path / f"bad{source.suffix}"
        path.write_bytes(data)
        try:
            frames = list(read_film(path, rate=12))
            assert len(frames) < 100_000
        except MediaError as error:
            sentence(error)
            broken += 1
    assert broken > 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start": 5}, "after the end"),
        ({"start": 1, "end": 1}, "is not after"),
        ({"start": -1}, "before the beginning"),
        ({"rate": 500}, "1 to 120"),
        ({"rate": "fast"}, "not a frame rate"),
        ({"end": float("nan")}, "not a time"),
    ],
)
def test_impossible_wishes_are_named(options, words, film):
    with pytest.raises(MediaError, match=words):
        read_film(film, **options)


def test_broadcast_rates_are_understood():
    assert [parse_rate(rate) for rate in (29.97, "23.976", 59.94, 30, "25/2", 12.5)] == [
        Fraction(30000, 1001),
        Fraction(24000, 1001),
        Fraction(60000, 1001),
        30,
        Fraction(25, 2),
        Fraction(25, 2),
    ]


def test_times_only_go_forward_whatever_the_file_says(tmp_path):
    path = write_raw(tmp_path / "film.mkv", square_film(6), stamps=[0, 10, 11, 12, 500, 501])
    found = times(path)
    assert found == sorted(set(found))
    assert len(found) == 6


def test_ranges_of_films_with_alpha_and_of_animations_are_the_whole_films_frames(tmp_path):
    for kind in ("vp9", "prores4444", "gif", "webp", "apng"):
        path = tmp_path / "film"
        write_film(path, square_film(30, has_alpha=True), rate=10, format=FilmFormat(kind=kind))
        whole, part = list(read_film(path)), list(read_film(path, start=1.5, end=2))
        assert [frame.time for frame in part] == [Fraction(index, 10) for index in range(15, 20)], kind
        assert all((frame.image == whole[15 + frame.index].image).all() for frame in part), kind


def test_a_png_whose_still_is_no_part_of_its_animation_gives_the_animation(tmp_path):
    frames = [Image.fromarray(frame) for frame in square_film(4)]
    frames[3].save(tmp_path / "a.png", save_all=True, append_images=frames[:3], default_image=True, duration=[40, 50, 60])
    back = list(read_film(tmp_path / "a.png"))
    assert [frame.duration for frame in back] == [Fraction(4, 100), Fraction(5, 100), Fraction(6, 100)]
    assert all((frame.image == np.asarray(frames[frame.index])).all() for frame in back)


def test_probing_a_long_animation_decodes_one_frame(tmp_path):
    """Its frames claim to be 3000 x 3000 each: to decode all 401 takes many seconds."""
    still = Image.new("P", (3000, 3000))
    still.save(tmp_path / "one.gif")
    data = (tmp_path / "one.gif").read_bytes()
    (tmp_path / "many.gif").write_bytes(data[:-1] + data[data.index(b"\x2c\0\0\0\0") : -1] * 400 + b";")
    begin = time.process_time()
    assert probe_film(tmp_path / "many.gif").frames == 401
    assert time.process_time() - begin < 2
