"""Files that are known but not opened, named in one sentence; and what to say of a network that is none of any kind."""

from __future__ import annotations

from studio.checkpoints.contents import Contents
from studio.checkpoints.draft import Draft
from studio.checkpoints.formats.states import State, states
from studio.checkpoints.records import Network, Walk, shorten
from studio.errors import UnknownModelError

SIGNATURES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a lucidrains StyleGAN2 (GAN.GE...), whose arithmetic differs from StyleGAN2's", ("GE.initial_block", "SE.net.0.weight")),
    ("a lucidrains lightweight GAN", ("GE.initial_conv.0.weight",)),
    ("a lucidrains StyleGAN2, whose arithmetic differs from StyleGAN2's", ("initial_block", "blocks.0.to_style1.weight")),
    ("AnimeGANv2", ("block_a.0.1.weight",)),
    ("U-GAT-IT", ("DownBlock.1.weight",)),
    ("U-GAT-IT", ("UpBlock1_1.conv_block.1.weight",)),
    ("a FastGAN", ("init.init.1.weight_orig",)),
    ("a projected GAN (FastGAN generator)", ("synthesis.init.init.0.weight_orig",)),
    ("R3GAN", ("Model.MainLayers.0.Layers.0.Linear1.weight",)),
    ("a StyleGAN 1", ("g_mapping.dense0.weight",)),
    ("a Stable Diffusion checkpoint", ("model.diffusion_model.input_blocks.0.0.weight",)),
)
"""What it is, and names that tell it."""
PREFIXES: tuple[tuple[str, str], ...] = (
    ("GE.", "a lucidrains GAN"),
    ("Model.MainLayers.", "R3GAN"),
    ("lora_", "a LoRA"),
)


def read(contents: Contents) -> Draft | None:
    """Never read anything; name what is known.

    Raises:
        UnknownModelError: The file is of a known kind that the studio does not open.
    """
    for state in states(contents):
        if state.shape("model.0.weight")[2:] == (4, 4):
            raise UnknownModelError("is a discriminator (PatchGAN), which makes no pictures. Open the generator beside it (..._net_G.pth).")
        for what, names in SIGNATURES:
            if all(name in state.tensors for name in names):
                raise UnknownModelError(f"is {what}; the studio does not open this kind.")
        for prefix, what in PREFIXES:
            if any(name.startswith(prefix) for name in state.tensors):
                raise UnknownModelError(f"is {what}; the studio does not open this kind.")
    return None


def unknown(contents: Contents) -> UnknownModelError:
    """Say what a file holds that is none of the known kinds."""
    state = next(iter(states(contents)), None)
    hint = "The studio opens StyleGAN2, StyleGAN3, CycleGAN, pix2pix and CUT generators, and ESRGAN upscalers."
    if state is not None:
        return UnknownModelError(f"holds no network that the studio knows: {_listed(state)}. {hint}")
    value = contents.value
    if isinstance(value, Network):
        return UnknownModelError(f"holds a network of class {shorten(value.class_name)}, which the studio does not know. {hint}")
    if isinstance(value, dict):
        keys = ", ".join(shorten(key) for key, _ in list(Walk().items(value, 0))[:5])
        return UnknownModelError(f"holds no network: a dictionary of {len(value)} ({keys}). {hint}")
    return UnknownModelError(f"holds no network: {shorten(value)}. {hint}")


def _listed(state: State) -> str:
    shown = [f"{shorten(name)} {shorten(list(tensor.shape))}" for name, tensor in list(state.tensors.items())[:5]]
    return f"{len(state.tensors)} tensors, first {', '.join(shown)}"
