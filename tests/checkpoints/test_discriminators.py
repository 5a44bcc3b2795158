"""What training takes from a file: the discriminator and the generator before averaging, found, mapped, and never executed."""

import math
from collections import OrderedDict
from pathlib import Path

import checkpoint_craft as craft
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import toys

import studio
from studio import checkpoints
from studio.checkpoints import ModelCard
from studio.checkpoints.assemble import assemble
from studio.checkpoints.contents import Contents
from studio.checkpoints.formats.discriminators import read_discriminator
from studio.checkpoints.pairs import Pair, load_pair
from studio.checkpoints.records import Bundle, StoredArray
from studio.errors import DamagedFileError, UnknownModelError
from studio.models.common import build


def judge(resolution: int = 16, *, c_dim: int = 0) -> torch.nn.Module:
    torch.manual_seed(0)
    config = {"c_dim": c_dim, "img_resolution": resolution, "img_channels": 3, "channels": [6, 8, 4][: resolution.bit_length() - 2]}
    return build("stylegan2-discriminator", config).eval().requires_grad_(False)


def opened(path: Path, data: bytes) -> Pair:
    path.write_bytes(data)
    return load_pair(path)


@pytest.mark.parametrize("c_dim", [0, 3])
def test_an_nvidia_pickle_gives_its_discriminator_and_both_generators(c_dim: int, tmp_path: Path) -> None:
    average, raw = toys.toy_stylegan2(16, c_dim=c_dim), toys.toy_stylegan2(16, c_dim=c_dim, seed=1)
    D = judge(c_dim=c_dim)
    kwargs = {"c_dim": c_dim, "img_resolution": 16, "epilogue_kwargs": {"mbstd_group_size": 2}}
    theirs, generator = craft._module(D, "Discriminator", None), craft._module(raw, "Generator", None)
    theirs.meta["state"]["_init_kwargs"] = kwargs
    generator.meta["state"]["_init_kwargs"] = craft.nvidia_kwargs(raw)
    pair = opened(tmp_path / "a.pkl", craft.nvidia(average, extra={"D": theirs, "G": generator}))
    assert pair.discriminator is not None
    assert pair.discriminator.config["mbstd_group_size"] == 2
    img, c = torch.randn(2, 3, 16, 16), torch.eye(3)[:2] if c_dim else None
    assert torch.equal(pair.discriminator(img, c), D(img, c))
    for ours, made in ((average, pair.averaged), (raw, pair.generator)):
        assert all(torch.equal(value, made.state_dict()[name]) for name, value in ours.state_dict().items())


def test_a_stylegan3_pickle_gives_its_discriminator_too(shared_fixtures: Path) -> None:
    pair = load_pair(shared_fixtures / "sg3t_64.pkl")
    assert (pair.averaged.family, pair.discriminator.config["channels"]) == ("stylegan3", [16, 16, 16, 16, 8])  # type: ignore[union-attr]


def test_the_published_layout_is_read_without_running_its_tripwire(shared_fixtures: Path) -> None:
    pair = load_pair(shared_fixtures / "sg2ada_classes_32.pkl")
    assert pair.discriminator is not None
    assert pair.discriminator(torch.zeros(1, 3, 32, 32), torch.eye(4)[:1]).shape == (1, 1)
    assert pair.generator is not pair.averaged


def rosinality(D: torch.nn.Module) -> "OrderedDict[str, torch.Tensor]":
    """Write a discriminator of ours under rosinality's names."""
    state, out = D.state_dict(), OrderedDict()
    resolutions = [f"b{r}" for r in D.block_resolutions]
    out["convs.0.0.weight"], out["convs.0.1.bias"] = (state[f"{resolutions[0]}.fromrgb.{part}"] for part in ("weight", "bias"))
    for j, block in enumerate(resolutions, 1):
        out[f"convs.{j}.conv1.0.weight"], out[f"convs.{j}.conv1.1.bias"] = state[f"{block}.conv0.weight"], state[f"{block}.conv0.bias"]
        out[f"convs.{j}.conv2.0.kernel"] = state[f"{block}.conv1.resample_filter"]
        out[f"convs.{j}.conv2.1.weight"], out[f"convs.{j}.conv2.2.bias"] = state[f"{block}.conv1.weight"], state[f"{block}.conv1.bias"]
        out[f"convs.{j}.skip.0.kernel"], out[f"convs.{j}.skip.1.weight"] = state[f"{block}.resample_filter"], state[f"{block}.skip.weight"]
    out["final_conv.0.weight"], out["final_conv.1.bias"] = state["b4.conv.weight"], state["b4.conv.bias"][None, :, None, None]
    for k, ours in ((0, "fc"), (1, "out")):
        out[f"final_linear.{k}.weight"], out[f"final_linear.{k}.bias"] = state[f"b4.{ours}.weight"], state[f"b4.{ours}.bias"]
    return out


def published_judgement(state: "OrderedDict[str, torch.Tensor]", img: torch.Tensor) -> torch.Tensor:
    """Judge a picture from rosinality's tensors by the published arithmetic (equalised, blurred, leaky ReLU times root two)."""

    def conv(x: torch.Tensor, name: str, **how: int) -> torch.Tensor:
        weight = state[name]
        return F.conv2d(x, weight / math.sqrt(weight[0].numel()), **how)

    def active(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.leaky_relu(x + state[name].view(1, -1, 1, 1), 0.2) * math.sqrt(2)

    def blur(x: torch.Tensor, name: str, pad: int) -> torch.Tensor:
        kernel = state[name].expand(x.shape[1], 1, 4, 4)
        return F.conv2d(F.pad(x, [pad, pad, pad, pad]), kernel, groups=x.shape[1])

    x = active(conv(img, "convs.0.0.weight"), "convs.0.1.bias")
    for j in range(1, 1 + sum(name.endswith("skip.1.weight") for name in state)):
        skip = conv(blur(x, f"convs.{j}.skip.0.kernel", 1), f"convs.{j}.skip.1.weight", stride=2)
        x = active(conv(x, f"convs.{j}.conv1.0.weight", padding=1), f"convs.{j}.conv1.1.bias")
        x = active(conv(blur(x, f"convs.{j}.conv2.0.kernel", 2), f"convs.{j}.conv2.1.weight", stride=2), f"convs.{j}.conv2.2.bias")
        x = (x + skip) / math.sqrt(2)
    group = x.view(min(len(x), 4), -1, 1, *x.shape[1:])
    spread = (group.var(0, unbiased=False) + 1e-8).sqrt().mean([2, 3, 4], keepdim=True).squeeze(2)
    x = torch.cat([x, spread.repeat(min(len(x), 4), 1, *x.shape[2:])], 1)
    x = active(conv(x, "final_conv.0.weight", padding=1), "final_conv.1.bias").flatten(1)
    hidden = F.linear(x, state["final_linear.0.weight"] / math.sqrt(x.shape[1]))
    hidden = F.leaky_relu(hidden + state["final_linear.0.bias"], 0.2) * math.sqrt(2)
    return F.linear(hidden, state["final_linear.1.weight"] / math.sqrt(hidden.shape[1]), state["final_linear.1.bias"])


def test_a_rosinality_training_file_gives_a_discriminator_that_judges_as_published(tmp_path: Path) -> None:
    average, raw, D = toys.toy_stylegan2(16), toys.toy_stylegan2(16, seed=1), judge()
    for index, value in enumerate(D.parameters()):
        value.copy_(torch.randn(value.shape, generator=torch.Generator().manual_seed(index)))
    (g_ema, latent_avg), (g, _) = craft.rosinality(average), craft.rosinality(raw)
    theirs = rosinality(D)
    pair = opened(tmp_path / "b.pt", craft.saved({"g": g, "d": theirs, "g_ema": g_ema, "latent_avg": latent_avg}))
    assert pair.discriminator is not None
    img = torch.randn(4, 3, 16, 16)
    assert torch.allclose(pair.discriminator(img, None), published_judgement(theirs, img), atol=1e-5)
    name = "synthesis.b8.conv0.weight"
    assert torch.equal(pair.generator.get_parameter(name), raw.get_parameter(name))
    assert torch.equal(pair.averaged.get_parameter(name), average.get_parameter(name))


def tensorflow(D: torch.nn.Module) -> Bundle:
    """Write a discriminator of ours as TensorFlow's record, by its published orders of axes."""
    names = {"fromrgb": "FromRGB", "conv0": "Conv0", "conv1": "Conv1_down", "skip": "Skip", "conv": "Conv", "fc": "Dense0"}
    variables = []
    for name, value in D.named_parameters():
        block, layer, part = name.split(".")
        path = "Output" if layer == "out" else f"{block[1:]}x{block[1:]}/{names[layer]}"
        values = value.permute(2, 3, 1, 0) if value.ndim == 4 else value.T if value.ndim == 2 else value
        data = np.ascontiguousarray(values.numpy())
        variables.append((f"{path}/{part}", StoredArray("float32", data.shape, data=memoryview(data.tobytes()))))
    return Bundle("dnnlib.tflib.network.Network", {"version": 4, "variables": variables, "static_kwargs": {"mbstd_group_size": 2}})


def test_the_second_network_of_a_tensorflow_file_is_its_discriminator() -> None:
    D, other = judge(), Bundle("dnnlib.tflib.network.Network", {"version": 4, "variables": []})
    draft = read_discriminator(Contents("pickle", (other, tensorflow(D), other), 0))
    assert draft is not None
    again = assemble(draft, file_bytes=1 << 20)
    img = torch.randn(2, 3, 16, 16)
    D.b4.mbstd_group_size = 2
    assert torch.equal(again(img, None), D(img, None))


def test_a_file_without_a_discriminator_gives_its_generator_twice(tmp_path: Path) -> None:
    path = toys.save_toy(tmp_path)
    pair = load_pair(path)
    assert pair.discriminator is None
    assert pair.generator is pair.averaged


def test_a_discriminator_that_does_not_fit_together_is_refused(tmp_path: Path) -> None:
    D = judge()
    theirs = craft._module(D, "Discriminator", None)
    del theirs.meta["state"]["_modules"]["b8"]
    with pytest.raises(
        DamagedFileError, match=r"c.pkl holds a StyleGAN2 discriminator, but resolutions of it are missing: it has \[4, 16\]"
    ):
        opened(tmp_path / "c.pkl", craft.nvidia(toys.toy_stylegan2(16), extra={"D": theirs}))


def test_a_discriminator_alone_is_no_model_to_open(tmp_path: Path) -> None:
    checkpoints.save(judge(), tmp_path / "d.safetensors", ModelCard())
    with pytest.raises(UnknownModelError, match="is a discriminator, which makes no pictures"):
        studio.load(tmp_path / "d.safetensors", device="cpu")
