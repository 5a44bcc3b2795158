"""Moving, turning and zooming the picture of a StyleGAN3. This is *not* a change of pixels: the network draws it there."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from studio.recipe import Transform


def transform_matrix(transform: Transform) -> Tensor:
    """Give the matrix that StyleGAN3's input layer takes for a wanted move, turn and zoom of the picture.

    The picture is scaled, then turned, then moved; the network samples its input at the inverse of that.

    Args:
        transform: Moves in picture widths, rotation in degrees (counter-clockwise), scale as a factor.

    Returns:
        The inverse matrix, ``[3, 3]`` float32 on the CPU; the identity for the default transform.

    Reference:
        Karras et al. 2021, "Alias-Free Generative Adversarial Networks", section 3 and appendix F (transformed Fourier features).
    """
    angle = math.radians(transform.rotate)
    cos, sin = math.cos(angle) * transform.scale, math.sin(angle) * transform.scale
    forward = torch.tensor([[cos, sin, transform.translate_x], [-sin, cos, transform.translate_y], [0.0, 0.0, 1.0]], dtype=torch.float64)
    inverse: Tensor = torch.linalg.inv(forward)
    return inverse.to(torch.float32)


def has_transform(transform: Transform) -> bool:
    """Tell whether a transform does anything."""
    return transform != Transform()
