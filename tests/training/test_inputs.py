"""What a GAN's step is fed: pictures with their own classes, and styles that meet at one layer."""

from typing import Any

import numpy as np
import pytest
import torch
from toy_networks import ToyGenerator

from studio.training.data import Pictures, Report
from studio.training.inputs import Inputs
from studio.training.settings import Settings
from studio.training.team import Team
from studio.training.trainer import StepRandom

SIDE = 4


def pictures(n: int = 6) -> Pictures:
    """Pictures of 4 px whose left half has the value ``10 * index`` and whose right half is 255; the class is ``index % 2``."""
    images = np.full((n, SIDE, SIDE, 3), 255, np.uint8)
    images[:, :, : SIDE // 2] = (10 * np.arange(n, dtype=np.uint8))[:, None, None, None]
    places = np.array([(k * SIDE * SIDE * 3, SIDE, SIDE) for k in range(n)], np.int64)
    report = Report(n, ("even", "odd"), (n // 2, n // 2), (), (), SIDE)
    return Pictures(images.reshape(-1), places, np.arange(n) % 2, 3, report)


def inputs(**changes: Any) -> Inputs:
    settings = Settings(
        "stylegan2", ("x",), **({"batch": 64, "z_dim": 6, "style_mixing": 0.0, "diversity_weight": 0.0, "mirror": False} | changes)
    )
    return Inputs(settings, pictures(), Team(), device=torch.device("cpu"), c_dim=2)


@pytest.mark.parametrize("mirror", [False, True])
def test_real_pictures_come_with_their_own_class_and_some_mirrored_only_where_that_is_wanted(mirror: bool) -> None:
    real, c = inputs(mirror=mirror).real(StepRandom(0, 0, 0))
    assert real.shape == (64, 3, SIDE, SIDE) and c is not None and c.shape == (64, 2)
    left, right = ((real[:, 0, 0, column] + 1) * 127.5 for column in (0, -1))
    number = torch.minimum(left, right).round().long() // 10
    assert torch.equal(c.argmax(1), number % 2)
    turned = left > right
    assert 0 < turned.sum() < 64 if mirror else not turned.any()


def test_mixed_styles_are_one_style_up_to_a_layer_and_another_from_there() -> None:
    G = ToyGenerator()
    ws = inputs(style_mixing=1.0).styles(G, 64, None, StepRandom(0, 0, 0))
    changes = (ws[:, 1:] != ws[:, :-1]).any(2)
    assert ws.shape == (64, G.num_ws, G.w_dim)
    assert (changes.sum(1) == 1).all()
    assert changes.any(0).all(), "every layer is a place to meet"


def test_without_mixing_every_layer_has_the_same_style() -> None:
    ws = inputs().styles(ToyGenerator(), 8, None, StepRandom(0, 0, 0))
    assert torch.equal(ws, ws[:, :1].expand_as(ws))
    assert not torch.equal(ws[0], ws[1])
