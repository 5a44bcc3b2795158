"""Lays out the photos that a style of one's own is practised on: small, many kinds of scene and light, nobody to be recognised.

Usage: python prepare_practice.py DATA. DATA holds ``photos_landscape`` and ``photos_flowers`` with their manifests; the pictures and their
credit lines go to ``practice`` beside this file.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from PIL import Image

SHORT_SIDE = 256
QUALITY = 80
LANDSCAPES = (
    "00000", "00002", "00004", "00005", "00006", "00008", "00009", "00011", "00014", "00015", "00016", "00021", "00022", "00031",
    "00035", "00040", "00043", "00044", "00050", "00062", "00063", "00064", "00069", "00072", "00076", "00088", "00096", "00109",
)  # fmt: skip
FLOWERS = (
    "daisy/00219", "daisy/00314", "daisy/00492", "dandelion/00661", "dandelion/00966", "dandelion/03105", "roses/01445",
    "roses/01490", "sunflowers/02061", "tulips/02300", "tulips/02569", "tulips/02639",
)  # fmt: skip
OPENING = """Photos to practise painting styles on, made smaller. All of them are licensed CC BY 2.0
(https://creativecommons.org/licenses/by/2.0/). Those of Open Images are credited by their identifier, under which
https://storage.googleapis.com/openimages/web/index.html names the author; those of the TensorFlow flower photos by
the page of the photo on Flickr, which does.

"""


def main() -> None:
    """Write the pictures and ``CREDITS.txt``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    out = Path(__file__).with_name("practice")
    out.mkdir(exist_ok=True)
    lines = []
    for folder, chosen in (("photos_landscape", LANDSCAPES), ("photos_flowers", FLOWERS)):
        with (data / folder / "manifest.csv").open(encoding="utf-8") as file:
            sources = {row["file"]: Path(row["source_path"]).stem for row in csv.DictReader(file)}
        for stem in chosen:
            name = f"{folder.removeprefix('photos_')}-{stem.replace('/', '-')}.webp"
            with Image.open(data / folder / f"{stem}.jpg") as opened:
                image = opened.convert("RGB")
            scale = SHORT_SIDE / min(image.size)
            image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
            image.save(out / name, quality=QUALITY, method=6)
            lines.append(f"{name}: {credit(folder, sources[f'{stem}.jpg'])}")
    (out / "CREDITS.txt").write_text(OPENING + "\n".join(lines) + "\n", encoding="utf-8")


def credit(folder: str, source: str) -> str:
    """Say where a photo comes from, by the identifier that its source's file name holds."""
    if folder == "photos_landscape":
        return f"Open Images {source}, CC BY 2.0"
    return f"https://www.flickr.com/photo.gne?id={source.split('_')[0]} (TensorFlow flower photos), CC BY 2.0"


if __name__ == "__main__":
    main()
