"""Laws of places: environment variables win, and asking for a place creates nothing."""

import pytest

from studio import paths


def test_the_environment_decides_where_things_are(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STUDIO_PICTURES", str(tmp_path / "art"))
    assert paths.models_folder() == tmp_path / "home" / "models" and paths.cache_folder() == tmp_path / "home" / "cache"
    assert paths.pictures_folder() == tmp_path / "art" and not list(tmp_path.glob("*"))


@pytest.mark.parametrize("value", [None, ""])
def test_without_it_the_platforms_own_folders_are_used(value, monkeypatch):
    for name in ("STUDIO_HOME", "STUDIO_PICTURES"):
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
    folders = [paths.models_folder(), paths.cache_folder(), paths.pictures_folder()]
    assert all(folder.is_absolute() for folder in folders) and len(set(folders)) == 3
    assert paths.APP_NAME in str(folders[0]) and folders[2].name == "studio"


def test_the_shipped_weights_lie_beside_the_package():
    assert paths.pretrained_folder().name == "pretrained" and (paths.pretrained_folder().parent / "studio").is_dir()
