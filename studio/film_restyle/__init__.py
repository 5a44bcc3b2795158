"""Films redrawn by translators: any film in, the same frames, times and sound out, without flicker.

``clip`` (the film and where its shots are), ``drawing`` (its frames through the networks, one by one), ``export`` (into a file: frames
are kept until it is whole, so it can be stopped, killed and continued; how far it flickers; how long it will take).
"""

from studio.film_restyle.clip import Clip
from studio.film_restyle.drawing import FilmDrawing, restyle_frames
from studio.film_restyle.export import Estimate, RestyleExport, Saved, estimate, film_suffix

__all__ = ["Clip", "Estimate", "FilmDrawing", "RestyleExport", "Saved", "estimate", "film_suffix", "restyle_frames"]
