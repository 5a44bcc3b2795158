"""Every loss equals what its equation gives by hand."""

import math

import pytest
import torch

from studio.training import losses

REAL = torch.tensor([2.0, -1.0])
FAKE = torch.tensor([0.5, -3.0])


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_minimax_is_the_cross_entropy_of_real_and_made() -> None:
    by_hand = (softplus(-2) + softplus(1)) / 2 + (softplus(0.5) + softplus(-3)) / 2
    assert losses.minimax_d(REAL, FAKE).item() == pytest.approx(by_hand)
    assert losses.minimax_g(FAKE).item() == pytest.approx(-(softplus(0.5) + softplus(-3)) / 2)


def test_the_non_saturating_loss_still_pulls_where_the_minimax_loss_has_gone_flat() -> None:
    assert losses.non_saturating_g(FAKE).item() == pytest.approx((softplus(-0.5) + softplus(3)) / 2)
    sure = torch.tensor([-12.0], requires_grad=True)
    (flat,) = torch.autograd.grad(losses.minimax_g(sure), sure)
    (steep,) = torch.autograd.grad(losses.non_saturating_g(sure), sure)
    assert abs(flat.item()) < 1e-4 < 0.9 < abs(steep.item())


def test_least_squares_measures_the_distance_to_one_and_zero() -> None:
    assert losses.least_squares_d(REAL, FAKE).item() == pytest.approx(0.5 * ((1 + 4) / 2 + (0.25 + 9) / 2))
    assert losses.least_squares_g(FAKE).item() == pytest.approx((0.25 + 16) / 2)


def test_hinge_ignores_what_is_already_beyond_the_margin() -> None:
    assert losses.hinge_d(REAL, FAKE).item() == pytest.approx((0 + 2) / 2 + (1.5 + 0) / 2)


def test_wasserstein_is_a_difference_of_means() -> None:
    assert losses.wasserstein_d(REAL, FAKE).item() == pytest.approx(-1.25 - 0.5)
    assert losses.wasserstein_g(FAKE).item() == pytest.approx(1.25)


def test_the_relativistic_losses_mirror_each_other() -> None:
    assert losses.relativistic_d(REAL, FAKE).item() == pytest.approx((softplus(-1.5) + softplus(-2)) / 2)
    assert losses.relativistic_g(REAL, FAKE).item() == pytest.approx(losses.relativistic_d(FAKE, REAL).item())


def test_the_zero_centred_penalty_of_a_linear_judge_is_its_squared_slope() -> None:
    slope = torch.tensor([3.0, -4.0])
    img = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    assert losses.zero_centred_penalty(img @ slope, img).item() == pytest.approx(25.0)


def test_the_penalty_can_itself_be_descended() -> None:
    weight = torch.tensor([1.0], requires_grad=True)
    img = torch.tensor([[2.0]], requires_grad=True)
    losses.zero_centred_penalty((weight * img**2).sum(1), img).backward()
    assert weight.grad is not None
    assert weight.grad.item() == pytest.approx(2 * (2 * 2) ** 2)


def test_the_gradient_penalty_is_zero_only_at_slope_one() -> None:
    img = torch.zeros(4, 2, requires_grad=True)
    assert losses.gradient_penalty(img @ torch.tensor([0.6, 0.8]), img).item() == pytest.approx(0.0, abs=1e-9)
    assert losses.gradient_penalty(img @ torch.tensor([3.0, 0.0]), img).item() == pytest.approx(4.0, rel=1e-5)


def test_interpolated_pairs_lie_between_the_two_pictures() -> None:
    real, fake = torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2)
    between = losses.interpolate_pairs(real, fake, torch.tensor([0.0, 0.25, 1.0]))
    assert between.requires_grad
    assert between[:, 0, 0, 0].tolist() == [0.0, 0.25, 1.0]


def test_the_path_length_of_a_linear_generator_is_the_norm_of_its_pulled_back_noise() -> None:
    ws = torch.zeros(1, 1, 2, requires_grad=True)
    img = torch.stack([3 * ws[:, 0, 0], 4 * ws[:, 0, 1]], 1).reshape(1, 1, 1, 2)
    lengths = losses.path_lengths(img, ws, torch.ones(1, 1, 1, 2))
    assert lengths.item() == pytest.approx(5 / math.sqrt(2))
    assert losses.path_length_penalty(lengths, lengths + 2).item() == pytest.approx(4.0)


def test_orthogonal_filters_of_any_length_cost_nothing() -> None:
    assert losses.orthogonal_penalty(torch.diag(torch.tensor([1.0, 7.0]))).item() == pytest.approx(0.0)
    assert losses.orthogonal_penalty(torch.tensor([[1.0, 0.0], [2.0, 0.0]])).item() == pytest.approx(2 * 4.0)


def test_cycle_and_identity_are_mean_absolute_differences() -> None:
    assert losses.cycle(REAL, FAKE).item() == pytest.approx((1.5 + 2.0) / 2)
    assert losses.identity(REAL, REAL).item() == 0.0


def test_patch_nce_is_lowest_when_every_patch_finds_its_own_place() -> None:
    features = torch.eye(4)[None]
    assert losses.patch_nce(features, features).item() == pytest.approx(math.log(1 + 3 * math.exp(-1 / 0.07)), abs=1e-6)
    assert losses.patch_nce(features, features.flip(1)).item() > 10


def test_the_sign_measure_is_one_when_every_real_picture_is_recognised() -> None:
    assert losses.top_sign(torch.tensor([0.1, 5.0])).item() == 1.0
    assert losses.top_sign(REAL).item() == 0.0
