"""What every test may ask for: the shared checkpoints, photos and sounds, when they are at hand."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("STUDIO_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))


THREADS = pytest.StashKey[int]()

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: each has one thread, and so have the programs that its tests start.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


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


def pytest_collection_finish(session: pytest.Session) -> None:
    """Remember how many threads torch has of itself, before any fixture of whatever scope changes it."""
    session.config.stash[THREADS] = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else 0


@pytest.fixture(autouse=True)
def as_many_threads_as_before(request: pytest.FixtureRequest) -> Iterator[None]:
    """Undo what a test or its fixtures do to torch's number of threads: it is part of what a film in the making is known by."""
    yield
    if threads := request.config.stash[THREADS]:
        sys.modules["torch"].set_num_threads(threads)
