"""Learning a painting style from the Restyle page: a painting is dropped or chosen, a run of the Train tab begins.

The page watches the run, stops it and opens what it learnt by the functions of the Train tab.
"""

from __future__ import annotations

from dataclasses import dataclass

from studio.training import learn
from studio.ui import train
from studio.ui.context import Answer, Context
from studio.ui.darkroom import darkroom
from studio.ui.payloads import Fields, Payload, uploaded_file
from studio.ui.session import Session

MOST_PAINTINGS = 100
LONGEST = 600.0
"""Minutes."""


@dataclass(frozen=True, slots=True)
class LessonRequest(Payload):
    """Uploaded paintings of one hand, what to call their style, for how many minutes to learn, and the photo to show it on."""

    paths: tuple[str, ...]
    name: str
    minutes: float
    photo: str

    @classmethod
    def read(cls, fields: Fields) -> LessonRequest:
        """Build the request from checked entries."""
        return cls(
            token=fields.identifier("token"),
            paths=tuple(Fields({"path": path}).text("path", longest=4096) for path in fields.list("paths", longest=MOST_PAINTINGS)),
            name=fields.text("name"),
            minutes=fields.number("minutes", low=0.01, high=LONGEST, default=learn.MINUTES),
            photo=fields.identifier("photo", default=""),
        )


def begin_lesson(ctx: Context, session: Session, request: LessonRequest) -> Answer:
    """Start to learn a style in the background; its previews show the photo at hand, or one that ships."""
    paintings = [uploaded_file(ctx.settings.uploads, path) for path in request.paths]
    photo = darkroom(ctx, session).photo(request.photo) if request.photo else None
    learn.begin(
        paintings,
        name=request.name,
        home=train.home(ctx),
        library=ctx.library,
        minutes=request.minutes,
        photo=photo.file if photo is not None and photo.film is None else None,
    )
    return {"name": request.name, "say": f"{request.name} is being learnt. It goes on when this page is closed; Train shows it too."}
