"""Laws of the sound matrix: levels, presets as plain data, and films that move with what is heard."""

import json
from dataclasses import replace

import mido
import numpy as np
import pytest
from test_audio import SAMPLE_RATE, clicks
from toy_networks import ToyGenerator

from studio import hearing
from studio.audio import analyse
from studio.errors import MediaError, RecipeError
from studio.hearing import cache_path, hear
from studio.mapping import Preset, apply_preset, find_preset, levels, load_preset, parse_preset, presets, save_preset, user_folder
from studio.media.files import hash_file
from studio.midi import read_midi
from studio.recipe import Latent, Recipe, Truncation, from_json
from studio.recipe_film import Envelope, Film, Keyframe, Lane, LatentKey, LatentLane, Mapping, SoundRef
from studio.timeline import Timeline

FACTORY = ("breathing", "kick-zoom", "lucid", "maua", "section-cut")


@pytest.fixture(scope="module")
def drums():
    """Ten seconds: kicks at 120 BPM, hats between."""
    times = np.arange(0.25, 9.8, 0.5)
    return analyse([clicks(times, 10, "kick") + 0.5 * clicks(times + 0.25, 10, "hat")])


def film_recipe(**more):
    keys = tuple(LatentKey(number * 10 / 3, Latent.from_seed(seed)) for number, seed in enumerate((0, 3, 7)))
    return Recipe(film=Film(fps="30", seconds=10, latents=(LatentLane(keys=keys),), sounds=(SoundRef("drums.wav"),), **more))


def change_and_onset(recipe, heard, G):
    """The size of every frame's change, and the onset strength at the same frame."""
    plan = Timeline(recipe, G, levels=levels(recipe.film, [heard]))
    ws = plan.styles(range(plan.count)).ws
    change = (ws[1:] - ws[:-1]).flatten(1).norm(dim=1).numpy()
    return change, heard.at_frames("onset", plan.rate, plan.count)[1:]


def correlation_by_lag(change, onset):
    lags = range(-8, 9)
    pairs = [(change[max(0, lag) : len(change) + min(0, lag)], onset[max(0, -lag) : len(onset) + min(0, -lag)]) for lag in lags]
    found = [float(np.corrcoef(a, b)[0, 1]) for a, b in pairs]
    return found[8], lags[int(np.argmax(found))]


@pytest.mark.parametrize("seeds", ["three keyframes", "one place"])
def test_with_lucid_the_film_moves_on_the_beat(drums, seeds):
    recipe = film_recipe() if seeds == "three keyframes" else replace(film_recipe(), film=replace(film_recipe().film, latents=()))
    correlation, lag = correlation_by_lag(*change_and_onset(apply_preset(recipe, find_preset("lucid")), drums, ToyGenerator()))
    assert correlation > 0.5 and abs(lag) <= 1
    still, _ = correlation_by_lag(*change_and_onset(recipe, drums, ToyGenerator())) if recipe.film.latents else (0.0, 0)
    assert still < 0.3, "without the preset it does not"


@pytest.mark.parametrize("name", ["sonicpi_loop_breakbeat.flac", "sonicpi_loop_industrial.flac"])
def test_with_lucid_the_film_moves_on_the_beat_of_real_drum_loops(shared_data, name):
    recipe = replace(film_recipe(), film=replace(film_recipe().film, seconds=1.6))
    heard = hear(shared_data / "audio" / name)
    correlation, lag = correlation_by_lag(*change_and_onset(apply_preset(recipe, find_preset("lucid")), heard, ToyGenerator()))
    assert correlation > 0.5 and abs(lag) <= 1


def test_every_factory_preset_moves_a_film_and_survives_as_json(drums):
    assert set(FACTORY) <= set(presets())
    for name in FACTORY:
        recipe = apply_preset(film_recipe(), find_preset(name), c_dim=3)
        assert from_json(recipe.to_json()) == recipe
        assert len(levels(recipe.film, [drums])) == len(recipe.film.matrix)
        quiet = Timeline(recipe, ToyGenerator(c_dim=3), levels=levels(recipe.film, [None]))
        loud = Timeline(recipe, ToyGenerator(c_dim=3), levels=levels(recipe.film, [drums]))
        frames = range(0, 300, 7)
        moved = [(a, b) for a, b in zip(quiet.styles(frames).recipes, loud.styles(frames).recipes, strict=True) if a.view != b.view]
        styles = not np.allclose(quiet.styles(frames).ws.numpy(), loud.styles(frames).ws.numpy())
        assert moved or styles or name == "section-cut", name


def test_a_kick_brings_the_picture_nearer_at_its_frame(drums):
    recipe = apply_preset(film_recipe(), find_preset("kick-zoom"))
    plan = Timeline(recipe, levels=levels(recipe.film, [drums]))
    zooms = np.array([plan.values(index)["view.zoom"] for index in range(plan.count)])
    for time in np.arange(1.25, 9, 0.5):
        frame = round(time * 30)
        assert zooms[frame - 1 : frame + 2].max() > zooms[frame - 4] + 0.03
    assert zooms.min() >= 1.0 and zooms.max() <= 1.151


def test_a_section_cuts_to_the_next_place():
    noise = 0.3 * np.random.RandomState(0).randn(8 * SAMPLE_RATE).astype(np.float32)
    tone = (0.2 * np.sin(2 * np.pi * 220 * np.arange(8 * SAMPLE_RATE) / SAMPLE_RATE)).astype(np.float32)
    heard = analyse([tone, noise], parts=False)
    recipe = apply_preset(Recipe(film=Film(fps="10", seconds=16, sounds=(SoundRef(),))), find_preset("section-cut"))
    recipe = replace(recipe, film=replace(recipe.film, matrix=recipe.film.matrix[:1]))
    plan = Timeline(recipe, ToyGenerator(), levels=levels(recipe.film, [heard]))
    ws = plan.styles(range(plan.count)).ws
    changes = np.flatnonzero((ws[1:] - ws[:-1]).flatten(1).norm(dim=1).numpy() > 1e-6) + 1
    assert len(changes) == len(heard.sections) - 1 > 0
    assert abs(changes[0] / 10 - 8) < 1.1


def test_levels_follow_the_sound_the_entry_names_its_start_and_its_delay(drums):
    entry = Mapping("beat", envelope=Envelope(release=0.0, clip=100.0))
    film = Film(fps="30", seconds=4, sounds=(SoundRef("a"), SoundRef("b", start=1.0)), matrix=(entry, replace(entry, sound=1)))
    first, second = levels(film, [drums, drums])
    assert np.array_equal(second[:90], first[30:]) and set(np.unique(first)) == {0, 1}
    later = levels(replace(film, matrix=(replace(entry, envelope=replace(entry.envelope, delay=0.1)),)), [drums])[0]
    assert np.array_equal(later[3:], first[:-3])
    assert not any(level.any() for level in levels(film, [None])) and not any(level.any() for level in levels(film, []))
    with pytest.raises(RecipeError, match="cannot be heard"):
        levels(replace(film, matrix=(replace(entry, feature="scream"),)), [drums])


def test_a_film_too_long_for_its_matrix_is_refused():
    with pytest.raises(RecipeError, match="too many"):
        levels(Film(fps="120", seconds=36_000, matrix=(Mapping(),) * 256), [])


def test_a_preset_leaves_keyframes_and_out_of_reach_classes_alone():
    lane = Lane("truncation.psi", (Keyframe(0, 1),))
    recipe = film_recipe(lanes=(lane,))
    lucid = apply_preset(recipe, find_preset("lucid"), c_dim=3)
    assert lucid.film.latents == recipe.film.latents and lucid.film.lanes == (lane,)
    assert sum(entry.target.startswith("latent.classes.") for entry in lucid.film.matrix) == 3
    alone = apply_preset(Recipe(latent=Latent.from_seed(9), truncation=Truncation(0.5)), find_preset("lucid"))
    (walk,) = alone.film.latents
    assert walk.path == "walk" and walk.bound == 1.0 and walk.keys[0].latent == Latent.from_seed(9)


def test_a_users_preset_is_kept_found_and_shared_as_json():
    preset = Preset("my-one", "My one", "It moves.", matrix=(Mapping(target="view.zoom", mode="multiply"),))
    path = save_preset(preset)
    assert path.parent == user_folder() and load_preset(path) == preset == presets()["my-one"]
    (user_folder() / "bad.json").write_text("{")
    assert set(presets()) == {*FACTORY, "my-one"}
    with pytest.raises(RecipeError, match=r"not known.*lucid"):
        find_preset("loud")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"name": "../x"}, "preset.name"),
        ({"name": "a", "matrix": [{"target": "os.system('x')"}]}, "preset.matrix[0].target"),
        ({"name": "a", "matrix": [{"amount": 3}]}, "-2 to 2"),
        ({"name": "a", "code": "1"}, "unknown entry"),
        ({}, "no name"),
        ([], "not a JSON object"),
    ],
)
def test_a_preset_of_any_origin_is_data_or_one_sentence(data, words, tmp_path):
    with pytest.raises(RecipeError) as caught:
        parse_preset(json.dumps(data))
    assert words in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(RecipeError):
        save_preset(Preset("../x"))
    with pytest.raises(RecipeError, match="cannot be read"):
        load_preset(tmp_path / "none.json")


def test_a_sound_is_listened_to_once(tmp_path, monkeypatch):
    from media.test_sounds import write_wav

    path = write_wav(tmp_path / "a.wav", clicks(np.arange(0.2, 3, 0.5), 3)[None])
    first = hear(path)
    renamed = path.rename(tmp_path / "b.wav")
    with monkeypatch.context() as patched:
        patched.setattr(hearing, "analyse", lambda *_: pytest.fail("it was analysed again"))
        again = hear(renamed)
    assert np.array_equal(first.at_frames("onset", 30, 90), again.at_frames("onset", 30, 90))
    kept = cache_path(hash_file(renamed))
    kept.write_bytes(kept.read_bytes()[:100])
    assert np.array_equal(hear(renamed).at_frames("onset", 30, 90), first.at_frames("onset", 30, 90))
    (tmp_path / "c.wav").write_bytes(b"nothing")
    with pytest.raises(MediaError, match=r"^c\.wav"):
        hear(tmp_path / "c.wav")


def test_listening_tells_how_far_it_is_and_what_ends_it_keeps_nothing(tmp_path):
    from media.test_sounds import write_wav

    path = write_wav(tmp_path / "long.wav", 0.1 * np.sin(np.arange(45 * 8000) / 5)[None], 8000)
    told = []

    def stop_at_the_end(share):
        told.append(share)
        if share == 1.0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hear(path, stop_at_the_end)
    assert told == [0.0, pytest.approx(20 / 45, abs=0.01), pytest.approx(40 / 45, abs=0.01), 1.0]
    assert not cache_path(hash_file(path)).exists()


@pytest.fixture
def midi(tmp_path):
    """Two notes at 120 BPM, a slower tempo, a third note; a controller that rises."""
    file = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    file.tracks.append(track)
    for message in (
        mido.MetaMessage("set_tempo", tempo=500_000),
        mido.Message("control_change", control=7, value=0),
        mido.Message("note_on", note=60, velocity=127),
        mido.Message("note_off", note=60, time=480),
        mido.Message("note_on", note=64, velocity=64),
        mido.Message("note_on", note=64, velocity=0, time=480),
        mido.MetaMessage("set_tempo", tempo=1_000_000),
        mido.Message("note_on", note=72, velocity=32, time=480),
        mido.Message("control_change", control=7, value=127),
        mido.Message("note_off", note=72, time=240),
    ):
        track.append(message)
    file.save(tmp_path / "tune.mid")
    return tmp_path / "tune.mid"


def test_midi_notes_are_features_at_their_moments(midi):
    notes = hear(midi)
    assert notes.duration == pytest.approx(2.5)
    assert np.flatnonzero(notes.at_frames("note", 10, 30)).tolist() == [0, 5, 20]
    assert np.flatnonzero(notes.at_frames("note.60", 10, 30)).tolist() == [0, 1, 2, 3, 4]
    assert np.flatnonzero(notes.at_frames("note.72", 10, 30)).tolist() == [20, 21, 22, 23, 24]
    velocity, pitch, control = (notes.at_frames(name, 10, 30) for name in ("velocity", "pitch", "cc.7"))
    assert velocity[2] == 1 and velocity[7] == pytest.approx(64 / 127) and velocity[12] == 0
    assert pitch[2] == pytest.approx(60 / 127) and pitch[12] == 0
    assert control[19] == 0 and control[20] == 1
    assert np.flatnonzero(notes.at_frames("note", 10, 30, start=0.5)).tolist() == [0, 15]
    for name in ("note.128", "cc", "chroma.1", "note.x"):
        with pytest.raises(RecipeError, match="MIDI"):
            notes.at_frames(name, 10, 30)


@pytest.mark.parametrize("content", [b"", b"MThd", b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x01\xe0MTrk\x00\x00\x00\x10\x00\x90", b"x" * 999])
def test_a_damaged_midi_file_is_told_in_one_sentence(tmp_path, content):
    path = tmp_path / "odd.mid"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"^odd\.mid") as caught:
        read_midi(path)
    assert "\n" not in str(caught.value)


def test_damage_anywhere_in_a_midi_file_gives_notes_or_one_sentence(midi):
    whole = midi.read_bytes()
    random = np.random.RandomState(0)
    for _ in range(200):
        broken = bytearray(whole)
        for place in random.randint(0, len(whole), 3):
            broken[place] = random.randint(256)
        midi.write_bytes(bytes(broken[: random.randint(1, len(whole) + 1)]))
        try:
            read_midi(midi).at_frames("velocity", 10, 20)
        except MediaError as error:
            assert str(error).startswith("tune.mid")
