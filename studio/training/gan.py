"""Training a generator against a discriminator: one readable step for every GAN family (the numbers of each are in ``families.py``).

Order of a step: pictures are made; the discriminator learns from them and from real ones (several times, where the family says so); the
generator learns through the improved discriminator from the last pictures made, which saves one pass. Augmentation, lazy penalties and
averages are those of Karras et al. 2020 (StyleGAN2 and ADA). This is *not* the loop around it: no files and no clock here.
"""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from studio import latents
from studio.models import common, gan_layers
from studio.training import augment, families, growth, losses, presets, self_supervision, start
from studio.training.data import Draw, Pictures
from studio.training.measures import Measures
from studio.training.settings import Settings
from studio.training.softening import Softening
from studio.training.team import Team
from studio.training.trainer import (
    Clock,
    Scalars,
    StepRandom,
    UInt8,
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
    sheet,
    to_float,
    to_image,
)

RUNNING = ("w_avg", "magnitude_ema", "running_mean", "running_var")
"""Buffers that follow the data: a team agrees on them."""
SAMPLE_PSI = 0.7
QUALITY_PICTURES = 512
SETTLING_BATCHES = 8


class GanTrainer:
    """The networks, optimisers and step of a latent-to-picture family; see :class:`studio.training.trainer.Trainer`."""

    def __init__(self, settings: Settings, pictures: Pictures, team: Team) -> None:
        self.team = team
        self.settings = settings
        self.pictures = pictures
        self.draw = Draw(pictures, balance=settings.balance)
        self.device = choose_device(settings.device)
        self.dtype = choose_dtype(settings.precision, self.device)
        self.objective = families.objective(settings)
        self.c_dim = families.c_dim(settings, pictures.classes)
        self.batch = presets.require(settings.batch)
        self.share = self.batch // team.size
        self.d_steps = presets.require(settings.d_steps)
        self.images_per_step = self.batch * self.d_steps
        self.origin = start.origin(settings)
        self.rest_pictures = start.rest_pictures(self.origin, self.c_dim)
        channels = pictures.channels
        with fresh_weights(settings.seed):
            self.G = self._build(presets.generator(settings, c_dim=self.c_dim, channels_out=channels, started=self.origin))
            self.D = self._build(presets.discriminator(settings, c_dim=self.c_dim, channels_in=channels, started=self.origin))
        self.G_ema = copy.deepcopy(self.G).eval().requires_grad_(False)
        self.is_settled = False
        for norm in gan_layers.batch_norms(self.G) + gan_layers.batch_norms(self.D):
            norm.share = team.shared_mean if team.size > 1 else None
        self.z_dim = presets.require(settings.z_dim)
        self.style_mixing = presets.require(settings.style_mixing) if self.G.num_ws > 1 else 0.0
        self.penalty_interval = presets.require(settings.r1_interval) if self.objective.penalty_weights else 0
        self.g_optimizer = families.optimizer(
            settings, self.G, presets.require(settings.g_lr), settings.path_length_interval if settings.path_length_weight else 0
        )
        lazy_interval = self.penalty_interval if self.penalty_interval > 1 else 0
        self.d_optimizer = families.optimizer(settings, self.D, presets.require(settings.d_lr), lazy_interval)
        self.augment = augment.make(settings)
        self.noise_mode = "random" if settings.noise else "none"
        self.soften = Softening(settings, is_fresh=not settings.start_from)
        self.signs: list[float] = []
        self.measures: Measures | None = None
        self.mean_length = 0.0
        self.fade: growth.Fade | None = None
        start.check_freeze(self.D, settings.freeze_d)

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
            real, real_c = self._real(random)
            with self._autocast(), torch.set_grad_enabled(turn == self.d_steps):
                fake, fake_c = self._fake(random)
            values |= self._improve_d(real, real_c, fake.detach(), fake_c, random)
            if self.penalty_interval > 1 and clock.step % self.penalty_interval == 0:
                values |= self._regularise_d(real, real_c, fake.detach(), random)
        if clock.cur_nimg >= self.rest_pictures or clock.progress >= start.REST_SHARE:
            values |= self._improve_g(fake, fake_c, real, real_c, random)
        if self.settings.path_length_weight and clock.step % self.settings.path_length_interval == 0:
            values["path_length"] = self._regularise_g(random)
        values = self.team.average_values(values)
        require_finite(values.items())
        self.team.average(buffer for name, buffer in self.G.named_buffers() if name.endswith(RUNNING))
        follow(self.G_ema, self.G, self._ema_weight(clock))
        self.is_settled = False
        self._adapt(values["real_sign"])
        return values | {"augment_p": self.augment.p}

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16)

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
            for network in (self.G, self.D):
                network.level.fill_(families.level(progress, finest))

    def _real(self, random: StepRandom) -> tuple[Tensor, Tensor | None]:
        indices = self.draw.indices(self.batch, random.numpy)[self.team.share(self.batch).numpy()]
        real = to_float(self.pictures.batch(indices), self.device)
        if self.settings.mirror:
            flip = random.uniform(len(real)).lt(0.5).to(self.device)
            real = torch.where(flip[:, None, None, None], real.flip(3), real)
        return real, self._one_hot(self.pictures.labels[indices])

    def _one_hot(self, labels: np.ndarray) -> Tensor | None:
        if not self.c_dim:
            return None
        return torch.eye(self.c_dim)[torch.as_tensor(labels)].to(self.device)

    def _fake(self, random: StepRandom) -> tuple[Tensor, Tensor | None]:
        c = self._drawn_classes(self.batch, random)
        ws = self._styles(self.share, c, random)
        return self.G.synthesis(ws, noise_mode=self.noise_mode, noise_generator=random.generators(self.share)), c

    def _drawn_classes(self, n: int, random: StepRandom) -> Tensor | None:
        """Draw classes for ``n`` pictures of the team and return this member's, one-hot."""
        return self._one_hot(self.draw.labels(n, random.numpy)[self.team.share(n).numpy()]) if self.c_dim else None

    def _styles(self, n: int, c: Tensor | None, random: StepRandom) -> Tensor:
        """Map latents to styles; where the family mixes, two latents meet at a random layer of most pictures."""
        if not self.style_mixing:
            styles: Tensor = self.G.mapping(random.normal(n, self.z_dim).to(self.device), c)
            return styles
        z = random.normal(n, 2, self.z_dim).transpose(0, 1).flatten(0, 1).to(self.device)
        with torch.autocast(self.device.type, enabled=False):
            ws: Tensor = self.G.mapping(z, None if c is None else c.repeat(2, 1))
        first, second = ws.chunk(2)
        layers = ws.shape[1]
        crossover = random.integers(n, 1, layers)
        crossover[random.uniform(n) >= self.style_mixing] = layers
        keep = torch.arange(layers)[None] < crossover[:, None]
        return torch.where(keep[:, :, None].to(self.device), first, second)

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
        penalty = self.objective.generator_penalty(self.G)
        self._descend(loss if penalty is None else loss + penalty, self.g_optimizer)
        return values

    def _regularise_g(self, random: StepRandom) -> float:
        n = max(1, self.share // 2)
        with self._autocast():
            ws = self._styles(n, self._drawn_classes(n * self.team.size, random), random)
            img = self.G.synthesis(ws, noise_mode=self.noise_mode, noise_generator=random.generators(n))
        lengths = losses.path_lengths(img, ws, random.normal(*img.shape).to(self.device))
        length = self.team.average_values({"length": float(lengths.detach().mean())})["length"]
        self.mean_length += 0.01 * (length - self.mean_length)
        penalty = losses.path_length_penalty(lengths, torch.tensor(self.mean_length, device=self.device))
        self._descend(penalty * (self.settings.path_length_weight * self.settings.path_length_interval), self.g_optimizer)
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

    def _adapt(self, real_sign: float) -> None:
        """Every four steps, move the augmentation strength towards ``ada_target`` (Karras et al. 2020 ADA, section 3.1)."""
        self.signs.append(real_sign)
        if len(self.signs) < 4:
            return
        direction = np.sign(np.mean(self.signs) - self.settings.ada_target)
        self.signs.clear()
        if self.settings.augment == "ada":
            change = direction * 4 * self.images_per_step / (self.settings.ada_kimg * 1000)
            self.augment.p = float(min(max(self.augment.p + change, 0.0), augment.LARGEST_P))

    def state(self) -> tuple[dict[str, Tensor], Scalars]:
        """Return everything that the next step depends on."""
        self._settle()
        tensors: dict[str, Tensor] = {}
        for name in ("G", "D", "G_ema"):
            tensors |= flatten_network(name, getattr(self, name))
        tensors |= flatten_optimizer("g_optimizer", self.g_optimizer) | flatten_optimizer("d_optimizer", self.d_optimizer)
        tensors |= {} if self.fade is None else {f"fade.{name}": value for name, value in self.fade.entrance.state_dict().items()}
        return tensors, {
            "augment_p": self.augment.p,
            "signs": list(self.signs),
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
        self.is_settled = False
        self.fade = growth.restore_fade(tensors, "fade")
        self.signs = list(scalars["signs"])
        if self.settings.augment == "ada":
            self.augment.p = float(scalars["augment_p"])
        self.mean_length = float(scalars["mean_length"])

    @torch.inference_mode()
    def samples(self, n: int, *, first_seed: int = 0, psi: float = SAMPLE_PSI) -> tuple[UInt8, np.ndarray]:
        """Make ``n`` pictures of the averaged generator from fixed seeds, classes in turn: uint8 ``[n, H, W, C]`` and labels."""
        labels = np.arange(n) % max(1, self.c_dim)
        return self._paint(labels, first_seed=first_seed, psi=psi), labels

    def _paint(self, labels: np.ndarray, *, first_seed: int = 0, psi: float = 1.0) -> UInt8:
        """Make one picture of the averaged generator per label, from successive seeds: uint8 ``[n, H, W, C]``."""
        self._settle()
        images = []
        for begin in range(0, len(labels), self.batch):
            part = labels[begin : begin + self.batch]
            images.append(to_image(self._averaged_img(part, first_seed + begin, psi)))
        return np.concatenate(images)

    def _averaged_img(self, labels: np.ndarray, first_seed: int, psi: float = 1.0) -> Tensor:
        z = latents.seed_to_z(range(first_seed, first_seed + len(labels)), self.z_dim).to(self.device)
        with self._autocast():
            ws = latents.truncate(self.G_ema.mapping(z, self._one_hot(labels)).float(), self.G_ema.w_avg, psi)
            img: Tensor = self.G_ema.synthesis(ws, noise_mode="const")
        return img

    @torch.inference_mode()
    def _settle(self) -> None:
        """Give the averaged generator's batch norms, if it has any, statistics that fit its weights: the same for the same weights."""
        if self.is_settled:
            return
        rng = np.random.Generator(np.random.PCG64(0))
        labels = self.draw.labels(SETTLING_BATCHES * self.batch, rng).reshape(SETTLING_BATCHES, self.batch)
        gan_layers.settle_statistics(self.G_ema, lambda k: self._averaged_img(labels[k], k * self.batch), SETTLING_BATCHES)
        self.is_settled = True

    def sample_grid(self) -> UInt8:
        """Return a sheet: one class per column, or 10 x 6 when there are none."""
        columns = self.c_dim if 2 <= self.c_dim <= 20 else 10
        images, _ = self.samples(columns * 6)
        return sheet(_opaque(images), columns)

    @torch.inference_mode()
    def quality(self) -> dict[str, float]:
        """Return what :class:`studio.training.measures.Measures` finds, of classes in the proportions of the training."""
        rng = np.random.Generator(np.random.PCG64(0))
        n = min(QUALITY_PICTURES, len(self.pictures))
        labels = self.draw.labels(n, rng)
        if self.measures is None:
            real = self.pictures.batch([rng.choice(self.draw.members[k]) for k in labels])
            inception, mirror = self.settings.inception, self.settings.mirror
            self.measures = Measures(real, inception=inception, training=self.pictures.parts, mirror=mirror)
        return self.measures(self._paint(labels))

    def watched(self) -> dict[str, torch.optim.Optimizer]:
        """Return the optimisers whose gradients are plotted."""
        return {"g": self.g_optimizer, "d": self.d_optimizer}

    def products(self) -> dict[str, nn.Module]:
        """Return the averaged generator."""
        return {"": self.G_ema}


def _opaque(images: UInt8) -> UInt8:
    """Lay pictures ``[n, H, W, C]`` with transparency on white."""
    if images.shape[3] == 3:
        return images
    opacity = images[..., 3:].astype(np.float32) / 255
    laid: UInt8 = (images[..., :3] * opacity + 255 * (1 - opacity)).round().astype(np.uint8)
    return laid
