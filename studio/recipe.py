"""The recipe: everything that makes a picture, as frozen data that travels in the picture itself.

The interface builds it, the command line parses it, ``render`` executes it, files carry it and undo is a list of it.
Defaults and bounds live here and nowhere else. This module is *not* concerned with tensors or files: it holds text,
numbers and nothing that can act. A recipe found in a file is untrusted: :func:`from_json` checks type, range and size.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from studio.errors import RecipeError
from studio.recipe_codec import Bounds, bounds_of, declare, decode, encode, parse_object
from studio.recipe_film import MAX_SECONDS, Film, parse_rate
from studio.recipe_latent import SEED_ROW_STEP, Latent, pack_floats, unpack_floats

__all__ = [
    "MAX_FILM_JSON_BYTES",
    "MAX_JSON_BYTES",
    "SCHEMA_VERSION",
    "SEED_ROW_STEP",
    "Blend",
    "Bounds",
    "Film",
    "Latent",
    "ModelRef",
    "Noise",
    "Recipe",
    "Restyle",
    "StyleMix",
    "StyleShare",
    "StyleWeight",
    "Transform",
    "Truncation",
    "View",
    "bounds_of",
    "from_json",
    "pack_floats",
    "unpack_floats",
]

SCHEMA_VERSION = 1
MAX_JSON_BYTES = 256 * 1024
MAX_FILM_JSON_BYTES = 8 * 1024 * 1024
"""Films may be longer than pictures: every keyframe can hold style vectors. Pass it to :func:`from_json` for files of films."""


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Which network: the name it is installed under, and the SHA-256 of its file (hex, may be empty)."""

    name: str = declare("", "the model's name", max_length=200)
    sha256: str = declare("", "SHA-256 of the model file", max_length=64)


@dataclass(frozen=True, slots=True)
class Blend:
    """One more source of an n-way blend in W; the base latent has weight 1."""

    latent: Latent = field(default_factory=Latent)
    weight: float = declare(1.0, "how much of this source", low=0.0, high=16.0)


@dataclass(frozen=True, slots=True)
class StyleMix:
    """One style-mixing source: ``weights[i]`` of layer ``i`` comes from ``latent`` (missing layers: 0)."""

    latent: Latent = field(default_factory=Latent)
    weights: tuple[float, ...] = declare((), "share of each layer", low=0.0, high=1.0, max_length=64)


@dataclass(frozen=True, slots=True)
class Truncation:
    """The truncation trick; ``cutoff`` None truncates every layer.

    Styles are pulled towards ``center`` if there is one, else ``towards`` the average style, or that of the picture's own classes
    (which for a picture or a model without classes is the average).
    """

    psi: float = declare(0.7, "how far from the average; 0 is the average, 1 is raw, over 1 is wild", low=-1.0, high=2.0)
    cutoff: int | None = declare(None, "truncate only the first layers", low=0, high=64)
    center: Latent | None = None
    towards: str = declare(
        "average",
        "what psi pulls towards: the average of all (average), or that of the picture's own kind (class)",
        choices=("average", "class"),
    )

    @classmethod
    def fresh(cls, c_dim: int) -> Truncation:
        """Give what a new recipe for a model with ``c_dim`` classes begins with: each class keeps to its own average."""
        return cls(towards="class" if c_dim > 0 else "average")


@dataclass(frozen=True, slots=True)
class Noise:
    """Per-pixel noise of StyleGAN2: ``layers`` scales single layers on top of ``strength`` (missing: 1)."""

    mode: str = declare("const", "fine grain: fixed, new for each seed, or none", choices=("const", "random", "none"))
    seed: int = declare(0, "which grain, when it is random", low=0, high=2**32 - 1)
    strength: float = declare(1.0, "how much grain", low=0.0, high=5.0)
    layers: tuple[float, ...] = declare((), "how much grain in each layer", low=-5.0, high=5.0, max_length=64)


@dataclass(frozen=True, slots=True)
class Transform:
    """Where StyleGAN3 puts the picture; translations in picture widths, rotation in degrees, scale as a factor."""

    translate_x: float = declare(0.0, "move right, in picture widths", low=-1.0, high=1.0)
    translate_y: float = declare(0.0, "move down, in picture heights", low=-1.0, high=1.0)
    rotate: float = declare(0.0, "turn, in degrees", low=-180.0, high=180.0)
    scale: float = declare(1.0, "zoom, 1 is as trained", low=0.25, high=4.0)


@dataclass(frozen=True, slots=True)
class View:
    """How the finished picture is looked at: a camera over it, and its light. The default changes no pixel.

    It works with every model, unlike :class:`Transform`, and is applied after synthesis: zoomed about the centre, turned, moved,
    with mirrored edges; then ``contrast`` about middle grey and ``flash``, which lowers the white point (1 leaves black and white).
    """

    zoom: float = declare(1.0, "how near the camera is; 1 is all of the picture", low=0.25, high=8.0)
    x: float = declare(0.0, "move right, in picture widths", low=-1.0, high=1.0)
    y: float = declare(0.0, "move down, in picture heights", low=-1.0, high=1.0)
    rotate: float = declare(0.0, "turn, in degrees", low=-360.0, high=360.0)
    contrast: float = declare(1.0, "contrast; 1 is as it is", low=0.0, high=4.0)
    flash: float = declare(0.0, "how much light is added; 1 leaves only black and white", low=0.0, high=1.0)


@dataclass(frozen=True, slots=True)
class StyleShare:
    """One more style of a mixture: ``share`` of the whole is its; the recipe's own model has what is left."""

    model: ModelRef = field(default_factory=ModelRef)
    share: float = declare(0.5, "how much of the mixture is this style", low=0.0, high=1.0)


@dataclass(frozen=True, slots=True)
class StyleWeight:
    """One style of a book of painting styles; several are blended by their weights, which are brought to a sum of 1."""

    name: str = declare("", "name of the style in its book", max_length=200)
    weight: float = declare(1.0, "how much of this style", low=0.0, high=1.0)


@dataclass(frozen=True, slots=True)
class Restyle:
    """A translated photo: which picture went in (name and SHA-256 of its file) and how much of the style is kept.

    First the model and those of ``mix`` translate the photo, then those of ``then`` in turn translate the result, and at last
    the result is blended with the photo by ``strength``, colours and ``mask``.
    """

    source_name: str = declare("", "file name of the photo", max_length=200)
    source_sha256: str = declare("", "SHA-256 of the photo's file", max_length=64)
    strength: float = declare(1.0, "how much of the style; 0 is the photo", low=0.0, high=1.0)
    strength_space: str = declare(
        "lab", "strength as a blend of colours (lab) or inside the network (features)", choices=("lab", "features")
    )
    keep_colors: bool = declare(False, "keep the photo's own colours")
    keep_luminance: bool = declare(False, "keep the photo's own light and shade")
    texture_scale: float = declare(1.0, "size of the strokes; 1 is as trained, 2 is twice as large", low=0.125, high=8.0)
    detail: float = declare(1.0, "how much of the photo's fine detail comes back when strokes are larger", low=0.0, high=1.0)
    mask: str = declare("", "where to restyle: a small greyscale picture, white is restyled", max_length=48 * 1024)
    mask_feather: float = declare(0.02, "how soft the edge of the mask is, as a share of the longest side", low=0.0, high=0.25)
    mix: tuple[StyleShare, ...] = declare((), "more styles, mixed in by share", max_length=4)
    then: tuple[ModelRef, ...] = declare((), "styles that are applied to the result, one after another", max_length=4)
    styles: tuple[StyleWeight, ...] = declare((), "of a book of painting styles: which, by weight; else its first", max_length=16)
    norm_mode: str = declare("published", "batch norm as the published tool runs it, or in eval mode", choices=("published", "eval"))
    flicker: float = declare(0.8, "of a film: how steady it is kept; 0 restyles every frame for itself", low=0.0, high=1.0)
    start: float = declare(0.0, "of a film: where in it to begin, in seconds", low=0.0, high=MAX_SECONDS)
    end: float | None = declare(None, "of a film: where in it to end, in seconds; its own end if left out", low=0.0, high=MAX_SECONDS)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that makes one picture, or a film of them.

    ``size`` is the longest output side in pixels (None: the model's own, or what the upscalers of ``enlarge`` make of it). With
    ``enlarge`` a picture that has to be larger than it was made is enlarged crisply; of a painted photo, larger strokes are.
    """

    model: ModelRef = field(default_factory=ModelRef)
    latent: Latent = field(default_factory=Latent)
    blends: tuple[Blend, ...] = declare((), "more sources, blended", max_length=16)
    mixing: tuple[StyleMix, ...] = declare((), "style mixing sources", max_length=16)
    truncation: Truncation = field(default_factory=Truncation)
    noise: Noise = field(default_factory=Noise)
    transform: Transform = field(default_factory=Transform)
    view: View = field(default_factory=View)
    restyle: Restyle | None = None
    film: Film | None = None
    size: int | None = declare(None, "longest side in pixels", low=4, high=16384)
    enlarge: tuple[ModelRef, ...] = declare((), "upscalers that make the picture larger, one after another", max_length=4)
    precision: str = declare("exact", "exact (fp32) or auto (the fast mode)", choices=("exact", "auto"))
    studio: str = declare("", "version of the studio that made it", max_length=40)
    version: int = declare(SCHEMA_VERSION, "version of this layout", low=1, high=10**6)

    def to_json(self) -> str:
        """Write the recipe as compact JSON, leaving out what equals the default (``version`` always stays)."""
        data = encode(self)
        data["version"] = self.version
        return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Recipe:
        """Read a recipe from untrusted JSON.

        Raises:
            RecipeError: The text is too long, not JSON, of a newer version, or holds an unknown or unacceptable value.
        """
        return from_json(text)


def from_json(text: str | bytes, max_bytes: int = MAX_JSON_BYTES) -> Recipe:
    """Read a recipe from untrusted JSON of at most ``max_bytes``; see :meth:`Recipe.from_json`."""
    data = parse_object(text, max_bytes)
    version = data.get("version", SCHEMA_VERSION)
    if isinstance(version, int) and not isinstance(version, bool) and version > SCHEMA_VERSION:
        raise RecipeError(f"The recipe has version {version}, this studio reads up to {SCHEMA_VERSION}. Update the studio.")
    recipe = decode(Recipe, data, "recipe")
    if recipe.film is not None:
        parse_rate(recipe.film.fps)
    return recipe
