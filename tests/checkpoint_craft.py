"""Writing model files by hand, honest and hostile: pickle opcodes, torch streams and archives, safetensors, NVIDIA layouts."""

import io
import json
import pickle
import struct
import zipfile
from collections import OrderedDict
from typing import ClassVar

import numpy as np
import torch

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


def text(value):
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def blob(value):
    return b"B" + struct.pack("<I", len(value)) + value


def number(value):
    if value.bit_length() < 32 and value >= 0:
        return b"J" + struct.pack("<i", value) if value < 2**31 else b"\x8a\x05" + value.to_bytes(5, "little")
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def word(module, name):
    return f"c{module}\n{name}\n".encode()


def tuple_of(*items):
    return b"(" + b"".join(items) + b"t"


def call(module, name, *arguments):
    return word(module, name) + tuple_of(*arguments) + b"R"


def pickled(body, protocol=2):
    return b"\x80" + bytes([protocol]) + body + b"."


def dictionary(**items):
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def storage_id(key="0", count=1, kind="FloatStorage", legacy=False):
    parts = [text("storage"), word("torch", kind), text(key), text("cpu"), number(count)]
    return tuple_of(*parts, *([b"N"] if legacy else [])) + b"Q"


def tensor(storage, *, offset=0, shape=(1,), stride=(1,)):
    return call(
        "torch._utils",
        "_rebuild_tensor_v2",
        storage,
        number(offset),
        tuple_of(*map(number, shape)),
        tuple_of(*map(number, stride)),
        b"\x89",
        call("collections", "OrderedDict"),
    )


def legacy(body, keys=("0",), data=(b"\1" + b"\0" * 11,)):
    system = dictionary(protocol_version=number(1001), little_endian=b"\x88", type_sizes=b"}")
    parts = [b"\x8a\x0a" + LEGACY_MAGIC.to_bytes(10, "little"), number(1001), system, body, b"](" + b"".join(map(text, keys)) + b"e"]
    return b"".join(pickled(part) for part in parts) + b"".join(data)


def archive(entries, *, method=zipfile.ZIP_STORED):
    """A zip archive of ``(name, bytes)`` pairs; the same name may come twice."""
    import warnings

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as out, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, data in entries:
            out.writestr(name, data)
    return file.getvalue()


def torch_zip(body, storages=(("0", b"\0\0\0\0"),), **options):
    entries = [("m/data.pkl", pickled(body)), ("m/byteorder", b"little"), *((f"m/data/{key}", data) for key, data in storages)]
    return archive(entries, **options)


def safetensors(header, data=b"", *, size=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if size is None else size) + raw + data


def saved(value, *, zipped=True):
    """What torch writes for a value."""
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def state_of(network):
    return OrderedDict((name, tensor.clone()) for name, tensor in network.state_dict().items())


class Persistent:
    """Pickles as NVIDIA's persistence does: one call of a name, with the class's text and the object's fields."""

    def __init__(self, class_name, state, source="raise SystemExit('the text of the file was run')"):
        self.meta = {"type": "class", "version": 6, "module_src": source, "class_name": class_name, "state": state}

    def __reduce__(self):
        return (_reconstruct_persistent_obj, (self.meta,))


def _reconstruct_persistent_obj(meta):
    raise AssertionError("only its name is pickled")


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"


class _Writer(pickle._Pickler):
    """Python's own pickler, writing the persistence function by name without having its module."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_global(self, obj, name=None):
        if obj is _reconstruct_persistent_obj:
            self.write(word("torch_utils.persistence", "_reconstruct_persistent_obj"))
            self.memoize(obj)
        else:
            super().save_global(obj, name)

    dispatch[type(_reconstruct_persistent_obj)] = save_global


def nvidia(network, class_name="Generator", *, kwargs=None, protocol=4, dtype=None, extra=None, key="G_ema"):
    """Write a network of ours in NVIDIA's layout."""
    kwargs = nvidia_kwargs(network) if kwargs is None else kwargs
    root = _module(network, class_name, dtype)
    root.meta["state"]["_init_kwargs"] = kwargs
    file = io.BytesIO()
    _Writer(file, protocol).dump({key: root, "training_set_kwargs": None, **(extra or {})})
    return file.getvalue()


def nvidia_kwargs(network):
    config = network.config
    kwargs = {name: config[name] for name in ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels")}
    if network.family == "stylegan2":
        kwargs["mapping_kwargs"] = {"num_layers": config["num_layers"], "lr_multiplier": config["lr_multiplier"]}
        kwargs["synthesis_kwargs"] = {
            "architecture": config["architecture"],
            "conv_clamp": config["conv_clamp"],
            "block_kwargs": {"resample_filter": list(config["resample_filter"]), "activation": config["activation"]},
        }
    else:
        names = ("num_layers", "num_critical", "first_cutoff", "margin_size", "filter_size", "conv_kernel", "use_radial_filters")
        kwargs.update({name: config[name] for name in names})
        kwargs["mapping_kwargs"] = {"num_layers": config["mapping_layers"]}
    return kwargs


def _module(module, class_name, dtype):
    def tensors(pairs):
        return OrderedDict((name, _as(value, dtype)) for name, value in pairs)

    state = {
        "training": False,
        "_parameters": tensors((n, torch.nn.Parameter(p)) for n, p in module._parameters.items() if p is not None),
        "_buffers": tensors((n, b) for n, b in module._buffers.items() if b is not None),
        "_non_persistent_buffers_set": set(),
        "_backward_hooks": OrderedDict(),
        "_modules": OrderedDict((n, _module(m, type(m).__name__, dtype)) for n, m in module._modules.items() if m is not None),
        "_init_args": (),
        "_init_kwargs": {},
        "act_gain": np.sqrt(2),
        "size": np.array([36, 36]),
    }
    return Persistent(class_name, state)


def _as(value, dtype):
    if dtype is None or not value.is_floating_point():
        return value
    cast = value.detach().to(dtype)
    return torch.nn.Parameter(cast) if isinstance(value, torch.nn.Parameter) else cast


def rosinality(network):
    """Write a StyleGAN2 of ours under rosinality's names; returns its state dictionary and the average style."""
    state, channels = network.state_dict(), network.config["channels"]
    out = OrderedDict()
    for index in range(network.config["num_layers"]):
        for part in ("weight", "bias"):
            out[f"style.{index + 1}.{part}"] = state[f"mapping.fc{index}.{part}"]
    out["input.input"] = state["synthesis.b4.const"][None]
    layers = [("conv1", "b4.conv1")]
    layers += [(f"convs.{2 * k + i}", f"b{8 << k}.conv{i}") for k in range(len(channels) - 1) for i in (0, 1)]
    for index, (theirs, ours) in enumerate(layers):
        out[f"{theirs}.conv.weight"] = state[f"synthesis.{ours}.weight"][None]
        for part in ("weight", "bias"):
            out[f"{theirs}.conv.modulation.{part}"] = state[f"synthesis.{ours}.affine.{part}"]
        out[f"{theirs}.noise.weight"] = state[f"synthesis.{ours}.noise_strength"].reshape(1)
        out[f"{theirs}.activate.bias"] = state[f"synthesis.{ours}.bias"]
        out[f"noises.noise_{index}"] = state[f"synthesis.{ours}.noise_const"][None, None]
        if ours.endswith("conv0"):
            out[f"{theirs}.conv.blur.kernel"] = 4 * state[f"synthesis.{ours}.resample_filter"]
    for k, theirs in enumerate(["to_rgb1", *(f"to_rgbs.{k}" for k in range(len(channels) - 1))]):
        ours = f"synthesis.b{4 << k}.torgb"
        out[f"{theirs}.conv.weight"] = state[f"{ours}.weight"][None]
        out[f"{theirs}.bias"] = state[f"{ours}.bias"][None, :, None, None]
        for part in ("weight", "bias"):
            out[f"{theirs}.conv.modulation.{part}"] = state[f"{ours}.affine.{part}"]
    return out, state["mapping.w_avg"]
