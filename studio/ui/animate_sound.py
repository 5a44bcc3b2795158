"""Sound on the Animate tab: files taken in, their waveform and beats, curves of what is heard, the matrix's presets."""

from __future__ import annotations

import base64
import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from studio import mapping
from studio.audio import FEATURES, Analysis
from studio.errors import RecipeError, StudioError
from studio.film_render import find_sound, keep_sound
from studio.recipe import Recipe
from studio.recipe_film import Film, SoundRef
from studio.ui.animate_listening import PATIENCE, Listening
from studio.ui.animate_reel import PART, Reel, ears_of
from studio.ui.context import Answer, Context
from studio.ui.jobs_drawer import passing_sounds, queue_of

MAX_POINTS = 4096
WAVE_POINTS = 2048
MAX_BEATS = 4000
MAX_FEATURE_NAMES = 40
MAX_PUBLIC_SOUNDS = 8
FRESH_SECONDS = 600
"""A sound just taken in is left alone for so long."""

NOTE_NAMES = ("C", "C sharp", "D", "D sharp", "E", "F", "F sharp", "G", "G sharp", "A", "A sharp", "B")
FEATURE_WORDS = {
    "rms": "Loudness",
    "low": "Low, level",
    "mid": "Middle, level",
    "high": "High, level",
    "onset": "Onsets",
    "onset_low": "Kicks",
    "onset_mid": "Onsets, middle",
    "onset_high": "Hats",
    "percussive": "Drums, level",
    "percussive_onset": "Drum hits",
    "harmonic": "Melody, level",
    "centroid": "Brightness",
    "beat": "Beats",
    "beat_phase": "Beat, phase",
    "section": "Section",
    "section_change": "New section",
    **{f"chroma.{number}": f"Note {name}" for number, name in enumerate(NOTE_NAMES)},
}
NOTE_WORDS = {"note": "Any note", "velocity": "Velocity", "pitch": "Pitch"}


def feature_menu() -> list[list[str]]:
    """List what can be heard in a sound as (name, words)."""
    return [[name, FEATURE_WORDS.get(name, name)] for name in FEATURES]


def listen(ctx: Context, reel: Reel, path: Path, name: str) -> Answer:
    """Begin to take in a sound or MIDI file, aside; the answer names the work, which :func:`listen_state` follows.

    Raises:
        StudioError: A stranger brought many already.
    """
    if ctx.settings.public and len(reel.sounds) + len(reel.listening) >= MAX_PUBLIC_SOUNDS:
        raise StudioError(f"This server takes {MAX_PUBLIC_SOUNDS} sounds of each visitor. Reload the page to begin anew.")
    path = path.rename(path.with_name(f"sound{Path(name).suffix.lower()[:8]}"))
    work = Listening(path, ears_of(ctx).turns)
    reel.listening[work.id] = work
    work.start(lambda: _keep(ctx, reel, path, name))
    return work.state()


def listen_state(reel: Reel, name: str, *, is_wanted: bool) -> Answer:
    """Say how far the listening is; at its end the answer is the sound's reference for the film, and what is in it.

    Raises:
        StudioError: Nothing by this name is listened to.
    """
    work: Listening | None = reel.listening.get(name)
    if work is None:
        raise StudioError("The studio does not listen to this sound any more. Give the file once more.")
    if not is_wanted:
        work.stopped.set()
    answer = work.state(PATIENCE)
    if answer["done"]:
        reel.listening.pop(name, None)
    return answer


def _keep(ctx: Context, reel: Reel, path: Path, name: str) -> Answer:
    """Keep a sound that was listened to: for good, or a stranger's for as long as anybody here uses it."""
    sweep_sounds(ctx)
    ref = keep_sound(path, Path(name).name, passing_sounds(ctx.settings))
    reel.sounds.add(ref.sha256)
    return {"sound": {"name": ref.name, "sha256": ref.sha256, "start": ref.start, "is_heard": ref.is_heard}, **facts(ctx, ref)}


def sweep_sounds(ctx: Context) -> None:
    """Remove the sounds of strangers who are gone; a film in the making keeps its own."""
    folder = passing_sounds(ctx.settings)
    if folder is None or not folder.is_dir():
        return
    reels = [session.parts.get(PART) for session in ctx.sessions.all()]
    used = {sha256 for reel in reels if isinstance(reel, Reel) for sha256 in reel.sounds}
    coming = [job for job in queue_of(ctx).list() if job.state in ("waiting", "running", "paused")]
    used |= {ref.sha256 for job in coming for recipe in job.recipes if recipe.film for ref in recipe.film.sounds}
    for file in folder.iterdir():
        if file.name.split(".")[0] not in used and time.time() - file.stat().st_mtime > FRESH_SECONDS:
            file.unlink(missing_ok=True)


def facts(ctx: Context, ref: SoundRef) -> Answer:
    """Describe a sound for the page: length, tempo, beats, waveform. ``missing`` when its file is not here."""
    heard = ears_of(ctx).listen(ref)
    if heard is None:
        return {"sha256": ref.sha256, "missing": True, "duration": 0.0}
    if not isinstance(heard, Analysis):
        pitches = sorted({int(pitch) for pitch in heard.notes[:, 2]})[:MAX_FEATURE_NAMES]
        names = [*NOTE_WORDS.items(), *((f"note.{pitch}", f"Note {pitch}") for pitch in pitches)]
        names += [(f"cc.{number}", f"Controller {number}") for number in sorted(heard.controls)[:MAX_FEATURE_NAMES]]
        return {
            "sha256": ref.sha256,
            "duration": heard.duration,
            "tempo": 0,
            "beats": [],
            "wave": "",
            "features": [list(pair) for pair in names],
        }
    return {
        "sha256": ref.sha256,
        "duration": heard.duration,
        "tempo": round(heard.tempo, 1),
        "beats": [round(float(beat), 4) for beat in heard.beats[:MAX_BEATS]],
        "wave": _wave(heard.waveform),
        "features": None,
    }


def _wave(waveform: npt.NDArray[np.float32]) -> str:
    """Pack a waveform ``[n, 2]`` into at most ``WAVE_POINTS`` pairs of signed bytes, base64."""
    count = len(waveform)
    if not count:
        return ""
    edges = np.linspace(0, count, min(count, WAVE_POINTS) + 1).astype(np.int64)[:-1]
    least, most = np.minimum.reduceat(waveform[:, 0], edges), np.maximum.reduceat(waveform[:, 1], edges)
    scale = 127 / max(1e-6, float(np.abs(waveform).max()))
    return base64.b64encode((np.stack([least, most], 1) * scale).clip(-127, 127).astype(np.int8).tobytes()).decode()


def curves(ctx: Context, film: Film) -> list[str]:
    """Return the level of every entry of the matrix over the film, each as base64 of at most ``MAX_POINTS`` bytes (0..255)."""
    return [_packed(level) for level in ears_of(ctx).film_levels(film)]


def _packed(level: npt.NDArray[np.float32]) -> str:
    if len(level) > MAX_POINTS:
        edges = np.linspace(0, len(level), MAX_POINTS + 1).astype(np.int64)[:-1]
        level = np.maximum.reduceat(level, edges)
    return base64.b64encode((level * 255).clip(0, 255).astype(np.uint8).tobytes()).decode()


def sound_file(ctx: Context, reel: Reel, sha256: str) -> Path:
    """Return the file of a sound that the visitor may hear.

    Raises:
        StudioError: It is not here, or another visitor's.
    """
    if ctx.settings.public and sha256 not in reel.sounds:
        raise StudioError("This sound is not here any more. Give the file once more.")
    return find_sound(SoundRef(sha256=sha256), ears_of(ctx).given)


# ---- presets -----------------------------------------------------------------------------------------------------------


def preset_menu() -> list[Answer]:
    """List the presets that can be chosen."""
    own = {path.stem for path in mapping.user_folder().glob("*.json")}
    return [
        {"name": preset.name, "label": preset.label or preset.name, "help": preset.help, "own": name in own}
        for name, preset in mapping.presets().items()
    ]


def use_preset(recipe: Recipe, preset: mapping.Preset, c_dim: int) -> Recipe:
    """Give a film the matrix of a preset, without what its model does not have."""
    return mapping.apply_preset(recipe, preset, c_dim)


def own_preset(recipe: Recipe, label: str) -> tuple[mapping.Preset, str]:
    """Make a preset of a film's matrix, and its JSON.

    Raises:
        StudioError: The name has no letter, or the matrix is empty.
    """
    name = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:60].strip("-")
    if not name:
        raise StudioError("Give the preset a name with letters or digits.")
    film = recipe.film or Film()
    if not film.matrix:
        raise StudioError("The matrix is empty, so there is nothing to save.")
    lane = next((lane for lane in film.latents if lane.target == "latent"), None)
    wanders = lane is not None and lane.path in ("noise", "walk")
    matrix = tuple(entry for entry in film.matrix if entry.sound == 0)
    preset = mapping.Preset(
        name,
        label.strip()[:60],
        "",
        lane.path if lane is not None and wanders else "",
        lane.speed if lane is not None and wanders else 0.25,
        matrix=matrix,
    )
    from studio.recipe_codec import encode

    return preset, json.dumps(encode(preset), indent=1, ensure_ascii=False)


def read_preset(path: Path) -> mapping.Preset | None:
    """Read a dropped JSON file as a preset; None when it is something else."""
    try:
        data: Any = json.loads(path.read_bytes()[: mapping.MAX_PRESET_BYTES + 1])
    except ValueError:
        return None
    if not isinstance(data, dict) or "matrix" not in data:
        return None
    try:
        return mapping.parse_preset(json.dumps(data))
    except RecipeError as error:
        raise StudioError(str(error)) from error
