"""Where PNG, JPEG, WebP and GIF keep their metadata: finding it, putting it in, taking out what is damaged.

Extended XMP in JPEG is as in the XMP specification part 3 (2016), section 1.1.3.1. No pixel is decoded here.
Lengths in a file are untrusted: every step is checked against the data, and the number of steps has an end.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator

from studio.media.marks import MAX_TEXT_BYTES, RECIPE_KEYWORD, XMP_KEYWORD, Found, find_marks, find_recipe, wrap_xmp, xmp_packet

_XMP_SEGMENT = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENSION_SEGMENT = b"http://ns.adobe.com/xmp/extension/\0"
_GIF_XMP = b"\x21\xff\x0bXMP DataXMP"
_SEGMENT_ROOM = 65_000
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_PARTS = 200_000
_TEXT_CHUNKS = {b"tEXt", b"zTXt", b"iTXt"}


def jpeg_segments(*, composite: bool, recipe: str | None) -> bytes:
    """Build the APP1 segments of a JPEG: one XMP packet, and extended XMP when the recipe needs more room."""
    packet = xmp_packet(composite=composite, recipe=recipe)
    if len(packet) <= _SEGMENT_ROOM:
        return _app1(_XMP_SEGMENT + packet)
    extension = wrap_xmp("", recipe)
    guid = hashlib.md5(extension, usedforsecurity=False).hexdigest().upper()
    segments = [_app1(_XMP_SEGMENT + xmp_packet(composite=composite, extended=guid))]
    for offset in range(0, len(extension), _SEGMENT_ROOM):
        head = guid.encode() + struct.pack(">II", len(extension), offset)
        segments.append(_app1(_EXTENSION_SEGMENT + head + extension[offset : offset + _SEGMENT_ROOM]))
    return b"".join(segments)


def insert_jpeg_segments(jpeg: bytes, segments: bytes) -> bytes:
    """Put segments into a JPEG, after its start and JFIF header."""
    position = 2
    if jpeg[2:4] == b"\xff\xe0":
        position = 4 + int.from_bytes(jpeg[4:6], "big")
    return jpeg[:position] + segments + jpeg[position:]


def read_metadata(data: bytes) -> Found:
    """Find recipe and marks in the bytes of a PNG, JPEG, WebP or GIF file; anything else, or damaged, gives nothing."""
    if data.startswith(_PNG_SIGNATURE):
        return _read_png(data)
    if data.startswith(b"\xff\xd8"):
        return _read_jpeg(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _read_webp(data)
    if data.startswith((b"GIF87a", b"GIF89a")):
        return _read_gif(data)
    return Found()


def gif_blocks(*, composite: bool, recipe: str | None, comment: str = "") -> bytes:
    """Build the blocks that go before the last byte of a GIF: the XMP packet, and a comment that other viewers show."""
    trailer = bytes([1, *range(255, -1, -1), 0])
    blocks = _GIF_XMP + xmp_packet(composite=composite, recipe=recipe) + trailer
    text = comment.encode("ascii", "replace")[:255]
    return blocks + (b"\x21\xfe" + bytes([len(text)]) + text + b"\0" if text else b"")


def png_text_chunks(*, composite: bool, recipe: str | None, summary: str = "") -> bytes:
    """Build the iTXt chunks of a PNG that another library wrote: mark, recipe and a line for other viewers."""
    texts = {XMP_KEYWORD: xmp_packet(composite=composite)}
    if recipe is not None:
        texts |= {RECIPE_KEYWORD: recipe.encode(), "parameters": summary.encode()}
    chunks = []
    for keyword, text in texts.items():
        content = b"iTXt" + keyword.encode() + b"\0\0\0\0\0" + text
        chunks.append(struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content)))
    return b"".join(chunks)


def strip_png_text(data: bytes) -> bytes:
    """Drop the text chunks of a PNG, and other optional chunks that are damaged, so that they cannot block the picture."""
    kept = [_PNG_SIGNATURE]
    end = len(_PNG_SIGNATURE)
    for name, start, length in _png_chunks(data):
        end = start + length + 4
        is_optional = bool(name[0] & 0x20)
        if name in _TEXT_CHUNKS or (
            is_optional and zlib.crc32(data[start - 4 : start + length]) != int.from_bytes(data[end - 4 : end], "big")
        ):
            continue
        kept.append(data[start - 8 : end])
    return b"".join(kept) + data[end:]


def _read_png(data: bytes) -> Found:
    recipe, xmp, has_c2pa = None, b"", False
    for name, start, length in _png_chunks(data):
        if name == b"caBX":
            has_c2pa = True
        if name not in _TEXT_CHUNKS:
            continue
        keyword, text = _png_text(name, data[start : start + min(length, MAX_TEXT_BYTES)])
        if keyword == RECIPE_KEYWORD.encode() and recipe is None:
            recipe = text
        elif keyword == XMP_KEYWORD.encode() and not xmp:
            xmp = text or b""
    return Found(recipe if recipe is not None else find_recipe(xmp), find_marks(xmp, has_c2pa=has_c2pa))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Give name, start of content and length of each complete chunk."""
    position = len(_PNG_SIGNATURE)
    for _ in range(_MAX_PARTS):
        if position + 12 > len(data):
            return
        length = int.from_bytes(data[position : position + 4], "big")
        if position + 12 + length > len(data):
            return
        yield data[position + 4 : position + 8], position + 8, length
        position += 12 + length


def _png_text(name: bytes, content: bytes) -> tuple[bytes, bytes | None]:
    """Split a text chunk into keyword and UTF-8 text; the text is empty when it is too long or damaged."""
    keyword, _, rest = content.partition(b"\0")
    if name == b"tEXt":
        return keyword, rest.decode("latin-1").encode()
    if name == b"zTXt":
        return keyword, _inflate(rest[1:]).decode("latin-1").encode()
    is_compressed = rest[:1] == b"\1"
    text = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    return keyword, _inflate(text) if is_compressed else text


def _inflate(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, MAX_TEXT_BYTES)
    except zlib.error:
        return b""


def _read_jpeg(data: bytes) -> Found:
    xmp, extension, has_c2pa, has_iptc = b"", b"", False, False
    for marker, start, end in _jpeg_segments(data):
        content = data[start:end]
        if marker == 0xE1 and content.startswith(_XMP_SEGMENT):
            xmp = xmp or content[len(_XMP_SEGMENT) :]
        elif marker == 0xE1 and content.startswith(_EXTENSION_SEGMENT):
            extension += content[len(_EXTENSION_SEGMENT) + 40 :] if len(extension) < MAX_TEXT_BYTES else b""
        elif marker == 0xEB:
            has_c2pa = has_c2pa or b"c2pa" in content[:200]
        elif marker == 0xED:
            has_iptc = True
    recipe = find_recipe(xmp)
    return Found(recipe if recipe is not None else find_recipe(extension), find_marks(xmp, has_c2pa=has_c2pa, has_iptc=has_iptc))


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Give marker, start and end of the content of each segment before the pixels."""
    position = 2
    for _ in range(_MAX_PARTS):
        if position + 4 > len(data) or data[position] != 0xFF:
            return
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if marker in (0xDA, 0xD9) or length < 2:
            return
        yield marker, position + 4, position + 2 + length
        position += 2 + length


def _read_webp(data: bytes) -> Found:
    xmp, has_c2pa, position = b"", False, 12
    for _ in range(_MAX_PARTS):
        if position + 8 > len(data):
            break
        name, length = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        if name == b"XMP ":
            xmp = data[position + 8 : position + 8 + min(length, MAX_TEXT_BYTES)]
        has_c2pa = has_c2pa or name == b"C2PA"
        position += 8 + length + (length & 1)
    return Found(find_recipe(xmp), find_marks(xmp, has_c2pa=has_c2pa))


def _read_gif(data: bytes) -> Found:
    """Read the last XMP block; its packet is text up to the first byte that ends a run of GIF's sub-blocks."""
    place = data.rfind(_GIF_XMP)
    start = place + len(_GIF_XMP)
    packet = data[start : start + MAX_TEXT_BYTES].partition(b"\x01\xff\xfe")[0] if place >= 0 else b""
    return Found(find_recipe(packet), find_marks(packet, has_c2pa=False))


def _app1(content: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
