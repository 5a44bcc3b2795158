"""Films as still pictures: a zip of numbered PNG or JPEG frames, and a spritesheet with its JSON."""

from __future__ import annotations

import json
import math
import zipfile
from fractions import Fraction
from typing import Any

import numpy as np
from PIL import PngImagePlugin

from studio.errors import MediaError
from studio.media.encoding_job import Job
from studio.media.files import atomic_write
from studio.media.marks import RECIPE_KEYWORD, XMP_KEYWORD, xmp_packet
from studio.media.pixels import ImageArray, as_pillow
from studio.media.reading import MAX_PIXELS
from studio.media.writing import PNG_LEVEL, encode_image

_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The date of every entry, so that the same frames give the same zip."""


class ZipSink:
    """Write a zip of ``frame-00000.png`` ... with ``film.json`` (rate, size, count) and the recipe."""

    def __init__(self, job: Job) -> None:
        """Open the zip."""
        self._job, self._count = job, 0
        self._times: list[float] = []
        self._suffix = ".jpg" if job.format.kind == "jpeg" else ".png"
        self._file = job.part.open("r+b")
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED, allowZip64=True)

    def write(self, image: ImageArray, begin: Fraction, end: Fraction) -> None:
        """Add one frame as a picture with the mark of origin."""
        if image.shape[2] == 4 and self._suffix == ".jpg":
            image = image[..., :3]
        encoded = encode_image(image, self._suffix, composite=self._job.composite, quality=self._job.format.quality)
        self._add(f"frame-{self._count:05d}{self._suffix}", encoded.data)
        self._times.append(round(float(begin), 6))
        self._count += 1

    def finish(self) -> None:
        """Add the description and the recipe, and write the directory."""
        facts = {
            "rate": str(self._job.rate),
            "frames": self._count,
            "width": self._job.width,
            "height": self._job.height,
            "name": f"frame-%05d{self._suffix}",
            "times": self._times,
        }
        self._add("film.json", json.dumps(facts, indent=1).encode())
        if self._job.recipe is not None:
            self._add("recipe.json", self._job.recipe.encode())
        self._zip.close()
        self._file.close()

    def close(self) -> None:
        """Close the file without a directory."""
        if not self._file.closed:
            self._zip.fp = None
            self._file.close()

    def _add(self, name: str, data: bytes) -> None:
        entry = zipfile.ZipInfo(name, _LONG_AGO)
        entry.external_attr = 0o644 << 16
        self._zip.writestr(entry, data)


class SpritesSink:
    """Write all frames side by side into one PNG, and where each lies into a JSON beside it (Aseprite's array form)."""

    def __init__(self, job: Job) -> None:
        """Start with an empty sheet."""
        self._job = job
        self._frames: list[ImageArray] = []
        self._times: list[Fraction] = []
        self._most = MAX_PIXELS // (job.width * job.height)

    def write(self, image: ImageArray, begin: Fraction, end: Fraction) -> None:
        """Keep one frame: a sheet is one picture, so this kind alone holds its frames."""
        if len(self._frames) >= self._most:
            raise MediaError(
                f"A spritesheet of {self._job.width} x {self._job.height} frames holds at most {self._most} of them. "
                "Make the frames smaller or fewer, or save them as a zip."
            )
        self._frames.append(np.array(image))
        self._times.append(end - begin)

    def finish(self) -> None:
        """Lay the sheet out and write both files."""
        job, count = self._job, len(self._frames)
        columns = min(count, job.format.columns or math.ceil(math.sqrt(count * job.height / job.width)))
        rows = math.ceil(count / columns)
        if columns * rows * job.width * job.height > 2 * MAX_PIXELS:
            raise MediaError(f"A sheet of {columns} x {rows} frames is too large. Choose other columns, or save a zip.")
        sheet = np.zeros((rows * job.height, columns * job.width, self._frames[0].shape[2]), np.uint8)
        places = []
        for index, frame in enumerate(self._frames):
            top, left = index // columns * job.height, index % columns * job.width
            sheet[top : top + job.height, left : left + job.width] = frame
            places.append((left, top))
        self._frames = []
        with job.part.open("r+b") as file:
            as_pillow(sheet).save(file, "PNG", compress_level=PNG_LEVEL, pnginfo=_png_info(job))
        data = json.dumps(_description(job, places, self._times, columns, rows), indent=1).encode()
        with atomic_write(job.target.with_suffix(".json")) as file:
            file.write(data)

    def close(self) -> None:
        """Forget the frames."""
        self._frames = []


def _png_info(job: Job) -> Any:
    info = PngImagePlugin.PngInfo()
    if job.recipe is not None:
        info.add_itxt(RECIPE_KEYWORD, job.recipe)
        info.add_itxt("parameters", job.summary)
    info.add_itxt(XMP_KEYWORD, xmp_packet(composite=job.composite).decode())
    return info


def _description(job: Job, places: list[tuple[int, int]], times: list[Fraction], columns: int, rows: int) -> dict[str, Any]:
    size = {"w": job.width, "h": job.height}
    stem = job.target.stem
    return {
        "frames": [
            {
                "filename": f"{stem} {index}",
                "frame": {"x": left, "y": top, **size},
                "sourceSize": size,
                "duration": round(float(1000 * stay), 3),
            }
            for index, ((left, top), stay) in enumerate(zip(places, times, strict=True))
        ],
        "meta": {
            "app": "GAN art studio",
            "image": job.target.name,
            "format": "RGBA8888" if job.has_alpha else "RGB888",
            "size": {"w": columns * job.width, "h": rows * job.height},
            "scale": "1",
            "columns": columns,
            "rows": rows,
            "rate": str(job.rate),
        },
    }
