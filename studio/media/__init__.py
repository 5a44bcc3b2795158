"""Pictures in and out of files: robust reading, atomic writing, recipes and marks of origin. No torch, no networks.

One file per concern: ``reading`` (any picture to plain pixels), ``writing`` (pixels to a file), ``colors`` (modes and
profiles), ``pixels`` (sizes and alpha), ``marks`` (recipe and provenance as text), ``containers`` (where a file keeps
them), ``files`` (atomic writes, names, hashes).
"""

from studio.media.files import atomic_write, create_exclusive, hash_bytes, hash_file, move_exclusive, numbered_names, safe_name, sweep_parts
from studio.media.marks import Marks
from studio.media.pixels import ImageArray, contact_sheet, flatten, join_alpha, resize, thumbnail
from studio.media.reading import MAX_PIXELS, Header, Picture, inspect_image, read_image
from studio.media.writing import SUFFIXES, Encoded, Saved, encode_image, encode_jpeg, encode_webp, write_image

__all__ = [
    "MAX_PIXELS",
    "SUFFIXES",
    "Encoded",
    "Header",
    "ImageArray",
    "Marks",
    "Picture",
    "Saved",
    "atomic_write",
    "contact_sheet",
    "create_exclusive",
    "encode_image",
    "encode_jpeg",
    "encode_webp",
    "flatten",
    "hash_bytes",
    "hash_file",
    "inspect_image",
    "join_alpha",
    "move_exclusive",
    "numbered_names",
    "read_image",
    "resize",
    "safe_name",
    "sweep_parts",
    "thumbnail",
    "write_image",
]
