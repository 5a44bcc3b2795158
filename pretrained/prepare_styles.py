"""Lays the paintings of the book of styles out as the trainer wants them: one folder for each style.

Usage: python prepare_styles.py DATA OUT. DATA holds the folders that ``paintings.json`` names, ``inkwash`` as ``prepare_inkwash.py`` leaves
it.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path


def main() -> None:
    """Copy the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    styles = json.loads(Path(__file__).with_name("paintings.json").read_text("utf-8"))
    for style, sources in styles.items():
        folder = args.out / style
        folder.mkdir(parents=True, exist_ok=True)
        for source in sources:
            picture = args.data / source
            shutil.copyfile(picture, folder / f"{picture.parent.name}-{picture.name}")


if __name__ == "__main__":
    main()
