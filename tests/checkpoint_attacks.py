"""The attacks on a checkpoint loader, numbered as in the security study, each as the bytes of a file and the refusal it must get."""

import io
import json
import pickle
import struct
import zipfile
from collections import OrderedDict
from dataclasses import dataclass

import checkpoint_craft as craft
import torch
import toys
from checkpoint_craft import (
    archive,
    blob,
    call,
    dictionary,
    legacy,
    number,
    pickled,
    safetensors,
    saved,
    storage_id,
    tensor,
    text,
    torch_zip,
    tuple_of,
    word,
)

TRIPWIRE = "echo pwned > tripwire"
ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@dataclass(frozen=True)
class Attack:
    """One hostile or broken file: ``error`` is the class of its refusal ("" when it must load) and ``phrase`` a part of the sentence."""

    number: str
    title: str
    make: object
    error: str
    phrase: str


ATTACKS = []


def attack(numbers, error, phrase):
    def register(make):
        ATTACKS.append(Attack(str(numbers), make.__name__, make, error, phrase))
        return make

    return register


def shell():
    return call("posix", "system", text(TRIPWIRE))


class _Shell:
    def __reduce__(self):
        import os

        return (os.system, (TRIPWIRE,))


@attack(1, "UnsafeFileError", "posix.system")
def reduce_of_a_shell():
    return pickle.dumps({"G_ema": _Shell()}, 4)


@attack(2, "UnsafeFileError", "__builtin__.eval")
def protocol_0_eval():
    return b'c__builtin__\neval\n(S\'open("tripwire","w")\'\ntR.'


@attack(3, "UnsafeFileError", "OrderedDict.__init__.__globals__")
def dotted_name_of_an_allowed_class():
    return pickled(text("collections") + text("OrderedDict.__init__.__globals__") + b"\x93", 4)


@attack(4, "UnsafeFileError", "hub.load.__globals__")
def dotted_name_of_torch():
    return pickled(text("torch") + text("hub.load.__globals__") + b"\x93", 4)


@attack(5, "UnsafeFileError", "builtins.getattr")
def getattr_chain():
    return pickled(call("builtins", "getattr", call("builtins", "__import__", text("os")), text("system")))


@attack(6, "UnsafeFileError", "posix.system")
def payload_inside_a_nested_blob():
    return pickled(call("torch.storage", "_load_from_bytes", blob(legacy(shell(), (), ()))))


@attack(7, "UnsafeFileError", "posix.system")
def payload_behind_a_valid_legacy_header():
    return legacy(shell(), (), ())


@attack(8, "UnsafeFileError", "file within a file")
def payload_nested_twice():
    inner = legacy(call("torch.storage", "_load_from_bytes", blob(legacy(shell(), (), ()))), (), ())
    return pickled(call("torch.storage", "_load_from_bytes", blob(inner)))


@attack(9, "DamagedFileError", "cut short")
def storage_of_a_trillion_numbers():
    count = 10**12
    return legacy(tensor(storage_id(count=count, legacy=True)), data=[struct.pack("<q", count) + b"\0" * 64])


@attack(10, "DamagedFileError", "cut short")
def storage_of_twenty_gigabytes():
    count = 5 * 10**9
    return legacy(storage_id(count=count, legacy=True), data=[struct.pack("<q", count)])


@attack(11, "DamagedFileError", "-4 numbers")
def storage_of_a_negative_size():
    return legacy(storage_id(count=-4, legacy=True))


@attack(12, "UnsafeFileError", "larger than its data")
def stride_bomb():
    return torch_zip(dictionary(a=tensor(storage_id(), shape=(10**6, 10**6), stride=(0, 0))))


@attack(13, "DamagedFileError", "reaches to element")
def view_outside_the_storage():
    return torch_zip(dictionary(a=tensor(storage_id(count=4), shape=(2,), stride=(5,))), [("0", b"\0" * 16)])


@attack(14, "DamagedFileError", "damaged")
def negative_offset():
    return torch_zip(dictionary(a=tensor(storage_id(count=4), offset=-3, shape=(2,))), [("0", b"\0" * 16)])


@attack(15, "DamagedFileError", "lists data for 0 tensors")
def storage_that_is_never_filled():
    return legacy(tensor(storage_id(count=1024, legacy=True), shape=(1024,)), (), ())


@attack(16, "UnsafeFileError", "posix.system")
def shell_in_a_zip():
    return torch_zip(shell())


@attack(17, "DamagedFileError", "4,000,000,000,000 bytes, but 64 are there")
def zip_storage_of_four_terabytes():
    return torch_zip(tensor(storage_id(count=10**12), shape=(4,)), [("0", b"\0" * 64)])


@attack(18, "DamagedFileError", "is missing")
def zip_storage_that_is_absent():
    return torch_zip(tensor(storage_id("7", 4), shape=(4,)))


@attack(19, "UnsafeFileError", "larger than its data")
def stride_bomb_in_a_nested_blob():
    inner = legacy(storage_id(legacy=True))
    nested = call("torch.storage", "_load_from_bytes", blob(inner))
    return pickled(dictionary(G_ema=tensor(nested, shape=(65536, 65536), stride=(0, 0))))


@attack(20, "UnsafeFileError", "compressed entries")
def deflate_bomb():
    return torch_zip(tensor(storage_id(count=1 << 24), shape=(1 << 24,)), [("0", bytes(64 << 20))], method=zipfile.ZIP_DEFLATED)


@attack(21, "UnsafeFileError", "two models in one archive")
def two_pickles_in_one_archive():
    return archive([("m/data.pkl", pickled(b"}")), ("n/data.pkl", pickled(shell()))])


@attack(21, "UnsafeFileError", "twice")
def the_same_entry_twice():
    return archive([("m/data.pkl", pickled(b"}")), ("m/data.pkl", pickled(shell()))])


@attack(22, "UnsafeFileError", "leave its folder")
def names_that_climb_out():
    return archive([("m/data.pkl", pickled(b"}")), ("../../evil", b"x")])


@attack(23, "UnsafeFileError", "asks to change")
def build_sets_attributes_of_a_class():
    return pickled(word("dnnlib.util", "EasyDict") + tuple_of(b"N", dictionary(__setitem__=b"N")) + b"b")


@attack(23, "UnsafeFileError", "in an unusual way")
def build_with_slots_on_an_instance():
    return pickled(word("argparse", "Namespace") + b")\x81" + tuple_of(b"N", dictionary(__class__=b"N")) + b"b")


@attack(24, "UnsafeFileError", "asks to create")
def new_object_of_something_else():
    return pickled(word("numpy", "ndarray") + b")\x81")


@attack(25, "UnknownModelError", "holds no network")
def lists_nested_deeply():
    return pickled(b"]" * 100_000 + b"a" * 99_999)


@attack(26, "UnknownModelError", "holds no network")
def tuples_nested_deeply():
    return pickled(b")" + b"\x85" * 100_000)


@attack(26, "DamagedFileError", "as a name")
def deep_tuple_as_a_key():
    return pickled(b"}" + b")" + b"\x85" * 100_000 + b"Ns")


@attack(27, "UnknownModelError", "holds no network")
def shared_references_that_double():
    body = b"}q\x00"
    for index in range(60):
        body += b"}q" + bytes([index + 1]) + b"(" + text("a") + b"h" + bytes([index]) + text("b") + b"h" + bytes([index]) + b"u"
    return pickled(b"(" + body + b"l")


@attack(27, "UnsafeFileError", "over and over")
def a_wide_dictionary_of_itself():
    items = b"".join(text(f"k{index}") + b"h\x00" for index in range(300))
    return pickled(b"}q\x00(" + items + b"u")


@attack(28, "UnknownModelError", "holds no network")
def a_dictionary_that_holds_itself():
    return pickled(b"}q\x00" + text("state_dict") + b"h\x00s")


@attack(28, "UnsafeFileError", "nested too deeply")
def a_network_that_holds_itself():
    meta = dictionary(type=text("class"), class_name=text("G"), state=b"h\x00")
    state = b"}q\x00"
    modules = call("torch_utils.persistence", "_reconstruct_persistent_obj", meta) + b"q\x01"
    body = state + b"(" + text("_modules") + b"}(" + text("synthesis") + modules + text("b4") + b"h\x01" + b"u"
    tensors = dictionary(w_avg=tensor(call("torch.storage", "_load_from_bytes", blob(legacy(storage_id(legacy=True))))))
    body += text("_buffers") + tensors + b"u"
    return pickled(
        dictionary(
            G_ema=call(
                "torch_utils.persistence", "_reconstruct_persistent_obj", dictionary(type=text("class"), class_name=text("G"), state=body)
            )
        )
    )


@attack(29, "DamagedFileError", "cut short")
def bytes_of_2_to_the_62():
    return pickled(b"\x8e" + struct.pack("<Q", 2**62))


@attack(30, "UnknownModelError", "holds no network")
def memo_index_of_2_to_the_32():
    return pickled(b"}r" + struct.pack("<I", 2**32 - 1))


@attack(31, "UnsafeFileError", "instructions")
def twelve_million_instructions():
    return pickled(b"(" + b"N" * 12_000_000 + b"l")


@attack(31, "UnsafeFileError", "instructions")
def a_million_sets():
    return pickled(b"(" + b"\x8f" * 2_000_000 + b"l")


@attack(32, "UnsafeFileError", "0x8b")
def a_huge_long():
    return pickled(b"\x8b" + struct.pack("<i", 2**31 - 1) + b"\x01")


def _honest():
    return saved({"g_ema": craft.rosinality(toys.toy_stylegan2(16))[0]})


@attack(33, "DamagedFileError", "cut short")
def one_percent_of_a_file():
    return _honest()[: len(_honest()) // 100]


@attack(34, "DamagedFileError", "expected")
def half_of_a_file():
    return _honest()[: len(_honest()) // 2]


@attack(35, "DamagedFileError", "cut short")
def nearly_all_of_a_file():
    return _honest()[: len(_honest()) * 999 // 1000]


@attack(35, "DamagedFileError", "expected")
def nearly_all_of_a_legacy_file():
    data = saved(craft.state_of(toys.toy_translator()), zipped=False)
    return data[: len(data) * 999 // 1000]


@attack(35, "DamagedFileError", "expected")
def nearly_all_of_a_pickle():
    data = craft.nvidia(toys.toy_stylegan2(16))
    return data[: len(data) * 999 // 1000]


@attack(36, "UnknownModelError", "is a picture")
def a_png_renamed():
    return b"\x89PNG\r\n\x1a\n" + b"\0" * 100


@attack(37, "UnknownModelError", "is a web page")
def a_web_page_renamed():
    return b"\n<!DOCTYPE html><html><head><title>Sign in</title></head></html>"


@attack(38, "DamagedFileError", "check sum")
def a_flipped_bit():
    data = bytearray(_honest())
    data[len(data) // 2] ^= 0x10
    return bytes(data)


@attack(38, "DamagedFileError", "follow after its end")
def bytes_after_the_end():
    return craft.nvidia(toys.toy_stylegan2(16)) + b"more"


@attack(38, "DamagedFileError", "empty")
def nothing_at_all():
    return b""


@attack(39, "UnknownModelError", "git-LFS pointer")
def a_git_lfs_pointer():
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 364\n"


def array_of(dtype_code, shape, data, state=None):
    kind = call("numpy", "dtype", text(dtype_code), b"\x89", b"\x88")
    kind += tuple_of(number(3), text("<"), b"N", b"N", b"N", number(-1), number(-1), number(0)) + b"b" if state is None else state
    empty = call("numpy.core.multiarray", "_reconstruct", word("numpy", "ndarray"), tuple_of(number(0)), blob(b"b"))
    return empty + tuple_of(number(1), tuple_of(*map(number, shape)), kind, b"\x89", data) + b"b"


@attack(40, "UnsafeFileError", "numpy array of O8")
def an_array_of_objects():
    return pickled(array_of("O8", (1,), b"](" + shell() + b"e"))


@attack(41, "UnsafeFileError", "numpy.load")
def numpy_load():
    return pickled(call("numpy", "load", text("/etc/passwd")))


@attack(42, "UnsafeFileError", "0x82")
def an_extension_code():
    return pickled(b"\x82\x01")


@attack(42, "UnsafeFileError", "0x30")
def a_pop():
    return pickled(b"N0}")


@attack(43, "", "")
def malicious_source_text():
    return craft.nvidia(toys.toy_stylegan2(16))


@attack(44, "UnsafeFileError", "nested too deeply")
def networks_nested_deeply():
    state = dictionary(_modules=b"}")
    for _ in range(500):
        state = dictionary(
            _modules=dictionary(
                b4=call(
                    "torch_utils.persistence",
                    "_reconstruct_persistent_obj",
                    dictionary(type=text("class"), class_name=text("G"), state=state),
                )
            )
        )
    return pickled(
        dictionary(
            G_ema=call(
                "torch_utils.persistence", "_reconstruct_persistent_obj", dictionary(type=text("class"), class_name=text("G"), state=state)
            )
        )
    )


def _changed(**changes):
    network = toys.toy_stylegan2(16)
    kwargs = craft.nvidia_kwargs(network)
    kwargs.update(changes)
    return craft.nvidia(network, kwargs=kwargs)


def _poisoned(value):
    network = toys.toy_stylegan2(16)
    network.get_parameter("synthesis.b8.conv0.weight").data[0, 0, 0, 0] = value
    return craft.nvidia(network)


@attack("45", "DamagedFileError", "not numbers")
def weights_of_nan():
    return _poisoned(float("nan"))


@attack("45", "DamagedFileError", "not numbers")
def weights_of_infinity():
    return _poisoned(float("inf"))


@attack("46", "TooBigError", "img_resolution=1048576")
def a_resolution_of_a_million():
    return _changed(img_resolution=1 << 20)


@attack("47", "TooBigError", "num_layers=1000000")
def a_million_layers():
    return _changed(mapping_kwargs={"num_layers": 10**6})


@attack("48", "DamagedFileError", "says c_dim=7")
def classes_that_are_not_there():
    return _changed(c_dim=7)


@attack("48", "TooBigError", "c_dim=1000000000")
def a_billion_classes():
    return _changed(c_dim=10**9)


@attack("49", "DamagedFileError", "synthesis.b8.conv1.bias is")
def a_tensor_of_another_shape():
    network = toys.toy_stylegan2(16)
    network.get_submodule("synthesis.b8.conv1").bias = torch.nn.Parameter(torch.zeros(5))
    return craft.nvidia(network)


@attack("49", "UnsafeFileError", "same bytes for many tensors")
def tensors_that_share_their_bytes():
    big = torch.zeros(256, 256, 4, 4)
    names = [f"model.{10 + index}.conv_block.{conv}.weight" for index in range(40) for conv in (1, 5)]
    state = OrderedDict((name, big[:, :, :3, :3]) for name in names)
    state |= {"model.1.weight": torch.zeros(64, 3, 7, 7), "model.4.weight": torch.zeros(128, 64, 3, 3)}
    state |= {"model.7.weight": torch.zeros(256, 128, 3, 3), "model.50.weight": torch.zeros(256, 128, 3, 3)}
    state |= {"model.53.weight": torch.zeros(128, 64, 3, 3), "model.57.weight": torch.zeros(3, 64, 7, 7), "model.57.bias": torch.zeros(3)}
    return saved(state)


@attack(50, "DamagedFileError", "nonsensical number of bytes")
def a_header_of_2_to_the_60():
    return safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(4), size=2**60)


@attack(51, "TooBigError", "header of 99 MB")
def a_header_of_99_megabytes():
    return safetensors(b"{" + b" " * (99 << 20) + b"}")


@attack(52, "DamagedFileError", "does not match its")
def a_shape_that_lies():
    return safetensors({"a": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4]}}, bytes(4))


@attack(53, "UnsafeFileError", "same bytes")
def tensors_that_overlap():
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    return safetensors({"a": entry, "b": {**entry, "data_offsets": [4, 12]}}, bytes(12))


@attack(54, "UnsafeFileError", "twice")
def the_same_tensor_twice():
    entry = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    return safetensors(f'{{"a":{entry},"a":{entry}}}'.encode(), bytes(4))


@attack(55, "DamagedFileError", "makes no sense")
def offsets_that_overflow():
    return safetensors({"a": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 2**64]}}, bytes(4))


@attack(56, "TooBigError", "more than 20,000 tensors")
def a_hundred_thousand_empty_tensors():
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    return safetensors({f"a{index}": entry for index in range(100_000)})


@attack(57, "DamagedFileError", "header cannot be read")
def json_nested_deeply():
    return safetensors(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


@attack(58, "DamagedFileError", "cut short")
def safetensors_cut_short():
    return safetensors({"a": {"dtype": "F32", "shape": [1000], "data_offsets": [0, 4000]}}, bytes(100))


@attack("58", "DamagedFileError", "studio header")
def a_studio_header_nested_deeply():
    return safetensors({"__metadata__": {"studio": "[" * 100_000}, "a": ONE}, bytes(4))


@attack("58", "TooBigError", "z_dim")
def a_studio_file_of_absurd_size():
    header = {"family": "stylegan2", "config": {"z_dim": 10**9}, "card": {}}
    return safetensors(
        {"__metadata__": {"studio": json.dumps(header)}, "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)
    )


@attack("pickled module", "UnsafeFileError", "state_dict export")
def a_whole_pickled_module():
    file = io.BytesIO()
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1))
    torch.save({"netG": module}, file)
    return file.getvalue()
