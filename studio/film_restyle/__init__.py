"""Films redrawn by translators: any film in, the same frames, times and sound out, without flicker.

``clip`` (the film and where its shots are), ``drawing`` (its frames through the networks, one by one), ``export`` (into a file: frames
are kept until it is whole, so it can be stopped, killed and continued; how far it flickers), ``estimates`` (what it will take).
"""

from studio.film_restyle.clip import Clip
from studio.film_restyle.drawing import FilmDrawing, restyle_frames
from studio.film_restyle.estimates import Estimate, estimate, film_range, film_suffix, forecast, sound_note
from studio.film_restyle.export import RestyleExport, Saved

__all__ = [
    "Clip",
    "Estimate",
    "FilmDrawing",
    "RestyleExport",
    "Saved",
    "estimate",
    "film_range",
    "film_suffix",
    "forecast",
    "restyle_frames",
    "sound_note",
]
