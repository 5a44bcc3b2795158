"""The sound files of films: kept under their hash so that a film can be made later, found again, and mixed into one track.

What is heard in them is told in ``hearing``, how they move a film in ``mapping``. Nothing is played here.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from studio import paths
from studio.errors import MediaError
from studio.media import Sound, atomic_write, hash_file, safe_name
from studio.media.mixing import mix_sounds
from studio.recipe_film import Film, SoundRef

Given = Sequence[str | os.PathLike[str]]
MIDI = (".mid", ".midi")
MIX_NAME = "sound.wav"


def sounds_folder() -> Path:
    """Return where sounds are kept."""
    return paths.home_folder() / "sounds"


def refer_to(path: str | os.PathLike[str], *, start: float = 0.0, is_heard: bool = True) -> SoundRef:
    """Describe a sound or MIDI file for a recipe, wherever it lies.

    Raises:
        MediaError: It cannot be read.
    """
    place = Path(path)
    return SoundRef(safe_name(place.name)[:200], hash_file(place), start, is_heard and place.suffix.lower() not in MIDI)


def keep_sound(path: str | os.PathLike[str], name: str = "", folder: Path | None = None) -> SoundRef:
    """Copy a sound or MIDI file to where the studio finds it as long as it lives, and describe it for a recipe.

    Args:
        path: The file.
        name: What the user calls it, when that is not the name of the file.
        folder: Where to; by default where every film of the studio finds it.

    Raises:
        MediaError: It cannot be read, or the disk is full.
    """
    place = Path(path)
    ref = refer_to(place)
    target = (folder or sounds_folder()) / f"{ref.sha256}{place.suffix.lower()[:8]}"
    if not target.exists():
        with place.open("rb") as source, atomic_write(target) as file:
            shutil.copyfileobj(source, file, 1 << 20)
    return SoundRef(safe_name(name or place.name)[:200], ref.sha256, ref.start, ref.is_heard)


def find_sound(ref: SoundRef, given: Given = ()) -> Path:
    """Find the file of a sound: among some that were named, else among those that were kept.

    Args:
        ref: The sound.
        given: Files, and folders in which sounds were kept.

    Raises:
        MediaError: It is not there any more.
    """
    named = [Path(path) for path in given]
    for path in named:
        if path.is_file() and (hash_file(path) == ref.sha256 if ref.sha256 else safe_name(path.name)[:200] == ref.name):
            return path
    for folder in (*(path for path in named if path.is_dir()), sounds_folder()):
        kept = sorted(folder.glob(f"{ref.sha256}.*")) if ref.sha256 else []
        if kept:
            return kept[0]
    raise MediaError(f"The sound {ref.name or ref.sha256[:12] or 'of this film'} is not here any more. Give the file once more.")


def find_sounds(film: Film, given: Given = ()) -> tuple[Path, ...]:
    """Find the files of all sounds of a film, in order.

    Raises:
        MediaError: One is not there any more.
    """
    return tuple(find_sound(ref, given) for ref in film.sounds)


@dataclass(frozen=True, slots=True)
class Heard:
    """The sounds of a film: their files and what is heard in each."""

    files: tuple[Path, ...]
    found: tuple[Any, ...]


def hear_all(film: Film, given: Given = ()) -> Heard:
    """Find and analyse the sounds of a film; those that nothing listens to are only found.

    Raises:
        MediaError: One is missing or damaged.
    """
    files = find_sounds(film, given)
    wanted = {entry.sound for entry in film.matrix}
    if not wanted & set(range(len(files))):
        return Heard(files, (None,) * len(files))
    from studio.hearing import hear

    return Heard(files, tuple(hear(path) if index in wanted else None for index, path in enumerate(files)))


def sound_of(film: Film, files: Sequence[Path], folder: Path) -> Sound | None:
    """Return what is heard in a film: its one sound as it is, or a mix of several made in ``folder``; None is silence.

    Raises:
        MediaError: A sound cannot be read, or the disk is full.
    """
    parts = [(path, ref.start) for path, ref in zip(files, film.sounds, strict=True) if ref.is_heard and path.suffix.lower() not in MIDI]
    if not parts:
        return None
    if len(parts) == 1 and parts[0][1] >= 0:
        return Sound(parts[0][0], start=Fraction(parts[0][1]).limit_denominator(1_000_000))
    mixed = folder / MIX_NAME
    mix_sounds(parts, float(film.count / film.rate), mixed)
    return Sound(mixed)
