"""A training run in plain words: counts, lengths of time, where it stands, its numbers. The page and the terminal say the same."""

from collections.abc import Sequence

from studio.training.forecast import Forecast
from studio.training.settings import Settings, Tick

VALUE_WORDS: dict[str, str] = {
    "g_loss": "Generator",
    "d_loss": "Discriminator",
    "cycle": "There and back",
    "identity": "Own kind",
    "nce": "Patches",
    "alike": "Too much alike",
    "smooth": "Unrest",
    "content": "Things kept",
    "style": "Manner",
    "content_measured": "Things kept, measured",
    "style_measured": "Manner, measured",
    "l1": "To the partner",
    "r1": "R1 penalty",
    "r2": "R2 penalty",
    "penalty": "Penalty",
    "path_length": "Path length",
    "judge_a": "Judge of the first kind",
    "judge_b": "Judge of the second kind",
    "augment_p": "Augmentation",
    "random_feature_kid": "Random-feature KID",
    "random_feature_kid_of_photos": "The same of the photos",
    "kid": "KID x 1000",
    "fid": "FID",
    "fd_lite0": "FD-Lite0",
    "kid_lite0": "KID-Lite0",
    "swd": "Sliced Wasserstein",
    "diversity": "Diversity",
    "copies": "Copies",
    "real_sign": "Real ones called real",
    "fake_sign": "Made ones called real",
    "g_grad": "Gradient, generator",
    "d_grad": "Gradient, discriminator",
    "tables_grad": "Gradient, rows of styles",
}


def count(number: float) -> str:
    """Write a number of pictures: 840, 12.3 thousand, 4.1 million."""
    if number < 1000:
        return f"{number:.0f}"
    return f"{number / 1e3:.1f} thousand" if number < 1e6 else f"{number / 1e6:.2f} million"


def duration(seconds: float) -> str:
    """Write a length of time in the two largest units that matter."""
    minutes = round(seconds / 60)
    if seconds < 50:
        return f"{max(1, round(seconds))} seconds"
    if minutes < 60:
        return f"{minutes} minute{'' if minutes == 1 else 's'}"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def forecast_sentence(found: Forecast) -> str:
    """Say what a dry run promises."""
    speed = f"{found.images_per_second:.1f}" if found.images_per_second < 10 else f"{found.images_per_second:.0f}"
    here = f"{speed} pictures a second and {found.memory_gigabytes:.1f} GB of memory here"
    return f"{here}: {count(found.kimg * 1000)} in {duration(found.minutes * 60)}. {found.words}"


def seconds_left(settings: Settings, ticks: Sequence[Tick]) -> float | None:
    """Return how long a run still takes; None when nobody can know yet."""
    last = next((tick for tick in reversed(ticks) if tick.kind == "step"), None)
    if settings.minutes is not None:
        return max(0.0, settings.minutes * 60 - (ticks[-1].seconds if ticks else 0.0))
    if last is None or settings.kimg is None or last.images_per_second <= 0:
        return None
    return max(0.0, (settings.kimg * 1000 - last.cur_nimg) / last.images_per_second)


def sentence(state: str, settings: Settings, ticks: Sequence[Tick]) -> str:
    """Say in one line where a run stands."""
    if state == "preparing":
        return "Reading the pictures and building the networks."
    if not ticks:
        return "Nothing was trained yet."
    seen = f"{count(ticks[-1].cur_nimg)} pictures seen in {duration(ticks[-1].seconds)}"
    if state == "running":
        left = seconds_left(settings, ticks)
        return f"{seen}, {duration(left)} left" if left is not None else seen
    endings = {"stopped": "Continue takes it up again", "interrupted": "its process ended without a word; Continue takes it up again"}
    return f"{seen}; {endings[state]}" if state in endings else seen


def numbers(ticks: Sequence[Tick]) -> list[list[str]]:
    """Return the newest value of everything that the run reports: pairs of name and value."""
    latest: dict[str, float] = {}
    for tick in ticks[-400:]:
        latest |= tick.values
    latest.pop("score", None)
    speeds = [tick.images_per_second for tick in ticks if tick.kind == "step"]
    lines = [["Pictures a second", f"{speeds[-1]:.1f}"]] if speeds else []
    return lines + [[VALUE_WORDS.get(name, name.replace("_", " ")), number(value)] for name, value in latest.items()]


def number(value: float) -> str:
    """Write a figure with as many digits as matter."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.0f}"
