"""The model formats, one module each. To add one: write ``read(contents) -> Draft | None`` and name it in ``READERS``.

A reader returns None for "not my format", so that the next one tries, and raises for "my format, but broken".
"""

from __future__ import annotations

from collections.abc import Callable

from studio.checkpoints.contents import Contents
from studio.checkpoints.draft import Draft
from studio.checkpoints.formats import compact, esrgan, junyanz, multistyle, nvidia2, nvidia3, own, rosinality, tensorflow, unsupported

Reader = Callable[[Contents], Draft | None]

READERS: tuple[Reader, ...] = (
    own.read,
    nvidia3.read,
    nvidia2.read,
    tensorflow.read,
    rosinality.read,
    junyanz.read,
    esrgan.read,
    compact.read,
    multistyle.read,
    unsupported.read,
)
"""In the order in which they are asked; the last one only explains."""


def recognise(contents: Contents) -> Draft:
    """Ask every format in turn.

    Raises:
        StudioError: The file is one of ours but broken, or none of them; then what it holds is said.
    """
    for read in READERS:
        draft = read(contents)
        if draft is not None:
            return draft
    raise unsupported.unknown(contents)
