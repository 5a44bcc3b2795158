"""Laws of playing live: the same meaning as a film, from one moment to the next."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from toy_networks import ToyGenerator

from studio.audio import envelope
from studio.audio.live import LiveEnvelope
from studio.errors import RecipeError
from studio.flashes import count_flashes
from studio.latents import recipe_to_ws
from studio.live import LiveFlashes, Performance, scaled, with_values
from studio.mapping import Preset, find_preset, presets
from studio.recipe import Latent, Recipe, Truncation, View
from studio.recipe_film import Envelope, Film, LatentKey, LatentLane, Mapping
from studio.timeline import Timeline
from studio.timeline.live import LiveTimeline
from studio.timeline.space import Space

RATE = 50
RECIPE = Recipe(truncation=Truncation(psi=0.8), latent=Latent(x=3.0))


@pytest.fixture(scope="module")
def G():  # noqa: N802
    return ToyGenerator()


def noise(count, seed=0):
    """Values of 0..1 that reach both ends."""
    values = np.random.default_rng(seed).random(count).astype(np.float32)
    values[3], values[4] = 0, 1
    return values


def shaped(values, settings, rate=RATE):
    follower = LiveEnvelope(settings)
    return np.array([follower.take(float(value), 1 / rate) for value in values])


def entry(target, feature="rms", **more):
    more.setdefault("envelope", Envelope(release=0.0))
    return Mapping(feature, 0, target, **more)


def preset(*entries, **more):
    return Preset("own", matrix=tuple(entries), **more)


def heard_by(matrix, value):
    return {(one.feature, one.envelope.clip): value for one in matrix}


@pytest.mark.parametrize(
    "settings",
    [
        Envelope(release=0.0),
        Envelope(attack=0.1, release=0.4),
        Envelope(power=2.0, gate=0.3, release=0.2),
        Envelope(invert=True, attack=0.05),
    ],
    ids=str,
)
def test_a_live_envelope_is_that_of_a_film(settings):
    settings = replace(settings, clip=100.0)
    values = noise(200)
    assert shaped(values, settings) == pytest.approx(envelope(values, RATE, settings), abs=1e-5)


def test_live_smoothing_is_as_wide_as_that_of_a_film_and_comes_to_the_same_rest():
    settings = Envelope(release=0.0, smooth=0.3)
    impulse = np.zeros(1500)
    impulse[0] = 1
    answer = shaped(impulse, settings, rate=500)
    times = np.arange(1500) / 500
    mean = (answer * times).sum() / answer.sum()
    assert np.sqrt((answer * (times - mean) ** 2).sum() / answer.sum()) == pytest.approx(0.3, rel=0.05)
    assert answer.sum() == pytest.approx(1, abs=0.01)


def test_a_delay_brings_every_value_later_and_loses_none():
    values = noise(60)
    late = shaped(values, Envelope(release=0.0, delay=0.2))
    assert late[10:] == pytest.approx(values[:-10], abs=1e-6)
    slow = LiveEnvelope(Envelope(release=0.0, delay=0.5))
    seen = [slow.take(1.0 if number == 3 else 0.0, step) for number, step in enumerate([0.1] * 5 + [0.37] * 5)]
    assert max(seen) == 1


def test_uneven_moments_lead_to_the_same_level():
    settings = Envelope(attack=0.3, release=0.3)
    even, uneven = LiveEnvelope(settings), LiveEnvelope(settings)
    for _ in range(10):
        first = even.take(1.0, 0.1)
    for step in (0.01, 0.5, 0.2, 0.29):
        second = uneven.take(1.0, step)
    assert first == pytest.approx(second)


@pytest.mark.parametrize("path", ["walk", "noise"])
def test_played_at_a_films_rate_it_gives_the_films_frames(G, path):
    matrix = (
        entry("latent.pulse", amount=0.5),
        *([entry("latent.speed", amount=0.7)] if path == "noise" else []),  # a walk is laid out anew when its length changes
        entry("truncation.psi", amount=0.3),
        entry("view.zoom", mode="multiply", amount=0.2),
        entry("latent", mode="toward", latent=Latent(x=9.0), amount=0.4),
    )
    lane = LatentLane("latent", path, (LatentKey(0.0, RECIPE.latent),), speed=0.8)
    recipe = replace(RECIPE, film=Film(fps="10", seconds=4.0, loop=False, latents=(lane,), matrix=matrix))
    levels = [noise(40, seed) for seed in range(len(matrix))]
    plan, live = Timeline(recipe, G, levels=levels), LiveTimeline(recipe, Space(G))
    for frame in range(40):
        made = live.play([float(level[frame]) for level in levels], 0.1 if frame else 0.0)
        wanted = plan.still(frame)
        assert torch.allclose(recipe_to_ws(G, made), recipe_to_ws(G, wanted), atol=1e-4)
        assert made.view.zoom == pytest.approx(wanted.view.zoom)
        assert made.truncation.psi == pytest.approx(wanted.truncation.psi)


def test_triggers_step_and_glide_as_in_a_film(G):
    keys = tuple(LatentKey(float(n), Latent(x=float(n))) for n in range(4))
    lane = LatentLane("latent", "linear", keys)
    matrix = (entry("latent", "beat", mode="trigger", amount=1.0, glide=0.35),)
    recipe = replace(RECIPE, film=Film(fps="10", seconds=4.0, latents=(lane,), matrix=matrix))
    level = np.zeros(40, np.float32)
    level[[5, 9, 20, 21, 22, 30]] = 1
    plan, live = Timeline(recipe, G, levels=[level]), LiveTimeline(recipe, Space(G))
    for frame in range(40):
        made = live.play([float(level[frame])], 0.1 if frame else 0.0)
        assert torch.allclose(recipe_to_ws(G, made), recipe_to_ws(G, plan.still(frame)), atol=1e-4), frame


@pytest.mark.parametrize("name", sorted(presets()))
@pytest.mark.parametrize("c_dim", [0, 4])
def test_every_preset_can_be_played_and_moves_the_picture(name, c_dim):
    network, chosen, player = ToyGenerator(c_dim=c_dim), find_preset(name), Performance()
    quiet = player.play(RECIPE, chosen, {}, 0.0, G=network)
    loud = player.play(RECIPE, chosen, heard_by(chosen.matrix, 1.0), 0.3, G=network)
    later = player.play(RECIPE, chosen, {}, 0.6, G=network)
    assert quiet != loud
    assert later.film is None
    assert len(player.levels) == len(chosen.matrix)


def test_silence_without_wandering_changes_nothing(G):
    player, chosen = Performance(), preset(entry("truncation.psi"), entry("view.zoom", mode="multiply"))
    assert player.play(RECIPE, chosen, {}, 0.0, G=G) == player.play(RECIPE, chosen, {}, 5.0, G=G) == RECIPE


def test_a_change_of_the_matrix_goes_on_from_where_it_was(G):
    wander = find_preset("lucid")
    changed = replace(wander, matrix=tuple(replace(one, amount=one.amount / 2) for one in wander.matrix))
    here, there = Performance(), Performance()
    for moment in (0.0, 0.5, 1.0):
        here.play(RECIPE, wander, {}, moment, G=G)
        there.play(RECIPE, wander if moment < 1 else changed, {}, moment, G=G)
    last = [player.play(RECIPE, wander, {}, 1.5, G=G) for player in (here, there)]
    assert torch.allclose(recipe_to_ws(G, last[0]), recipe_to_ws(G, last[1]), atol=1e-5)


def test_a_level_that_is_falling_goes_on_falling_when_its_amount_changes(G):
    one = entry("truncation.psi", amount=0.5, envelope=Envelope(release=1.0))
    player = Performance()
    player.play(RECIPE, preset(one), heard_by([one], 1.0), 0.0, G=G)
    player.play(RECIPE, preset(replace(one, amount=0.1)), {}, 0.5, G=G)
    assert player.levels[0] == pytest.approx(np.exp(-0.5))


def test_another_generator_takes_over_in_the_middle(G):
    other, player, chosen = ToyGenerator(c_dim=4), Performance(), find_preset("lucid")
    player.play(RECIPE, chosen, {}, 0.0, G=G)
    moved = player.play(RECIPE, chosen, {}, 1.0, G=other)
    fresh = Performance()
    fresh.play(RECIPE, chosen, {}, 0.0, G=other)
    assert moved == fresh.play(RECIPE, chosen, {}, 1.0, G=other)


def test_a_late_picture_and_a_long_pause_do_no_harm(G):
    player, chosen = Performance(), find_preset("lucid")
    player.play(RECIPE, chosen, {}, 10.0, G=G)
    late = player.play(RECIPE, chosen, {}, 9.0, G=G)
    again = player.play(RECIPE, chosen, {}, 10.0, G=G)
    assert late == again
    other = Performance()
    other.play(RECIPE, chosen, {}, 0.0, G=G)
    assert other.play(RECIPE, chosen, {}, 1.0, G=G) == player.play(RECIPE, chosen, {}, 1e6, G=G)


def test_a_matrix_that_moves_what_is_not_there_is_one_sentence(G):
    with pytest.raises(RecipeError, match="nothing in this recipe"):
        Performance().play(RECIPE, preset(entry("blends.0.weight")), {}, 0.0, G=G)


def test_numbers_from_outside_are_kept_in_their_bounds_and_unknown_ones_left_out():
    made = with_values(
        RECIPE, {"truncation.psi": 1e9, "view.zoom": -1e9, "no.such": 1.0, "mixing.3.weights.0": 1.0, "latent.classes.2": 7.0}
    )
    assert made == replace(RECIPE, truncation=Truncation(psi=2.0), view=View(zoom=0.25), latent=Latent(x=3.0, classes=((2, 1.0),)))


def test_the_amount_scales_the_whole_matrix_within_its_bounds():
    assert [one.amount for one in scaled(preset(entry("a", amount=1.5), entry("b", amount=-0.2)), 2.0).matrix] == [2.0, -0.4]
    assert scaled(find_preset("lucid"), 1.0) == find_preset("lucid")


@pytest.mark.parametrize("rate", [5, 12, 25, 60])
def test_flashes_are_limited_whatever_the_rate_of_the_pictures(rate):
    limiter = LiveFlashes()
    images = [np.full((16, 16, 3), 255 * (number % 2), np.uint8) for number in range(rate * 3)]
    shown = [limiter.take(image, number / rate) for number, image in enumerate(images)]
    assert count_flashes(shown, Fraction(rate)).is_safe


def test_slow_changes_pass_the_limiter_untouched():
    limiter = LiveFlashes()
    images = [np.full((16, 16, 3), 255 * (number % 2), np.uint8) for number in range(6)]
    assert all(limiter.take(image, float(number)) is image for number, image in enumerate(images))
