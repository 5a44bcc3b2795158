"""Read a picture of any common kind into plain sRGB pixels, or say in one sentence why not.

Only PNG, JPEG, WebP, GIF, TIFF and BMP are opened, told by content. The size in the header is checked before a pixel
is decoded. What sixteen bits, palettes, profiles or rotations need is done here once, so that no other module knows.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageOps, UnidentifiedImageError

from studio.errors import MediaError
from studio.media.colors import to_rgb
from studio.media.containers import read_metadata, strip_png_text
from studio.media.files import explained, hash_bytes, read_regular, safe_name
from studio.media.marks import Marks, parse_recipe
from studio.media.pixels import ImageArray
from studio.recipe import Recipe

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP")
MAX_PIXELS = 64_000_000
MAX_FILE_BYTES = 512 << 20

UNUSABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    AttributeError,
    OverflowError,
    struct.error,
    zlib.error,
)
"""What Pillow raises on damaged files."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture as read: upright, sRGB, 8 bits.

    Attributes:
        image: uint8 ``[H, W, 3]``; colours under full transparency are as in the file.
        alpha: uint8 ``[H, W]`` straight alpha, or None when every pixel is opaque by format.
        recipe: How the studio made it, when the file says so and it is sound.
        recipe_error: Why the recipe in the file is unusable, in one sentence; the picture is fine all the same.
        icc: The file's own colour profile, for :func:`studio.media.write_image`.
        name: File name without folders.
        sha256: Of the file's bytes.
        format: One of :data:`FORMATS`.
        n_frames: Frames of an animation, pages of a document; ``image`` is the first.
        marks: Statements of origin that the file carries.
        notes: What was done to it or lost, each one sentence to be shown.
    """

    image: ImageArray
    alpha: ImageArray | None = None
    recipe: Recipe | None = None
    recipe_error: str = ""
    icc: bytes | None = None
    name: str = ""
    sha256: str = ""
    format: str = ""
    n_frames: int = 1
    marks: Marks = field(default_factory=Marks)
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Give the width in pixels."""
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        """Give the height in pixels."""
        return int(self.image.shape[0])


@dataclass(frozen=True, slots=True)
class Header:
    """What :func:`inspect_image` learns of a file without decoding its pixels; see :class:`Picture` for the fields.

    Width and height are those of the upright picture.
    """

    width: int
    height: int
    format: str
    name: str
    sha256: str
    recipe: Recipe | None = None
    recipe_error: str = ""
    marks: Marks = field(default_factory=Marks)


def read_image(source: str | os.PathLike[str] | bytes | BinaryIO, *, max_pixels: float = MAX_PIXELS, name: str = "") -> Picture:
    """Read a picture into upright 8-bit sRGB, whatever its kind.

    Args:
        source: A path, the bytes, or an open binary file (read from where it stands).
        max_pixels: Refuse larger pictures before decoding (Pillow's own limit of 178 million stays above it).
        name: What to call it in messages, when ``source`` has no name.

    Returns:
        The picture with everything the file told. A damaged recipe in it never stops the picture.

    Raises:
        MediaError: It is missing, not a picture of a known kind, damaged, or too large; the message names it.
    """
    data, label = _take(source, name)
    found = read_metadata(data)
    recipe, recipe_error = parse_recipe(found.recipe_text)
    with _refusals(label), _opened(data, label, max_pixels) as file:
        kind = "JPEG" if file.format == "MPO" else str(file.format)
        file.load()
        n_frames = 1 if file.format == "MPO" else _count_frames(data, file)
        image, alpha, notes = to_rgb(_upright(file), file.info.get("icc_profile"))
    if image.shape[0] * image.shape[1] > max_pixels:
        raise _too_large(label, image.shape[1], image.shape[0], max_pixels)
    if kind == "PNG" and data[24] == 16 and not notes:
        notes = ("It has 16 bits per channel; they were reduced to 8.",)
    if n_frames > 1:
        notes = (*notes, f"It has {n_frames} frames; this is the first.")
    icc = file.info.get("icc_profile") or None
    notes = (*notes, found.marks.note) if found.marks.note else notes
    return Picture(
        image,
        alpha,
        recipe,
        recipe_error,
        icc,
        name=label,
        sha256=hash_bytes(data),
        format=kind,
        n_frames=n_frames,
        marks=found.marks,
        notes=notes,
    )


def inspect_image(source: str | os.PathLike[str] | bytes | BinaryIO, *, name: str = "") -> Header:
    """Read size, recipe and marks of a picture without decoding it (about a millisecond per megabyte of file).

    Raises:
        MediaError: As in :func:`read_image`, except that damage among the pixels goes unseen.
    """
    data, label = _take(source, name)
    found = read_metadata(data)
    recipe, recipe_error = parse_recipe(found.recipe_text)
    with _refusals(label), _opened(data, label, float("inf")) as file:
        width, height = file.size
        if file.format != "TIFF" and _orientation(file) in (5, 6, 7, 8):
            width, height = height, width
        kind = "JPEG" if file.format == "MPO" else str(file.format)
    return Header(width, height, kind, label, hash_bytes(data), recipe, recipe_error, found.marks)


def _take(source: str | os.PathLike[str] | bytes | BinaryIO, name: str) -> tuple[bytes, str]:
    """Get the bytes and a name for messages, within the size limit."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        data, label = bytes(source), name or "the picture"
    elif isinstance(source, (str, os.PathLike)):
        label = name or Path(source).name
        data = read_regular(source, MAX_FILE_BYTES)
    else:
        label = name or Path(str(getattr(source, "name", "") or "the picture")).name
        with explained(Path(label)):
            data = source.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise MediaError(f"{label} is larger than {MAX_FILE_BYTES >> 20} MB, the most that is opened.")
    return data, safe_name(label, "the picture")


@contextlib.contextmanager
def _refusals(label: str) -> Iterator[None]:
    """Turn everything that a damaged picture makes Pillow raise into one sentence, and keep its warnings quiet."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            yield
    except MediaError:
        raise
    except Image.DecompressionBombError as error:
        raise MediaError(f"{label} has more than 178 million pixels, more than can be opened. Make it smaller first.") from error
    except MemoryError as error:
        raise MediaError(f"{label}: not enough memory to open it. Close other programs or make it smaller.") from error
    except UNUSABLE as error:
        raise MediaError(f"{label} is damaged or cut short. Save or download it again.", detail=repr(error)) from error


@contextlib.contextmanager
def _opened(data: bytes, label: str, max_pixels: float) -> Iterator[Image.Image]:
    """Open the header with Pillow and check the size that it claims."""
    if not data:
        raise MediaError(f"{label} is empty. Save or download it again.")
    stream = io.BytesIO(strip_png_text(data) if data.startswith(b"\x89PNG") else data)
    try:
        file = Image.open(stream, formats=FORMATS)
    except UnidentifiedImageError as error:
        raise MediaError(_not_a_picture(data, label)) from error
    with file:
        if file.width * file.height > max_pixels:
            raise _too_large(label, file.width, file.height, max_pixels)
        yield file


def _too_large(label: str, width: int, height: int, max_pixels: float) -> MediaError:
    return MediaError(
        f"{label} has {width} x {height} pixels ({width * height / 1e6:.0f} million); the most is {max_pixels / 1e6:.0f} million. "
        "Make it smaller first."
    )


def _not_a_picture(data: bytes, label: str) -> str:
    """Say what the file is instead."""
    head, text = data[:64], data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    if brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"):
        kind = "AVIF" if brand.startswith(b"avi") else "HEIC"
        return f"{label} is a {kind} picture, which cannot be opened here. Save it as JPEG or PNG."
    if text.startswith(b"<svg") or (text.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in data[:4096].lower()):
        return f"{label} is an SVG drawing, which has no pixels. Export it as PNG."
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return f"{label} is a web page, not a picture. Download the picture itself."
    if text.startswith(b"version https://git-lfs"):
        return f"{label} is a Git LFS pointer, not the picture. Fetch the real file."
    known = (
        (b"%PDF", "a PDF document"),
        (b"8BPS", "a Photoshop file"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\xff\x0a", "a JPEG XL picture"),
    )
    kind = next((words for magic, words in known if head.startswith(magic)), "a film" if brand else "")
    if kind:
        return f"{label} is {kind}, which cannot be opened here as a picture. Save it as JPEG or PNG."
    if head.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")):
        return f"{label} is damaged or cut short. Save or download it again."
    return f"{label} is not a picture that can be opened. Use PNG, JPEG, WebP, GIF, TIFF or BMP."


def _count_frames(data: bytes, file: Image.Image) -> int:
    """Count frames in a second reader, so that the first frame stays loaded."""
    if not getattr(file, "is_animated", False):
        return 1
    try:
        with Image.open(io.BytesIO(data), formats=[str(file.format)]) as counter:
            return int(getattr(counter, "n_frames", 1))
    except UNUSABLE:
        return 1


def _orientation(file: Image.Image) -> int:
    try:
        return int(file.getexif().get(0x0112, 1))
    except UNUSABLE:
        return 1


def _upright(file: Image.Image) -> Image.Image:
    """Turn the picture as its EXIF says; a damaged EXIF block turns nothing."""
    try:
        return ImageOps.exif_transpose(file)
    except UNUSABLE:
        return file.copy()
