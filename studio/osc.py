"""Open Sound Control: numbers from other programs and controllers on this computer, by UDP. A thin layer on python-osc.

``/studio/psi 0.7`` sets a value of the recipe, ``/studio/onset_low 1`` is heard like a sound; see :data:`HELP`. What comes in is not
trusted: names and numbers are checked, the rest is dropped. Nothing is ever sent.
"""

from __future__ import annotations

import math
import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from studio.errors import StudioError

ROOT = "studio"
VALUES = {
    "psi": "truncation.psi",
    "x": "latent.x",
    "y": "latent.y",
    "noise": "noise.strength",
    "zoom": "view.zoom",
    "turn": "view.rotate",
    "light": "view.flash",
}
"""Short names of values of the recipe; any other is named by its whole path, such as ``/studio/latent/classes/3``."""
HANDS = {"amount": (0.0, 2.0), "speed": (0.0, 4.0)}
"""What belongs to playing and not to the recipe: how much sound moves everything, how fast the place wanders."""
EVENTS = ("onset", "onset_low", "onset_mid", "onset_high", "percussive_onset", "beat", "section_change")
"""Features that are short: each message counts once, in the next picture."""
FEATURES = (
    *EVENTS,
    *("rms", "low", "mid", "high", "percussive", "harmonic", "centroid", "beat_phase", "section"),
    *(f"chroma.{number}" for number in range(12)),
)
HELP = (
    f"/studio/ followed by {', '.join((*VALUES, *HANDS))}, by the path of any value such as latent/classes/3 or view/contrast, "
    "or by what could be heard, such as onset_low, rms or chroma/0 (0 to 1). Each takes one number."
)

MOST_NAMES = 256
MOST_EVENTS = 2048
STALE = 2.0
"""Seconds after which a level that is not sent again counts as silence."""
_LARGEST = 2.0**33
_PATH = re.compile(r"[a-z][a-z_]{0,39}(\.[a-z0-9_]{1,40}){1,5}")
_DATAGRAM = 65_536
_DAMAGE = (ValueError, IndexError, KeyError, TypeError, OverflowError, RecursionError, AttributeError, struct.error)
"""What python-osc raises on packets that are not whole, besides its own errors."""


@dataclass(frozen=True, slots=True)
class News:
    """What came in. ``values`` are by the path in the recipe or the name in :data:`HANDS`, each with the number of its message."""

    serial: int
    values: Mapping[str, tuple[int, float]]
    last: str


@dataclass(slots=True)
class Inbox:
    """Messages as they come in, checked and ready to be asked for from any thread."""

    clock: Callable[[], float] = time.monotonic
    _serial: int = 0
    _last: str = ""
    _values: dict[str, tuple[int, float]] = field(default_factory=dict)
    _levels: dict[str, tuple[float, float]] = field(default_factory=dict)
    _events: deque[tuple[float, str, float]] = field(default_factory=lambda: deque(maxlen=MOST_EVENTS))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, address: str, arguments: list[Any]) -> bool:
        """Take one message; say whether it is one of the studio's. Its first number counts."""
        name = _name_of(address)
        number = _number_of(arguments)
        if name is None or number is None:
            return False
        with self._lock:
            self._serial += 1
            self._last = f"{address} {number:g}"
            if name in FEATURES:
                level = min(max(number, 0.0), 1.0)
                if name in EVENTS:
                    self._events.append((self.clock(), name, level))
                else:
                    self._levels[name] = (self.clock(), level)
                return True
            path = VALUES.get(name, name)
            if path not in self._values and len(self._values) >= MOST_NAMES:
                return False
            low, high = HANDS.get(name, (-_LARGEST, _LARGEST))
            self._values[path] = (self._serial, min(max(number, low), high))
        return True

    def take_packet(self, data: bytes) -> bool:
        """Take a datagram: a message, or a bundle whose messages all count at once. Anything else is dropped."""
        from pythonosc.osc_packet import OscPacket, ParseError

        try:
            messages = [timed.message for timed in OscPacket(data).messages]
            taken = [self.take(message.address, list(message.params)) for message in messages]
            return all(taken)
        except (ParseError, *_DAMAGE):
            return False

    def news(self, since: int = 0) -> News:
        """Return the values that came after message number ``since``."""
        with self._lock:
            values = {path: entry for path, entry in self._values.items() if entry[0] > since}
            return News(self._serial, values, self._last)

    def heard(self, since: float) -> tuple[dict[str, float], float]:
        """Return what is heard now by feature, and the moment of asking, to be given as ``since`` the next time."""
        with self._lock:
            now = self.clock()
            found = {name: level for name, (moment, level) in self._levels.items() if now - moment <= STALE}
            for moment, name, level in self._events:
                if since < moment <= now and now - moment <= STALE:
                    found[name] = max(level, found.get(name, 0.0))
            return found, now


def _name_of(address: str) -> str | None:
    """Return the name of what an address moves, with dots; None when it is not the studio's."""
    parts = address.split("/")
    if len(parts) < 3 or parts[0] or parts[1] != ROOT or len(address) > 200:
        return None
    name = ".".join(parts[2:])
    return name if name in VALUES or name in HANDS or name in FEATURES or _PATH.fullmatch(name) else None


def _number_of(arguments: list[Any]) -> float | None:
    """Return the first argument as a finite number; None when it is none. A message without any is a trigger, which is 1."""
    if not arguments:
        return 1.0
    first = arguments[0]
    if not isinstance(first, (bool, int, float)):
        return None
    try:
        number = float(first)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


class Listener:
    """Listens at a UDP port in a thread of its own until it is closed.

    Args:
        port: 1 to 65535; 0 takes a free one.
        host: The address to listen at: this computer only, unless asked otherwise.

    Raises:
        StudioError: python-osc is not installed, or the port cannot be had.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        try:
            import pythonosc.osc_packet  # noqa: F401
        except ImportError as error:
            raise StudioError("OSC needs the package python-osc. Install it with: pip install python-osc") from error
        if not 0 <= port <= 65_535:
            raise StudioError(f"There is no port {port}. Use 1 to 65535, such as 9000.")
        self.inbox = Inbox()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._closed = threading.Event()
        try:
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            raise StudioError(f"OSC cannot listen at {host}:{port} ({error.strerror or error}). Choose another port.") from error
        self._socket.settimeout(0.5)
        self.host, self.port = self._socket.getsockname()[:2]
        self._thread = threading.Thread(target=self._listen, name="studio-osc", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                data = self._socket.recv(_DATAGRAM)
            except TimeoutError:
                continue
            except OSError:
                if self._closed.wait(0.05):
                    return
                continue
            self.inbox.take_packet(data)

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()
        self._thread.join()
        self._socket.close()
