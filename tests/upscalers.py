"""Small upscalers with random weights, and the names that the layers of one have in foreign files, written out by hand."""

import struct

import torch

from studio.checkpoints.ncnn import HALF
from studio.models.compact import CompactUpscaler
from studio.models.rrdbnet import RRDBNet


def tiny(seed=0, **sizes):
    """A small network whose weights are large enough for every layer to matter."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = RRDBNet(**{"ngf": 6, "n_blocks": 2, "growth": 4, **sizes}).eval().requires_grad_(False)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    return network


def numbered(state, ups):
    """The names of the first release (``RRDB_ESRGAN_x4_old_arch.pth``): a sequence in which steps up are three layers long."""
    words = {"conv_first": "model.0", "conv_body": "model.1.sub.2"}
    words |= {f"conv_up{step}": f"model.{3 * step}" for step in range(1, ups + 1)}
    words |= {"conv_hr": f"model.{3 * ups + 2}", "conv_last": f"model.{3 * ups + 4}"}
    renamed = {}
    for name, tensor in state.items():
        parts = name.split(".")
        if parts[0] == "body":
            _, block, part, conv, kind = parts
            renamed[f"model.1.sub.{block}.{part.upper()}.{conv}.0.{kind}"] = tensor
        else:
            renamed[f"{words[parts[0]]}.{parts[1]}"] = tensor
    return renamed


def trunk(state):
    """The names of the paper's code (``RRDB_ESRGAN_x4.pth``)."""
    words = {"conv_body": "trunk_conv", "conv_hr": "HRconv", "conv_up1": "upconv1", "conv_up2": "upconv2"}
    renamed = {}
    for name, tensor in state.items():
        parts = name.split(".")
        if parts[0] == "body":
            parts[0], parts[2] = "RRDB_trunk", parts[2].upper()
        renamed[".".join([words.get(parts[0], parts[0]), *parts[1:]])] = tensor
    return renamed


def compact(seed=0, **sizes):
    """A small compact network whose weights are large enough for every layer to matter."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = CompactUpscaler(**{"ngf": 5, "n_convs": 2, **sizes}).eval().requires_grad_(False)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    return network


def write_pair(folder, network, *, half=False):
    """Write a network as its authors' converter does: a line for each layer, then all numbers in order."""
    lines, numbers = ["Input data 0 1 data"], b""
    for layer, module in enumerate(network.body):
        ends = f"1 1 b{layer - 1} b{layer}"
        if isinstance(module, torch.nn.Conv2d):
            weight = module.weight.numpy()
            raw = weight.astype("<f2" if half else "<f4").tobytes()
            numbers += struct.pack("<I", HALF if half else 0) + raw + b"\0" * (-len(raw) % 4) + module.bias.numpy().tobytes()
            lines.append(f"Convolution conv_{layer} {ends} 0={weight.shape[0]} 1=3 4=1 5=1 6={weight.size}")
        else:
            numbers += module.weight.numpy().tobytes()
            lines.append(f"PReLU prelu_{layer} {ends} 0={module.weight.numel()}")
    scale = network.scale
    lines += [f"PixelShuffle shuffle 1 1 b s 0={scale}", f"Interp plain 1 1 data p 0=1 1={scale}.0 2={scale}.0", "BinaryOp sum 2 1 s p out"]
    param = folder / "net.param"
    param.write_text("\n".join(["7767517", f"{len(lines)} {len(lines)}", *lines, ""]))
    param.with_suffix(".bin").write_bytes(numbers)
    return param
