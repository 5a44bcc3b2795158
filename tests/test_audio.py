"""What is heard, on sounds that are known exactly: clicks, tones, noise. This file imports librosa."""

import subprocess
import sys
import textwrap
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from studio.audio import FEATURES, Analysis, analyse, envelope
from studio.audio.analysis import NOTES, mark_nearest, sample
from studio.audio.sections import find_sections
from studio.audio.spectra import HOP, SAMPLE_RATE, trace
from studio.errors import RecipeError
from studio.recipe_film import Envelope


def click(kind="click"):
    n = np.arange(SAMPLE_RATE // 10) / SAMPLE_RATE
    hz, fall = {"click": (1000, 60), "kick": (60, 20), "hat": (6000, 80)}[kind]
    return (np.sin(2 * np.pi * hz * n) * np.exp(-fall * n)).astype(np.float32)


def clicks(times, seconds, kind="click"):
    y, sound = np.zeros(round(seconds * SAMPLE_RATE), np.float32), click(kind)
    for time in times:
        start = round(time * SAMPLE_RATE)
        length = min(len(sound), len(y) - start)
        y[start : start + length] += sound[:length]
    return y


def tone(hz, seconds, amplitude=0.5):
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def drums():
    """Twelve seconds at 120 BPM: kicks on the beat, hats between."""
    times = np.arange(0.25, 11.8, 0.5)
    y = clicks(times, 12, "kick") + 0.5 * clicks(times + 0.25, 12.3, "hat")[: 12 * SAMPLE_RATE]
    return times, analyse([y])


@pytest.mark.parametrize(("bpm", "offset"), [(120, 0.3), (97, 0.11), (140, 0.0)])
def test_the_beats_of_clicks_are_within_20_ms(bpm, offset):
    times = np.arange(offset, 19.5, 60 / bpm)
    heard = analyse([clicks(times, 20)], parts=False)
    misses = [np.abs(times - beat).min() for beat in heard.beats]
    assert max(misses) < 0.02 and np.mean(misses) < 0.005
    assert len(heard.beats) >= len(times) - 2
    assert heard.tempo == pytest.approx(bpm, rel=0.01)


@pytest.mark.slow
def test_after_an_hour_the_last_beat_is_at_its_frame_and_memory_stays_small():
    total, minute = 3600, 60 * SAMPLE_RATE
    times = np.arange(0.25, total, 0.5)
    block = clicks(times[:120], 60)
    tracemalloc.start()
    heard = analyse((block for _ in range(60)), parts=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300e6 and minute * 60 * 4 > 300e6, "less than the samples alone would take"
    assert np.abs(heard.beats[-1] - times).min() < 0.02 and heard.beats[-1] > total - 2
    assert max(np.abs(times - beat).min() for beat in heard.beats) < 0.02
    for rate in (Fraction(30000, 1001), Fraction(24), Fraction(120)):
        count = int(total * rate)
        marks = np.flatnonzero(heard.at_frames("beat", rate, count))
        onsets = heard.at_frames("onset", rate, count)
        frame = round(times[-1] * rate)
        assert abs(marks[-1] - round(heard.beats[-1] * rate)) <= 1
        assert abs(frame - 5 + int(np.argmax(onsets[frame - 5 : frame + 6])) - frame) <= 1


def test_results_do_not_depend_on_the_blocks():
    y = clicks(np.arange(0.2, 5, 0.37), 6) + tone(220, 6, 0.1)
    whole = trace([y])
    for size in (1000, 22050, 50001):
        pieces = trace([y[start : start + size] for start in range(0, len(y), size)])
        assert pieces.samples == whole.samples and pieces.values.keys() == whole.values.keys()
        for name, track in whole.values.items():
            assert np.allclose(pieces.values[name], track, rtol=1e-4, atol=1e-4 * max(track.max(), 1e-3)), name
        assert np.allclose(pieces.chroma, whole.chroma, atol=1e-4) and np.array_equal(pieces.waveform, whole.waveform)


def test_every_track_has_a_value_at_every_hop():
    tracks = trace([np.zeros(10 * HOP + 7, np.float32)])
    assert {len(track) for track in tracks.values.values()} == {11}
    assert len(tracks.waveform) == 11


def test_loudness_is_the_amplitude_of_a_tone_in_its_own_band():
    for hz, band in ((100, "low"), (600, "mid"), (5000, "high")):
        tracks = trace([tone(hz, 1.0)], parts=False).values
        middle = len(tracks["rms"]) // 2
        assert tracks["rms"][middle] == pytest.approx(0.5 / 2**0.5, rel=0.02)
        loudest = max(("low", "mid", "high"), key=lambda name: tracks[name][middle])
        assert loudest == band
        assert tracks["centroid"][middle] == pytest.approx(hz, rel=0.05)


def test_a_pitch_lights_its_class_and_shares_sum_to_one():
    for hz, number in ((440.0, 9), (523.25, 0), (329.63, 4)):
        heard = analyse([tone(hz, 2.0)], parts=False)
        shares = np.array([heard.at_frames(name, 10, 20)[10] for name in NOTES])
        assert int(np.argmax(shares)) == number and shares.sum() == pytest.approx(1.0, abs=1e-4)


def test_onsets_are_at_the_nearest_frame_and_in_their_band(drums):
    times, heard = drums
    count = 12 * 30
    kicks, hats = heard.at_frames("onset_low", 30, count), heard.at_frames("onset_high", 30, count)
    for time in times[1:-1]:
        frame = round(time * 30)
        assert abs(frame - 3 + int(np.argmax(kicks[frame - 3 : frame + 4])) - frame) <= 1
        later = round((time + 0.25) * 30)
        assert abs(later - 3 + int(np.argmax(hats[later - 3 : later + 4])) - later) <= 1


def test_percussive_and_harmonic_parts_hear_clicks_and_tones():
    heard = analyse([np.concatenate([clicks(np.arange(0.2, 3, 0.4), 3, "click"), tone(440, 3)])])
    percussive, harmonic = (heard.at_frames(name, 10, 60) for name in ("percussive", "harmonic"))
    assert percussive[:28].max() > 5 * percussive[35:58].max()
    assert harmonic[35:58].mean() > 5 * harmonic[:28].mean()


def test_beats_and_phase_are_known_at_every_frame(drums):
    _, heard = drums
    assert heard.tempo == pytest.approx(120, rel=0.02)
    marks = heard.at_frames("beat", 30, 360)
    assert set(np.unique(marks)) == {0, 1} and marks.sum() == len(heard.beats)
    phase = heard.at_frames("beat_phase", 100, 1200)
    assert phase.min() >= 0 and phase.max() < 1
    inside = (np.arange(1200) / 100 > heard.beats[0]) & (np.arange(1200) / 100 < heard.beats[-1])
    assert np.diff(phase[inside]).max() == pytest.approx(0.02, abs=0.005)


def test_a_quiet_tone_then_noise_then_the_tone_again_are_three_sections_of_two_kinds():
    noise = 0.3 * np.random.RandomState(0).randn(15 * SAMPLE_RATE).astype(np.float32)
    heard = analyse([tone(220, 15, 0.2), noise, tone(220, 15, 0.2)], parts=False)
    starts, kinds = zip(*heard.sections, strict=True)
    assert kinds == (0, 1, 0)
    assert np.allclose(starts, (0, 15, 30), atol=1.1)
    changes = np.flatnonzero(heard.at_frames("section_change", 10, 450))
    assert np.allclose(changes / 10, starts[1:], atol=0.05)
    assert heard.at_frames("section", 10, 450)[200] == 1 and heard.at_frames("section", 10, 450)[50] == 0


def test_what_sounds_the_same_throughout_is_one_section(drums):
    assert drums[1].sections == ((0.0, 0),)
    assert find_sections(np.zeros((100, 17), np.float32), np.arange(100.0), 100.0) == ((0.0, 0),)


@pytest.mark.parametrize("y", [np.zeros(0, np.float32), np.zeros(3, np.float32), np.zeros(SAMPLE_RATE * 3, np.float32)])
def test_silence_and_next_to_nothing_have_no_beat_and_all_features(y):
    heard = analyse([y])
    assert heard.tempo == 0 and len(heard.beats) == 0
    for name in FEATURES:
        values = heard.at_frames(name, 30, 12)
        assert values.shape == (12,) and values.dtype == np.float32 and not values.any(), name


def test_before_and_after_the_sound_is_silence_and_start_moves_it(drums):
    _, heard = drums
    rms = heard.at_frames("rms", 30, 900, start=-5.0)
    assert not rms[:148].any() and not rms[512:].any() and rms[150:510].any()
    assert np.allclose(heard.at_frames("rms", 30, 60, start=2.0), heard.at_frames("rms", 30, 120)[60:], atol=1e-6)


def test_a_feature_that_does_not_exist_is_refused(drums):
    with pytest.raises(RecipeError, match=r"'chroma\.12' cannot be heard"):
        drums[1].at_frames("chroma.12", 30, 10)


def test_an_analysis_survives_being_kept_as_arrays(drums):
    heard = drums[1]
    again = Analysis.from_arrays(heard.to_arrays())
    assert again.sections == heard.sections and again.tempo == heard.tempo
    for name in FEATURES:
        assert np.array_equal(again.at_frames(name, 24, 100), heard.at_frames(name, 24, 100))


def test_sampling_takes_means_of_what_lasts_and_peaks_of_what_is_short():
    track = np.array([0, 0, 0, 0, 9, 0, 0, 0, 0, 0], np.float32)
    times = np.arange(5) * 0.2
    assert np.allclose(sample(track, 0.1, times, 0.2, peaks=True), [0, 0, 9, 0, 0])
    assert np.allclose(sample(track, 0.1, times, 0.2), [0, 0, 4.5, 0, 0])
    assert np.allclose(sample(track, 0.1, np.array([0.4, 0.45, 0.5]), 0.05), [9, 4.5, 0])


def test_no_onset_is_lost_or_counted_twice_between_frames():
    for rate in (Fraction(30000, 1001), Fraction(25), Fraction(60)):
        track = np.zeros(20_000, np.float32)
        track[50:19_000:37] = 1.0
        count = int(19_500 * 0.01 * rate)
        frames = sample(track, 0.01, np.arange(count) / float(rate), 1 / float(rate), peaks=True)
        assert frames.sum() == track.sum()


def test_moments_belong_to_the_nearest_frame():
    assert mark_nearest(np.array([0.0, 0.049, 0.051, 0.39, 9.0, -1.0]), 0.0, 0.1, 5).tolist() == [1, 1, 0, 0, 1]


PLAIN = Envelope(attack=0.0, release=0.0, clip=100.0)


def test_a_plain_envelope_only_scales_to_0_and_1():
    values = np.array([2.0, 4.0, 3.0, 2.0])
    assert np.allclose(envelope(values, 30, PLAIN), [0, 1, 0.5, 0])
    assert not envelope(np.full(9, 3.0), 30, PLAIN).any() and not envelope(np.zeros(9), 30, PLAIN).any()
    assert envelope(np.zeros(0), 30, PLAIN).shape == (0,)


def test_clipping_measures_peaks_not_silence():
    values = np.zeros(1000)
    values[::100] = 1.0
    values[500] = 50.0
    level = envelope(values, 30, Envelope(release=0.0, clip=80.0))
    assert level[100] == pytest.approx(1.0) and level[500] == 1.0 and level[50] == 0


def test_attack_and_release_take_their_time():
    values = np.concatenate([np.zeros(50), np.ones(100), np.zeros(100)])
    level = envelope(values, 100, Envelope(attack=0.1, release=0.2, clip=100.0))
    assert level[59] == pytest.approx(1 - np.exp(-1), abs=1e-3)
    assert level[150 + 19] == pytest.approx(np.exp(-1), abs=2e-3)
    at_once = envelope(values, 100, Envelope(attack=0.0, release=0.2, clip=100.0))
    assert at_once[50] == 1.0


def test_gate_power_smoothing_and_inversion():
    values = np.array([0.0, 0.2, 0.5, 1.0])
    assert np.allclose(envelope(values, 30, Envelope(release=0, clip=100, gate=0.4, power=2)), [0, 0, 0.25, 1])
    assert np.allclose(envelope(values, 30, Envelope(release=0, clip=100, invert=True)), [1, 0.8, 0.5, 0])
    impulse = np.zeros(201)
    impulse[100] = 1
    smooth = envelope(impulse, 10, Envelope(release=0, clip=100, smooth=1.0))
    assert smooth.sum() == pytest.approx(1.0, abs=1e-4) and smooth[100] == pytest.approx(1 / (10 * (2 * np.pi) ** 0.5), rel=0.01)


LOADING = """
    import numba
    from numba.core.compiler_lock import global_compiler_lock

    built = []

    def watched(make):
        def build(*options, **more):
            built.append(global_compiler_lock.is_locked())
            return make(*options, **more)
        return build

    numba.guvectorize, numba.vectorize = watched(numba.guvectorize), watched(numba.vectorize)
    import numpy as np
    from studio.audio import analyse
    noise = np.random.RandomState(0).randn(22050).astype(np.float32)
    y = np.concatenate([noise[:2000] if n % 2 else np.zeros(9025, np.float32) for n in range(30)])
    assert len(analyse([y]).beats)
    assert len(built) >= 8 and all(built), built
"""


def test_what_librosa_compiles_is_made_under_the_lock_of_numba_as_other_threads_compile_too():
    subprocess.run([sys.executable, "-c", textwrap.dedent(LOADING)], check=True, timeout=300)
