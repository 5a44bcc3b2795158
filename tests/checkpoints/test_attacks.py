"""Each numbered attack gets its sentence: nothing runs, nothing is written, little time and memory go by."""

import json
import os
import subprocess
import sys
from pathlib import Path

import checkpoint_attacks as attacks
import pytest

from studio.checkpoints import Library
from studio.errors import StudioError

HERE = Path(__file__).resolve().parent
MOST_SECONDS = 2.0
MOST_MEGABYTES = 200


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What happened to every attack in a process that watched itself."""
    folder = tmp_path_factory.mktemp("attacks")
    search = os.pathsep.join(map(str, (HERE.parent.parent, HERE.parent, HERE)))
    command = [sys.executable, str(HERE / "attack_child.py"), str(folder)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": search}, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("attack", attacks.ATTACKS, ids=lambda attack: f"{attack.number}-{attack.title}")
def test_the_attack_gets_its_sentence_and_nothing_happens(attack, outcome):
    result = outcome[attack.title]
    assert (result["error"], result["events"]) == (attack.error, [])
    if attack.error:
        assert attack.phrase in result["sentence"]
        assert result["sentence"].startswith(f"{attack.title}.pkl ")
        assert "\n" not in result["sentence"] and "Traceback" not in result["sentence"]
    assert result["seconds"] < MOST_SECONDS
    assert result["megabytes"] < MOST_MEGABYTES


def test_every_number_of_the_study_has_an_attack():
    assert set(map(str, range(1, 59))) <= {attack.number for attack in attacks.ATTACKS}


def test_no_attack_leaves_a_file_or_brings_in_a_module(outcome):
    assert (outcome["left over"], outcome["modules"]) == ([], [])


IMPORTED = ("reduce_of_a_shell", "payload_inside_a_nested_blob", "stride_bomb", "deflate_bomb", "a_hundred_thousand_empty_tensors")


@pytest.mark.parametrize("title", [attack.title for attack in attacks.ATTACKS] if os.environ.get("STUDIO_ALL_IMPORTS") else IMPORTED)
def test_importing_an_attack_is_refused_in_the_child_and_leaves_nothing(title, tmp_path):
    attack = next(item for item in attacks.ATTACKS if item.title == title)
    if not attack.error:
        pytest.skip("it is harmless and loads")
    file = tmp_path / "download.pkl"
    file.write_bytes(attack.make())
    library = Library(tmp_path / "models", tmp_path / "pretrained")
    with pytest.raises(StudioError, match=r"^download\.pkl ") as caught:
        library.import_file(file)
    assert type(caught.value).__name__ == attack.error
    assert attack.phrase in str(caught.value)
    assert list((tmp_path / "models").iterdir()) == []
