"""How a run is going, in words, with what to do: read from its ticks alone.

These are rules of thumb from StyleGAN2-ADA users' reports and our trials. This is *not* a measurement: see ``metrics.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from studio.training.settings import Tick

COLLAPSE_SHARE = 0.6
"""Diversity below this share of its best so far is called a collapse (40 % lost)."""
CALM = ("The run has not begun.", "The run goes on as it should.")
RECENT = 20
EARLY_KIMG = 20.0
MEMORISING_KIMG = 50.0
FEW_COPIES, MANY_COPIES = 0.02, 0.1
"""Share of samples that are copies: worth a word, worth a warning."""
STALLED, RUNAWAY = 0.02, 30.0
"""Gradients shorter or longer than this many times what was usual are remarkable."""


@dataclass(frozen=True)
class Finding:
    """One thing worth saying; ``is_warning`` asks the user to act."""

    words: str
    is_warning: bool = False


def diagnose(ticks: Sequence[Tick]) -> list[Finding]:
    """Return what the ticks of a run so far tell, the most serious first; an unremarkable run gets one calm sentence."""
    if not ticks:
        return [Finding(CALM[0])]
    checks = (_rollbacks(ticks), _collapse(ticks), _copies(ticks), _gradients(ticks), _signs(ticks), _quality(ticks))
    found = [finding for finding in checks if finding is not None]
    return sorted(found, key=lambda f: not f.is_warning) or [Finding(CALM[1])]


def _series(ticks: Sequence[Tick], name: str) -> list[float]:
    return [tick.values[name] for tick in ticks if name in tick.values]


def _rollbacks(ticks: Sequence[Tick]) -> Finding | None:
    count = sum(tick.kind == "rollback" for tick in ticks)
    if not count:
        return None
    return Finding(f"Numbers left their range {count} times; the run went back each time. If it goes on, halve g_lr and d_lr.", count > 1)


def _collapse(ticks: Sequence[Tick]) -> Finding | None:
    values = _series(ticks, "diversity")
    if len(values) < 3 or values[-1] >= COLLAPSE_SHARE * max(values):
        return None
    lost = 1 - values[-1] / max(values)
    return Finding(
        f"The samples are becoming alike: {lost:.0%} of their diversity is gone. Go back to the best state, or raise r1_gamma.", True
    )


def _copies(ticks: Sequence[Tick]) -> Finding | None:
    values = _series(ticks, "copies")
    if not values or values[-1] < FEW_COPIES:
        return None
    if values[-1] < MANY_COPIES:
        return Finding(
            f"{values[-1]:.0%} of the samples are all but copies of training pictures. More pictures or augment=ada keep it off."
        )
    return Finding(
        f"{values[-1]:.0%} of the samples are all but copies of training pictures: it learns them by heart. "
        "Stop here, or use more pictures, augment=ada, or fewer minutes.",
        True,
    )


def _gradients(ticks: Sequence[Tick]) -> Finding | None:
    values = _series(ticks, "g_grad")
    if len(values) < 3 * RECENT:
        return None
    usual, now = median(values[RECENT:-RECENT]), median(values[-RECENT // 2 :])
    if now < STALLED * usual:
        return Finding("The generator hardly gets a gradient any more: it has stopped learning. Go back to the best state.", True)
    if now > RUNAWAY * usual:
        return Finding(
            "The gradients of the generator are growing fast: it may diverge. Lower g_lr and d_lr if the samples get worse.", True
        )
    return None


def _signs(ticks: Sequence[Tick]) -> Finding | None:
    real, fake = _series(ticks, "real_sign")[-RECENT:], _series(ticks, "fake_sign")[-RECENT:]
    if len(real) < RECENT or sum(real) < 0.95 * RECENT or sum(fake) > -0.95 * RECENT:
        return None
    kimg = ticks[-1].cur_nimg / 1000
    if kimg < EARLY_KIMG:
        return Finding("The discriminator is far ahead. That is usual at the start and passes.")
    if kimg < MEMORISING_KIMG:
        return None
    return Finding("The discriminator knows every picture: it is learning them by heart. Use augment=ada, or more pictures.", True)


def _quality(ticks: Sequence[Tick]) -> Finding | None:
    scores = _series(ticks, "score")
    if len(scores) < 4:
        return None
    if scores[-1] <= min(scores) * 1.05:
        return Finding("The pictures are still getting closer to the real ones.")
    if min(scores[-3:]) > min(scores) * 1.3:
        return Finding(
            "The last states are worse than the best one, which is kept. Stop here, or go on from the best with lower rates.", True
        )
    return None
