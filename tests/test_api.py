"""The public API that other people's scripts use."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from toys import save_toy, toy_stylegan2, toy_translator

import studio
from studio import paths
from studio.engine import default_engine
from studio.errors import MediaError, RecipeError
from studio.recipe import Latent, ModelRef, Recipe, Restyle, Truncation


@pytest.fixture(autouse=True)
def own_engine():
    default_engine.cache_clear()
    yield
    default_engine().close()
    default_engine.cache_clear()


def test_importing_the_studio_imports_neither_torch_nor_gradio():
    script = "import sys, studio\nstudio.Recipe(); studio.errors.StudioError\nassert not {'torch', 'gradio', 'numba'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_functions_stay_functions_when_modules_of_their_names_are_imported():
    import importlib

    for name in ("render", "engine", "checkpoints", "latents", "cli"):
        importlib.import_module(f"studio.{name}")
    assert callable(studio.render) and callable(studio.restyle) and callable(studio.load)
    assert studio.latents.truncate and set(studio.__all__) <= set(dir(studio))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = studio.nothing


def test_the_readme_example_of_loading_and_drawing_works(tmp_path):
    G = studio.load(save_toy(tmp_path))
    z = studio.latents.seed_to_z([42], G.z_dim)
    ws = G.mapping(z, None)
    assert ws.shape == (1, G.num_ws, G.w_dim) and G.w_avg.shape == (G.w_dim,)
    ws = studio.latents.truncate(ws, G.w_avg, psi=0.7, cutoff=None)
    img = G.synthesis(ws, noise_mode="const")
    assert img.shape == (1, G.img_channels, G.img_resolution, G.img_resolution) and img.dtype == torch.float32


def test_render_draws_installed_models_by_name(tmp_path):
    save_toy(paths.models_folder(), "faces")
    image = studio.render(Recipe(model=ModelRef("faces"), latent=Latent(x=3), truncation=Truncation(psi=0.5)))
    assert image.shape == (32, 32, 3) and image.dtype == np.uint8


def test_seed_42_is_the_same_picture_by_either_way(tmp_path):
    save_toy(paths.models_folder(), "faces")
    G = studio.load("faces")
    ws = studio.latents.truncate(G.mapping(studio.latents.seed_to_z([42], G.z_dim), None), G.w_avg, psi=0.7)
    img = G.synthesis(ws)
    by_hand = (img[0].permute(1, 2, 0) * 127.5 + 128).clamp(0, 255).to(torch.uint8).numpy()
    by_recipe = studio.render(Recipe(model=ModelRef("faces"), latent=Latent.from_seed(42)))
    assert np.abs(by_hand.astype(int) - by_recipe).max() <= 1


def test_restyle_redraws_a_picture_at_its_own_size(tmp_path):
    save_toy(paths.models_folder(), "painter", toy_translator())
    photo = np.random.default_rng(0).integers(0, 255, (30, 41, 3), np.uint8)
    recipe = Recipe(model=ModelRef("painter"), restyle=Restyle())
    assert studio.restyle(recipe, photo).shape == photo.shape
    assert np.array_equal(studio.restyle(Recipe(model=ModelRef("painter"), restyle=Restyle(strength=0)), photo), photo)


def test_auto_precision_gives_the_same_picture_to_the_eye(tmp_path):
    path = save_toy(tmp_path, network=toy_stylegan2(64))
    exact, fast = studio.load(path), studio.load(path, precision="auto")
    ws = studio.latents.place_to_ws(exact, Latent(x=1))
    assert fast.num_ws == exact.num_ws and fast.card == exact.card
    assert (fast.synthesis(ws).clamp(-1, 1) - exact.synthesis(ws).clamp(-1, 1)).square().mean() < 4 / 10**4.5


def test_restyle_takes_names_files_arrays_and_wishes(tmp_path):
    from PIL import Image

    save_toy(paths.models_folder(), "painter", toy_translator())
    other = save_toy(tmp_path, "other", toy_translator(seed=5))
    photo = np.random.default_rng(0).integers(0, 255, (30, 41, 4), np.uint8)
    mask = np.zeros((30, 41), np.uint8)
    made = studio.restyle("painter", photo, mix={str(other): 0.5}, then=[str(other)], mask=mask, strength=0.5)
    assert np.array_equal(made, photo)
    Image.fromarray(photo[..., :3]).save(tmp_path / "a.png")
    assert np.array_equal(studio.restyle(other, tmp_path / "a.png"), studio.restyle(other, photo[..., :3]))
    assert studio.restyle("painter", photo[..., 0]).shape == (30, 41, 3)
    with pytest.raises(RecipeError, match="strength=2"):
        studio.restyle("painter", photo, strength=2)


def test_an_animation_is_refused_by_the_function_for_pictures(tmp_path):
    from PIL import Image

    frames = [Image.new("RGB", (8, 8), (value, 0, 0)) for value in (0, 200)]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:], duration=100)
    with pytest.raises(MediaError, match="2 frames"):
        studio.restyle(save_toy(tmp_path, "painter", toy_translator()), tmp_path / "film.gif")
