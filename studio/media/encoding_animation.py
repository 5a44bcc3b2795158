"""GIF and APNG with libav: a good palette and dither for the one, every pixel for the other. Frames are never kept.

The palette is libavfilter's ``palettegen`` (median cut over the colours of all frames) and ``paletteuse``.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import av
import av.error
import numpy as np

from studio.errors import MediaError
from studio.media.containers import gif_blocks, png_text_chunks
from studio.media.encoding_job import Job, encoder_errors
from studio.media.pixels import ImageArray

_DITHERS = {"sierra": "sierra2_4a", "floyd": "floyd_steinberg", "bayer": "bayer", "none": "none"}
_SAMPLES = 64
_PIXELS_FOR_COLORS = 1 << 16
"""About as many pixels of a frame as are looked at to choose a palette: more take longer and change nothing to be seen."""
_GIF_TICK = Fraction(1, 100)
_GIF_SIDE = 65_535


def gif_palette(frames: Iterable[ImageArray]) -> ImageArray:
    """Choose the 256 colours that serve a whole film best.

    The first 64 frames are looked at, then every 4th, and from the 1024th on every 16th; none is kept.

    Args:
        frames: uint8 ``[H, W, 3 or 4]``, all of one size.

    Returns:
        uint8 ``[16, 16, 4]``; one place is kept transparent.

    Raises:
        MediaError: There is no frame, or it cannot be read.
    """
    graph: Any = None
    source: Any = None
    with encoder_errors("The GIF"):
        for index, image in enumerate(frames):
            if index % (1 if index < _SAMPLES else 4 if index < 16 * _SAMPLES else 16):
                continue
            step = _step(image)
            image = image[::step, ::step]
            if graph is None:
                graph, (source,) = _graph(image, [("palettegen", "stats_mode=full:reserve_transparent=1")])
            frame = _rgba(image)
            frame.pts = index
            source.push(frame)
        if graph is None:
            raise MediaError("The film has no frames. Nothing was saved.")
        source.push(None)
        palette: ImageArray = np.asarray(graph.pull().to_ndarray(format="rgba"), np.uint8)
        return palette


class GifSink:
    """Write a GIF; frame times are rounded to hundredths of a second so that no error adds up."""

    def __init__(self, job: Job) -> None:
        """Open the file."""
        if max(job.width, job.height) > _GIF_SIDE:
            raise MediaError(f"A GIF holds at most {_GIF_SIDE} pixels a side. Save as WebM or MP4.")
        self._job, self._last = job, -1
        self._durations: dict[int, int] = {}
        self._output = _Output(job, "gif", "pal8", _GIF_TICK, {"loop": str(_gif_loops(job.format.loops)), "final_delay": "-1"})
        self._graph: Any = None
        self._source: Any = None

    def write(self, image: ImageArray, begin: Fraction, end: Fraction) -> None:
        """Reduce one frame to 256 colours and encode it."""
        with encoder_errors(self._job.target.name):
            if self._graph is None:
                self._open_graph(image)
            frame = _rgba(image)
            frame.pts, frame.time_base = max(self._last + 1, round(begin / _GIF_TICK)), _GIF_TICK
            self._last = frame.pts
            self._durations[frame.pts] = max(1, round(end / _GIF_TICK) - frame.pts)
            self._source.push(frame)
            self._pull()

    def finish(self) -> None:
        """Encode what the filters hold back; add mark and recipe before the file's last byte."""
        with encoder_errors(self._job.target.name):
            self._source.push(None)
            self._pull()
            self._output.finish()
        blocks = gif_blocks(composite=self._job.composite, recipe=self._job.recipe, comment=self._job.summary)
        with self._job.part.open("r+b") as file:
            file.seek(-1, 2)
            assert file.read(1) == b";"
            file.seek(-1, 2)
            file.write(blocks + b";")

    def close(self) -> None:
        """Close the file."""
        self._output.close()

    def _open_graph(self, image: ImageArray) -> None:
        dither = _DITHERS[self._job.format.dither] + (":bayer_scale=3" if self._job.format.dither == "bayer" else "")
        if self._job.palette is None:
            step = _step(image)
            filters = [
                ("split", ""),
                ("scale", f"ceil(iw/{step}):ceil(ih/{step}):flags=neighbor"),
                ("palettegen", "stats_mode=single:reserve_transparent=1"),
                ("paletteuse", f"dither={dither}:new=1"),
            ]
            self._graph, (self._source,) = _graph(image, filters)
            return
        self._graph, (self._source, palette) = _graph(image, [("paletteuse", f"dither={dither}")], palette=True)
        frame = _rgba(self._job.palette)
        frame.pts, frame.time_base = 0, _GIF_TICK
        palette.push(frame)
        palette.push(None)

    def _pull(self) -> None:
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            self._output.encode(frame, self._durations.pop(int(frame.pts)))


class ApngSink:
    """Write an animated PNG, lossless; of uneven frames, libav lets the last one stay as long as the one before."""

    def __init__(self, job: Job) -> None:
        """Open the file."""
        self._job = job
        self._output = _Output(job, "apng", "rgba" if job.has_alpha else "rgb24", job.tick, {"plays": str(job.format.loops)})

    def write(self, image: ImageArray, begin: Fraction, end: Fraction) -> None:
        """Encode one frame."""
        with encoder_errors(self._job.target.name):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgba" if self._job.has_alpha else "rgb24")
            frame.pts, frame.time_base = round(begin / self._job.tick), self._job.tick
            self._output.encode(frame, round(end / self._job.tick) - frame.pts)

    def finish(self) -> None:
        """Complete the file; add mark and recipe before its last chunk."""
        with encoder_errors(self._job.target.name):
            self._output.finish()
        chunks = png_text_chunks(composite=self._job.composite, recipe=self._job.recipe, summary=self._job.summary)
        with self._job.part.open("r+b") as file:
            file.seek(-12, 2)
            assert file.read(12)[4:8] == b"IEND"
            file.seek(-12, 2)
            file.write(chunks + struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND")))

    def close(self) -> None:
        """Close the file."""
        self._output.close()


class _Output:
    """One container with one stream of pictures, in libav."""

    def __init__(self, job: Job, name: str, pixel_format: str, tick: Fraction, options: dict[str, str]) -> None:
        with encoder_errors(job.target.name):
            options = {"fflags": "+bitexact", **options}
            self._container = av.open(f"file:{job.part.resolve()}", "w", format=name, container_options=options)
            self._stream: Any = self._container.add_stream(name, rate=job.rate)
            context: Any = self._stream.codec_context
            context.width, context.height, context.pix_fmt = job.width, job.height, pixel_format
            context.time_base, context.thread_count = tick, 1
            if name == "apng":
                context.options = {"compression_level": "3", "pred": "paeth"}
        self._durations: dict[int, int] = {}
        self._tick, self._is_closed = tick, False

    def encode(self, frame: Any, duration: int) -> None:
        """Encode a frame that lasts ``duration`` ticks."""
        self._durations[frame.pts] = duration
        self._mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write the rest and the end of the file."""
        self._mux(self._stream.encode(None))
        self.close()

    def close(self) -> None:
        """Close the container once."""
        if not self._is_closed:
            self._is_closed = True
            self._container.close()

    def _mux(self, packets: Any) -> None:
        for packet in packets:
            stamp = round(packet.pts * Fraction(packet.time_base) / self._tick)
            packet.duration = round(self._durations.pop(stamp) * self._tick / Fraction(packet.time_base))
            self._container.mux(packet)


def _graph(image: ImageArray, filters: list[tuple[str, str]], *, palette: bool = False) -> tuple[Any, list[Any]]:
    """Chain filters after a source of pictures; ``split`` feeds the next filter and, past it, the one after that."""
    graph: Any = av.filter.Graph()
    sources = [graph.add_buffer(width=image.shape[1], height=image.shape[0], format="rgba", time_base=_GIF_TICK)]
    last = sources[0]
    branch = None
    for name, options in filters:
        step = graph.add(name, options)
        if name == "paletteuse" and branch is not None:
            branch.link_to(step, 0, 0)
            last.link_to(step, 0, 1)
        else:
            last.link_to(step, 1 if last is branch else 0, 0)
        branch = step if name == "split" else branch
        last = step
    if palette:
        sources.append(graph.add_buffer(width=16, height=16, format="rgba", time_base=_GIF_TICK))
        sources[1].link_to(last, 0, 1)
    last.link_to(graph.add("buffersink"))
    graph.configure()
    return graph, sources


def _step(image: ImageArray) -> int:
    """Say which pixels serve to choose colours: every one of a small picture, every n-th of a large one."""
    return max(1, round(math.sqrt(image.shape[0] * image.shape[1] / _PIXELS_FOR_COLORS)))


def _rgba(image: ImageArray) -> Any:
    if image.shape[2] == 3:
        image = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgba")


def _gif_loops(plays: int) -> int:
    """Translate how often it plays into GIF's number of repeats (-1: none, 0: for ever)."""
    return {0: 0, 1: -1}.get(plays, plays - 1)
