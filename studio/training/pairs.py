"""Paired pictures for pix2pix: each pair becomes one picture of six channels, source first, so that whatever happens to it happens to both.

Pairs come as two places with the same file names (folders or zips; suffixes may differ), as one folder with sub-folders ``A`` and ``B``,
or as one folder of pictures, twice as wide as high or wider, with the source in the left half and the result in the right one ("AB").
What has no partner, does not fit its partner or cannot be read is reported, not fatal. Duplicates stay: many outlines may be the outline
of one empty page.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from studio import paths
from studio.errors import TrainingError
from studio.training.crops import square_crop
from studio.training.data import Pictures, Problems, UInt8, block_key, fit, open_block, read_pixels, write_block
from studio.training.sources import Source, find_sources

SIDES = ({"a", "b"}, {"traina", "trainb"})
"""Names of two sub-folders that hold the two sides of the pairs."""
ASPECT_TOLERANCE = 0.03
"""By how much the aspects of two partners may differ; they are brought to one size."""
SIDE_BY_SIDE = 1.9
"""Widths to a height from which on a picture is taken for two. Ordinary photos are up to 1.78; upright pairs need two folders."""
INSTEAD = "or train cyclegan or cut, which need no pairs"


@dataclass(frozen=True)
class Pair:
    """One pair before it is read: its name, and how to read both sides."""

    name: str
    read: Callable[[], tuple[UInt8, UInt8]]


def prepare_pairs(
    first: Sequence[Path],
    second: Sequence[Path],
    *,
    resolution: int,
    direction: str = "AtoB",
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Pictures:
    """Decode and store pairs once; the next call with the same files opens them at once.

    Args:
        first: Folders or zips of the first side, or of whole pairs.
        second: Those of the second side; empty when ``first`` holds both.
        resolution: The shorter side of the stored pictures.
        direction: ``AtoB`` puts the first side (the left half) into the first three channels, ``BtoA`` the second.
        cache: Folder for the decoded block; None uses the studio's cache folder.
        progress: Called with (done, total) now and then; what it raises ends the decoding.

    Raises:
        TrainingError: A folder is missing or empty, or there is not one pair.
    """
    a, b = _both_sides(first, second)
    options = {"resolution": resolution, "crop": "pairs", "direction": direction}
    stem = (cache or paths.cache_folder() / "training") / block_key([*((s, 0) for s in a), *((s, 1) for s in b)], **options)
    if not stem.with_suffix(".json").exists():
        problems: Problems = {"broken": [], "duplicates": []}
        pairs = _pairs(a, b, problems)
        decoded = _decode(pairs, problems, resolution=resolution, is_turned=direction == "BtoA")
        try:
            write_block(stem, decoded, problems, total=len(pairs), progress=progress)
        except TrainingError as error:
            if not problems["broken"]:
                raise
            raise _none_at_all(problems, is_two_sided=bool(b)) from error
    return open_block(stem, 6)


def preview_pairs(first: Sequence[Path], second: Sequence[Path], *, resolution: int, most: int) -> tuple[int, UInt8]:
    """Decode a few pairs, spread over all of them, without storing anything.

    Returns:
        The number of pairs, and their middle squares ``[n, resolution, resolution, 6]``.

    Raises:
        TrainingError: As :func:`prepare_pairs`.
    """
    a, b = _both_sides(first, second)
    problems: Problems = {"broken": [], "duplicates": []}
    pairs = _pairs(a, b, problems)
    chosen = [pairs[int(i)] for i in np.linspace(0, len(pairs) - 1, min(most, len(pairs)))]
    images = [square_crop(pixels, "centre") for pixels, _, _ in _decode(chosen, problems, resolution=resolution, is_turned=False)]
    if not images:
        raise _none_at_all(problems, is_two_sided=bool(b))
    return len(pairs), np.stack(images)


def _both_sides(first: Sequence[Path], second: Sequence[Path]) -> tuple[list[Source], list[Source]]:
    """Return the sources of either side; the second is empty where whole pairs lie side by side."""
    a, b = (_sources(places) if places else [] for places in (first, second))
    return (a, b) if second else _split_sides(a)


def _pairs(a: list[Source], b: list[Source], problems: Problems) -> list[Pair]:
    return _match(a, b, problems) if b else [_halves(source) for source in a]


def _none_at_all(problems: Problems, *, is_two_sided: bool) -> TrainingError:
    name, reason = problems["broken"][0]
    return TrainingError(f"pix2pix needs pairs, but there is not one ({name}: {reason}). {_advice(is_two_sided)}")


def _sources(places: Sequence[Path]) -> list[Source]:
    return [source for source, _ in find_sources([place.resolve() for place in places])[0]]


def _split_sides(sources: list[Source]) -> tuple[list[Source], list[Source]]:
    """Part the sources of one place into its two sides where it has them as sub-folders, else leave them together."""
    groups = sorted({source.group for source in sources})
    if {group.lower() for group in groups} not in SIDES:
        return sources, []
    a, b = ([replace(source, group="") for source in sources if source.group == group] for group in groups)
    return a, b


def _advice(is_two_sided: bool) -> str:
    if is_two_sided:
        return f"Give both pictures of a pair the same name and shape, {INSTEAD}."
    return f"Give two folders with the same file names, or one whose pictures show the pair side by side, {INSTEAD}."


def _match(a: list[Source], b: list[Source], problems: Problems) -> list[Pair]:
    """Bring the sources of two sides together by name.

    Raises:
        TrainingError: No name is on both sides.
    """
    sides = [_by_name(side, problems) for side in (a, b)]
    shared = [name for name in sides[0] if name in sides[1]]
    if not shared:
        raise TrainingError(
            f"pix2pix needs pairs, but none of the {len(a)} pictures of the first side has a partner of its name among the {len(b)} of "
            f"the second ({a[0].name} has none). {_advice(is_two_sided=True)}"
        )
    for side, other in (sides, sides[::-1]):
        problems["broken"] += [(source.name, "no partner of this name") for name, source in side.items() if name not in other]
    return [_two_files(sides[0][name], sides[1][name]) for name in shared]


def _by_name(sources: list[Source], problems: Problems) -> dict[str, Source]:
    """Return sources by sub-folder and name without its suffix, in order; of two with one name the first counts."""
    found: dict[str, Source] = {}
    for source in sources:
        name = f"{source.group}/{PurePosixPath(source.name).stem}"
        if name in found:
            problems["duplicates"].append((source.name, found[name].name))
        else:
            found[name] = source
    return found


def _read(source: Source) -> UInt8:
    with source.open() as file:
        return read_pixels(file, 3)


def _two_files(a: Source, b: Source) -> Pair:
    def read() -> tuple[UInt8, UInt8]:
        first, second = _read(a), _read(b)
        (height, width), (other_height, other_width) = first.shape[:2], second.shape[:2]
        ratio = (width / height) / (other_width / other_height)
        if max(ratio, 1 / ratio) > 1 + ASPECT_TOLERANCE:
            raise OSError(f"{width} x {height} and {other_width} x {other_height} are of different shape")
        return first, second

    return Pair(a.name, read)


def _halves(source: Source) -> Pair:
    def read() -> tuple[UInt8, UInt8]:
        both = _read(source)
        height, width = both.shape[:2]
        if width < SIDE_BY_SIDE * height:
            raise OSError(f"{width} x {height} is not twice as wide as high, so it holds no two pictures side by side")
        return both[:, : width // 2], both[:, width - width // 2 :]

    return Pair(source.name, read)


def _decode(pairs: Sequence[Pair], problems: Problems, *, resolution: int, is_turned: bool) -> Iterator[tuple[UInt8, int, int]]:
    for pair in pairs:
        try:
            a, b = pair.read()
        except OSError as error:
            problems["broken"].append((pair.name, str(error)))
            continue
        first, second = (b, a) if is_turned else (a, b)
        source = fit(first, resolution=resolution, crop="none")
        size = (source.shape[1], source.shape[0])
        partner = np.asarray(Image.fromarray(np.ascontiguousarray(second)).resize(size, Image.Resampling.LANCZOS))
        yield np.concatenate([source, partner], 2), 0, min(*a.shape[:2], *b.shape[:2])
