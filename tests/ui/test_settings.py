"""Where and for whom the app runs."""

from studio.ui.settings import Settings


def test_at_home_it_listens_on_this_machine_only():
    settings = Settings.from_env({})
    assert settings.host == "127.0.0.1"
    assert not settings.public
    assert settings.allow_import


def test_a_space_is_public_and_imports_nothing():
    settings = Settings.from_env({"SPACE_ID": "someone/studio", "GRADIO_SERVER_PORT": "7860"})
    assert settings.public
    assert not settings.allow_import
    assert (settings.host, settings.port) == ("0.0.0.0", 7860)
    assert settings.max_upload_bytes < Settings().max_upload_bytes


def test_the_address_follows_gradios_own_variables():
    settings = Settings.from_env({"GRADIO_SERVER_NAME": "192.168.0.2", "GRADIO_SERVER_PORT": "x"})
    assert (settings.host, settings.port) == ("192.168.0.2", None)


def test_strangers_do_not_save_into_the_pictures_of_the_host(tmp_path):
    host = Settings(pictures=tmp_path / "Pictures")
    assert host.galleries == tmp_path / "Pictures"
    assert not Settings(pictures=tmp_path / "Pictures", public=True).galleries.is_relative_to(tmp_path / "Pictures")
