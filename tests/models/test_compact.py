"""The compact upscaler: laws of its arithmetic against a naive one, tiles that give the very picture of one piece, chains of several."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from upscalers import compact, tiny

from studio import upscaling
from studio.models.common import Upscaler


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_the_network_is_its_formulas_at_every_scale(scale):
    network = compact(scale=scale)
    img = torch.rand(2, 3, 7, 9, generator=torch.Generator().manual_seed(1))
    x, state = img, network.state_dict()
    for layer in range(0, 6, 2):
        x = F.conv2d(x, state[f"body.{layer}.weight"], state[f"body.{layer}.bias"], padding=1)
        x = torch.where(x > 0, x, x * state[f"body.{layer + 1}.weight"][:, None, None])
    x = F.conv2d(x, state["body.6.weight"], state["body.6.bias"], padding=1)
    wanted = torch.stack(
        [x[:, :, :, :].reshape(2, 3, scale, scale, 7, 9)[:, :, a, b] for a, b in itertools.product(range(scale), repeat=2)]
    )
    made = network(img)
    assert made.shape == (2, 3, 7 * scale, 9 * scale) and isinstance(network, Upscaler)
    for place, (a, b) in enumerate(itertools.product(range(scale), repeat=2)):
        assert torch.allclose(made[:, :, a::scale, b::scale], wanted[place] + img, atol=1e-5)


def test_tiles_of_any_size_give_the_picture_of_one_piece():
    network = compact(scale=4)
    img = torch.rand(1, 3, 24, 20, generator=torch.Generator().manual_seed(2))
    whole = network(img)
    for tile in (5, 16, 64):
        assert torch.allclose(upscaling.enlarge(network, img, tile=tile), whole, atol=1e-4 * float(whole.abs().max()))


def test_fresh_weights_enlarge_nearly_as_bilinear_does_and_show_no_grid():
    for scale in (2, 4):
        network = compact(scale=scale, ngf=16, n_convs=4)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network.start_plain()
        img = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))
        soft, hard = (F.interpolate(img, scale_factor=float(scale), mode=mode) for mode in ("bilinear", "nearest"))
        inside = (..., slice(scale, -scale), slice(scale, -scale))
        assert (network(img) - soft)[inside].abs().mean() < (hard - soft)[inside].abs().mean() / 2


def test_upscalers_follow_one_another_until_the_picture_is_large_enough():
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    four, two = compact(scale=4), tiny(ups=1)
    once, both = upscaling.upscale(four, image), upscaling.upscale(two, upscaling.upscale(four, image))
    assert np.array_equal(upscaling.upscale_to([four, two], image, None), both)
    assert np.array_equal(upscaling.upscale_to([four, two], image, 32), once)
    assert upscaling.upscale_to([four, two], image, 40).shape == (30, 40, 3)
    assert np.array_equal(upscaling.upscale_to([four, two], image, 8), image), "nothing runs that is not needed"
    assert upscaling.upscale_to([two], image, 100).shape == (75, 100, 3), "Lanczos does what is missing"
