"""The errors a user can cause, each one sentence to be shown as it is.

This is *not* a place for our own mistakes: those are ``assert``.
"""


class StudioError(Exception):
    """Base of everything that a user can cause: a wrong file, a wrong value, a full disk.

    ``str(error)`` is one plain sentence (what, which value, why, what to do now); ``detail`` is for the log.
    """

    def __init__(self, message: str, *, detail: str = "") -> None:
        """Keep the sentence for the user and the detail for the log."""
        super().__init__(message)
        self.detail = detail


class CheckpointError(StudioError):
    """A model file could not be opened."""


class UnsafeFileError(CheckpointError):
    """The file asks to run something, or is built to exhaust the machine."""


class DamagedFileError(CheckpointError):
    """The format is known but the file is cut short, altered, or holds impossible values."""


class UnknownModelError(CheckpointError):
    """The file is readable, or none of ours at all, but holds no network that the studio knows."""


class TooBigError(CheckpointError):
    """The file, or the network in it, is larger than the studio allows."""


class RecipeError(StudioError):
    """A recipe, or one value in it, is not acceptable."""


class MediaError(StudioError):
    """A picture, sound or film could not be read or written."""


class DeviceError(StudioError):
    """The chosen device is missing, or has too little memory."""


class TrainingError(StudioError):
    """A training run cannot start or go on."""
