"""What the app may do and where it keeps things: decided once at start, never changed while it runs.

This is *not* for what an artist sets while working (that is the recipe) nor for the look (that is ``theme.py``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from studio import paths


def _uploads_folder() -> Path:
    return paths.cache_folder() / "uploads" / str(os.getpid())


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The choices of one running app.

    ``public`` means that strangers use it: galleries are per visitor and temporary, nothing can be imported, uploads are small.
    """

    public: bool = False
    host: str = "127.0.0.1"
    port: int | None = None
    device: str = "auto"
    models: Path = field(default_factory=paths.models_folder)
    pretrained: Path = field(default_factory=paths.pretrained_folder)
    pictures: Path = field(default_factory=paths.pictures_folder)
    uploads: Path = field(default_factory=_uploads_folder)
    """Where dropped files wait for an hour at most; it is emptied when the app ends."""
    open_browser: bool = False
    osc_port: int | None = None
    """The UDP port at which OSC is listened to; None: not at all."""
    osc_host: str = "127.0.0.1"
    session_hours: float = 24.0
    max_sessions: int = 500
    max_calls: int = 32
    """Requests that may be in work at once, over all visitors."""

    @property
    def allow_import(self) -> bool:
        """Say whether model files may be brought in: only by people at their own machine."""
        return not self.public

    @property
    def galleries(self) -> Path:
        """Return where saved pictures go: the user's own folder, or for strangers a passing one (with a folder each)."""
        return self.uploads.parent.parent / "visitors" / self.uploads.name if self.public else self.pictures

    @property
    def max_upload_bytes(self) -> int:
        """Return the largest file that a page may send."""
        return 20 * 2**20 if self.public else 8 * 2**30

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from the environment: a Space (``SPACE_ID``) is public and listens on every address."""
        env = os.environ if env is None else env
        public = "SPACE_ID" in env or env.get("STUDIO_PUBLIC") == "1"
        port = env.get("GRADIO_SERVER_PORT")
        host = env.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if "SPACE_ID" in env else "127.0.0.1")  # noqa: S104
        return cls(
            public=public,
            host=host,
            port=int(port) if port and port.isdigit() else None,
            session_hours=2.0 if public else 24.0,
        )
