"""The studio's own format: safetensors with ``{family, config, card}`` as JSON in the header."""

from __future__ import annotations

import json
from typing import Any

from studio.checkpoints.assemble import Draft
from studio.checkpoints.card import ModelCard
from studio.checkpoints.contents import Contents
from studio.checkpoints.tensors import HEADER
from studio.errors import DamagedFileError

FORMAT = "studio"


def read(contents: Contents) -> Draft | None:
    """Read a file that :func:`studio.checkpoints.save` wrote."""
    text = contents.metadata.get(HEADER)
    if contents.container != "safetensors" or text is None:
        return None
    header = _parse(text)
    family, config = header.get("family"), header.get("config")
    if not isinstance(family, str) or not isinstance(config, dict):
        return None
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


def _parse(text: str) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError("is damaged: its studio header cannot be read.", detail=str(error)) from error
    if not isinstance(header, dict):
        raise DamagedFileError("is damaged: its studio header makes no sense.")
    return header
