"""Networks small enough to reason about, which keep the protocols of ``studio.models.common``."""

import threading
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from studio.errors import CheckpointError


class ToyMapping(nn.Module):
    """A bounded mapping with a class embedding; counts its calls."""

    def __init__(self, z_dim, c_dim, w_dim, num_ws):
        super().__init__()
        self.fc = nn.Linear(z_dim, w_dim)
        self.embed = nn.Linear(c_dim, w_dim) if c_dim else None
        self.num_ws = num_ws
        self.calls = 0

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        self.calls += 1
        w = torch.tanh(self.fc(z))
        if self.embed is not None:
            w = w + self.embed(c)
        return w.unsqueeze(1).repeat(1, self.num_ws, 1)


class ToySynthesis(nn.Module):
    """A picture whose rows are the layers: smooth in ws, with noise, moved by the transform."""

    def __init__(self, num_ws, w_dim, channels, resolution):
        super().__init__()
        self.mix = nn.Parameter(torch.randn(num_ws * w_dim, channels * resolution * resolution) / (num_ws * w_dim) ** 0.5)
        self.shape = (channels, resolution, resolution)
        self.calls = 0
        self.threads = set()

    def forward(self, ws, *, noise_mode="const", noise_strength=1.0, noise_layers=(), noise_generator=None, transform=None):
        self.calls += 1
        self.threads.add(threading.current_thread().name)
        img = (ws.flatten(1) @ self.mix).view(-1, *self.shape)
        if noise_mode == "random":
            grains = noise_generator if isinstance(noise_generator, list) else [noise_generator] * len(ws)
            img = img + noise_strength * torch.stack([torch.randn(self.shape, generator=grain) for grain in grains])
        elif noise_mode == "const":
            img = img + noise_strength * 0.1
        if transform is not None:
            img = img.roll(int(-transform[0, 2] * img.shape[3]), 3)
        return img


class ToyGenerator(nn.Module):
    """A latent generator."""

    def __init__(self, c_dim=0, *, layer_resolutions=(4, 8, 8, 16, 16, 32, 32, 64), channels=3, has_noise=True, has_transform=False):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.family, self.config = "toy", {"c_dim": c_dim}
            self.z_dim, self.c_dim, self.w_dim, self.num_ws = 6, c_dim, 5, len(layer_resolutions)
            self.img_resolution, self.img_channels = 16, channels
            self.layer_resolutions = tuple(layer_resolutions)
            self.has_noise, self.has_transform = has_noise, has_transform
            self.mapping = ToyMapping(self.z_dim, c_dim, self.w_dim, self.num_ws)
            self.synthesis = ToySynthesis(self.num_ws, self.w_dim, channels, self.img_resolution)
            self.register_buffer("w_avg", torch.randn(self.w_dim))
        self.eval().requires_grad_(False)


class ToyTranslator(nn.Module):
    """A translator that turns a picture into its negative."""

    family, multiple_of, min_size, img_channels_in, img_channels_out = "toy-translator", 4, 4, 3, 3

    def __init__(self):
        super().__init__()
        self.config, self.norm_mode, self.dropout_on = {"ngf": 1}, "published", False
        self.scale = nn.Parameter(torch.tensor(-1.0), requires_grad=False)

    def forward(self, img: Tensor) -> Tensor:
        return img * self.scale


class ToyLibrary:
    """A library whose files are networks: pass it and ``load_toy`` where files would be."""

    def __init__(self, **networks):
        self.networks = networks

    def list(self):
        return [self.find(name) for name in self.networks]

    def find(self, name):
        if name not in self.networks:
            raise CheckpointError(f"There is no model {name!r}.")
        sha256, source = (f"{hash(text) % 2**64:064x}" for text in (name, f"source of {name}"))
        card = SimpleNamespace(name=name, sha256=sha256, source_sha256=source, family="toy", classes=())
        return SimpleNamespace(name=name, path=name, card=card, preview=None, shipped=False)

    def load(self, path, *, device="auto", precision="exact"):
        network = self.networks[str(path)]
        network.card = self.find(str(path)).card
        return network
