"""Streaming is exact: whatever the strips, the result is that of the untiled network."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.checkpoints import load
from studio.models.translator_layers import init_weights
from studio.models.translators import ResnetTranslator
from studio.restyle import memory, streaming
from studio.restyle.geometry import image_to_img, reflect
from studio.restyle.picture import Photo
from studio.restyle.plain import PlainParts
from studio.restyle.stores import Arena, Memory, Spool
from studio.restyle.streaming import Layout, stream

TOLERANCE = 1e-3
KINDS = [
    {},
    {"norm": "instance-affine"},
    {"norm": "batch"},
    {"norm": "none"},
    {"downsample": "antialias", "upsample": "antialias"},
    {"upsample": "resize"},
    {"upsample": "resize", "resize_mode": "nearest", "resize_padding": "zeros", "block_padding": "zeros"},
    {"block_padding": "replicate", "n_downs": 1},
    {"n_downs": 3},
    {"n_blocks": 0},
]


def photo(height, width, seed=0):
    coarse = np.random.RandomState(seed).rand(1, 3, 6, 6).astype(np.float32)
    img = torch.nn.functional.interpolate(torch.from_numpy(coarse), size=(height, width), mode="bicubic")[0].permute(1, 2, 0).numpy()
    return np.clip(img * 255 + np.random.RandomState(seed).normal(0, 9, img.shape), 0, 255).astype(np.uint8)


def network(seed=0, **config):
    net = ResnetTranslator(**{"ngf": 3, "n_blocks": 2, **config})
    generator = torch.Generator().manual_seed(seed)
    init_weights(net, gain=0.08 if config.get("norm") == "none" else 0.3, generator=generator)
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, torch.nn.Conv2d) and layer.bias is not None:
                layer.bias.normal_(0, 0.3, generator=generator)
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.3, generator=generator)
                layer.running_var.uniform_(0.5, 2, generator=generator)
    return net.eval().requires_grad_(False)


def untiled(net, image):
    img = image_to_img(image)
    picture = Photo(net, image)
    with torch.no_grad():
        return net(reflect(img, picture.height, picture.width))


def streamed(net, image, strip_pixels, keep=Memory, parts=None, **layout):
    picture, rows = Photo(net, image), []
    plan = Layout(picture.height, picture.width, strip_pixels, keep=keep, own=net.norm_mode == "published", **layout)
    with torch.no_grad():
        shares = list(stream(parts or PlainParts(net), net.config, picture, lambda top, values: rows.append((top, values.clone())), plan))
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)
    assert [top for top, _ in rows] == list(itertools.accumulate([0, *(values.shape[2] for _, values in rows[:-1])]))
    return torch.cat([values for _, values in rows], 2)


@pytest.mark.parametrize("config", KINDS, ids=lambda config: " ".join(map(str, config.values())) or "cyclegan")
@settings(max_examples=4, deadline=None, derandomize=True)
@given(st.integers(12, 50), st.integers(12, 40), st.integers(1, 2000), st.sampled_from([Memory, Spool, None]), st.booleans())
def test_streamed_equals_untiled_for_every_strip(config, height, width, strip_pixels, keep, keeps_whole):
    net, image = network(**config), photo(height, width)
    got, wanted = streamed(net, image, strip_pixels, keep, keeps_whole=keeps_whole), untiled(net, image)
    assert got.shape == wanted.shape
    assert (got - wanted).abs().max() < TOLERANCE


@pytest.mark.parametrize("config", [{}, {"n_blocks": 0}, {"downsample": "antialias", "upsample": "antialias"}], ids=str)
def test_no_piece_ever_takes_in_more_than_a_strip(config):
    """Otherwise a picture needs the memory of a whole map more than was said before the start."""
    seen = []

    class Watched(PlainParts):
        def write(self, raw, affine, margin=(0, 0, 0, 0), **options):
            values = super().write(raw, affine, margin, **options)
            seen.append(values.shape[2] * values.shape[3])
            return values

    net, (height, width) = network(**config), (400, 40)
    streamed(net, photo(height, width), 40 * width, parts=Watched(net))
    assert 0 < max(seen) < 60 * (width + 8)


@pytest.mark.parametrize("keeps_whole", [False, True])
@pytest.mark.parametrize("config", [*KINDS, {"n_downs": 1}, {"n_downs": 3}, {"n_downs": 3, "downsample": "antialias"}], ids=str)
def test_the_maps_take_no_more_memory_than_the_estimate_says(config, keeps_whole, monkeypatch):
    most = [0]

    class Counted(Arena):
        alive = touched = 0

        def take(self, owner, length):
            if not any(gap.length >= length for gap in self._gaps):
                self.touched = self.alive + length
            self.alive += length
            self.touched = max(self.touched, self.alive)
            most[0] = max(most[0], self.touched)
            return super().take(owner, length)

        def _give(self, area, start, stop):
            self.alive -= stop - start
            super()._give(area, start, stop)

    monkeypatch.setattr(streaming, "Arena", Counted)
    net, (height, width) = network(**{"ngf": 4, **config}), (400, 40)
    streamed(net, photo(height, width), 40 * width, keeps_whole=keeps_whole)
    full_map, downs = height * width * 4 * 4, net.config["n_downs"]
    estimate = memory.maps_in_memory(full_map, height, downs) + keeps_whole * full_map
    assert 0 < most[0] < 1.03 * estimate


def test_memory_that_was_given_back_is_taken_again():
    class Owner:
        pass

    arena, first, second = Arena(), Owner(), Owner()
    a = arena.take(first, 1 << 20).data_ptr()
    assert arena.take(second, 1 << 16).data_ptr() != a
    del first
    third, fourth, fifth = Owner(), Owner(), Owner()
    values = arena.take(third, 1 << 19)
    assert values.data_ptr() == a and arena.take(fourth, 1 << 19).data_ptr() == a + (1 << 19)
    values[:] = 7
    del fourth
    arena.take(fifth, 1 << 21)
    assert bool((values == 7).all()), "what is given back to the system is what nobody uses"


def test_stored_statistics_of_a_batch_norm_are_followed_too():
    net, image = network(norm="batch"), photo(37, 45)
    published = streamed(net, image, 400)
    net.norm_mode = "eval"
    assert (streamed(net, image, 400) - untiled(net, image)).abs().max() < TOLERANCE
    assert (streamed(net, image, 400) - published).abs().max() > 0.01


@pytest.mark.parametrize(("size", "strip_pixels"), [((512, 512), 512 * 37), ((731, 1003), 1004 * 61)])
@pytest.mark.parametrize("name", ["cyclegan_resnet9", "cyclegan_resnet6_legacy_dropout", "cut_resnet9_antialias"])
def test_streamed_equals_untiled_for_networks_of_the_original_tools(shared_fixtures, name, size, strip_pixels):
    net, image = load(shared_fixtures / f"{name}.pth"), photo(*size)
    assert (streamed(net, image, strip_pixels) - untiled(net, image)).abs().max() < TOLERANCE


@pytest.mark.parametrize("config", KINDS, ids=lambda config: " ".join(map(str, config.values())) or "cyclegan")
@settings(max_examples=4, deadline=None, derandomize=True)
@given(st.integers(12, 50), st.integers(12, 40), st.integers(1, 2000), st.sampled_from([Memory, Spool, None]), st.booleans())
def test_the_fast_pieces_give_the_same_for_every_strip(config, height, width, strip_pixels, keep, keeps_whole):
    from studio.accel.translators import FastResnet
    from studio.restyle.fast import FastParts

    net, image = network(**{"ngf": 8, **config}), photo(height, width)
    got = streamed(net, image, strip_pixels, keep, parts=FastParts(FastResnet(net, torch.float32)), keeps_whole=keeps_whole)
    assert (got - untiled(net, image)).abs().max() < TOLERANCE


@pytest.mark.parametrize("config", [{}, {"downsample": "antialias", "upsample": "antialias"}, {"upsample": "resize"}])
def test_the_fast_pieces_in_half_precision_give_what_the_fast_path_gives_at_once(config):
    from studio.accel.compare import psnr
    from studio.accel.translators import FastResnet
    from studio.restyle.fast import FastParts

    net, image = network(**{"ngf": 16, **config}), photo(120, 140)
    fast = FastResnet(net, torch.bfloat16)
    picture = Photo(net, image)
    whole = fast(picture.rows(0, picture.height))
    got, wanted = streamed(net, image, 3000, parts=FastParts(fast), keeps_whole=True), untiled(net, image)
    assert psnr(got, wanted) > psnr(whole, wanted) - 0.5
