"""Laws of the latent space, on a generator small enough to reason about."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from toy_networks import ToyGenerator

from studio import latents
from studio.errors import RecipeError
from studio.models.common import build
from studio.recipe import Blend, Latent, Recipe, StyleMix, Transform, Truncation, pack_floats


@pytest.fixture(name="G")
def small_generator():
    return ToyGenerator()


def w_of_seed(G, seed, c=None):
    z = torch.from_numpy(np.random.RandomState(seed).randn(1, G.z_dim)).float()
    with torch.no_grad():
        return G.mapping(z, c)


def test_a_seed_is_the_noise_that_numpy_draws_for_it():
    z = latents.seed_to_z([42, 7], 8)
    assert z.shape == (2, 8) and z.dtype == torch.float32
    assert np.array_equal(z[0].numpy(), np.random.RandomState(42).randn(1, 8)[0].astype(np.float32))


def test_seeds_wrap_into_32_bits():
    assert torch.equal(latents.seed_to_z([-1], 4), latents.seed_to_z([2**32 - 1], 4))
    assert latents.seed_of(Latent(x=-1.2)) == 2**32 - 1


def test_drawing_a_seed_leaves_the_global_generators_alone():
    before, state = torch.get_rng_state(), np.random.get_state()[1].copy()
    latents.seed_to_z(range(5), 16)
    assert torch.equal(before, torch.get_rng_state()) and np.array_equal(state, np.random.get_state()[1])


def test_a_whole_place_on_the_plane_is_exactly_its_seed(G):
    for x, y in [(42, 0), (42.0, 3.0), (-1, 1)]:
        assert torch.allclose(latents.place_to_ws(G, Latent(x=x, y=y)), w_of_seed(G, int(x + 100 * y) % 2**32), atol=1e-6)
    assert torch.equal(latents.place_to_ws(G, Latent(x=142)), latents.place_to_ws(G, Latent(x=42, y=1)))


def test_the_plane_mixes_the_four_neighbours_bilinearly_in_w(G):
    ws = latents.place_to_ws(G, Latent(x=3.25, y=1.5))
    wanted = 0.5 * (0.75 * w_of_seed(G, 103) + 0.25 * w_of_seed(G, 104)) + 0.5 * (0.75 * w_of_seed(G, 203) + 0.25 * w_of_seed(G, 204))
    assert ws.shape == (1, G.num_ws, G.w_dim)
    assert torch.allclose(ws, wanted, atol=1e-6)


def test_the_plane_has_no_jumps_at_whole_numbers(G):
    near = latents.place_to_ws(G, Latent(x=5 - 1e-7, y=-1e-300))
    assert torch.allclose(near, latents.place_to_ws(G, Latent(x=5)), atol=1e-5)


def test_style_vectors_kept_in_a_latent_come_back_bit_for_bit(G):
    ws = torch.randn(1, G.num_ws, G.w_dim)
    assert torch.equal(latents.place_to_ws(G, latents.keep_ws(ws)), ws)
    one = latents.place_to_ws(G, Latent(ws=pack_floats(ws[0, 0].tolist())))
    assert torch.equal(one, ws[:, :1].expand_as(ws))


def test_style_vectors_of_another_model_are_refused_with_both_shapes(G):
    with pytest.raises(RecipeError, match=r"ws holds 3 numbers, but this model needs 5 \(one style\) or 40 \(8 layers of 5\)"):
        latents.place_to_ws(G, Latent(ws=pack_floats([1, 2, 3])))


def test_class_weights_sum_to_one_whatever_their_scale():
    assert torch.equal(latents.class_vector([(0, 2), (3, 6)], 5), latents.class_vector([(0, 0.5), (3, 1.5)], 5))
    assert latents.class_vector([(0, 2), (3, 6)], 5).sum() == 1
    assert torch.equal(latents.class_vector([(1, 1)], 3), torch.tensor([[0.0, 1.0, 0.0]]))


def test_no_class_means_the_mean_of_the_label_embedding():
    G = ToyGenerator(c_dim=4)
    with torch.no_grad():
        each = G.mapping.embed(torch.eye(4)).mean(0)
        average = G.mapping.embed(latents.class_vector([], 4))[0]
    assert torch.allclose(each, average, atol=1e-6)


def test_a_class_reaches_the_mapping():
    G = ToyGenerator(c_dim=4)
    ws = latents.place_to_ws(G, Latent(x=9, classes=((2, 1.0),)))
    assert torch.allclose(ws, w_of_seed(G, 9, torch.tensor([[0.0, 0, 1, 0]])), atol=1e-6)


@pytest.mark.parametrize(
    ("pairs", "c_dim", "words"),
    [
        (((7, 1.0),), 4, "class=7 is unknown: this model has 4 classes. Use 0 to 3."),
        (((1, 1.0),), 0, "class=1 was asked for, but this model has no classes."),
        (((1, -1.0),), 4, "cannot be negative"),
        (((1, 0.0),), 4, "All class weights are zero"),
    ],
)
def test_impossible_classes_are_refused_in_one_sentence(pairs, c_dim, words):
    with pytest.raises(RecipeError) as caught:
        latents.class_vector(pairs, c_dim)
    assert words in str(caught.value)


def test_psi_zero_is_the_average_whatever_the_seed(G):
    for seed in range(3):
        ws = latents.truncate(w_of_seed(G, seed), G.w_avg, psi=0)
        assert torch.equal(ws, G.w_avg.expand_as(ws))


def test_psi_one_changes_nothing(G):
    ws = w_of_seed(G, 1)
    assert torch.equal(latents.truncate(ws, G.w_avg, psi=1), ws)


def test_negative_psi_mirrors_through_the_average(G):
    ws = w_of_seed(G, 1)
    there, back = latents.truncate(ws, G.w_avg, psi=0.6), latents.truncate(ws, G.w_avg, psi=-0.6)
    assert torch.allclose((there + back) / 2, G.w_avg.expand_as(ws), atol=1e-6)


def test_cutoff_truncates_the_first_layers_only(G):
    ws = w_of_seed(G, 1)
    cut = latents.truncate(ws, G.w_avg, psi=0.5, cutoff=3)
    assert torch.equal(cut[:, 3:], ws[:, 3:])
    assert torch.equal(cut[:, :3], latents.truncate(ws, G.w_avg, psi=0.5)[:, :3])


def test_a_cutoff_above_the_layers_says_how_many_there_are():
    ws = torch.zeros(1, 14, 4)
    with pytest.raises(RecipeError) as caught:
        latents.truncate(ws, torch.zeros(4), psi=0.5, cutoff=20)
    assert str(caught.value) == "truncation_cutoff=20 is too high: this model has 14 style layers (num_ws). Use 0 to 14."


def test_mixing_weights_of_one_replace_and_of_zero_keep(G):
    a, b = w_of_seed(G, 1), w_of_seed(G, 2)
    mixed = latents.mix(a, b, [0, 1, 0.5])
    assert torch.equal(mixed[:, 0], a[:, 0]) and torch.equal(mixed[:, 1], b[:, 1])
    assert torch.allclose(mixed[:, 2], (a[:, 2] + b[:, 2]) / 2) and torch.equal(mixed[:, 3:], a[:, 3:])


def test_more_mixing_weights_than_layers_are_refused(G):
    with pytest.raises(RecipeError, match="weights for 9 layers, but this model has 8"):
        latents.mix(w_of_seed(G, 1), w_of_seed(G, 2), [1.0] * 9)


def test_a_blend_of_one_source_is_the_source_and_of_equals_their_mean(G):
    a, b = w_of_seed(G, 1), w_of_seed(G, 2)
    assert torch.equal(latents.blend([a, b], [3, 0]), a)
    assert torch.allclose(latents.blend([a, b], [2, 2]), (a + b) / 2, atol=1e-6)
    with pytest.raises(RecipeError, match="weights are zero"):
        latents.blend([a], [0])


def test_every_layer_is_in_exactly_one_group(G):
    groups = latents.layer_groups(G)
    assert groups == {"coarse": [0, 1, 2], "middle": [3, 4, 5, 6], "fine": [7]}
    thirds = latents.layer_groups(ToyGenerator(layer_resolutions=[16] * 5 + [64] * 6 + [256] * 5))
    assert sorted(layer for group in thirds.values() for layer in group) == list(range(16)) and all(thirds.values())


def test_layers_can_be_named_by_group_number_and_share(G):
    assert latents.layer_weights(G, "coarse") == (1, 1, 1, 0, 0, 0, 0, 0)
    assert latents.layer_weights(G, "0-1, 5, fine:0.25") == (1, 1, 0, 0, 0, 1, 0, 0.25)
    for text, words in [("rough", "not understood"), ("3-9", "too high"), ("1:2", "outside 0 to 1")]:
        with pytest.raises(RecipeError, match=words):
            latents.layer_weights(G, text)


def test_truncating_the_mix_equals_mixing_the_truncated(G):
    recipe = Recipe(
        latent=Latent(x=1),
        blends=(Blend(Latent(x=2), 0.5),),
        mixing=(StyleMix(Latent(x=3), (1, 0.5)), StyleMix(Latent(x=4), (0, 0, 0, 1))),
        truncation=Truncation(psi=0.6, cutoff=5),
    )

    def pull(ws):
        return latents.truncate(ws, G.w_avg, 0.6, 5)

    base = latents.blend([pull(w_of_seed(G, 1)), pull(w_of_seed(G, 2))], [1, 0.5])
    base = latents.mix(base, pull(w_of_seed(G, 3)), (1, 0.5))
    base = latents.mix(base, pull(w_of_seed(G, 4)), (0, 0, 0, 1))
    assert torch.allclose(latents.recipe_to_ws(G, recipe), base, atol=1e-5)


def test_the_centre_of_truncation_can_be_any_place(G):
    recipe = Recipe(latent=Latent(x=1), truncation=Truncation(psi=0, center=Latent(x=8)))
    assert torch.allclose(latents.recipe_to_ws(G, recipe), w_of_seed(G, 8), atol=1e-6)


def test_a_lookup_of_places_replaces_the_mapping(G):
    seen = []

    def places(latent):
        seen.append(latent)
        return torch.ones(1, G.num_ws, G.w_dim)

    recipe = Recipe(latent=Latent(x=1), mixing=(StyleMix(Latent(x=2), (1,)),), truncation=Truncation(psi=1, center=Latent(x=3)))
    assert torch.equal(latents.recipe_to_ws(G, recipe, places), torch.ones(1, G.num_ws, G.w_dim))
    assert [latent.x for latent in seen] == [1, 2, 3]


def test_slerp_keeps_the_length_of_equal_lengths_and_meets_both_ends():
    a, b = torch.randn(3, 64), torch.randn(3, 64)
    a, b = a / a.norm(dim=-1, keepdim=True), b / b.norm(dim=-1, keepdim=True)
    path = [latents.slerp(a, b, t) for t in np.linspace(0, 1, 6)]
    assert torch.allclose(path[0], a, atol=1e-5) and torch.allclose(path[-1], b, atol=1e-5)
    assert all(torch.allclose(p.norm(dim=-1), torch.ones(3), atol=1e-5) for p in path)
    steps = torch.stack([(q - p).norm(dim=-1) for p, q in pairwise(path)])
    assert torch.allclose(steps, steps[:1].expand_as(steps), atol=1e-4)


def test_slerp_of_parallel_vectors_is_the_straight_line():
    a = torch.randn(1, 8)
    assert torch.allclose(latents.slerp(a, 2 * a, 0.5), 1.5 * a, atol=1e-5)
    assert torch.allclose(latents.lerp(a, 2 * a, 0.5), 1.5 * a, atol=1e-6)


def test_the_transform_matrix_is_the_inverse_of_the_movement():
    assert torch.equal(latents.transform_matrix(Transform()), torch.eye(3))
    moved = latents.transform_matrix(Transform(translate_x=0.25, translate_y=-0.5))
    assert torch.allclose(moved, torch.tensor([[1.0, 0, -0.25], [0, 1, 0.5], [0, 0, 1]]))
    turned = latents.transform_matrix(Transform(rotate=90, scale=2))
    assert torch.allclose(turned, torch.tensor([[0.0, -0.5, 0], [0.5, 0, 0], [0, 0, 1]]), atol=1e-6)
    assert math.isclose(float(torch.det(turned)), 0.25, rel_tol=1e-5)
    assert not latents.has_transform(Transform()) and latents.has_transform(Transform(rotate=1))


def test_stylegan3_moves_right_and_down_turns_counter_clockwise():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = {"z_dim": 8, "c_dim": 0, "w_dim": 8, "img_resolution": 32, "img_channels": 1, "channel_base": 512, "channel_max": 16}
        G = build("stylegan3", {**config, "num_layers": 6, "conv_kernel": 1, "use_radial_filters": True}).eval()
    ws = torch.randn(1, 1, 8, generator=torch.Generator().manual_seed(1)).repeat(1, G.num_ws, 1)

    def show(**values):
        with torch.no_grad():
            return G.synthesis(ws, transform=latents.transform_matrix(Transform(**values)))[0, 0]

    still, scale = show(), show().std()
    assert (show(translate_x=0.125)[:, 8:] - still[:, 4:-4]).std() < 0.05 * scale
    assert (show(translate_y=0.125)[8:] - still[4:-4]).std() < 0.05 * scale
    assert (show(rotate=90) - still.rot90(1)).std() < 0.05 * scale
