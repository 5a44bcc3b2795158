"""History: every generation of GANs side by side, each drawing the same seed, each one playable. Opened from Models.

It shows the installed models whose names begin with ``zoo-``, trained on the same pictures, and is not there without them.
They are small and many, so they have a cache of their own and are drawn by the plain module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.model_cache import ModelCache
from studio.recipe import Latent, ModelRef, Recipe, Truncation
from studio.render import draw, opaque
from studio.ui import facts
from studio.ui.context import Answer, Context, endpoint, image_url
from studio.ui.payloads import Fields, Payload
from studio.ui.session import Session
from studio.ui.widgets import widget
from studio.worker import Priority

PART = "history"
PREFIX = "zoo-"
KEPT = 12


@dataclass(frozen=True, slots=True)
class Generation:
    """What a family brought, and the paper that did."""

    year: int
    brought: str
    paper: str


GENERATIONS = {
    "gan": Generation(
        2014,
        "Two networks against each other: one forges pictures, the other tells them from real ones.",
        "Goodfellow et al. 2014, Generative Adversarial Nets",
    ),
    "cgan": Generation(
        2014,
        "Both networks are told the kind of picture, so that one can ask for it.",
        "Mirza and Osindero 2014, Conditional Generative Adversarial Nets",
    ),
    "dcgan": Generation(
        2015,
        "Convolutions and batch norm: the first recipe that made pictures dependably.",
        "Radford et al. 2015, Unsupervised Representation Learning with DCGANs",
    ),
    "wgan": Generation(
        2017,
        "Measures how far the forgeries are from the real pictures instead of asking yes or no.",
        "Arjovsky et al. 2017, Wasserstein GAN",
    ),
    "wgan-gp": Generation(
        2017,
        "A penalty on gradients keeps that distance honest, and training steady.",
        "Gulrajani et al. 2017, Improved Training of Wasserstein GANs",
    ),
    "progan": Generation(
        2017,
        "Learns small pictures first and grows: the first faces in high resolution.",
        "Karras et al. 2017, Progressive Growing of GANs",
    ),
    "sngan": Generation(
        2018,
        "Bounds each layer of the judge by its spectral norm, at almost no cost.",
        "Miyato et al. 2018, Spectral Normalization for GANs",
    ),
    "biggan": Generation(
        2018,
        "Many kinds at once, by size, and truncation to trade variety for quality.",
        "Brock et al. 2018, Large Scale GAN Training",
    ),
    "stylegan2": Generation(
        2019,
        "A style steers every layer, coarse to fine, so that pictures can be mixed.",
        "Karras et al. 2019, Analyzing and Improving the Image Quality of StyleGAN",
    ),
    "fastgan": Generation(
        2021,
        "Learns from a few hundred pictures within hours.",
        "Liu et al. 2021, Towards Faster and Stabilized GAN Training",
    ),
    "stylegan3": Generation(
        2021,
        "Detail moves with the things it belongs to instead of sticking to the pixels.",
        "Karras et al. 2021, Alias-Free Generative Adversarial Networks",
    ),
}


@dataclass(frozen=True, slots=True)
class PlayRequest(Payload):
    """One model of the page and the place on the seed plane to draw."""

    name: str
    x: float
    y: float
    psi: float

    @classmethod
    def read(cls, fields: Fields) -> PlayRequest:
        """Build the request from checked entries."""
        return cls(
            token=fields.identifier("token"),
            name=fields.text("name"),
            x=fields.number("x", low=0.0, high=2.0**32),
            y=fields.number("y", low=-(2.0**26), high=2.0**26),
            psi=fields.number("psi", low=-2.0, high=2.0, default=0.8),
        )


def build(ctx: Context) -> gr.HTML:
    """Create the page, which stays closed until Models opens it."""
    return widget("history", label="History", server_functions=[endpoint(ctx, Payload, generations), endpoint(ctx, PlayRequest, play)])


def generations(ctx: Context, session: Session, request: Payload) -> Answer:
    """List the models side by side in the order of their years."""
    zoo = [entry for entry in ctx.library.list() if entry.name.startswith(PREFIX) and entry.card.family in GENERATIONS]
    order = list(GENERATIONS)
    zoo.sort(key=lambda entry: (GENERATIONS[entry.card.family].year, order.index(entry.card.family), entry.name))
    return {"models": [_words(entry) for entry in zoo]}


def play(ctx: Context, session: Session, request: PlayRequest) -> Answer:
    """Draw a place with one of the models."""
    recipe = Recipe(model=ModelRef(request.name), latent=Latent(x=request.x, y=request.y), truncation=Truncation(psi=request.psi))
    return {"url": image_url(_draw(ctx, recipe), quality=92)}


def _draw(ctx: Context, recipe: Recipe) -> Any:
    engine: Any = ctx.engine
    cache: ModelCache = ctx.sessions.parts.setdefault(PART, ModelCache(ctx.library, engine.device, KEPT))
    loaded = cache.load(recipe.model.name)
    if loaded.is_translator or not loaded.name.startswith(PREFIX):
        return engine.preview(recipe)
    return engine.worker.run(Priority.PREVIEW, lambda: opaque(draw(loaded.network, recipe, places=loaded.place, means=loaded.mean)))


def _words(entry: Any) -> Answer:
    generation = GENERATIONS[entry.card.family]
    return {
        "name": entry.name,
        "title": facts.FAMILY_WORDS[entry.card.family],
        "year": generation.year,
        "brought": generation.brought,
        "paper": generation.paper,
    }
