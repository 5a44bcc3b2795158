"""Translator families: each learns, resumes bit for bit, and leaves a model that opens; the pieces they share obey their laws."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from studio import checkpoints
from studio.checkpoints import ModelCard
from studio.checkpoints.tensors import read_tensors
from studio.errors import TrainingError
from studio.models.translators import ResnetTranslator, UnetTranslator
from studio.training import cut, export, loop, losses, presets, translator_presets
from studio.training.cut import PatchHeads, compared_layers, walk
from studio.training.data import Pictures, Report
from studio.training.random_crops import random_crops
from studio.training.settings import Settings
from studio.training.trainer import Clock, StepRandom, fresh_weights
from studio.training.translation import TranslatorTrainer


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def paint(folder: Path, n: int, width: int, height: int, seed: int) -> str:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for k in range(n):
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    return str(folder)


FAMILIES = {
    "cyclegan": {"pool_size": 3, "zoom": 1.2, "identity_until": 0.5},
    "cut": {"nce_patches": 16, "zoom": 1.2, "augment": "diff"},
    "fastcut": {"nce_patches": 16, "antialias": False},
    "cut projected": {"nce_patches": 16, "augment": "diff"},
    "fastcut projected": {"nce_patches": 16},
    "cyclegan projected": {"pool_size": 3},
    "pix2pix": {"zoom": 1.2, "augment": "diff", "direction": "BtoA"},
    "pix2pix side by side": {"network": "resnet"},
}


def settings_for(case: str, folder: Path) -> Settings:
    family = case.split()[0]
    small = {"resolution": 32, "load_size": 40, "batch": 2, "ngf": 4, "ndf": 4, "n_blocks": 2, "kimg": 0.012, "precision": "fp32"}
    target: tuple[str, ...] = ()
    if case.endswith("side by side"):
        data = paint(folder / "both", 3, 88, 44, 1)
    else:
        data, target = paint(folder / "photo", 3, 44, 44, 1), (paint(folder / "Monet", 3, 44, 44, 2),)
    if case.endswith("projected"):
        small |= {"discriminator": "projected", "resolution": 64, "load_size": 64, "n_blocks": 1}
    return Settings(family, (data,), target, name="tiny", folder=str(folder / "run"), **small, **FAMILIES[case])  # type: ignore[arg-type]


@pytest.fixture(params=FAMILIES)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    return settings_for(request.param, tmp_path)


def newest(settings: Settings) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    return read_tensors(loop.run_folder(settings).states()[-1])


def test_a_translator_learns_resumes_bit_for_bit_and_opens(settings: Settings, tmp_path: Path) -> None:
    assert list(loop.train(settings))[-1].kind == "end"
    whole, header = newest(settings)
    fresh = presets.build_trainer(presets.resolve(settings)).state()[0]
    learned = [n for n in fresh if n.endswith("weight") and "optimizer" not in n and "/view." not in n]
    assert len(learned) > 10
    assert all(torch.equal(fresh[n], whole[n]) for n in fresh if "/view." in n), "the frozen mixing stays"
    assert not any("depthwise" in n for n in whole), "the frozen network is no part of a state"
    assert all(not torch.equal(fresh[n], whole[n]) for n in learned)
    assert all(torch.isfinite(t).all() for t in whole.values() if t.is_floating_point())
    broken = dataclasses.replace(settings, folder=str(tmp_path / "broken"))
    asked = iter(range(100))
    assert list(loop.train(broken, should_stop=lambda: next(asked) >= 3))[-1].kind == "stopped"
    assert next(iter(loop.train(broken))).message.startswith("continues")
    list(loop.train(broken))
    parts, parts_header = newest(broken)
    assert header["step"] == parts_header["step"] == 6
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    files = export.export(Path(settings.folder), tmp_path, ModelCard())
    assert len(files) == (2 if settings.family == "cyclegan" else 1)
    network = checkpoints.load(files[0])
    expected = {(False, "AtoB"): "photo to Monet", (False, "BtoA"): "Monet to photo", (True, "AtoB"): "left half to right half"}
    assert network.card.direction == expected[not settings.target, settings.direction]
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 32, 32)


def test_a_deep_unet_is_compared_at_a_size_that_it_takes() -> None:
    network = UnetTranslator(ngf=2, n_downs=7, norm="instance", dropout=False).eval()
    assert export._probe(network, 1).shape == (2, 128, 128, 3)


def test_a_loss_that_is_not_finite_is_told_to_the_loop(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cycle", "patch_nce", "paired_l1"):
        monkeypatch.setattr(losses, name, lambda *tensors: (tensors[0] * math.nan).mean())
    trainer = presets.build_trainer(presets.resolve(settings))
    with pytest.raises(FloatingPointError, match=r"(cycle|nce|l1) became nan"):
        trainer.step(StepRandom(0, 0, 0), Clock(0, 0, 0.0))


def test_a_run_goes_on_from_the_networks_of_another(tmp_path: Path) -> None:
    first = settings_for("cyclegan", tmp_path)
    list(loop.train(first))
    second = dataclasses.replace(first, family="cut", antialias=False, start_from=first.folder, folder=str(tmp_path / "second"))
    trainer = presets.build_trainer(presets.resolve(second))
    trainer.begin()
    begun, before = trainer.state()[0], newest(first)[0]
    assert torch.equal(begun["forward/model.1.weight"], before["forward/model.1.weight"])
    assert torch.equal(begun["average_forward/model.1.weight"], before["average_forward/model.1.weight"])
    with pytest.raises(TrainingError, match=r"of another size or kind\. Use the ngf"):
        presets.build_trainer(presets.resolve(dataclasses.replace(second, ngf=8))).begin()
    (file, _) = export.export(Path(first.folder), tmp_path, ModelCard())
    third = presets.build_trainer(presets.resolve(dataclasses.replace(second, family="cyclegan", start_from=str(file))))
    third.begin()
    assert third.state()[0]["forward/model.1.weight"].allclose(before["average_forward/model.1.weight"], atol=1e-3)


@pytest.mark.parametrize("family", ["cut", "cyclegan"])
def test_pretrained_features_are_looked_through_but_never_trained_or_kept(family: str, tmp_path: Path) -> None:
    trainer = presets.build_trainer(presets.resolve(settings_for(f"{family} projected", tmp_path)))
    assert isinstance(trainer, TranslatorTrainer)
    assert trainer.features is not None
    before = {name: value.clone() for name, value in trainer.features.state_dict().items()}
    values = trainer.step(StepRandom(0, 0, 0), Clock(0, 0, 0.0))
    assert values["content"] > 0 and values["style"] > 0
    assert all(torch.equal(before[name], value) for name, value in trainer.features.state_dict().items())
    frozen = {id(parameter) for parameter in trainer.features.parameters()}
    stepped = [p for optimizer in trainer.optimizers.values() for group in optimizer.param_groups for p in group["params"]]
    assert not frozen & {id(parameter) for parameter in stepped}
    addresses = {value.data_ptr() for value in trainer.features.state_dict().values()}
    assert not addresses & {value.data_ptr() for value in trainer.state()[0].values()}


def test_a_translator_goes_on_with_a_judge_of_another_kind_which_starts_afresh(tmp_path: Path) -> None:
    plain = dataclasses.replace(settings_for("fastcut projected", tmp_path), discriminator=None, kimg=0.004)
    list(loop.train(plain))
    begun = dataclasses.replace(plain, discriminator="projected", start_from=plain.folder, folder=str(tmp_path / "second"))
    trainer = presets.build_trainer(presets.resolve(begun))
    fresh = {name: value.clone() for name, value in trainer.state()[0].items()}
    trainer.begin()
    before, after = newest(plain)[0], trainer.state()[0]
    assert all(torch.equal(after[name], before[name]) for name in after if name.startswith(("forward/", "average_forward/", "heads/")))
    assert all(torch.equal(after[name], fresh[name]) for name in after if name.startswith("judge/"))


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        ("cut", {"target": ()}, "cut needs two folders"),
        ("cut", {"network": "unet"}, "network='unet' has none of them"),
        ("cut", {"direction": "BtoA"}, "is for pix2pix. Name the folders of cut the other way round"),
        ("cyclegan", {"zoom": 9.0}, "zoom=9.0 is out of range"),
        ("cyclegan", {"load_size": 16}, "load_size=16 is smaller than the crops"),
        ("pix2pix", {"direction": "left"}, "direction='left' is not known. Use one of: AtoB, BtoA"),
        ("pix2pix", {"network": "vit"}, "network='vit' is not known"),
        ("fastcut", {"augment": "ada"}, "augment='ada' adapts"),
        ("cyclegan", {"discriminator": "residual"}, "discriminator='residual' is for picture generators"),
        ("pix2pix", {"lambda_style": 1.0}, "lambda_content and lambda_style are for pictures without partners"),
    ],
)
def test_wrong_settings_are_refused_with_advice(family: str, change: dict[str, object], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        presets.resolve(dataclasses.replace(Settings(family, ("a",), ("b",), resolution=32), **change))  # type: ignore[arg-type]


def test_the_settings_of_an_earlier_version_are_read_and_other_texts_refused() -> None:
    settings = Settings("cut", ("a",), ("b",))
    assert Settings.from_json(settings.to_json().replace("{", '{"judge_augment": "",', 1)) == settings
    for text in ("[]", "{}", settings.to_json().replace('"cut"', '"cut", "colour": 1')):
        with pytest.raises(TrainingError, match="cannot be read"):
            Settings.from_json(text)


def test_the_words_of_the_settings_go_before_the_names_of_the_folders() -> None:
    settings = Settings("cut", ("/pictures/photos",), ("/pictures/ink wash", "more/"))
    assert translator_presets.words(settings) == "photos to ink wash, more"
    assert translator_presets.words(dataclasses.replace(settings, words="photo to ink")) == "photo to ink"


def test_patch_nce_is_the_cross_entropy_of_finding_the_right_patch() -> None:
    generator = torch.Generator().manual_seed(0)
    queries, keys = (torch.nn.functional.normalize(torch.randn(2, 3, 4, generator=generator), dim=2) for _ in range(2))
    total = 0.0
    for n in range(2):
        for i in range(3):
            weights = [math.exp(float(queries[n, i] @ keys[n, j]) / 0.07) for j in range(3)]
            total -= math.log(weights[i] / sum(weights)) / 6
    assert losses.patch_nce(queries, keys, 0.07).item() == pytest.approx(total, rel=1e-5)


def test_no_gradient_of_the_contrast_reaches_the_source_features() -> None:
    queries, keys = (torch.rand(1, 3, 4, requires_grad=True) for _ in range(2))
    losses.patch_nce(queries, keys).backward()
    assert queries.grad is not None
    assert keys.grad is None


@pytest.mark.parametrize("downsample", ["strided", "antialias"])
def test_the_compared_layers_are_the_halvings_and_the_first_and_fifth_block(downsample: str) -> None:
    network = ResnetTranslator(ngf=2, n_blocks=6, downsample=downsample)
    layers = compared_layers(network)
    seen, made = walk(network, torch.zeros(1, 3, 32, 32), layers, to_end=True)
    halved = 16 if downsample == "strided" else 32
    assert [tuple(features.shape[1:]) for features in seen] == [
        (3, 32, 32),
        (4, halved, halved),
        (8, halved // 2, halved // 2),
        *2 * [(8, 8, 8)],
    ]
    assert torch.equal(made, network.train()(torch.zeros(1, 3, 32, 32)))
    blocks = [i for i, layer in enumerate(network.model.children()) if hasattr(layer, "conv_block")]
    assert layers[2:] == [blocks[0], blocks[4]]


def test_a_translation_that_is_its_source_finds_every_patch() -> None:
    with fresh_weights(0):
        heads = PatchHeads([3])
    img = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    places = [torch.arange(64)]
    (same,), (other,) = heads([img], places), heads([img.flip(3)], places)
    assert same.norm(dim=2).allclose(torch.ones(1, 64))
    assert losses.patch_nce(same, same) < losses.patch_nce(other, same)


def test_fastcut_compares_a_mirrored_translation_with_the_unmirrored_source(tmp_path: Path) -> None:
    trainer = presets.build_trainer(presets.resolve(settings_for("fastcut", tmp_path)))
    assert isinstance(trainer, cut.CutTrainer)
    source = torch.rand(1, 3, 32, 32) * 2 - 1
    straight, made = trainer._translate(source, False)
    mirrored, made_mirrored = trainer._translate(source, True)
    assert all(torch.equal(a, b) for a, b in zip(straight, mirrored, strict=True))
    assert not torch.equal(made, made_mirrored)
    assert torch.equal(trainer._translate(source.flip(3), False)[1], made_mirrored)


def pictures_of(*images: np.ndarray) -> Pictures:
    sizes = [image.shape[0] * image.shape[1] * image.shape[2] for image in images]
    places = [(sum(sizes[:k]), *image.shape[:2]) for k, image in enumerate(images)]
    block = np.concatenate([image.reshape(-1) for image in images])
    report = Report(len(images), (), (len(images),), (), (), 1)
    return Pictures(block, np.array(places, np.int64), np.zeros(len(images), np.int64), images[0].shape[2], report)


def gradient(width: int, height: int, channels: int) -> np.ndarray:
    """A picture whose red is the column and whose green is the row."""
    image = np.zeros((height, width, channels), np.uint8)
    image[..., 0::3] = np.arange(width)[None, :, None]
    image[..., 1::3] = np.arange(height)[:, None, None]
    return image


def test_a_crop_is_a_piece_of_a_picture() -> None:
    crops = random_crops(pictures_of(gradient(90, 60, 3)), 20, side=32, zoom=1.0, mirror=False, rng=np.random.default_rng(0))
    assert crops.shape == (20, 32, 32, 3)
    for crop in crops:
        left, top = int(crop[0, 0, 0]), int(crop[0, 0, 1])
        assert np.array_equal(crop, gradient(90, 60, 3)[top : top + 32, left : left + 32])
    assert len({int(crop[0, 0, 0]) for crop in crops}) > 5


def test_half_of_the_crops_are_mirrored_where_asked() -> None:
    crops = random_crops(pictures_of(gradient(90, 60, 3)), 60, side=32, zoom=1.0, mirror=True, rng=np.random.default_rng(0))
    mirrored = sum(int(crop[0, 0, 0]) > int(crop[0, -1, 0]) for crop in crops)
    assert 18 < mirrored < 42


def test_zoomed_crops_cover_more_never_less_and_stay_inside() -> None:
    crops = random_crops(pictures_of(gradient(90, 60, 3)), 60, side=32, zoom=2.5, mirror=False, rng=np.random.default_rng(0))
    covered = [int(crop[16, -1, 0]) - int(crop[16, 0, 0]) for crop in crops]
    assert min(covered) >= 30
    assert 50 < max(covered) < 60


def test_the_two_pictures_of_a_pair_are_cut_zoomed_and_mirrored_alike() -> None:
    crops = random_crops(pictures_of(gradient(90, 60, 6)), 20, side=32, zoom=1.5, mirror=True, rng=np.random.default_rng(0))
    assert crops.shape == (20, 32, 32, 6)
    assert np.array_equal(crops[..., :3], crops[..., 3:])


def test_an_identity_weight_holds_the_colours_of_a_contrastive_translator(tmp_path: Path) -> None:
    free = dataclasses.replace(settings_for("cut", tmp_path), augment="none", lambda_identity=0.0, g_lr=0.01, kimg=0.1)
    held = dataclasses.replace(free, lambda_identity=20.0, folder=str(tmp_path / "held"))
    ends = [[tick.values["identity"] for tick in loop.train(each) if "identity" in tick.values][-1] for each in (free, held)]
    assert ends[1] < 0.8 * ends[0]
