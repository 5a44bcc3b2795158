import pytest
import torch

from studio.errors import StudioError
from studio.models.common import LatentGenerator, build
from studio.models.stylegan2 import StyleGAN2Generator
from studio.models.stylegan2_discriminator import StyleGAN2Discriminator


def generator(**changes):
    config = {"z_dim": 16, "c_dim": 0, "w_dim": 24, "img_resolution": 16, "img_channels": 3, "channels": [16, 12, 8], "num_layers": 2}
    G = StyleGAN2Generator(**(config | changes)).eval().requires_grad_(False)
    for name, value in G.named_parameters():
        if name.endswith("noise_strength"):
            value.fill_(0.3)
    return G


def discriminator(**changes):
    config = {"c_dim": 0, "img_resolution": 16, "img_channels": 3, "channels": [16, 12, 8], "num_layers": 2}
    return StyleGAN2Discriminator(**(config | changes)).eval()


def styles(G, n=2, seed=0):
    source = torch.Generator().manual_seed(seed)
    z = torch.randn(n, G.z_dim, generator=source)
    c = torch.randn(n, G.c_dim, generator=source) if G.c_dim else None
    return G.mapping(z, c)


@pytest.mark.parametrize("architecture", ["skip", "orig", "resnet"])
@pytest.mark.parametrize("img_channels", [1, 3, 4])
def test_every_architecture_makes_pictures_of_the_promised_shape(architecture, img_channels):
    G = generator(architecture=architecture, img_channels=img_channels, c_dim=3, embed_features=5, layer_features=9)
    ws = styles(G)
    assert isinstance(G, LatentGenerator)
    assert ws.shape == (2, G.num_ws, G.w_dim) and len(G.layer_resolutions) == G.num_ws
    img = G.synthesis(ws)
    assert img.shape == (2, img_channels, 16, 16) and img.dtype == torch.float32 and img.isfinite().all()
    assert torch.isfinite(discriminator(architecture=architecture, img_channels=img_channels)(img)).all()


@pytest.mark.parametrize("resolution", [4, 8, 64])
def test_any_power_of_two_is_a_resolution(resolution):
    widths = [8] * (resolution.bit_length() - 2)
    G = generator(img_resolution=resolution, channels=widths)
    assert G.synthesis(styles(G, 1)).shape[-1] == resolution
    assert G.layer_resolutions[0] == 4 and G.layer_resolutions[-1] == resolution


@pytest.mark.parametrize("network", [generator(c_dim=2, resample_filter=(1, 2, 1), conv_clamp=256), discriminator(c_dim=2)])
def test_the_configuration_builds_the_same_network_again(network):
    again = build(network.family, network.config)
    again.load_state_dict(network.state_dict())
    assert again.config == network.config
    assert [name for name, _ in again.named_parameters()] == [name for name, _ in network.named_parameters()]


def test_parameters_have_the_published_names():
    names = set(generator(c_dim=2, architecture="resnet").state_dict()) | set(discriminator(c_dim=2).state_dict())
    assert {"mapping.fc0.weight", "mapping.embed.bias", "mapping.w_avg", "synthesis.b4.const"} <= names
    assert {"synthesis.b8.conv0.noise_const", "synthesis.b8.conv1.affine.weight", "synthesis.b16.torgb.bias"} <= names
    assert {"synthesis.b8.skip.weight", "b16.fromrgb.weight", "b8.conv1.resample_filter", "b4.out.weight"} <= names


def test_a_picture_does_not_depend_on_its_batch():
    G = generator()
    ws = styles(G, 3)
    alone = [G.synthesis(ws[i : i + 1], noise_mode="random", noise_generator=[torch.Generator().manual_seed(i)]) for i in range(3)]
    together = G.synthesis(ws, noise_mode="random", noise_generator=[torch.Generator().manual_seed(i) for i in range(3)])
    assert torch.allclose(torch.cat(alone), together, atol=1e-4)


def test_noise_without_strength_is_no_noise():
    G = generator()
    ws = styles(G)
    none = G.synthesis(ws, noise_mode="none")
    assert torch.equal(G.synthesis(ws, noise_strength=0.0), none)
    assert torch.equal(G.synthesis(ws, noise_layers=[0.0] * G.num_ws), none)
    assert not torch.allclose(G.synthesis(ws), none)


def test_noise_strength_is_the_same_for_all_layers_as_for_each():
    G = generator()
    ws = styles(G)
    assert torch.allclose(G.synthesis(ws, noise_strength=0.5), G.synthesis(ws, noise_layers=[0.5] * G.num_ws), atol=1e-6)


def test_random_noise_leaves_the_global_generator_alone():
    G = generator()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    G.synthesis(styles(G), noise_mode="random")
    assert torch.equal(torch.get_rng_state(), before)


def test_the_average_style_follows_the_data_only_while_training():
    G = generator(w_avg_beta=0.5)
    styles(G)
    assert torch.equal(G.w_avg, torch.zeros(24))
    ws = styles(G.train())
    assert torch.allclose(G.w_avg, ws[:, 0].mean(0) * 0.5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda G: G.synthesis(torch.zeros(1, 3, 24)), r"ws has shape \[1, 3, 24\]: this model needs \[n, 6, 24\]"),
        (lambda G: G.synthesis(torch.zeros(1, 6, 24), noise_mode="loud"), "noise_mode='loud' is not known"),
        (lambda G: G.synthesis(torch.zeros(1, 6, 24), transform=torch.eye(3)), "only StyleGAN3"),
        (lambda G: G.mapping(torch.zeros(1, 16)), r"c is missing: this model needs c of shape \[n, 2\]"),
        (lambda G: G.mapping(torch.zeros(1, 5), torch.zeros(1, 2)), r"z has shape \[1, 5\]"),
        (lambda G: generator(img_resolution=24), "img_resolution=24 is not possible"),
        (lambda G: generator(channels=[8]), "2 widths|3 widths"),
        (lambda G: generator(architecture="pyramid"), "Use skip, orig or resnet"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(call, words):
    with pytest.raises(StudioError, match=words):
        call(generator(c_dim=2))


def test_the_discriminator_weighs_the_class():
    D = discriminator(c_dim=3)
    img = torch.randn(4, 3, 16, 16)
    one, other = torch.eye(3)[[0, 0, 0, 0]], torch.eye(3)[[1, 1, 1, 1]]
    assert D(img, one).shape == (4, 1)
    assert not torch.allclose(D(img, one), D(img, other))


def test_the_deviation_over_the_batch_sees_whether_pictures_are_all_alike():
    D = discriminator(mbstd_group_size=None)
    img = torch.randn(4, 3, 16, 16)
    assert not torch.allclose(D(img)[:1], D(img[:1].expand(4, -1, -1, -1))[:1])


def test_the_gradient_penalty_reaches_the_weights_of_the_discriminator_in_bfloat16():
    D = discriminator().train().to(memory_format=torch.channels_last)
    img = torch.randn(4, 3, 16, 16, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = D(img)
    (slope,) = torch.autograd.grad(logits.sum(), img, create_graph=True)
    slope.square().sum().backward()
    reached = [name for name, value in D.named_parameters() if value.grad is not None and value.grad.abs().sum() > 0]
    assert {"b16.fromrgb.weight", "b16.conv1.weight", "b8.skip.weight", "b4.conv.weight"} <= set(reached)


def test_the_path_length_reaches_the_weights_of_the_generator():
    G = generator().train().requires_grad_(True)
    ws = G.mapping(torch.randn(2, 16)).detach().requires_grad_(True)
    img = G.synthesis(ws, noise_mode="random")
    (slope,) = torch.autograd.grad((img * torch.randn_like(img)).sum(), ws, create_graph=True)
    slope.square().sum().backward()
    weight = G.get_parameter("synthesis.b8.conv0.weight")
    assert weight.grad is not None and weight.grad.abs().sum() > 0


def test_autocast_leaves_styles_exact_and_pictures_close():
    G = generator()
    z = torch.randn(2, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ws = G.mapping(z)
        img = G.synthesis(ws)
    exact = G.synthesis(G.mapping(z))
    assert torch.equal(ws, G.mapping(z)) and img.dtype == torch.float32
    assert (img - exact).norm() / exact.norm() < 0.05
