"""What the Train page may ask, checked: what to train on what, a dropped file, a run and what is wanted of it."""

from __future__ import annotations

from dataclasses import dataclass

from studio.errors import StudioError
from studio.training import presets
from studio.training.settings import Settings
from studio.ui.payloads import Fields, Payload

CROPS = ("smart", "centre", "pad")


@dataclass(frozen=True, slots=True)
class PlanRequest(Payload):
    """What to train on what, as the page's form says it; ``which`` names the set of pictures to look at."""

    settings: Settings
    which: str

    @classmethod
    def read(cls, fields: Fields) -> PlanRequest:
        """Build the request from checked entries."""
        family = fields.text("family")
        if family not in presets.FAMILIES:
            raise StudioError(f"{family} is no family that can be trained.")
        size = fields.integer("resolution", low=0, high=1024, default=0)
        start_from = fields.text("start_from", default="") if family not in presets.TRANSLATORS else ""
        crop = fields.text("crop", default="smart")
        target = fields.text("target", longest=4096, default="")
        is_transparent = fields.flag("transparent") and family not in presets.TRANSLATORS
        settings = Settings(
            family=family,
            data=(fields.text("data", longest=4096, default=""),),
            target=(target,) if target and family in presets.TRANSLATORS else (),
            name=fields.text("name", default="untitled"),
            minutes=fields.number("minutes", low=0.05, high=100_000, default=60.0),
            resolution=None if start_from else size or None,
            start_from=start_from,
            crop=crop if crop in CROPS else None,
            img_channels=4 if is_transparent else 3,
            mirror=fields.flag("mirror", default=True),
            film_rate=fields.number("film_rate", low=0.01, high=120, default=1.0),
            inception=fields.text("inception", longest=4096, default=""),
            tensorboard=True,
        )
        return cls(token=fields.identifier("token"), settings=settings, which=fields.text("which", default="data"))


@dataclass(frozen=True, slots=True)
class GatherRequest(Payload):
    """A dropped file: where the upload lies, and the path that it had."""

    id: str
    path: str
    name: str

    @classmethod
    def read(cls, fields: Fields) -> GatherRequest:
        """Build the request from checked entries."""
        texts = {name: fields.text(name, longest=4096, default="") for name in ("id", "path", "name")}
        return cls(token=fields.identifier("token"), **texts)


@dataclass(frozen=True, slots=True)
class RunRequest(Payload):
    """A run, and what is wanted of it: a snapshot by its step, or more minutes."""

    name: str
    step: int
    minutes: float
    best: bool

    @classmethod
    def read(cls, fields: Fields) -> RunRequest:
        """Build the request from checked entries."""
        return cls(
            token=fields.identifier("token"),
            name=fields.text("name"),
            step=fields.integer("step", low=0, high=2**53, default=0),
            minutes=fields.number("minutes", low=0.05, high=100_000, default=30.0),
            best=fields.flag("best"),
        )
