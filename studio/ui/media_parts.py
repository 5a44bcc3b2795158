"""Large files for the page, part by part: sounds to play, films to look at. A page asks for them through its session, never by path."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from studio.errors import StudioError
from studio.ui.context import Answer
from studio.ui.payloads import Fields, Payload

PART_BYTES = 3 * 2**20
MIME = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".apng": "image/apng",
    ".png": "image/png",
    ".zip": "application/zip",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
}


@dataclass(frozen=True, slots=True)
class PartRequest(Payload):
    """A part of something that the session may have, from a byte on."""

    id: str
    offset: int

    @classmethod
    def read(cls, fields: Fields) -> PartRequest:
        """Build the request from checked entries."""
        offset = fields.integer("offset", low=0, high=2**40, default=0)
        return cls(token=fields.identifier("token"), id=fields.text("id", longest=400), offset=offset)


def part(path: Path, offset: int) -> Answer:
    """Return some bytes of a file (base64), how many there are in all, and what it is.

    Raises:
        StudioError: The file is gone.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(PART_BYTES)
        size = path.stat().st_size
    except OSError as error:
        raise StudioError("The file is not there any more.") from error
    mime = MIME.get(path.suffix.lower(), "application/octet-stream")
    return {"data": base64.b64encode(data).decode("ascii"), "next": offset + len(data), "size": size, "mime": mime}
