"""Restyling pictures of any size with image translators: whole, streamed in bounded memory, or in tiles.

``picture.py`` is the way in, ``memory.py`` decides how, ``streaming.py`` runs a residual network over strips exactly, ``parts.py``
says what it is run by, ``frozen.py`` fixes statistics, ``controls.py`` and ``masks.py`` blend the result with its photo.
For films ``shots.py`` finds cuts, ``films.py`` holds statistics for a shot, ``motion.py`` and ``steadying.py`` smooth along the motion.
"""

from studio.restyle.controls import blend_weight, finish, mix, network_part
from studio.restyle.geometry import enlarge_with_detail, image_to_img, img_to_image, padded_side, reflect, working_size
from studio.restyle.masks import grey, pack_mask, read_mask
from studio.restyle.memory import Plan, can_stream, check_memory, estimate_memory, plan
from studio.restyle.picture import CancelledError, exhaust, restyle, translate

__all__ = [
    "CancelledError",
    "Plan",
    "blend_weight",
    "can_stream",
    "check_memory",
    "enlarge_with_detail",
    "estimate_memory",
    "exhaust",
    "finish",
    "grey",
    "image_to_img",
    "img_to_image",
    "mix",
    "network_part",
    "pack_mask",
    "padded_side",
    "plan",
    "read_mask",
    "reflect",
    "restyle",
    "translate",
    "working_size",
]
