"""The image translators and the PatchGAN discriminator."""

import itertools

import numpy as np
import pytest
import torch

from studio.checkpoints import load
from studio.errors import StudioError
from studio.models.common import Translator, build
from studio.models.patchgan import PatchDiscriminator
from studio.models.translator_layers import BlurDown, BlurUp, init_weights
from studio.models.translators import ResnetTranslator, UnetTranslator


def picture(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def fresh(net, gain=0.3):
    init_weights(net, gain=gain, generator=torch.Generator().manual_seed(1))
    return net.eval().requires_grad_(False)


RESNETS = [
    {"ngf": 4, "n_blocks": 1},
    {"ngf": 4, "n_blocks": 2, "norm": "batch", "dropout": True},
    {"ngf": 4, "n_blocks": 1, "downsample": "antialias", "upsample": "antialias"},
    {"ngf": 4, "n_blocks": 1, "upsample": "resize"},
    {"ngf": 4, "n_blocks": 1, "upsample": "resize", "resize_mode": "nearest", "resize_padding": "zeros", "block_padding": "zeros"},
    {"ngf": 4, "n_blocks": 1, "norm": "instance-affine", "block_padding": "replicate"},
    {"ngf": 4, "n_blocks": 1, "norm": "none", "img_channels_in": 1, "img_channels_out": 4, "n_downs": 3},
]


@pytest.mark.parametrize("config", RESNETS)
def test_a_residual_translator_keeps_the_size_and_stays_in_range(config):
    net = fresh(ResnetTranslator(**config))
    out = net(picture(2, net.img_channels_in, 24, 40))
    assert out.shape == (2, net.img_channels_out, 24, 40)
    assert out.dtype == torch.float32
    assert out.abs().max() <= 1
    assert isinstance(net, Translator)


@pytest.mark.parametrize(
    ("config", "size"), [({"n_downs": 5}, (32, 64)), ({"n_downs": 7, "norm": "instance"}, (128, 128)), ({"n_downs": 2}, (4, 12))]
)
def test_a_unet_of_any_depth_keeps_the_size_and_stays_in_range(config, size):
    net = fresh(UnetTranslator(ngf=2, **config))
    out = net(picture(2, 3, *size))
    assert out.shape == (2, 3, *size)
    assert out.abs().max() <= 1


@pytest.mark.parametrize("config", RESNETS)
def test_a_translator_is_rebuilt_from_its_family_and_configuration(config):
    net = fresh(ResnetTranslator(**config))
    twin = build(net.family, net.config).eval()
    twin.load_state_dict(net.state_dict())
    img = picture(1, net.img_channels_in, 16, 16)
    assert torch.equal(twin(img), net(img))


@pytest.mark.parametrize(
    ("net", "count"),
    [
        (lambda: ResnetTranslator(), 11_378_179),
        (lambda: ResnetTranslator(n_blocks=6), 7_837_699),
        (lambda: ResnetTranslator(ngf=32, n_blocks=6), 1_965_059),
        (lambda: UnetTranslator(n_downs=8), 54_413_955),
        (lambda: UnetTranslator(n_downs=7), 41_828_995),
    ],
)
def test_the_published_sizes_have_the_published_number_of_parameters(net, count):
    with torch.device("meta"):
        assert sum(p.numel() for p in net().parameters()) == count


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({}, ["model.1.bias", "model.10.conv_block.5.weight", "model.19.weight", "model.22.bias", "model.26.bias"]),
        ({"n_blocks": 6, "dropout": True}, ["model.10.conv_block.6.weight", "model.16.weight", "model.19.weight", "model.23.weight"]),
        (
            {"downsample": "antialias", "upsample": "antialias"},
            ["model.7.filt", "model.12.conv_block.1.bias", "model.21.filt", "model.30.bias"],
        ),
        ({"norm": "batch"}, ["model.2.running_mean", "model.10.conv_block.2.weight", "model.20.num_batches_tracked"]),
        ({"upsample": "resize"}, ["model.21.weight", "model.26.weight", "model.30.weight"]),
        ({"upsample": "resize", "resize_padding": "zeros"}, ["model.20.weight", "model.24.weight", "model.28.weight"]),
    ],
)
def test_residual_translators_use_the_published_parameter_names(config, names):
    with torch.device("meta"):
        state = ResnetTranslator(**config).state_dict()
    assert set(names) <= set(state)
    assert ("model.1.bias" in state) == (config.get("norm") != "batch")


def test_the_unet_uses_the_published_parameter_names():
    with torch.device("meta"):
        state = UnetTranslator(n_downs=5).state_dict()
    inner = "model.model.1.model.3.model.3.model.3.model"
    assert {
        "model.model.0.weight",
        "model.model.3.bias",
        "model.model.1.model.2.running_var",
        f"{inner}.1.weight",
        f"{inner}.4.bias",
    } <= set(state)
    assert f"{inner}.2.weight" not in state


@pytest.mark.parametrize("mode", ["published", "eval"])
@pytest.mark.parametrize("net", [ResnetTranslator(ngf=4, n_blocks=1, norm="batch"), UnetTranslator(ngf=2, n_downs=3)])
def test_batch_size_never_changes_a_picture(net, mode):
    net = fresh(net)
    net.norm_mode = mode
    batch = torch.cat([picture(1, 3, 16, 16), 3 * picture(1, 3, 16, 16, seed=1)])
    alone = torch.cat([net(one) for one in batch.split(1)])
    assert torch.equal(net(batch), alone)


def test_published_batch_norm_uses_the_pictures_own_statistics_and_leaves_the_stored_ones():
    net = fresh(ResnetTranslator(ngf=4, n_blocks=1, norm="batch"))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    img = picture(1, 3, 16, 16)
    published = net(img)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    net.norm_mode = "eval"
    assert not torch.allclose(net(img), published, atol=1e-3)


def test_an_unknown_norm_mode_is_refused_with_the_known_ones():
    with pytest.raises(StudioError, match="published, eval"):
        ResnetTranslator(ngf=2, n_blocks=0).norm_mode = "train"


def test_dropout_is_off_until_asked_for_and_then_a_pure_function_of_its_seed():
    net = fresh(ResnetTranslator(ngf=4, n_blocks=2, dropout=True))
    batch = picture(2, 3, 16, 16)
    still = net(batch)
    assert torch.equal(net(batch), still)
    net.dropout_on = True
    first = net(batch)
    assert not torch.equal(first, still)
    assert torch.equal(first, torch.cat([net(one) for one in batch.split(1)]))
    net.dropout_seed = 1
    assert not torch.equal(net(batch), first)
    net.dropout_on = False
    assert torch.equal(net(batch), still)


@pytest.mark.parametrize(
    ("shape", "words"), [((1, 4, 16, 16), r"\[n, 3, H, W\]"), ((1, 3, 18, 16), "multiples of 4"), ((1, 3, 4, 16), "at least 8")]
)
def test_a_picture_that_does_not_fit_is_refused_with_what_would(shape, words):
    with pytest.raises(StudioError, match=words):
        ResnetTranslator(ngf=2, n_blocks=1)(torch.zeros(shape))


def test_the_blur_layers_equal_a_naive_loop_and_keep_a_flat_picture_flat():
    x = picture(1, 2, 6, 5)
    down, up = BlurDown(2)(x), BlurUp(2)(x)
    assert down.shape == (1, 2, 3, 3)
    assert up.shape == (1, 2, 12, 10)
    taps = [0.25, 0.5, 0.25]

    def mirror(i, n):
        return -i if i < 0 else 2 * (n - 1) - i if i >= n else i

    def nearest(i, n):
        return min(max(i, 0), n - 1)

    for row, column in itertools.product(range(3), range(3)):
        wanted = sum(
            taps[i] * taps[j] * x[0, :, mirror(2 * row + i - 1, 6), mirror(2 * column + j - 1, 5)]
            for i, j in itertools.product(range(3), range(3))
        )
        assert torch.allclose(down[0, :, row, column], wanted, atol=1e-6)
    for row, column in itertools.product(range(12), range(10)):
        sources = [(row // 2, 0.75), (row // 2 + (1 if row % 2 else -1), 0.25)]
        across = [(column // 2, 0.75), (column // 2 + (1 if column % 2 else -1), 0.25)]
        wanted = sum(a * b * x[0, :, nearest(i, 6), nearest(j, 5)] for (i, a), (j, b) in itertools.product(sources, across))
        assert torch.allclose(up[0, :, row, column], wanted, atol=1e-6)
    flat = torch.ones(1, 2, 6, 5)
    assert torch.allclose(BlurDown(2)(flat), torch.ones(1, 2, 3, 3))
    assert torch.allclose(BlurUp(2)(flat), torch.ones(1, 2, 12, 10))


@pytest.mark.parametrize(("n_layers", "pixels"), [(1, 16), (2, 34), (3, 70)])
def test_one_score_of_the_patch_discriminator_sees_the_published_number_of_pixels(n_layers, pixels):
    net = fresh(PatchDiscriminator(ndf=2, n_layers=n_layers, norm="none"))
    img = picture(1, 3, 128, 128).requires_grad_()
    scores = net(img)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    seen = img.grad.abs().sum((0, 1)).nonzero()
    extent = seen.max(0).values - seen.min(0).values + 1
    assert extent.tolist() == [pixels, pixels]


def test_the_pixel_discriminator_judges_every_pixel_by_itself():
    net = fresh(PatchDiscriminator(ndf=4, variant="pixel", norm="none", img_channels=6))
    img = picture(1, 6, 5, 7)
    assert net(img).shape == (1, 1, 5, 7)
    assert torch.allclose(net(img)[..., 2:3, 3:4], net(img[..., 2:3, 3:4]), atol=1e-6)


def test_discriminators_use_the_published_parameter_names():
    patch = PatchDiscriminator(ndf=2).state_dict()
    assert {"model.0.weight", "model.2.bias", "model.5.weight", "model.8.weight", "model.11.bias"} <= set(patch)
    assert {"model.3.running_mean", "model.11.weight"} <= set(PatchDiscriminator(ndf=2, norm="batch").state_dict())
    assert {"net.0.bias", "net.2.weight", "net.5.weight"} <= set(PatchDiscriminator(ndf=2, variant="pixel").state_dict())
    assert {"model.2.filt", "model.3.weight", "model.6.filt"} <= set(PatchDiscriminator(ndf=2, downsample="antialias").state_dict())


@pytest.mark.parametrize("kind", ["normal", "xavier"])
def test_fresh_weights_depend_on_the_generator_alone_and_have_the_asked_deviation(kind):
    first, second = ResnetTranslator(ngf=32, n_blocks=1, norm="batch"), ResnetTranslator(ngf=32, n_blocks=1, norm="batch")
    for net in (first, second):
        init_weights(net, kind, 0.02, generator=torch.Generator().manual_seed(7))
    state = first.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in second.state_dict().items())
    weight = state["model.10.conv_block.1.weight"]
    wanted = 0.02 if kind == "normal" else 0.02 * (2 / (2 * weight[0].numel())) ** 0.5
    assert weight.std().item() == pytest.approx(wanted, rel=0.02)
    assert not state["model.18.bias"].any()


def test_a_training_step_in_bfloat16_and_channels_last_moves_every_weight():
    generator = torch.Generator().manual_seed(0)
    net, judge = ResnetTranslator(ngf=4, n_blocks=1, upsample="resize").train(), PatchDiscriminator(ndf=4, n_layers=2).train()
    for module in (net, judge):
        init_weights(module, generator=generator)
        module.to(memory_format=torch.channels_last)
    img = picture(2, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        out = net(img)
        loss = (judge(out).float() - 1).square().mean() + (out.float() - img).abs().mean()
    loss.backward()
    weights = [p for module in (net, judge) for name, p in module.named_parameters() if name.endswith("weight")]
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in weights)


@pytest.mark.parametrize(
    ("name", "truth", "mode"),
    [
        ("cyclegan_resnet9", "output_eval", "published"),
        ("cyclegan_resnet6_legacy_dropout", "output_eval", "published"),
        ("cut_resnet9_antialias", "output_eval", "published"),
        ("pix2pix_unet256_batchnorm", "output_batchstats", "published"),
        ("pix2pix_unet256_batchnorm", "output_eval", "eval"),
    ],
)
def test_published_files_give_the_pictures_of_the_tools_that_wrote_them(name, truth, mode, shared_fixtures):
    net = load(shared_fixtures / f"{name}.pth")
    net.norm_mode = mode
    with np.load(shared_fixtures / f"{name}.npz") as file:
        img, wanted = torch.from_numpy(file["input"]), torch.from_numpy(file[truth])
    assert (net(img) - wanted).norm() / wanted.norm() < 1e-4
