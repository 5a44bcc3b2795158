"""Training pictures: a folder, zip or film becomes one decoded, cropped, memory-mapped block; sub-folders are classes.

Broken files and duplicates are reported, never fatal. Decoding holds one picture at a time (100 megapixels at most), training maps the
block from disk: memory does not grow with their number. This is *not* augmentation and it never writes beside the pictures.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from studio import paths
from studio.errors import TrainingError
from studio.media.colors import to_eight_bits
from studio.training.crops import CROPS, square_crop
from studio.training.film_pictures import FILM_RATE, film_pictures
from studio.training.sources import PICTURE_SUFFIXES, Source, find_sources

CACHE_VERSION = 4
LARGEST_PIXELS = 100_000_000
TOLD_EVERY = 25

UInt8 = npt.NDArray[np.uint8]
Problems = dict[str, list[tuple[str, str]]]
"""Files left out, as pairs (file, reason or first copy), under ``broken`` and ``duplicates``."""


@dataclass(frozen=True)
class Report:
    """What became of the files in a folder; ``broken`` and ``duplicates`` are pairs (file, reason or first copy)."""

    kept: int
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    broken: tuple[tuple[str, str], ...]
    duplicates: tuple[tuple[str, str], ...]
    smallest_side: int

    def sentence(self, noun: str = "pictures") -> str:
        """Say it in one line."""
        parts = [f"{self.kept} {noun}"]
        if self.classes:
            parts.append(f"{len(self.classes)} classes")
        if self.duplicates:
            parts.append(f"{len(self.duplicates)} duplicates left out")
        if self.broken:
            parts.append(f"{len(self.broken)} files left out (first: {self.broken[0][0]}: {self.broken[0][1]})")
        return ", ".join(parts)


@dataclass(frozen=True)
class Pictures:
    """Decoded pictures in one memory-mapped block.

    ``pixels`` is flat uint8, ``places [n, 3]`` holds offset, height and width of each, ``labels [n]`` its class (0 where there are none).
    """

    pixels: UInt8
    places: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    channels: int
    report: Report

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.places)

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names in label order; empty when the folder has no sub-folders."""
        return self.report.classes

    def picture(self, index: int) -> UInt8:
        """Return picture ``index`` as uint8 ``[H, W, channels]`` (a view of the block)."""
        offset, height, width = (int(v) for v in self.places[index])
        return self.pixels[offset : offset + height * width * self.channels].reshape(height, width, self.channels)

    def parts(self, size: int = 1024) -> Iterator[UInt8]:
        """Give all pictures, which must be of one size, in order and a part at a time: uint8 ``[n, H, W, channels]``."""
        for start in range(0, len(self), size):
            yield self.batch(range(start, min(len(self), start + size)))

    def batch(self, indices: Iterable[int]) -> UInt8:
        """Return equal-sized pictures as uint8 ``[n, H, W, channels]``."""
        return np.stack([self.picture(int(i)) for i in indices])


def read_pixels(file: BinaryIO, channels: int) -> UInt8:
    """Read one picture as uint8 ``[H, W, channels]``, upright; without an alpha channel it stands on white.

    Raises:
        OSError: The file is no picture, is damaged, or is larger than 100 megapixels.
    """
    try:
        with Image.open(file) as opened:
            if opened.width * opened.height > LARGEST_PIXELS:
                raise OSError(f"larger than {LARGEST_PIXELS // 1_000_000} megapixels")
            image = ImageOps.exif_transpose(opened)
            if image.mode in ("I", "F") or image.mode.startswith("I;16"):
                image = to_eight_bits(image)
            if channels == 4:
                return np.asarray(image.convert("RGBA"))
            if "A" in image.getbands() or "transparency" in image.info:
                rgba = image.convert("RGBA")
                paper = Image.new("RGBA", rgba.size, "white")
                paper.alpha_composite(rgba)
                image = paper
            return np.asarray(image.convert("RGB"))
    except (SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise OSError(str(error)) from error


def fit(pixels: UInt8, *, resolution: int, crop: str) -> UInt8:
    """Bring one picture to size: a square of ``resolution``, or (``crop="none"``) a shorter side of ``resolution``."""
    if crop == "none":
        height, width = pixels.shape[:2]
        scale = resolution / min(height, width)
        size = (max(resolution, round(width * scale)), max(resolution, round(height * scale)))
    else:
        pixels = square_crop(pixels, crop)
        size = (resolution, resolution)
    if pixels.shape[:2] == (size[1], size[0]):
        return np.ascontiguousarray(pixels)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def block_key(sources: Sequence[tuple[Source, int]], **options: Any) -> str:
    """Name the decoded block of these files under these options; a changed file gives another."""
    digest = hashlib.sha256(json.dumps([CACHE_VERSION, options], sort_keys=True).encode())
    for source, label in sources:
        digest.update(f"{source.stamp}|{label}\n".encode())
    return digest.hexdigest()[:24]


def is_picture_name(path: Path) -> bool:
    """Tell whether a file is called like a picture."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def _read(source: Source, channels: int, film_rate: float) -> Iterator[tuple[str, UInt8]]:
    """Read a picture, or the frames of a film: names and pixels ``[H, W, channels]``; raises OSError when it is damaged."""
    if source.film is not None:
        yield from film_pictures(source.film, film_rate, channels)
        return
    with source.open() as file:
        yield source.name, read_pixels(file, channels)


def decode(
    sources: Sequence[tuple[Source, int]],
    fit_one: Callable[[UInt8], UInt8],
    channels: int,
    problems: Problems,
    film_rate: float = FILM_RATE,
) -> Iterator[tuple[UInt8, int, int]]:
    """Give pixels, label and shorter side of each picture that can be read and was not seen before; the others go to ``problems``."""
    seen: dict[str, str] = {}
    for source, label in sources:
        try:
            for name, pixels in _read(source, channels, film_rate):
                digest = hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()
                if digest in seen:
                    problems["duplicates"].append((name, seen[digest]))
                    continue
                seen[digest] = name
                yield fit_one(pixels), label, min(pixels.shape[:2])
        except OSError as error:
            problems["broken"].append((source.name, str(error)))


def nothing_readable(total: int, problems: Problems) -> TrainingError:
    """Return the error for files of which none is a picture."""
    reason = problems["broken"][0][1] if problems["broken"] else "they are empty"
    return TrainingError(f"None of the {total} files could be read as a picture ({reason}). Check the folder.")


def prepare(
    folders: Sequence[Path],
    *,
    resolution: int,
    crop: str = "smart",
    channels: int = 3,
    film_rate: float = FILM_RATE,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Pictures:
    """Decode, crop and store the pictures once; the next call with the same files opens the stored block at once.

    Args:
        folders: Folders, zips or films; the sub-folders of a single one are classes.
        resolution: Side of the square, or the shorter side when ``crop`` is ``none``.
        crop: ``centre``, ``smart``, ``pad`` or ``none`` (whole picture, sizes differ).
        channels: 3, or 4 to keep transparency.
        film_rate: Pictures for each second of a film, more than 0.
        cache: Folder for the decoded block; None uses the studio's cache folder.
        progress: Called with (done, total) now and then; what it raises ends the decoding.

    Raises:
        TrainingError: A folder is missing or empty, no file in it is readable, or ``crop`` is unknown.
    """
    if crop not in CROPS:
        raise TrainingError(f"crop={crop!r} is not known. Use one of: {', '.join(CROPS)}.")
    if film_rate <= 0:
        raise TrainingError(f"film_rate={film_rate} is not possible. Use a number above 0: pictures for each second of a film.")
    sources, classes = find_sources([f.resolve() for f in folders])
    films = {"film_rate": film_rate} if any(source.film for source, _ in sources) else {}
    key = block_key(sources, resolution=resolution, crop=crop, channels=channels, **films)
    stem = (cache or paths.cache_folder() / "training") / key
    if not stem.with_suffix(".json").exists():
        problems: Problems = {"broken": [], "duplicates": []}
        decoded = decode(sources, lambda p: fit(p, resolution=resolution, crop=crop), channels, problems, film_rate)
        write_block(stem, decoded, problems, total=len(sources), classes=classes, progress=progress)
    return open_block(stem, channels)


def write_block(
    stem: Path,
    decoded: Iterable[tuple[UInt8, int, int]],
    problems: Problems,
    *,
    total: int,
    classes: tuple[str, ...] = (),
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Store decoded pictures as ``stem.bin`` and ``stem.json``, so that :func:`open_block` opens them at once.

    Args:
        stem: Where, without a suffix.
        decoded: Pictures with their label and the shorter side of their file.
        problems: What the decoding fills with files that are left out, under ``broken`` and ``duplicates``.
        total: Of how many files, for the progress and the error.
        classes: The names of the labels.
        progress: Called with (done, total) now and then.

    Raises:
        TrainingError: There is not one picture.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    places, labels, offset, smallest = [], [], 0, 1 << 30
    own = f"{stem.name}.{os.getpid()}"  # another process may be decoding the same pictures
    pixels_file, notes_file = stem.with_name(f"{own}.bin.part"), stem.with_name(f"{own}.json.part")
    try:
        with pixels_file.open("wb") as file:
            for pixels, label, side in decoded:
                file.write(pixels.tobytes())
                places.append((offset, *pixels.shape[:2]))
                labels.append(label)
                offset += pixels.size
                smallest = min(smallest, side)
                if progress is not None and len(places) % TOLD_EVERY == 0:
                    progress(len(places), max(len(places), total))
        if not places:
            raise nothing_readable(total, problems)
        counts = tuple(int(n) for n in np.bincount(labels, minlength=max(1, len(classes))))
        report = Report(len(places), classes, counts, tuple(problems["broken"]), tuple(problems["duplicates"]), smallest)
        notes_file.write_text(json.dumps({"report": asdict(report), "places": places, "labels": labels}))
        pixels_file.replace(stem.with_suffix(".bin"))
        notes_file.replace(stem.with_suffix(".json"))
    finally:
        pixels_file.unlink(missing_ok=True)
        notes_file.unlink(missing_ok=True)


def open_block(stem: Path, channels: int) -> Pictures:
    """Open what :func:`write_block` stored."""
    block = json.loads(stem.with_suffix(".json").read_text())
    saved = block["report"]
    report = Report(
        kept=saved["kept"],
        classes=tuple(saved["classes"]),
        counts=tuple(saved["counts"]),
        broken=tuple((a, b) for a, b in saved["broken"]),
        duplicates=tuple((a, b) for a, b in saved["duplicates"]),
        smallest_side=saved["smallest_side"],
    )
    pixels = np.memmap(stem.with_suffix(".bin"), dtype=np.uint8, mode="r")
    return Pictures(pixels, np.array(block["places"], np.int64), np.array(block["labels"], np.int64), channels, report)


def class_probabilities(labels: npt.NDArray[np.int64], classes: int, balance: float = 0.5) -> npt.NDArray[np.float64]:
    """Return how often each class is drawn: in proportion to its size to the power ``balance``.

    ``balance = 1`` draws every picture equally often, 0 every class equally often, 0.5 is the square root between them.
    """
    counts = np.bincount(labels, minlength=max(1, classes)).astype(np.float64)
    weights = np.where(counts > 0, counts**balance, 0.0)
    shares: npt.NDArray[np.float64] = weights / weights.sum()
    return shares


class Draw:
    """Draws batches of picture numbers; the draw is a pure function of the generator handed in, so a resumed run repeats it."""

    def __init__(self, pictures: Pictures, *, balance: float = 0.5) -> None:
        self.probabilities = class_probabilities(pictures.labels, len(pictures.classes), balance)
        self.members = [np.flatnonzero(pictures.labels == k) for k in range(len(self.probabilities))]

    def labels(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Draw ``n`` class labels."""
        return rng.choice(len(self.probabilities), size=n, p=self.probabilities)

    def indices(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Draw ``n`` picture numbers: a class first, then one of its pictures."""
        return np.array([rng.choice(self.members[k]) for k in self.labels(n, rng)], np.int64)
