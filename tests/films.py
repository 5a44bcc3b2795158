"""Films of toy models, for tests: quick to draw, different in every frame."""

from dataclasses import replace

from toys import save_toy, toy_stylegan2

from studio.engine import Engine
from studio.recipe import Film, Latent, ModelRef, Recipe, View
from studio.recipe_film import Keyframe, Lane, LatentKey, LatentLane


def toy_engine(folder, *, resolution=16, **more):
    """An engine whose only models are ``toy`` and ``other``, 16 pixels a side."""
    from studio.checkpoints import Library

    for seed, name in enumerate(("toy", "other")):
        if not (folder / f"{name}.safetensors").exists():
            save_toy(folder, name, toy_stylegan2(resolution, seed=seed, **more))
    return Engine(Library(folder, folder / "none"), device="cpu", compilers=False)


def film_recipe(seconds=0.5, fps="24", *, model="toy", loop=True, **more):
    """A film that goes from seed 1 over seed 5 to seed 9 while psi and zoom move."""
    keys = tuple(LatentKey(number * seconds / 3, Latent.from_seed(seed)) for number, seed in enumerate((1, 5, 9)))
    lanes = (
        Lane("truncation.psi", (Keyframe(0.0, 0.4), Keyframe(seconds / 2, 1.2))),
        Lane("view.zoom", (Keyframe(0.0, 1.0), Keyframe(seconds / 2, 1.5))),
    )
    film = Film(fps=fps, seconds=seconds, loop=loop, latents=(LatentLane("latent", "spline", keys),), lanes=lanes)
    recipe = Recipe(model=ModelRef(model), film=replace(film, **{"flash_limit": False, **more.pop("film", {})}), view=View())
    return replace(recipe, **more)
