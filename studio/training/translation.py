"""What the trainers of translators share: networks with averages, learning rates, crops, states, sheets and measures.

A trainer says which networks it has and what one step learns (:meth:`TranslatorTrainer.learn`); the rest of the protocol that the loop
needs is here. The families are in ``cyclegan.py``, ``cut.py`` and ``pix2pix.py``. This is *not* the loop: no files and no clock here.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn

from studio.features.weights import load_features
from studio.models import common, gan_layers
from studio.models.projected import ProjectedPatches
from studio.models.translator_layers import init_weights
from studio.training import augment, feature_terms, losses, presets, translator_start
from studio.training.data import Pictures
from studio.training.fast_norm import speed_up_norms
from studio.training.measures import Measures
from studio.training.random_crops import middle_squares, random_crops
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
    require_finite,
    restore_network,
    restore_optimizer,
    sheet,
    to_float,
    to_image,
)

SAMPLE_COLUMNS = 8
MEASURED_PICTURES = 64
STYLE_CROPS = 64
"""Crops of a set that say what its manner is."""

Loss = Callable[[Tensor, Tensor], Tensor]


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


class TranslatorTrainer:
    """The networks, optimisers and step of a translator family; see :class:`studio.training.trainer.Trainer`.

    Args:
        settings: Resolved settings.
        team: The processes that train together.
        pictures: Whole pictures by the name of their set.
    """

    def __init__(self, settings: Settings, team: Team, pictures: Mapping[str, Pictures]) -> None:
        self.team = team
        self.settings = settings
        self.pictures = dict(pictures)
        self.device = choose_device(settings.device)
        self.dtype = choose_dtype(settings.precision, self.device)
        self.images_per_step = presets.require(settings.batch)
        self.side = presets.require(settings.resolution)
        self.augment = augment.make(settings)
        self.networks: dict[str, nn.Module] = {}
        self.averages: dict[str, nn.Module] = {}
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.is_projected = settings.discriminator == "projected"
        weights = (presets.require(settings.lambda_content), presets.require(settings.lambda_style))
        self.content_weight, self.style_weight = weights
        wants_features = self.is_projected or any(weights)
        self.features = load_features(device=self.device, dtype=self.dtype) if wants_features else None
        self.wanted_style: dict[str, feature_terms.Statistics] = {}
        self.d_loss = losses.hinge_d if self.is_projected else losses.least_squares_d
        self.g_loss = losses.wasserstein_g if self.is_projected else losses.least_squares_g
        """The two sides of what translator and discriminator play for."""
        self.measures: Measures | None = None
        self.distance_of_photos = 0.0
        self.pools: dict[str, ImagePool] = {}

    def learn(self, random: StepRandom, clock: Clock) -> dict[str, float]:
        """Train every network once, and return what is worth plotting."""
        raise NotImplementedError

    def begin(self) -> None:
        """Take over what ``start_from`` names: the networks of another run that this family has too, or a translator's model file.

        Raises:
            TrainingError: There is no such run or model, it has none of these networks, or they are of another size.
        """
        if not self.settings.start_from:
            return
        averages = {f"average_{name}": network for name, network in self.averages.items()}
        translator_start.take_over(self.settings.start_from, {**self.networks, **averages})

    def build(self, description: tuple[str, common.Config], init: str = "normal") -> nn.Module:
        """Build a network with fresh weights: N(0, 0.02) and zero biases, as published, or ``xavier``; call it under a seed."""
        network = common.build(*description)
        init_weights(network, init, generator=torch.default_generator)
        return channels_last(network, self.device).train()

    def keep_averages(self, names: Iterable[str]) -> None:
        """Begin an exponential average of these networks (it is what ships), and give all networks their fast norms."""
        self.averages = {name: copy.deepcopy(self.networks[name]).eval().requires_grad_(False) for name in names}
        for network in self.networks.values():
            speed_up_norms(network)
            for norm in gan_layers.batch_norms(network):
                norm.share = self.team.shared_mean if self.team.size > 1 else None
            if isinstance(network, ProjectedPatches) and self.features is not None:
                network.look_through(self.features)

    def add_optimizer(self, key: str, names: Iterable[str]) -> None:
        """Give networks an Adam of their own; ``d`` takes the discriminator's rate, any other key the generator's."""
        parameters = chain.from_iterable(self.networks[name].parameters() for name in names)
        betas = (0.0, 0.99) if key == "d" and self.is_projected else (0.5, 0.999)
        self.optimizers[key] = torch.optim.Adam(parameters, lr=self.learning_rate(key), betas=betas, fused=True)

    def learning_rate(self, key: str) -> float:
        """Return the full rate of an optimiser."""
        return presets.require(self.settings.d_lr if key == "d" else self.settings.g_lr)

    def step(self, random: StepRandom, clock: Clock) -> dict[str, float]:
        """Take one step of all networks; see :meth:`Trainer.step`."""
        self._set_learning_rates(clock.progress)
        values = self.team.average_values(self.learn(random, clock))
        require_finite(values.items())
        half_life = min(presets.require(self.settings.ema_kimg) * 1000, max(clock.cur_nimg, 1) * 0.1)
        for name, average in self.averages.items():
            follow(average, self.networks[name], 1 - 0.5 ** (self.images_per_step / half_life))
        return values

    def autocast(self) -> torch.autocast:
        """Return the block in which convolutions may compute in the run's number format."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def _set_learning_rates(self, progress: float) -> None:
        """Keep the rates for the first half, then go linearly to zero (Zhu et al. 2017, appendix 7.1)."""
        share = min(1.0, 2 * (1 - progress))
        for key, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate(key) * share

    def crops(self, which: str, random: StepRandom) -> Tensor:
        """Draw random pieces of random pictures, half of them mirrored: float ``[n, channels, side, side]``; this member's share."""
        settings, n = self.settings, self.images_per_step
        drawn = random_crops(
            self.pictures[which], n, side=self.side, zoom=settings.zoom, mirror=settings.mirror, rng=random.numpy
        )  # all members draw alike
        return to_float(drawn[self.team.share(n).numpy()], self.device)

    def score(self, judge: str, fake: Tensor, random: StepRandom) -> Tensor:
        """Return a discriminator's logits of made pictures, for the translator to learn from; the discriminator stays as it is."""
        self.networks[judge].requires_grad_(False)
        return self._logits(judge, fake, random)

    def judge_loss(self, judge: str, real: Tensor, fake: Tensor, random: StepRandom, loss: Loss | None = None) -> Tensor:
        """Return the loss of a discriminator that learns to tell real pictures from made ones (detached by the caller)."""
        self.networks[judge].requires_grad_(True)
        if self.is_projected:  # its norms must not see both kinds at once
            real_logits, fake_logits = self._logits(judge, real, random), self._logits(judge, fake, random)
        else:
            real_logits, fake_logits = self._logits(judge, torch.cat([real, fake]), random).chunk(2)
        return (loss or self.d_loss)(real_logits, fake_logits)

    def _logits(self, judge: str, img: Tensor, random: StepRandom) -> Tensor:
        """Return a discriminator's logits of augmented pictures."""
        seen = self.augment(img, random)
        with self.autocast():
            logits: Tensor = self.networks[judge](seen, random.uniform(len(img), 2)) if self.is_projected else self.networks[judge](seen)
        return logits.float()

    def content_and_style(self, photo: Tensor, made: Tensor, target: str) -> tuple[Tensor, dict[str, float]]:
        """Return what pretrained features say of translations of photos, weighted, and what is worth plotting.

        Args:
            photo: ``[n, 3, side, side]``.
            made: Their translations.
            target: The set whose manner they should have.
        """
        total, values = made.new_zeros(()), dict[str, float]()
        if self.features is None or not (self.content_weight or self.style_weight):
            return total, values
        seen = self.features(made, (*feature_terms.CONTENT, *feature_terms.STYLE))
        if self.content_weight:
            with torch.no_grad():
                shown = self.features(photo, feature_terms.CONTENT)
            content = feature_terms.content_distance(seen, shown)
            total, values["content"] = total + self.content_weight * content, content.item()
        if self.style_weight:
            found = feature_terms.statistics(self.features, made, seen)
            if self.team.size > 1:
                found = feature_terms.shared(found, self.team.shared_mean)
            style = feature_terms.style_distance(found, self._wanted_style(target))
            total, values["style"] = total + self.style_weight * style, style.item()
        return total, values

    def _wanted_style(self, which: str) -> feature_terms.Statistics:
        """Return the mean statistics of a set, from crops that are the same whenever a run goes on."""
        if which not in self.wanted_style:
            assert self.features is not None
            rng = np.random.Generator(np.random.PCG64(self.settings.seed))
            drawn = random_crops(self.pictures[which], STYLE_CROPS, side=self.side, zoom=self.settings.zoom, mirror=False, rng=rng)
            batches = [to_float(part, self.device) for part in np.split(drawn, STYLE_CROPS // 8)]
            self.wanted_style[which] = feature_terms.mean_statistics(self.features, batches)
        return self.wanted_style[which]

    def watched(self) -> dict[str, torch.optim.Optimizer]:
        """Return the optimisers whose gradients are plotted."""
        return self.optimizers

    def descend(self, loss: Tensor, *keys: str) -> None:
        """Take one step of the named optimisers down the gradient of ``loss``."""
        for key in keys:
            self.optimizers[key].zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for key in keys:
            self.team.average_gradients(self.optimizers[key])
            self.optimizers[key].step()

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
    def translate(self, name: str, images: UInt8) -> UInt8:
        """Translate uint8 ``[n, H, W, 3]`` with the average of a network."""
        with self.autocast():
            return np.concatenate([to_image(self.averages[name](to_float(part[None], self.device))) for part in images])

    def middles(self, which: str, n: int) -> UInt8:
        """Return the middles of ``n`` pictures of a set at the size the network takes: uint8 ``[n, S, S, channels]``."""
        multiple = max(network.multiple_of for network in self.averages.values() if isinstance(network, common.Translator))
        return middle_squares(self.pictures[which], n, presets.require(self.settings.load_size) // multiple * multiple)

    def rows(self, *rows: UInt8) -> UInt8:
        """Lay rows of :data:`SAMPLE_COLUMNS` pictures out as a sheet."""
        return sheet(np.concatenate(rows), SAMPLE_COLUMNS)

    def measure(self, photos: UInt8, made: UInt8, wanted: UInt8) -> dict[str, float]:
        """Return how near translated photos are to the wanted pictures (see ``measures.py``), and how near the photos themselves are."""
        if self.measures is None:
            self.measures = Measures(wanted, inception=self.settings.inception)
            self.distance_of_photos = self.measures.distance(photos)
        return self.measures(made) | {"random_feature_kid_of_photos": self.distance_of_photos}

    def measured(self, *which: str) -> Sequence[UInt8]:
        """Return the middles of equally many pictures of each named set, at most :data:`MEASURED_PICTURES`."""
        n = min(MEASURED_PICTURES, *(len(self.pictures[name]) for name in which))
        return [self.middles(name, n) for name in which]
