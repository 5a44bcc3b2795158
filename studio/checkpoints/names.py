"""What an installed model may be called: a plain file name on every system, and nothing that leads out of its folder."""

from __future__ import annotations

import re
import unicodedata

from studio.errors import CheckpointError

MAX_NAME_BYTES = 120
RESERVED = frozenset(("con", "prn", "aux", "nul", *(f"com{digit}" for digit in range(1, 10)), *(f"lpt{digit}" for digit in range(1, 10))))
"""Names that Windows keeps for devices, with any suffix."""
FORBIDDEN = '<>:"|?*/\\'


def clean_name(text: str) -> str:
    """Make a model's name out of any file name; it never fails."""
    last = re.split(r"[/\\]", text)[-1]
    stem = re.sub(r"\.(pkl|pickle|pt|pth|ckpt|bin|tar|safetensors|onnx)$", "", last, flags=re.IGNORECASE)
    kept = "".join(c for c in unicodedata.normalize("NFC", stem) if _is_plain(c) and c not in FORBIDDEN)
    kept = _cut(kept.strip(" ."), MAX_NAME_BYTES).strip(" .")
    if not kept:
        return "model"
    return f"model-{kept}" if is_reserved(kept) else kept


def check_name(text: str) -> str:
    """Return a name that the user chose, unchanged.

    Raises:
        CheckpointError: It cannot be a file name everywhere; what is wrong is said.
    """
    if not text.strip(" .") or text != text.strip(" ."):
        raise CheckpointError(f"{text!r} cannot be a model's name: it is empty, or starts or ends with a space or dot.")
    bad = next((c for c in text if c in FORBIDDEN or not _is_plain(c)), None)
    if bad is not None:
        raise CheckpointError(f"{ascii(text)[:80]} cannot be a model's name: the character {bad!a} is not allowed.")
    if len(text.encode("utf-8")) > MAX_NAME_BYTES:
        raise CheckpointError(f"{text[:20]}… cannot be a model's name: it is longer than {MAX_NAME_BYTES} bytes.")
    if is_reserved(text):
        raise CheckpointError(f"{text!r} cannot be a model's name: Windows keeps it for a device.")
    return text


def is_reserved(name: str) -> bool:
    """Tell whether Windows would take the name for a device."""
    return name.split(".")[0].strip().lower() in RESERVED


def numbered(name: str, attempt: int) -> str:
    """Return the name itself for attempt 1, then ``name-2``, ``name-3`` ..."""
    if attempt == 1:
        return name
    tail = f"-{attempt}"
    return _cut(name, MAX_NAME_BYTES - len(tail)) + tail


def _is_plain(character: str) -> bool:
    """Tell printable characters from controls, surrogates and marks that turn the reading direction."""
    return unicodedata.category(character)[0] != "C"


def _cut(text: str, size: int) -> str:
    return text.encode("utf-8", "ignore")[:size].decode("utf-8", "ignore")
