"""Draw films: recipes with a timeline become frames, streamed, resumable, side by side or on many machines.

``drawing`` (a film's frames), ``look`` (their size and shape), ``sounds`` (the files that are heard), ``store`` (frames on disk),
``cluster`` (several machines). Encoding is in ``export.py``, the list of jobs in ``jobs/``.
"""

from studio.film_render.drawing import FilmRender, render_frames
from studio.film_render.look import Look
from studio.film_render.sounds import find_sound, find_sounds, keep_sound, refer_to

__all__ = ["FilmRender", "Look", "find_sound", "find_sounds", "keep_sound", "refer_to", "render_frames"]
