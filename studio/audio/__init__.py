"""What is heard in a sound: loudness, bands, onsets, pitch classes, beats, sections, at any moment. A thin layer on librosa.

``spectra`` (what can be told from one moment to the next, in one pass of bounded memory), ``beats`` and ``sections`` (what needs
the whole), ``analysis`` (all of it, asked for at exact frame times), ``envelopes`` (a feature made fit to move something).
Samples in, arrays out: no files, no recipes' matrix.
"""

from studio.audio.analysis import FEATURES, Analysis, analyse
from studio.audio.envelopes import envelope

__all__ = ["FEATURES", "Analysis", "analyse", "envelope"]
