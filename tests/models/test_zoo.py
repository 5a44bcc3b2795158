"""The networks of the history of GANs: each serves the protocol of generators, and keeps the law of its paper."""

from pathlib import Path
from typing import Any

import pytest
import torch

from studio import checkpoints, latents
from studio.accel.choose import accelerate
from studio.checkpoints import ModelCard
from studio.errors import StudioError
from studio.models import gan_layers
from studio.models.common import LatentGenerator, build
from studio.recipe import Latent, Recipe, StyleMix, Truncation
from studio.render import draw

SIZES = {"z_dim": 12, "img_resolution": 16, "img_channels": 3, "channels": [8, 8, 4]}
CONFIGS: dict[str, dict[str, Any]] = {
    "gan": {"z_dim": 12, "c_dim": 0, "img_resolution": 16, "img_channels": 3, "features": [16, 16]},
    "dcgan": {**SIZES, "c_dim": 0},
    "wgan": {**SIZES, "c_dim": 0},
    "wgan-gp": {**SIZES, "c_dim": 0, "final_conv": True},
    "sngan": {**SIZES, "c_dim": 0, "final_conv": True},
    "cgan": {**SIZES, "c_dim": 3},
    "progan": {**SIZES, "c_dim": 0},
    "biggan": {**SIZES, "c_dim": 3, "embed_features": 5},
    "fastgan": {**SIZES, "c_dim": 0},
}


def make(family: str, **changes: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        G: Any = build(family, {**CONFIGS[family], **changes}).eval().requires_grad_(False)
        for norm in gan_layers.batch_norms(G):
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 2)
    return G


def paint(G: Any, n: int = 2) -> torch.Tensor:
    c = torch.eye(G.c_dim)[torch.arange(n) % G.c_dim] if G.c_dim else None
    img: torch.Tensor = G.synthesis(G.mapping(latents.seed_to_z(range(n), G.z_dim), c), noise_mode="const")
    return img


@pytest.mark.parametrize("family", CONFIGS)
def test_every_family_serves_the_protocol_of_generators(family: str) -> None:
    G = make(family)
    assert isinstance(G, LatentGenerator)
    img = paint(G)
    assert img.shape == (2, 3, 16, 16)
    assert img.dtype == torch.float32
    assert not torch.equal(img[0], img[1])
    assert G.family == family
    assert len(G.layer_resolutions) == G.num_ws
    assert sum(len(layers) for layers in latents.layer_groups(G).values()) == G.num_ws
    assert latents.layer_weights(G, "coarse")[0] == 1.0


@pytest.mark.parametrize("family", CONFIGS)
def test_recipes_truncate_mix_and_blend_every_family(family: str) -> None:
    G = make(family)
    average = draw(G, Recipe(latent=Latent(3.0), truncation=Truncation(psi=0.0)))
    assert (draw(G, Recipe(latent=Latent(9.0), truncation=Truncation(psi=0.0))) == average).all()
    whole = (1.0,) * G.num_ws
    raw = Truncation(psi=1.0)
    mixed = draw(G, Recipe(latent=Latent(3.0), mixing=(StyleMix(Latent(9.0), whole),), truncation=raw))
    assert (mixed == draw(G, Recipe(latent=Latent(9.0), truncation=raw))).all()
    between = draw(G, Recipe(latent=Latent(3.5), truncation=raw))
    assert (between != draw(G, Recipe(latent=Latent(3.0), truncation=raw))).any()


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_pictures_come_out_as_pictures(family: str, channels: int) -> None:
    image = draw(make(family, img_channels=channels), Recipe(latent=Latent(1.0)))
    assert image.shape == (16, 16, 4 if channels == 4 else 3)


@pytest.mark.parametrize("family", CONFIGS)
def test_a_saved_network_comes_back_with_the_same_picture(family: str, tmp_path: Path) -> None:
    G = make(family)
    checkpoints.save(G, tmp_path / "zoo.safetensors", ModelCard(licence="CC0-1.0"))
    loaded: Any = checkpoints.load(tmp_path / "zoo.safetensors")
    assert loaded.card.family == family
    assert not loaded.card.notes
    assert torch.equal(paint(loaded), paint(G))


@pytest.mark.parametrize("family", CONFIGS)
def test_the_fast_mode_falls_back_to_the_plain_module(family: str) -> None:
    G = make(family)
    assert accelerate(G) is G


@pytest.mark.parametrize("family", CONFIGS)
def test_styles_of_another_model_and_transforms_are_refused(family: str) -> None:
    G = make(family)
    with pytest.raises(StudioError, match="this model needs"):
        G.synthesis(torch.zeros(1, G.num_ws + 1, G.w_dim))
    with pytest.raises(StudioError, match="only StyleGAN3"):
        G.synthesis(torch.zeros(1, G.num_ws, G.w_dim), transform=torch.eye(3))
    with pytest.raises(StudioError, match="z has shape"):
        G.mapping(torch.zeros(1, G.z_dim + 1), torch.zeros(1, G.c_dim))


@pytest.mark.parametrize("family", ["cgan", "biggan"])
def test_the_class_changes_the_picture_and_a_missing_one_is_refused(family: str) -> None:
    G = make(family)
    z = latents.seed_to_z([5, 5], G.z_dim)
    first, second = G.synthesis(G.mapping(z, torch.eye(3)[:2]))
    assert not torch.equal(first, second)
    with pytest.raises(StudioError, match="c is missing"):
        G.mapping(z, None)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(StudioError, match="3 widths"):
        build("dcgan", {**CONFIGS["dcgan"], "channels": [8, 8]})
    with pytest.raises(StudioError, match="cannot be shared evenly by 3 layers"):
        build("biggan", {**CONFIGS["biggan"], "z_dim": 13})


def test_the_acting_weight_has_a_largest_singular_value_of_one() -> None:
    layer = gan_layers.Conv(6, 5, 3, spectral_norm=True)
    layer.weight.data.normal_(0, 3)
    for _ in range(100):
        weight = layer.acting_weight()
    assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(1.0, rel=1e-3)
    before = layer.eval().u.clone()
    layer.acting_weight()
    assert torch.equal(layer.u, before)


def test_the_gradient_through_spectral_norm_leaves_out_what_only_changes_the_length() -> None:
    layer = gan_layers.Linear(4, 3, spectral_norm=True).eval()
    layer(torch.randn(8, 4, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    assert layer.weight.grad is not None
    assert (layer.weight.grad * layer.weight).sum().item() == pytest.approx(0.0, abs=1e-4)


def test_plain_weights_paint_what_spectral_norm_painted() -> None:
    G = make("biggan", spectral_norm=True)
    plain: Any = gan_layers.without_spectral_norm(G)
    assert plain.config["spectral_norm"] is False
    assert not any(name.endswith(".u") for name in plain.state_dict())
    assert torch.allclose(paint(plain), paint(G), atol=1e-5)
    assert gan_layers.without_spectral_norm(plain) is plain


def test_batch_norm_shared_by_two_halves_equals_the_whole_batch() -> None:
    x = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    whole, half = gan_layers.BatchNorm(3).train(), gan_layers.BatchNorm(3).train()
    other = x[4:]
    half.share = lambda own: (own + torch.stack([other.mean((0, 2, 3)), other.square().mean((0, 2, 3))])) / 2
    assert torch.allclose(whole(x)[:4], half(x[:4]), atol=1e-5)


def test_settled_statistics_are_those_of_the_given_batches_and_the_same_every_time() -> None:
    G = make("dcgan")
    z = latents.seed_to_z(range(24), G.z_dim).view(3, 8, -1)
    found = []
    for _ in range(2):
        gan_layers.settle_statistics(G, lambda k: G.synthesis(G.mapping(z[k])), 3)
        found.append([norm.running_mean.clone() for norm in gan_layers.batch_norms(G)])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    start = G.synthesis.start(z).view(24, 8, -1)
    assert torch.allclose(found[0][0], start.mean((0, 2)), atol=1e-5)
    assert not G.training


def test_each_style_of_biggan_acts_from_its_own_block_on() -> None:
    G = make("biggan")
    ws = G.mapping(latents.seed_to_z([0, 1], G.z_dim), torch.eye(3)[:2])
    seen: list[torch.Tensor] = []
    G.synthesis.blocks[0].register_forward_hook(lambda module, inputs, output: seen.append(output))
    mixed = ws[:1].clone()
    mixed[:, 2] = ws[1:, 2]
    first, second = G.synthesis(ws[:1]), G.synthesis(mixed)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(first, second)


def test_the_average_style_of_biggan_is_that_of_no_latent_and_all_classes() -> None:
    G = make("biggan")
    ws = G.mapping(torch.zeros(1, G.z_dim), torch.full((1, 3), 1 / 3))
    assert torch.allclose(ws[0], G.w_avg.expand(G.num_ws, -1), atol=1e-6)


def test_a_young_progan_paints_large_pixels_and_finer_ones_fade_in_without_a_jump() -> None:
    G = make("progan")
    full = paint(G)
    G.level.fill_(0.0)
    coarse = paint(G)
    blocks = coarse.view(2, 3, 4, 4, 4, 4)
    assert torch.equal(blocks, blocks[:, :, :, :1, :, :1].expand_as(blocks))
    G.level.fill_(1e-4)
    assert torch.allclose(paint(G), coarse, atol=1e-2)
    G.level.fill_(2.0 - 1e-4)
    assert torch.allclose(paint(G), full, atol=1e-2)
    G.level.fill_(99.0)
    assert torch.equal(paint(G), full)


def test_a_young_progan_judge_sees_only_what_its_generator_can_paint() -> None:
    D: Any = build("progan-discriminator", {"img_resolution": 16, "img_channels": 3, "channels": [8, 8, 4]})
    img = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    flat = torch.nn.functional.interpolate(torch.nn.functional.avg_pool2d(img, 2), scale_factor=2)
    assert not torch.allclose(D(img), D(flat))
    full = D(img)
    D.level.fill_(1.0)
    assert torch.allclose(D(img), D(flat), atol=1e-5)
    coarse = D(img)
    D.level.fill_(1.0 + 1e-4)
    assert torch.allclose(D(img), coarse, atol=1e-2)
    D.level.fill_(2.0 - 1e-4)
    assert torch.allclose(D(img), full, atol=1e-2)


@pytest.mark.parametrize(
    ("family", "config"),
    [
        ("gan-discriminator", {"features": [16]}),
        ("dcgan-discriminator", {"channels": [8, 8, 4], "batch_norm": True}),
        ("dcgan-discriminator", {"channels": [8, 8, 4], "spectral_norm": True, "two_convs": True}),
        ("biggan-discriminator", {"channels": [8, 8, 4]}),
    ],
)
def test_a_judge_gives_one_logit_that_depends_on_picture_and_class(family: str, config: dict[str, Any]) -> None:
    D = build(family, {"c_dim": 3, "img_resolution": 16, "img_channels": 4, **config}).eval()
    img = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    c = torch.eye(3)
    logits = D(img, c[:2])
    assert logits.shape == (2, 1)
    assert not torch.equal(logits[0], logits[1])
    assert not torch.allclose(logits, D(img, c[1:]))
