"""StyleGAN3: published names, and the laws the paper promises: pictures that move and turn as wholes, styles that truncate."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from studio.errors import StudioError
from studio.models.common import LatentGenerator, build
from studio.models.stylegan3 import StyleGAN3Generator
from studio.models.stylegan3_plan import plan_bands, plan_layers

CONFIG_R = {"conv_kernel": 1, "use_radial_filters": True}


def make(resolution: int = 32, *, seed: int = 0, **arguments: Any) -> StyleGAN3Generator:
    torch.manual_seed(seed)
    sizes = {"z_dim": 16, "c_dim": 0, "w_dim": 16, "img_channels": 3, "channel_base": 512, "channel_max": 16}
    G = StyleGAN3Generator(img_resolution=resolution, **{**sizes, **arguments})
    torch.nn.init.normal_(G.synthesis.input.affine.weight, std=0.1)
    for layer in G.synthesis.layers:
        torch.nn.init.normal_(layer.bias, std=0.2)
    return G.eval().requires_grad_(False)


def styles(G: StyleGAN3Generator, n: int = 1, seed: int = 1) -> Tensor:
    z = torch.from_numpy(np.random.RandomState(seed).randn(n, G.z_dim))
    return G.mapping(z)


def shift(x: float, y: float) -> Tensor:
    return torch.tensor([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("config", [{}, CONFIG_R], ids=["t", "r"])
@pytest.mark.parametrize("resolution", [8, 16, 32])
def test_pictures_have_the_promised_shape_and_are_finite(resolution: int, config: dict[str, Any]) -> None:
    G = make(resolution, img_channels=4, **config)
    ws = styles(G, 2)
    assert isinstance(G, LatentGenerator)
    assert ws.shape == (2, G.num_ws, 16) and len(G.layer_resolutions) == G.num_ws
    img = G.synthesis(ws, noise_mode="random")
    assert img.shape == (2, 4, resolution, resolution) and img.dtype == torch.float32
    assert bool(torch.isfinite(img).all())


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_layers": 8, "num_critical": 3},
        {"margin_size": 4, "filter_size": 4},
        {"lrelu_upsampling": 4},
        {"first_cutoff": 1.5, "first_stopband": 5.0, "last_stopband_rel": 1.5},
        {"mapping_layers": 5, "c_dim": 3},
        {"channels": [8, 8, 8, 8, 8, 8, 8, 8, 6, 6, 6, 6, 4, 4], "conv_clamp": None},
    ],
    ids=lambda arguments: "+".join(arguments),
)
def test_a_generator_is_rebuilt_from_its_own_config(arguments: dict[str, Any]) -> None:
    G = make(16, **arguments)
    again = build(G.family, G.config)
    again.load_state_dict(G.state_dict())
    assert isinstance(again, StyleGAN3Generator)
    ws = torch.randn(1, G.num_ws, G.w_dim)
    assert torch.equal(again.eval().synthesis(ws), G.synthesis(ws))


def test_weights_carry_the_published_names() -> None:
    G = make(16, c_dim=2)
    names = set(G.state_dict())
    assert {"mapping.w_avg", "mapping.embed.weight", "mapping.fc0.weight", "mapping.fc1.bias"} <= names
    assert {f"synthesis.input.{name}" for name in ("weight", "affine.weight", "affine.bias", "freqs", "phases", "transform")} <= names
    parts = ("weight", "bias", "affine.weight", "affine.bias", "magnitude_ema", "up_filter", "down_filter")
    assert {f"synthesis.L0_36_16.{part}" for part in parts} <= names
    assert {f"synthesis.L14_16_3.{part}" for part in ("weight", "bias", "affine.weight", "affine.bias", "magnitude_ema")} <= names
    assert "synthesis.L14_16_3.up_filter" not in names


def test_the_1024_pixel_generator_has_the_published_layers() -> None:
    plans = plan_layers(
        img_resolution=1024,
        img_channels=3,
        num_layers=14,
        num_critical=2,
        cutoffs=(2.0, 2**2.1, 2**0.3),
        margin_size=10,
        channels=None,
        channel_base=32768,
        channel_max=512,
        conv_kernel=3,
        filter_size=6,
        lrelu_upsampling=2,
        use_radial_filters=False,
    )
    sizes = [36, 36, 52, 52, 84, 148, 148, 276, 276, 532, 1044, 1044, 1044, 1024, 1024]
    widths = [512, 512, 512, 512, 512, 512, 512, 323, 203, 128, 81, 51, 32, 32, 3]
    assert [plan.name for plan in plans] == [f"L{i}_{size}_{width}" for i, (size, width) in enumerate(zip(sizes, widths, strict=True))]


def test_cutoffs_grow_to_the_nyquist_limit_and_never_pass_it() -> None:
    bands = plan_bands(256, num_layers=14, num_critical=2, cutoffs=(2.0, 2**2.1, 2**0.3))
    cutoffs = [band.cutoff for band in bands]
    assert cutoffs == sorted(cutoffs) and cutoffs[0] == 2.0 and cutoffs[-1] == 128.0
    assert all(band.cutoff <= band.rate / 2 for band in bands)
    assert all(band.cutoff < band.rate / 2 for band in bands[:-3])


def test_the_stored_transform_is_used_unless_another_one_is_given() -> None:
    G = make()
    ws = styles(G)
    plain, moved = G.synthesis(ws), G.synthesis(ws, transform=shift(0.2, 0.1))
    assert difference(moved, plain) > 0.1
    G.synthesis.input.transform.copy_(shift(0.2, 0.1))
    assert torch.equal(G.synthesis(ws), moved)
    assert difference(G.synthesis(ws, transform=torch.eye(3)), plain) < 1e-6


def test_each_sample_may_have_its_own_transform_and_batch_size_changes_nothing() -> None:
    G = make()
    ws = styles(G, 2)
    transforms = torch.stack([torch.eye(3), shift(0.3, 0.0)])
    both = G.synthesis(ws, transform=transforms)
    for index in range(2):
        assert difference(both[index], G.synthesis(ws[index : index + 1], transform=transforms[index])[0]) < 1e-6


@pytest.mark.parametrize("config", [{}, CONFIG_R], ids=["t", "r"])
def test_moving_the_input_by_whole_samples_moves_the_picture_as_a_whole(config: dict[str, Any]) -> None:
    G = make(64, **config)
    ws = styles(G)
    plain, moved = G.synthesis(ws), G.synthesis(ws, transform=shift(2 / 16, -1 / 16))
    inner = slice(12, 52)
    assert difference(moved[..., inner, inner], plain[..., 8:48, 20:60]) < 1e-3


def test_config_r_turns_with_its_input_by_a_right_angle_and_config_t_does_not() -> None:
    quarter = torch.tensor([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    errors = {}
    for name, config in {"t": {}, "r": CONFIG_R}.items():
        G = make(32, **config)
        G.synthesis.input.affine.weight.zero_()
        ws = styles(G)
        turned = G.synthesis(ws, transform=quarter)
        errors[name] = min(difference(turned, G.synthesis(ws).rot90(turns, (2, 3))) for turns in (1, 3))
    assert errors["r"] < 1e-4 < 0.05 < errors["t"]


def test_the_average_style_is_the_same_picture_whatever_the_seed() -> None:
    G = make()
    G.mapping.w_avg.copy_(torch.randn(16))
    pictures = [G.synthesis(G.w_avg.lerp(styles(G, seed=seed), 0.0)) for seed in (3, 4)]
    assert torch.equal(*pictures)


def test_a_latent_is_normalised_so_its_length_does_not_matter() -> None:
    G = make(16)
    z = torch.randn(1, 16)
    assert difference(G.mapping(z * 5), G.mapping(z)) < 1e-5


def test_a_model_with_classes_asks_for_the_class() -> None:
    G = make(16, c_dim=3)
    z = torch.randn(1, 16)
    first, second = (G.mapping(z, torch.eye(3)[index : index + 1]) for index in (0, 1))
    assert difference(first, second) > 0.01
    with pytest.raises(StudioError, match="c is missing"):
        G.mapping(z)
    with pytest.raises(StudioError, match=r"c has shape \[1, 2\]"):
        G.mapping(z, torch.ones(1, 2))


def test_styles_of_another_network_and_odd_transforms_are_refused() -> None:
    G = make(16)
    with pytest.raises(StudioError, match=r"needs \[n, 16, 16\]"):
        G.synthesis(torch.zeros(1, 14, 16))
    with pytest.raises(StudioError, match=r"needs \[3, 3\] or \[2, 3, 3\]"):
        G.synthesis(torch.zeros(2, 16, 16), transform=torch.eye(3).expand(3, 3, 3))


def test_running_averages_follow_the_data_in_training_mode_only() -> None:
    G = make(16)
    before = {name: value.clone() for name, value in G.named_buffers()}
    G(torch.randn(4, 16))
    assert all(torch.equal(before[name], value) for name, value in G.named_buffers())
    G.train()
    G(torch.randn(4, 16))
    moved = {name for name, value in G.named_buffers() if not torch.equal(before[name], value)}
    assert moved == {"mapping.w_avg"} | {f"synthesis.{plan.name}.magnitude_ema" for plan in G.synthesis.plans}


@pytest.mark.parametrize("config", [{}, CONFIG_R], ids=["t", "r"])
def test_every_weight_gets_a_finite_gradient(config: dict[str, Any]) -> None:
    G = make(16, **config).requires_grad_(True)
    G(torch.randn(2, 16)).square().mean().backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in G.parameters())
    assert sum(float(p.grad.abs().sum()) > 0 for p in G.parameters() if p.grad is not None) == len(list(G.parameters()))


def test_the_clamp_bounds_what_a_layer_gives() -> None:
    layer = make(16, conv_clamp=0.5).synthesis.layers[-1]
    y = layer(torch.randn(1, layer.plan.in_channels, 16, 16) * 100, torch.randn(1, 16) * 10)
    assert float(y.abs().max()) == pytest.approx(0.5)
