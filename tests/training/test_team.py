"""Two processes with half the batch each do what one does with the whole."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from studio.checkpoints.tensors import read_tensors
from studio.training import loop
from studio.training.settings import Settings
from studio.training.team import Team
from studio.training.trainer import StepRandom

MEMBER = """
import hashlib, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from studio.training import loop, presets
from studio.training.settings import Settings
from studio.training.team import Team
settings = Settings.from_json(Path(sys.argv[1]).read_text())
built = []
make = presets.build_trainer
presets.build_trainer = lambda *args: built.append(make(*args)) or built[0]
list(loop.train(settings))
networks = [built[0].G, built[0].D] if settings.family == "stylegan2" else list(built[0].networks.values())
digest = hashlib.sha256()
for network in networks:
    for parameter in network.parameters():
        digest.update(parameter.detach().contiguous().numpy().tobytes())
print("weights", digest.hexdigest())
"""


def settings_for(family: str, folder: Path) -> Settings:
    rng = np.random.default_rng(0)
    for name in ("x/one", "x/two", "y"):
        (folder / name).mkdir(parents=True)
        for k in range(4):
            Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(folder / name / f"{k}.png")
    if family in ("stylegan2", "projected"):
        return Settings(
            family="stylegan2",
            data=(str(folder / "x"),),
            name="team",
            resolution=32 if family == "projected" else 8,
            discriminator=family if family == "projected" else None,
            diversity_weight=1.0 if family == "projected" else 0.0,
            batch=8,
            channel_base=64,
            channel_max=8,
            z_dim=8,
            w_dim=8,
            r1_interval=2,
            kimg=0.032,
            augment="fixed",
            precision="fp32",
        )
    is_projected = family.endswith(" projected")
    return Settings(
        family=family.removesuffix(" projected"),
        discriminator="projected" if is_projected else None,
        data=(str(folder / "x" / "one" if family == "pix2pix" else folder / "x"),),
        target=(str(folder / "y"),),
        name="team",
        resolution=64 if is_projected else 32,
        load_size=64 if is_projected else 36,
        batch=4,
        ngf=4,
        ndf=4,
        n_blocks=1,
        pool_size=0,
        kimg=0.016,
        precision="fp32",
    )


@pytest.mark.slow
@pytest.mark.parametrize("family", ["stylegan2", "projected", "cyclegan", "fastcut", "pix2pix", "cut projected"])
def test_two_processes_keep_equal_weights_and_match_one_with_the_whole_batch(family: str, tmp_path: Path) -> None:
    import dataclasses

    alone = dataclasses.replace(settings_for(family, tmp_path), folder=str(tmp_path / "alone"))
    together = dataclasses.replace(alone, folder=str(tmp_path / "together"))
    list(loop.train(alone))
    (tmp_path / "settings.json").write_text(together.to_json())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    members = [
        subprocess.Popen(
            [sys.executable, "-c", MEMBER, str(tmp_path / "settings.json")],
            env={**place, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    results = [member.communicate(timeout=200) for member in members]
    said = [output.strip().splitlines()[-1] if output.strip() else errors for output, errors in results]
    assert said[0].startswith("weights")
    assert said[0] == said[1]
    one, header = read_tensors(loop.run_folder(alone).states()[-1])
    two, header_two = read_tensors(loop.run_folder(together).states()[-1])
    assert header["step"] == header_two["step"] == 4
    names = [name for name in one if "optimizer" not in name and (family in ("stylegan2", "projected") or name.endswith("weight"))]
    names = [name for name in names if "running" not in name]  # a discriminator's statistics follow such biases, and are never used
    # A bias before an instance norm changes nothing, so its gradient is rounding, which Adam makes as large as any other.
    for name in names:  # a bias before a norm has no gradient but rounding, of which Adam makes whole steps
        assert torch.allclose(one[name], two[name], atol=5e-3 if name.endswith("bias") else 2e-3, rtol=1e-3), name


@pytest.mark.slow
def test_a_team_on_the_command_line_speaks_and_publishes_once(tmp_path: Path) -> None:
    (tmp_path / "fruit").mkdir()
    for k in range(4):
        Image.fromarray(np.random.default_rng(k).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(tmp_path / "fruit" / f"{k}.png")
    command = ["dcgan", str(tmp_path / "fruit"), "--name", "ours", "--kimg", "0.016", "--batch", "4", "--resolution", "8"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    members = [
        subprocess.Popen(
            [sys.executable, "-m", "studio", "train", *command],
            env={**place, "RANK": str(rank), "STUDIO_HOME": str(tmp_path / "home")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    (first, news), (second, silence) = [member.communicate(timeout=200) for member in members]
    assert "ours is ready" in first, news
    assert "Measuring this computer" in news
    assert second == "" and "Measuring" not in silence and "pictures seen" not in silence


def test_the_shares_of_a_team_are_disjoint_and_keep_deviation_groups_together() -> None:
    team = Team()
    shares = []
    for rank in range(2):
        team.size, team.rank = 2, rank
        shares.append(team.share(16).tolist())
    assert sorted(shares[0] + shares[1]) == list(range(16))
    assert shares[0] == [0, 1, 4, 5, 8, 9, 12, 13]


def test_a_team_as_a_whole_draws_what_a_lone_process_draws() -> None:
    alone = StepRandom(3, 0, 5).normal(16, 2)
    for rank in range(2):
        team = Team()
        team.size, team.rank = 2, rank
        assert torch.equal(StepRandom(3, 0, 5, team).normal(8, 2), alone[team.share(16)])


def test_a_lone_process_averages_nothing() -> None:
    team, value = Team(), torch.ones(2)
    team.average([value])
    assert value.tolist() == [1.0, 1.0]
    assert team.average_values({"loss": 2.0}) == {"loss": 2.0}
    assert team.follow_first(1.0, 0.0) == [1.0, 0.0]
