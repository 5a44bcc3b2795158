# SPDX-License-Identifier: Apache-2.0
"""Measures enlargers: how far what they make of small, soft, grainy, compressed pictures is from the originals, beside Lanczos.

Usage: python measure_enlarger.py HELD_OUT MODEL [MODEL ...]. HELD_OUT is the folder that ``prepare_enlarger.py`` fills, a MODEL is an
installed one or a file (``.param`` of an ncnn pair too). The distance is that of ``studio.features`` behind blocks 2, 4 and 10.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter

from studio.engine import Engine
from studio.features.likeness import perceptual_distance
from studio.features.weights import load_features
from studio.models.common import Upscaler
from studio.upscaling import upscale

SIDE, BLUR, GRAIN, QUALITY = 256, 1.5, 5.0, 75
TAPS = ("block2", "block4", "block10")


def original(path: Path) -> Image.Image:
    """Return the middle square of a picture, 256 px a side."""
    picture = Image.open(path).convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def made_small(picture: Image.Image, scale: int, rng: np.random.Generator) -> Image.Image:
    """Blur, reduce, add grain, compress."""
    small = picture.filter(ImageFilter.GaussianBlur(BLUR * scale / 4)).resize((SIDE // scale,) * 2, Image.Resampling.BICUBIC)
    noisy = np.asarray(small) + rng.normal(0, GRAIN, (*small.size, 3))
    packed = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).round().astype(np.uint8)).save(packed, "JPEG", quality=QUALITY)
    return Image.open(packed)


def as_tensor(picture: Image.Image) -> torch.Tensor:
    """Return ``[1, 3, H, W]`` in [-1, 1]."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1


def main() -> None:
    """Print a line for each enlarger."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("held_out", type=Path)
    parser.add_argument("models", nargs="+")
    args = parser.parse_args()
    engine, features = Engine(compilers=False), load_features()
    originals = [original(path) for path in sorted(args.held_out.iterdir())]
    for name in args.models:
        network = (engine.open(name) if Path(name).is_file() else engine.load(name)).network
        assert isinstance(network, Upscaler)
        rng, found, seconds = np.random.default_rng(0), [], 0.0
        for picture in originals:
            small = made_small(picture, network.scale, rng)
            begin = time.perf_counter()
            large = Image.fromarray(upscale(network, np.asarray(small)))
            seconds += time.perf_counter() - begin
            shown = torch.cat([as_tensor(large), as_tensor(small.resize(picture.size, Image.Resampling.LANCZOS))])
            with torch.inference_mode():
                found.append(perceptual_distance(features, shown, as_tensor(picture).expand(2, -1, -1, -1), TAPS))
        ours, plain = torch.stack(found).mean(0).tolist()
        sys.stdout.write(
            f"{name}: {ours:.3f}, Lanczos {plain:.3f}, ratio {ours / plain:.3f}; {seconds / len(originals):.2f} seconds a picture\n"
        )


if __name__ == "__main__":
    main()
