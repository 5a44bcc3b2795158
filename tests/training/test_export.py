"""Weights leave a run as model files that the studio opens, and what ships is what the index says."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from studio import checkpoints, paths
from studio.checkpoints import ModelCard
from studio.errors import TrainingError
from studio.training import export, loop
from studio.training.settings import Settings

SHIPPED = [model for model in json.loads((paths.pretrained_folder() / "index.json").read_text())["models"] if "package" not in model]


def paint(folder: Path, side: int) -> str:
    rng = np.random.default_rng(side)
    folder.mkdir(parents=True)
    for k in range(3):
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    return str(folder)


def test_a_trained_generator_opens_with_its_classes_and_rights(tmp_path: Path) -> None:
    for name in ("apple", "pear"):
        paint(tmp_path / "fruit" / name, 8 + len(name))
    small = {"resolution": 8, "batch": 4, "channel_base": 64, "channel_max": 8, "z_dim": 8, "w_dim": 8}
    list(loop.train(Settings("stylegan2", (str(tmp_path / "fruit"),), name="tiny", folder=str(tmp_path / "run"), kimg=0.008, **small)))
    (file,) = export.export(tmp_path / "run", tmp_path / "models", ModelCard(licence="CC0-1.0", credit="us"), best=True)
    network = checkpoints.load(file)
    assert (network.card.classes, network.card.licence, network.card.resolution) == (("apple", "pear"), "CC0-1.0", 8)
    assert network.synthesis(network.mapping(torch.zeros(1, 8), torch.eye(2)[:1])).shape == (1, 3, 8, 8)


def test_a_trained_translator_opens_in_both_directions(tmp_path: Path) -> None:
    a, b = paint(tmp_path / "a", 40), paint(tmp_path / "b", 44)
    small = {"resolution": 32, "load_size": 36, "batch": 2, "ngf": 4, "ndf": 4, "n_blocks": 1}
    list(loop.train(Settings("cyclegan", (a,), (b,), name="tiny", folder=str(tmp_path / "run"), kimg=0.004, **small)))
    files = export.export(tmp_path / "run", tmp_path, ModelCard(direction="photo to Monet"))
    assert [f.name for f in files] == ["tiny.safetensors", "tiny-inverse.safetensors"]
    assert [checkpoints.load(f).card.direction for f in files] == ["photo to Monet", "Monet to photo"]
    assert checkpoints.load(files[0])(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 32, 32)


def test_the_way_back_of_two_things_is_named_like_the_way_there() -> None:
    names = ("apple2orange", "winter_woods2summer", "monet", "style2", "2d", "a2b2c", "pix2pix7")
    backwards = [
        "orange2apple",
        "summer2winter_woods",
        "monet-inverse",
        "style2-inverse",
        "2d-inverse",
        "a2b2c-inverse",
        "pix2pix7-inverse",
    ]
    assert [export.inverse_name(name) for name in names] == backwards


def test_half_precision_is_refused_where_it_would_show() -> None:
    class Steep(nn.Module):
        def __init__(self, weight: float) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(weight))

        def forward(self, img: torch.Tensor) -> torch.Tensor:
            return (img + self.weight) % 1.0

    calm, steep = Steep(0.5), Steep(3000.3)
    assert export.halved(calm).weight.dtype == torch.float16
    assert export.halved(steep) is steep


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="there is no training run in this folder"):
        export.read_run(tmp_path)


@pytest.mark.parametrize("entry", SHIPPED, ids=[entry["name"] for entry in SHIPPED])
def test_every_shipped_model_is_the_file_of_the_index_loads_and_says_its_rights(entry: dict[str, object]) -> None:
    folder = paths.pretrained_folder()
    file = folder / str(entry["file"])
    assert hashlib.sha256(file.read_bytes()).hexdigest() == entry["sha256"]
    assert all((folder / str(entry[key])).is_file() for key in ("preview", "card"))
    assert all(entry[key] for key in ("data", "rights", "credit", "command", "kimg", "figures"))
    network = checkpoints.load(file)
    assert network.card.licence == entry["licence"]
    assert network.card.family == entry["family"]
    assert list(network.card.classes) == entry["classes"]
