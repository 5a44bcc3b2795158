"""What the page must know of a model to draw the right controls: sizes, classes, layers, what it can do.

This is *not* the card of a model file (that is ``checkpoints.ModelCard``): it is the card in the words of the page.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.errors import StudioError
from studio.latents import layer_groups
from studio.recipe import Truncation
from studio.ui.context import Answer, Context
from studio.ui.payloads import data_url

GENERATOR_WORDS = {
    "gan": "GAN (2014)",
    "dcgan": "DCGAN",
    "cgan": "Conditional GAN",
    "wgan": "WGAN",
    "wgan-gp": "WGAN-GP",
    "sngan": "SNGAN",
    "progan": "Progressive GAN",
    "biggan": "BigGAN",
    "fastgan": "FastGAN",
    "stylegan2": "StyleGAN2",
    "stylegan3": "StyleGAN3",
}
GENERATORS = tuple(GENERATOR_WORDS)
UPSCALERS = {"esrgan": "ESRGAN", "compact": "Enlarger"}
BOOK = "style-transfer"
FAMILY_WORDS = {
    **GENERATOR_WORDS,
    "resnet": "CycleGAN",
    "unet": "pix2pix",
    BOOK: "Painting styles",
    "any-style": "Any picture as a style",
    **UPSCALERS,
}


def kind_of(card: Any) -> str:
    """Say what a model is for: it makes pictures, restyles them, or enlarges them."""
    return "generator" if card.family in GENERATORS else "upscaler" if card.family in UPSCALERS else "translator"


def list_models(ctx: Context) -> list[Answer]:
    """Describe every installed model, generators and translators, without loading any."""
    return [_entry(entry) for entry in ctx.library.list()]


def model_facts(ctx: Context, name: str) -> Answer:
    """Load a generator and describe it.

    Raises:
        StudioError: It is not installed, or turns pictures into pictures instead of making them.
    """
    loaded = ctx.engine.load(name)
    G, card = loaded.network, loaded.card
    if not hasattr(G, "num_ws"):
        raise StudioError(f"{name} restyles photos. Choose it in Restyle.")
    group_of = {layer: group for group, layers in layer_groups(G).items() for layer in layers}
    return {
        **_words(name, card),
        "num_ws": G.num_ws,
        "c_dim": G.c_dim,
        "classes": class_names(card, G.c_dim),
        "towards": Truncation.fresh(G.c_dim).towards,
        "layers": [{"resolution": int(size), "group": group_of[i]} for i, size in enumerate(G.layer_resolutions)],
        "has_noise": G.has_noise,
        "has_transform": G.has_transform,
        "resolution": G.img_resolution,
    }


def class_names(card: Any, c_dim: int) -> list[str]:
    """Return one name per class; a model without names has numbers."""
    names = [str(name) for name in card.classes[:c_dim]]
    return names + [str(i) for i in range(len(names), c_dim)]


def _words(name: str, card: Any) -> Answer:
    return {
        "name": name,
        "title": name,
        "sha256": card.sha256,
        "family": card.family,
        "kind": kind_of(card),
    }


def _entry(entry: Any) -> Answer:
    card = entry.card
    classes = len(card.classes)
    is_book = card.family == BOOK
    words = [FAMILY_WORDS.get(card.family, card.family)]
    if card.resolution:
        words.append(f"{card.resolution} px")
    if classes:
        words.append(f"{classes} {'styles' if is_book else 'kinds'}")
    if card.direction and not is_book:
        words = [card.direction]
    return {
        **_words(entry.name, card),
        "summary": ", ".join(words),
        "styles": list(card.classes) if is_book else [],
        "resolution": card.resolution,
        "shipped": entry.shipped,
        "preview": preview_url(entry.preview),
    }


def preview_url(path: Path | None) -> str | None:
    """Return a model's preview picture for the page; None when there is none."""
    if path is None or not path.is_file():
        return None
    return data_url(path.read_bytes(), "image/webp" if path.suffix == ".webp" else "image/png")
