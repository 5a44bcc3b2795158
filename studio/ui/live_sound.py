"""Sound on the Live tab: what a page hears moves the picture at hand through the sound matrix; OSC comes in beside it.

The page listens (``assets/live_hearing.js``) and sends a few numbers with every request for a picture, never sound. What they do to
a recipe is told in ``studio.live``; recording and snapshots are those of ``camera.py``.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import gradio as gr

from studio import mapping, osc
from studio.errors import StudioError
from studio.live import LiveFlashes, Performance, scaled, with_values
from studio.mapping import Preset
from studio.recipe import Recipe
from studio.recipe_codec import encode
from studio.recipe_film import Film
from studio.ui import animate_film, animate_sound, camera
from studio.ui.context import Answer, Context, endpoint, image_url
from studio.ui.payloads import Fields, NameRequest, Payload, RecipeRequest
from studio.ui.session import Session
from studio.ui.settings import Settings
from studio.ui.widgets import widget
from studio.worker import Priority

PART = "live"
OSC = "osc"
MOST_HEARD = 300
MOST_HANDS = 128
MOST_STILLS = 64
LATEST = 1e7
"""Most seconds of one performance."""
LARGEST = 2.0**33
MOST_SIDE = 1024


@dataclass(frozen=True, slots=True)
class Handles:
    """The widgets of the board."""

    board: gr.HTML


@dataclass(frozen=True, slots=True)
class PlayRequest(Payload):
    """The next picture: what is played, the matrix, what is heard, what hands and knobs say."""

    run: str
    recipe: Recipe
    preset: Preset
    heard: dict[tuple[str, float], float]
    hands: dict[str, float]
    time: float
    size: int
    seen: int
    limits_flashes: bool

    @classmethod
    def read(cls, fields: Fields) -> PlayRequest:
        """Build the request from checked entries."""
        return cls(
            token=fields.identifier("token"),
            run=fields.identifier("run"),
            recipe=fields.recipe(),
            preset=_preset(fields),
            heard={(name, clip): value for name, clip, value in (_heard(entry) for entry in fields.list("heard", longest=MOST_HEARD))},
            hands=dict(_hand(entry) for entry in fields.list("hands", longest=MOST_HANDS, default=())),
            time=fields.number("time", low=0, high=LATEST),
            size=fields.integer("size", low=16, high=4096, default=512),
            seen=fields.integer("seen", low=0, high=2**53, default=0),
            limits_flashes=fields.flag("limits_flashes", default=True),
        )


@dataclass(frozen=True, slots=True)
class PresetRequest(Payload):
    """A matrix to keep, and what to call it."""

    preset: Preset
    label: str

    @classmethod
    def read(cls, fields: Fields) -> PresetRequest:
        """Build the request from checked entries."""
        return cls(token=fields.identifier("token"), preset=_preset(fields), label=fields.text("label", longest=60))


def _preset(fields: Fields) -> Preset:
    """Read a matrix with the checks of presets."""
    try:
        text = json.dumps(fields.mapping("preset"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise StudioError("The matrix holds a value that is not a number.") from error
    return mapping.parse_preset(text)


def _heard(entry: Any) -> tuple[str, float, float]:
    """Read what one feature is at: its name, the percentile that counts as full, and the value."""
    values = Fields({"heard": entry}).list("heard", longest=3)
    if len(values) != 3:
        raise StudioError("heard is not a list of (feature, clip, value).")
    fields = Fields({"feature": values[0], "clip": values[1], "value": values[2]})
    return fields.text("feature", longest=40), fields.number("clip", low=50, high=100), fields.number("value", low=0, high=1)


def _hand(entry: Any) -> tuple[str, float]:
    """Read one number that a hand, a knob or a message set: the path of a value, or a name in ``osc.HANDS``."""
    values = Fields({"hands": entry}).list("hands", longest=2)
    if len(values) != 2:
        raise StudioError("hands is not a list of (path, value).")
    fields = Fields({"path": values[0], "value": values[1]})
    return fields.text("path", longest=100), fields.number("value", low=-LARGEST, high=LARGEST)


@dataclass(slots=True)
class Stage:
    """What is being played for one visitor. Take ``lock`` to go on."""

    run: str = ""
    performance: Performance = field(default_factory=Performance)
    flashes: LiveFlashes = field(default_factory=LiveFlashes)
    last: Recipe | None = None
    size: int = 0
    stills: OrderedDict[str, Recipe] = field(default_factory=OrderedDict)
    messages: float = 0.0
    """Up to when OSC was asked what is heard."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, run: str) -> None:
        """Begin anew when the page did; what was shown can still be kept."""
        if run != self.run:
            self.run, self.performance, self.flashes, self.last = run, Performance(), LiveFlashes(), None

    def remember(self, recipe: Recipe) -> str:
        """Keep the recipe of a picture for a while, by a name that the page can ask for."""
        name = secrets.token_urlsafe(6)
        self.stills[name] = recipe
        while len(self.stills) > MOST_STILLS:
            self.stills.popitem(last=False)
        return name


def build(ctx: Context) -> Handles:
    """Create the board with the functions that it calls."""
    functions = [
        endpoint(ctx, RecipeRequest, desk),
        endpoint(ctx, NameRequest, choose_preset),
        endpoint(ctx, PresetRequest, save_preset),
        endpoint(ctx, PlayRequest, play),
        endpoint(ctx, Payload, listen),
        endpoint(ctx, Payload, rest),
        endpoint(ctx, NameRequest, keep_still),
        endpoint(ctx, camera.FileRequest, camera.keep_recording),
    ]
    return Handles(widget("live", label="Sound", server_functions=functions))


def open_osc(settings: Settings) -> osc.Listener | None:
    """Listen to OSC if that was asked for.

    Raises:
        StudioError: Strangers use this studio, or the port cannot be had.
    """
    if settings.osc_port is None:
        return None
    if settings.public:
        raise StudioError("A public studio does not listen to OSC: anybody could move everybody's pictures. Leave --osc or --public out.")
    return osc.Listener(settings.osc_port, settings.osc_host)


def desk(ctx: Context, session: Session, request: RecipeRequest) -> Answer:
    """Say what the board needs: presets, what can be heard, what can move in the model at hand, and what is allowed."""
    moves: list[dict[str, Any]] = []
    if request.recipe.model.name:
        loaded: Any = ctx.engine.load(request.recipe.model.name)
        moves = animate_film.targets(replace(request.recipe, film=None, restyle=None), loaded.network, loaded.card.classes)
    return {
        **camera.limits(ctx, session, request),
        "presets": animate_sound.preset_menu(),
        "features": animate_sound.feature_menu(),
        "moves": moves,
        "most": camera.PUBLIC_SIDE if ctx.settings.public else MOST_SIDE,
        **listen(ctx, session, request),
    }


def choose_preset(ctx: Context, session: Session, request: NameRequest) -> Answer:
    """Give a preset with every entry present, the form in which the page changes it."""
    preset = mapping.find_preset(request.name)
    return {"preset": asdict(preset), "say": f"{preset.label or preset.name}: {preset.help}"}


def save_preset(ctx: Context, session: Session, request: PresetRequest) -> Answer:
    """Keep the matrix as a preset of one's own, and give it as JSON to share; public servers only give it."""
    named, _ = animate_sound.own_preset(Recipe(film=Film(matrix=request.preset.matrix)), request.label)
    preset = replace(request.preset, name=named.name, label=named.label, help="")
    if not ctx.settings.public:
        mapping.save_preset(preset)
    say = f"{preset.label} goes to your downloads." if ctx.settings.public else f"{preset.label} is among the presets now."
    text = json.dumps(encode(preset), indent=1, ensure_ascii=False)
    return {"name": f"{preset.name}.json", "json": text, "presets": animate_sound.preset_menu(), "preset": asdict(preset), "say": say}


def listen(ctx: Context, session: Session, request: Payload) -> Answer:
    """Say whether OSC is listened to, and what came last."""
    listener = _listener(ctx)
    if listener is None:
        return {"osc": None, "osc_help": osc.HELP}
    news = listener.inbox.news()
    return {"osc": {"host": listener.host, "port": listener.port, "last": news.last, "serial": news.serial}, "osc_help": osc.HELP}


def play(ctx: Context, session: Session, request: PlayRequest) -> Answer:
    """Draw the next picture. ``still`` is its name for a snapshot; ``same`` when nothing moved; ``wait`` on a busy public server."""
    wait = camera.pace(ctx, session)
    if wait:
        return {"wait": wait}
    engine: Any = ctx.engine
    stage = _stage(session)
    side = min(request.size, camera.PUBLIC_SIDE if ctx.settings.public else MOST_SIDE)
    with stage.lock:
        stage.begin(request.run)
        hands, heard, told = _with_osc(ctx, stage, request)
        recipe = _moved(engine, stage, request, hands, heard)
        answer: Answer = {"levels": [round(level, 3) for level in stage.performance.levels], **told}
        if (recipe, side) == (stage.last, stage.size):
            return {**answer, "same": True}
        start = time.perf_counter()
        image = engine.preview(recipe, side)
        milliseconds = (time.perf_counter() - start) * 1000
        if request.limits_flashes:
            image = stage.flashes.take(image, request.time)
        stage.last, stage.size = recipe, side
        answer["still"] = stage.remember(recipe)
    return {**answer, "url": image_url(image), "ms": milliseconds, "device": engine.status().device}


def rest(ctx: Context, session: Session, request: Payload) -> Answer:
    """Let go of the model and of all that goes on; what was shown can still be kept."""
    stage = _stage(session)
    with stage.lock:
        stage.begin("")
    return {}


def _moved(engine: Any, stage: Stage, request: PlayRequest, hands: dict[str, float], heard: dict[tuple[str, float], float]) -> Recipe:
    base = replace(request.recipe, film=None, restyle=None, size=None, precision="auto")
    recipe = with_values(base, {path: value for path, value in hands.items() if path not in osc.HANDS})
    preset = scaled(request.preset, hands.get("amount", 1.0))
    loaded = engine.generator(recipe.model)

    def turn() -> Recipe:
        return stage.performance.play(
            recipe,
            preset,
            heard,
            request.time,
            G=loaded.network,
            places=loaded.place,
            means=loaded.mean,
            pace=hands.get("speed", 1.0),
        )

    moved: Recipe = engine.take_turn(turn, "auto", Priority.PREVIEW)
    return moved


def _with_osc(ctx: Context, stage: Stage, request: PlayRequest) -> tuple[dict[str, float], dict[tuple[str, float], float], Answer]:
    """Join what the page says with what OSC says: of a value the newer counts, of what is heard the louder."""
    hands = {path: _bounded(path, value) for path, value in request.hands.items()}
    heard = dict(request.heard)
    listener = _listener(ctx)
    if listener is None:
        return hands, heard, {}
    news = listener.inbox.news(request.seen)
    values = {path: value for path, (_, value) in news.values.items()}
    levels, stage.messages = listener.inbox.heard(stage.messages)
    for entry in request.preset.matrix:
        if entry.feature in levels:
            key = (entry.feature, entry.envelope.clip)
            heard[key] = max(heard.get(key, 0.0), levels[entry.feature])
    return {**hands, **values}, heard, {"osc": {"serial": news.serial, "last": news.last, "values": values}}


def _bounded(path: str, value: float) -> float:
    low, high = osc.HANDS.get(path, (-LARGEST, LARGEST))
    return min(max(value, low), high)


def keep_still(ctx: Context, session: Session, request: NameRequest) -> Answer:
    """Draw a picture that was shown in full quality; to the gallery and the strip."""
    recipe = _stage(session).stills.get(request.name)
    if recipe is None:
        raise StudioError("This picture is too long ago. Take the snapshot while it plays.")
    return camera.still(ctx, session, RecipeRequest(request.token, recipe))


def _listener(ctx: Context) -> osc.Listener | None:
    listener: osc.Listener | None = ctx.sessions.parts.get(OSC)
    return listener


def _stage(session: Session) -> Stage:
    with session.lock:
        stage: Stage = session.parts.setdefault(PART, Stage())
    return stage
