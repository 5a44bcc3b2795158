"""Training two translators against each other: CycleGAN (Zhu et al. 2017), one readable step.

``forward`` turns pictures of the first set (A, photos) into the second (B, paintings), ``backward`` the reverse. Both directions of a
step run as one batch per network where instance norm allows it. This is *not* the loop around it: no files and no clock here.
"""

import copy
from collections.abc import Mapping
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn

from studio.models import common
from studio.training import losses, metrics, presets
from studio.training.data import Pictures
from studio.training.fast_norm import speed_up_norms
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

NETWORKS = ("forward", "backward", "judge_a", "judge_b")
SAMPLE_COLUMNS = 8


class ImagePool:
    """The last ``size`` made pictures; half of the time the discriminator sees an old one (Shrivastava et al. 2017, section 2.3)."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: list[Tensor] = []

    def exchange(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Return as many pictures as given, some of them replaced by older ones, ``[n, C, H, W]``."""
        if self.size == 0:
            return images
        result = []
        for image in torch.split(images, 1):
            if len(self.images) < self.size:
                self.images.append(image.clone())
                result.append(image)
            elif rng.random() < 0.5:
                place = int(rng.integers(self.size))
                result.append(self.images[place])
                self.images[place] = image.clone()
            else:
                result.append(image)
        return torch.cat(result)


class CycleTrainer:
    """The networks, optimisers and step of CycleGAN; see :class:`studio.training.trainer.Trainer`."""

    def __init__(self, settings: Settings, pictures_a: Pictures, pictures_b: Pictures, team: Team) -> None:
        self.team = team
        self.settings = settings
        self.pictures = {"a": pictures_a, "b": pictures_b}
        self.device = choose_device(settings.device)
        self.dtype = choose_dtype(settings.precision, self.device)
        self.images_per_step = presets.require(settings.batch)
        self.side = presets.require(settings.resolution)
        with fresh_weights(settings.seed):
            self.networks = {name: self._build(presets.translator(settings)) for name in NETWORKS[:2]}
            self.networks |= {name: self._build(("patchgan", {"ndf": settings.ndf})) for name in NETWORKS[2:]}
        self.averages = {name: copy.deepcopy(self.networks[name]).eval().requires_grad_(False) for name in NETWORKS[:2]}
        for network in self.networks.values():
            speed_up_norms(network)
        self.optimizers = {
            "g": self._adam(NETWORKS[:2], presets.require(settings.g_lr)),
            "d": self._adam(NETWORKS[2:], presets.require(settings.d_lr)),
        }
        self.pools = {"a": ImagePool(settings.pool_size), "b": ImagePool(settings.pool_size)}

    def begin(self) -> None:
        """Nothing to prepare: the weights are fresh."""

    def _build(self, description: tuple[str, common.Config]) -> nn.Module:
        """Build a network with weights from N(0, 0.02) and zero biases, as published."""
        network = common.build(*description)
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        return channels_last(network, self.device).train()

    def _adam(self, names: tuple[str, ...], lr: float) -> torch.optim.Adam:
        return torch.optim.Adam(chain.from_iterable(self.networks[n].parameters() for n in names), lr=lr, betas=(0.5, 0.999), fused=True)

    def step(self, random: StepRandom, clock: Clock) -> dict[str, float]:
        """Take one step of all four networks; see :meth:`Trainer.step`."""
        self._set_learning_rates(clock.progress)
        a, b = self._crops("a", random), self._crops("b", random)
        values, fake_a, fake_b = self._improve_translators(a, b)
        values |= self._improve_judges(a, b, self.pools["a"].exchange(fake_a, random.numpy), self.pools["b"].exchange(fake_b, random.numpy))
        values = self.team.average_values(values)
        require_finite(values.items())
        half_life = min(presets.require(self.settings.ema_kimg) * 1000, max(clock.cur_nimg, 1) * 0.1)
        for name, average in self.averages.items():
            follow(average, self.networks[name], 1 - 0.5 ** (self.images_per_step / half_life))
        return values

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def _set_learning_rates(self, progress: float) -> None:
        """Keep the rates for the first half, then go linearly to zero (Zhu et al. 2017, appendix 7.1)."""
        share = min(1.0, 2 * (1 - progress))
        for name, lr in (("g", self.settings.g_lr), ("d", self.settings.d_lr)):
            for group in self.optimizers[name].param_groups:
                group["lr"] = presets.require(lr) * share

    def _crops(self, which: str, random: StepRandom) -> Tensor:
        """Draw random square crops of random pictures, half of them mirrored: float ``[n, 3, side, side]``."""
        pictures, rng, crops = self.pictures[which], random.numpy, []
        for index in rng.integers(len(pictures), size=self.images_per_step):  # all members draw alike
            image = pictures.picture(int(index))
            top, left = (int(rng.integers(length - self.side + 1)) for length in image.shape[:2])
            crop = image[top : top + self.side, left : left + self.side]
            crops.append(crop[:, ::-1] if self.settings.mirror and rng.random() < 0.5 else crop)
        return to_float(np.stack(crops)[self.team.share(self.images_per_step)], self.device)

    def _improve_translators(self, a: Tensor, b: Tensor) -> tuple[dict[str, float], Tensor, Tensor]:
        """Train both translators; return the values and the made pictures of A and B."""
        settings, nets = self.settings, self.networks
        for name in NETWORKS[2:]:
            nets[name].requires_grad_(False)
        with self._autocast():
            fake_b, same_b = nets["forward"](torch.cat([a, b])).float().chunk(2)
            fake_a, same_a = nets["backward"](torch.cat([b, a])).float().chunk(2)
            again_a, again_b = nets["backward"](fake_b).float(), nets["forward"](fake_a).float()
            adversarial = losses.least_squares_g(nets["judge_b"](fake_b).float()) + losses.least_squares_g(nets["judge_a"](fake_a).float())
        cycle = losses.cycle(a, again_a) + losses.cycle(b, again_b)
        identity = losses.identity(a, same_a) + losses.identity(b, same_b)
        self._descend(adversarial + settings.lambda_cycle * cycle + settings.lambda_identity * identity, self.optimizers["g"])
        values = {"g_loss": adversarial.item(), "cycle": cycle.item(), "identity": identity.item()}
        return values, fake_a.detach(), fake_b.detach()

    def _improve_judges(self, a: Tensor, b: Tensor, fake_a: Tensor, fake_b: Tensor) -> dict[str, float]:
        values, total = {}, torch.zeros((), device=self.device)
        for name, real, fake in (("judge_a", a, fake_a), ("judge_b", b, fake_b)):
            self.networks[name].requires_grad_(True)
            with self._autocast():
                real_logits, fake_logits = self.networks[name](torch.cat([real, fake])).float().chunk(2)
            loss = losses.least_squares_d(real_logits, fake_logits)
            total = total + loss
            values[name] = loss.item()
        self._descend(total, self.optimizers["d"])
        return values

    def _descend(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Take one optimiser step down the gradient of ``loss``."""
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.team.average_gradients(optimizer)
        optimizer.step()

    def state(self) -> tuple[dict[str, Tensor], Scalars]:
        """Return everything that the next step depends on."""
        tensors: dict[str, Tensor] = {}
        for name, network in self.networks.items():
            tensors |= flatten_network(name, network)
        for name, network in self.averages.items():
            tensors |= flatten_network(f"average_{name}", network)
        for name, optimizer in self.optimizers.items():
            tensors |= flatten_optimizer(f"optimizer_{name}", optimizer)
        for name, pool in self.pools.items():
            tensors |= {f"pool_{name}": torch.cat(pool.images)} if pool.images else {}
        return tensors, {}

    def load_state(self, tensors: Mapping[str, Tensor], scalars: Scalars) -> None:
        """Take up a state that :meth:`state` returned."""
        for name, network in self.networks.items():
            restore_network(name, network, tensors)
        for name, network in self.averages.items():
            restore_network(f"average_{name}", network, tensors)
        for name, optimizer in self.optimizers.items():
            restore_optimizer(f"optimizer_{name}", optimizer, tensors)
        for name, pool in self.pools.items():
            kept = tensors.get(f"pool_{name}")
            pool.images = [] if kept is None else [image.to(self.device) for image in torch.split(kept, 1)]

    @torch.inference_mode()
    def translate(self, direction: str, images: UInt8) -> UInt8:
        """Translate uint8 ``[n, H, W, 3]`` with an averaged network, ``forward`` or ``backward``."""
        with self._autocast():
            return np.concatenate([to_image(self.averages[direction](to_float(part[None], self.device))) for part in images])

    def _middle_squares(self, which: str, n: int) -> UInt8:
        """Return the middles of ``n`` pictures spread over a set, in a fixed order: uint8 ``[n, S, S, 3]``."""
        pictures = self.pictures[which]
        side = presets.require(self.settings.load_size) // 4 * 4
        middles = []
        for index in np.linspace(0, len(pictures) - 1, n).astype(int):
            image = pictures.picture(int(index))
            top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
            middles.append(image[top : top + side, left : left + side])
        return np.stack(middles)

    def sample_grid(self) -> UInt8:
        """Return four rows: photos, their translations, paintings, their translations."""
        a, b = self._middle_squares("a", SAMPLE_COLUMNS), self._middle_squares("b", SAMPLE_COLUMNS)
        rows = [a, self.translate("forward", a), b, self.translate("backward", b)]
        return sheet(np.concatenate(rows), SAMPLE_COLUMNS)

    def quality(self) -> dict[str, float]:
        """Return the random-feature KID of translated photos against paintings (``score``) and of the photos themselves."""
        n = min(64, len(self.pictures["a"]), len(self.pictures["b"]))
        a, b = self._middle_squares("a", n), self._middle_squares("b", n)
        features = metrics.RandomFeatures()
        target = features(b)
        score = metrics.kid(features(self.translate("forward", a)), target)
        return {"score": score, "random_feature_kid": score, "random_feature_kid_of_photos": metrics.kid(features(a), target)}

    def products(self) -> dict[str, nn.Module]:
        """Return the averaged translators of both directions."""
        return {"": self.averages["forward"], "inverse": self.averages["backward"]}
