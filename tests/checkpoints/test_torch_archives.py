"""Torch's archives, the large kind included, and everything that is almost one."""

import os
import struct

import checkpoint_craft as craft
import pytest
import torch

from studio.checkpoints.contents import read_contents
from studio.checkpoints.opening import named_errors, opened
from studio.errors import CheckpointError, DamagedFileError, StudioError, TooBigError, UnknownModelError, UnsafeFileError


def read(data):
    return read_contents(memoryview(data)).value


def honest():
    return craft.saved({"a": torch.arange(5.0)})


def zip64(data):
    """Rewrite an archive's directory as that of a file beyond 4 GB: every size and offset in 64 bits."""
    end = data.rindex(b"PK\x05\x06")
    count, _, start = struct.unpack_from("<HII", data, end + 10)
    entries, position = b"", start
    for _ in range(count):
        head = bytearray(data[position : position + 46])
        packed, plain, name, extra, comment = struct.unpack_from("<IIHHH", head, 20)
        (offset,) = struct.unpack_from("<I", head, 42)
        more = struct.pack("<HHQQQ", 1, 24, plain, packed, offset)
        struct.pack_into("<IIHHH", head, 20, 0xFFFFFFFF, 0xFFFFFFFF, name, len(more), 0)
        struct.pack_into("<I", head, 42, 0xFFFFFFFF)
        entries += bytes(head) + data[position + 46 : position + 46 + name] + more
        position += 46 + name + extra + comment
    record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(entries), start)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, start + len(entries), 1)
    final = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return data[:start] + entries + record + locator + final


def test_archives_with_64_bit_directories_are_read():
    assert read(zip64(honest()))["a"].read().tolist() == [0, 1, 2, 3, 4]


def replaced(old, new):
    data = honest()
    assert data.count(old)
    return data.replace(old, new)


def encrypted():
    data = bytearray(honest())
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x01\x02"))
    data[at + 8] |= 1
    return bytes(data)


def overlapping():
    data = bytearray(honest())
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 4)
    names = [struct.unpack_from("<H", data, at + 28)[0] for at in (first, second)]
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    local = struct.unpack_from("<I", data, first + 42)[0]
    struct.pack_into("<H", data, local + 26, names[1])
    return bytes(data)


BROKEN = {
    "big-endian": (lambda: craft.archive([("m/data.pkl", craft.pickled(b"}")), ("m/byteorder", b"big")]), DamagedFileError, "big-endian"),
    "TorchScript": (lambda: craft.archive([("m/data.pkl", b""), ("m/constants.pkl", b"")]), UnknownModelError, "TorchScript"),
    "another zip": (lambda: craft.archive([("word/document.xml", b"<w>")]), UnknownModelError, "word/document.xml"),
    "an empty zip": (lambda: craft.archive([]), UnknownModelError, "nothing"),
    "encrypted": (encrypted, UnsafeFileError, "encrypted"),
    "overlapping": (overlapping, StudioError, ""),
    "absolute name": (lambda: craft.archive([("/m/data.pkl", b"")]), UnsafeFileError, "leave its folder"),
    "directory outside": (lambda: replaced(b"PK\x05\x06", b"PK\x05\x06") + b"x", DamagedFileError, "follow"),
    "data.pkl with a tail": (lambda: craft.archive([("m/data.pkl", craft.pickled(b"}") + b"x")]), DamagedFileError, "data.pkl"),
    "two descriptions": (
        lambda: craft.torch_zip(craft.tuple_of(craft.storage_id(), craft.storage_id(count=2)), [("0", bytes(8))]),
        DamagedFileError,
        "two different ways",
    ),
    "unknown storage": (lambda: craft.torch_zip(craft.storage_id(kind="Size")), DamagedFileError, "Size"),
    "not a storage": (lambda: craft.torch_zip(craft.tuple_of(craft.text("module"), b"N") + b"Q"), UnsafeFileError, "other than"),
    "tar": (lambda: b"sys_info".ljust(257, b"\0") + b"ustar" + bytes(300), UnknownModelError, "tar archive"),
    "legacy of a big-endian machine": (
        lambda: craft.legacy(b"}", (), ()).replace(b"little_endian\x88", b"little_endian\x89"),
        DamagedFileError,
        "big-endian",
    ),
    "legacy with a view": (
        lambda: craft.legacy(craft.storage_id(legacy=True).replace(b"Nt", b"(tt")),
        DamagedFileError,
        "older than 0.4",
    ),
    "legacy with another count": (
        lambda: craft.legacy(craft.storage_id(legacy=True), data=[struct.pack("<q", 2) + bytes(4)]),
        DamagedFileError,
        "said to hold 1 numbers holds 2",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_almost_an_archive_is_refused(kind):
    make, error, sentence = BROKEN[kind]
    with pytest.raises(error) as caught:
        read(make())
    assert sentence in str(caught.value)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_download_that_broke_off_says_how_much_is_missing(zipped, share):
    data = craft.saved({"a": torch.randn(50, 1000)}, zipped=zipped)
    part = data[: int(len(data) * share)]
    with pytest.raises(DamagedFileError, match=f"cut short: it holds {len(part):,} bytes, expected ") as caught:
        read(part)
    expected = int(str(caught.value).split("expected ")[1].split(" ")[0].replace(",", ""))
    assert 0.99 * len(data) < expected <= len(data)


NOT_MODELS = {
    "picture": b"\xff\xd8\xff\xe0 JFIF",
    "film": b"\0\0\0\x20ftypisom",
    "PDF": b"%PDF-1.7",
    "compressed": b"\x1f\x8b\x08",
    "HDF5": b"\x89HDF\r\n\x1a\n",
    "JSON": b'{"a": 1}',
    "numpy": b"\x93NUMPY\x01\x00",
    "language model": b"GGUF\x03",
    "web page": b"<html>",
    "not a model file": b"hello, this is a letter",
}


@pytest.mark.parametrize("kind", NOT_MODELS)
def test_other_files_are_named(kind):
    with pytest.raises(UnknownModelError, match=kind):
        read(NOT_MODELS[kind])


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe") if hasattr(os, "mkfifo") else (tmp_path / "pipe").mkdir()
    (tmp_path / "empty").write_bytes(b"")
    for name, error in (("pipe", UnknownModelError), ("absent", UnknownModelError), ("empty", DamagedFileError), (".", CheckpointError)):
        with pytest.raises(error), opened(tmp_path / name):
            raise AssertionError("it was opened")


@pytest.mark.parametrize(
    ("raised", "expected"), [(RuntimeError, DamagedFileError), (MemoryError, TooBigError), (RecursionError, DamagedFileError)]
)
def test_whatever_goes_wrong_becomes_a_sentence_with_the_files_name(raised, expected):
    with pytest.raises(expected, match=r"^a\?b\.pkl ") as caught, named_errors("a\nb.pkl"):
        raise raised("detail")
    assert "detail" in caught.value.detail


def test_the_kind_of_an_error_is_kept():
    for kind in (UnsafeFileError, DamagedFileError, UnknownModelError, TooBigError, CheckpointError, StudioError):
        with pytest.raises(StudioError, match=r"^x says") as caught, named_errors("x"):
            raise kind("says")
        assert type(caught.value) is kind
