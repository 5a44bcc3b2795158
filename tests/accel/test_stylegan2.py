import pytest
import torch

from studio.accel import compare
from studio.accel.stylegan2 import FusedSynthesis, candidates
from studio.accel.stylegan2_prepared import PreparedSynthesis
from studio.errors import StudioError
from studio.models.stylegan2 import StyleGAN2Generator

CPU = torch.device("cpu")


def generator(seed=0, **changes):
    torch.manual_seed(seed)
    config = {"z_dim": 16, "c_dim": 0, "w_dim": 24, "img_resolution": 32, "img_channels": 3, "channels": [24, 16, 32, 16], "num_layers": 2}
    G = StyleGAN2Generator(**(config | changes)).eval().requires_grad_(False)
    for name, value in G.named_parameters():
        if name.endswith(("noise_strength", "bias")):
            value.add_(torch.randn_like(value) * 0.2)
    return G


def styles(G, n=1, seed=1):
    source = torch.Generator().manual_seed(seed)
    return G.mapping(torch.randn(n, G.z_dim, generator=source)) + 0.1 * torch.randn(n, G.num_ws, G.w_dim, generator=source)


def visible(img):
    """Scale to the range that trained networks use, so that PSNR means something."""
    return img * 0.4 / img.abs().mean()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"architecture": "orig"},
        {"img_channels": 1, "conv_clamp": 1.0},
        {"img_channels": 4, "activation": "relu"},
        {"use_noise": False, "resample_filter": [1, 2, 3, 4]},
        {"img_resolution": 4, "channels": [20]},
        {"channels": [8, 40, 56, 3], "activation": "linear"},
    ],
    ids=str,
)
def test_the_exact_path_is_the_module(changes):
    G = generator(**changes)
    fast = FusedSynthesis(G.synthesis, precision="exact")
    for n in (1, 3):
        ws = styles(G, n)
        assert compare.relative_error(fast(ws), G.synthesis(ws)) < 3e-6


def test_the_fast_path_is_near_the_module(monkeypatch):
    monkeypatch.setattr("studio.accel.stylegan2.bfloat16_wins", lambda: True)
    G = generator(conv_clamp=256)
    fast = FusedSynthesis(G.synthesis, precision="auto")
    ws = styles(G, 2)
    got, wanted = visible(fast(ws)), visible(G.synthesis(ws))
    assert fast.dtype == torch.bfloat16
    assert compare.psnr(got, wanted) > 40


def test_without_bfloat16_units_the_fast_path_is_exact(monkeypatch):
    monkeypatch.setattr("studio.accel.stylegan2.bfloat16_wins", lambda: False)
    G = generator()
    fast = FusedSynthesis(G.synthesis, precision="auto")
    assert compare.relative_error(fast(styles(G)), G.synthesis(styles(G))) < 3e-6


@pytest.mark.parametrize(
    "noise",
    [
        {"noise_mode": "none"},
        {"noise_strength": 2.5},
        {"noise_layers": [0.0, 3.0, -1.0, 0.5]},
        {"noise_mode": "random", "noise_strength": 2.0},
    ],
    ids=str,
)
def test_noise_is_the_modules_noise(noise):
    G = generator()
    ws = styles(G, 2)

    def generators():
        return {"noise_generator": [torch.Generator().manual_seed(i) for i in range(2)]} if "random" in noise.values() else {}

    fast = FusedSynthesis(G.synthesis, precision="exact")
    assert compare.relative_error(fast(ws, **noise, **generators()), G.synthesis(ws, **noise, **generators())) < 3e-6


def test_a_picture_does_not_depend_on_its_batch():
    G = generator()
    fast = FusedSynthesis(G.synthesis, precision="exact")
    ws = styles(G, 3)
    alone = torch.cat([fast(ws[i : i + 1]) for i in range(3)])
    assert compare.relative_error(fast(ws), alone) < 3e-6


def test_the_same_question_has_the_same_answer_to_the_last_bit():
    G = generator()
    for precision in ("exact", "auto"):
        fast = FusedSynthesis(G.synthesis, precision=precision)
        assert torch.equal(fast(styles(G)), fast(styles(G)))


def test_the_fast_path_keeps_its_own_weights():
    G = generator()
    fast = FusedSynthesis(G.synthesis, precision="exact")
    before = fast(styles(G))
    ws = styles(G)
    for value in G.parameters():
        value.mul_(2)
    assert torch.equal(fast(ws), before)


UNUSUAL = [{"architecture": "resnet"}, {"activation": "swish"}, {"resample_filter": [1, 2, 1]}, {"img_channels": 5}]


@pytest.mark.parametrize("changes", UNUSUAL, ids=str)
def test_what_the_kernels_cannot_do_runs_as_the_module_does(changes, monkeypatch):
    monkeypatch.setattr("studio.accel.stylegan2.find_compiler", lambda: None)
    G = generator(**changes)
    (path,) = candidates(G, "exact", CPU)
    fast, ws = path.build(), styles(G, 2)
    assert path.name == "eager"
    assert compare.relative_error(fast(ws), G.synthesis(ws)) < 3e-6
    assert compare.relative_error(fast(ws, noise_mode="none"), G.synthesis(ws, noise_mode="none")) < 3e-6


def test_the_kernels_are_the_only_way_where_they_can_do_the_network():
    assert [path.name for path in candidates(generator(), "auto", CPU)] == ["numba"]


def test_a_compiler_is_used_only_where_there_is_one_and_nothing_better(monkeypatch):
    monkeypatch.setattr("studio.accel.stylegan2.find_compiler", lambda: "/usr/bin/g++")
    monkeypatch.setattr("studio.accel.stylegan2.bfloat16_wins", lambda: True)
    paths = candidates(generator(architecture="resnet"), "auto", CPU)
    assert [path.name for path in paths] == ["eager", "inductor"]


def test_a_graphics_card_gets_half_precision_and_a_recorded_graph():
    assert [path.name for path in candidates(generator(), "auto", torch.device("cuda"))] == ["eager", "graph"]
    assert candidates(generator(), "auto", torch.device("mps")) == []


def test_half_precision_of_the_module_is_near_the_module():
    G = generator(architecture="resnet", conv_clamp=256)
    fast, ws = PreparedSynthesis(G.synthesis, dtype=torch.bfloat16), styles(G, 2)
    assert fast(ws).dtype == torch.float32
    assert compare.psnr(visible(fast(ws)), visible(G.synthesis(ws))) > 40


def test_a_wrong_request_is_refused_as_the_module_refuses_it():
    fast = FusedSynthesis(generator().synthesis, precision="exact")
    with pytest.raises(StudioError, match="this model needs"):
        fast(torch.zeros(1, 2, 3))
    with pytest.raises(StudioError, match="only StyleGAN3"):
        fast(styles(generator()), transform=torch.eye(3))
