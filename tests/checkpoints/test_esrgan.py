"""Upscalers in every way in which their layers are named; the names are written out here by hand."""

import io

import pytest
import torch
from upscalers import compact, numbered, tiny, trunk

import studio
from studio.errors import DamagedFileError, UnknownModelError


@pytest.fixture
def opened(tmp_path):
    def run(tree, name="4x_Something.pth", **options):
        with io.BytesIO() as file:
            torch.save(tree, file, **options)
            (tmp_path / name).write_bytes(file.getvalue())
        return studio.load(tmp_path / name, device="cpu")

    return run


def same(network, again):
    ours, theirs = network.state_dict(), again.state_dict()
    assert again.config == network.config
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("ups", [0, 1, 2, 3])
def test_numbered_layers_are_read_at_every_scale(ups, opened):
    network = tiny(ups=ups)
    names = numbered(network.state_dict(), ups)
    assert "model.1.sub.1.RDB3.conv5.0.bias" in names and "model.1.sub.2.weight" in names
    again = opened(names, _use_new_zipfile_serialization=False)
    same(network, again)
    assert again.card.source_format == f"an ESRGAN upscaler, {2**ups} times"


def test_the_names_of_the_papers_code_are_read(opened):
    names = trunk(tiny().state_dict())
    assert {"RRDB_trunk.0.RDB1.conv1.weight", "trunk_conv.bias", "upconv2.weight", "HRconv.weight"} <= names.keys()
    same(tiny(), opened(names))


@pytest.mark.parametrize(("unshuffle", "scale"), [(1, 4), (2, 2), (4, 1)])
def test_real_esrgan_is_read_with_its_averaged_weights_and_pixel_unshuffle(unshuffle, scale, opened):
    network = tiny(unshuffle=unshuffle)
    plain = {name: torch.zeros_like(tensor) for name, tensor in network.state_dict().items()}
    again = opened({"params": plain, "params_ema": network.state_dict()})
    same(network, again)
    assert again.scale == scale


def test_half_precision_weights_are_read(opened):
    network = tiny()
    again = opened({name: tensor.half() for name, tensor in network.state_dict().items()})
    assert torch.allclose(again.conv_last.weight, network.conv_last.weight, atol=1e-3)


def test_what_does_not_fit_is_refused_in_one_sentence(opened):
    state = tiny().state_dict()
    with pytest.raises(DamagedFileError, match=r"body\.1\.rdb2\.conv3\.weight is missing"):
        opened({name: tensor for name, tensor in state.items() if name != "body.1.rdb2.conv3.weight"})
    with pytest.raises(DamagedFileError, match="first or last layer is missing"):
        opened({name: tensor for name, tensor in state.items() if not name.startswith("conv_last")})
    with pytest.raises(UnknownModelError, match="1 to 1 channels"):
        opened(tiny(img_channels_in=1, img_channels_out=1).state_dict())


def test_an_upscaler_is_imported_and_opens_again_from_the_studios_own_format(tmp_path, opened):
    from studio.checkpoints import Library

    opened(numbered(tiny().state_dict(), 2))
    library = Library(tmp_path / "models", tmp_path / "none")
    entry = library.import_file(tmp_path / "4x_Something.pth", name="sharp")
    assert entry.card.family == "esrgan"
    same(tiny(), studio.load(entry.path))


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_compact_networks_are_read_at_every_scale(scale, opened):
    network = compact(scale=scale)
    same(network, opened({"params_ema": network.state_dict(), "params": compact(seed=1, scale=scale).state_dict()}))
    cut = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("body.6")}
    with pytest.raises(DamagedFileError, match="last layer is missing"):
        opened(cut)
    with pytest.raises(UnknownModelError, match="of 1 channels"):
        opened({**network.state_dict(), "body.0.weight": torch.zeros(5, 1, 3, 3)})
