import pytest
import torch

from studio.accel import compare, runtime
from studio.accel.stylegan2 import FusedSynthesis, candidates
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


@pytest.mark.parametrize(
    "changes", [{"architecture": "resnet"}, {"activation": "swish"}, {"resample_filter": [1, 2, 1]}, {"img_channels": 5}]
)
def test_what_the_kernels_cannot_do_is_left_to_the_module(changes):
    G = generator(**changes)
    assert [path.name for path in candidates(G, "exact", CPU)] == []


def test_the_kernels_are_offered_first_and_need_no_compiler(monkeypatch):
    monkeypatch.setattr(runtime, "find_compiler", lambda: None)
    assert [path.name for path in candidates(generator(), "auto", CPU)] == ["numba"]


def test_a_wrong_request_is_refused_as_the_module_refuses_it():
    fast = FusedSynthesis(generator().synthesis, precision="exact")
    with pytest.raises(StudioError, match="this model needs"):
        fast(torch.zeros(1, 2, 3))
    with pytest.raises(StudioError, match="only StyleGAN3"):
        fast(styles(generator()), transform=torch.eye(3))
