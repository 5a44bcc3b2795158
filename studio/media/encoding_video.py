"""Write MP4, MOV and WebM with libav's encoders: one stream of pictures, exactly one packet of time for each frame.

Colours are BT.709, limited range, and tagged so. Threads and settings are fixed, so the same frames give the same bytes.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from studio.media.encoding_job import Job, encoder_errors
from studio.media.encoding_kinds import KINDS, encoder_of
from studio.media.encoding_sound import SoundTrack
from studio.media.film_colors import CAREFUL, LIMITED, MATRIX_709
from studio.media.film_marks import film_tags, mp4_box
from studio.media.pixels import ImageArray

THREADS = 4
"""Of the encoder. It is fixed because x264 and VP9 give other bytes with another number."""
_KEYFRAME_SECONDS = 2
_BT709 = 1
_UP_TO_AVX2 = "MMX2,SSE2,SSSE3,SSE4.2,AVX,FMA3,BMI2,AVX2"
_ERRORS_ONLY = "1"
"""Without it SVT-AV1 prints its settings on every run; there is no other way to tell it."""
_THREADS = Path("/proc/self/task")


class VideoSink:
    """Encode frames into a container as they come."""

    def __init__(self, job: Job) -> None:
        """Open the container and write nothing yet."""
        self._job, self._kind = job, KINDS[job.format.kind]
        self._end, self._is_closed, self._has_packets = Fraction(0), False, False
        self._durations: dict[int, int] = {}
        self._is_even = job.tick == 1 / job.rate
        self._reformatter = VideoReformatter()
        with encoder_errors(job.target.name):
            options = {"fflags": "+bitexact"} | ({"movflags": "+faststart"} if self._kind.container != "webm" else {})
            self._container = av.open(f"file:{job.part.resolve()}", "w", format=self._kind.container, container_options=options)
            self._container.metadata.update(film_tags(composite=job.composite, recipe=self._tagged_recipe(), summary=job.summary))
            self._stream = self._add_stream()
            self._sound = SoundTrack(job, self._container, self._kind.container) if job.sound is not None else None

    def write(self, image: ImageArray, begin: Fraction, end: Fraction) -> None:
        """Encode one frame."""
        with encoder_errors(self._job.target.name):
            frame = self._frame(image)
            frame.pts, frame.time_base = round(begin / self._job.tick), self._job.tick
            self._durations[frame.pts] = round(end / self._job.tick) - frame.pts
            self._end = end
            with contextlib.nullcontext() if self._stream.codec_context.is_open else ordinary_priority():
                packets = self._stream.encode(frame)
            self._mux(packets)
            if self._sound is not None:
                self._sound.advance(end)

    def finish(self) -> None:
        """Write what the encoder holds back, the rest of the sound and the index."""
        with encoder_errors(self._job.target.name):
            rest = list(self._stream.encode(None))
            if self._job.format.kind == "h265" and not self._has_packets:
                _redate(rest)
            self._mux(rest)
            if self._sound is not None:
                self._sound.finish(self._end)
            self.close()
        if self._kind.container != "webm":
            with self._job.part.open("ab") as file:
                file.write(mp4_box(composite=self._job.composite, recipe=self._job.recipe))

    def close(self) -> None:
        """Close the container and the source of the sound."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._container.close()
        finally:
            if self._sound is not None:
                self._sound.close()

    def _tagged_recipe(self) -> str | None:
        return self._job.recipe if self._kind.container == "webm" else None

    def _add_stream(self) -> Any:
        job = self._job
        stream: Any = self._container.add_stream(encoder_of(job.format.kind), rate=job.rate)
        context = stream.codec_context
        context.width, context.height = self._size()
        context.pix_fmt = self._pixel_format()
        context.time_base = job.tick
        context.thread_count = THREADS
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = LIMITED
        context.sample_aspect_ratio = Fraction(1)
        if self._kind.crf is not None:
            context.gop_size = max(12, round(job.rate * _KEYFRAME_SECONDS))
        context.options = self._options()
        if job.format.kind == "h265":
            context.codec_tag = "hvc1"
        if job.format.kind == "vp9" and job.has_alpha:
            stream.metadata["alpha_mode"] = "1"
        return stream

    def _options(self) -> dict[str, str]:
        """Give the encoder's options: quality, effort, and what keeps its output the same."""
        chosen, kind = self._job.format, self._job.format.kind
        crf = str(self._kind.crf if chosen.crf is None else chosen.crf)
        preset = chosen.preset or self._kind.preset
        if kind == "h264":
            in_order = {} if self._is_even else {"bf": "0"}
            return {"crf": crf, "preset": preset, **in_order, **_repeatable_x264()}
        if kind == "h265":
            return {
                "crf": crf,
                "preset": preset,
                "x265-params": "log-level=none:frame-threads=2:pools=2" + ("" if self._is_even else ":bframes=0"),
            }
        if kind == "av1":
            os.environ.setdefault("SVT_LOG", _ERRORS_ONLY)
            return {"crf": crf, "preset": preset, "svtav1-params": "lp=2"}
        if kind == "vp9":
            alpha = {"auto-alt-ref": "0"} if self._job.has_alpha else {}
            return {"crf": crf, "b": "0", "deadline": "good", "cpu-used": preset, "row-mt": "0", **alpha}
        profile = {"profile": "3"} if kind == "prores" else {"profile": "4", "alpha_bits": "16" if self._job.has_alpha else "0"}
        return {"vendor": "apl0", **profile}

    def _pixel_format(self) -> str:
        chroma = self._job.format.chroma or self._kind.chromas[0]
        letters = "yuva" if self._job.has_alpha and self._kind.has_alpha else "yuv"
        if self._job.format.kind == "vp9" and letters == "yuva":
            chroma = "420"
        return f"{letters}{chroma}p" + ("10le" if self._job.format.kind.startswith("prores") else "")

    def _size(self) -> tuple[int, int]:
        """Give the encoded size: sides even where the chroma is shared between neighbours."""
        width, height = self._job.width, self._job.height
        if self._job.format.kind == "vp9":
            return width, height
        step = 1 if self._job.format.even == "pad" else -1
        if not self._pixel_format().startswith(("yuv444", "yuva444")):
            width = max(2, width + step * (width % 2))
        if self._pixel_format().startswith("yuv420"):
            height = max(2, height + step * (height % 2))
        return width, height

    def _frame(self, image: ImageArray) -> Any:
        """Bring one picture to the encoder's size and colours."""
        width, height = self._size()
        if image.shape[:2] != (height, width):
            extra = [(0, max(0, height - image.shape[0])), (0, max(0, width - image.shape[1])), (0, 0)]
            image = np.pad(image[:height, :width], extra, mode="edge")
        if image.shape[2] == 4 and not self._kind.has_alpha:
            image = image[..., :3]
        source = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgba" if image.shape[2] == 4 else "rgb24")
        frame = self._reformatter.reformat(
            source,
            format=self._pixel_format(),
            dst_colorspace=MATRIX_709,
            dst_color_range=LIMITED,
            interpolation=CAREFUL,
            threads=1,
        )
        frame.color_primaries = frame.color_trc = _BT709
        return frame

    def _mux(self, packets: Any) -> None:
        for packet in packets:
            scale = Fraction(packet.time_base) / self._job.tick
            packet.duration = max(1, round(self._durations.pop(round(packet.pts * scale)) / scale))
            self._container.mux(packet)
            self._has_packets = True


def _redate(packets: list[Any]) -> None:
    """Set the decoding times of a whole film's packets: x265 leaves them undefined where a film has fewer frames than it reorders."""
    in_time = sorted(packet.pts for packet in packets)
    delay = max((shown - packet.pts for shown, packet in zip(in_time, packets, strict=True)), default=0)
    for shown, packet in zip(in_time, packets, strict=True):
        packet.dts = shown - delay


def _repeatable_x264() -> dict[str, str]:
    """Keep x264 off its AVX-512 code, whose macroblock tree reads beyond its rows, so that small films differ from run to run.

    Where numpy does not say what the processor can do, the macroblock tree itself is left out.
    """
    for name in ("numpy._core._multiarray_umath", "numpy.core._multiarray_umath"):
        with contextlib.suppress(ImportError, AttributeError):
            features = importlib.import_module(name).__cpu_features__
            return {"x264-params": f"asm={_UP_TO_AVX2}"} if features.get("AVX512F") else {}
    return {"x264-params": "mbtree=0"}


def real_time_threads() -> set[int]:
    """Return the threads of this process that the kernel always lets go first."""
    if sys.platform != "linux":
        return set()
    found = set()
    for thread in (int(path.name) for path in _THREADS.iterdir()):
        with contextlib.suppress(ProcessLookupError):
            if os.sched_getscheduler(thread) in (os.SCHED_FIFO, os.SCHED_RR):
                found.add(thread)
    return found


@contextlib.contextmanager
def ordinary_priority() -> Iterator[None]:
    """Make ordinary again, at the end, the threads of this process that became real-time meanwhile, new ones and old ones.

    SVT-AV1 makes itself, and whoever calls it, real-time where it may, which is as root, as everything is in a container; a real-time
    thread starves whatever else runs on its core. Linux only; elsewhere nothing is done.
    """
    before = real_time_threads()
    try:
        yield
    finally:
        if sys.platform == "linux":
            for thread in real_time_threads() - before:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
