"""Sounds in: every sample at its place, at any rate, whole or in blocks; broken files are told in one sentence."""

import wave

import av
import numpy as np
import pytest

from studio.errors import MediaError
from studio.media.sounds import read_sound, stream_sound


def write_wav(path, y, sr=22050):
    """Write ``y [channels, n]`` as 16-bit WAV."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(y))
        file.setsampwidth(2)
        file.setframerate(sr)
        file.writeframes((np.clip(y.T, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def tone(seconds, sr, hz=440.0):
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * sr)) / sr)).astype(np.float32)


def write_encoded(path, codec, y, sr):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=sr, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(y), format="fltp", layout="stereo")
        frame.sample_rate = sr
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="stereo", rate=sr, frame_size=stream.frame_size or 4096)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(stream.encode(part))
    return path


def test_a_wav_comes_back_sample_for_sample_with_its_channels(tmp_path):
    y = np.stack([tone(0.3, 22050), -0.5 * tone(0.3, 22050, 880)])
    got, sr = read_sound(write_wav(tmp_path / "a.wav", y))
    assert sr == 22050 and got.shape == y.shape and got.dtype == np.float32
    assert np.abs(got - y).max() < 1 / 16000


@pytest.mark.parametrize(("name", "codec"), [("a.flac", "flac"), ("a.ogg", "libopus"), ("a.mp3", "libmp3lame"), ("a.m4a", "aac")])
def test_what_libav_decodes_is_read_at_its_length_and_pitch(tmp_path, name, codec):
    rate = 48000 if codec == "libopus" else 44100
    got, sr = read_sound(write_encoded(tmp_path / name, codec, np.stack([tone(1.0, rate)] * 2), rate))
    assert sr == rate and len(got) == 2
    assert abs(got.shape[1] / sr - 1.0) < 0.06
    spectrum = np.abs(np.fft.rfft(got[0, 8000:40000]))
    assert np.argmax(spectrum) * sr / 32000 == pytest.approx(440, abs=2)


def test_a_stream_is_mono_at_the_asked_rate_in_blocks_that_join_to_the_whole(tmp_path):
    path = write_wav(tmp_path / "a.wav", np.stack([tone(2.0, 44100), tone(2.0, 44100)]), 44100)
    blocks = list(stream_sound(path, 22050, block_seconds=0.3))
    assert all(len(block) == round(0.3 * 22050) for block in blocks[:-1]) and blocks[0].ndim == 1
    whole = np.concatenate(blocks)
    assert abs(len(whole) - 44100) <= 32
    assert np.array_equal(whole, np.concatenate(list(stream_sound(path, 22050, block_seconds=1.7))))
    assert np.abs(whole[2000:40000] - tone(2.0, 22050)[2000:40000]).max() < 0.05


@pytest.mark.parametrize(
    "content", [b"", b"no sound", b"RIFF\x10\x00\x00\x00WAVEfmt ", b"fLaC" + b"\x00" * 40, b"#EXTM3U\nhttp://127.0.0.1/a.mp3\n"]
)
def test_a_file_that_is_no_sound_is_told_in_one_sentence_with_its_name(tmp_path, content):
    path = tmp_path / "odd.wav"
    path.write_bytes(content)
    for read in (read_sound, lambda file: list(stream_sound(file))):
        with pytest.raises(MediaError, match=r"^odd\.wav") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_silent_film_are_told_apart(tmp_path):
    with pytest.raises(MediaError, match="does not exist"):
        read_sound(tmp_path / "none.wav")
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        for part in (av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8)), None):
            container.mux(stream.encode(part))
    with pytest.raises(MediaError, match="holds no sound"):
        read_sound(path)


def test_a_loop_of_the_shared_data_is_read(shared_data):
    y, sr = read_sound(shared_data / "audio" / "sonicpi_loop_amen.flac")
    assert sr == 44100 and y.shape[0] == 2 and y.shape[1] == 77321 and 0.5 < np.abs(y).max() <= 1
