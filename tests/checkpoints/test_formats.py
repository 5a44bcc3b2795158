"""A user's file is never the textbook one: other sizes, wrappers, prefixes, classes, precisions, and near misses."""

import argparse
import os
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import checkpoint_craft as craft
import pytest
import torch
import toys

import studio
from studio.checkpoints import bounds
from studio.errors import DamagedFileError, UnknownModelError, UnsafeFileError
from studio.models.common import build
from studio.models.ops import ACTIVATIONS


@pytest.fixture
def opened(tmp_path):
    """Write bytes to a file of a misleading name and load it."""

    def run(data, name="download.txt"):
        path = tmp_path / name
        path.write_bytes(data)
        return studio.load(path, device="cpu")

    return run


def assert_same(network, again, ulps=0):
    ours, theirs = network.state_dict(), again.state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]) or (ulps and torch.allclose(tensor, theirs[name], rtol=ulps * 1e-3)), name


STYLEGAN2 = {
    "plain": {},
    "one class": {"c_dim": 1},
    "classes": {"c_dim": 5},
    "grey": {"img_channels": 1},
    "with alpha": {"img_channels": 4},
    "tiny": {"resolution": 4},
    "wider": {"width": 12, "resolution": 64},
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", STYLEGAN2)
def test_nvidia_stylegan2_loads_in_every_protocol_and_size(kind, protocol, opened):
    network = toys.toy_stylegan2(**STYLEGAN2[kind])
    again = opened(craft.nvidia(network, protocol=protocol))
    assert_same(network, again)
    assert again.card.family == "stylegan2" and "non-commercial" in again.card.licence
    assert len(again.card.classes) == network.c_dim


@pytest.mark.parametrize("architecture", ["skip", "orig", "resnet"])
def test_nvidia_stylegan2_loads_in_every_architecture(architecture, opened):
    config = toys.toy_stylegan2(16).config | {"architecture": architecture, "conv_clamp": 256.0}
    network = build("stylegan2", config)
    again = opened(craft.nvidia(network))
    assert_same(network, again)
    assert (again.config["architecture"], again.config["conv_clamp"]) == (architecture, 256.0)


@pytest.mark.parametrize("config", ["t", "r"])
def test_nvidia_stylegan3_loads(config, opened):
    settings = toys.toy_stylegan3().config | ({"conv_kernel": 1, "use_radial_filters": True} if config == "r" else {})
    network = build("stylegan3", settings)
    assert_same(network, opened(craft.nvidia(network)))


def test_half_precision_weights_come_as_float32(opened):
    network = toys.toy_stylegan2(16)
    again = opened(craft.nvidia(network, dtype=torch.float16))
    assert {tensor.dtype for tensor in again.state_dict().values()} == {torch.float32}
    assert_same(network, again, ulps=1)


def test_a_file_without_the_averaged_generator_says_so(opened):
    again = opened(craft.nvidia(toys.toy_stylegan2(16), key="G"))
    assert any("G_ema" in note for note in again.card.notes)


def test_a_file_with_a_discriminator_only_is_refused(opened):
    network = build("stylegan2-discriminator", {"c_dim": 0, "img_resolution": 8, "img_channels": 3, "channels": [8, 8]})
    with pytest.raises(UnknownModelError, match="no generator"):
        opened(craft.nvidia(network, kwargs={}, key="D"))


def test_wordless_kwargs_are_replaced_by_what_the_tensors_say(opened):
    network = toys.toy_stylegan2(16, c_dim=3)
    assert_same(network, opened(craft.nvidia(network, kwargs={})))


def test_the_text_of_the_file_is_only_a_fingerprint(opened, tmp_path):
    opened(craft.nvidia(toys.toy_stylegan2(8)))
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["download.txt"]


@pytest.mark.parametrize("kind", ["stylegan2", "stylegan3"])
@pytest.mark.parametrize("zipped", [True, False])
def test_bare_state_dictionaries_load(kind, zipped, opened):
    network = toys.toy_stylegan2(16, c_dim=2) if kind == "stylegan2" else toys.toy_stylegan3()
    for value in (craft.state_of(network), {"state_dict": craft.state_of(network)}, {"G_ema": craft.state_of(network), "step": 3}):
        again = opened(craft.saved(value, zipped=zipped))
        assert_same(network, again)


@pytest.mark.parametrize("prefix", ["module.", "netG.", "_orig_mod.module.", "generator."])
def test_prefixes_of_wrappers_are_taken_off(prefix, opened):
    network = toys.toy_translator()
    assert_same(network, opened(craft.saved(OrderedDict((prefix + name, t) for name, t in craft.state_of(network).items()))))


def test_a_generator_beside_a_discriminator_is_found(opened):
    network = toys.toy_translator()
    mixed = {f"netG.{name}": tensor for name, tensor in craft.state_of(network).items()} | {"netD.model.0.weight": torch.zeros(4, 3, 4, 4)}
    assert_same(network, opened(craft.saved({"state_dict": mixed, "epoch": 7})))


def test_foreign_safetensors_with_known_names_load(opened, tmp_path):
    from safetensors.torch import save

    for network in (toys.toy_translator(), toys.toy_stylegan2(16)):
        assert_same(network, opened(save(dict(craft.state_of(network)))))


@pytest.mark.parametrize("zipped", [True, False])
def test_rosinality_loads_in_any_width(zipped, opened):
    network = toys.toy_stylegan2(32, width=12)
    state, average = craft.rosinality(network)
    again = opened(craft.saved({"g_ema": state, "latent_avg": average}, zipped=zipped))
    assert_same(network, again)
    assert again.card.notes == ()


def test_rosinality_from_training_computes_the_average_style(opened):
    network = toys.toy_stylegan2(16)
    state, _ = craft.rosinality(network)
    trained = {
        "g": state,
        "d": {"x": torch.zeros(2)},
        "g_ema": state,
        "g_optim": {"state": {0: {"step": 3}}, "param_groups": [{"lr": 0.002}]},
    }
    trained |= {"args": argparse.Namespace(size=16, path="data", mixing=0.9), "ada_aug_p": 0.0}
    first, second = opened(craft.saved(trained)), opened(craft.saved(trained))
    assert torch.equal(first.w_avg, second.w_avg)
    z = torch.randn(4000, 16, generator=torch.Generator().manual_seed(1))
    mean = network.mapping(z)[:, 0].mean(dim=0)
    spread = network.mapping(z)[:, 0].std(dim=0).max()
    assert (first.w_avg - mean).abs().max() < 0.1 * spread
    assert any("latent_avg" in note for note in first.card.notes)


def test_a_pixel2style2pixel_file_gives_its_decoder(opened):
    network = toys.toy_stylegan2(16)
    state, average = craft.rosinality(network)
    state = {f"decoder.{name}": tensor for name, tensor in state.items()} | {"encoder.input_layer.0.weight": torch.zeros(3, 3)}
    again = opened(craft.saved({"state_dict": state, "latent_avg": average.repeat(6, 1), "opts": {"device": "cuda"}}))
    assert_same(network, again)


TRANSLATORS = {
    "six blocks": ("resnet", {"ngf": 4, "n_blocks": 6}),
    "four blocks, one halving": ("resnet", {"ngf": 4, "n_blocks": 4, "n_downs": 1}),
    "grey to colour": ("resnet", {"ngf": 4, "n_blocks": 1, "img_channels_in": 1}),
    "dropout": ("resnet", {"ngf": 4, "n_blocks": 2, "dropout": True}),
    "batch norm": ("resnet", {"ngf": 4, "n_blocks": 2, "norm": "batch"}),
    "affine instance norm": ("resnet", {"ngf": 4, "n_blocks": 2, "norm": "instance-affine"}),
    "zero padding": ("resnet", {"ngf": 4, "n_blocks": 2, "block_padding": "zeros"}),
    "antialias": ("resnet", {"ngf": 4, "n_blocks": 2, "downsample": "antialias", "upsample": "antialias"}),
    "resize": ("resnet", {"ngf": 4, "n_blocks": 2, "upsample": "resize"}),
    "resize, zero padding": ("resnet", {"ngf": 4, "n_blocks": 2, "upsample": "resize", "resize_padding": "zeros"}),
    "U-Net 128": ("unet", {"ngf": 4, "n_downs": 7}),
    "U-Net 256, instance norm": ("unet", {"ngf": 2, "n_downs": 8, "norm": "instance"}),
    "U-Net, two channels in": ("unet", {"ngf": 4, "n_downs": 5, "img_channels_in": 2, "img_channels_out": 1}),
}


@pytest.mark.parametrize("kind", TRANSLATORS)
def test_translators_are_recognised_from_names_and_shapes_alone(kind, opened):
    family, config = TRANSLATORS[kind]
    network = build(family, config).train(False)
    again = opened(craft.saved(craft.state_of(network)))
    assert again.family == family
    differing = {key for key, value in network.config.items() if again.config[key] != value}
    assert differing <= {"resize_mode"} | ({"dropout"} if family == "unet" else set())
    assert_same(network, again)


def test_old_statistics_of_instance_norms_are_dropped(opened):
    network = toys.toy_translator()
    state = craft.state_of(network)
    for layer in ("model.2", "model.5", "model.10.conv_block.2", "model.10.conv_block.6"):
        state |= {
            f"{layer}.running_mean": torch.ones(4),
            f"{layer}.running_var": torch.ones(4),
            f"{layer}.num_batches_tracked": torch.tensor(3),
        }
    assert_same(network, opened(craft.saved(state, zipped=False)))


def test_batch_norm_of_an_old_torch_has_no_counter(opened):
    network = build("unet", {"ngf": 4, "n_downs": 5})
    state = {name: tensor for name, tensor in craft.state_of(network).items() if not name.endswith("num_batches_tracked")}
    assert_same(network, opened(craft.saved(state)))


def test_bfloat16_and_double_storages_are_read(opened):
    network = toys.toy_translator()
    for dtype in (torch.bfloat16, torch.float64):
        assert_same(network, opened(craft.saved({n: t.to(dtype) for n, t in craft.state_of(network).items()})), ulps=8)


NEAR_MISSES = {
    "a missing tensor": (lambda s: s.pop("conv1.conv.modulation.bias"), "synthesis.b4.conv1.affine.bias is missing"),
    "a missing signature": (lambda s: s.pop("to_rgb1.bias"), "'input.input' and 'style.1.weight'.*to_rgb1.bias is missing"),
    "a wrong shape": (lambda s: s.update({"conv1.activate.bias": torch.zeros(5)}), r"b4.conv1.bias is \[5\] instead of \[8\]"),
    "something more": (lambda s: s.update({"convs.0.extra": torch.zeros(5)}), "b8.conv0.extra is not part of it"),
}


@pytest.mark.parametrize("kind", NEAR_MISSES)
def test_a_near_miss_names_what_is_off(kind, opened):
    state, average = craft.rosinality(toys.toy_stylegan2(16))
    change, sentence = NEAR_MISSES[kind]
    change(state)
    with pytest.raises(DamagedFileError, match=f"looks like StyleGAN2 .rosinality.*{sentence}"):
        opened(craft.saved({"g_ema": state, "latent_avg": average}))


def test_only_the_first_five_differences_are_named(opened):
    state, average = craft.rosinality(toys.toy_stylegan2(32))
    for name in [name for name in state if "modulation.bias" in name]:
        del state[name]
    with pytest.raises(DamagedFileError, match="and 6 more") as caught:
        opened(craft.saved({"g_ema": state, "latent_avg": average}))
    assert str(caught.value).count("is missing") == 5


OTHERS = {
    "lucidrains": ({"GAN": {"GE.initial_block": torch.zeros(1), "SE.net.0.weight": torch.zeros(1)}, "version": "1"}, "lucidrains"),
    "AnimeGANv2": ({"block_a.0.1.weight": torch.zeros(1), "b": torch.zeros(1)}, "AnimeGANv2"),
    "U-GAT-IT": ({"DownBlock.1.weight": torch.zeros(1), "b": torch.zeros(1)}, "U-GAT-IT"),
    "discriminator": ({"model.0.weight": torch.zeros(4, 3, 4, 4), "model.0.bias": torch.zeros(4)}, "discriminator"),
    "something else": ({"encoder.a": torch.zeros(2, 3), "b": torch.zeros(1)}, r"2 tensors, first encoder.a \[2, 3\], b \[1\]"),
    "numbers": ({"a": 1, "b": 2}, r"a dictionary of 2 \(a, b\)"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_not_ours_is_named(kind, opened):
    value, sentence = OTHERS[kind]
    with pytest.raises(UnknownModelError, match=sentence):
        opened(craft.saved(value))


def test_a_pickled_module_asks_for_a_state_dict(opened):
    with pytest.raises(UnsafeFileError, match="state_dict export"):
        opened(craft.saved(torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1)), zipped=False))


def test_an_average_style_of_zeros_is_noted(opened):
    network = toys.toy_stylegan2(16)
    network.w_avg.zero_()
    assert any("all zeros" in note for note in opened(craft.nvidia(network)).card.notes)


def test_loading_touches_no_global_random_state(opened):
    data = craft.nvidia(toys.toy_stylegan3())
    before = torch.get_rng_state()
    opened(data)
    assert torch.equal(before, torch.get_rng_state())


def test_the_loaded_network_is_ready_to_draw(opened):
    G = opened(craft.nvidia(toys.toy_stylegan2(16)))
    assert not G.training and not any(p.requires_grad for p in G.parameters())
    assert G.card.parameters == sum(p.numel() for p in G.parameters())
    assert len(G.card.sha256) == 64


def test_filters_that_differ_from_the_settings_are_noted(opened):
    network = toys.toy_stylegan3()
    layer = next(layer for layer in network.synthesis.layers if layer.up_filter is not None)
    layer.up_filter.mul_(1.5)
    again = opened(craft.nvidia(network))
    assert_same(network, again)
    assert any("filters differ" in note for note in again.card.notes)


def test_the_program_text_is_kept_as_a_fingerprint(opened):
    first = opened(craft.nvidia(toys.toy_stylegan2(8))).card.origin
    assert "fingerprint" in first and first == opened(craft.nvidia(toys.toy_stylegan2(16))).card.origin


NAMES = {
    "horse2zebra.pth": "horse to zebra",
    "style_monet_pretrained.pth": "photo to Monet",
    "latest_net_G.pth": "",
    "sat2map_latest.pth": "sat to map",
    "net_v2final.pth": "",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_translators_direction_is_guessed_from_its_name(name, opened):
    assert opened(craft.saved(craft.state_of(toys.toy_translator())), name).card.direction == NAMES[name]


@pytest.mark.parametrize(
    "settings", [{"ngf": 512, "n_downs": 12}, {"ngf": 513}, {"n_blocks": 65}, {"img_channels_in": 0}, {"norm": ["batch"]}]
)
def test_a_studio_file_of_impossible_settings_is_refused(settings, tmp_path):
    network = toys.toy_translator()
    network.config = network.config | settings
    path = toys.save_toy(tmp_path, network=network)
    with pytest.raises(studio.errors.CheckpointError, match=" says "):
        studio.load(path, device="cpu")


def test_the_bounds_know_every_activation_of_the_networks():
    assert set(bounds.WORDS["activation"]) == set(ACTIVATIONS)


def test_a_file_is_recognised_without_torch():
    program = "import sys; import studio.checkpoints.importer, studio.checkpoints.library; sys.exit('torch' in sys.modules)"
    folder = str(Path(studio.__file__).parent.parent)
    assert subprocess.run([sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": folder}, check=False).returncode == 0
