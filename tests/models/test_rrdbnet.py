"""The upscaler: laws of its arithmetic against a naive one, and tiles that give the very picture of one piece."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from upscalers import tiny

from studio import upscaling
from studio.errors import RecipeError


def naive(state, img, blocks, ups):
    """ESRGAN by its formulas, without modules."""

    def conv(name, x):
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    def dense(name, x):
        x1 = F.leaky_relu(conv(f"{name}.conv1", x), 0.2)
        x2 = F.leaky_relu(conv(f"{name}.conv2", torch.cat((x, x1), 1)), 0.2)
        x3 = F.leaky_relu(conv(f"{name}.conv3", torch.cat((x, x1, x2), 1)), 0.2)
        x4 = F.leaky_relu(conv(f"{name}.conv4", torch.cat((x, x1, x2, x3), 1)), 0.2)
        return conv(f"{name}.conv5", torch.cat((x, x1, x2, x3, x4), 1)) * 0.2 + x

    first = deep = conv("conv_first", img)
    for block in range(blocks):
        inner = deep
        for part in (1, 2, 3):
            inner = dense(f"body.{block}.rdb{part}", inner)
        deep = inner * 0.2 + deep
    x = first + conv("conv_body", deep)
    for step in range(ups):
        x = F.leaky_relu(conv(f"conv_up{step + 1}", x.repeat_interleave(2, 2).repeat_interleave(2, 3)), 0.2)
    return conv("conv_last", F.leaky_relu(conv("conv_hr", x), 0.2))


@pytest.mark.parametrize("ups", [0, 1, 2, 3])
def test_the_network_is_its_formulas_at_every_scale(ups):
    network = tiny(ups=ups)
    img = torch.rand(1, 3, 7, 9, generator=torch.Generator().manual_seed(1))
    made = network(img)
    assert made.shape == (1, 3, 7 * 2**ups, 9 * 2**ups)
    assert torch.allclose(made, naive(network.state_dict(), img, 2, ups), atol=1e-5)


@pytest.mark.parametrize(("ups", "unshuffle", "scale"), [(2, 1, 4), (2, 2, 2), (2, 4, 1), (1, 1, 2), (3, 1, 8)])
def test_tiles_of_any_size_give_the_picture_of_one_piece(ups, unshuffle, scale):
    network = tiny(ups=ups, unshuffle=unshuffle)
    img = torch.rand(1, 3, 24 * unshuffle, 20 * unshuffle, generator=torch.Generator().manual_seed(2))
    whole = network(img)
    assert network.scale == scale and whole.shape[2] == scale * img.shape[2]
    for tile in (5, 16, 64):
        assert torch.allclose(upscaling.enlarge(network, img, tile=tile), whole, atol=1e-4 * float(whole.abs().max()))


def test_a_tile_sees_no_further_than_its_stage_reaches():
    network = tiny()
    features = torch.rand(1, 6, 40, 3, generator=torch.Generator().manual_seed(3))
    other = features.clone()
    other[:, :, 0] += 100.0
    block = network.body[0]
    changed = (block(features) != block(other)).any(1).any(2)[0]
    assert changed[:16].all() and not changed[16:].any()
    seen = (network.paint(features) != network.paint(other)).any(1).any(2)[0].nonzero().max() // 4
    assert seen == network.paint_reach


def test_a_picture_of_odd_sides_is_enlarged_whole_and_keeps_its_transparency():
    image = np.random.RandomState(0).randint(0, 256, (9, 7, 4), np.uint8)
    image[..., 3] = 255
    made = upscaling.upscale(tiny(unshuffle=2), image)
    assert made.shape == (18, 14, 4) and made.dtype == np.uint8
    assert (made[..., 3] == 255).all()
    assert np.array_equal(made[..., :3], upscaling.upscale(tiny(unshuffle=2), image[..., :3], tile=2))


def test_every_piece_takes_its_turn_and_what_would_be_too_large_is_refused(monkeypatch):
    turns = []

    def turn(task):
        turns.append(task)
        return task()

    upscaling.upscale(tiny(), np.zeros((8, 8, 3), np.uint8), tile=4, turn=turn)
    assert len(turns) == 1 + 2 * 4 + 1 + 4
    monkeypatch.setattr(upscaling, "MAX_RESULT_SIDE", 30)
    with pytest.raises(RecipeError, match="32 x 32 is larger"):
        upscaling.upscale(tiny(), np.zeros((8, 8, 3), np.uint8))
