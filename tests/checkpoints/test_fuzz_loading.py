"""Thousands of damaged files: only our own errors come out, quickly.

``STUDIO_FUZZ=20000`` runs that many mutants of the shared checkpoints; the normal suite runs 2,000, mostly of small files.
"""

import os
import random
import time

import checkpoint_craft as craft
import pytest
import toys
from safetensors.torch import save as save_safetensors

from studio.checkpoints.contents import read_contents
from studio.checkpoints.formats import recognise
from studio.checkpoints.loader import network_from
from studio.checkpoints.opening import Source, named_errors
from studio.errors import StudioError

COUNT = int(os.environ.get("STUDIO_FUZZ", "2000"))
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x2E, 0x52, 0x62, 0x81, 0x28, 0x75, 0x94, 0x95)
MOST_SECONDS = 5.0


def seeds():
    """Small honest files of every container and layout."""
    stylegan2, stylegan3 = toys.toy_stylegan2(8, c_dim=2, width=4), toys.toy_stylegan3(16, width=4)
    translator, unet = toys.toy_translator(), toys.toy_translator("unet")
    state, average = craft.rosinality(stylegan2 if stylegan2.c_dim == 0 else toys.toy_stylegan2(8, width=4))
    files = [craft.nvidia(stylegan2, protocol=protocol) for protocol in (2, 3, 4)]
    files += [craft.nvidia(stylegan3, protocol=5), craft.saved({"g_ema": state, "latent_avg": average})]
    files += [craft.saved(craft.state_of(translator)), craft.saved(craft.state_of(unet), zipped=False)]
    return [*files, save_safetensors(dict(craft.state_of(translator)))]


def mutate(data, draw):
    """Damage a file in one of the ways that transfers, disks and people do."""
    raw = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 4, 16))):
        at = place(raw, draw)
        kind = draw.randrange(8)
        if kind < 2:
            raw[at] ^= 1 << draw.randrange(8)
        elif kind == 2:
            raw[at] = draw.choice(INTERESTING)
        elif kind == 3:
            raw[at : at + 8] = draw.choice((b"\xff" * 8, b"\0" * 8, draw.randbytes(8)))[: len(raw) - at]
        elif kind == 4:
            del raw[at : at + draw.choice((1, 2, 8, 1000))]
        elif kind == 5:
            other = place(raw, draw)
            raw[at:at] = raw[other : other + draw.choice((1, 4, 64, 4096))]
        elif kind == 6:
            del raw[at:]
        else:
            raw[at:at] = draw.randbytes(draw.choice((1, 4, 100)))
        if not raw:
            return b""
    return bytes(raw)


def place(raw, draw):
    """Choose a position, more often near the start and the end, where structure is."""
    size = len(raw)
    where = draw.random()
    if where < 0.4:
        return draw.randrange(min(size, 6000))
    return size - 1 - draw.randrange(min(size, 3000)) if where < 0.6 else draw.randrange(size)


def run(data):
    """Load bytes as the loader does; returns the kind of refusal, "" for none."""
    view = memoryview(data)
    try:
        with named_errors("fuzz"):
            if data:
                network_from(recognise(read_contents(view)), Source(view, len(data), ""), "fuzz")
    except StudioError as error:
        assert str(error).startswith("fuzz ") and len(str(error)) < 2000
        return type(error).__name__
    return ""


def fuzz(files, count, seed):
    draw = random.Random(seed)
    outcomes = {}
    slowest = 0.0
    for _ in range(count):
        data = mutate(draw.choice(files), draw)
        started = time.process_time()
        kind = run(data)
        slowest = max(slowest, time.process_time() - started)
        outcomes[kind] = outcomes.get(kind, 0) + 1
    return outcomes, slowest


def test_every_seed_loads_before_it_is_damaged():
    assert [run(data) for data in seeds()] == [""] * len(seeds())


def test_only_our_errors_escape_from_damaged_small_files():
    outcomes, slowest = fuzz(seeds(), min(COUNT, 1900), seed=20)
    assert len(outcomes) > 3 and slowest < MOST_SECONDS, (outcomes, slowest)


@pytest.mark.parametrize("part", range(10))
def test_only_our_errors_escape_from_damaged_checkpoints(part, shared_fixtures):
    files = sorted(path for path in shared_fixtures.iterdir() if path.suffix in (".pkl", ".pt", ".pth"))
    outcomes, slowest = fuzz([files[part % len(files)].read_bytes()], 10 if COUNT == 2000 else COUNT // 10, seed=part)
    assert slowest < MOST_SECONDS, (outcomes, slowest)
