"""Which discriminator learns most in the same time? One training for each, on the same pictures, measured alike.

``python -m studio.training compare DATA OUT MINUTES [NAME ...]`` trains what is not there yet, one thread and so many minutes of
processor time each, and prints the table. Several such processes may share OUT. It is how the defaults were chosen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from studio.errors import TrainingError
from studio.media.files import atomic_write
from studio.training import presets
from studio.training.evaluation import evaluate
from studio.training.export import networks, read_run
from studio.training.loop import train
from studio.training.settings import Settings

FREE: Mapping[str, Any] = {"d_lr": 0.001, "blur_init_sigma": 0.0, "style_mixing": 0.9, "diversity_weight": 0.0}
PLAIN: Mapping[str, Any] = {"discriminator": "projected", "diversity_weight": 0.0}
ENTRIES: dict[str, tuple[str, Mapping[str, Any]]] = {
    f"{family}-{name}": (family, changes)
    for family in ("stylegan2", "fastgan")
    for name, changes in {
        "strided": {"discriminator": "strided"},
        "residual": {"discriminator": "residual"},
        "projected-free": {**PLAIN, **FREE},
        "projected": PLAIN,
        "projected-twice": {**PLAIN, "feature_side": 128},
        "projected-plain": {**PLAIN, "plain_share": 0.2},
        "projected-diverse": {"discriminator": "projected", "diversity_weight": 5.0},
        "projected-no-norm": {**PLAIN, "judge_norm": False},
        "projected-batch": {**PLAIN, "batch": 32},
    }.items()
}
"""Name -> family and what differs from 64 px, batch 16 and the family's own numbers."""
COLUMNS = {
    "kimg": "pictures (thousand)",
    "fd_lite0": "FD-Lite0",
    "kid_lite0": "KID-Lite0",
    "random_feature_kid": "random-feature KID",
    "diversity_within": "diversity within a class",
    "diversity": "diversity",
}


def settings_of(name: str, data: Path, out: Path, minutes: float) -> Settings:
    """Return the settings of one entry.

    Raises:
        TrainingError: There is no such entry.
    """
    if name not in ENTRIES:
        raise TrainingError(f"There is no entry {name!r}. Use some of: {', '.join(ENTRIES)}.")
    family, changes = ENTRIES[name]
    values = {"resolution": 64, "batch": 16, "balance": 0.0, "minutes": minutes, "clock": "processor", "save_minutes": minutes / 2}
    return Settings(family, (str(data),), name=name, folder=str(out / name), snapshot_minutes=minutes / 8, **{**values, **changes})


def compare(data: Path, out: Path, minutes: float, names: Sequence[str] = ()) -> Iterator[str]:
    """Train and measure the entries that have no result yet, one after the other; yields what happened, then the table.

    Raises:
        TrainingError: An entry is not known, or the folder holds no pictures.
    """
    torch.set_num_threads(1)
    for name in names or ENTRIES:
        settings = settings_of(name, data, out, minutes)
        result = out / f"{name}.json"
        if result.exists():
            continue
        for tick in train(settings):
            if tick.kind in ("state", "end"):
                yield f"{name}: {tick.seconds / 60:.0f} min, {tick.cur_nimg / 1000:.0f} kimg, {figures(tick.values)}"
            if tick.kind == "stopped":
                return
        with atomic_write(result) as file:
            file.write(json.dumps(_measured(settings), indent=1).encode())
    yield table(out)


def _measured(settings: Settings) -> dict[str, float]:
    """Measure the newest state of a run, and keep its sheet beside the result."""
    folder = Path(settings.folder)
    resolved, tensors, header = read_run(folder)
    G: Any = networks(resolved, tensors, header["scalars"])[""]
    values = evaluate(G, presets.load_pictures(resolved, resolved.data))
    snapshots = sorted((folder / "snapshots").glob("*.png"))
    with Image.open(snapshots[-1]) as sheet, atomic_write(folder.parent / f"{settings.name}.webp") as file:
        sheet.save(file, format="WEBP", quality=90)
    return {"kimg": header["cur_nimg"] / 1000, "minutes": header["seconds"] / 60, **values}


def table(out: Path) -> str:
    """Return the results of a folder as a Markdown table, the best KID in EfficientNet-Lite0's features first."""
    results = {file.stem: json.loads(file.read_text()) for file in sorted(out.glob("*.json"))}
    shown = {key: words for key, words in COLUMNS.items() if any(key in values for values in results.values())}
    lines = ["| training | " + " | ".join(shown.values()) + " |", "|---" * (len(shown) + 1) + "|"]
    for name, values in sorted(results.items(), key=lambda item: float(item[1]["kid_lite0"])):
        lines.append(f"| {name} | " + " | ".join(f"{values[key]:.3g}" if key in values else "" for key in shown) + " |")
    return "\n".join(lines)


def figures(values: Mapping[str, float]) -> str:
    """Say the figures of a tick that the table has columns for."""
    return ", ".join(f"{words} {values[key]:.3g}" for key, words in COLUMNS.items() if key in values)
