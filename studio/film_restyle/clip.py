"""A range of a film: its frames with their exact times, where its shots begin, and single frames out of it.

This is *not* how a file is decoded (``media.read_film``).
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from studio.errors import MediaError
from studio.media import FilmFrame, ImageArray, hash_file, probe_film, read_film
from studio.restyle.shots import ShotFinder


class Clip:
    """A film from ``start`` to ``end`` seconds. It must be looked through once before it can be drawn.

    Raises:
        MediaError: It is no film, it is damaged, or the range is empty.
    """

    def __init__(self, path: str | os.PathLike[str], start: float = 0.0, end: float | None = None) -> None:
        self.path = Path(path)
        self.facts = probe_film(path)
        self.start, self.end = Fraction(repr(float(start))), None if end is None else Fraction(repr(float(end)))
        self.sha256 = hash_file(self.path)
        self.note = ""
        self.count = 0
        self.cuts: list[int] = []
        self._times: list[tuple[Fraction, Fraction]] = []
        self._read().close()  # type: ignore[attr-defined]

    def look(self) -> Iterator[int]:
        """Decode the range once: count its frames and find its shots.

        Yields:
            The number of frames seen so far.

        Raises:
            MediaError: No frame can be read.
        """
        finder, times = ShotFinder(), list[tuple[Fraction, Fraction]]()
        with closing(self._read()) as frames:  # type: ignore[type-var]
            try:
                for frame in frames:
                    times.append((frame.time, frame.duration))
                    finder.add(frame.image)
                    yield len(times)
            except MediaError as error:
                if not times:
                    raise
                self.note = f"{error} What is before that was restyled."
        if not times:
            raise MediaError(f"{self.facts.name} has no frames between these times. Choose another range.")
        self.count, self.cuts, self._times = len(times), finder.cuts, times

    @property
    def about(self) -> int:
        """How many frames there will be: exact once it was looked through."""
        return self.count or max(1, round(self.seconds * self.facts.rate))

    @property
    def seconds(self) -> Fraction:
        """How long the range lasts."""
        if self._times:
            return sum(self._times[-1]) - self._times[0][0]
        whole = self.facts.duration
        return (whole if self.end is None else min(self.end, whole)) - self.start

    @property
    def rate(self) -> Fraction | None:
        """The frame rate; None where every frame has its own time."""
        return None if self.facts.is_variable else self.facts.rate

    def frames(self) -> Iterator[FilmFrame]:
        """Give the frames in order, as many as were counted."""
        with closing(self._read()) as frames:  # type: ignore[type-var]
            yield from islice(frames, self.count)

    def frame(self, index: int) -> ImageArray:
        """Return one frame, ``[H, W, 3]``, on its own."""
        time, duration = self._times[index]
        with closing(read_film(self.path, start=time + duration / 2, facts=self.facts)) as frames:  # type: ignore[type-var]
            found = next(iter(frames))
        return split(found.image)[0]

    def shot_of(self, index: int) -> tuple[int, int]:
        """Return the first frame of the shot that a frame is in, and that of the next shot."""
        place = bisect.bisect_right(self.cuts, index)
        return self.cuts[place - 1], self.cuts[place] if place < len(self.cuts) else self.count

    def _read(self) -> Iterator[FilmFrame]:
        return read_film(self.path, start=self.start or None, end=self.end, facts=self.facts)


def split(image: ImageArray) -> tuple[ImageArray, ImageArray | None]:
    """Split a frame into colour ``[H, W, 3]`` and opacity ``[H, W]``, if it has any."""
    if image.shape[2] == 3:
        return image, None
    return np.ascontiguousarray(image[..., :3]), np.ascontiguousarray(image[..., 3])
