"""Librosa, loaded once and under numba's own lock.

Importing librosa builds numba functions and asks for their addresses without that lock. While another thread compiles (the engine's
fast paths do, in the background), such an address can come out empty, and the first call ends the whole process.
"""

from __future__ import annotations

import functools
from typing import Any


@functools.cache
def librosa() -> Any:
    """Return librosa with every part of it that the studio uses, and that they use, imported."""
    from numba.core.compiler_lock import global_compiler_lock

    with global_compiler_lock:
        import librosa
        import librosa.core.audio
        import librosa.core.pitch
        import librosa.util.matching
        from librosa import beat, decompose, feature, filters, onset, sequence, util

        assert all((beat, decompose, feature.rhythm, feature.spectral, filters, onset, sequence, util.utils))
        return librosa
