"""Laws of writing: pixels, recipe and mark of origin come back from the file, in every format."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from studio.errors import MediaError
from studio.media import (
    SUFFIXES,
    encode_image,
    encode_jpeg,
    encode_webp,
    flatten,
    hash_file,
    inspect_image,
    read_image,
    resize,
    thumbnail,
    write_image,
)
from studio.recipe import MAX_JSON_BYTES, Blend, Latent, ModelRef, Recipe, Restyle, Truncation, pack_floats

RECIPE = Recipe(model=ModelRef("pomona & <co>", "a" * 64), latent=Latent.from_seed(42), truncation=Truncation(psi=-0.25))


def soft(height=40, width=56):
    """A smooth picture, which lossy formats keep closely."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 4, y * 6, 255 - x * 2 - y * 3], -1).clip(0, 255).astype(np.uint8)


def long_recipe(vectors):
    ws = pack_floats(np.random.RandomState(0).randn(18 * 512))
    return dataclasses.replace(RECIPE, blends=tuple(Blend(Latent(ws=ws)) for _ in range(vectors)))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_recipe_and_mark_come_back_from_every_format(suffix, tmp_path):
    path = tmp_path / f"picture{suffix}"
    saved = write_image(path, soft(), recipe=RECIPE)
    picture, header = read_image(path), inspect_image(path)
    assert picture.recipe == header.recipe == RECIPE and picture.recipe_error == ""
    assert picture.marks.digital_source_type == header.marks.digital_source_type == "trainedAlgorithmicMedia"
    assert saved.path == path and saved.sha256 == picture.sha256 == hash_file(path) and saved.size_bytes == path.stat().st_size
    assert np.abs(picture.image.astype(int) - soft()).mean() < 3
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_recipe_left_out_leaves_the_mark_and_no_trace(suffix):
    data = encode_image(soft(), suffix, recipe=RECIPE, include_recipe=False).data
    picture = read_image(data)
    assert picture.recipe is None and picture.recipe_error == "" and picture.marks.is_generated
    assert b"pomona" not in data and b"psi" not in data


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_photo_that_went_in_makes_it_a_composite(suffix):
    restyled = dataclasses.replace(RECIPE, restyle=Restyle(source_name="me.jpg"))
    for options in ({"composite": True}, {"recipe": restyled}, {"recipe": restyled, "include_recipe": False}):
        marks = read_image(encode_image(soft(), suffix, **options).data).marks
        assert marks.digital_source_type == "compositeWithTrainedAlgorithmicMedia" and marks.is_generated


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_recipe_longer_than_one_jpeg_segment_comes_back(suffix):
    recipe = long_recipe(3)
    assert len(recipe.to_json()) > 2 * 65_536
    encoded = encode_image(soft(), suffix, recipe=recipe)
    assert encoded.note == "" and read_image(encoded.data).recipe == recipe


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_recipe_too_long_to_read_back_stays_out_and_is_named(suffix):
    recipe = long_recipe(6)
    assert len(recipe.to_json()) > MAX_JSON_BYTES
    encoded = encode_image(soft(), suffix, recipe=recipe)
    picture = read_image(encoded.data)
    assert "without its recipe" in encoded.note and picture.recipe is None and picture.recipe_error == "" and picture.marks.is_generated


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_in_any_script_come_back(suffix):
    recipe = dataclasses.replace(RECIPE, model=ModelRef("水墨 & \"ink\" <'wash'> é \U0001f58c"))
    assert read_image(encode_image(soft(), suffix, recipe=recipe).data).recipe == recipe


def test_other_viewers_find_a_short_text_in_the_png():
    with Image.open(io.BytesIO(encode_image(soft(), ".png", recipe=RECIPE).data)) as file:
        text = file.info["parameters"]
    assert "Seed: 42" in text and "psi: -0.25" in text and "pomona" in text


def test_xmp_is_well_formed_and_says_where_the_picture_comes_from():
    from xml.etree import ElementTree

    for suffix in SUFFIXES:
        with Image.open(io.BytesIO(encode_image(soft(), suffix, recipe=RECIPE).data)) as file:
            packet = file.info.get("xmp") or file.info["XML:com.adobe.xmp"]
        root = ElementTree.fromstring(packet if isinstance(packet, str) else packet.decode())
        description = root.find(".//{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
        assert description.get("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType") == (
            "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
        )


@pytest.mark.parametrize(("suffix", "options"), [(".png", {}), (".webp", {"lossless": True})])
def test_lossless_formats_keep_every_pixel_and_its_alpha(suffix, options):
    random = np.random.RandomState(0)
    image, alpha = random.randint(0, 256, (2, 21, 33, 3)).astype(np.uint8)[0], random.randint(0, 256, (21, 33)).astype(np.uint8)
    alpha[:5] = 0
    for picture in (
        read_image(encode_image(image, suffix, alpha=alpha, **options).data),
        read_image(encode_image(np.dstack([image, alpha]), suffix, **options).data),
    ):
        assert np.array_equal(picture.image, image) and np.array_equal(picture.alpha, alpha)
    assert np.array_equal(read_image(encode_image(image, suffix, **options).data).image, image)


def test_grey_is_written_as_it_is():
    grey = soft()[..., 0]
    assert np.array_equal(read_image(encode_image(grey, ".png").data).image[..., 1], grey)
    assert np.array_equal(read_image(encode_image(grey[..., None], ".png").data).image[..., 1], grey)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_a_kept_profile_shows_the_same_colours(suffix):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = read_image(encode_image(soft(), suffix, icc=profile).data)
    assert picture.icc == profile and np.abs(picture.image.astype(int) - soft()).mean() < 3
    grey_profile = profile[:16] + b"GRAY" + profile[20:]
    assert read_image(encode_image(soft(), suffix, icc=grey_profile).data).icc is None


REFUSED = {
    "suffix": (soft(), ".bmp", {}, "PNG, JPEG or WebP"),
    "no suffix": (soft(), "", {}, "no suffix"),
    "alpha in JPEG": (soft(), ".jpg", {"alpha": np.zeros((40, 56), np.uint8)}, "transparency"),
    "wrong alpha": (soft(), ".png", {"alpha": np.zeros((4, 5), np.uint8)}, "alpha must be"),
    "wide WebP": (np.zeros((2, 16_384, 3), np.uint8), ".webp", {}, "16383"),
    "wide JPEG": (np.zeros((2, 65_501, 3), np.uint8), ".jpg", {}, "65500"),
    "floats": (np.zeros((4, 4, 3)), ".png", {}, "uint8"),
    "two channels": (np.zeros((4, 4, 2), np.uint8), ".png", {}, "uint8"),
    "no pixels": (np.zeros((0, 4, 3), np.uint8), ".png", {}, "uint8"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_format_cannot_hold_is_refused_before_a_file_exists(case, tmp_path):
    image, suffix, options, word = REFUSED[case]
    with pytest.raises(MediaError, match=word):
        write_image(tmp_path / f"picture{suffix}", image, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("width", "height"), [(1, 1), (50_000, 3)])
def test_extreme_shapes_are_written(width, height):
    image = np.full((height, width, 3), 7, np.uint8)
    for suffix in (".png", ".jpg") if width > 1 else SUFFIXES:
        assert read_image(encode_image(image, suffix, lossless=True).data).image.shape == image.shape


def test_previews_are_plain_and_quick_to_open():
    for data, kind in ((encode_jpeg(soft()), "JPEG"), (encode_webp(soft()), "WEBP")):
        picture = read_image(data)
        assert picture.format == kind and picture.image.shape == soft().shape and not picture.marks.has_xmp
    assert len(encode_jpeg(soft(), quality=20)) < len(encode_jpeg(soft(), quality=95))


def test_a_thumbnail_fits_keeps_its_aspect_and_never_grows():
    image = soft(100, 300)
    assert thumbnail(image, 60).shape == (20, 60, 3) and thumbnail(image, 400) is image
    assert thumbnail(np.zeros((3, 50_000, 3), np.uint8), 256).shape == (1, 256, 3)
    assert resize(image, 10, 20).shape == (20, 10, 3) and resize(image, 300, 100) is image


def test_resizing_keeps_a_plain_colour_and_hidden_colours_do_not_bleed():
    plain = np.full((31, 17, 3), (10, 200, 90), np.uint8)
    assert np.array_equal(resize(plain, 8, 50), np.full((50, 8, 3), (10, 200, 90), np.uint8))
    layered = np.zeros((16, 16, 4), np.uint8)
    layered[:, :8] = (255, 0, 0, 255)
    layered[:, 8:, 1] = 255
    small = resize(layered, 5, 5)
    assert small[small[..., 3] > 0][:, 1].max() <= 2


def test_flattening_shows_the_ground_where_the_picture_is_clear():
    alpha = np.zeros((40, 56), np.uint8)
    alpha[:, :28] = 255
    flat = flatten(soft(), alpha, (9, 8, 7))
    assert np.array_equal(flat[:, :28], soft()[:, :28]) and (flat[:, 28:] == (9, 8, 7)).all()
    assert flatten(soft(), None) is not None
