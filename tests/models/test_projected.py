"""The projected discriminator: what is frozen stays frozen and out of the state, scales weigh alike, classes and grain are seen."""

from typing import Any

import pytest
import torch

from studio.errors import StudioError
from studio.features.weights import load_features
from studio.models import common
from studio.models.efficientnet_lite import EfficientNetLite0
from studio.models.projected import MIXED, colours


@pytest.fixture(scope="module")
def network() -> EfficientNetLite0:
    torch.set_num_threads(1)
    return load_features()


@pytest.fixture
def make(network: EfficientNetLite0) -> Any:
    def build(**changes: Any) -> Any:
        torch.manual_seed(0)
        config = {"c_dim": 0, "img_resolution": 32, "img_channels": 3, "width": 8, **changes}
        D: Any = common.build("projected-discriminator", config)
        D.look_through(network)
        return D

    return build


@pytest.mark.parametrize(("resolution", "channels", "side"), [(32, 3, None), (64, 1, None), (32, 4, None), (64, 3, 128), (128, 3, None)])
def test_it_judges_sixteen_places_at_each_of_three_scales(make: Any, resolution: int, channels: int, side: int | None) -> None:
    D = make(img_resolution=resolution, img_channels=channels, side=side)
    logits = D(torch.rand(2, channels, resolution, resolution) * 2 - 1)
    assert logits.shape == (2, 16 * len(MIXED)) and logits.dtype == torch.float32
    assert common.build(D.family, D.config).state_dict().keys() == D.state_dict().keys()


def test_the_frozen_network_is_in_no_state_and_learns_nothing(make: Any, network: EfficientNetLite0) -> None:
    D = make()
    own = sum(value.numel() for value in D.state_dict().values())
    assert own < 200_000 < sum(p.numel() for p in network.parameters())
    before = {name: value.clone() for name, value in D.view.state_dict().items()}
    D.requires_grad_(True)
    assert not any(parameter.requires_grad for parameter in network.parameters())
    optimizer = torch.optim.Adam(D.parameters(), lr=0.1)
    D(torch.rand(2, 3, 32, 32)).square().mean().backward()
    optimizer.step()
    assert all(torch.equal(before[name], value) for name, value in D.view.state_dict().items())
    assert all(p.grad is not None and p.grad.abs().max() > 0 for name, p in D.named_parameters() if name.endswith("weight"))


def test_a_picture_gets_a_gradient_from_every_scale(make: Any) -> None:
    D = make(img_resolution=64)
    img = torch.rand(1, 3, 64, 64, requires_grad=True)
    for part in D(img).chunk(3, 1):
        (gradient,) = torch.autograd.grad(part.sum(), img, retain_graph=True)
        assert gradient.abs().max() > 0


def test_classes_change_the_judgement_at_every_scale(make: Any) -> None:
    D = make(c_dim=3).eval()
    img = torch.rand(1, 3, 32, 32)
    first, second = D(img, torch.eye(3)[:1]), D(img, torch.eye(3)[1:2])
    assert all((a - b).abs().max() > 1e-3 for a, b in zip(first.chunk(3, 1), second.chunk(3, 1), strict=True))


def test_the_plain_share_is_the_plain_networks_share_of_the_mean(make: Any) -> None:
    D = make(plain_share=0.25, channels=[8, 8, 8, 8]).eval()
    img = torch.rand(2, 3, 32, 32)
    logits = D(img)
    plain = D.plain(img)
    assert logits.shape == (2, 64)
    assert torch.equal(logits[:, 48:], plain.expand(-1, 16))
    assert torch.allclose(logits.mean(1), 0.75 * logits[:, :48].mean(1) + 0.25 * plain[:, 0], atol=1e-5)


def test_without_batch_norms_a_judgement_does_not_depend_on_the_batch(make: Any) -> None:
    img = torch.rand(4, 3, 64, 64)
    for batch_norm in (False, True):
        D = make(img_resolution=64, batch_norm=batch_norm).train()
        for layer in D.modules():
            if hasattr(layer, "spectral_norm"):
                layer.eval()
        assert torch.allclose(D(img)[:1], D(img[:1]), atol=1e-4) != batch_norm


def test_transparency_is_seen_on_white_and_on_black() -> None:
    clear = torch.tensor([0.5, 0.0, -0.5, -1.0]).view(1, 4, 1, 1)
    solid = torch.tensor([0.5, 0.0, -0.5, 1.0]).view(1, 4, 1, 1)
    assert colours(clear).flatten(1).tolist() == [[1, 1, 1], [-1, -1, -1]]
    assert colours(solid).flatten(1).tolist() == [[0.5, 0, -0.5]] * 2
    assert colours(torch.full((1, 1, 2, 2), 0.3)).shape == (1, 3, 2, 2)


@pytest.mark.parametrize(
    "wrong", [{"img_resolution": 16}, {"side": 32}, {"side": 96}, {"img_resolution": 128, "side": 64}, {"plain_share": 1.0}]
)
def test_sizes_that_do_not_fit_are_refused_in_words(make: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(StudioError, match=r"is not possible|is out of range"):
        make(**wrong)
