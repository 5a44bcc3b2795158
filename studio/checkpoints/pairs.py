"""Opening a model file to train on from it: the averaged generator, the one in training, and its discriminator where the file has one.

As with opening to look at, nothing in the file is executed. This module does *not* train, and does not know what runs are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from studio.checkpoints.assemble import assemble
from studio.checkpoints.contents import read_contents
from studio.checkpoints.formats import recognise
from studio.checkpoints.formats.discriminators import read_discriminator, read_unaveraged
from studio.checkpoints.loader import network_from
from studio.checkpoints.opening import named_errors, opened
from studio.checkpoints.safetensors_io import HEADER, looks_like_safetensors, parse_own_header, read_safetensors


@dataclass(frozen=True)
class Pair:
    """The networks of one file, on the CPU, in eval mode."""

    averaged: nn.Module
    """The generator that makes the pictures; its ``card`` says what the file is."""
    generator: nn.Module
    """The generator as it stood in training; the averaged one where the file holds no other."""
    discriminator: nn.Module | None


def load_pair(path: Path) -> Pair:
    """Open a model file of any supported format with all that training needs of it.

    Raises:
        StudioError: One sentence that starts with the file's name.
    """
    with named_errors(path.name), opened(path) as source:
        contents = read_contents(source.data)
        averaged = network_from(recognise(contents), source, path.name)
        unaveraged, judge = read_unaveraged(contents), read_discriminator(contents)
        generator = averaged if unaveraged is None else assemble(unaveraged, file_bytes=source.size)
        if generator.config != averaged.config:
            generator = averaged
        return Pair(averaged, generator, None if judge is None else assemble(judge, file_bytes=source.size))


def is_training_state(path: Path) -> bool:
    """Tell whether a file is the state of a training run (all its networks and optimisers), not a model."""
    with named_errors(path.name), opened(path) as source:
        if not looks_like_safetensors(source.data):
            return False
        text = read_safetensors(source.data)[1].get(HEADER)
        return text is not None and "scalars" in parse_own_header(text)
