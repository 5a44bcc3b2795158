"""The fused StyleGAN3 path gives the pictures of the plain module, and its filters are the filters that were asked for."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from studio.accel import products
from studio.accel import stylegan3 as fast
from studio.accel import stylegan3_layer as packed_layer
from studio.accel.compare import psnr, relative_error
from studio.models import ops
from studio.models.filters import design_lowpass
from studio.models.stylegan3 import StyleGAN3Generator
from studio.models.stylegan3_plan import Band, LayerPlan

CPU = torch.device("cpu")
CONFIG_R = {"conv_kernel": 1, "use_radial_filters": True}


def make(resolution: int = 32, **arguments: Any) -> StyleGAN3Generator:
    torch.manual_seed(0)
    sizes = {"z_dim": 16, "c_dim": 0, "w_dim": 16, "img_channels": 3, "channel_base": 768, "channel_max": 20}
    G = StyleGAN3Generator(img_resolution=resolution, **{**sizes, **arguments})
    torch.nn.init.normal_(G.synthesis.input.affine.weight, std=0.1)
    for layer in G.synthesis.layers:
        torch.nn.init.normal_(layer.bias, std=0.3)
        layer.magnitude_ema.fill_(0.7)
    return G.eval().requires_grad_(False)


def synthesis(G: StyleGAN3Generator, precision: str = "exact", *, name: str = "numba") -> Any:
    (candidate,) = (candidate for candidate in fast.candidates(G, precision, CPU) if candidate.name == name)
    return candidate.build()


@pytest.mark.parametrize(
    ("resolution", "arguments"),
    [
        (16, {}),
        (32, CONFIG_R),
        (32, {"num_layers": 4, "img_channels": 4}),
        (32, {"num_layers": 6, "num_critical": 3, "margin_size": 7, "output_scale": 1.0}),
        (32, {"conv_clamp": 0.4}),
        (32, {"conv_clamp": None, "channels": [40] * 10 + [33, 17, 16, 5]}),
    ],
)
def test_the_fused_path_gives_the_pictures_of_the_module(resolution: int, arguments: dict[str, Any]) -> None:
    G = make(resolution, **arguments)
    ws = torch.randn(2, G.num_ws, 16)
    assert relative_error(synthesis(G)(ws), G.synthesis(ws)) < 1e-5


@pytest.mark.skipif(not products.is_available(), reason="this CPU has no wide registers with fused multiply-add")
@pytest.mark.parametrize("arguments", [{}, {"num_layers": 5, "margin_size": 9, "channel_max": 40}])
def test_fewer_multiplications_give_the_same_pictures(arguments: dict[str, Any]) -> None:
    G = make(32, **arguments)
    ws = torch.randn(2, G.num_ws, 16)
    run = synthesis(G, name="numba-winograd")
    assert any(layer.convolve.canvas for layer in run.layers)
    assert relative_error(run(ws), G.synthesis(ws)) < 1e-5


@pytest.mark.parametrize("size", [16, 36, 52, 84, 148, 276, 532, 1044])
def test_a_canvas_holds_its_picture_and_cuts_into_whole_strips(size: int) -> None:
    canvas = packed_layer.canvas_for(size)
    if canvas:
        conv = packed_layer.CanvasConv(torch.zeros(32, 32, 3, 3), canvas)
        across = canvas // 4
        assert canvas >= size + 2 and across * 4 == canvas
        assert across % conv.depth == 0 and conv.depth * across % 8 == 0
    else:
        assert size < 36


def test_the_fused_path_follows_the_transform_and_ignores_noise() -> None:
    G = make(**CONFIG_R)
    ws = torch.randn(2, G.num_ws, 16)
    run = synthesis(G)
    transform = torch.tensor([[0.9, -0.3, 0.2], [0.3, 0.9, -0.1], [0.0, 0.0, 1.0]])
    assert relative_error(run(ws, transform=transform), G.synthesis(ws, transform=transform)) < 1e-5
    each = torch.stack([transform, torch.eye(3)])
    moved = run(ws, transform=each, noise_mode="random", noise_strength=2.0)
    assert relative_error(moved, G.synthesis(ws, transform=each)) < 1e-5
    assert relative_error(run(ws), moved) > 0.05


@pytest.mark.parametrize("config", [{}, CONFIG_R], ids=["t", "r"])
def test_the_automatic_precision_stays_above_45_decibels(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "bfloat16_wins", lambda: True)
    G = make(32, **config)
    ws = torch.randn(1, G.num_ws, 16)
    wanted = G.synthesis(ws)
    loudness = wanted.std() * 2
    assert psnr(synthesis(G, "auto", name="numba-bf16")(ws) / loudness, wanted / loudness) > 45


@pytest.mark.parametrize("config", [{}, CONFIG_R], ids=["t", "r"])
def test_half_precision_stays_above_45_decibels(config: dict[str, Any]) -> None:
    G = make(32, **config)
    ws = torch.randn(1, G.num_ws, 16)
    wanted = G.synthesis(ws, transform=torch.eye(3))
    loudness = wanted.std() * 2
    (candidate,) = fast.candidates(G, "auto", torch.device("cuda"))
    assert psnr(candidate.build()(ws, transform=torch.eye(3)) / loudness, wanted / loudness) > 45
    assert fast.candidates(G, "exact", torch.device("cuda")) == []


def test_bfloat16_is_offered_only_where_it_was_asked_for_and_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    G = make(16)
    for wins in (True, False):
        monkeypatch.setattr(fast, "bfloat16_wins", lambda wins=wins: wins)
        for precision in ("exact", "auto"):
            names = [candidate.name for candidate in fast.candidates(G, precision, CPU)]
            assert names[0] == "numba" and ("numba-bf16" in names) == (wins and precision == "auto")


def test_batch_size_changes_no_picture_and_repeating_changes_no_bit() -> None:
    G = make(32)
    ws = torch.randn(3, G.num_ws, 16)
    run = synthesis(G)
    together = run(ws)
    assert torch.equal(run(ws), together)
    assert relative_error(torch.cat([run(w[None]) for w in ws]), together) < 1e-6


def test_later_changes_of_the_weights_are_not_followed() -> None:
    G = make(16)
    ws = torch.randn(1, G.num_ws, 16)
    run = synthesis(G)
    before = run(ws)
    for parameter in G.parameters():
        parameter.zero_()
    assert torch.equal(run(ws), before)


@pytest.mark.parametrize("arguments", [{"filter_size": 4}, {"lrelu_upsampling": 4}], ids=["filter_size", "lrelu_upsampling"])
def test_unusual_filters_are_left_to_the_plain_module(arguments: dict[str, Any]) -> None:
    assert fast.candidates(make(16, **arguments), "exact", CPU) == []


def test_a_filter_that_is_not_symmetric_is_left_to_the_plain_module() -> None:
    G = make(16)
    taps = G.synthesis.layers[0].down_filter
    assert taps is not None
    taps[0] += 0.1
    assert fast.candidates(G, "exact", CPU) == []


@pytest.mark.parametrize("cutoff", [4.0, 12.0, 20.0, 24.0])
def test_a_radial_filter_is_a_short_sum_of_separable_ones(cutoff: float) -> None:
    taps = design_lowpass(12, cutoff=cutoff, half_width=34.0 - cutoff, sampling_rate=128.0, radial=True)
    assert taps is not None
    ranks = []
    for tolerance in (1e-3, 3e-6):
        columns, rows = packed_layer.separate(taps, tolerance)
        assert relative_error(columns.T @ rows, taps) < tolerance + 1e-7
        ranks.append(len(rows))
    assert 1 <= ranks[0] <= ranks[1] <= 4


def layer_like(in_size: int, out_size: int, *, up: int, taps: Tensor) -> tuple[packed_layer.FusedLayer, Tensor]:
    inner = 32 * up
    plan = LayerPlan(
        name="L0",
        before=Band(32, 8.0, 8.0),
        after=Band(inner // 2, 8.0, 8.0),
        in_size=in_size,
        out_size=out_size,
        in_channels=32,
        out_channels=32,
        kernel=1,
        inner_rate=inner,
        up_taps=6 * up,
        down_taps=12,
        is_radial=taps.ndim == 2,
        is_rgb=False,
    )
    up_filter = torch.rand(6 * up)
    packed, rank = packed_layer.pack_taps(plan, up_filter, taps, gain=math.sqrt(2), tolerance=1e-7)
    nothing = torch.zeros(1, 1, 1, 1)
    layer = packed_layer.FusedLayer(
        plan, lambda w: w, nothing, nothing, packed_layer.DirectConv(nothing), torch.randn(32), packed, rank, clamp=3.0
    )
    return layer, up_filter


@pytest.mark.parametrize("up", [2, 4, 8])
@pytest.mark.parametrize("is_radial", [False, True])
@pytest.mark.parametrize(("in_size", "out_size"), [(9, 7), (20, 23), (30, 97)])
def test_the_kernel_equals_the_plain_operation(in_size: int, out_size: int, is_radial: bool, up: int) -> None:
    torch.manual_seed(in_size + up)
    taps = design_lowpass(12, cutoff=14.0, half_width=9.0, sampling_rate=64.0, radial=is_radial)
    assert taps is not None
    layer, up_filter = layer_like(in_size, out_size, up=up, taps=taps)
    x, before, after = torch.randn(2, 32, in_size, in_size), torch.rand(2, 32), torch.rand(2, 32)
    wanted = ops.filtered_lrelu(
        x * before[..., None, None], up_filter, taps, layer.bias, up=up, down=2, padding=layer.plan.padding, clamp=layer.clamp
    )
    got = layer.activate(x.permute(0, 2, 3, 1).contiguous(), before, after, dtype=torch.float32)
    assert relative_error(got.permute(0, 3, 1, 2), wanted * after[..., None, None]) < 2e-6


def test_the_kernel_rounds_bfloat16_once_on_the_way_in_and_once_on_the_way_out() -> None:
    taps = design_lowpass(12, cutoff=14.0, half_width=9.0, sampling_rate=64.0)
    assert taps is not None
    layer, _ = layer_like(20, 24, up=2, taps=taps)
    x, scale = torch.randn(1, 20, 20, 32).bfloat16(), torch.ones(1, 32)
    wanted = layer.activate(x.float(), scale, scale, dtype=torch.float32)
    assert torch.equal(layer.activate(x, scale, scale, dtype=torch.bfloat16), wanted.bfloat16())
