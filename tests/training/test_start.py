"""Fine-tuning: any file starts a run, with its discriminator where it has one; classes change; frozen blocks stay; the card tells."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import toys
from PIL import Image

from studio import checkpoints, paths
from studio.checkpoints import ModelCard
from studio.errors import StudioError, TrainingError
from studio.models.common import build
from studio.training import export, loop, presets, start, transfer
from studio.training.settings import Settings


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def fruit(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    for name in ("apple", "pear"):
        (tmp_path / "fruit" / name).mkdir(parents=True)
        for k in range(4):
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(tmp_path / "fruit" / name / f"{k}.png")
    return str(tmp_path / "fruit")


def tuning(fruit: str, tmp_path: Path, start_from: str | Path, **changes: object) -> Settings:
    settings = Settings("stylegan2", (fruit,), name="tuned", folder=str(tmp_path / "run"), batch=4, kimg=0.008, start_from=str(start_from))
    return dataclasses.replace(settings, **changes)  # type: ignore[arg-type]


def run(settings: Settings, steps: int | None = None) -> dict[str, torch.Tensor]:
    asked = iter(range(1000))
    list(loop.train(settings, should_stop=lambda: steps is not None and next(asked) >= steps))
    found = loop.run_folder(settings).read_newest_state()
    assert found is not None
    return found[0]


def test_a_published_pickle_is_tuned_with_its_discriminator_and_opens_with_its_origin_on_the_card(
    fruit: str, tmp_path: Path, shared_fixtures: Path
) -> None:
    settings = tuning(fruit, tmp_path, shared_fixtures / "sg2ada_classes_32.pkl")
    trainer = presets.build_trainer(presets.resolve(settings))
    trainer.begin()
    pair = start.load_pair(shared_fixtures / "sg2ada_classes_32.pkl")
    state = trainer.state()[0]
    assert torch.equal(state["D/b32.conv0.weight"], pair.discriminator.get_parameter("b32.conv0.weight"))  # type: ignore[union-attr]
    assert torch.equal(state["G/synthesis.b8.conv1.weight"], pair.generator.get_parameter("synthesis.b8.conv1.weight"))
    assert torch.equal(state["G_ema/synthesis.b8.conv1.weight"], pair.averaged.get_parameter("synthesis.b8.conv1.weight"))
    run(settings)
    (file,) = export.export(tmp_path / "run", tmp_path, ModelCard(licence="yours", origin="trained on fruit"))
    card = checkpoints.load(file).card
    assert card.classes == ("apple", "pear")
    assert card.origin.startswith("fine-tuned from sg2ada_classes_32 (SHA-256 ")
    assert "non-commercial" in card.licence and card.licence.startswith("yours")
    said = start.sentences(presets.resolve(settings), card.classes)
    assert said[1] == "Its discriminator goes on learning."
    assert "the generator rests" in " ".join(start.sentences(presets.resolve(settings), ()))
    assert "no class carried over, 2 start from old ones in turn" in said[2]


def test_a_model_without_a_discriminator_starts_by_its_name_and_rests_while_a_fresh_one_learns(fruit: str, tmp_path: Path) -> None:
    toys.save_toy(paths.models_folder(), "mine", toys.toy_stylegan2(16, c_dim=2))
    settings = tuning(fruit, tmp_path, "mine", kimg=1.0)
    said = start.sentences(presets.resolve(settings), ("apple", "pear"))
    assert said[1].startswith("It holds no discriminator: a fresh one starts")
    before = checkpoints.load("mine", device="cpu").state_dict()
    state = run(settings, steps=2)
    name = "synthesis.b8.conv1.weight"
    assert torch.equal(state[f"G/{name}"], before[name])
    assert state["D/layers.1.weight"].shape == (8, 8, 4, 4)
    late = run(dataclasses.replace(settings, kimg=0.016))
    assert not torch.equal(late[f"G/{name}"], before[name])


def test_a_run_resumes_without_the_file_that_it_started_from(fruit: str, tmp_path: Path, shared_fixtures: Path) -> None:
    file = shutil.copy(shared_fixtures / "sg2ada_classes_32.pkl", tmp_path / "borrowed.pkl")
    whole = run(tuning(fruit, tmp_path, file, folder=str(tmp_path / "whole"), kimg=0.008))
    settings = tuning(fruit, tmp_path, file, kimg=0.008)
    run(settings, steps=1)
    Path(file).unlink()
    parts = run(settings)
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


@pytest.mark.parametrize("freeze_d", [0, 1, 2])
def test_frozen_blocks_stay_and_the_others_learn(freeze_d: int, fruit: str, tmp_path: Path, shared_fixtures: Path) -> None:
    settings = tuning(fruit, tmp_path, shared_fixtures / "sg2ada_classes_32.pkl", freeze_d=freeze_d)
    before = start.load_pair(shared_fixtures / "sg2ada_classes_32.pkl").discriminator
    after = run(settings)
    assert before is not None
    moved = [not torch.equal(after[f"D/b{r}.conv0.weight"], before.get_parameter(f"b{r}.conv0.weight")) for r in (32, 16, 8)]
    assert moved == [freeze_d < 1, freeze_d < 2, True]


def test_more_frozen_blocks_than_there_are_is_refused(fruit: str, tmp_path: Path, shared_fixtures: Path) -> None:
    with pytest.raises(TrainingError, match="this discriminator has 3 blocks to freeze"):
        run(tuning(fruit, tmp_path, shared_fixtures / "sg2ada_classes_32.pkl", freeze_d=4))


@pytest.mark.parametrize(
    ("start_from", "changes", "message"),
    [
        ("sg3t_64.pkl", {}, r"is a stylegan3, not a stylegan2. Use: studio train stylegan3"),
        ("sg2ada_64.pkl", {"resolution": 32}, r"makes pictures of 64 px, not 32. Leave resolution out"),
        ("cyclegan_resnet9.pth", {}, "turns pictures into others"),
        ("tf_stylegan2_32.pkl", {"freeze_d": 1}, "holds no discriminator to keep"),
    ],
)
def test_what_cannot_be_tuned_is_refused_with_advice(
    start_from: str, changes: dict[str, object], message: str, fruit: str, tmp_path: Path, shared_fixtures: Path
) -> None:
    with pytest.raises(TrainingError, match=message):
        presets.resolve(tuning(fruit, tmp_path, shared_fixtures / start_from, **changes))


def test_a_run_that_starts_afresh_has_nothing_to_freeze(fruit: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="but this run starts afresh"):
        presets.resolve(tuning(fruit, tmp_path, "", freeze_d=1))


def test_a_name_that_no_model_has_is_refused_with_those_there_are(fruit: str, tmp_path: Path) -> None:
    toys.save_toy(paths.models_folder(), "mine")
    with pytest.raises(StudioError, match=r"no model called 'theirs'\. Installed: .*mine"):
        presets.resolve(tuning(fruit, tmp_path, "theirs"))


def make(c_dim: int, seed: int) -> torch.nn.Module:
    return toys.toy_stylegan2(8, c_dim=c_dim, seed=seed)


def pictures(network: torch.nn.Module, label: int | None) -> torch.Tensor:
    z = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    c = None if label is None else torch.eye(network.c_dim)[[label] * 3]
    return network.synthesis(network.mapping(z, c))


def test_classes_of_the_same_name_make_the_same_pictures_wherever_they_stand() -> None:
    old, new = make(3, 0), make(2, 1)
    transfer.copy_weights(new, old, ("apple", "fig", "pear"), ("pear", "quince"))
    assert torch.allclose(pictures(new, 0), pictures(old, 2), atol=1e-5)
    assert torch.allclose(pictures(new, 1), pictures(old, 1), atol=1e-5)


def test_classes_given_to_a_network_without_any_change_nothing_at_first() -> None:
    old, new = make(0, 0), make(4, 1)
    transfer.copy_weights(new, old, (), ("a", "b", "c", "d"))
    for label in range(4):
        assert torch.allclose(pictures(new, label), pictures(old, None), atol=1e-5)


def test_classes_taken_away_leave_what_they_did_on_average() -> None:
    old, new = make(3, 0), make(0, 1)
    transfer.copy_weights(new, old, ("a", "b", "c"), ())
    z = torch.randn(1, 16)

    def first(network: torch.nn.Module, c: torch.Tensor | None) -> torch.Tensor:
        seen: list[torch.Tensor] = []
        layer = network.get_submodule("mapping.fc0")
        layer.activation = "linear"
        handle = layer.register_forward_hook(lambda module, given, made: seen.append(made))
        network.mapping(z, c)
        handle.remove()
        return seen[0]

    mean = torch.stack([first(old, torch.eye(3)[[k]]) for k in range(3)]).mean(0)
    assert torch.allclose(first(new, None), mean, atol=1e-6)


def test_the_sentence_says_which_classes_are_carried_over() -> None:
    assert transfer.say_classes(("a", "b"), ("a", "b")) == []
    assert transfer.say_classes((), ("a", "b")) == ["It knew no classes: the 2 of the folders are new to it."]
    assert "made anew: b carried over, 1 start from old ones in turn" in transfer.say_classes(("a", "b"), ("b", "c"))[0]


def test_a_discriminator_keeps_its_classes_by_name() -> None:
    config = {"img_resolution": 8, "img_channels": 3, "channels": [6, 4]}
    old, new = (build("stylegan2-discriminator", {**config, "c_dim": n}).eval() for n in (2, 3))
    transfer.copy_weights(new, old, ("a", "b"), ("c", "b", "a"))
    img = torch.randn(4, 3, 8, 8)
    assert torch.allclose(new(img, torch.eye(3)[[2, 1, 2, 1]]), old(img, torch.eye(2)[[0, 1, 0, 1]]), atol=1e-5)
