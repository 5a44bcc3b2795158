"""One network of many styles: rows that blend, sizes that fit, and a file that opens."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from studio import checkpoints
from studio.checkpoints import ModelCard
from studio.errors import StudioError
from studio.models.common import Translator, build
from studio.restyle import films
from studio.restyle.picture import exhaust, restyle


def network(n_styles: int = 3) -> Any:
    torch.manual_seed(0)
    net = build("style-transfer", {"n_styles": n_styles, "width": 8, "n_blocks": 2, "expanded": [6, 4]}).eval()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith(("gamma", "beta")):
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return net


def test_it_paints_pictures_of_any_size_in_steps_of_four_and_serves_the_protocol() -> None:
    net = network()
    assert isinstance(net, Translator)
    for height, width in ((32, 32), (36, 64)):
        made = net(torch.rand(2, 3, height, width) * 2 - 1)
        assert made.shape == (2, 3, height, width) and made.abs().max() <= 1
    for wrong in (torch.zeros(1, 3, 34, 32), torch.zeros(1, 3, 28, 32), torch.zeros(1, 1, 32, 32)):
        with pytest.raises(StudioError, match=r"multiples of 4, at least 32|takes pictures \[n, 3"):
            net(wrong)
    with pytest.raises(StudioError, match="2 weights were given, but this network has 3 styles"):
        net(torch.zeros(1, 3, 32, 32), torch.tensor([0.5, 0.5]))


def test_each_picture_of_a_batch_is_painted_in_its_own_style() -> None:
    net, img = network(), torch.rand(3, 3, 32, 32) * 2 - 1
    together = net(img, torch.eye(3))
    for k in range(3):
        assert torch.allclose(together[k : k + 1], net(img[k : k + 1], torch.eye(3)[k]), atol=1e-5)
    assert (net(img[:1], torch.eye(3)[0]) - net(img[:1], torch.eye(3)[1])).abs().max() > 0.05
    assert torch.equal(net(img), net(img, torch.eye(3)[0])), "without weights it is the first style"


def test_a_blend_of_styles_is_the_style_whose_rows_are_blended() -> None:
    net, img = network(2), torch.rand(1, 3, 32, 32) * 2 - 1
    blended = network(1)
    tensors = net.state_dict()
    for name in blended.state_dict():
        tensors[name] = 0.3 * tensors[name][:1] + 0.7 * tensors[name][1:] if name.endswith(("gamma", "beta")) else tensors[name]
    blended.load_state_dict(tensors)
    assert torch.allclose(net(img, torch.tensor([0.3, 0.7])), blended(img), atol=1e-5)


def test_the_norm_takes_brightness_and_contrast_of_the_photo_away() -> None:
    layer, weights = network().contract[0], torch.eye(3)[:1]
    x = torch.rand(1, 3, 32, 32)
    y = layer(x, weights)
    assert torch.allclose(layer(3 * x, weights), y, atol=1e-4)
    assert torch.allclose(y.mean((2, 3)), layer.beta[:1], atol=1e-5)
    assert torch.allclose(y.std((2, 3), correction=0), layer.gamma[:1].abs(), atol=1e-3)
    padded = F.conv2d(F.pad(x, (4,) * 4, mode="reflect"), layer.weight)
    assert padded.shape[2:] == y.shape[2:]


def test_a_saved_book_opens_and_paints_the_same(tmp_path: Path) -> None:
    net, img = network(), torch.rand(1, 3, 32, 32) * 2 - 1
    checkpoints.save(net, tmp_path / "book.safetensors", ModelCard(classes=("one", "two", "three")))
    opened: Any = checkpoints.load(tmp_path / "book.safetensors")
    weights = torch.tensor([0.2, 0.3, 0.5])
    assert torch.equal(opened(img, weights), net(img, weights))
    assert (opened.family, opened.n_styles) == ("style-transfer", 3)


def test_a_book_restyles_photos_of_any_size_and_holds_still_in_films() -> None:
    net = network()
    photo = np.random.default_rng(0).integers(0, 256, (45, 61, 3), dtype=np.uint8)
    assert restyle(net, photo).shape == (45, 61, 3)
    frames = [np.full((40, 40, 3), 60, np.uint8), np.full((40, 40, 3), 200, np.uint8)]
    frames[0][10:30] = frames[1][10:30] = photo[:20, :40]
    held = exhaust(films.hold(net, frames))
    assert films.depends_on_picture(net) and not films.depends_on_picture(held)
    rows = slice(16, 24)  # where both frames show the same
    alone, together = ([restyle(way, frame)[rows].astype(int) for frame in frames] for way in (net, held))
    assert np.abs(together[0] - together[1]).mean() < np.abs(alone[0] - alone[1]).mean()
