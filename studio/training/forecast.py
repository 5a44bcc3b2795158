"""What a run will come to on this device: a few real steps are timed before anyone waits for hours.

The words are a judgement from measured trials, not a promise. Nothing is written to the run's folder.
"""

import time
from dataclasses import dataclass

import psutil
import torch

from studio.training import presets, translator_presets
from studio.training.settings import Settings
from studio.training.trainer import Clock, StepRandom

WARM_UP_STEPS = 1


@dataclass(frozen=True)
class Forecast:
    """Speed and memory as measured, and what they give in the time of the settings."""

    images_per_second: float
    memory_gigabytes: float
    kimg: float
    minutes: float
    words: str


def forecast(settings: Settings, *, steps: int = 4) -> Forecast:
    """Take a few steps with fresh networks on the real pictures, and say what the given time or kimg means here.

    Raises:
        TrainingError: The settings or folders are wrong.
    """
    settings = presets.resolve(settings)
    before = psutil.Process().memory_info().rss
    trainer = presets.build_trainer(settings)
    for step in range(WARM_UP_STEPS):
        trainer.step(StepRandom(settings.seed, 0, step), Clock(step, 0, 0.0))
    started = time.monotonic()
    for step in range(WARM_UP_STEPS, WARM_UP_STEPS + steps):
        trainer.step(StepRandom(settings.seed, 0, step), Clock(step, 0, 0.0))
    speed = steps * trainer.images_per_step / (time.monotonic() - started)
    memory = _memory_used(before)
    kimg = settings.kimg if settings.kimg is not None else speed * presets.require(settings.minutes) * 60 / 1000
    minutes = kimg * 1000 / speed / 60
    return Forecast(speed, max(memory, 0.0), kimg, minutes, describe(settings, kimg))


def _memory_used(before: int) -> float:
    """Return the gigabytes in use since ``before`` (bytes of this process): on a GPU the most that its memory held."""
    on_device = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return float(on_device or psutil.Process().memory_info().rss - before) / 2**30


def describe(settings: Settings, kimg: float) -> str:
    """Say what to expect after ``kimg`` thousand pictures (pairs, for translators), from trials of the same kind.

    Fine-tuned or grown runs are ahead of this; the thresholds hold for runs from scratch with a few thousand pictures.
    """
    if translator_presets.is_own_style(settings):
        stages, best = (
            [(0.1, "the palette of the painting"), (0.4, "its palette and first strokes")],
            "the palette and strokes of the painting",
        )
    elif settings.family in presets.TRANSLATORS:
        stages = [(0.5, "nothing but colour casts"), (3, "the palette and first strokes"), (15, "strokes, with ringing in flat areas")]
        best = "strokes and palette of the target; more time sharpens them"
    else:
        size = (presets.require(settings.resolution) / 128) ** 0.5
        early = [(20, "the composition, blurred"), (60, "recognisable subjects with noise")]
        if settings.discriminator == "projected":
            early = [(15, "clear shapes, all of them alike"), (60, "kinds that differ, few variants of each")]
        all_stages = [(5, "blots of colour"), *early, (400, "clear subjects with some faults")]
        stages = [(kimg_at_128 * size, words) for kimg_at_128, words in all_stages]
        best = "clear, varied pictures, as far as the pictures and the size of the network allow"
    return next((f"Expect {words}." for limit, words in stages if kimg < limit), f"Expect {best}.")
