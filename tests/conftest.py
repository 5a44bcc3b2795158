"""What every test may ask for: the shared checkpoints, photos and sounds, when they are at hand."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("STUDIO_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))


def _folder(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"needs the shared folder {name!r} beside the checkout (or STUDIO_SHARED), which is absent")
    return folder


@pytest.fixture(scope="session")
def shared_fixtures() -> Path:
    """The folder of checkpoints in foreign formats with the pictures they must give."""
    return _folder("fixtures")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of training images, photos and sounds."""
    return _folder("data")


@pytest.fixture(autouse=True)
def studio_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test its own models, pictures and cache, so that none touches the user's."""
    home = tmp_path / "studio-home"
    monkeypatch.setenv("STUDIO_HOME", str(home))
    monkeypatch.setenv("STUDIO_PICTURES", str(tmp_path / "pictures"))
    return home


@pytest.fixture(autouse=True)
def as_many_threads_as_before() -> Iterator[None]:
    """Undo what a test does to torch's number of threads: it is part of what a film in the making is known by."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    yield
    if before and sys.modules["torch"].get_num_threads() != before:
        sys.modules["torch"].set_num_threads(before)
