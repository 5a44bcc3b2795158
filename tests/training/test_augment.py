"""The augmentation pipe: silent at zero, exact where it can be, differentiable twice, lawful in its matrices and filters."""

import math

import pytest
import torch

from studio.errors import TrainingError
from studio.training import augment, augment_colour, augment_geometry
from studio.training.settings import Settings
from studio.training.team import Team
from studio.training.trainer import StepRandom


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def smooth(n: int = 1, side: int = 16, channels: int = 3) -> torch.Tensor:
    coarse = torch.rand(n, channels, 4, 4, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, size=side, mode="bicubic")


@pytest.mark.parametrize("pipe", augment.PIPES)
def test_at_strength_zero_the_picture_is_the_same_object_and_nothing_is_drawn(pipe: str) -> None:
    img, random = torch.zeros(2, 3, 8, 8), StepRandom(0, 0, 0)
    assert augment.Augment(0.0, pipe)(img, random) is img
    assert torch.equal(random.normal(3), StepRandom(0, 0, 0).normal(3))


@pytest.mark.parametrize("pipe", augment.PIPES)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_pipe_keeps_the_shape_changes_the_picture_and_lets_gradients_through(pipe: str, channels: int) -> None:
    img = smooth(8, channels=channels).requires_grad_()
    out = augment.Augment(0.8, pipe)(img, StepRandom(0, 0, 0))
    (gradient,) = torch.autograd.grad(out.square().sum(), img)
    assert out.shape == img.shape
    assert torch.isfinite(out).all()
    assert gradient.abs().sum() > 0
    assert not torch.equal(out, img)


@pytest.mark.parametrize(("sign", "expected"), [(1.0, [0.0, 0.0, 0.0, 0.4, 0.4]), (-1.0, [0.0] * 5)])
def test_the_strength_moves_every_fourth_step_as_the_discriminator_is_too_sure_or_not(sign: float, expected: list[float]) -> None:
    pipe = augment.Augment()
    adaptation = augment.Adaptation(pipe, Settings("stylegan2", ("x",), augment="ada", ada_target=0.6, ada_kimg=0.1), 10)
    strengths = []
    for _ in range(5):
        adaptation.follow(sign)
        strengths.append(pipe.p)
    assert strengths == pytest.approx(expected)
    assert adaptation.signs == [sign]


def test_an_adapting_strength_never_leaks_and_a_fixed_one_stays() -> None:
    for kind, first, last in (("ada", 0.7, augment.LARGEST_P), ("fixed", 0.9, 0.9)):
        pipe = augment.Augment(first)
        adaptation = augment.Adaptation(pipe, Settings("stylegan2", ("x",), augment=kind, ada_kimg=0.001), 10)
        for _ in range(8):
            adaptation.follow(1.0)
        assert pipe.p == last


@pytest.mark.parametrize("make", [lambda: augment.Augment(0.5, "all"), augment.DiffAugment])
def test_equal_steps_draw_equal_augmentations(make) -> None:  # type: ignore[no-untyped-def]
    img = smooth(4)
    first, second, other = (make()(img, StepRandom(1, 0, step)) for step in (7, 7, 8))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("make", [lambda: augment.Augment(0.1, "all"), augment.DiffAugment])
def test_the_members_of_a_team_change_their_pictures_as_a_lone_process_changes_all(make) -> None:  # type: ignore[no-untyped-def]
    img = smooth(8)
    whole = make()(img, StepRandom(2, 0, 0))
    after = StepRandom(2, 0, 0)
    make()(img, after)
    expected = after.normal(8)
    for rank in (0, 1):
        team = Team()
        team.size, team.rank = 2, rank
        random = StepRandom(2, 0, 0, team)
        part = make()(img[team.share(8)], random)
        assert torch.allclose(part, whole[team.share(8)], atol=1e-5)
        assert torch.equal(random.normal(4), expected[team.share(8)])


def test_the_share_of_changed_pictures_is_the_strength() -> None:
    img = torch.rand(1000, 1, 2, 2)
    changed = ((augment.Augment(0.3, "color")(img, StepRandom(0, 0, 0)) - img).abs() > 1e-5).flatten(1).any(1).float().mean()
    expected = 1 - (1 - 0.3) ** 2 * (1 - 0.15)
    assert abs(changed - expected) < 0.06  # brightness, contrast, half of the luma flips: hue and saturation keep grey


def test_a_free_change_with_no_change_in_it_returns_the_picture() -> None:
    img = smooth()
    assert torch.allclose(augment_geometry.warp(img, torch.eye(3)[None]), img, atol=0.02)
    inner = (..., slice(6, -6), slice(6, -6))
    assert torch.allclose(augment_geometry.warp(img, torch.eye(3)[None])[inner], img[inner], atol=1e-5)


def test_the_filter_is_orthogonal_to_itself_shifted_by_two() -> None:
    taps = torch.tensor(augment_geometry.SYM6, dtype=torch.float64)
    for shift in range(0, 12, 2):
        assert abs(float((taps[shift:] * taps[: 12 - shift]).sum()) - float(shift == 0)) < 1e-9
    assert abs(taps.sum() - math.sqrt(2)) < 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_blits_only_move_pixels_and_match_the_warp(seed: int) -> None:
    matrices = augment_geometry.blit_matrices(6, 0.9, StepRandom(seed, 0, 0), height=32, width=32)
    img = smooth(6, side=32)
    carried = augment_geometry.carry(img, matrices)
    inner = (..., slice(8, -8), slice(8, -8))
    assert torch.allclose(carried[inner], augment_geometry.warp(img, matrices)[inner], atol=0.01)
    unmoved = matrices.clone()
    unmoved[:, :2, 2] = 0
    turned = augment_geometry.carry(img, unmoved)
    assert torch.equal(turned.flatten(2).sort(2).values, img.flatten(2).sort(2).values)


def test_a_mirrored_and_a_turned_picture_are_exact() -> None:
    img = torch.rand(2, 3, 6, 6)
    mirror, quarter = torch.diag(torch.tensor([-1.0, 1.0, 1.0])), torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    out = augment_geometry.carry(img, torch.stack([mirror, quarter]))
    assert torch.equal(out[0], img[0].flip(2))
    assert torch.equal(out[1], img[1].rot90(-1, (1, 2)))


def test_pictures_on_which_nothing_falls_stay_bit_for_bit() -> None:
    img = smooth(64)
    random = StepRandom(0, 0, 0)
    frees = augment_geometry.free_matrices(64, 0.1, random, height=16, width=16)
    out = augment_geometry.move(img, torch.eye(3).repeat(64, 1, 1), frees)
    still = (frees == torch.eye(3)).flatten(1).all(1)
    assert 0 < still.sum() < 64
    assert torch.equal(out[still], img[still])


def test_the_warp_is_linear_and_its_second_gradients_are_right() -> None:
    img = torch.rand(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    matrix = augment_geometry.free_matrices(1, 1.0, StepRandom(3, 0, 0), height=4, width=4)
    assert torch.autograd.gradcheck(lambda x: augment_geometry.warp(x, matrix).square(), (img,))
    assert torch.autograd.gradgradcheck(lambda x: augment_geometry.warp(x, matrix).square(), (img,))


def test_turning_there_and_back_keeps_more_than_turning_without_the_filters_would() -> None:
    img = smooth(1, side=32)
    inner = (..., slice(10, -10), slice(10, -10))
    there = augment_geometry._turn(torch.tensor([0.5]))
    back = augment_geometry._turn(torch.tensor([-0.5]))
    careful = augment_geometry.warp(augment_geometry.warp(img, there), back)

    def plain(x: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        grid = torch.nn.functional.affine_grid(torch.linalg.inv(matrix)[:, :2], list(x.shape), align_corners=False)
        return torch.nn.functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)

    rough = plain(plain(img, there), back)
    assert (careful - img)[inner].abs().mean() < 0.5 * (rough - img)[inner].abs().mean()


def test_a_hue_turn_keeps_grey_and_comes_back_after_a_full_circle() -> None:
    grey = torch.tensor([0.3, 0.3, 0.3, 1.0])
    turn = augment_colour.hue_turn(torch.tensor([1.0, 2 * math.pi]))
    assert torch.allclose(turn[0] @ grey, grey, atol=1e-6)
    assert torch.allclose(turn[1], torch.eye(4), atol=1e-6)


def test_colours_of_grey_pictures_are_the_mean_of_the_three_and_alpha_stays() -> None:
    matrices = augment_colour.colour_matrices(5, 1.0, StepRandom(0, 0, 0))
    grey, alpha = smooth(5, channels=1), torch.rand(5, 1, 16, 16)
    three = augment_colour.recolour(grey.repeat(1, 3, 1, 1), matrices)
    assert torch.allclose(augment_colour.recolour(grey, matrices), three.mean(1, keepdim=True), atol=1e-5)
    four = augment_colour.recolour(torch.cat([grey.repeat(1, 3, 1, 1), alpha], 1), matrices)
    assert torch.allclose(four[:, :3], three, atol=1e-6)
    assert torch.equal(four[:, 3:], alpha)


def test_the_bands_add_up_to_the_picture_and_keep_its_expected_power() -> None:
    whole = augment_colour.filter_bank().sum(0)
    assert torch.allclose(whole, torch.eye(43)[21], atol=1e-6)
    img = smooth(2)
    assert torch.allclose(augment_colour.refilter(img, torch.ones(2, 4)), img, atol=1e-5)
    gains = augment_colour.band_gains(300, 0.1, StepRandom(0, 0, 0)).sort(1).values
    power = torch.tensor(augment_colour.EXPECTED_POWER)
    unsorted = augment_colour.band_gains(300, 0.1, StepRandom(0, 0, 0))
    one_band = (gains[:, 1:] == gains[:, 1:2]).all(1) | (gains[:, :3] == gains[:, :1]).all(1)
    assert (unsorted[one_band] != 1).any(1).sum() > 0
    assert torch.allclose((unsorted[one_band].square() * power).sum(1), torch.ones(int(one_band.sum())), atol=1e-5)


def test_each_band_answers_to_its_own_octave() -> None:
    spectrum = torch.fft.rfft(augment_colour.filter_bank(), n=256).abs()
    middles = [4, 24, 48, 112]  # of the octaves 0-16, 16-32, 32-64, 64-128 in a spectrum of 129
    assert [int(spectrum[:, k].argmax()) for k in middles] == [0, 1, 2, 3]


def test_noise_has_no_mean_and_cutout_makes_a_quarter_at_most_grey() -> None:
    img = torch.ones(200, 1, 16, 16)
    noisy = augment_colour.add_noise(img, 1.0, StepRandom(0, 0, 0))
    assert abs((noisy - img).mean()) < 1e-3
    assert 0.05 < (noisy - img).flatten(1).std(1).mean() < 0.11
    holes = (augment_colour.cut_out(img, 1.0, StepRandom(0, 0, 0)) == 0).flatten(1).float().mean(1)
    assert 0.2 < holes.max() <= 0.25
    assert holes.min() >= 0.25 * 0.2


@pytest.mark.parametrize(("p", "leaks"), [(0.3, False), (0.8, False), (1.0, True)])
def test_the_mean_of_changed_pictures_tells_the_true_side_up_to_the_largest_strength_only(p: float, leaks: bool) -> None:
    img = torch.zeros(4000, 1, 4, 4)
    img[..., 0] = 1
    matrices = augment_geometry.blit_matrices(4000, p, StepRandom(0, 0, 0), height=4, width=4)
    matrices[:, :2, 2] = 0
    mean = augment_geometry.carry(img, matrices).mean(0)[0, 1:3]
    assert (float(mean[:, 0].mean() - mean[:, 3].mean()) > max((1 - p) ** 2 / 2, 0.019)) != leaks
    assert p <= augment.LARGEST_P or leaks


def test_diff_augment_changes_every_picture_and_moves_by_an_eighth_at_most() -> None:
    img = smooth(50)
    assert (augment.DiffAugment("color")(img, StepRandom(0, 0, 0)) != img).flatten(1).any(1).all()
    spot = torch.zeros(300, 1, 16, 16)
    spot[:, :, 8, 8] = 1
    moved = augment.DiffAugment("translation")(spot, StepRandom(0, 0, 0))
    rows, columns = moved[:, 0].nonzero()[:, 1], moved[:, 0].nonzero()[:, 2]
    assert len(rows) == 300
    assert set(rows.tolist()) == set(columns.tolist()) == set(range(6, 11))


def test_what_is_asked_for_is_made_and_the_rest_refused_with_advice() -> None:
    settings = Settings(family="stylegan2", data=("x",))
    assert augment.make(settings).p == 0.0
    with pytest.raises(TrainingError, match="Use one of: blit, geom, color"):
        augment.Augment(0.0, "bgx")
    with pytest.raises(TrainingError, match="Use some of: color, translation, cutout"):
        augment.DiffAugment("colour")
