"""Training a generator against a discriminator: one readable step for every GAN family (the numbers of each are in ``families.py``).

Order of a step: pictures are made; the discriminator learns from them and from real ones (several times, where the family says so); the
generator learns through the improved discriminator from the last pictures made, which saves one pass. Augmentation, lazy penalties and
averages are those of Karras et al. 2020 (StyleGAN2 and ADA). This is *not* what a step is fed (``inputs.py``), how its result is shown
and judged (``averaged.py``), or the loop around it: no files and no clock here.
"""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from studio.features.weights import load_features
from studio.models import common, gan_layers
from studio.training import augment, families, growth, losses, presets, self_supervision, start
from studio.training.averaged import Averaged
from studio.training.data import Pictures
from studio.training.inputs import Inputs
from studio.training.settings import Settings
from studio.training.softening import Softening
from studio.training.team import Team
from studio.training.trainer import (
    Clock,
    Scalars,
    StepRandom,
    UInt8,
    autocast,
    channels_last,
    choose_device,
    choose_dtype,
    flatten_network,
    flatten_optimizer,
    follow,
    fresh_weights,
    require_finite,
    restore_network,
    restore_optimizer,
)
from studio.training.variety import Variety, check_batch

RUNNING = ("w_avg", "magnitude_ema", "running_mean", "running_var")
"""Buffers that follow the data: a team agrees on them."""


class GanTrainer:
    """The networks, optimisers and step of a latent-to-picture family; see :class:`studio.training.trainer.Trainer`."""

    def __init__(self, settings: Settings, pictures: Pictures, team: Team) -> None:
        self.team = team
        self.settings = settings
        self.device = choose_device(settings.device)
        self.dtype = choose_dtype(settings.precision, self.device)
        self.objective = families.objective(settings)
        self.c_dim = families.c_dim(settings, pictures.classes)
        self.pictures = pictures
        self.inputs = Inputs(settings, pictures, team, device=self.device, c_dim=self.c_dim)
        self.d_steps = presets.require(settings.d_steps)
        self.images_per_step = self.inputs.batch * self.d_steps
        self.origin = start.origin(settings)
        self.rest_pictures = start.rest_pictures(self.origin, self.c_dim)
        channels = pictures.channels
        with fresh_weights(settings.seed):
            self.G = self._build(presets.generator(settings, c_dim=self.c_dim, channels_out=channels, started=self.origin))
            self.D = self._build(presets.discriminator(settings, c_dim=self.c_dim, channels_in=channels, started=self.origin))
        if hasattr(self.D, "look_through"):
            self.D.look_through(load_features(device=self.device, dtype=self.dtype))
        start.check_freeze(self.D, settings.freeze_d)
        self.G_ema = copy.deepcopy(self.G).eval().requires_grad_(False)
        self.averaged = Averaged(self.G_ema, self.inputs, settings, self.dtype)
        for norm in gan_layers.batch_norms(self.G) + gan_layers.batch_norms(self.D):
            norm.share = team.shared_mean if team.size > 1 else None
        self.penalty_interval = presets.require(settings.r1_interval) if self.objective.penalty_weights else 0
        self.path_interval = settings.path_length_interval if settings.path_length_weight else 0
        self.g_optimizer = families.optimizer(settings, self.G, presets.require(settings.g_lr), self.path_interval)
        lazy_interval = self.penalty_interval if self.penalty_interval > 1 else 0
        self.d_optimizer = families.optimizer(settings, self.D, presets.require(settings.d_lr), lazy_interval)
        self.variety: Variety | None = None
        self.diversity_weight = presets.require(settings.diversity_weight)
        if self.diversity_weight:
            check_batch(self.inputs.batch, team.size)
            members = self.inputs.draw.members if self.c_dim else [np.arange(len(pictures))]
            self.variety = Variety(load_features(device=self.device, dtype=self.dtype), pictures, members)
        self.augment = augment.make(settings)
        self.adaptation = augment.Adaptation(self.augment, settings, self.images_per_step)
        self.noise_mode = "random" if settings.noise else "none"
        self.soften = Softening(settings, is_fresh=not settings.start_from)
        self.mean_length = 0.0
        self.fade: growth.Fade | None = None

    def _build(self, description: tuple[str, common.Config]) -> Any:
        """Build a network on the device; what it has besides parameters is up to its protocol (``models/common.py``)."""
        return channels_last(common.build(*description), self.device).train()

    def begin(self) -> None:
        """Start from a model or from another run's networks where the settings name one."""
        if self.origin is not None:
            start.fill(self.origin, self.G, self.G_ema, self.D, self.pictures.classes[: self.c_dim])
            if self.team.is_first:
                start.remember(self.settings, self.origin)
        elif self.settings.start_from:
            self.fade = growth.grow(self.G, self.G_ema, self.D, growth.read_start(self.settings.start_from))
            if self.fade is not None:
                self.fade.to(self.device)
        if not self.settings.noise:
            for network in (self.G, self.G_ema):
                growth.still_noise(network)

    def step(self, random: StepRandom, clock: Clock) -> dict[str, float]:
        """Take one step of both networks; see :meth:`Trainer.step`."""
        if self.fade is not None:
            self.fade.follow(clock, self.settings.fade_kimg)
            self.fade = None if self.fade.alpha >= 1 else self.fade
        self._follow(clock.progress)
        self.soften.follow(clock)
        values: dict[str, float] = {}
        for turn in range(1, self.d_steps + 1):
            real, real_c = self.inputs.real(random)
            with self._autocast(), torch.set_grad_enabled(turn == self.d_steps):
                fake, fake_c = self._fake(random)
            values |= self._improve_d(real, real_c, fake.detach(), fake_c, random)
            if self.penalty_interval > 1 and clock.step % self.penalty_interval == 0:
                values |= self._regularise_d(real, real_c, fake.detach(), random)
        if clock.cur_nimg >= self.rest_pictures or clock.progress >= start.REST_SHARE:
            values |= self._improve_g(fake, fake_c, real, real_c, random)
        if self.path_interval and clock.step % self.path_interval == 0:
            values["path_length"] = self._regularise_g(random)
        values = self.team.average_values(values)
        require_finite(values.items())
        self.team.average(buffer for name, buffer in self.G.named_buffers() if name.endswith(RUNNING))
        follow(self.G_ema, self.G, self._ema_weight(clock))
        self.averaged.changed()
        self.adaptation.follow(values["real_sign"])
        return values | {"augment_p": self.augment.p}

    def _autocast(self) -> torch.autocast:
        return autocast(self.device, self.dtype)

    def _follow(self, progress: float) -> None:
        """Let what depends on the time follow the clock: learning rates, and the size of networks that grow.

        The rates are kept for the first half, then go linearly to ``lr_floor`` of them (1 keeps them to the end).
        """
        floor = presets.require(self.settings.lr_floor)
        for optimizer in (self.g_optimizer, self.d_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = group["full_lr"] * (1 - (1 - floor) * max(0.0, 2 * progress - 1))
        if families.FAMILIES[self.settings.family].grows:
            finest = presets.require(self.settings.resolution).bit_length() - 3
            for network in (self.G, self.D) if hasattr(self.D, "level") else (self.G,):
                network.level.fill_(families.level(progress, finest))

    def _fake(self, random: StepRandom) -> tuple[Tensor, Tensor | None]:
        """Make pictures of drawn classes: ``img [share, C, H, W]`` and ``c``."""
        c = self.inputs.classes(self.inputs.batch, random)
        ws = self.inputs.styles(self.G, self.inputs.share, c, random)
        return self._synthesise(ws, random), c

    def _synthesise(self, ws: Tensor, random: StepRandom) -> Tensor:
        img: Tensor = self.G.synthesis(ws, noise_mode=self.noise_mode, noise_generator=random.generators(len(ws)))
        return img

    def _logits(self, img: Tensor, c: Tensor | None) -> Tensor:
        with self._autocast():
            img = self.soften(img).contiguous(memory_format=torch.channels_last)
            logits: Tensor = self.D(img, c) if self.fade is None else self.fade.judge(self.D, img, c)
            return logits.float()

    def _improve_d(self, real: Tensor, real_c: Tensor | None, fake: Tensor, fake_c: Tensor | None, random: StepRandom) -> dict[str, float]:
        """Take one step of the discriminator; penalties that come every step are part of it."""
        start.release(self.D, self.settings.freeze_d)
        real, fake = self.augment(real, random), self.augment(fake, random)
        real_logits, rebuilding = self._judge_real(real, real_c, random)
        fake_logits = self._logits(fake, fake_c)
        loss = self.objective.d_loss(real_logits, fake_logits)
        values = {
            "d_loss": loss.item(),
            "real_sign": losses.top_sign(real_logits).item(),
            "fake_sign": losses.top_sign(fake_logits).item(),
        }
        if rebuilding is not None:
            values["rebuilding"] = rebuilding.item()
            loss = loss + rebuilding
        if self.penalty_interval == 1:
            penalties = self._penalties(real, real_c, fake, random)
            values |= {name: value.item() for name, value in penalties.items()}
            loss = loss + self.objective.weigh(penalties)
        self._descend(loss, self.d_optimizer)
        self.objective.clip(self.D)
        return values

    def _judge_real(self, real: Tensor, c: Tensor | None, random: StepRandom) -> tuple[Tensor, Tensor | None]:
        """Judge real pictures; a discriminator that supervises itself rebuilds them, too, and how well is part of its loss."""
        if not hasattr(self.D, "judge_and_rebuild"):
            return self._logits(real, c), None
        with self._autocast():
            img = self.soften(real).contiguous(memory_format=torch.channels_last)
            logits, rebuilding = self_supervision.judge_real(self.D, img, random.integers(len(img), 0, 4))
        return logits.float(), rebuilding

    def _regularise_d(self, real: Tensor, real_c: Tensor | None, fake: Tensor, random: StepRandom) -> dict[str, float]:
        """Take a step down the penalties alone, weighted up because it comes only so often (Karras et al. 2020, appendix B)."""
        penalties = self._penalties(self.augment(real, random), real_c, fake, random)
        self._descend(self.objective.weigh(penalties, self.penalty_interval), self.d_optimizer)
        return {name: value.item() for name, value in penalties.items()}

    def _penalties(self, real: Tensor, c: Tensor | None, fake: Tensor, random: StepRandom) -> dict[str, Tensor]:
        return self.objective.penalties(lambda img: self._logits(img, c), real, fake, lambda: random.uniform(len(real)))

    def _improve_g(self, fake: Tensor, fake_c: Tensor | None, real: Tensor, real_c: Tensor | None, random: StepRandom) -> dict[str, float]:
        self.D.requires_grad_(False)
        fake_logits = self._logits(self.augment(fake, random), fake_c)
        real_logits = self._logits(self.augment(real, random), real_c) if self.objective.is_paired else None
        loss = self.objective.g_loss(fake_logits, real_logits)
        values = {"g_loss": loss.item()}
        if self.variety is not None:
            alike = self.variety.penalty(fake, fake_c, self.team.shared_mean if self.team.size > 1 else None)
            loss, values["alike"] = loss + self.diversity_weight * alike, alike.item()
        penalty = self.objective.generator_penalty(self.G, fake)
        self._descend(loss if penalty is None else loss + penalty, self.g_optimizer)
        return values

    def _regularise_g(self, random: StepRandom) -> float:
        """Take a step down the path-length penalty of half a batch (Karras et al. 2020, section 3.2)."""
        n = max(1, self.inputs.share // 2)
        with self._autocast():
            ws = self.inputs.styles(self.G, n, self.inputs.classes(n * self.team.size, random), random)
            img = self._synthesise(ws, random)
        lengths = losses.path_lengths(img, ws, random.normal(*img.shape).to(self.device))
        length = self.team.average_values({"length": float(lengths.detach().mean())})["length"]
        self.mean_length += 0.01 * (length - self.mean_length)
        penalty = losses.path_length_penalty(lengths, torch.tensor(self.mean_length, device=self.device))
        self._descend(penalty * (self.settings.path_length_weight * self.path_interval), self.g_optimizer)
        return penalty.item()

    def _descend(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Take one optimiser step down the gradient of ``loss``."""
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.team.average_gradients(optimizer)
        optimizer.step()

    def _ema_weight(self, clock: Clock) -> float:
        """Return how far the average moves; its half-life is ``ema_kimg``, shorter near a fresh start (5 % of what was seen)."""
        half_life = presets.require(self.settings.ema_kimg) * 1000
        if self.origin is None:
            half_life = min(half_life, max(clock.cur_nimg, 1) * 0.05)
        return float(1 - 0.5 ** (self.images_per_step / max(half_life, 1e-8)))

    def state(self) -> tuple[dict[str, Tensor], Scalars]:
        """Return everything that the next step depends on."""
        self.averaged.settle()
        tensors: dict[str, Tensor] = {}
        for name in ("G", "D", "G_ema"):
            tensors |= flatten_network(name, getattr(self, name))
        tensors |= flatten_optimizer("g_optimizer", self.g_optimizer) | flatten_optimizer("d_optimizer", self.d_optimizer)
        tensors |= {} if self.fade is None else {f"fade.{name}": value for name, value in self.fade.entrance.state_dict().items()}
        return tensors, {
            "augment_p": self.augment.p,
            "signs": list(self.adaptation.signs),
            "mean_length": self.mean_length,
            "classes": list(self.pictures.classes[: self.c_dim]),
            "img_channels": self.pictures.channels,
        }

    def load_state(self, tensors: Mapping[str, Tensor], scalars: Scalars) -> None:
        """Take up a state that :meth:`state` returned."""
        for name in ("G", "D", "G_ema"):
            restore_network(name, getattr(self, name), tensors)
        restore_optimizer("g_optimizer", self.g_optimizer, tensors)
        restore_optimizer("d_optimizer", self.d_optimizer, tensors)
        self.averaged.changed()
        self.fade = growth.restore_fade(tensors, "fade")
        self.adaptation.signs = list(scalars["signs"])
        if self.settings.augment == "ada":
            self.augment.p = float(scalars["augment_p"])
        self.mean_length = float(scalars["mean_length"])

    def sample_grid(self) -> UInt8:
        """Return a sheet of the averaged generator."""
        return self.averaged.sheet()

    def quality(self) -> dict[str, float]:
        """Return the measures of the averaged generator."""
        return self.averaged.quality()

    def watched(self) -> dict[str, torch.optim.Optimizer]:
        """Return the optimisers whose gradients are plotted."""
        return {"g": self.g_optimizer, "d": self.d_optimizer}

    def products(self) -> dict[str, nn.Module]:
        """Return the averaged generator."""
        return {"": self.G_ema}
