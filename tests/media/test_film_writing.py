"""Laws of writing films: every frame once, the exact rate, sound as long as the picture, whole or not at all."""

from fractions import Fraction

import numpy as np
import pytest
from film_synthesis import HEIGHT, WIDTH, packets, samples, square_film, write_tone

from studio.media import (
    KINDS,
    FilmFormat,
    Sound,
    available_kinds,
    inspect_media,
    probe_film,
    read_film,
    write_film,
)
from studio.recipe import Latent, Recipe, Restyle

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
    frames = square_film(6)
    hashes = {write(tmp_path, kind, frames, recipe=RECIPE)[1].sha256 for _ in range(2)}
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
