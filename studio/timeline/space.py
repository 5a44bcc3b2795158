"""What one generator's latent space is like: places, the input noise behind them, how far it reaches, where "all of z" leads.

A mapping runs for the places of one frame only, never for several frames, so that none depends on which others are made with it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from studio.latents import ClassMeans, Places, class_vector, mean_of_class, place_to_ws, seed_of, seed_to_z
from studio.models.common import LatentGenerator
from studio.recipe import Latent

PROBES = 256
"""Seeds that the reach of the space is measured with."""
PULSE_PROBES = 32
REMEMBERED_NOISES = 512
PULSE_STEP = 0.5

Classes = tuple[tuple[int, float], ...]


class Space:
    """The latent space of a generator.

    Args:
        G: The generator.
        places: Looks up the style vectors of a latent; by default :func:`studio.latents.place_to_ws`.
        means: Looks up the mean style of a class; by default each is measured once.
    """

    def __init__(self, G: LatentGenerator, places: Places | None = None, means: ClassMeans | None = None) -> None:
        self.G = G
        self._places = places
        self.mean: ClassMeans = functools.cache(functools.partial(mean_of_class, G)) if means is None else means
        """Gives the mean style of a class."""
        self._noises: dict[int, Tensor] = {}

    def find(self, latent: Latent) -> Tensor:
        """Return the style vectors of a place, ``[1, num_ws, w_dim]``, without truncation."""
        return place_to_ws(self.G, latent) if self._places is None else self._places(latent)

    def find_all(self, latents: Sequence[Latent]) -> list[Tensor]:
        """Return the style vectors of places whose class weights are only for this frame: in one mapping where all are whole seeds.

        The batch is always all of them, so that the result depends on nothing else; nothing is remembered.
        """
        noises = [self.noise_behind(latent) for latent in latents]
        behind = [z for z in noises if z is not None]
        if len(behind) < len(latents) or len({latent.classes for latent in latents}) > 1:
            return [place_to_ws(self.G, latent) for latent in latents]
        mapped = self.map(torch.cat(behind), latents[0].classes)
        return [mapped[number : number + 1] for number in range(len(latents))]

    def noise_behind(self, latent: Latent) -> Tensor | None:
        """Return the input noise ``z [1, z_dim]`` of a whole seed; None for places that have none (between seeds, kept styles)."""
        if latent.ws or latent.x != round(latent.x) or latent.y != round(latent.y):
            return None
        seed = seed_of(latent)
        z = self._noises.get(seed)
        if z is None:
            z = self._noises[seed] = seed_to_z([seed], self.G.z_dim)
            if len(self._noises) > REMEMBERED_NOISES:
                self._noises.pop(next(iter(self._noises)))
        return z

    def map(self, z: Tensor, classes: Classes) -> Tensor:
        """Map input noise ``[n, z_dim]`` of one class to style vectors ``[n, num_ws, w_dim]``."""
        c = class_vector(classes, self.G.c_dim).expand(len(z), -1).to(self.device) if self.G.c_dim or classes else None
        with torch.no_grad():
            ws: Tensor = self.G.mapping(z.to(self.device, torch.float32), c)
        return ws

    @property
    def device(self) -> torch.device:
        """Where the generator is."""
        device: torch.device = self.G.w_avg.device
        return device

    @property
    def center(self) -> Tensor:
        """The average style, ``[w_dim]``."""
        return self.G.w_avg

    @cached_property
    def deviation(self) -> Tensor:
        """The standard deviation of styles, ``[num_ws, w_dim]``, from fixed seeds."""
        return self.map(seed_to_z(range(PROBES), self.G.z_dim), ()).std(0).clamp_min(1e-6)

    @cached_property
    def pulse(self) -> Tensor:
        """Where adding 1 to every coordinate of z leads in W, ``[1, num_ws, w_dim]``: the mean way, with its usual length."""
        z = seed_to_z(range(PULSE_PROBES), self.G.z_dim)
        ways = self.map(z + PULSE_STEP, ()) - self.map(z, ())
        mean = ways.mean(0, keepdim=True)
        way: Tensor = mean * (ways.flatten(1).norm(dim=1).mean() / mean.norm().clamp_min(1e-12)) / PULSE_STEP
        return way


def mix_classes(first: Classes, second: Classes, u: float, c_dim: int = 0) -> Classes:
    """Mix class weights; no weights mean the average class, which needs to know how many there are (else the nearer side wins)."""
    if first == second or u <= 0:
        return first
    if u >= 1:
        return second
    if not (first and second) and not c_dim:
        return first if u < 0.5 else second
    a, b = (_full(pairs, c_dim) for pairs in (first, second))
    return tuple((index, (1 - u) * a.get(index, 0.0) + u * b.get(index, 0.0)) for index in sorted(a.keys() | b.keys()))


def pull_classes(classes: Classes, pulls: Sequence[tuple[Classes, float]], c_dim: int) -> Classes:
    """Move class weights towards others by shares, as style vectors are pulled; what would be less than nothing of a class is nothing."""
    if not c_dim or all(other == classes or not share for other, share in pulls):
        return classes
    own = _full(classes, c_dim)
    kept = 1 - sum(share for _, share in pulls)
    moved = {index: kept * weight for index, weight in own.items()}
    for other, share in pulls:
        for index, weight in _full(other, c_dim).items():
            moved[index] = moved.get(index, 0.0) + share * weight
    return tuple((index, moved[index]) for index in sorted(moved) if moved[index] > 0)


def _full(pairs: Classes, c_dim: int) -> dict[int, float]:
    total = sum(weight for _, weight in pairs)
    if total <= 0:
        return dict.fromkeys(range(c_dim), 1 / max(c_dim, 1))
    return {index: weight / total for index, weight in pairs}
