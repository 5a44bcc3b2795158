"""What an artist decides after the network has run: how much of it, whose colours, and where.

Pixels in, pixels out, in CIE Lab. This is *not* where networks run; see ``picture.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from studio import lab
from studio.recipe import Restyle
from studio.restyle.geometry import Image
from studio.restyle.masks import read_mask, weights


def finish(image: Image, alpha: Image | None, result: Image, options: Restyle) -> Image:
    """Blend a full translation with its photo as wanted.

    Args:
        image: The photo, ``[H, W, 3]``.
        alpha: Its opacity ``[H, W]``, which passes through; fully transparent pixels stay as they are.
        result: The translation, ``[H, W, 3]``.
        options: ``strength``, ``strength_space``, ``keep_colors``, ``keep_luminance``, ``mask`` and ``mask_feather`` are read.

    Returns:
        ``[H, W, 3]``, or ``[H, W, 4]`` when ``alpha`` is given.

    Raises:
        RecipeError: The mask is damaged.
    """
    strength = blend_weight(options)
    where = None
    if options.mask and strength > 0:
        where = weights(read_mask(options.mask), image.shape[:2], options.mask_feather)
    mixed = lab.blend(image, result, strength=strength, keep_colors=options.keep_colors, keep_luminance=options.keep_luminance, where=where)
    if alpha is None:
        return mixed
    return np.dstack([np.where(alpha[..., None] == 0, image, mixed), alpha])


def blend_weight(options: Restyle) -> float:
    """Return the weight of the translation in the blend in Lab.

    With strength in features the blocks of the network act with that strength themselves; as the network was never trained to
    give back its photo without them, the blend follows along a curve that is 0 at 0, full at 1 and high from the middle on.
    """
    strength = options.strength
    return strength if options.strength_space == "lab" else 1 - (1 - strength) ** 3


def network_part(options: Restyle) -> Restyle:
    """Return only what the networks' work depends on, with everything that :func:`finish` does at its default.

    Two recipes with equal network parts share the slow part of the work.
    """
    plain = Restyle()
    in_features = options.strength_space == "features" and options.strength < 1
    return replace(
        options,
        strength=options.strength if in_features else 1.0,
        strength_space="features" if in_features else "lab",
        keep_colors=plain.keep_colors,
        keep_luminance=plain.keep_luminance,
        mask=plain.mask,
        mask_feather=plain.mask_feather,
    )


def mix(results: Sequence[tuple[Image, float]]) -> Image:
    """Mix several translations of one photo by weight, in Lab; the weights need not sum to 1.

    Args:
        results: Pictures ``[H, W, 3]`` of one size, each with a weight of at least 0, not all 0.
    """
    total = sum(weight for _, weight in results)
    mixed, so_far = results[0][0], results[0][1]
    for image, weight in results[1:]:
        so_far += weight
        mixed = lab.blend(mixed, image, strength=weight / so_far if so_far else 0.0, keep_colors=False)
    assert total > 0, "checked by whoever reads the weights"
    return mixed
