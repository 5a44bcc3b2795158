"""Restyling pictures of any size."""

import numpy as np
import psutil
import pytest
import torch

from studio import lab
from studio.errors import DeviceError, StudioError
from studio.models.translator_layers import init_weights
from studio.models.translators import ResnetTranslator, UnetTranslator
from studio.restyle import check_memory, enlarge_with_detail, estimate_memory, image_to_img, img_to_image, reflect, restyle


def photo(height, width, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype(np.uint8)


def smooth_photo(height, width):
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([127 + 120 * np.sin(x / 9), 127 + 120 * np.cos(y / 7), (x + y) % 256], -1).astype(np.uint8)


def translator(net):
    init_weights(net, gain=0.1, generator=torch.Generator().manual_seed(0))
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def resnet():
    return translator(ResnetTranslator(ngf=4, n_blocks=1))


@pytest.fixture(scope="module")
def unet():
    return translator(UnetTranslator(ngf=2, n_downs=4))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 500), (7, 9), (37, 53), (64, 64)])
@pytest.mark.parametrize("kind", ["resnet", "unet"])
def test_a_picture_comes_back_at_its_own_size(kind, size, request):
    image = photo(*size)
    given = image.copy()
    result = restyle(request.getfixturevalue(kind), image)
    assert result.shape == image.shape
    assert result.dtype == np.uint8
    assert np.array_equal(image, given)


def test_a_picture_that_fits_the_network_gives_exactly_its_forward(resnet):
    image = photo(16, 24)
    assert np.array_equal(restyle(resnet, image), img_to_image(resnet(image_to_img(image))))


def test_the_border_of_an_odd_picture_is_its_reflection(resnet):
    image = photo(14, 21)
    whole = np.pad(image, ((0, 2), (0, 3), (0, 0)), mode="reflect")
    assert np.array_equal(restyle(resnet, image), restyle(resnet, whole)[:14, :21])


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4)])
def test_reflection_goes_on_for_ever(size):
    img = torch.rand(1, 2, *size)
    rows, columns = 4 * size[0] + 1, 3 * size[1] + 2
    wanted = np.pad(img.numpy(), ((0, 0), (0, 0), (0, rows - size[0]), (0, columns - size[1])), mode="reflect")
    assert np.array_equal(reflect(img, rows, columns).numpy(), wanted)


def test_floats_become_bytes_by_rounding_and_bytes_survive_the_round_trip():
    every = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    assert np.array_equal(img_to_image(image_to_img(every)), every)
    values = torch.tensor([-2.0, -1.0, 0.0, 1.0, 7.0, float("nan")]).view(1, 1, 1, 6).expand(1, 3, 1, 6)
    assert img_to_image(values)[0, :, 0].tolist() == [0, 0, 128, 255, 255, 128]


def test_strength_zero_is_the_picture_and_the_way_to_one_is_steady(resnet):
    image = smooth_photo(32, 32)
    full = restyle(resnet, image)
    assert np.array_equal(restyle(resnet, image, strength=0.0), image)
    distances = []
    for strength in (0.25, 0.5, 0.75):
        mixed = restyle(resnet, image, strength=strength)
        distances.append(np.linalg.norm(lab.to_lab(mixed) - lab.to_lab(image)) / np.linalg.norm(lab.to_lab(full) - lab.to_lab(image)))
    assert distances == pytest.approx([0.25, 0.5, 0.75], abs=0.02)


def test_keeping_colours_takes_lightness_from_the_style_and_colour_from_the_picture(resnet):
    image = (100 + smooth_photo(32, 32) // 5).astype(np.uint8)
    styled = lab.to_lab(restyle(resnet, image, forward=lambda img: 0.2 * resnet(img)))
    kept = lab.to_lab(restyle(resnet, image, keep_colors=True, forward=lambda img: 0.2 * resnet(img)))
    assert np.abs(kept[..., 0] - styled[..., 0]).max() < 1
    assert np.abs(kept[..., 1:] - lab.to_lab(image)[..., 1:]).max() < 2


def test_alpha_passes_through_and_hidden_colours_neither_count_nor_change(resnet):
    image, alpha = photo(16, 16), np.full((16, 16), 255, np.uint8)
    alpha[:5], alpha[5] = 0, 90
    other = image.copy()
    other[:5] = 255
    first, second = restyle(resnet, image, alpha=alpha), restyle(resnet, other, alpha=alpha)
    assert first.shape == (16, 16, 4)
    assert np.array_equal(first[..., 3], alpha)
    assert np.array_equal(first[5:], second[5:])
    assert np.array_equal(first[:5, :, :3], image[:5])


def test_greyscale_networks_take_luminance_and_give_grey():
    net = translator(ResnetTranslator(ngf=4, n_blocks=1, img_channels_in=1, img_channels_out=1))
    result = restyle(net, photo(8, 8))
    assert np.array_equal(result[..., 0], result[..., 2])


def test_a_network_for_other_channels_is_refused_with_its_channels():
    with pytest.raises(StudioError, match="takes 1 and gives 2 channels"):
        restyle(ResnetTranslator(ngf=2, n_blocks=0, img_channels_in=1, img_channels_out=2), photo(8, 8))


def test_a_unet_sees_its_trained_size_and_the_aspect_of_the_picture(unet):
    seen = []

    def forward(img):
        seen.append(tuple(img.shape[2:]))
        return img

    restyle(unet, photo(160, 230), forward=forward)
    restyle(unet, photo(9, 5), forward=forward)
    restyle(unet, photo(20, 2000), forward=forward)
    assert seen == [(16, 32), (32, 16), (16, 128)]


def test_a_unet_that_changes_nothing_gives_a_grey_picture_back_sharper_than_stretching(unet):
    y, x = np.mgrid[0:96, 0:128]
    image = np.repeat((127 + 60 * np.sin(x / 9) + 60 * np.sin(x * y / 50)).astype(np.uint8)[..., None], 3, axis=2)
    error = np.abs(restyle(unet, image, forward=lambda img: img).astype(int) - image).mean()
    img = image_to_img(image)
    small = torch.nn.functional.interpolate(img, size=(16, 21), mode="bicubic", antialias=True)
    stretched = img_to_image(torch.nn.functional.interpolate(small, size=(96, 128), mode="bicubic"))
    assert error < 0.3 * np.abs(stretched.astype(int) - image).mean()


def test_detail_is_given_back_only_where_the_translation_follows_the_picture():
    img = torch.zeros(1, 3, 64, 64)
    img[..., 33:] = 1
    small = torch.nn.functional.interpolate(img, size=(16, 16), mode="area")
    sharp = enlarge_with_detail(small, small, img)
    assert (sharp - img)[..., 8:-8, 8:-8].abs().mean() < 0.03
    flat = enlarge_with_detail(torch.full_like(small, 0.3), small, img)
    assert torch.allclose(flat, torch.full_like(flat, 0.3), atol=1e-3)


def test_a_picture_too_large_for_the_memory_is_refused_before_any_work_with_a_size_that_fits(resnet):
    def forward(img):
        raise AssertionError("work was started")

    with pytest.raises(DeviceError, match=r"64 x 32.*needs about .* GB may be used. Reduce it to (\d+) x (\d+)") as caught:
        restyle(resnet, photo(32, 64), max_memory=estimate_memory(resnet, 16, 32), forward=forward)
    words = str(caught.value).split("Reduce it to ")[1].split()
    check_memory(resnet, int(words[2]), int(words[0]), max_memory=estimate_memory(resnet, 16, 32))
    with pytest.raises(DeviceError, match="are free"):
        check_memory(resnet, 10**6, 10**6)


def test_the_memory_estimate_grows_with_the_picture_and_the_network():
    small, large = ResnetTranslator(ngf=4, n_blocks=0), ResnetTranslator(ngf=64, n_blocks=0)
    assert estimate_memory(small, 512, 512) < estimate_memory(large, 512, 512) < estimate_memory(large, 1024, 512)


@pytest.mark.slow
def test_the_memory_estimate_bounds_the_real_peak():
    import threading

    net, process = translator(ResnetTranslator(ngf=16, n_blocks=1)), psutil.Process()
    image, done, peak = photo(1024, 1024), threading.Event(), [0]
    restyle(net, photo(64, 64))
    before = process.memory_info().rss

    def watch():
        while not done.wait(0.002):
            peak[0] = max(peak[0], process.memory_info().rss - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        restyle(net, image, strength=0.5)
    finally:
        done.set()
        watcher.join()
    assert peak[0] <= estimate_memory(net, 1024, 1024)


def test_lab_agrees_with_known_colours_and_comes_back_to_the_byte():
    known = {(255, 255, 255): (100, 0, 0), (0, 0, 0): (0, 0, 0), (255, 0, 0): (53.24, 80.09, 67.20), (0, 0, 255): (32.30, 79.19, -107.86)}
    for rgb, wanted in known.items():
        assert lab.to_lab(np.array([[rgb]], np.uint8))[0, 0] == pytest.approx(wanted, abs=0.05)
    every = photo(64, 64)
    assert np.array_equal(lab.from_lab(lab.to_lab(every)), every)


def test_blending_in_bands_equals_blending_at_once(monkeypatch):
    before, after = photo(13, 7), photo(13, 7, seed=1)
    whole = lab.blend(before, after, strength=0.4, keep_colors=False)
    monkeypatch.setattr(lab, "BAND_PIXELS", 20)
    assert np.array_equal(lab.blend(before, after, strength=0.4, keep_colors=False), whole)


def test_a_picture_that_may_not_be_written_to_is_taken_too():
    image = np.zeros((4, 5, 3), np.uint8)
    image.setflags(write=False)
    assert image_to_img(image).min() == -1
