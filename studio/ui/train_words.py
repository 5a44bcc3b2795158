"""Training in the words of the page: families, states of a run and its two plots; the rest is in ``training/words.py``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from studio.training import presets
from studio.training.diagnosis import CALM, diagnose
from studio.training.settings import Tick
from studio.training.words import VALUE_WORDS, number

MAKES = "Makes pictures"
TURNS = "Turns pictures of one kind into another"
PLOT_POINTS = 160

FAMILY_WORDS: dict[str, tuple[str, str]] = {
    "stylegan2": ("StyleGAN2", "The best pictures and the most to play with. Wants some hundred pictures and hours."),
    "stylegan3": ("StyleGAN3", "Like StyleGAN2, and it can be moved and turned without shimmer. Slower."),
    "fastgan": ("FastGAN", "For few pictures, from about 50, and little time."),
    "dcgan": ("DCGAN (2015)", "The first that learnt from photos. Small and quick."),
    "gan": ("GAN (2014)", "The very first: no convolutions. For 32 pixels and for history."),
    "wgan": ("WGAN (2017)", "Wasserstein distance with clipped weights. For history."),
    "wgan-gp": ("WGAN-GP (2017)", "Wasserstein distance with a gradient penalty: steady, a little soft."),
    "sngan": ("SNGAN (2018)", "Spectral norm: steady with little tuning."),
    "cgan": ("Conditional GAN (2014)", "One network, a class chosen by you: needs sub-folders."),
    "progan": ("Progressive GAN (2018)", "Starts at 4 pixels and grows."),
    "biggan": ("BigGAN (2019)", "Made for many classes: needs sub-folders."),
    "cyclegan": ("CycleGAN", "Photos into paintings and back, without pairs."),
    "cut": ("CUT", "Photos into paintings, one way: quicker than CycleGAN, keeps shapes."),
    "fastcut": ("FastCUT", "Like CUT, freer and quicker."),
    "style": ("Painting styles", "Paintings first, then photos: one small network paints in the manner of each sub-folder."),
    "enlarge": ("Enlarger", "Small pictures into large, crisp ones, learnt from large originals of your kind."),
    "pix2pix": ("pix2pix", "From pairs of pictures that belong together."),
}
"""Title and one line of help, in the order in which they are offered; others follow under their own names."""

LOSSES = ("g_loss", "d_loss", "cycle", "nce", "l1", "judge_a", "judge_b")
QUALITY = ("score", "diversity", "real_sign", "fake_sign")
SERIES_WORDS = {**VALUE_WORDS, "score": "Distance from real"}
STATE_WORDS = {
    "preparing": "Starting",
    "running": "Training",
    "finished": "Finished",
    "stopped": "Stopped",
    "failed": "Ended with an error",
    "interrupted": "Interrupted",
    "new": "Not started",
}


def families() -> list[dict[str, Any]]:
    """Describe every family that can be trained, those with words first and in their order."""
    known = [name for name in FAMILY_WORDS if name in presets.FAMILIES]
    rest = [name for name in presets.FAMILIES if name not in FAMILY_WORDS]
    return [
        {
            "name": name,
            "title": title_of(name),
            "help": FAMILY_WORDS.get(name, ("", ""))[1],
            "group": TURNS if name in presets.TRANSLATORS else MAKES,
            "translates": name in presets.TRANSLATORS,
        }
        for name in known + rest
    ]


def title_of(family: str) -> str:
    """Return a family's name for people."""
    return FAMILY_WORDS.get(family, (family, ""))[0]


def findings(ticks: Sequence[Tick], *, is_live: bool) -> list[dict[str, Any]]:
    """Say how it goes, the most serious first; of a run that stands still only what is remarkable."""
    found = diagnose(ticks)
    remarkable = [finding for finding in found if finding.is_warning or finding.words not in CALM]
    return [{"words": finding.words, "warning": finding.is_warning} for finding in (found if is_live else remarkable)]


def plots(ticks: Sequence[Tick]) -> list[dict[str, Any]]:
    """Return the two plots: losses, and quality with signs; each series as points (thousand pictures, value), and its last value."""
    quality = _plot("Quality and signs", QUALITY, ticks)
    for line in quality["lines"]:
        if line["name"] == SERIES_WORDS["score"] and line["points"]:
            largest = max(abs(y) for _, y in line["points"]) or 1.0
            line["points"] = [[x, y / largest] for x, y in line["points"]]
    return [_plot("Losses", LOSSES, ticks), {**quality, "range": [-1, 1]}]


def _plot(title: str, names: Sequence[str], ticks: Sequence[Tick]) -> dict[str, Any]:
    lines = []
    for name in names:
        points = [[tick.cur_nimg / 1000, tick.values[name]] for tick in ticks if name in tick.values]
        if points:
            lines.append({"name": SERIES_WORDS[name], "points": thinned(points), "last": number(points[-1][1])})
    return {"title": title, "lines": lines}


def thinned(points: list[list[float]], most: int = PLOT_POINTS) -> list[list[float]]:
    """Average neighbours until at most ``most`` points are left; the last one stays as it is."""
    if len(points) <= most:
        return points
    size = -(-len(points) // (most - 1))
    groups = [points[i : i + size] for i in range(0, len(points) - 1, size)]
    return [[sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)] for group in groups] + [points[-1]]
