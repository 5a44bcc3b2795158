"""Every shared checkpoint gives the pictures that its authors' own code gave."""

import re

import numpy as np
import pytest
import torch

import studio

LATENT = ("rosinality_64.pt", "sg2ada_64.pkl", "sg2ada_classes_32.pkl", "sg3r_32_transformed.pkl", "sg3t_64.pkl", "tf_stylegan2_32.pkl")
TRANSLATORS = (
    *("cut_resnet9_antialias.pth", "cyclegan_resnet6_legacy_dropout.pth", "cyclegan_resnet9.pth"),
    "pix2pix_unet256_batchnorm.pth",
)
MOST = 1e-4


@pytest.fixture(autouse=True)
def one_thread():
    """Such small networks are slower on several threads, above all where other tests run beside."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def distance(result, truth):
    """Relative L2 error."""
    return float(np.linalg.norm(result.numpy() - truth) / np.linalg.norm(truth))


def styles(G, truth, index, psi, cutoff):
    """Map one sample and truncate it, as the published tools do."""
    z = truth["z"][index : index + 1] if "z" in truth else np.random.RandomState(int(truth["seeds"][index])).randn(1, G.z_dim)
    c = torch.from_numpy(truth["c"][index : index + 1]) if "c" in truth else None
    return studio.latents.truncate(G.mapping(torch.from_numpy(z.astype(np.float32)), c), G.w_avg, psi=psi, cutoff=cutoff)


@pytest.mark.parametrize("name", LATENT)
def test_a_generator_gives_the_pictures_of_the_original_code(name, shared_fixtures):
    G = studio.load(shared_fixtures / name, device="cpu")
    truth = dict(np.load((shared_fixtures / name).with_suffix(".npz")))
    extra = {"transform": torch.from_numpy(truth["transform"]).float()} if "transform" in truth else {}
    keys = [key for key in truth if key.startswith(("img", "ws"))]
    assert keys
    for key in keys:
        match = re.search(r"psi([\d.]+)(?:_cutoff(\d+))?", key)
        psi, cutoff = (float(match[1]), match[2] and int(match[2])) if match else (0.7, None)
        ws = [styles(G, truth, index, psi, cutoff) for index in range(len(truth[key]))]
        result = ws if key.startswith("ws") else [G.synthesis(one, noise_mode="const", **extra) for one in ws]
        assert distance(torch.cat(result), truth[key]) < MOST, key


@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_translator_gives_the_pictures_of_the_original_code(name, shared_fixtures):
    T = studio.load(shared_fixtures / name, device="cpu")
    truth = dict(np.load((shared_fixtures / name).with_suffix(".npz")))
    keys = [key for key in truth if key.startswith("output")]
    assert keys
    for key in keys:
        T.norm_mode = "published" if key == "output_batchstats" else "eval"
        assert distance(T(torch.from_numpy(truth["input"])), truth[key]) < MOST, key


@pytest.mark.parametrize("name", [*LATENT, *TRANSLATORS])
def test_our_own_format_gives_the_same_weights_back(name, shared_fixtures, tmp_path):
    network = studio.load(shared_fixtures / name, device="cpu")
    studio.checkpoints.save(network, tmp_path / "copy.safetensors", network.card)
    again = studio.load(tmp_path / "copy.safetensors", device="cpu")
    assert again.config == network.config
    assert again.card.source_sha256 == network.card.source_sha256
    ours, theirs = network.state_dict(), again.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
