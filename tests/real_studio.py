"""A studio with its real engine and library, whose models are small and random."""

from dataclasses import replace

from toys import save_toy, toy_stylegan2, toy_translator

from studio.ui.app import make_context
from studio.ui.settings import Settings


def real_context(folder, *, public=False, models=True):
    """A context with everything below ``folder``: a generator and two translators, or nothing installed."""
    places = {name: folder / name for name in ("models", "pretrained", "uploads")}
    settings = Settings(public=public, pictures=folder / "Pictures" / "studio", device="cpu", **places)
    settings.uploads.mkdir(parents=True, exist_ok=True)
    if models:
        save_toy(settings.models, "waves", toy_stylegan2(32))
        for seed, (name, direction) in enumerate((("photo-to-ink", "photo to ink"), ("photo-to-oil", "photo to oil"))):
            network = toy_translator(seed=seed)
            network.card = replace(network.card, direction=direction)
            save_toy(settings.models, name, network)
    return make_context(settings)
