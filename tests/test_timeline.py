"""Laws of the timeline: curves, ways through latent space, perfect loops, and frames that depend on nothing but their number."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from toy_networks import ToyGenerator

from studio.errors import RecipeError
from studio.latents import keep_ws, place_to_ws, recipe_to_ws, seed_to_z
from studio.recipe import Blend, Latent, Noise, Recipe, StyleMix, Truncation, from_json
from studio.recipe_film import EASINGS, PATHS, Film, Keyframe, Lane, LatentKey, LatentLane, Mapping
from studio.timeline import Timeline, ease, frame_recipe, frame_styles, lane_value
from studio.timeline.triggers import make_clock, make_steps
from studio.timeline.wander import NoiseLoop, Walk, turn_back

SEEDS = (0, 3, 7)


@pytest.fixture(scope="module")
def G():  # noqa: N802
    return ToyGenerator()


def film_of(path="spline", *, seeds=SEEDS, seconds=3.0, fps="10", loop=True, **lane):
    keys = tuple(LatentKey(float(number), Latent.from_seed(seed)) for number, seed in enumerate(seeds))
    film = Film(fps=fps, seconds=seconds, loop=loop, latents=(LatentLane(path=path, keys=keys, **lane),))
    return Recipe(truncation=Truncation(psi=1.0), film=film)


def ws_of(G, recipe, levels=()):
    plan = Timeline(recipe, G, levels=levels)
    return plan.styles(range(plan.count)).ws


@pytest.mark.parametrize("name", EASINGS)
def test_every_curve_goes_from_0_to_1_and_stays_between(name):
    values = [ease(name, u / 200) for u in range(201)]
    assert values[0] == 0 and values[-1] == 1 and ease(name, -1) == 0 and ease(name, 2) == 1
    assert all(0 <= value <= 1 for value in values)
    if name not in ("bounce", "hold"):
        assert all(a <= b for a, b in pairwise(values))
        assert max(b - a for a, b in pairwise(values)) < 0.02


def test_in_out_curves_are_their_own_mirror_and_in_mirrors_out():
    for curve in ("quad", "cubic", "sine"):
        for u in (0.1, 0.3, 0.5, 0.9):
            assert ease(f"ease-in-out-{curve}", u) == pytest.approx(1 - ease(f"ease-in-out-{curve}", 1 - u))
            assert ease(f"ease-in-{curve}", u) == pytest.approx(1 - ease(f"ease-out-{curve}", 1 - u))
    assert ease("ease-in-quad", 0.5) == 0.25 and ease("ease-in-cubic", 0.5) == 0.125 and ease("smoothstep", 0.25) == 0.15625


def test_a_bounce_touches_the_ground_three_times_before_it_rests():
    values = [ease("bounce", u / 1100) for u in range(1101)]
    touches = [u for u in range(1, 1100) if values[u] > values[u - 1] and values[u] > values[u + 1]]
    assert [round(u / 100, 1) for u in touches] == [4.0, 8.0, 10.0]


def test_a_lane_hits_its_keyframes_and_holds_at_open_ends():
    keys = (Keyframe(1.0, 10.0, "linear"), Keyframe(3.0, 20.0, "hold"), Keyframe(4.0, 0.0))
    assert [lane_value(keys, time) for time in (0, 1, 2, 3, 3.9, 4, 99)] == [10, 10, 15, 20, 20, 0, 0]
    assert lane_value(tuple(reversed(keys)), 2) == 15


def test_a_looping_lane_goes_on_from_its_last_keyframe_to_its_first():
    keys = (Keyframe(1.0, 0.0, "linear"), Keyframe(3.0, 8.0, "linear"))
    assert [lane_value(keys, time, 4.0) for time in (1, 2, 3, 4, 5, 0, 4.5)] == [0, 4, 8, 4, 0, 4, 2]
    assert lane_value((*keys, Keyframe(4.0, 99.0)), 3.5, 4.0) == 6.0


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("is_even", [False, True])
def test_every_path_closes_perfectly_in_a_loop_without_a_repeated_or_jumping_frame(G, path, is_even):
    recipe = film_of(path, constant_speed=is_even, fps="30", cycles=1, speed=1.0)
    plan = Timeline(recipe, G)
    ws = plan.styles([*range(plan.count), plan.count]).ws
    steps = (ws[1:] - ws[:-1]).flatten(1).norm(dim=1)
    assert torch.equal(ws[-1], ws[0])
    assert 0 < steps[-1] <= steps[:-1].max() * 1.05, "the seam is a step like the others"


@pytest.mark.parametrize("path", ["spline", "linear", "slerp", "plane"])
@pytest.mark.parametrize("loop", [True, False])
def test_paths_through_keyframes_show_each_at_its_time(G, path, loop):
    ws = ws_of(G, film_of(path, loop=loop))
    for number, seed in enumerate(SEEDS):
        assert torch.allclose(ws[10 * number], place_to_ws(G, Latent.from_seed(seed))[0], atol=1e-6)


def test_a_linear_path_is_halfway_in_w_and_a_slerp_is_halfway_on_the_arc_in_z(G):
    halfway = ws_of(G, film_of("linear"))[5]
    first, second = (place_to_ws(G, Latent.from_seed(seed))[0] for seed in SEEDS[:2])
    assert torch.allclose(halfway, (first + second) / 2, atol=1e-6)
    a, b = (seed_to_z([seed], G.z_dim)[0] for seed in SEEDS[:2])
    middle = a / a.norm() + b / b.norm()
    z = middle / middle.norm() * (a.norm() + b.norm()) / 2
    assert torch.allclose(ws_of(G, film_of("slerp"))[5], G.mapping(z[None])[0], atol=1e-5)


def test_slerp_between_kept_styles_is_an_arc_about_the_average(G):
    kept = [keep_ws(place_to_ws(G, Latent.from_seed(seed))) for seed in (1, 2)]
    keys = tuple(LatentKey(float(number), latent) for number, latent in enumerate(kept))
    recipe = Recipe(truncation=Truncation(1.0), film=Film(fps="10", seconds=2, latents=(LatentLane(path="slerp", keys=keys),)))
    ws = ws_of(G, recipe) - G.w_avg
    lengths = ws.norm(dim=-1)[:, 0]
    assert lengths[:11].min() >= min(lengths[0], lengths[10]) - 1e-5, "the arc does not cut through the middle"


def test_a_closed_spline_has_continuous_speed_and_bend_everywhere(G):
    ws = ws_of(G, film_of("spline", fps="120", seeds=(0, 3, 7, 11), seconds=4.0)).double()
    closed = torch.cat([ws, ws[:3]])
    bend = closed[2:] - 2 * closed[1:-1] + closed[:-2]
    jumps = (bend[1:] - bend[:-1]).flatten(1).norm(dim=1)
    usual = bend.flatten(1).norm(dim=1).max()
    assert jumps.max() < 0.05 * usual, "second differences do not jump at keyframes, nor at the seam"
    straight = ws_of(G, film_of("linear", fps="120", seeds=(0, 3, 7, 11), seconds=4.0)).double()
    kinks = (straight[2:] - 2 * straight[1:-1] + straight[:-2]).flatten(1).norm(dim=1)
    assert kinks.max() > 10 * usual


def test_a_circle_is_round_starts_at_the_second_keyframe_and_turns_about_the_first(G):
    ws = ws_of(G, film_of("circle"))
    center, start = (place_to_ws(G, Latent.from_seed(seed))[0] for seed in SEEDS[:2])
    radii = (ws - center).flatten(1).norm(dim=1)
    assert torch.allclose(ws[0], start, atol=1e-6)
    assert torch.allclose(radii, radii[0].expand_as(radii), rtol=1e-4)
    twice = ws_of(G, film_of("circle", cycles=2))
    assert torch.allclose(twice[:15], ws[::2], atol=1e-5)


def test_noise_and_walks_start_at_their_place_and_differ_by_seed(G):
    for path in ("noise", "walk"):
        for latent in (Latent.from_seed(5), keep_ws(place_to_ws(G, Latent.from_seed(5)))):
            lane = LatentLane(path=path, keys=(LatentKey(0.0, latent),), bound=9.0)
            recipe = Recipe(truncation=Truncation(1.0), film=Film(fps="10", seconds=2, latents=(lane,)))
            ws = ws_of(G, recipe)
            assert torch.allclose(ws[0], place_to_ws(G, latent)[0], atol=1e-5)
            other = replace(recipe, film=replace(recipe.film, latents=(replace(lane, seed=1),)))
            assert (ws_of(G, other)[10] - ws[10]).norm() > 0.05


def test_noise_has_unit_variance_and_no_amount_stays_in_place(G):
    values = np.array([NoiseLoop(seed, 40, speed=1.0, period=None).at(50.0 + seed) for seed in range(60)])
    assert values.std() == pytest.approx(2**0.5, rel=0.1)
    still = ws_of(G, film_of("walk", amount=0.0))
    assert torch.equal(still, still[:1].expand_as(still))


def test_a_walk_turns_back_at_its_bound_and_moves_about_one_deviation_a_step():
    walk = Walk(3, 400, speed=1.0, length=60.0, loop=False)
    places = np.array([turn_back(walk.at(time / 4), np.full(400, 2.0)) for time in range(240)])
    assert np.abs(places).max() <= 2.0 and np.abs(places).max() > 1.99
    assert np.abs(np.diff(places, axis=0)).max() < 1.5
    assert np.mean([Walk(seed, 400, speed=1.0, length=9.0, loop=False).at(1.0).std() for seed in range(9)]) == pytest.approx(1.0, rel=0.35)


def test_a_walk_that_would_fill_the_memory_is_refused():
    with pytest.raises(RecipeError, match="lower speed"):
        Walk(0, 512, speed=20.0, length=36_000.0, loop=True)


def test_turning_back_is_a_reflection():
    values = np.array([0.5, 2.0, 2.5, -2.5, 5.9, 6.5, -6.5, 8.0])
    assert np.allclose(turn_back(values, np.full(8, 2.0)), [0.5, 2.0, 1.5, -1.5, -1.9, -1.5, 1.5, 0.0])


def test_constant_speed_makes_equal_steps_in_w_and_other_speeds_do_not(G):
    def steps(recipe):
        ws = ws_of(G, recipe)
        return (ws[1:] - ws[:-1]).flatten(1).norm(dim=1)

    even, uneven = (steps(film_of("spline", fps="30", constant_speed=flag, seeds=(0, 1, 50))) for flag in (True, False))
    assert even.max() / even.min() < 1.15
    assert uneven.max() / uneven.min() > 1.3


def test_constant_speed_measures_with_the_distance_that_is_given(G):
    recipe = film_of("linear", fps="30", constant_speed=True)
    plan = Timeline(recipe, G, distance=lambda a, b: float((a[..., 0] - b[..., 0]).abs().sum()))
    ws = plan.styles(range(plan.count)).ws
    steps = (ws[1:, 0, 0] - ws[:-1, 0, 0]).abs()
    assert steps.max() / steps.median() < 1.15


def rich_film():
    lanes = (
        Lane("truncation.psi", (Keyframe(0.0, 0.2), Keyframe(1.0, 1.2, "bounce"))),
        Lane("blends.0.weight", (Keyframe(0.5, 0.0), Keyframe(1.5, 2.0, "ease-in-out-sine"))),
        Lane("mixing.0.weights.2", (Keyframe(0.0, 0.0, "linear"), Keyframe(2.0, 1.0))),
        Lane("noise.strength", (Keyframe(0.0, 1.0), Keyframe(2.0, 3.0))),
        Lane("noise.seed", (Keyframe(0.0, 0.0, "linear"), Keyframe(2.9, 29.0))),
        Lane("latent.classes.1", (Keyframe(0.0, 0.0, "linear"), Keyframe(1.5, 1.0))),
        Lane("view.zoom", (Keyframe(0.0, 1.0), Keyframe(1.0, 2.0))),
    )
    keys = tuple(LatentKey(float(number), Latent.from_seed(seed, [(0, 1.0)])) for number, seed in enumerate(SEEDS))
    other = LatentLane("blends.0.latent", "slerp", (LatentKey(0.0, Latent.from_seed(8)), LatentKey(1.0, Latent.from_seed(9))))
    matrix = (
        Mapping("onset", target="latent.pulse", amount=0.5),
        Mapping("low", target="latent.speed", amount=1.0),
        Mapping("rms", target="truncation.psi", amount=-0.2),
        Mapping("chroma.0", target="latent", mode="toward", amount=0.5, latent=Latent.from_seed(77)),
    )
    film = Film(fps="10", seconds=3, lanes=lanes, latents=(LatentLane(keys=keys), other), matrix=matrix)
    return Recipe(blends=(Blend(Latent.from_seed(8)),), mixing=(StyleMix(Latent.from_seed(20)),), noise=Noise(mode="random"), film=film)


def test_many_frames_at_once_equal_single_frames_and_still_recipes_bit_for_bit():
    G = ToyGenerator(c_dim=3)
    recipe = rich_film()
    levels = tuple(np.random.RandomState(number).rand(30).astype(np.float32) for number in range(4))
    plan = Timeline(recipe, G, levels=levels)
    order = [7, 29, 0, 12, 7, 3]
    many = plan.styles(order)
    for place, index in enumerate(order):
        alone = frame_styles(G, recipe, [index], levels)
        still = frame_recipe(G, recipe, index, levels)
        assert torch.equal(alone.ws[0], many.ws[place]), "neither order nor company changes a frame"
        assert torch.equal(recipe_to_ws(G, still)[0], many.ws[place]), "a frame is an ordinary recipe"
        assert still.film is None and from_json(still.to_json()) == still
        assert (still.noise, still.view, still.truncation) == (
            many.recipes[place].noise,
            many.recipes[place].view,
            many.recipes[place].truncation,
        )
    assert torch.equal(plan.styles([30]).ws, plan.styles([0]).ws)


def test_every_kind_of_value_moves():
    plan = Timeline(rich_film(), ToyGenerator(c_dim=3))
    recipes = plan.styles(range(plan.count)).recipes
    for what in (
        *(lambda r: r.truncation.psi, lambda r: r.blends[0].weight, lambda r: r.mixing[0].weights, lambda r: r.noise.strength),
        *(lambda r: r.noise.seed, lambda r: r.latent.classes, lambda r: r.view.zoom),
    ):
        assert len({what(recipe) for recipe in recipes}) > 10
    assert recipes[0].noise.seed == 0 and recipes[29].noise.seed == 29


def test_class_weights_move_the_styles_of_a_path():
    G = ToyGenerator(c_dim=3)
    keys = (LatentKey(0.0, Latent.from_seed(1, [(0, 1.0)])), LatentKey(1.0, Latent.from_seed(2, [(0, 1.0)])))
    lane = Lane("latent.classes.1", (Keyframe(0.0, 0.0, "linear"), Keyframe(1.0, 1.0, "linear")))
    film = Film(fps="10", seconds=2, loop=False, latents=(LatentLane(path="linear", keys=keys),), lanes=(lane,))
    ws = ws_of(G, Recipe(truncation=Truncation(1.0), film=film))
    assert torch.allclose(ws[10], place_to_ws(G, Latent.from_seed(2, [(0, 1.0), (1, 1.0)]))[0], atol=1e-6)


def test_a_film_along_the_seed_plane_needs_no_model_and_others_say_that_they_do(G):
    still = Timeline(film_of("plane")).still(5)
    assert still.latent == Latent(x=1.5)
    with pytest.raises(RecipeError, match="Give the model"):
        Timeline(film_of("spline")).still(5)
    assert Timeline(replace(film_of("spline"), truncation=Truncation(0.5))).values(3) == {}


def test_numbers_are_known_without_a_model():
    recipe = rich_film()
    levels = tuple(np.full(30, 0.5, np.float32) for _ in range(4))
    values = Timeline(recipe, levels=levels).values(0)
    assert values["truncation.psi"] == pytest.approx(0.2 - 0.1)
    assert set(values) == {lane.target for lane in recipe.film.lanes}


def test_multiplying_and_adding_follow_the_order_of_the_matrix():
    matrix = (Mapping("a", target="truncation.psi", amount=0.5), Mapping("b", target="truncation.psi", amount=1.0, mode="multiply"))
    recipe = Recipe(truncation=Truncation(0.5), film=Film(fps="1", seconds=1, matrix=matrix))
    ones = (np.ones(1, np.float32),) * 2
    assert Timeline(recipe, levels=ones).values(0)["truncation.psi"] == pytest.approx((0.5 + 0.5) * 2)
    backwards = replace(recipe, film=replace(recipe.film, matrix=matrix[::-1]))
    assert Timeline(backwards, levels=ones).values(0)["truncation.psi"] == pytest.approx(0.5 * 2 + 0.5)


def test_a_pull_of_one_is_the_other_place_and_shares_of_one_family_are_a_weighted_mean(G):
    places = [Latent.from_seed(seed) for seed in (50, 51)]
    ws = [place_to_ws(G, latent)[0] for latent in places]
    matrix = tuple(Mapping(f"chroma.{n}", target="latent", mode="toward", amount=1.0, latent=latent) for n, latent in enumerate(places))
    recipe = Recipe(truncation=Truncation(1.0), film=Film(fps="1", seconds=3, matrix=matrix))
    levels = (np.array([1.0, 0.75, 1.0], np.float32), np.array([0.0, 0.25, 1.0], np.float32))
    got = ws_of(G, recipe, levels)
    for index, share in enumerate((0.0, 0.25, 0.5)):
        assert torch.allclose(got[index], torch.lerp(ws[0], ws[1], share), atol=1e-6)
    with pytest.raises(RecipeError, match="no place"):
        Timeline(replace(recipe, film=replace(recipe.film, matrix=(replace(matrix[0], latent=None),))), G)


def test_a_pulse_from_a_whole_seed_is_added_to_z(G):
    recipe = Recipe(
        truncation=Truncation(1.0),
        latent=Latent.from_seed(4),
        film=Film(fps="1", seconds=2, matrix=(Mapping(target="latent.pulse", amount=0.5),)),
    )
    got = ws_of(G, recipe, (np.array([0.0, 1.0], np.float32),))
    assert torch.equal(got[0], place_to_ws(G, Latent.from_seed(4))[0])
    assert torch.allclose(got[1], G.mapping(seed_to_z([4], G.z_dim) + 0.5)[0], atol=1e-6)


def test_triggers_go_to_the_next_keyframe_and_are_there_before_the_next_trigger(G):
    level = np.zeros(30, np.float32)
    level[[5, 15, 18]] = 1.0
    recipe = film_of("linear")
    film = replace(recipe.film, matrix=(Mapping("section_change", target="latent", mode="trigger", amount=1.0, glide=0.5),))
    ws = ws_of(G, replace(recipe, film=film), (level,))
    at = [place_to_ws(G, Latent.from_seed(seed))[0] for seed in SEEDS]
    for frame, seed in ((0, 0), (4, 0), (9, 1), (14, 1), (17, 2), (20, 2), (22, 0), (29, 0)):
        assert torch.allclose(ws[frame], at[seed], atol=1e-6) == (frame != 20), f"frame {frame}"
    assert not torch.allclose(ws[6], at[0]) and not torch.allclose(ws[6], at[1])


def test_a_level_that_starts_high_does_not_trigger_and_a_glide_of_zero_cuts():
    level = np.array([1, 1, 0, 1, 1, 0, 0, 1], np.float32)
    steps = make_steps([(Mapping(mode="trigger", amount=1.0, glide=0.0), level)], 8, Fraction(10))
    assert steps.counts.tolist() == [0, 0, 0, 1, 1, 1, 1, 2]
    assert (steps.shares == 1).all()


def test_sound_that_speeds_a_path_up_keeps_its_length_where_asked_and_never_turns_it_back():
    level = np.array([0, 1, 0, 0], np.float32)
    entry = Mapping(target="latent.speed", amount=2.0)
    kept = make_clock([(entry, level)], 4, Fraction(1), keeps_length=True)
    assert np.allclose(kept, np.array([0, 1, 4, 5]) * 4 / 6)
    assert np.allclose(make_clock([(entry, level)], 4, Fraction(1), keeps_length=False), [0, 1, 4, 5])
    back = make_clock([(replace(entry, amount=-2.0), level)], 4, Fraction(1), keeps_length=False)
    assert np.allclose(back, [0, 1, 1, 2])


def test_a_film_that_moves_what_is_not_there_is_refused_when_it_is_made_ready(G):
    for film in (
        Film(lanes=(Lane("blends.0.weight", (Keyframe(),)),)),
        Film(latents=(LatentLane("mixing.0.latent"),)),
        Film(matrix=(Mapping(target="restyle.strength"),)),
    ):
        with pytest.raises(RecipeError, match="can move"):
            Timeline(Recipe(film=film), G)
    with pytest.raises(RecipeError, match="not a film"):
        Timeline(Recipe(), G)


@pytest.mark.parametrize("fps", ["30000/1001", "24", "120", "1", "12.5"])
def test_the_last_frame_of_an_hour_is_at_its_exact_moment(fps):
    plan = Timeline(Recipe(film=Film(fps=fps, seconds=3600, loop=False)))
    last = plan.count - 1
    assert plan.time_of(last) == Fraction(last) / plan.rate
    assert abs(plan.time_of(plan.count) - 3600) <= 1 / (2 * plan.rate)


def kinds_film(**more):
    """Three places of three classes, the last of none, truncated towards the class; sound pulls towards a fourth place."""
    keys = tuple(LatentKey(float(n), Latent.from_seed(seed, [(n, 1.0)] if n < 2 else [])) for n, seed in enumerate(SEEDS))
    film = Film(fps="10", seconds=3, latents=(LatentLane(path="linear", keys=keys),), **more)
    return Recipe(truncation=Truncation(0.4, towards="class"), film=film)


def test_every_frame_of_a_film_keeps_to_the_classes_that_it_shows():
    G = ToyGenerator(c_dim=3)
    recipe = kinds_film()
    ends = [recipe_to_ws(G, replace(recipe, latent=key.latent, film=None))[0] for key in recipe.film.latents[0].keys]
    ws = ws_of(G, recipe)
    for frame in range(30):
        first, second = ends[frame // 10], ends[(frame // 10 + 1) % 3]
        assert torch.allclose(ws[frame], torch.lerp(first, second, frame % 10 / 10), atol=1e-5), frame


def test_a_still_of_a_film_of_classes_is_its_frame_bit_for_bit_and_knows_its_classes():
    G = ToyGenerator(c_dim=3)
    pull = Mapping("rms", target="latent", mode="toward", amount=1.0, latent=Latent.from_seed(9, [(2, 1.0)]))
    wave = np.linspace(0, 1, 30, dtype=np.float32)
    lane = Lane("latent.classes.2", (Keyframe(0.0, 0.0, "linear"), Keyframe(2.0, 1.0, "linear")))
    for recipe, levels in ((kinds_film(matrix=(pull,)), (wave,)), (kinds_film(lanes=(lane,)), ())):
        plan = Timeline(recipe, G, levels=levels)
        many = plan.styles(range(30))
        for frame in (0, 4, 15, 29):
            still = plan.still(frame)
            assert torch.equal(recipe_to_ws(G, still)[0], many.ws[frame])
            assert still.latent.classes == many.recipes[frame].latent.classes


def test_a_place_that_is_pulled_all_the_way_is_truncated_like_the_other():
    G = ToyGenerator(c_dim=3)
    there = Latent.from_seed(9, [(2, 1.0)])
    recipe = kinds_film(matrix=(Mapping("rms", target="latent", mode="toward", amount=1.0, latent=there),))
    ws = ws_of(G, recipe, (np.ones(30, np.float32),))
    wanted = recipe_to_ws(G, replace(recipe, latent=there, film=None))[0]
    assert all(torch.allclose(one, wanted, atol=1e-5) for one in ws)
    away = replace(recipe.film, matrix=(replace(recipe.film.matrix[0], amount=-0.5),))
    far = Timeline(replace(recipe, film=away), G, levels=(np.ones(30, np.float32),)).still(0)
    assert far.latent.classes == ((0, 1.5),), "there is no less than nothing of a class"


def test_a_film_measures_each_class_once():
    G = ToyGenerator(c_dim=3)
    plan = Timeline(kinds_film(), G)
    plan.styles(range(30))
    calls = G.mapping.calls
    plan.styles(range(30))
    assert G.mapping.calls == calls
