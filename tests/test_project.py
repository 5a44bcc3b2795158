"""The project's own files agree with each other."""

import re
import sys
from pathlib import Path

import pytest

from studio import __version__

ROOT = Path(__file__).resolve().parent.parent
FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)


@pytest.fixture
def project() -> dict:
    if sys.version_info < (3, 11):
        pytest.skip("tomllib came with Python 3.11")
    import tomllib

    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_spaces_install_exactly_the_dependencies_of_the_package(project: dict) -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == project["dependencies"]


def test_the_readme_shows_one_command_to_start_and_one_to_test() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^python3 -m venv .*$", readme, re.MULTILINE)
    assert len(commands) == 2
    assert commands[0].endswith("studio app")
    assert " -m pytest" in commands[1]


def test_the_front_matter_of_the_space_names_the_app_and_an_allowed_gradio(project: dict) -> None:
    found = FRONT_MATTER.match((ROOT / "README.md").read_text(encoding="utf-8"))
    assert found is not None
    keys = dict(line.split(": ", 1) for line in found[1].splitlines() if ": " in line)
    assert (ROOT / keys["app_file"]).is_file()
    assert keys["sdk"] == "gradio"
    major, minor = map(int, keys["sdk_version"].strip('"').split(".")[:2])
    assert (major, minor) >= (6, 25)
    assert keys["license"] == "apache-2.0"


def test_the_changelog_tells_of_this_version() -> None:
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_link_of_the_readme_to_a_file_leads_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            assert (ROOT / target).exists(), f"{name} links to {target}"
