"""What lies between the convolutions of a translator, replaced for training by one fused step each (``studio.accel.training_ops``).

The layers that go have no parameters, so a network's state stays the same. This is *not* for inference: see
``studio/accel/translators.py``.
"""

from torch import Tensor, nn

from studio.accel import training_ops


class FusedLayers(nn.Module):
    """Instance norm, activation, doubling and reflection padding, as many of them as a network has in a row."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.eps: float | None = None
        self.slope, self.times, self.padding = 1.0, 1, 0
        for layer in layers:
            if isinstance(layer, nn.InstanceNorm2d):
                self.eps = layer.eps
            elif isinstance(layer, nn.ReLU):
                self.slope = 0.0
            elif isinstance(layer, nn.LeakyReLU):
                self.slope = layer.negative_slope
            elif isinstance(layer, nn.Upsample):
                self.times = 2
            else:
                assert isinstance(layer, nn.ReflectionPad2d)
                self.padding = layer.padding[0]

    def forward(self, x: Tensor) -> Tensor:
        """Run the layers on ``x [n, c, h, w]``: fused where the kernels take it, else one by one."""
        if training_ops.is_supported(x):
            return training_ops.spread(x, eps=self.eps, slope=self.slope, times=self.times, padding=self.padding)
        for layer in self.layers:
            x = layer(x)
        return x


def speed_up_norms(network: nn.Module) -> None:
    """Fuse the layers between the convolutions of a network, in place; its state keeps its names."""
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            _fuse(module)


def _fuse(sequence: nn.Sequential) -> None:
    """Replace every run of layers that one step can do by that step and by nothing at the places behind it."""
    place = 0
    while place < len(sequence):
        layers = _run(sequence, place)
        if any(isinstance(layer, nn.InstanceNorm2d | nn.ReflectionPad2d) for layer in layers):
            sequence[place] = FusedLayers(layers)
            for behind in range(place + 1, place + len(layers)):
                sequence[behind] = nn.Identity()
        place += max(1, len(layers))


def _run(sequence: nn.Sequential, place: int) -> list[nn.Module]:
    """Return the layers from ``place`` on that follow each other in the one order that a fused step has."""
    layers: list[nn.Module] = []
    for step in (_is_norm, _is_activation, _is_doubling, _is_padding):
        if place < len(sequence) and step(sequence[place]):
            layers.append(sequence[place])
            place += 1
    return layers


def _is_norm(layer: nn.Module) -> bool:
    return isinstance(layer, nn.InstanceNorm2d) and not layer.affine and not layer.track_running_stats


def _is_activation(layer: nn.Module) -> bool:
    return isinstance(layer, nn.ReLU | nn.LeakyReLU)


def _is_doubling(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Upsample) and layer.mode == "nearest" and layer.scale_factor == 2


def _is_padding(layer: nn.Module) -> bool:
    return isinstance(layer, nn.ReflectionPad2d) and len(set(layer.padding)) == 1
