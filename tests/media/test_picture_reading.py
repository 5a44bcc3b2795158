"""Laws of reading: every kind of picture gives upright sRGB pixels, everything else one sentence."""

import io
import os
import random
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from studio.errors import MediaError
from studio.media import inspect_image, read_image


def gradient(height=24, width=40):
    """A picture without symmetry, so that a wrong turn shows."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // (width - 1), y * 255 // (height - 1), (x + y) * 255 // (width + height - 2)], -1).astype(np.uint8)


def saved(picture, kind, **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def png_chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def with_chunk(png, chunk):
    """Put a chunk after the header of a PNG."""
    return png[:33] + chunk + png[33:]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_a_lossless_kind_gives_its_pixels(kind):
    image = gradient()
    few = Image.fromarray(image).quantize(64)
    image = np.asarray(few.convert("RGB")) if kind == "GIF" else image
    picture = read_image(saved(few if kind == "GIF" else Image.fromarray(image), kind, lossless=True))
    assert picture.format == kind and picture.alpha is None and picture.notes == ()
    assert picture.image.dtype == np.uint8 and picture.image.flags.writeable and picture.image.flags.c_contiguous
    assert np.array_equal(picture.image, image)


def test_path_bytes_and_open_file_give_the_same_picture(tmp_path):
    path = tmp_path / "photo of mine.png"
    path.write_bytes(saved(Image.fromarray(gradient()), "PNG"))
    by_path, by_bytes = read_image(path), read_image(path.read_bytes(), name="photo of mine.png")
    with path.open("rb") as file:
        by_file = read_image(file)
    assert {p.sha256 for p in (by_path, by_bytes, by_file)} == {by_path.sha256}
    assert by_path.name == by_file.name == by_bytes.name == "photo of mine.png"
    assert np.array_equal(by_path.image, by_file.image)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied_once(kind, orientation):
    image = gradient()
    turned = Image.fromarray(image)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    if orientation > 1:
        turned = turned.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 98, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    data = saved(turned, kind, exif=exif, **options)
    picture, header = read_image(data), inspect_image(data)
    assert picture.image.shape == image.shape
    assert np.abs(picture.image.astype(int) - image).max() <= 12
    assert (header.width, header.height) == (40, 24)


def test_sixteen_bit_grey_is_scaled_and_not_clipped():
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    for kind in ("PNG", "TIFF"):
        picture = read_image(saved(Image.fromarray(ramp), kind))
        assert np.array_equal(picture.image[..., 0].ravel(), np.arange(256))
        assert "8" in picture.notes[0]


@pytest.mark.parametrize("values", [np.arange(256), np.arange(256) * 257, np.arange(256) * 8421504])
def test_wide_integer_grey_spans_the_range_by_its_largest_value(values):
    data = saved(Image.fromarray(values.astype(np.int32).reshape(16, 16)), "TIFF")
    assert np.array_equal(read_image(data).image[..., 1].ravel(), np.arange(256))


def test_float_grey_between_zero_and_one_is_scaled_and_nan_is_black():
    values = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    values[0, 1] = np.nan
    found = read_image(saved(Image.fromarray(values), "TIFF")).image[..., 2].ravel()
    assert found[0] == 0 and found[1] == 0 and found[-1] == 255 and np.all(np.diff(found[2:].astype(int)) >= 0)


def test_sixteen_bit_colour_is_reduced_and_says_so():
    rows = b"".join(b"\0" + b"".join(struct.pack(">HHH", x * 4369, 0x8080, 0xFFFF) for x in range(16)) for _ in range(2))
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 2, 16, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    picture = read_image(data)
    assert np.array_equal(picture.image[0, :, 0], np.arange(16) * 17) and picture.image[0, 0, 1] == 128
    assert any("16 bits" in note for note in picture.notes)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("1", "PNG"), ("L", "PNG"), ("P", "PNG"), ("LA", "PNG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("CMYK", "TIFF"), ("LAB", "TIFF")],
)
def test_every_common_mode_becomes_rgb(mode, kind):
    grey = Image.fromarray(gradient()).convert("L")
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        source = ImageCms.profileToProfile(grey.convert("RGB"), srgb, lab, outputMode="LAB")
    else:
        source = grey.convert("RGB").convert(mode) if mode == "CMYK" else grey.convert(mode)
    picture = read_image(saved(source, kind))
    assert picture.image.shape == (24, 40, 3) and any("CMYK" in note for note in picture.notes) == (mode == "CMYK")
    if mode != "1":
        assert np.abs(picture.image.astype(int) - np.asarray(grey)[..., None]).max() <= 16


def test_alpha_stays_straight_and_colours_under_it_stay():
    rgba = np.dstack([gradient(), np.tile(np.arange(0, 240, 6, dtype=np.uint8), (24, 1))])
    for kind, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})):
        picture = read_image(saved(Image.fromarray(rgba), kind, **options))
        assert np.array_equal(picture.image, rgba[..., :3]) and np.array_equal(picture.alpha, rgba[..., 3])


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "I;16"])
def test_a_transparent_colour_becomes_alpha(mode):
    if mode == "I;16":
        source, transparent = Image.fromarray(np.array([[0, 40000], [60000, 9]], np.uint16)), 40000
    else:
        source = Image.fromarray(np.array([[0, 200], [90, 30]], np.uint8))
        source = source.convert("RGB") if mode == "RGB" else source.convert(mode)
        transparent = (200, 200, 200) if mode == "RGB" else 200 if mode == "L" else source.getpixel((1, 0))
    alpha = read_image(saved(source, "PNG", transparency=transparent)).alpha
    assert alpha is not None and alpha.tolist() == [[255, 0], [255, 255]]


def test_a_colour_profile_is_applied_and_kept():
    profile = ImageCms.createProfile("sRGB")
    wide = bytearray(ImageCms.ImageCmsProfile(profile).tobytes())
    start = wide.index(b"rXYZ", 128)
    offset = struct.unpack(">I", wide[start + 4 : start + 8])[0]
    wide[offset + 8 : offset + 20] = struct.pack(">iii", 0x9C18, 0x4FA5, 0x04FC)  # Adobe RGB's red
    wide = bytes(wide).replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))
    data = saved(Image.new("RGB", (4, 4), (200, 40, 40)), "PNG", icc_profile=wide)
    picture = read_image(data)
    assert picture.icc == wide and picture.notes == ()
    assert picture.image[0, 0, 0] > 205 and abs(int(picture.image[0, 0, 1]) - 40) < 12


def test_a_damaged_colour_profile_is_named_and_does_not_stop_the_picture():
    data = saved(Image.fromarray(gradient()), "JPEG", icc_profile=b"not a profile" * 20)
    assert "profile" in read_image(data).notes[0]


def test_an_animation_gives_its_first_frame_and_their_number():
    frames = [Image.new("P", (8, 6), index) for index in range(5)]
    for frame in frames:
        frame.putpalette([value for index in range(256) for value in (index * 40 % 256, 7, 9)])
    picture = read_image(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert picture.n_frames == 5 and picture.image[0, 0].tolist() == [0, 7, 9] and "5 frames" in picture.notes[0]


@pytest.mark.parametrize(("width", "height"), [(1, 1), (50_000, 3), (3, 50_000)])
def test_extreme_shapes_are_pictures_too(width, height):
    picture = read_image(saved(Image.new("RGB", (width, height), (1, 2, 3)), "PNG"))
    assert (picture.width, picture.height) == (width, height) and picture.image[-1, -1].tolist() == [1, 2, 3]


def claims(width, height):
    """A PNG that claims a size and holds next to nothing."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8_001, 12_000, 50_000, 2**31 - 1])
def test_a_huge_size_is_refused_from_the_header(side):
    with pytest.raises(MediaError, match=r"bomb\.png has .* million"):
        read_image(claims(side, side), name="bomb.png")


REFUSED = {
    "empty.png": (b"", "empty"),
    "drawing.svg": (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
    "page.jpg": (b"\n<!DOCTYPE html><html></html>", "web page"),
    "phone.heic": (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
    "phone.avif": (b"\0\0\0\x18ftypavif" + bytes(40), "AVIF"),
    "film.mp4": (b"\0\0\0\x18ftypisom" + bytes(40), "a film"),
    "paper.pdf": (b"%PDF-1.7" + bytes(40), "PDF"),
    "lfs.png": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "LFS"),
    "weights.png": (b"\x80\x04\x95" + bytes(60), "not a picture"),
    "short.png": (b"\x89PNG\r\n\x1a\n", "damaged"),
    "short.jpg": (b"\xff\xd8\xff\xe0", "damaged"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_no_picture_gives_one_sentence_that_names_it(name):
    data, word = REFUSED[name]
    for read in (read_image, inspect_image):
        with pytest.raises(MediaError, match=word) as caught:
            read(data, name=name)
        assert str(caught.value).startswith(name) and "\n" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_picture_cut_short_says_so(kind, share):
    noise = np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)
    data = saved(Image.fromarray(noise), kind)
    with pytest.raises(MediaError, match="damaged or cut short"):
        read_image(data[: int(len(data) * share)], name="half")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_folders_pipes_and_missing_files_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for name, word in (("", "folder"), ("pipe.png", "ordinary"), ("absent.png", "not found")):
        with pytest.raises(MediaError, match=word):
            read_image(tmp_path / name if name else tmp_path)


def recipe_chunk(text, keyword=b"studio"):
    return png_chunk(b"iTXt", keyword + b"\0\0\0\0\0" + text)


HOSTILE = {
    "not JSON": b"{",
    "not UTF-8": b'{"version": 1, "studio": "\xff\xfe"}',
    "another layout": b'{"prompt": "a cat"}',
    "out of range": b'{"truncation": {"psi": 1e9}}',
    "not a number": b'{"truncation": {"psi": NaN}}',
    "deep": b"[" * 100_000,
    "long": b'{"studio": "' + b"x" * 300_000 + b'"}',
    "very long": b'{"studio": "' + b"x" * 3_000_000 + b'"}',
    "newer": b'{"version": 99}',
    "empty": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_recipe_never_stops_the_picture(name):
    image = gradient()
    picture = read_image(with_chunk(saved(Image.fromarray(image), "PNG"), recipe_chunk(HOSTILE[name])))
    assert np.array_equal(picture.image, image) and picture.recipe is None
    assert 10 < len(picture.recipe_error) < 200 and "\n" not in picture.recipe_error


def test_text_bombs_and_damaged_text_never_stop_the_picture():
    image = gradient()
    png = saved(Image.fromarray(image), "PNG")
    bomb = zlib.compress(b"x" * 50_000_000)
    damaged = bytearray(recipe_chunk(b'{"version":1}'))
    damaged[-1] ^= 1
    chunks = (png_chunk(b"zTXt", b"studio\0\0" + bomb), png_chunk(b"iTXt", b"studio\0\1\0\0\0" + bomb), bytes(damaged))
    for chunk in chunks:
        assert np.array_equal(read_image(with_chunk(png, chunk)).image, image)


def test_content_credentials_and_press_marks_are_seen():
    png, jpeg = saved(Image.fromarray(gradient()), "PNG"), saved(Image.fromarray(gradient()), "JPEG")
    signed = read_image(with_chunk(png, png_chunk(b"caBX", b"jumb")))
    assert signed.marks.has_c2pa and "credentials" in signed.notes[0]
    segment = b"\xff\xeb\x00\x20JP" + b"\0\1" + b"jumbc2pa".ljust(26, b"\0")
    assert read_image(jpeg[:2] + segment + jpeg[2:]).marks.has_c2pa
    press = b"\xff\xed\x00\x10" + b"Photoshop 3.0\0"
    assert read_image(jpeg[:2] + press + jpeg[2:]).marks.has_iptc
    assert not read_image(png).marks.has_c2pa


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_an_altered_picture_reads_or_gives_one_sentence(kind, seed):
    random_ = random.Random(seed)
    data = bytearray(saved(Image.fromarray(gradient()), kind))
    for _ in range(random_.randint(1, 12)):
        data[random_.randrange(len(data) if random_.random() < 0.5 else min(120, len(data)))] = random_.randrange(256)
    try:
        assert read_image(bytes(data), max_pixels=1e6).image.shape[2] == 3
    except MediaError as error:
        assert "\n" not in str(error)
