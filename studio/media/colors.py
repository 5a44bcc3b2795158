"""Colours: any Pillow mode, depth and ICC profile to 8-bit sRGB with straight alpha, and back into a profile."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from studio.media.pixels import ImageArray

MAX_PROFILE_BYTES = 4 << 20


def to_rgb(picture: Image.Image, profile: bytes | None) -> tuple[ImageArray, ImageArray | None, tuple[str, ...]]:
    """Bring any Pillow mode to RGB and straight alpha, as arrays that may be written to."""
    notes: list[str] = []
    if picture.mode.startswith(("I", "F")):
        picture = to_eight_bits(picture)
        notes.append("It has more than 8 bits per channel; they were reduced to 8.")
    picture = _common_mode(picture)
    if profile:
        picture, note = to_srgb(picture, profile)
        notes.append(note)
    elif picture.mode == "CMYK":
        notes.append("It is CMYK without a colour profile; its colours are approximate.")
    if picture.mode == "LAB":
        picture = lab_to_srgb(picture)
    if picture.mode in ("RGBA", "LA"):
        pixels = np.asarray(picture.convert("RGBA"))
        return pixels[..., :3].copy(), pixels[..., 3].copy(), tuple(filter(None, notes))
    return np.array(picture if picture.mode == "RGB" else picture.convert("RGB")), None, tuple(filter(None, notes))


def _common_mode(picture: Image.Image) -> Image.Image:
    """Reduce palettes, bilevel and rare modes to L, LA, RGB, RGBA, CMYK or LAB."""
    if picture.has_transparency_data and picture.mode not in ("RGBA", "LA"):
        return picture.convert("RGBA")
    if picture.mode == "1":
        return picture.convert("L")
    if picture.mode in ("L", "LA", "RGB", "RGBA", "CMYK", "LAB"):
        return picture
    return picture.convert("RGB")


def to_eight_bits(picture: Image.Image) -> Image.Image:
    """Scale 16-bit, 32-bit and floating-point greys to 8 bits (Pillow alone would clip them to white).

    Integers are taken as 8, 16 or 32 bits by their largest value; floats as 0..1, or stretched from their darkest to
    their brightest value when they leave that range.
    """
    if picture.mode.startswith("I;16"):
        values = np.asarray(picture).astype(np.uint32)
        scaled = ((values + 128) // 257).astype(np.uint8)
        transparent = picture.info.get("transparency")
        result = Image.fromarray(scaled)
        if isinstance(transparent, int):
            result.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
        return result
    numbers = np.nan_to_num(np.asarray(picture, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = min(0.0, float(numbers.min())), float(numbers.max())
    if picture.mode == "F":
        high = 1.0 if low == 0.0 and high <= 1.0 else high
    else:
        high = next(top for top in (255.0, 65535.0, max(high, 65536.0)) if high <= top)
    numbers = (numbers - low) * (255.0 / max(high - low, 1e-30))
    return Image.fromarray(np.clip(numbers + 0.5, 0.0, 255.0).astype(np.uint8))


def to_srgb(picture: Image.Image, profile: bytes) -> tuple[Image.Image, str]:
    """Bring a Pillow picture from its ICC profile to sRGB.

    Args:
        picture: Mode L, RGB, RGBA, CMYK or LAB; alpha is kept.
        profile: The bytes of the ICC profile.

    Returns:
        The picture in RGB (or RGBA), and an empty text, or the unchanged picture and the sentence why not.
    """
    try:
        source = _open_profile(profile)
        if picture.mode != "CMYK" and _is_srgb(source):
            return picture, ""
        alpha = picture.getchannel("A") if picture.mode in ("RGBA", "LA") else None
        opaque = picture.convert(picture.mode[:-1]) if alpha is not None else picture
        converted = ImageCms.profileToProfile(opaque, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture, "The colour profile could not be used; the colours are read as sRGB."
    assert converted is not None
    if alpha is not None:
        converted.putalpha(alpha)
    return converted, ""


def lab_to_srgb(picture: Image.Image) -> Image.Image:
    """Bring a Pillow picture in CIELAB (some TIFF files) to sRGB."""
    converted = ImageCms.profileToProfile(picture, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert converted is not None
    return converted


def from_srgb(picture: Image.Image, profile: bytes) -> tuple[Image.Image, bool]:
    """Bring an sRGB Pillow picture (RGB or RGBA) into an RGB profile; tell whether that was possible."""
    try:
        target = _open_profile(profile)
        if str(target.profile.xcolor_space).strip() != "RGB":
            return picture, False
        if _is_srgb(target):
            return picture, True
        alpha = picture.getchannel("A") if picture.mode == "RGBA" else None
        converted = ImageCms.profileToProfile(picture.convert("RGB"), ImageCms.createProfile("sRGB"), target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture, False
    assert converted is not None
    if alpha is not None:
        converted.putalpha(alpha)
    return converted, True


def _open_profile(profile: bytes) -> Any:
    if len(profile) > MAX_PROFILE_BYTES:
        raise ValueError("the profile is too long")
    return ImageCms.getOpenProfile(io.BytesIO(profile))


def _is_srgb(profile: Any) -> bool:
    """Tell whether a profile is sRGB in all but name, so that its pixels are left exactly as they are."""
    description = (profile.profile.profile_description or "").lower()
    return "srgb" in description and "linear" not in description
