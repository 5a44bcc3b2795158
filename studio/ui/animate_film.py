"""What the Animate tab does to a film as data: a route through pictures, a picture as a keyframe, what can move and its words.

Pure functions on recipes; they know neither the page nor the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from studio.errors import RecipeError, StudioError
from studio.recipe import Latent, Recipe
from studio.recipe_film import Film, Keyframe, Lane, LatentKey, LatentLane
from studio.recipe_paths import animatable, get_value
from studio.timeline.lanes import lane_value

PLACE = "latent"
SECONDS_PER_PICTURE = 3.0
SAME_TIME = 1e-3
MAX_CLASS_TARGETS = 64

WORDS = {
    "truncation.psi": "Psi",
    "truncation.cutoff": "Cutoff",
    "noise.strength": "Noise strength",
    "noise.seed": "Noise seed",
    "noise.mode": "Noise kind",
    "transform.translate_x": "Move right",
    "transform.translate_y": "Move down",
    "transform.rotate": "Turn",
    "transform.scale": "Scale",
    "view.zoom": "Camera zoom",
    "view.x": "Camera right",
    "view.y": "Camera down",
    "view.rotate": "Camera turn",
    "view.contrast": "Contrast",
    "view.flash": "Light",
    "latent.pulse": "Place, push",
    "latent.speed": "Place, speed",
    "latent": "Place",
}
ONLY_SOUND = {
    "latent.pulse": "sound pushes the place out and back",
    "latent.speed": "sound makes the way through the places faster",
    "latent": "sound goes on to the next place (trigger) or pulls towards one",
}


def route(pictures: Sequence[tuple[Recipe, Latent]], film: Film | None = None) -> Recipe:
    """Make a looping film that goes through pictures in even steps; sounds, matrix and rate of ``film`` stay.

    Args:
        pictures: Recipes of one model, each with the place that it is at.
        film: The film that was there before.

    Raises:
        StudioError: There is no picture, or they are of several models.
    """
    if not pictures:
        raise StudioError("Choose at least one picture to go through.")
    first = pictures[0][0]
    if any(recipe.model.name != first.model.name for recipe, _ in pictures):
        raise StudioError("These pictures are of different models. A film goes through pictures of one.")
    count = len(pictures)
    old = film or Film()
    seconds = old.seconds if film is not None and film.sounds else max(2.0, SECONDS_PER_PICTURE * count)
    times = [round(number * seconds / count, 6) for number in range(count)]
    keys = tuple(LatentKey(time, latent) for time, (_, latent) in zip(times, pictures, strict=True))
    way = LatentLane(PLACE, "spline" if count > 1 else "noise", keys)
    values = [recipe.truncation.psi for recipe, _ in pictures]
    lanes = tuple(lane for lane in old.lanes if lane.target != "truncation.psi")
    if len(set(values)) > 1:
        lanes = (*lanes, Lane("truncation.psi", tuple(Keyframe(time, value) for time, value in zip(times, values, strict=True))))
    return replace(bare(first), film=replace(old, seconds=seconds, loop=True, latents=(way,), lanes=lanes))


def add_state(recipe: Recipe, state: Recipe, latent: Latent, time: float) -> Recipe:
    """Put a picture into a film at a moment: its place as a keyframe, and every other value in which it differs.

    A value that did not move until now gets keyframes with what it was at the other places, so that only this moment changes.

    Args:
        recipe: The film; without places yet, it takes all of the picture.
        state: The picture.
        latent: Its place.
        time: Seconds.

    Raises:
        StudioError: The picture is of another model.
    """
    if state.model.name != recipe.model.name:
        raise StudioError(f"This film is of the model {recipe.model.name}, the picture is of {state.model.name}.")
    film = recipe.film or Film()
    time = min(max(time, 0.0), film.seconds)
    lane = next((lane for lane in film.latents if lane.target == PLACE), LatentLane(PLACE))
    others = tuple(key for key in lane.keys if abs(key.time - time) > SAME_TIME)
    if not others:
        recipe = replace(bare(state), film=film)
    keys = tuple(sorted((*others, LatentKey(time, latent)), key=lambda key: key.time))
    path = "spline" if len(keys) > 1 and lane.path in ("noise", "walk") else lane.path if len(keys) > 1 else "noise"
    places = (replace(lane, keys=keys, path=path), *(other for other in film.latents if other.target != PLACE))
    lanes = _with_values(recipe, film, state, time, tuple(key.time for key in others))
    return replace(recipe, film=replace(film, latents=places, lanes=lanes))


def _with_values(recipe: Recipe, film: Film, state: Recipe, time: float, elsewhere: Sequence[float]) -> tuple[Lane, ...]:
    lanes = {lane.target: lane for lane in film.lanes}
    period = film.seconds if film.loop else None
    for path in animatable(recipe):
        if path.split(".")[0] in (PLACE, "mixing", "blends", "restyle") or path.startswith("truncation.center"):
            continue
        try:
            value = get_value(state, path)
        except RecipeError:
            continue
        usual = get_value(recipe, path)
        lane = lanes.get(path)
        if lane is not None and lane.keys:
            if abs(lane_value(lane.keys, time, period) - value) < 1e-6 and len(lane.keys) > 1:
                continue
            keys = [key for key in lane.keys if abs(key.time - time) > SAME_TIME]
        elif abs(value - usual) < 1e-9:
            continue
        else:
            keys = [Keyframe(moment, usual) for moment in elsewhere]
        lanes[path] = Lane(path, tuple(sorted((*keys, Keyframe(time, value)), key=lambda key: key.time)))
    return tuple(lanes.values())


def bare(recipe: Recipe) -> Recipe:
    """Return a picture's recipe without what was mixed and blended in, which its place already holds."""
    return replace(recipe, mixing=(), blends=(), restyle=None, film=None)


def targets(recipe: Recipe, network: Any, classes: Sequence[str] = ()) -> list[dict[str, Any]]:
    """List what can move in a film of a model: path, words, range, usual value; ``kind`` tells what only sound can move."""
    found: list[dict[str, Any]] = []
    for path, bounds in animatable(recipe).items():
        part = path.split(".")[0]
        if part == PLACE or path.startswith("truncation.center") or part == "restyle":
            continue
        if (part == "noise" and not network.has_noise) or (part == "transform" and not network.has_transform):
            continue
        high = min(bounds.high or 0, network.num_ws) if path == "truncation.cutoff" else bounds.high
        found.append(
            _target(path, WORDS.get(path, path.replace(".", " ")), bounds.low, high, bounds.help, get_value(recipe, path), bounds.choices)
        )
    for number in range(min(network.c_dim, MAX_CLASS_TARGETS)):
        path = f"latent.classes.{number}"
        name = classes[number] if number < len(classes) else f"kind {number}"
        found.append(_target(path, name, 0.0, 1.0, f"how much of {name}", get_value(recipe, path)))
    for path, text in ONLY_SOUND.items():
        found.append({**_target(path, WORDS[path], 0.0, 1.0, text, 0.0), "kind": "sound"})
    return found


def _target(
    path: str, label: str, low: float | None, high: float | None, text: str, value: float, choices: Sequence[str] = ()
) -> dict[str, Any]:
    ends = (0, len(choices) - 1) if choices else (low, high)
    words = {"path": path, "label": label, "help": text, "kind": "number"}
    return {**words, "low": ends[0], "high": ends[1], "value": value, "choices": list(choices)}
