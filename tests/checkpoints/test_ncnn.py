"""ncnn pairs of compact upscalers: read as they were written, in both precisions; what is cut, swapped or other is refused in words."""

import struct

import numpy as np
import pytest
import torch
from upscalers import compact, write_pair

from studio.checkpoints.ncnn import read_compact
from studio.errors import DamagedFileError, StudioError, UnknownModelError
from studio.models.compact import CompactUpscaler


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("scale", [2, 4])
def test_a_pair_gives_the_network_that_was_written(tmp_path, scale, half):
    network = compact(scale=scale)
    config, tensors = read_compact(write_pair(tmp_path, network, half=half))
    assert config == network.config
    again = CompactUpscaler(**config)
    again.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()})
    img = torch.rand(1, 3, 6, 5)
    assert torch.allclose(again(img), network(img), atol=2e-2 if half else 0)


def test_a_pair_that_is_cut_swapped_or_alone_is_refused(tmp_path):
    param = write_pair(tmp_path, compact())
    data = param.with_suffix(".bin")
    raw = data.read_bytes()
    for changed in (raw[:-4], raw + b"\0\0\0\0", raw[:100], b""):
        data.write_bytes(changed)
        with pytest.raises(DamagedFileError):
            read_compact(param)
    data.write_bytes(struct.pack("<I", 0x000D4B38) + raw[4:])
    with pytest.raises(UnknownModelError, match="form that the studio does not read"):
        read_compact(param)
    data.unlink()
    with pytest.raises(DamagedFileError, match=r"net\.bin is missing"):
        read_compact(param)


def test_networks_of_other_layers_are_named(tmp_path):
    param = write_pair(tmp_path, compact())
    param.write_text(param.read_text().replace("BinaryOp", "Concat"))
    with pytest.raises(UnknownModelError, match="'Concat'"):
        read_compact(param)


def test_a_changed_text_never_gives_anything_but_a_sentence(tmp_path):
    param = write_pair(tmp_path, compact())
    text, rng = param.read_bytes(), np.random.default_rng(0)
    for _ in range(400):
        changed = bytearray(text)
        for place in rng.integers(len(changed), size=3):
            changed[place] = rng.choice(list(b"0123456789= \n-x\xff"))
        param.write_bytes(bytes(changed))
        try:
            config, tensors = read_compact(param)
        except StudioError:
            continue
        assert config["scale"] <= 8 and all(value.size < 10**6 for value in tensors.values())
