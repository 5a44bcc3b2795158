"""What pretrained features say of a translation: equal things cost nothing, other things and other manners cost more."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from studio.errors import StudioError, TrainingError
from studio.features.weights import load_features
from studio.models import common
from studio.models.efficientnet_lite import EfficientNetLite0
from studio.training import feature_terms, presets, translator_presets
from studio.training.settings import Settings


@pytest.fixture(scope="module")
def network() -> EfficientNetLite0:
    torch.set_num_threads(1)
    return load_features()


@pytest.fixture
def photos(shared_data: Path) -> torch.Tensor:
    images = []
    for path in sorted((shared_data / "photos_landscape").glob("*.jpg"))[:4]:
        with Image.open(path) as image:
            images.append(np.asarray(image.convert("RGB").crop((0, 0, 128, 128))))
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def content(network: EfficientNetLite0, made: torch.Tensor, photo: torch.Tensor) -> float:
    return float(feature_terms.content_distance(network(made, feature_terms.CONTENT), network(photo, feature_terms.CONTENT)))


def test_things_stay_when_colours_change_and_go_when_the_picture_is_another(network: EfficientNetLite0, photos: torch.Tensor) -> None:
    assert content(network, photos, photos) == 0
    recoloured = photos[:, [2, 0, 1]] * 0.8
    assert 0 < content(network, recoloured, photos) < content(network, photos.roll(1, 0), photos)
    mirrored = content(network, photos.flip(3), photos)
    assert mirrored > content(network, recoloured, photos), "where things are matters"


def test_manner_is_what_stays_when_patches_change_their_places(network: EfficientNetLite0, photos: torch.Tensor) -> None:
    own = feature_terms.statistics(network, photos[:1])
    assert float(feature_terms.style_distance(own, own)) == 0
    patches = (
        photos[:1].unfold(2, 32, 32).unfold(3, 32, 32).flatten(2, 3)[:, :, torch.randperm(16, generator=torch.Generator().manual_seed(0))]
    )
    shuffled = patches.view(1, 3, 4, 4, 32, 32).permute(0, 1, 2, 4, 3, 5).reshape(1, 3, 128, 128)
    noise = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    distances = [float(feature_terms.style_distance(feature_terms.statistics(network, img), own)) for img in (shuffled, noise)]
    assert 0 < distances[0] < distances[1] / 2


def test_statistics_of_several_batches_are_those_of_all_pictures(network: EfficientNetLite0, photos: torch.Tensor) -> None:
    together = feature_terms.statistics(network, photos)
    parts = feature_terms.mean_statistics(network, [photos[:2], photos[2:]])
    for layer, other in zip(together, parts, strict=True):
        assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(layer, other, strict=True))
    known = feature_terms.statistics(network, photos, network(photos, feature_terms.STYLE))
    assert torch.equal(known[0][0], together[0][0])


def test_a_team_shares_statistics_in_one_message_and_each_keeps_its_place(network: EfficientNetLite0, photos: torch.Tensor) -> None:
    found, calls = feature_terms.statistics(network, photos[:1]), []

    def doubled(moments: torch.Tensor) -> torch.Tensor:
        calls.append(moments)
        return 2 * moments

    shared = feature_terms.shared(found, doubled)
    assert len(calls) == 1
    for (means, covariances), (twice, twice_covariances) in zip(found, shared, strict=True):
        assert torch.equal(2 * means, twice) and torch.equal(2 * covariances, twice_covariances)


def test_both_terms_lead_back_to_the_picture(network: EfficientNetLite0, photos: torch.Tensor) -> None:
    img = (photos * 0.5).requires_grad_(True)
    wanted = feature_terms.mean_statistics(network, [photos.flip(2)])
    seen = network(img, (*feature_terms.CONTENT, *feature_terms.STYLE))
    for term in (
        feature_terms.content_distance(seen, network(photos, feature_terms.CONTENT)),
        feature_terms.style_distance(feature_terms.statistics(network, img, seen), wanted),
    ):
        (gradient,) = torch.autograd.grad(term, img, retain_graph=True)
        assert torch.isfinite(gradient).all() and gradient.abs().amax((1, 2, 3)).min() > 0


def test_patches_are_judged_at_two_sizes_and_the_near_ones_where_they_lie(network: EfficientNetLite0) -> None:
    torch.manual_seed(0)
    judge = common.build("projected-patches", {"side": 64, "width": 8}).eval()
    judge.look_through(network)
    img = torch.rand(2, 3, 64, 64) * 2 - 1
    here, there = judge(img, torch.zeros(2, 2)), judge(img, torch.ones(2, 2))
    assert here.shape == (2, 2 * 3 * 16)
    assert torch.allclose(here[:, :48], there[:, :48], atol=1e-5), "the whole crop is seen alike"
    assert (here[:, 48:] - there[:, 48:]).abs().max() > 1e-3
    changed = img.clone()
    changed[:, :, 40:, 40:] = 0
    assert torch.allclose(judge(changed, torch.zeros(2, 2))[:, 48:], here[:, 48:], atol=1e-5), "what is outside is not seen near"
    with pytest.raises(StudioError, match="side=48 is not possible"):
        common.build("projected-patches", {"side": 48})


def test_settings_that_do_not_fit_a_translator_are_refused_in_words() -> None:
    cut = Settings("cut", ("photos",), ("paintings",), kimg=1.0)
    projected = translator_presets.resolve(dataclasses.replace(cut, discriminator="projected"))
    assert (projected.lambda_content, projected.lambda_style, projected.d_lr) == (1.0, 1.0, 0.0003)
    plain = translator_presets.resolve(cut)
    assert (plain.lambda_content, plain.lambda_style, plain.d_lr) == (0.0, 0.0, 0.0002)
    for wrong, words in (
        ({"discriminator": "strided"}, "is for picture generators"),
        ({"discriminator": "projected", "resolution": 80}, "a multiple of 32, at least 64"),
        ({"discriminator": "projected", "family": "pix2pix"}, "pix2pix judges pairs"),
    ):
        with pytest.raises(TrainingError, match=words):
            translator_presets.resolve(dataclasses.replace(cut, **wrong))
    with pytest.raises(TrainingError, match="are for translators"):
        presets.resolve(Settings("stylegan2", ("photos",), kimg=1.0, lambda_style=1.0))
