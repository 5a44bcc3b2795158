"""What an artist decides: strength, strokes, colours and where; and what happens when memory or patience runs out."""

import itertools
import threading

import numpy as np
import pytest
import torch
from toys import save_toy, toy_stylegan2, toy_translator

from studio import lab, paths
from studio.engine import Engine
from studio.errors import DeviceError, RecipeError
from studio.models.translator_layers import init_weights
from studio.models.translators import ResnetTranslator, UnetTranslator
from studio.recipe import ModelRef, Recipe, Restyle
from studio.restyle import CancelledError, frozen, memory, pack_mask, plan, read_mask, restyle
from studio.restyle.picture import Photo
from studio.worker import Priority


def photo(height, width, seed=0):
    coarse = np.random.RandomState(seed).rand(1, 3, 6, 6).astype(np.float32)
    img = torch.nn.functional.interpolate(torch.from_numpy(coarse), size=(height, width), mode="bicubic")[0].permute(1, 2, 0).numpy()
    return np.clip(img * 255 + np.random.RandomState(seed).normal(0, 9, img.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def net():
    made = ResnetTranslator(ngf=4, n_blocks=2)
    init_weights(made, gain=0.1, generator=torch.Generator().manual_seed(0))
    return made.eval().requires_grad_(False)


def distance(first, second):
    return float(np.linalg.norm(lab.to_lab(first) - lab.to_lab(second)))


def test_strength_in_features_is_the_photo_at_zero_the_style_at_one_and_steady_between(net):
    image = photo(48, 40)
    steps = [restyle(net, image, strength=strength, strength_space="features") for strength in (0, 0.1, 0.3, 0.5, 0.7, 0.9, 1)]
    assert np.array_equal(steps[0], image) and np.array_equal(steps[-1], restyle(net, image))
    away = [distance(step, image) for step in steps]
    assert away[0] < away[1] < away[2] and away[1] < 0.6 * away[-1]
    jumps = [distance(first, second) for first, second in itertools.pairwise(steps)]
    assert max(jumps) < 0.7 * distance(image, steps[-1]) + 1


def test_a_network_without_blocks_says_that_its_strength_is_a_blend():
    unet, notes = UnetTranslator(ngf=2, n_downs=4).eval().requires_grad_(False), []
    restyle(unet, photo(20, 20), strength=0.5, strength_space="features", note=notes.append)
    assert len(notes) == 1 and "blend of colours" in notes[0]


@pytest.mark.parametrize(("scale", "seen"), [(2, (32, 24)), (0.5, (128, 96)), (1, (64, 48))])
def test_texture_scale_is_the_size_that_the_network_sees_and_the_picture_keeps_its_own(net, scale, seen):
    sizes = []

    def forward(img):
        sizes.append(tuple(img.shape[2:]))
        return net(img)

    assert restyle(net, photo(64, 48), texture_scale=scale, forward=forward).shape == (64, 48, 3)
    assert sizes == [seen]


def test_detail_of_the_photo_comes_back_under_large_strokes_as_far_as_wanted(net):
    image = np.repeat(photo(96, 96)[..., :1], 3, axis=2)
    image = np.clip(image.astype(int) + 40 * np.sin(np.arange(96) * 1.9)[:, None, None], 0, 255).astype(np.uint8)
    plain, half, full = (restyle(net, image, texture_scale=3, detail=detail, forward=lambda img: img) for detail in (0, 0.5, 1))
    assert distance(full, image) < distance(half, image) < distance(plain, image)


def test_keeping_light_takes_colour_from_the_style_and_lightness_from_the_picture(net):
    image = (100 + photo(32, 32) // 5).astype(np.uint8)

    def gentle(img):
        return 0.2 * net(img)

    kept = lab.to_lab(restyle(net, image, keep_luminance=True, forward=gentle))
    assert np.abs(kept[..., 0] - lab.to_lab(image)[..., 0]).max() < 1
    assert np.array_equal(restyle(net, image, keep_luminance=True, keep_colors=True), image)


def test_a_mask_keeps_black_to_the_byte_restyles_white_to_the_byte_and_is_soft_between(net):
    image, mask = photo(64, 96), np.zeros((64, 96), np.uint8)
    mask[:, 48:] = 255
    full, made = restyle(net, image), restyle(net, image, mask=pack_mask(mask), mask_feather=0.1)
    assert np.array_equal(made[:, :30], image[:, :30]) and np.array_equal(made[:, 66:], full[:, 66:])
    assert not np.array_equal(made[:, 45:51], image[:, 45:51]) and not np.array_equal(made[:, 45:51], full[:, 45:51])


@pytest.mark.parametrize("size", [(1, 1), (3, 700), (40, 30), (2000, 1500)])
def test_a_mask_survives_being_text_and_is_reduced_to_what_a_recipe_holds(size):
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    mask = ((x / size[1] + y / size[0]) > 0.9).astype(np.uint8) * 255
    text = pack_mask(mask)
    got = read_mask(text)
    assert max(got.shape) <= 512 and max(got.shape) == min(512, max(size))
    if max(size) <= 512:
        assert np.array_equal(got, mask)
    assert Recipe.from_json(Recipe(restyle=Restyle(mask=text)).to_json()).restyle.mask == text


def test_a_damaged_mask_is_one_sentence():
    for text in ("%%%", "aGVsbG8="):
        with pytest.raises(RecipeError, match="mask in this recipe is damaged"):
            read_mask(text)


def test_what_fits_decides_the_way_and_only_tiles_are_told_of(net, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda net: 32 * 10**9)
    wide, limits = ResnetTranslator(ngf=64, n_blocks=9).eval(), (20 * 10**9, 4 * 10**9, 25 * 10**8)
    ways = [plan(wide, 4000, 6000, max_memory=limit) for limit in limits]
    assert [way.way for way in ways] == ["streamed", "streamed", "tiled"]
    assert [bool(way.note) for way in ways] == [False, False, True]
    assert all(way.needed <= limit for way, limit in zip(ways, limits, strict=True))
    assert plan(net, 200, 300).way == "whole"
    with pytest.raises(DeviceError, match="Reduce it to"):
        plan(wide, 4000, 6000, max_memory=10**8)


def test_maps_are_kept_to_save_time_only_for_large_pictures_where_half_of_the_memory_suffices(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda net: 32 * 10**9)
    blurred = ResnetTranslator(ngf=32, n_blocks=6, downsample="antialias", upsample="antialias").eval()
    strided = ResnetTranslator(ngf=32, n_blocks=6).eval()
    large, film = (4000, 6000), (2160, 3840)
    assert plan(blurred, *large).keeps_whole and not plan(strided, *large).keeps_whole and not plan(blurred, *film).keeps_whole
    tight = plan(blurred, *large, max_memory=plan(blurred, *large).needed)
    assert not tight.keeps_whole and tight.strip_pixels == plan(blurred, *large).strip_pixels
    assert plan(blurred, *film) == plan(blurred, *film, max_memory=4 * 10**9), "frames do not depend on what is free"


def test_tiles_with_frozen_statistics_equal_the_frozen_network_at_once(net):
    image = photo(150, 203)
    picture = Photo(net, image)
    twin = frozen.freeze(net, frozen.measure(net, frozen.sample_tiles(picture, picture.height, picture.width, count=4)))
    whole, result = twin(picture.rows(0, picture.height)), torch.zeros(1, 3, picture.height, picture.width)

    def sink(top, left, values):
        result[..., top : top + values.shape[2], left : left + values.shape[3]] = values

    size, reach = (picture.height, picture.width), memory.halo(net.config)
    shares = list(frozen.run_tiles(twin, picture, sink, size, tile=40, halo=reach))
    assert shares[-1] == 1 and (result - whole).abs().max() < 1e-4


def test_statistics_of_the_whole_picture_freeze_a_network_to_itself(net):
    picture = Photo(net, photo(64, 64))
    img = picture.rows(0, picture.height)
    for config in ({}, {"norm": "batch"}, {"norm": "instance-affine"}):
        own = ResnetTranslator(ngf=4, n_blocks=2, **config)
        init_weights(own, gain=0.1, generator=torch.Generator().manual_seed(0))
        own.eval().requires_grad_(False)
        assert torch.allclose(frozen.freeze(own, frozen.measure(own, img))(img), own(img), atol=1e-4)


def test_a_picture_beyond_the_memory_is_tiled_and_says_so(net, monkeypatch):
    notes, image = [], photo(200, 260)
    monkeypatch.setattr(memory, "WHOLE_PIXELS", 0)
    monkeypatch.setattr(memory, "_streamed", lambda *_: None)
    monkeypatch.setattr(memory, "estimate_memory", lambda *_: 10**15)
    made = restyle(net, image, note=notes.append)
    assert made.shape == image.shape and len(notes) == 1 and "tiles" in notes[0]


@pytest.fixture
def engine():
    save_toy(paths.models_folder(), "painter", toy_translator())
    save_toy(paths.models_folder(), "other", toy_translator(seed=3))
    save_toy(paths.models_folder(), "faces", toy_stylegan2())
    made = Engine(compilers=False)
    yield made
    made.close()


@pytest.fixture
def in_strips(monkeypatch):
    """Stream even small pictures, in strips of a few rows."""
    from studio.restyle import picture

    monkeypatch.setattr(memory, "WHOLE_PIXELS", 0)
    real = picture.translate
    monkeypatch.setattr("studio.restyler.translate", lambda *args, **options: real(*args, **options, strip_pixels=800))


def test_previews_are_drawn_between_the_strips_of_a_picture(engine, in_strips):
    seen = []

    def progress(share):
        if share > 0.2 and not seen:
            drawn = threading.Thread(target=lambda: engine.worker.run(Priority.PREVIEW, lambda: seen.append("a preview")))
            drawn.start()
            drawn.join(20)
            seen.append(share)

    made = engine.restyle(Recipe(model=ModelRef("painter"), restyle=Restyle()), photo(120, 100), progress=progress)
    assert len(seen) == 2 and seen[1] < 0.9 and made.shape == (120, 100, 3)


def test_cancel_interrupts_between_two_strips(engine, in_strips):
    shares = []
    with pytest.raises(CancelledError):
        engine.restyle(
            Recipe(model=ModelRef("painter"), restyle=Restyle()),
            photo(120, 100),
            progress=shares.append,
            should_stop=lambda: len(shares) >= 3,
            priority=Priority.BATCH,
        )
    assert len(shares) == 3 and shares[-1] < 1


def test_a_chain_is_one_model_after_the_other_and_a_mixture_lies_between_its_styles(engine):
    image = photo(40, 44)
    first, second = Recipe(model=ModelRef("painter"), restyle=Restyle()), Recipe(model=ModelRef("other"), restyle=Restyle())
    chained = Recipe(model=ModelRef("painter"), restyle=Restyle(then=(ModelRef("other"),)))
    assert np.array_equal(engine.restyle(chained, image), engine.restyle(second, engine.restyle(first, image)))
    with pytest.raises(RecipeError, match="cannot restyle photos"):
        engine.restyle(Recipe(model=ModelRef("painter"), restyle=Restyle(then=(ModelRef("faces"),))), image)
