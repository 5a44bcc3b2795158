"""Write pictures: PNG, JPEG and WebP with the recipe and the mark of origin, whole or not at all."""

from __future__ import annotations

import io
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from studio.errors import MediaError
from studio.media.colors import from_srgb
from studio.media.containers import insert_jpeg_segments, jpeg_segments
from studio.media.files import atomic_write, hash_bytes
from studio.media.marks import (
    RECIPE_KEYWORD,
    XMP_KEYWORD,
    recipe_text,
    summary,
    xmp_packet,
)
from studio.media.pixels import ImageArray, as_pillow
from studio.recipe import MAX_JSON_BYTES, Recipe

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
PNG_LEVEL = 1
"""zlib effort: level 1 takes a seventh of the time of Pillow's default for 17 % more bytes."""

_MAX_SIDE = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Saved:
    """What was written: where, the SHA-256 of the file, its length, and a sentence when the recipe had to stay out."""

    path: Path
    sha256: str
    size_bytes: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A finished file in memory; ``note`` says when the recipe had to stay out."""

    data: bytes
    note: str = ""


def write_image(
    path: str | os.PathLike[str],
    image: ImageArray,
    *,
    recipe: Recipe | None = None,
    alpha: ImageArray | None = None,
    icc: bytes | None = None,
    composite: bool = False,
    include_recipe: bool = True,
    quality: int = 95,
    lossless: bool = False,
) -> Saved:
    """Write a picture atomically, in the format that the suffix names (png, jpg, jpeg, webp).

    The arguments are those of :func:`encode_image`. An existing file is replaced only when the new one is whole.

    Raises:
        MediaError: Unknown suffix, a picture that the format cannot hold, a full disk, a folder without permission.
    """
    target = Path(path)
    encoded = encode_image(
        image,
        target.suffix,
        recipe=recipe,
        alpha=alpha,
        icc=icc,
        composite=composite,
        include_recipe=include_recipe,
        quality=quality,
        lossless=lossless,
    )
    with atomic_write(target) as file:
        file.write(encoded.data)
    return Saved(target, hash_bytes(encoded.data), len(encoded.data), encoded.note)


def encode_image(
    image: ImageArray,
    suffix: str = ".png",
    *,
    recipe: Recipe | None = None,
    alpha: ImageArray | None = None,
    icc: bytes | None = None,
    composite: bool = False,
    include_recipe: bool = True,
    quality: int = 95,
    lossless: bool = False,
) -> Encoded:
    """Make the bytes of a picture file, with the mark of origin and the recipe inside.

    Args:
        image: uint8 ``[H, W, 3]`` sRGB; ``[H, W]`` grey and ``[H, W, 4]`` with straight alpha are taken too.
        suffix: ``.png``, ``.jpg``, ``.jpeg`` or ``.webp``, in any letter case.
        recipe: How it was made. It says by itself whether a photo went in (``recipe.restyle``).
        alpha: uint8 ``[H, W]`` straight alpha; JPEG has no room for it.
        icc: An RGB profile to keep: the pixels are brought from sRGB into it, so that the colours look the same.
        composite: A person's own picture went in.
        include_recipe: False leaves the recipe out; the mark of origin always stays.
        quality: 1 to 100, for JPEG and lossy WebP.
        lossless: Lossless WebP, pixel for pixel (also under full transparency).

    Returns:
        The file, and a note when the recipe was too long to go in.

    Raises:
        MediaError: Unknown suffix, or a picture that the format cannot hold.
    """
    kind = suffix.lower()
    picture = _layers(image, alpha, kind)
    is_composite = composite or (recipe is not None and recipe.restyle is not None)
    text = recipe_text(recipe) if recipe is not None and include_recipe else None
    note = ""
    if recipe is not None and include_recipe and text is None:
        note = f"The picture was saved without its recipe, which is longer than {MAX_JSON_BYTES >> 10} KB."
        _log.warning(note)
    if icc:
        picture, is_kept = from_srgb(picture, icc)
        icc = icc if is_kept else None
    stream = io.BytesIO()
    if kind == ".png":
        info = _png_info(recipe, text, is_composite)
        picture.save(stream, "PNG", compress_level=PNG_LEVEL, pnginfo=info, icc_profile=icc)
        return Encoded(stream.getvalue(), note)
    if kind == ".webp":
        _save_webp(picture, stream, quality, lossless, icc_profile=icc, xmp=xmp_packet(composite=is_composite, recipe=text))
        return Encoded(stream.getvalue(), note)
    picture.save(stream, "JPEG", quality=quality, subsampling=0 if quality >= 90 else 2, icc_profile=icc)
    segments = jpeg_segments(composite=is_composite, recipe=text)
    return Encoded(insert_jpeg_segments(stream.getvalue(), segments), note)


def encode_jpeg(image: ImageArray, quality: int = 85) -> bytes:
    """Make a plain JPEG for the screen, without recipe or mark (under a millisecond at 512 x 512).

    Args:
        image: uint8 ``[H, W, 3]`` or ``[H, W]``.
        quality: 1 to 100.
    """
    stream = io.BytesIO()
    _layers(image, None, ".jpg").save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def encode_webp(image: ImageArray, quality: int = 80, *, lossless: bool = False) -> bytes:
    """Make a plain WebP for the screen, without recipe or mark; ``[H, W, 4]`` keeps its alpha."""
    stream = io.BytesIO()
    _save_webp(_layers(image, None, ".webp"), stream, quality, lossless, method=0 if not lossless else 1)
    return stream.getvalue()


def _layers(image: ImageArray, alpha: ImageArray | None, kind: str) -> Image.Image:
    """Join colour and alpha for Pillow, and check that the format can hold the result."""
    if kind not in SUFFIXES:
        raise MediaError(f"Pictures are saved as PNG, JPEG or WebP; {kind or 'no suffix'!r} is none of these. Use .png, .jpg or .webp.")
    picture = as_pillow(image)
    side = max(picture.size)
    if side > _MAX_SIDE.get(kind, 2**31 - 1):
        raise MediaError(f"A {kind[1:]} file holds at most {_MAX_SIDE[kind]} pixels a side; this picture has {side}. Save it as PNG.")
    if alpha is not None:
        if alpha.shape != image.shape[:2] or alpha.dtype != np.uint8:
            raise MediaError(f"alpha must be uint8 {list(image.shape[:2])}; it is {alpha.dtype} {list(alpha.shape)}.")
        picture = picture.convert("RGB")
        picture.putalpha(Image.fromarray(np.ascontiguousarray(alpha)))
    if picture.mode == "RGBA" and kind in (".jpg", ".jpeg"):
        raise MediaError("A JPEG cannot hold transparency. Save it as PNG or WebP, or lay it on a ground first.")
    return picture


def _png_info(recipe: Recipe | None, text: str | None, composite: bool) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    if text is not None and recipe is not None:
        info.add_itxt(RECIPE_KEYWORD, text)
        info.add_itxt("parameters", summary(recipe))
    info.add_itxt(XMP_KEYWORD, xmp_packet(composite=composite).decode())
    return info


def _save_webp(picture: Image.Image, stream: io.BytesIO, quality: int, lossless: bool, **options: Any) -> None:
    """Save as WebP; libwebp refuses what it cannot hold with a plain error."""
    settings = {"quality": 40, "exact": True} if lossless else {"quality": quality}
    picture.save(stream, "WEBP", lossless=lossless, **settings, **{key: value for key, value in options.items() if value is not None})
