"""The style layers of a generator in words: coarse, middle and fine, or their numbers.

This is *not* where layers are mixed (``mixing.py``).
"""

from __future__ import annotations

from studio.errors import RecipeError
from studio.models.common import LatentGenerator

GROUPS = ("coarse", "middle", "fine")
"""Names of the layer groups, from pose and composition to colour and texture."""

COARSE_UP_TO = 8
MIDDLE_UP_TO = 32


def layer_groups(G: LatentGenerator) -> dict[str, list[int]]:
    """Split the style layers by the resolution they act at: coarse 4-8, middle 16-32, fine 64 and more.

    A network without layers at 8 px or below (StyleGAN3 starts at 16) is split into thirds instead.

    Returns:
        ``{"coarse": [...], "middle": [...], "fine": [...]}``; every layer is in exactly one group.
    """
    groups: dict[str, list[int]] = {name: [] for name in GROUPS}
    resolutions = G.layer_resolutions
    by_size = min(resolutions) <= COARSE_UP_TO
    for layer, resolution in enumerate(resolutions):
        if by_size:
            place = 0 if resolution <= COARSE_UP_TO else 1 if resolution <= MIDDLE_UP_TO else 2
        else:
            place = layer * len(GROUPS) // len(resolutions)
        groups[GROUPS[place]].append(layer)
    return groups


def layer_weights(G: LatentGenerator, text: str) -> tuple[float, ...]:
    """Read layers from words and numbers, e.g. ``coarse``, ``0-3,5`` or ``middle,9:0.5``, as one weight per layer.

    Returns:
        ``num_ws`` weights: 1 (or the number after the colon) for the named layers, 0 elsewhere.

    Raises:
        RecipeError: A word that is no group, or a layer that the model does not have.
    """
    groups = layer_groups(G)
    weights = [0.0] * G.num_ws
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, amount = part.partition(":")
        try:
            first, _, last = name.partition("-")
            layers = groups[name] if name in groups else list(range(int(first), int(last or first) + 1))
            weight = float(amount) if amount else 1.0
        except ValueError as error:
            raise RecipeError(f"layers={part!r} is not understood. Use {', '.join(GROUPS)}, or numbers such as 0-3,5.") from error
        if any(not 0 <= layer < G.num_ws for layer in layers):
            raise RecipeError(f"layers={part} is too high: this model has {G.num_ws} style layers (num_ws). Use 0 to {G.num_ws - 1}.")
        if not 0 <= weight <= 1:
            raise RecipeError(f"layers={part} has a weight outside 0 to 1. Use 0 for none of the other style, 1 for all of it.")
        for layer in layers:
            weights[layer] = weight
    return tuple(weights)
