"""What a line in the search box means: ``model:pomona seed:42 tag:blue words``, as a condition in SQL."""

from __future__ import annotations

import re

from studio.gallery.folder import clean

_WORD = re.compile(r'(?:(?P<key>[a-z]+):)?(?:"(?P<quoted>[^"]*)"|(?P<plain>\S+))', re.IGNORECASE)
_KEYS = ("model:", "seed:", "tag:", "is:")
_MAX_WORDS = 20
_IS = {"starred": "starred", "film": "seconds > 0", "picture": "seconds = 0"}


def condition(query: str, starred: bool) -> tuple[str, list[str]]:
    """Turn ``model:pomona seed:42 tag:blue words`` into SQL: every part must hold."""
    parts: list[str] = ["present", "readable"]
    values: list[str] = []
    if starred:
        parts.append("starred")
    for match in list(_WORD.finditer(clean(query).casefold()))[:_MAX_WORDS]:
        key, text = match["key"], match["quoted"] if match["quoted"] is not None else match["plain"]
        if not key and text in _KEYS:
            continue
        pattern = re.sub(r"([\\%_])", r"\\\1", text)
        if key == "seed":
            parts.append(r"' ' || seeds || ' ' LIKE ? ESCAPE '\'")
            values.append(f"% {pattern} %")
        elif key == "tag":
            parts.append(r"tags LIKE ? ESCAPE '\'")
            values.append(f"%|{pattern}%")
        elif key == "model":
            parts.append(r"words LIKE ? ESCAPE '\' AND casefold(model) LIKE ? ESCAPE '\'")
            values += [f"%{pattern}%"] * 2
        elif key == "is" and text in _IS:
            parts.append(_IS[text])
        else:
            parts.append(r"(words LIKE ? ESCAPE '\' OR tags LIKE ? ESCAPE '\')")
            values += [f"%{key}:{pattern}%" if key else f"%{pattern}%"] * 2
    return " AND ".join(parts), values


def split_tags(text: str) -> tuple[str, ...]:
    """Take tags apart as the index keeps them: ``|blue|deep sea|``."""
    return tuple(filter(None, text.split("|")))
