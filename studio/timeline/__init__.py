"""From keyframes to frames: what every value of a recipe is at each moment of a film.

``easings`` (curves between keyframes), ``lanes`` (numbers), ``paths`` and ``wander`` (ways through latent space), ``plan`` (all of
it for one film). Frame ``i`` is a pure function of the recipe, what is heard, and ``i``. Nothing is drawn here.
"""

from studio.timeline.easings import ease
from studio.timeline.lanes import lane_value
from studio.timeline.plan import FrameStyles, Timeline, frame_recipe, frame_styles

__all__ = ["FrameStyles", "Timeline", "ease", "frame_recipe", "frame_styles", "lane_value"]
