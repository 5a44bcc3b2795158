"""A model's name is a plain file name on every system."""

import pytest

from studio.checkpoints.names import check_name, clean_name, is_reserved, numbered
from studio.errors import CheckpointError

HOSTILE = [
    *("../../etc/passwd", "..\\..\\boot.ini", "/abs/olute.pkl", "C:\\x.pkl", "a\0b.pkl", ".hidden.pt", "...", "", "   ", "CON", "nul.pkl"),
    *(
        "com1.safetensors",
        "x" * 500 + ".pkl",
        "é" * 200,
        "a<b>:|?*.pt",
        "name.",
        "name ",
        "\u202egnp.pkl",
        "\ud800.pkl",
        "a\nb.pkl",
        "lpt9.tar.pkl",
    ),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_any_file_name_becomes_a_plain_name(text):
    name = clean_name(text)
    assert name == check_name(name)
    assert not set(name) & set('/\\\0<>:"|?*\n') and not name.startswith(".") and not is_reserved(name)
    assert 0 < len(name.encode()) <= 130


@pytest.mark.parametrize("text", ["network-snapshot-000500.pkl", "Photo to Monet.pth", "ukiyo-e 浮世絵.safetensors"])
def test_ordinary_names_stay_as_they_are(text):
    assert clean_name(text) == text.rpartition(".")[0]


@pytest.mark.parametrize("text", ["", " a", "a.", "a/b", "a\\b", "nul", "COM3.x", "x" * 121, "a\0", "a\u202eb", "a:b"])
def test_a_chosen_name_that_cannot_be_one_is_refused(text):
    with pytest.raises(CheckpointError, match="cannot be a model's name"):
        check_name(text)


def test_numbers_keep_names_apart_and_short():
    names = [numbered("é" * 60, attempt) for attempt in range(1, 200)]
    assert len(set(names)) == len(names)
    assert max(len(name.encode()) for name in names) <= 120
