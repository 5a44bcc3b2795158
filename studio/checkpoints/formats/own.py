"""The studio's own format: safetensors with ``{family, config, card}`` as JSON in the header."""

from __future__ import annotations

from studio.checkpoints.card import ModelCard
from studio.checkpoints.contents import Contents
from studio.checkpoints.draft import Draft
from studio.checkpoints.safetensors_io import HEADER, parse_own_header
from studio.errors import UnknownModelError

FORMAT = "studio"


def read(contents: Contents) -> Draft | None:
    """Read a file that :func:`studio.checkpoints.save` wrote."""
    text = contents.metadata.get(HEADER)
    if contents.container != "safetensors" or text is None:
        return None
    header = parse_own_header(text)
    family, config = header.get("family"), header.get("config")
    if not isinstance(family, str) or not isinstance(config, dict):
        return None
    if family.endswith(("-discriminator", "patchgan")):
        raise UnknownModelError("is a discriminator, which makes no pictures. Open the generator that it was trained with.")
    card = ModelCard.from_json(header.get("card", {}))
    return Draft(
        format="a model of this studio",
        family=family,
        config=config,
        weights=dict(contents.value),
        licence=card.licence,
        origin=card.origin,
        notes=list(card.notes),
        card=card,
    )
