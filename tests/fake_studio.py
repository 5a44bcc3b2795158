"""A studio without networks: an engine that answers at once with pictures that say which recipe they are of."""

import threading
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from studio.errors import CheckpointError
from studio.gallery import Gallery
from studio.ui.context import Context
from studio.ui.session import SessionStore
from studio.ui.settings import Settings

SIDE = 128
BITS = 24
BLOCK = 8


def code_of(recipe):
    """A number of BITS bits that tells recipes apart."""
    return zlib.crc32(recipe.to_json().encode()) & (2**BITS - 1)


def picture_of(recipe, side=SIDE):
    """A soft pattern that follows the recipe, with its code in black and white blocks along the upper edge."""
    psi = recipe.truncation.psi
    x, y = recipe.latent.x, recipe.latent.y
    kinds = sum((i + 1) * w for i, w in recipe.latent.classes)
    v, u = np.mgrid[0:side, 0:side] / side - 0.5
    rings = np.hypot(u + recipe.transform.translate_x, v + recipe.transform.translate_y) * 9
    waves = [np.sin(rings * (1 + k * 0.3) + x * (1.1 + k) + y * 1.7 + k * 2 + kinds + 3 * u * np.cos(x + k)) for k in range(3)]
    for mix in recipe.mixing:
        weight = float(np.mean(mix.weights)) if mix.weights else 0.0
        waves = [(1 - weight) * w + weight * np.sin(9 * v + mix.latent.x * (1 + k)) for k, w in enumerate(waves)]
    image = np.stack([127.5 + 80 * psi * w for w in waves], axis=-1).clip(20, 235).astype(np.uint8)
    code = code_of(recipe)
    for bit in range(BITS):
        row, column = divmod(bit, side // BLOCK)
        image[row * BLOCK : (row + 1) * BLOCK, column * BLOCK : (column + 1) * BLOCK] = 255 if code >> bit & 1 else 0
    return image


@dataclass
class FakeNetwork:
    """The attributes of a generator that the page asks for."""

    c_dim: int = 0
    has_noise: bool = True
    has_transform: bool = False
    layer_resolutions: tuple = (4, 8, 8, 16, 16, 32, 32, 64, 64, 128, 128, 128)
    num_ws: int = 12
    img_resolution: int = SIDE


@dataclass
class FakeModel:
    name: str
    network: object
    card: object
    path: Path = Path("none")
    preview: Path | None = None
    shipped: bool = True


def card(name, classes=(), family="stylegan2", direction=""):
    """A model card with what the page shows."""
    source = {"source_name": "", "source_sha256": "", "source_format": "", "credit": ""}
    return SimpleNamespace(
        **source,
        name=name,
        family=family,
        sha256="",
        classes=tuple(classes),
        resolution=SIDE,
        licence="yours to use for anything",
        origin="made for tests",
        notes=(),
        parameters=1234,
        direction=direction,
    )


FRUIT = (
    "apple",
    "apricot",
    "cherry",
    "fig",
    "grape",
    "lemon",
    "orange",
    "peach",
    "pear",
    "persimmon",
    "plum",
    "quince",
    "raspberry",
    "strawberry",
)


@dataclass
class FakeLibrary:
    """Three generators and a translator."""

    models: list = field(default_factory=list)

    def __post_init__(self):
        self.models = self.models or [
            FakeModel("pomona", FakeNetwork(c_dim=len(FRUIT)), card("pomona", FRUIT)),
            FakeModel("waves", FakeNetwork(), card("waves")),
            FakeModel("drift", FakeNetwork(has_noise=False, has_transform=True), card("drift", family="stylegan3")),
            FakeModel("photo-to-monet", object(), card("photo-to-monet", family="resnet", direction="photo to Monet")),
        ]

    def list(self):
        return self.models

    def find(self, name):
        for model in self.models:
            if model.name == name:
                return model
        raise CheckpointError(f"{name}: there is no model of this name.")


class FakeEngine:
    """Draws by lookup; ``seconds`` pretends to be a slow model; ``drawn`` counts."""

    def __init__(self, library, seconds=0.0):
        self.library, self.seconds, self.drawn, self.lock = library, seconds, 0, threading.Lock()

    def load(self, name):
        return self.library.find(name)

    def preview(self, recipe, size=None, *, priority=0):
        with self.lock:
            self.drawn += 1
            time.sleep(self.seconds)
        return picture_of(recipe)

    def render(self, recipe, *, priority=0):
        return self.preview(recipe)

    def ws(self, recipe):
        return torch.full((1, 12, 4), recipe.latent.x)

    def status(self):
        return SimpleNamespace(device="cpu", precision="auto", runner="lookup", milliseconds=self.seconds * 1000, preparing=False, note="")


def fake_context(folder, *, public=False, seconds=0.0, library=None):
    """A context whose parts are all fakes, with its files below ``folder``."""
    places = {name: folder / name for name in ("models", "pretrained", "uploads")}
    settings = Settings(public=public, pictures=folder / "Pictures" / "studio", **places)
    library = library or FakeLibrary()
    galleries = {}
    return Context(
        settings=settings,
        engine=FakeEngine(library, seconds),
        library=library,
        sessions=SessionStore(settings.galleries, public=public),
        gallery_of=lambda session: galleries.setdefault(session.pictures, Gallery(session.pictures, folder / "cache")),
    )
