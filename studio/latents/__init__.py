"""Where a picture comes from: pure functions over a generator ``G`` and style vectors ``ws``.

``places`` (seeds, classes, kept style vectors), ``mixing`` (truncation, style mixing, blends), ``centers`` (what truncation pulls
towards), ``layers`` (their names), ``styles`` (all that a recipe says), ``transform`` (StyleGAN3's moves). This is *not* a place for
pixels, files or caches.
"""

from studio.latents.centers import ClassMeans, class_center, mean_of_class
from studio.latents.layers import layer_groups, layer_weights
from studio.latents.mixing import blend, lerp, mix, slerp, truncate
from studio.latents.places import class_vector, keep_ws, place_to_ws, seed_of, seed_to_z
from studio.latents.styles import Places, recipe_classes, recipe_to_ws
from studio.latents.transform import has_transform, transform_matrix

__all__ = [
    "ClassMeans",
    "Places",
    "blend",
    "class_center",
    "class_vector",
    "has_transform",
    "keep_ws",
    "layer_groups",
    "layer_weights",
    "lerp",
    "mean_of_class",
    "mix",
    "place_to_ws",
    "recipe_classes",
    "recipe_to_ws",
    "seed_of",
    "seed_to_z",
    "slerp",
    "transform_matrix",
    "truncate",
]
