"""Laws of writing files: the old one or the new one, never neither, whatever fails and whoever else writes."""

import errno
import multiprocessing
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from crowd import create_names
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.errors import MediaError
from studio.media import (
    atomic_write,
    create_exclusive,
    hash_bytes,
    hash_file,
    move_exclusive,
    numbered_names,
    safe_name,
    sweep_parts,
    write_image,
)

OLD, NEW = b"old " * 100, b"new " * 200
PNG_END = b"IEND\xaeB`\x82"
CALLS = ("open", "fsync", "replace", "link", "close", "unlink")


class Fault:
    """Make the k-th call of one system function fail."""

    def __init__(self, monkeypatch, name, when, code):
        self.calls, self.real, self.when, self.code, self.name = 0, getattr(os, name), when, code, name
        monkeypatch.setattr(os, name, self)

    def __call__(self, *arguments, **options):
        self.calls += 1
        if self.calls == self.when:
            if self.name == "close":
                self.real(*arguments)
            raise OSError(self.code, os.strerror(self.code))
        return self.real(*arguments, **options)


def write_atomically(folder):
    with atomic_write(folder / "file.png") as file:
        file.write(NEW)


def write_picture(folder):
    write_image(folder / "file.png", np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize("write", [write_atomically, write_picture])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("name", CALLS)
def test_a_failing_call_leaves_the_old_file_or_the_new_one(name, code, write, tmp_path, monkeypatch):
    for when in range(1, 6):
        target = tmp_path / "file.png"
        target.write_bytes(OLD)
        with monkeypatch.context() as patch:
            fault = Fault(patch, name, when, code)
            try:
                write(tmp_path)
            except (MediaError, OSError) as error:
                assert isinstance(error, MediaError), error
                assert code != errno.ENOSPC or "disk is full" in str(error)
        content = target.read_bytes()
        assert content in (OLD, NEW) or (content.startswith(b"\x89PNG") and content.endswith(PNG_END))
        assert name == "unlink" or [entry.name for entry in tmp_path.iterdir()] == ["file.png"]
        assert when > 1 or fault.calls or name in ("link",)
        if fault.calls < when:
            break


@pytest.mark.parametrize("act", ["create", "move"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EPERM])
@pytest.mark.parametrize("name", CALLS)
def test_a_failing_call_never_overwrites_and_never_loses(name, code, act, tmp_path, monkeypatch):
    for when in range(1, 6):
        folder = tmp_path / f"{when}"
        (folder / "in").mkdir(parents=True)
        (folder / "in" / "a.png").write_bytes(OLD)
        (folder / "a.png").write_bytes(NEW)
        with monkeypatch.context() as patch:
            Fault(patch, name, when, code)
            try:
                if act == "create":
                    create_exclusive(folder, numbered_names("a.png"), OLD)
                else:
                    move_exclusive(folder / "in" / "a.png", folder, numbered_names("a.png"))
            except MediaError:
                assert act == "create" or OLD in [path.read_bytes() for path in folder.rglob("*.png")]
        assert (folder / "a.png").read_bytes() == NEW
        assert all(path.read_bytes() in (OLD, NEW) for path in folder.rglob("*.png"))


def test_an_error_or_a_key_press_in_the_block_leaves_no_trace(tmp_path):
    (tmp_path / "a").write_bytes(OLD)
    for problem in (ValueError, KeyboardInterrupt):
        with pytest.raises(problem), atomic_write(tmp_path / "a") as file:
            file.write(NEW)
            raise problem
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("a", OLD)]


@pytest.mark.skipif(os.name == "nt", reason="this system cannot limit the size of files")
def test_a_full_disk_is_named_and_the_old_picture_survives(tmp_path):
    script = """
        import resource, sys
        import numpy as np
        from studio.errors import MediaError
        from studio.media import write_image
        noise = np.random.RandomState(0).randint(0, 256, (200, 200, 3)).astype(np.uint8)
        write_image(sys.argv[1], np.zeros((4, 4, 3), np.uint8))
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            write_image(sys.argv[1], noise)
        except MediaError as error:
            print(error)
    """
    root = Path(__file__).resolve().parents[2]
    target = tmp_path / "picture.png"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(target)], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("picture.png: the disk is full.")
    assert [entry.name for entry in tmp_path.iterdir()] == ["picture.png"] and target.read_bytes().endswith(PNG_END)


def test_a_folder_without_permission_gives_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MediaError, match="not a folder"), atomic_write(tmp_path / "file" / "a.png"):
        pass
    Fault(monkeypatch, "open", 1, errno.EROFS)
    with pytest.raises(MediaError, match="permission"), atomic_write(tmp_path / "a.png"):
        pass


@pytest.mark.parametrize("has_links", [True, False])
def test_threads_never_take_the_same_name(has_links, tmp_path, monkeypatch):
    if not has_links:
        monkeypatch.setattr(os, "link", _no_link)
    with ThreadPoolExecutor(8) as pool:
        names = [name for names in pool.map(create_names, [(tmp_path, index) for index in range(8)]) for name in names]
    assert len(set(names)) == 160 == len(list(tmp_path.iterdir()))


def _no_link(*_):
    raise OSError(errno.EPERM, "no links here")


def test_processes_never_take_the_same_name(tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        names = [name for names in pool.map(create_names, [(tmp_path, index) for index in range(2)], chunksize=1) for name in names]
    assert len(set(names)) == 40 == len(list(tmp_path.iterdir()))


def test_leftovers_of_ended_processes_are_swept_and_others_stay(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with atomic_write(tmp_path / "mine.png") as file:
        alive = next(tmp_path.glob(".*.part"))
        dead = tmp_path / alive.name.replace(f"-{os.getpid()}-", f"-{ended.pid}-")
        foreign = tmp_path / ".a.png.00000000-1-00000000.part"
        old = tmp_path / ".b.png.00000000-1-00000000.part"
        other = tmp_path / ".somebody.part"
        for path in (dead, foreign, old, other):
            path.write_bytes(b"x")
        os.utime(old, (1e9, 1e9))
        assert sweep_parts(tmp_path) == 2
        assert alive.exists() and foreign.exists() and other.exists() and not dead.exists() and not old.exists()
        file.write(NEW)
    assert (tmp_path / "mine.png").read_bytes() == NEW and sweep_parts(tmp_path / "absent") == 0


def test_a_hash_is_the_same_from_file_and_memory(tmp_path):
    (tmp_path / "a").write_bytes(NEW * 5000)
    assert hash_file(tmp_path / "a") == hash_bytes(NEW * 5000)
    with pytest.raises(MediaError, match="not found"):
        hash_file(tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\system32\\a.png", "a.png"),
        ("...hidden", "hidden"),
        ("CON.png", "_CON.png"),
        ("a\0b\n\u202egnp.png", "ab gnp.png"),
        ('a<b>c:"d|e?f*.png', "a-b-c--d-e-f-.png"),
        ("", "file"),
        ("..", "file"),
        ("\ud800", "file"),
        ("é" * 200 + ".png", "é" * 58 + ".png"),
        ("水墨 1.png", "水墨 1.png"),
    ],
)
def test_a_name_becomes_safe(name, safe):
    assert safe_name(name) == safe


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(max_size=300))
def test_any_text_becomes_a_name_in_its_folder_and_stays_what_it_became(text):
    name = safe_name(text)
    assert 0 < len(name.encode()) <= 120 and not set(name) & set('/\\:*?"<>|\0') and not name.startswith(".") and safe_name(name) == name
