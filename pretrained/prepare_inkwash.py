# SPDX-License-Identifier: Apache-2.0
"""Cuts a curated training set of Chinese ink landscapes from a folder of scans.

Usage: python prepare_inkwash.py SOURCE OUT
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SIZE = 160  # side of a written crop, and the least side of a crop in the source
CLOSE = 0.64  # side of a close crop, as a share of the short side of the picture
MOST_CLOSE = 4  # close crops per picture
PAPER = (91.0, 1.0, 13.0)  # CIELAB of the common warm paper
INK = 10.0  # CIELAB lightness of the darkest ink
GRAIN = 450.0  # strength of the smoothing of the grain
CHROMA = 0.55  # how much of a picture's own colour, against its paper, is kept

# Judged by eye to be of no use, by reason.
LEFT_OUT = {
    "too dark, too faint, stained, cracked or damaged": (
        "00077 00078 00101 00123 00124 00125 00136 00153 00160 00176 00201 00234 00246 00256 00298 00299 00325 00326 00332"
    ),
    "mostly empty paper or silk, or an inscription": "00072 00080 00084 00090 00104 00251 00264 00328 00348",
    "birds, flowers, bamboo or a single tree": (
        "00087 00088 00117 00140 00154 00163 00164 00165 00166 00196 00219 00225 00226 00227 "
        "00231 00232 00233 00235 00236 00243 00269 00300 00301 00307 00308 00337 00339"
    ),
    "figures or buildings only, or no readable scene": "00169 00204 00224 00241 00242 00249 00323 00324",
}

# The part of a picture that holds the landscape (left, top, right, bottom, in percent), where inscriptions, seals or mounts are beside it.
AREAS = """
00069 0 0 78 100; 00071 0 0 85 100; 00076 0 25 88 100; 00079 0 12 77 100; 00081 0 32 100 100; 00082 1 3 96 98; 00083 0 8 88 98
00089 0 0 90 100; 00100 2 18 83 94; 00102 3 20 98 95; 00108 0 5 94 95; 00110 0 10 100 91; 00111 20 10 100 91; 00113 0 0 86 100
00115 0 0 84 100; 00118 10 33 82 98; 00121 26 36 100 100; 00122 0 30 100 100; 00129 12 12 80 78; 00139 2 5 92 97; 00141 0 0 84 100
00143 18 18 100 100; 00146 0 28 98 98; 00147 0 40 78 100; 00149 12 0 89 100; 00158 0 5 88 98; 00159 0 8 90 100; 00161 0 0 94 100
00167 12 17 93 100; 00168 5 3 97 97; 00171 0 25 98 98; 00172 0 30 100 96; 00173 24 5 98 100; 00174 0 6 83 97; 00175 0 22 100 100
00178 0 8 95 92; 00179 0 8 98 90; 00180 13 8 100 100; 00186 0 0 87 100; 00187 5 4 88 95; 00188 5 22 93 97; 00191 4 14 78 97
00194 0 23 100 100; 00195 0 28 100 100; 00202 0 14 100 100; 00205 0 41 100 100; 00206 0 0 100 68; 00207 0 20 100 100; 00211 30 0 92 100
00213 0 14 100 100; 00215 0 27 98 97; 00216 0 30 100 100; 00220 40 5 98 93; 00222 2 29 97 97; 00229 0 0 92 100; 00230 24 24 100 100
00237 0 0 65 100; 00239 0 4 84 98; 00248 5 4 95 97; 00254 0 9 100 100; 00255 0 8 84 100; 00259 0 0 90 100; 00263 0 28 100 100
00270 0 4 89 97; 00272 0 14 88 95; 00274 5 20 97 97; 00275 0 41 100 100; 00276 28 20 100 100; 00277 0 34 73 97; 00282 4 42 96 100
00283 3 0 95 100; 00284 0 0 88 100; 00286 0 13 88 100; 00287 5 26 92 100; 00288 0 0 90 100; 00292 3 15 96 93; 00293 0 18 100 98
00295 28 0 100 100; 00302 4 4 95 96; 00303 0 34 98 98; 00305 0 10 83 97; 00306 0 14 97 97; 00309 12 8 100 100; 00311 0 22 98 98
00312 0 0 70 100; 00316 4 3 88 97; 00317 0 0 57 100; 00319 0 23 98 97; 00320 0 0 93 98; 00321 19 0 100 100; 00334 12 0 92 100
00338 0 0 90 100; 00341 0 23 100 100; 00349 5 0 94 100
"""


def area(name: str, width: int, height: int) -> tuple[int, int, int, int]:
    """Returns the box (left, top, right, bottom), in pixels, that holds the landscape of a picture."""
    found = re.search(rf"{name} (\d+) (\d+) (\d+) (\d+)", AREAS)
    left, top, right, bottom = (int(n) / 100 for n in found.groups()) if found else (0, 0, 1, 1)
    return round(left * width), round(top * height), round(right * width), round(bottom * height)


def mount(lab: np.ndarray, reach: float = 0.13, step: float = 5.0) -> int:
    """Returns the rows of a mount at the top of a picture: those down to the innermost straight edge that runs right across it."""
    rows = int(reach * len(lab))
    soft = cv2.GaussianBlur(lab, (3, 3), 0)[: rows + 4]
    change = np.abs(np.median(soft[4:] - soft[:-4], axis=1)).max(axis=1)  # a drawn edge leaves the median over a row alone
    edges = np.flatnonzero(change > step)
    return int(edges.max()) + 4 if len(edges) else 2


def trim(lab: np.ndarray) -> np.ndarray:
    """Cuts mounts and brocade borders off all four sides."""
    for _ in range(4):
        lab = np.ascontiguousarray(np.rot90(lab[mount(lab) :]))
    return lab


def level(lab: np.ndarray) -> np.ndarray:
    """Stretches the lightness from ink to paper, and draws the colours towards those of a common warm paper."""
    light = lab[..., 0]
    dark, bright = np.percentile(cv2.GaussianBlur(light, (0, 0), 1), [1, 96])
    share = np.clip((light - dark) / (bright - dark), 0, 1.05)
    grain = (share * 240).astype(np.uint8)  # the fainter a picture, the more its silk and stains show once stretched
    share = cv2.fastNlMeansDenoising(grain, None, float(np.clip(GRAIN / (bright - dark), 3, 12)), 5, 15).astype(np.float32) / 240
    gamma = np.clip(np.log(0.74) / np.log(np.clip(np.median(share), 0.05, 0.95)), 0.6, 1.3)
    paper, ink = np.median(lab[share > np.median(share)], axis=0), np.median(lab[share < np.percentile(share, 10)], axis=0)
    own = (lab[..., 1:] - ink[1:] - (paper - ink)[1:] * ((light - ink[0]) / (paper[0] - ink[0]))[..., None]) * CHROMA
    share = share**gamma
    out = np.empty_like(lab)
    out[..., 0] = INK + share * (PAPER[0] - INK)
    out[..., 1:] = np.clip(own, -22, 22) + np.asarray(PAPER[1:], np.float32) * share[..., None]
    return out


def detail(light: np.ndarray) -> float:
    """Returns the share of the 4x4 parts of a crop that hold brushwork, or 0 where the crop is flat as a whole."""
    soft = cv2.GaussianBlur(light, (0, 0), 1.5)  # the weave of silk is finer than that
    edges = np.hypot(cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)) / 8
    cells = cv2.resize(edges, (4, 4), interpolation=cv2.INTER_AREA)
    return float((cells > 1.1).mean()) if soft.std() > 7 else 0.0


def squares(light: np.ndarray) -> list[tuple[int, int, int]]:
    """Chooses the crops (left, top, side) of a levelled picture: over the whole short side, then close ones where the detail is."""
    height, width = light.shape
    short = min(height, width)
    chosen: list[tuple[int, int, int]] = []
    for side, least, most in ((short, 0.4, 2), (max(SIZE, round(CLOSE * short)), 0.7, MOST_CLOSE)):
        if side < SIZE or (side < short and side > 0.8 * short):
            continue
        spots = sorted({(round((width - side) * x / 4), round((height - side) * y / 4)) for x in range(5) for y in range(5)})
        scored = [(detail(light[y : y + side, x : x + side]), x, y) for x, y in spots]
        taken: list[tuple[int, int]] = []
        for score, x, y in sorted(scored, key=lambda spot: (-spot[0], spot[1], spot[2])):
            apart = all((side - abs(x - u)) * (side - abs(y - v)) < (0.55 if side < short else 0.72) * side**2 for u, v in taken)
            if score >= least and apart and len(taken) < most:
                taken.append((x, y))
        chosen += [(x, y, side) for x, y in taken]
    return chosen


def main() -> None:
    """Reads the scans and writes the crops."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    left_out = {name for names in LEFT_OUT.values() for name in names.split()}
    written, none = 0, []
    for path in sorted(args.source.glob("*.jpg")):
        if path.stem in left_out:
            continue
        picture = Image.open(path).convert("RGB")
        picture = picture.crop(area(path.stem, *picture.size))
        lab = level(trim(cv2.cvtColor(np.asarray(picture, np.float32) / 255, cv2.COLOR_RGB2LAB)))
        rgb = np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255 + 0.5, 0, 255).astype(np.uint8)
        crops = squares(np.ascontiguousarray(lab[..., 0]))
        for number, (x, y, side) in enumerate(crops):
            crop = Image.fromarray(rgb[y : y + side, x : x + side])
            crop.resize((SIZE, SIZE), Image.Resampling.LANCZOS).save(args.out / f"{path.stem}_{number}.png")
        written += len(crops)
        none += [] if crops else [path.stem]
    print(  # noqa: T201
        f"{written} crops; {len(left_out)} pictures left out by name; no crop passed in {len(none)}: {' '.join(none)}"
    )


if __name__ == "__main__":
    main()
