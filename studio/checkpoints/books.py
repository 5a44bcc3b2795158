"""Which installed book of painting styles has the styles that somebody names. This does *not* open a book."""

from __future__ import annotations

from collections.abc import Sequence

from studio.checkpoints.library import Library, ModelEntry
from studio.errors import StudioError

BOOK_FAMILY = "style-transfer"


def books(library: Library) -> list[ModelEntry]:
    """List the installed books of painting styles."""
    return [entry for entry in library.list() if entry.card.family == BOOK_FAMILY]


def find_book(library: Library, styles: Sequence[str]) -> ModelEntry:
    """Find a book that has all of these styles: one that is called like a style before a shipped one, that before any other.

    Raises:
        StudioError: No book has one of them, or none has them all together.
    """
    found = books(library)
    fitting = [entry for entry in found if set(styles) <= set(entry.card.classes)]
    if fitting:
        return min(fitting, key=lambda entry: (entry.name not in styles, not entry.shipped, entry.name))
    known = {name for entry in found for name in entry.card.classes}
    missing = [name for name in styles if name not in known]
    if missing:
        raise StudioError(f"No book of styles has {missing[0]!r}. See what there is: studio styles")
    places = [next(entry.name for entry in found if name in entry.card.classes) for name in styles]
    raise StudioError(
        f"{' and '.join(dict.fromkeys(styles))} are in different books ({', '.join(dict.fromkeys(places))}), and only styles of one book "
        f"blend. Learn one of them into the book of the other: studio train style ... --start-from {places[0]}"
    )
