"""What the bench measures, and the original code that it measures against."""

from dataclasses import replace

import pytest
import torch

from studio import bench
from studio.accel import choose
from studio.accel.candidate import Candidate
from studio.anchors import load_anchor, nvidia_arguments
from studio.bench import CASES, Case, measure, random_network, run, select, to_json
from studio.errors import RecipeError, StudioError

SMALL2 = Case(
    "small 32",
    "stylegan2",
    32,
    "stylegan2",
    {"z_dim": 16, "c_dim": 0, "w_dim": 16, "img_resolution": 32, "img_channels": 3, "channels": [8, 8, 8, 4], "num_layers": 2},
)
SMALL3 = Case(
    "small3 32",
    "stylegan3-t",
    32,
    "stylegan3",
    {"z_dim": 16, "c_dim": 0, "w_dim": 16, "img_resolution": 32, "img_channels": 3, "channel_base": 256, "channel_max": 8, "num_layers": 6},
)
CHECKOUT = """
from torch import nn
from studio.models.common import build
calls = []
class Synthesis(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.__dict__.update(inner.__dict__)
        self.inner = [inner]
    def forward(self, ws, noise_mode="random"):
        calls.append(noise_mode)
        return self.inner[0](ws, noise_mode=noise_mode)
class Generator(nn.Module):
    def __init__(self, z_dim, c_dim, w_dim, img_resolution, img_channels, mapping_kwargs={}, **synthesis_kwargs):
        super().__init__()
        base, most = synthesis_kwargs["channel_base"], synthesis_kwargs["channel_max"]
        channels = [min(base // 2**level, most) for level in range(2, img_resolution.bit_length())]
        net = build("stylegan2", dict(z_dim=z_dim, c_dim=c_dim, w_dim=w_dim, img_resolution=img_resolution, img_channels=img_channels,
                                      channels=channels, **mapping_kwargs))
        self.mapping, self.synthesis = net.mapping, Synthesis(net.synthesis)
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout in the layout of NVIDIA's, whose generator is ours under another roof."""
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "networks_stylegan2.py").write_text(CHECKOUT)
    import sys

    yield tmp_path
    for name in [name for name in sys.modules if name == "training" or name.startswith("training.")]:
        del sys.modules[name]


def small(monkeypatch, *paths):
    monkeypatch.setattr(choose, "fast_paths", lambda net, precision, device: [path(net) for path in paths])


def same(net):
    return Candidate("same", lambda: net.synthesis)


def wrong(net):
    return Candidate("wrong", lambda: lambda ws: net.synthesis(ws) * 1.5)


def broken(net):
    def build():
        raise OSError("no compiler")

    return Candidate("broken", build)


def test_the_cases_are_the_promised_configurations():
    assert [case.name for case in CASES] == [
        *("stylegan2 256 (16384)", "stylegan2 256 (32768)", "stylegan2 512 (32768)"),
        *("stylegan3-t 256", "stylegan3-r 256", "resnet9 512"),
    ]
    assert CASES[0].config["channels"] == [512, 512, 512, 512, 256, 128, 64]
    assert CASES[2].config["channels"] == [512, 512, 512, 512, 512, 256, 128, 64]


def test_cases_are_chosen_by_family_and_size():
    assert len(select()) == len(CASES)
    assert [case.family for case in select(["stylegan3"])] == ["stylegan3-t", "stylegan3-r"]
    assert [case.size for case in select(["stylegan2"], [512])] == [512]
    with pytest.raises(RecipeError, match="'biggan' is unknown"):
        select(["biggan"])
    with pytest.raises(RecipeError, match="nothing to measure"):
        select([], [7])


@pytest.mark.parametrize("case", [SMALL2, SMALL3])
def test_random_networks_are_the_same_each_time_and_have_the_contrast_of_a_photo(case):
    net, twin = random_network(case), random_network(case)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), twin.state_dict().values(), strict=True))
    contrast = float(net.synthesis(choose.sample(net)).square().mean().sqrt())
    assert contrast == pytest.approx(0.5, rel=0.01)


def test_every_way_is_a_row_and_what_failed_says_so(monkeypatch):
    small(monkeypatch, same, wrong, broken)
    rows = measure(SMALL2, quick=True, device="cpu")
    assert [(row.way, row.precision) for row in rows] == [
        ("module", "exact"),
        *((way, precision) for precision in ("exact", "auto") for way in ("same", "wrong", "broken")),
    ]
    assert rows[1].milliseconds > 0 and rows[1].relative_error == 0 and rows[1].peak_megabytes > 1
    assert rows[2].note == "not accurate enough" and "no compiler" in rows[3].note


def test_against_a_checkout_rows_have_ratio_and_error(monkeypatch, checkout):
    small(monkeypatch, same)
    rows = measure(replace(SMALL2, config={**SMALL2.config, "channels": [8, 8, 8, 4]}), against=checkout, quick=True, device="cpu")
    assert rows[0].way == "original" and rows[0].milliseconds > 0
    compared = [row for row in rows if row.way == "same"]
    assert all(row.ratio > 0.2 and row.relative_error < 1e-6 for row in compared)
    assert to_json(rows)["rows"][0]["way"] == "original"


def test_the_original_runs_with_constant_noise(checkout):
    import sys

    net = random_network(SMALL2)
    anchor = load_anchor(net, checkout)
    ws = choose.sample(net)
    assert torch.allclose(anchor(ws), net.synthesis(ws), atol=1e-6)
    assert sys.modules["training.networks_stylegan2"].calls == ["const"]


def test_a_checkout_that_does_not_fit_is_one_sentence(monkeypatch, checkout, tmp_path):
    small(monkeypatch, same)
    net = random_network(SMALL2)
    (checkout / "training" / "networks_stylegan2.py").write_text("import a_module_that_is_not_there")
    with pytest.raises(StudioError, match="does not run here: No module named"):
        load_anchor(net, checkout)
    with pytest.raises(StudioError, match="is not a folder"):
        next(run([SMALL2], against=tmp_path / "nowhere", device="cpu"))
    assert load_anchor(random_network(SMALL3), checkout) is None


def test_translators_are_measured_against_the_plain_forward(monkeypatch, tmp_path):
    small(monkeypatch, lambda net: Candidate("same", lambda: net))
    case = Case("tiny 32", "resnet", 32, "resnet", {"ngf": 4, "n_blocks": 1})
    assert load_anchor(random_network(case), None) is None
    rows = measure(case, against=tmp_path, quick=True, device="cpu")
    assert rows[0].way == "original" and rows[2].relative_error == 0


def test_nvidias_arguments_describe_the_same_network():
    wanted = {"channel_base": 128, "channel_max": 8, "conv_clamp": None, "mapping_kwargs": {"num_layers": 2}}
    assert wanted.items() <= nvidia_arguments(random_network(SMALL2)).items()
    three = nvidia_arguments(random_network(SMALL3))
    assert three["channel_base"] == 256 and three["use_radial_filters"] is False and "channels" not in three


@pytest.mark.slow
def test_each_case_is_measured_in_a_process_of_its_own():
    case = Case("tiny 32", "resnet", 32, "resnet", {"ngf": 4, "n_blocks": 1})
    assert next(run([case], quick=True, device="cpu"))[0].way == "module"
    bad = replace(case, network="patchgan", config={"nonsense": 1})
    with pytest.raises(StudioError, match="ended early"):
        next(run([bad], quick=True, device="cpu"))
    assert bench.machine()["threads"] >= 1
