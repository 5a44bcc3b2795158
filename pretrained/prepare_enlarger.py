# SPDX-License-Identifier: Apache-2.0
"""Lays out what the enlargers learn from: originals, a few held out to measure by, and small samples of the studio's own generators.

Usage: python prepare_enlarger.py DATA OUT. DATA holds the folders below; the installed ``inkwash`` and ``pomona`` draw the samples.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from PIL import Image

from studio.engine import Engine
from studio.paths import pretrained_folder
from studio.recipe import Latent, Recipe

PAINTINGS = ("monet", "inkwash", "botanical")
PHOTOS = ("photos_landscape", "photos_flowers")
HELD_OUT = 18
"""Every so manieth painting is held out."""
SAMPLES = {"inkwash": 130, "pomona": 130}


def main() -> None:
    """Copy the pictures and draw the samples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    for name in (*PAINTINGS, *PHOTOS):
        for place, picture in enumerate(sorted((args.data / name).rglob("*.jpg"))):
            is_held_out = name in PAINTINGS and place % HELD_OUT == HELD_OUT - 1
            folder = args.out / ("held_out" if is_held_out else "originals")
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture, folder / f"{name}-{picture.name}")
    engine = Engine(compilers=False)
    (args.out / "small").mkdir(parents=True, exist_ok=True)
    for name, number in SAMPLES.items():
        model = engine.open(pretrained_folder() / f"{name}.safetensors").ref
        for seed in range(number):
            image = engine.render(Recipe(model=model, latent=Latent(x=float(seed))))
            Image.fromarray(image).save(args.out / "small" / f"{name}-{seed:03}.png")


if __name__ == "__main__":
    main()
