"""Where films keep their recipe and mark of origin: an XMP box in MP4 and MOV, tags in WebM, an extension in GIF.

The box is that of the XMP specification part 3 (2016), section 2.4 (a top-level ``uuid`` box); GIF's application extension is
in section 1.1.2. Everything read is untrusted: sizes are capped, the number of steps has an end, nothing is parsed as XML.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path

from studio.media.marks import COMPOSITE, GENERATED, MAX_TEXT_BYTES, SOURCE_TYPES, Found, Marks, find_marks, find_recipe, xmp_packet

_XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_MAX_BOXES = 10_000


def mp4_box(*, composite: bool, recipe: str | None) -> bytes:
    """Build the box that is appended to an MP4 or MOV file: XMP with the mark and the recipe."""
    packet = xmp_packet(composite=composite, recipe=recipe)
    return struct.pack(">I4s", 24 + len(packet), b"uuid") + _XMP_BOX + packet


def film_tags(*, composite: bool, recipe: str | None, summary: str) -> dict[str, str]:
    """Build the tags of a WebM film, and the comment that players show for every kind."""
    tags = {"comment": summary} if summary else {}
    tags["DIGITAL_SOURCE_TYPE"] = SOURCE_TYPES + (COMPOSITE if composite else GENERATED)
    if recipe is not None:
        tags["STUDIO"] = recipe
    return tags


def find_film_marks(path: str | os.PathLike[str], tags: Mapping[str, str]) -> Found:
    """Find recipe and marks of a film: in its tags, and in the boxes of an MP4 or MOV file."""
    named = {key.lower(): value for key, value in tags.items()}
    packet, has_c2pa = _read_boxes(Path(path))
    recipe = find_recipe(packet)
    text = named.get("studio")
    if recipe is None and text is not None and len(text) <= MAX_TEXT_BYTES:
        recipe = text.encode("utf-8", "replace")
    marks = find_marks(packet or named.get("digital_source_type", "")[:200].encode(), has_c2pa=has_c2pa)
    return Found(recipe, marks if packet else Marks(marks.digital_source_type, has_c2pa=has_c2pa))


def _read_boxes(path: Path) -> tuple[bytes, bool]:
    """Give the XMP packet at the top level of an MP4 file, and whether there is a C2PA box; nothing for other files."""
    packet, has_c2pa, position = b"", False, 0
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        for _ in range(_MAX_BOXES):
            file.seek(position)
            head = file.read(32)
            if len(head) < 8 or (position == 0 and head[4:8] not in (b"ftyp", b"wide", b"mdat", b"moov", b"free", b"skip")):
                break
            length, start = int.from_bytes(head[:4], "big"), 8
            if length == 1:
                length, start = int.from_bytes(head[8:16], "big"), 16
            length = size - position if length == 0 else length
            if length < start:
                break
            kind = head[start : start + 16] if head[4:8] == b"uuid" else b""
            if kind == _XMP_BOX and not packet:
                file.seek(position + start + 16)
                packet = file.read(min(length - start - 16, MAX_TEXT_BYTES))
            has_c2pa = has_c2pa or kind == _C2PA_BOX
            position += length
    return packet, has_c2pa
