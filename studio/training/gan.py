"""Training a style-based generator against a discriminator: one readable step (Karras et al. 2020, StyleGAN2 and ADA).

Order of a step: pictures are made once; the discriminator learns from them and from real ones; the generator learns through the improved
discriminator from the same pictures, which saves one pass. This is *not* the loop around it: no files and no clock here.
"""

import copy
from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from studio import latents
from studio.models import common
from studio.models.stylegan2 import StyleGAN2Generator
from studio.models.stylegan2_discriminator import StyleGAN2Discriminator
from studio.training import growth, losses, metrics, presets
from studio.training.augment import Augment
from studio.training.data import Draw, Pictures
from studio.training.settings import Settings
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

SAMPLE_PSI = 0.7
QUALITY_PICTURES = 512


class GanTrainer:
    """The networks, optimisers and step of a latent-to-picture family; see :class:`studio.training.trainer.Trainer`."""

    def __init__(self, settings: Settings, pictures: Pictures, team: Team) -> None:
        self.team = team
        self.settings = settings
        self.pictures = pictures
        self.draw = Draw(pictures, balance=settings.balance)
        self.device = choose_device(settings.device)
        self.dtype = choose_dtype(settings.precision, self.device)
        self.c_dim = len(pictures.classes)
        self.images_per_step = presets.require(settings.batch)
        self.share = self.images_per_step // team.size
        with fresh_weights(settings.seed):
            G = common.build(*presets.generator(settings, c_dim=self.c_dim, channels_out=pictures.channels))
            D = common.build(*presets.discriminator(settings, c_dim=self.c_dim, channels_in=pictures.channels))
        self.G, self.D = cast(StyleGAN2Generator, G), cast(StyleGAN2Discriminator, D)
        for network in (self.G, self.D):
            channels_last(network, self.device).train()
        self.G_ema = copy.deepcopy(self.G).eval().requires_grad_(False)
        self.g_optimizer = _adam(
            self.G, presets.require(settings.g_lr), settings.path_length_interval if settings.path_length_weight else 0
        )
        self.d_optimizer = _adam(self.D, presets.require(settings.d_lr), settings.r1_interval)
        self.augment = Augment(settings.augment_p if settings.augment == "fixed" else 0.0)
        self.signs: list[float] = []
        self.mean_length = 0.0
        self.fade: growth.Fade | None = None

    def begin(self) -> None:
        """Start from another run's networks where the settings name one."""
        if self.settings.start_from:
            self.fade = growth.grow(self.G, self.G_ema, self.D, growth.read_start(self.settings.start_from))
            if self.fade is not None:
                self.fade.to(self.device)

    def step(self, random: StepRandom, clock: Clock) -> dict[str, float]:
        """Take one step of both networks; see :meth:`Trainer.step`."""
        if self.fade is not None:
            self.fade.follow(clock, self.settings.fade_kimg)
            self.fade = None if self.fade.alpha >= 1 else self.fade
        real, real_c = self._real(random)
        with self._autocast():
            fake, fake_c = self._fake(random)
        values = self._improve_d(real, real_c, fake.detach(), fake_c, random)
        if clock.step % self.settings.r1_interval == 0:
            values["r1"] = self._regularise_d(real, real_c, random)
        values |= self._improve_g(fake, fake_c, random)
        if self.settings.path_length_weight and clock.step % self.settings.path_length_interval == 0:
            values["path_length"] = self._regularise_g(random)
        values = self.team.average_values(values)
        require_finite(values.items())
        self.team.average([self.G.w_avg])
        follow(self.G_ema, self.G, self._ema_weight(clock))
        self._adapt(values["real_sign"])
        return values | {"augment_p": self.augment.p}

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def _real(self, random: StepRandom) -> tuple[Tensor, Tensor | None]:
        indices = self.draw.indices(self.images_per_step, random.numpy)[self.team.share(self.images_per_step)]
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
        c = self._drawn_classes(self.images_per_step, random)
        ws = self._styles(self.share, c, random)
        return self.G.synthesis(ws, noise_mode="random", noise_generator=random.generators(self.share)), c

    def _drawn_classes(self, n: int, random: StepRandom) -> Tensor | None:
        """Draw classes for ``n`` pictures of the team and return this member's, one-hot."""
        return self._one_hot(self.draw.labels(n, random.numpy)[self.team.share(n)]) if self.c_dim else None

    def _styles(self, n: int, c: Tensor | None, random: StepRandom) -> Tensor:
        """Map latents to styles, two latents mixed at a random layer for most pictures."""
        z = random.normal(n, 2, self.settings.z_dim).transpose(0, 1).flatten(0, 1).to(self.device)
        with torch.autocast(self.device.type, enabled=False):
            ws: Tensor = self.G.mapping(z, None if c is None else c.repeat(2, 1))
        first, second = ws.chunk(2)
        layers = ws.shape[1]
        crossover = random.integers(n, 1, layers)
        crossover[random.uniform(n) >= self.settings.style_mixing] = layers
        keep = torch.arange(layers)[None] < crossover[:, None]
        return torch.where(keep[:, :, None].to(self.device), first, second)

    def _logits(self, img: Tensor, c: Tensor | None) -> Tensor:
        with self._autocast():
            img = img.contiguous(memory_format=torch.channels_last)
            logits: Tensor = self.D(img, c) if self.fade is None else self.fade.judge(self.D, img, c)
            return logits.float()

    def _improve_d(self, real: Tensor, real_c: Tensor | None, fake: Tensor, fake_c: Tensor | None, random: StepRandom) -> dict[str, float]:
        self.D.requires_grad_(True)
        real_logits = self._logits(self.augment(real, random), real_c)
        fake_logits = self._logits(self.augment(fake, random), fake_c)
        loss = losses.minimax_d(real_logits, fake_logits)
        self._descend(loss, self.d_optimizer)
        return {
            "d_loss": loss.item(),
            "real_sign": losses.top_sign(real_logits).item(),
            "fake_sign": losses.top_sign(fake_logits).item(),
        }

    def _regularise_d(self, real: Tensor, real_c: Tensor | None, random: StepRandom) -> float:
        img = self.augment(real, random).detach().requires_grad_(True)
        penalty = losses.zero_centred_penalty(self._logits(img, real_c), img)
        self._descend(penalty * (presets.require(self.settings.r1_gamma) / 2 * self.settings.r1_interval), self.d_optimizer)
        return penalty.item()

    def _improve_g(self, fake: Tensor, fake_c: Tensor | None, random: StepRandom) -> dict[str, float]:
        self.D.requires_grad_(False)
        loss = losses.non_saturating_g(self._logits(self.augment(fake, random), fake_c))
        self._descend(loss, self.g_optimizer)
        return {"g_loss": loss.item()}

    def _regularise_g(self, random: StepRandom) -> float:
        n = max(1, self.share // 2)
        with self._autocast():
            ws = self._styles(n, self._drawn_classes(n * self.team.size, random), random)
            img = self.G.synthesis(ws, noise_mode="random", noise_generator=random.generators(n))
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
        """Return how far the average moves; its half-life is ``ema_kimg``, shorter near the start (5 % of what was seen)."""
        half_life = min(presets.require(self.settings.ema_kimg) * 1000, max(clock.cur_nimg, 1) * 0.05)
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
            self.augment.p = float(min(max(self.augment.p + change, 0.0), 0.8))

    def state(self) -> tuple[dict[str, Tensor], Scalars]:
        """Return everything that the next step depends on."""
        tensors: dict[str, Tensor] = {}
        for name in ("G", "D", "G_ema"):
            tensors |= flatten_network(name, getattr(self, name))
        tensors |= flatten_optimizer("g_optimizer", self.g_optimizer) | flatten_optimizer("d_optimizer", self.d_optimizer)
        tensors |= {} if self.fade is None else {f"fade.{name}": value for name, value in self.fade.entrance.state_dict().items()}
        return tensors, {
            "augment_p": self.augment.p,
            "signs": list(self.signs),
            "mean_length": self.mean_length,
            "classes": list(self.pictures.classes),
        }

    def load_state(self, tensors: Mapping[str, Tensor], scalars: Scalars) -> None:
        """Take up a state that :meth:`state` returned."""
        for name in ("G", "D", "G_ema"):
            restore_network(name, getattr(self, name), tensors)
        restore_optimizer("g_optimizer", self.g_optimizer, tensors)
        restore_optimizer("d_optimizer", self.d_optimizer, tensors)
        self.fade = growth.restore_fade(tensors, "fade")
        self.signs = list(scalars["signs"])
        if self.settings.augment == "ada":
            self.augment.p = float(scalars["augment_p"])
        self.mean_length = float(scalars["mean_length"])

    @torch.inference_mode()
    def samples(self, n: int, *, first_seed: int = 0, psi: float = SAMPLE_PSI) -> tuple[UInt8, np.ndarray]:
        """Make ``n`` pictures of the averaged generator from fixed seeds, classes in turn: uint8 ``[n, H, W, C]`` and labels."""
        labels = np.arange(n) % max(1, self.c_dim)
        images = []
        for start in range(0, n, self.images_per_step):
            part = range(start, min(n, start + self.images_per_step))
            z = latents.seed_to_z([first_seed + i for i in part], self.settings.z_dim).to(self.device)
            with self._autocast():
                ws = self.G_ema.mapping(z, self._one_hot(labels[part.start : part.stop])).float()
                ws = latents.truncate(ws, self.G_ema.w_avg, psi)
                images.append(to_image(self.G_ema.synthesis(ws, noise_mode="const")))
        return np.concatenate(images), labels

    def sample_grid(self) -> UInt8:
        """Return a sheet: one class per column, or 10 x 6 when there are none."""
        columns = self.c_dim if 2 <= self.c_dim <= 20 else 10
        images, _ = self.samples(columns * 6)
        return sheet(images[..., :3], columns)

    def quality(self) -> dict[str, float]:
        """Return the random-feature KID against real pictures (``score``) and the diversity of the samples."""
        rng = np.random.Generator(np.random.PCG64(0))
        n = min(QUALITY_PICTURES, len(self.pictures))
        labels = self.draw.labels(n, rng)
        real = self.pictures.batch([rng.choice(self.draw.members[k]) for k in labels])
        fake = self._drawn(labels)
        features = metrics.RandomFeatures()
        kid = metrics.kid(features(real), features(fake))
        return {
            "score": kid,
            "random_feature_kid": kid,
            "diversity": metrics.diversity(fake[:64]) / max(metrics.diversity(real[:64]), 1e-9),
        }

    @torch.inference_mode()
    def _drawn(self, labels: np.ndarray) -> UInt8:
        """Make one untruncated picture per label from fixed latents."""
        images = []
        for start in range(0, len(labels), self.images_per_step):
            part = labels[start : start + self.images_per_step]
            z = latents.seed_to_z(list(range(start, start + len(part))), self.settings.z_dim).to(self.device)
            with self._autocast():
                ws = self.G_ema.mapping(z, self._one_hot(part)).float()
                images.append(to_image(self.G_ema.synthesis(ws, noise_mode="const")))
        return np.concatenate(images)

    def products(self) -> dict[str, nn.Module]:
        """Return the averaged generator."""
        return {"": self.G_ema}


def _adam(network: nn.Module, lr: float, lazy_interval: int) -> torch.optim.Adam:
    """Return Adam (0, 0.99), corrected for a regulariser that comes every ``lazy_interval`` steps (Karras et al. 2020, app. B)."""
    ratio = lazy_interval / (lazy_interval + 1) if lazy_interval else 1.0
    return torch.optim.Adam(network.parameters(), lr=lr * ratio, betas=(0.0, 0.99**ratio), eps=1e-8, fused=True)
