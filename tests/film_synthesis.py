"""Small films and sounds made on the spot: a square that moves over a gradient, and a tone that is never silent."""

import struct
from fractions import Fraction

import av
import numpy as np

WIDTH, HEIGHT = 64, 48


def square_film(n=12, *, width=WIDTH, height=HEIGHT, has_alpha=False):
    """Frames of a square that moves two pixels a frame; no two are alike."""
    y, x = np.mgrid[:height, :width]
    frames = []
    for index in range(n):
        image = np.dstack([x * 200 // width, y * 200 // height, np.full((height, width), index * 60 // n)]).astype(np.uint8)
        left = 2 * index % (width - 16)
        image[10:26, left : left + 16] = (240, 40, 40)
        if has_alpha:
            alpha = np.zeros((height, width), np.uint8)
            alpha[10:26, left : left + 16] = 255
            image = np.dstack([image, alpha])
        frames.append(image)
    return frames


def write_tone(path, seconds, *, codec="aac", rate=48_000, hertz=440):
    """A stereo tone at half volume in any container."""
    count = int(seconds * rate)
    wave = (0.5 * np.sin(2 * np.pi * hertz * np.arange(count) / rate)).astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.codec_context.layout = "stereo"
        stream.codec_context.open()
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        context = stream.codec_context
        resampler = av.AudioResampler(format=context.format, layout="stereo", rate=rate, frame_size=context.frame_size or 1024)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


def write_raw(path, frames, *, rate=24, stamps=None, codec="libx264", pixel_format="yuv444p", options=None, settings=None, reformat=None):
    """A film written with PyAV alone, as another program would; ``stamps`` are in milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {"crf": "1", "preset": "ultrafast"})
        context = stream.codec_context
        context.height, context.width = frames[0].shape[:2]
        context.pix_fmt = pixel_format
        context.time_base = Fraction(1, 1000) if stamps else Fraction(1) / Fraction(rate)
        for name, value in (settings or {}).items():
            setattr(context, name, value)
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgba" if image.shape[2] == 4 else "rgb24")
            frame = frame.reformat(format=pixel_format, **(reformat or {}))
            frame.pts, frame.time_base = (stamps or range(len(frames)))[index], context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def turn_mp4(path, matrix):
    """Write another display matrix (a, b, c, d) into the track header of an MP4."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 4 + 20 + 16
    a, b, c, d = (value << 16 for value in matrix)
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def packets(path, kind="audio"):
    """The bytes of every packet of a stream, in order."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


def samples(path):
    """The decoded sound, ``[channels, n]``, and its rate."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp")
        parts = [part.to_ndarray() for frame in container.decode(stream) for part in resampler.resample(frame)]
        return np.concatenate(parts, axis=1), stream.codec_context.sample_rate
