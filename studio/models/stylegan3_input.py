"""Where StyleGAN3 starts: waves on an endless plane that can be moved, turned and scaled.

This is *not* a layer of the network proper; those are in ``stylegan3.py``.

Reference:
    Karras et al. 2021, "Alias-Free Generative Adversarial Networks", section 3.2 and appendix F.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from studio.models.stylegan2_layers import FullyConnected


class SynthesisInput(nn.Module):
    """Fourier features on an endless plane, moved and turned by ``w`` and by the user: ``w [n, w_dim] -> [n, channels, size, size]``."""

    freqs: Tensor
    phases: Tensor
    transform: Tensor

    def __init__(self, *, w_dim: int, channels: int, size: int, sampling_rate: float, bandwidth: float) -> None:
        super().__init__()
        self.channels, self.size, self.sampling_rate, self.bandwidth = channels, size, sampling_rate, bandwidth
        direction = torch.randn(channels, 2)
        square = direction.square().sum(1, keepdim=True)
        self.weight = nn.Parameter(torch.randn(channels, channels))
        self.affine = FullyConnected(w_dim, 4)
        with torch.no_grad():
            self.affine.weight.zero_()
            self.affine.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
        self.register_buffer("transform", torch.eye(3))
        # The radius of a 2D Gaussian, made uniform over the disc: its CDF is 1 - exp(-r^2 / 2).
        self.register_buffer("freqs", direction / square.sqrt() * (1 - (-square / 2).exp()).sqrt() * bandwidth)
        self.register_buffer("phases", torch.rand(channels) - 0.5)

    def placement(self, w: Tensor, transform: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Move the waves as ``w`` and the user ask.

        Returns:
            Frequencies ``[n, channels, 2]``, phases ``[n, channels]``, amplitudes ``[n, channels]``: what is too high fades.
        """
        user = (self.transform if transform is None else transform).to(w)
        learned = self.affine(w)
        learned = learned / learned[:, :2].norm(dim=1, keepdim=True)
        cos, sin, x, y = learned.unbind(1)
        rotation = torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)
        shift = -(rotation @ torch.stack([x, y], 1).unsqueeze(2))
        moves = torch.cat([rotation, shift], 2) @ user
        linear, offset = moves[..., :2], moves[..., 2:]
        freqs = self.freqs @ linear
        phases = self.phases + (self.freqs @ offset).squeeze(2)
        above = freqs.norm(dim=2) - self.bandwidth
        return freqs, phases, (1 - above / (self.sampling_rate / 2 - self.bandwidth)).clamp(0, 1)

    def grid(self) -> Tensor:
        """Return where the samples of one axis lie, ``[size]``, in picture widths from the centre."""
        steps = torch.arange(self.size, device=self.freqs.device, dtype=torch.float32)
        return (steps - (self.size - 1) / 2) / self.sampling_rate

    def forward(self, w: Tensor, transform: Tensor | None = None) -> Tensor:
        """Sample the features. ``transform`` ``[3, 3]`` or ``[n, 3, 3]`` maps output to input places and replaces the stored one."""
        freqs, phases, amplitudes = self.placement(w, transform)
        place = self.grid()
        along_x = place * freqs[..., :1] + phases.unsqueeze(2)
        along_y = place * freqs[..., 1:]
        waves = torch.sin((along_x.unsqueeze(2) + along_y.unsqueeze(3)) * (2 * math.pi)) * amplitudes[..., None, None]
        return torch.einsum("oc,nchw->nohw", self.weight / math.sqrt(self.channels), waves)
