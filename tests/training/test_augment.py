"""The augmentation pipe: silent at zero, differentiable, lawful in its matrices."""

import math

import torch

from studio.training import augment
from studio.training.trainer import StepRandom


def test_at_strength_zero_the_picture_is_the_same_object() -> None:
    img = torch.zeros(2, 3, 8, 8)
    assert augment.Augment(0.0)(img, StepRandom(0, 0, 0)) is img


def test_the_pipe_keeps_shape_and_lets_gradients_through() -> None:
    img = torch.rand(4, 3, 16, 16, requires_grad=True)
    out = augment.Augment(0.8)(img, StepRandom(0, 0, 0))
    out.sum().backward()
    assert out.shape == img.shape
    assert img.grad is not None
    assert img.grad.abs().sum() > 0


def test_equal_steps_draw_equal_augmentations() -> None:
    img = torch.rand(4, 3, 16, 16)
    first, second = (augment.Augment(0.5)(img, StepRandom(1, 0, 7)) for _ in range(2))
    assert torch.equal(first, second)


def test_a_hue_turn_keeps_grey_and_comes_back_after_a_full_circle() -> None:
    grey = torch.tensor([0.3, 0.3, 0.3, 1.0])
    turn = augment._hue(torch.tensor([1.0, 2 * math.pi]))
    assert torch.allclose(turn[0] @ grey, grey, atol=1e-6)
    assert torch.allclose(turn[1], torch.eye(4), atol=1e-6)


def test_a_mirrored_picture_is_warped_exactly() -> None:
    img = torch.rand(1, 3, 6, 6)
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))[None]
    assert torch.allclose(augment._warp(img, mirror), img.flip(3), atol=1e-5)
