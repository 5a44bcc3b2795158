"""Pictures and films in and out of files: robust reading, atomic writing, recipes and marks of origin. No torch, no networks.

One file per concern: ``reading`` (any picture to plain pixels), ``writing`` (pixels to a file), ``colors`` (modes and
profiles), ``pixels`` (sizes and alpha), ``marks`` (recipe and provenance as text), ``containers`` (where a file keeps
them), ``files`` (atomic writes, names, hashes), ``films`` (reading films; parts in ``film_*``), ``encoding`` (writing
films; parts in ``encoding_*``), ``fitting`` (one size and aspect into another).
"""

from studio.media.encoding import FilmWriter, SavedFilm, write_film
from studio.media.encoding_animation import gif_palette
from studio.media.encoding_job import Sound
from studio.media.encoding_kinds import KINDS, FilmFormat, Kind, available_kinds, format_for
from studio.media.files import (
    atomic_path,
    atomic_write,
    create_exclusive,
    hash_bytes,
    hash_file,
    move_exclusive,
    numbered_names,
    safe_name,
    sweep_parts,
)
from studio.media.film_facts import FilmFacts, FilmFrame, SoundFacts, parse_rate
from studio.media.film_stills import film_sheet, film_stills
from studio.media.films import inspect_media, is_film, probe_film, read_film
from studio.media.fitting import fit_frame
from studio.media.marks import Marks
from studio.media.pixels import ImageArray, contact_sheet, flatten, join_alpha, resize, thumbnail
from studio.media.reading import MAX_PIXELS, Header, Picture, inspect_image, read_image
from studio.media.writing import SUFFIXES, Encoded, Saved, encode_image, encode_jpeg, encode_webp, write_image

__all__ = [
    "KINDS",
    "MAX_PIXELS",
    "SUFFIXES",
    "Encoded",
    "FilmFacts",
    "FilmFormat",
    "FilmFrame",
    "FilmWriter",
    "Header",
    "ImageArray",
    "Kind",
    "Marks",
    "Picture",
    "Saved",
    "SavedFilm",
    "Sound",
    "SoundFacts",
    "atomic_path",
    "atomic_write",
    "available_kinds",
    "contact_sheet",
    "create_exclusive",
    "encode_image",
    "encode_jpeg",
    "encode_webp",
    "film_sheet",
    "film_stills",
    "fit_frame",
    "flatten",
    "format_for",
    "gif_palette",
    "hash_bytes",
    "hash_file",
    "inspect_image",
    "inspect_media",
    "is_film",
    "join_alpha",
    "move_exclusive",
    "numbered_names",
    "parse_rate",
    "probe_film",
    "read_film",
    "read_image",
    "resize",
    "safe_name",
    "sweep_parts",
    "thumbnail",
    "write_film",
    "write_image",
]
