"""Where the studio keeps things on this computer. It decides places only and creates nothing."""

import os
from pathlib import Path

import platformdirs

APP_NAME = "gan-art-studio"


def home_folder() -> Path:
    """Return the folder of models and settings: ``STUDIO_HOME`` or the platform's user data folder."""
    override = os.environ.get("STUDIO_HOME")
    return Path(override) if override else platformdirs.user_data_path(APP_NAME)


def models_folder() -> Path:
    """Return the folder that imported models live in."""
    return home_folder() / "models"


def cache_folder() -> Path:
    """Return the folder of things that can be made again: compiled kernels, thumbnails."""
    override = os.environ.get("STUDIO_HOME")
    return Path(override) / "cache" if override else platformdirs.user_cache_path(APP_NAME)


def pictures_folder() -> Path:
    """Return the folder that saved work goes to: ``STUDIO_PICTURES`` or ``studio`` in the user's pictures."""
    override = os.environ.get("STUDIO_PICTURES")
    return Path(override) if override else platformdirs.user_pictures_path() / "studio"


def pretrained_folder() -> Path:
    """Return the folder of the shipped weights, beside the package."""
    return Path(__file__).resolve().parent.parent / "pretrained"


def practice_folder() -> Path:
    """Return the folder of the shipped photos that painting styles are practised on."""
    return pretrained_folder() / "practice"
