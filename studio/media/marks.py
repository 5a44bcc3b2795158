"""What travels in a picture file beside its pixels: the recipe, and the mark that a network made it.

The mark is IPTC's ``DigitalSourceType`` in an XMP packet (IPTC Photo Metadata Standard 2023.1; read by search engines).
PNG carries the recipe in an iTXt chunk ``studio``, JPEG and WebP in the XMP packet (JPEG: extended XMP when it is long,
Adobe XMP specification part 3, section 1.1.3). Nothing here decodes pixels. Everything read here is untrusted: sizes are
capped and the packet is searched with patterns, never given to an XML parser, so it cannot expand or fetch anything.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass

from studio._version import __version__
from studio.errors import RecipeError
from studio.recipe import MAX_JSON_BYTES, SEED_ROW_STEP, Latent, Recipe, from_json

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED = "trainedAlgorithmicMedia"
COMPOSITE = "compositeWithTrainedAlgorithmicMedia"
RECIPE_KEYWORD = "studio"
XMP_KEYWORD = "XML:com.adobe.xmp"
MAX_TEXT_BYTES = 2 * MAX_JSON_BYTES
"""Text read from one chunk or packet: room for a recipe with every letter escaped."""

_NAMESPACE = "urn:gan-art-studio:picture:1/"
_IPTC_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"


@dataclass(frozen=True, slots=True)
class Marks:
    """Which statements of origin a file already carries.

    ``digital_source_type`` is the last word of IPTC's address (such as ``trainedAlgorithmicMedia``), or empty.
    """

    digital_source_type: str = ""
    has_xmp: bool = False
    has_iptc: bool = False
    has_c2pa: bool = False

    @property
    def is_generated(self) -> bool:
        """Tell whether the file says that a network had a part in it."""
        return "algorithmicmedia" in self.digital_source_type.lower()

    @property
    def note(self) -> str:
        """Say what a changed picture cannot keep, in one sentence; empty when there is nothing to say."""
        if self.has_c2pa:
            return "The file carries content credentials (C2PA), which belong to the unchanged picture and are not copied."
        return ""


@dataclass(frozen=True, slots=True)
class Found:
    """What a file's metadata holds: the recipe's text as found (or None), and the marks."""

    recipe_text: bytes | None = None
    marks: Marks = Marks()


def parse_recipe(text: bytes | None) -> tuple[Recipe | None, str]:
    """Read an untrusted recipe; give it, or the sentence that says why it is unusable (both empty: there is none)."""
    if text is None:
        return None, ""
    try:
        return from_json(text), ""
    except RecipeError as error:
        return None, str(error)


def recipe_text(recipe: Recipe) -> str | None:
    """Write a recipe as ASCII JSON for a file; None when it is too long to be read back."""
    text = json.dumps(json.loads(recipe.to_json()), separators=(",", ":"))
    return text if len(text) <= MAX_JSON_BYTES else None


def summary(recipe: Recipe) -> str:
    """Describe a recipe in the one line that other viewers show (the ``parameters`` text of a PNG)."""
    seed = seed_of(recipe.latent)
    parts = [
        f"Seed: {seed}" if seed is not None else "",
        f"Truncation psi: {recipe.truncation.psi:g}",
        f"Model: {recipe.model.name}" if recipe.model.name else "",
        f"Model hash: {recipe.model.sha256[:10]}" if recipe.model.sha256 else "",
        f"Version: studio {recipe.studio or __version__}",
    ]
    return re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", " ", ", ".join(part for part in parts if part))


def seed_of(latent: Latent) -> int | None:
    """Give the integer seed at a place, or None where it lies between seeds or is kept in full."""
    seed = latent.x + SEED_ROW_STEP * latent.y
    is_seed = not latent.ws and latent.x.is_integer() and latent.y.is_integer() and 0 <= seed < 2**32
    return int(seed) if is_seed else None


def recipe_seeds(recipe: Recipe) -> tuple[int, ...]:
    """Give the integer seeds of a recipe, each once: its own place first, then what is blended and mixed in."""
    latents = [recipe.latent, *(blend.latent for blend in recipe.blends), *(mix.latent for mix in recipe.mixing)]
    return tuple(dict.fromkeys(seed for seed in map(seed_of, latents) if seed is not None))


def xmp_packet(*, composite: bool, recipe: str | None = None, extended: str = "") -> bytes:
    """Build the XMP packet with the mark, and with the recipe when it is given.

    Args:
        composite: A person's photo went in as well.
        recipe: ASCII JSON, or None.
        extended: GUID of the extended packet that holds the recipe instead, or empty.
    """
    extension = f' xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="{extended}"' if extended else ""
    body = (
        f' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="GAN art studio {__version__}"'
        f' xmlns:Iptc4xmpExt="{_IPTC_EXT}"'
        f' Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPES}{COMPOSITE if composite else GENERATED}"{extension}'
    )
    return wrap_xmp(body, recipe)


def wrap_xmp(attributes: str, recipe: str | None) -> bytes:
    """Wrap attributes and an optional recipe in the frame that every XMP packet has."""
    entry = "" if recipe is None else f'<studio:Recipe xmlns:studio="{_NAMESPACE}">{html.escape(recipe, quote=False)}</studio:Recipe>'
    text = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about=""{attributes}>{entry}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    )
    return text.encode()


def find_recipe(xmp: bytes) -> bytes | None:
    """Find our recipe in a packet, as an element or an attribute, under whatever prefix another tool gave it."""
    text = xmp.decode("utf-8", "replace")
    for prefix in re.findall(r"xmlns:([\w.-]{1,40})\s*=\s*[\"']" + re.escape(_NAMESPACE) + r"[\"']", text)[:4]:
        name = re.escape(prefix) + ":Recipe"
        match = re.search(rf"<{name}(?:\s[^<>]*)?>([^<]*)</{name}>", text) or re.search(
            rf"\s{name}\s*=\s*(?:\"([^\"<]*)\"|'([^'<]*)')", text
        )
        if match:
            return html.unescape(next(group for group in match.groups() if group is not None)).encode("utf-8", "replace")
    return None


def find_marks(xmp: bytes, *, has_c2pa: bool, has_iptc: bool = False) -> Marks:
    """Say which statements of origin a packet makes, together with what the container was found to hold."""
    match = re.search(rb"digitalsourcetype/(\w{1,80})", xmp)
    return Marks(
        digital_source_type=match[1].decode() if match else "",
        has_xmp=bool(xmp),
        has_iptc=has_iptc,
        has_c2pa=has_c2pa or (b"c2pa" in xmp and b"provenance" in xmp),
    )
