"""Starting a translator from the networks of another run, or from a model file. This is *not* how a run of its own continues.

What both have is taken over; a discriminator of another kind starts afresh, and so does what only one of them has.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from studio import checkpoints
from studio.errors import TrainingError
from studio.models import common
from studio.training import start
from studio.training.growth import read_start
from studio.training.trainer import flatten_network, restore_network


def take_over(start_from: str, networks: Mapping[str, nn.Module]) -> None:
    """Fill networks with those that ``start_from`` has by the same names: the state of a run, or a translator's model file.

    Raises:
        TrainingError: There is no such run or model, it has none of these networks, or they are of another size.
    """
    tensors = _start_tensors(start_from)
    shared = {name: network for name, network in networks.items() if any(key.startswith(f"{name}/") for key in tensors)}
    if not shared:
        raise TrainingError(f"start_from={start_from!r}: that run trained no translator. Give the folder of one that did.")
    try:
        for name, network in shared.items():
            if not _is_another_judge(name, network, tensors):
                restore_network(name, network, tensors)
    except RuntimeError as error:
        raise TrainingError(
            f"start_from={start_from!r}: its networks are of another size or kind. Use the ngf, ndf, n_blocks, network and antialias "
            "that it was trained with."
        ) from error


def _start_tensors(start_from: str) -> dict[str, Tensor]:
    """Read the state of a run, or a translator's model file as if a run had made it: its first direction, by both names.

    Raises:
        TrainingError: The model makes pictures from nothing.
        StudioError: The file cannot be opened, or no model has that name.
    """
    path = start.find_model(start_from)
    if path is None:
        return read_start(start_from)
    network = checkpoints.load(path)
    if not isinstance(network, common.Translator):
        raise TrainingError(f"start_from={start_from!r}: that model makes pictures from nothing. Start a translator from a translator.")
    return {**flatten_network("forward", network), **flatten_network("average_forward", network)}


def _is_another_judge(name: str, network: nn.Module, tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether a state's discriminator is of another kind, so that this run's starts afresh."""
    kept = {key.partition("/")[2] for key in tensors if key.startswith(f"{name}/")}
    return name.startswith("judge") and kept != network.state_dict().keys()
