"""Starting from weights that exist: the same network on new pictures (fine-tuning), or a finer one grown from a coarse one.

Growing keeps every block of the coarse networks. The new finest block of the generator starts silent; that of the discriminator fades in
beside the old entrance (Karras et al. 2018, "Progressive Growing of GANs", section 3). This is *not* a converter of foreign files.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from studio.checkpoints.tensors import read_tensors
from studio.errors import TrainingError
from studio.models import ops
from studio.models.stylegan2_discriminator import StyleGAN2Discriminator
from studio.models.stylegan2_layers import ConvLayer
from studio.training.trainer import Clock

LEAST_SHARE = 0.4
"""A start that fills less than this share of a network's numbers is the wrong file."""


class Fade(nn.Module):
    """The entrance of the coarser discriminator, blended with the new block while that one learns."""

    def __init__(self, entrance: ConvLayer) -> None:
        super().__init__()
        self.entrance = entrance.requires_grad_(False)
        self.alpha = 0.0

    def follow(self, clock: Clock, fade_kimg: float) -> None:
        """Move from the old entrance (0) to the new block (1) over the first ``fade_kimg`` thousand pictures."""
        self.alpha = min(1.0, clock.cur_nimg / (fade_kimg * 1000))

    def judge(self, D: StyleGAN2Discriminator, img: Tensor, c: Tensor | None) -> Tensor:
        """Return ``D(img, c)`` with its first block blended in: logits ``[n, 1]``."""
        first, *rest = (D.get_submodule(f"b{r}") for r in D.block_resolutions)
        coarse = self.entrance(ops.downsample2d(img, self.entrance.resample_filter))
        x: Tensor = first(None, img)[0]
        x = torch.lerp(coarse, x.to(coarse.dtype), self.alpha)
        for block in rest:
            x = block(x, None)[0]
        logits: Tensor = D.b4(x, None, D.mapping(None, c) if D.c_dim > 0 else None)
        return logits


def adopt(network: nn.Module, tensors: Mapping[str, Tensor], prefix: str) -> None:
    """Copy every tensor whose name and shape fit from a training state into a network.

    Raises:
        TrainingError: Too little fits.
    """
    own = network.state_dict()
    given = {name: tensors.get(f"{prefix}/{name}") for name in own}
    fitting = {name: value for name, value in given.items() if value is not None and value.shape == own[name].shape}
    share = sum(v.numel() for v in fitting.values()) / sum(v.numel() for v in own.values())
    if share < LEAST_SHARE:
        raise TrainingError(
            f"start_from: only {share:.0%} of the weights fit this network. Use the same channel_base, channel_max, z_dim, w_dim and "
            "classes as the run it starts from."
        )
    network.load_state_dict(own | fitting)


def read_start(start_from: str) -> dict[str, Tensor]:
    """Read the training state that a run starts from: a state file, or a run's folder (its best state, else its newest).

    Raises:
        TrainingError: There is no state.
    """
    path = Path(start_from)
    if path.is_dir():
        states = [*sorted(path.glob("state-*.safetensors")), *path.glob("best.safetensors")]
        path = states[-1] if states else path / "best.safetensors"
    if not path.is_file():
        raise TrainingError(f"start_from={start_from!r}: there is no training state. Give the folder of a run, or a state file in it.")
    return read_tensors(path)[0]


def grow(G: nn.Module, G_ema: nn.Module, D: nn.Module, tensors: Mapping[str, Tensor]) -> Fade | None:
    """Fill the three networks from a state; return what fades in when they are finer than the state's by one block."""
    for network, prefix in ((G, "G"), (G_ema, "G_ema")):
        adopt(network, tensors, prefix)
    if not isinstance(D, StyleGAN2Discriminator):
        _adopt_strided(D, tensors)
        return None
    adopt(D, tensors, "D")
    finest = D.img_resolution
    if f"D/b{finest}.fromrgb.weight" in tensors:
        return None
    if f"D/b{finest // 2}.fromrgb.weight" not in tensors:
        raise TrainingError(f"start_from: the state is coarser than {finest // 2} px. Grow one doubling at a time.")
    for network in (G, G_ema):
        nn.init.zeros_(network.get_parameter(f"synthesis.b{finest}.torgb.weight"))
    return restore_fade(tensors, f"D/b{finest // 2}.fromrgb")


def _adopt_strided(D: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Fill a discriminator without a skip for its entrance, layers counted from the last one; what does not fit starts afresh."""
    own = D.state_dict()
    old = {name[2:]: value for name, value in tensors.items() if name.startswith("D/")}
    more = _layers(own) - _layers(old)
    for name, value in old.items():
        prefix, number, *rest = name.split(".")
        name = ".".join([prefix, str(int(number) + more), *rest]) if prefix == "layers" else name
        if name in own and own[name].shape == value.shape:
            own[name] = value
    D.load_state_dict(own)


def _layers(state: Mapping[str, Tensor]) -> int:
    return len({name.split(".")[1] for name in state if name.startswith("layers.")})


def restore_fade(tensors: Mapping[str, Tensor], prefix: str) -> Fade | None:
    """Build the old entrance from its tensors under ``prefix``; None where there are none."""
    weight = tensors.get(f"{prefix}.weight")
    if weight is None:
        return None
    entrance = ConvLayer(weight.shape[1], weight.shape[0], kernel_size=1, activation="lrelu")
    entrance.load_state_dict({name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(f"{prefix}.")})
    return Fade(entrance.to(memory_format=torch.channels_last))


@torch.no_grad()
def still_noise(network: nn.Module) -> None:
    """Set every layer's strength of noise to zero, in place: what is trained without noise is drawn without it."""
    for name, strength in network.named_parameters():
        if name.endswith("noise_strength"):
            strength.zero_()
