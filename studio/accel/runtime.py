"""How numba kernels run beside torch on a CPU: one thread pool, one compile cache, one memory policy.

Kernels are written as functions of a range of rows and compiled by numba to plain C functions. They run on torch's own
OpenMP threads (two pools on the same cores would spin against each other), from any number of Python threads at once,
without the interpreter lock. Where torch uses no GNU-compatible OpenMP, a small thread pool of our own does the same
work more slowly. This module is *not* about what is computed; see ``simd.py`` for the arithmetic inside kernels.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import math
import os
import platform
import shutil
import struct
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numba
import torch
from llvmlite import ir
from numba import types
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic
from torch import Tensor

from studio.paths import cache_folder

BLOCK = types.CPointer(types.int64)
"""The type of a kernel's arguments: 64-bit slots, read with ``block[i]`` and the functions of ``simd.py``."""


@functools.cache
def tune_allocator() -> bool:
    """Keep freed memory in the process instead of handing every large tensor back to the system.

    Makes tensors beyond 32 MB 1.4 to 2 times cheaper with glibc; the price is that the process never shrinks. Call it
    before the first large tensor. Elsewhere than on Linux with glibc it does nothing.

    Returns:
        True when the policy was set.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    no_mmap, no_trim, one_arena, top_pad = (-4, 0), (-1, -1), (-8, 1), (-2, 256 << 20)
    return all(mallopt(*option) == 1 for option in (no_mmap, no_trim, one_arena, top_pad))


def has_bfloat16_units() -> bool:
    """Say whether the CPU library calculates in bfloat16 on this processor; on one that has AVX2 only it refuses to."""
    is_there = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    return is_there and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@functools.cache
def bfloat16_wins() -> bool:
    """Say whether convolutions in bfloat16 are clearly faster than in float32 on this CPU (timed once, about 20 ms)."""
    if not has_bfloat16_units():
        return False
    seconds = {torch.float32: math.inf, torch.bfloat16: math.inf}
    with torch.inference_mode():
        for _ in range(12):  # in turns, so that other work on the machine meets both
            for dtype, best in seconds.items():
                image = torch.ones(1, 128, 48, 48, dtype=dtype).contiguous(memory_format=torch.channels_last)
                weight = torch.ones(128, 128, 3, 3, dtype=dtype).contiguous(memory_format=torch.channels_last)
                seconds[dtype] = min(best, _timed(partial(torch.conv2d, image, weight, padding=1)))
    return seconds[torch.bfloat16] * 1.5 < seconds[torch.float32]


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def find_compiler() -> str | None:
    """Return the C++ compiler that torch's own compiler would use, or None."""
    names = (os.environ.get("CXX", ""), "g++", "clang++") if sys.platform != "win32" else ("cl",)
    return next((path for name in names if name and (path := shutil.which(name))), None)


def kernel_cache_folder() -> Path:
    """Return where compiled kernels are kept: a folder per version of this package's source."""
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return cache_folder() / "kernels" / digest.hexdigest()[:16]


@contextmanager
def kernel_cache() -> Iterator[None]:
    """Let numba's ``cache=True`` inside keep its files in the studio's cache folder; ``NUMBA_CACHE_DIR`` wins.

    Holds numba's own lock: numba takes it to compile, but not to load a C function from its cache, and what a library compiles meanwhile
    in another thread (librosa does) would leave such a function without an address.
    """
    with global_compiler_lock:
        before = numba.config.CACHE_DIR
        if not before:
            numba.config.CACHE_DIR = str(kernel_cache_folder())
        try:
            yield
        finally:
            numba.config.CACHE_DIR = before


class RowKernel:
    """A function ``kernel(start, stop, block)`` over rows, compiled on first use and run by all of torch's threads.

    Called as ``kernel(rows, *arguments, grain=1)``: tensors are passed as the address of their first element (dense
    memory is the caller's business, and so is keeping them alive), integers and floats by value, one 64-bit slot each.
    Chunks of ``grain`` rows are handed out as threads become free. See :func:`row_kernel`.
    """

    def __init__(self, function: Callable[[int, int, Any], None], *, fastmath: frozenset[str]) -> None:
        self.function = function
        self.fastmath = fastmath
        self._compiled: Any = None

    def compile(self) -> int:
        """Compile, or load from the cache, and return the address of the C function."""
        if self._compiled is None:
            with kernel_cache():
                signature = types.void(types.int64, types.int64, BLOCK)
                self._compiled = numba.cfunc(signature, cache=True, fastmath=set(self.fastmath))(self.function)
        address: int = self._compiled.address
        return address

    def __call__(self, rows: int, *arguments: Tensor | int | float, grain: int = 1) -> None:
        """Run the kernel over ``range(rows)``."""
        slots = [self.compile(), 0, rows, grain]
        for value in arguments:
            if isinstance(value, Tensor):
                slots.append(value.data_ptr())
            elif isinstance(value, float):
                slots.append(_float_bits(value))
            else:
                slots.append(value)
        block = (ctypes.c_int64 * len(slots))(*slots)
        threads = min(torch.get_num_threads(), -(-rows // grain))
        _runner()(ctypes.addressof(block), threads)


def row_kernel(*, fastmath: frozenset[str] = frozenset({"contract", "nsz"})) -> Callable[[Callable[..., None]], RowKernel]:
    """Turn ``kernel(start, stop, block)`` into a :class:`RowKernel`; nothing is compiled yet.

    The function must be numba-compilable in nopython mode, must not raise, and different rows must not write the same
    memory. ``block[i]`` is argument ``i`` as a 64-bit integer: ``simd.f32_pointer(block[i])`` for a float32 tensor,
    ``simd.u16_pointer(block[i])`` for a bfloat16 one, ``simd.float_value(block[i])`` for a float. An array made inside
    is freed after its last use by name: touch it once more behind the last use of a pointer to it.

    Args:
        fastmath: The liberties that LLVM may take, as numba spells them; by default only fused multiply-add and the
            sign of zero.
    """
    return lambda function: RowKernel(function, fastmath=fastmath)


def _float_bits(value: float) -> int:
    bits: int = struct.unpack("<q", struct.pack("<d", value))[0]
    return bits


@intrinsic
def _take(typing_context: Any, block: Any, count: Any) -> Any:
    """Add ``count`` to the shared counter in ``block[1]`` and return what it was."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        counter = builder.gep(arguments[0], [ir.Constant(ir.IntType(64), 1)])
        return builder.atomic_rmw("add", counter, arguments[1], "monotonic")

    return types.int64(BLOCK, types.int64), generate


@intrinsic
def _run_chunk(typing_context: Any, block: Any, start: Any, stop: Any) -> Any:
    """Call the C function at address ``block[0]`` with a range and the arguments behind the header."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [whole, whole, whole.as_pointer()])
        function = builder.inttoptr(builder.load(arguments[0]), kind.as_pointer())
        rest = builder.gep(arguments[0], [ir.Constant(whole, 4)])
        builder.call(function, [arguments[1], arguments[2], rest])
        return context.get_dummy_value()

    return types.void(BLOCK, types.int64, types.int64), generate


def _work(block: Any) -> None:
    """Take chunks until none is left; every thread runs this on the same block ``[kernel, next row, rows, grain, ...]``."""
    rows, grain = block[2], block[3]
    while True:
        start = _take(block, grain)
        if start >= rows:
            return
        _run_chunk(block, start, min(start + grain, rows))


@functools.cache
def _runner() -> Callable[[int, int], None]:
    """Return ``run(address of block, threads)`` on the best pool there is."""
    with kernel_cache():
        work = numba.cfunc(types.void(BLOCK), cache=True)(_work)
    fork = _openmp_fork()
    if fork is not None:

        def run_on_openmp(block: int, threads: int, body: int = work.address) -> None:
            fork(body, block, threads, 0)

        return run_on_openmp
    body = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(work.address)
    pool = ThreadPoolExecutor(max(1, torch.get_num_threads() - 1), "studio-kernels")

    def run_on_pool(block: int, threads: int) -> None:
        helpers = [pool.submit(body, block) for _ in range(threads - 1)]
        body(block)
        for helper in helpers:
            helper.result()

    run_on_pool.keep = work  # type: ignore[attr-defined]
    return run_on_pool


def _openmp_fork() -> Any:
    """Return ``GOMP_parallel(body, data, threads, flags)`` of the very OpenMP library that torch uses, or None."""
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    if not sys.platform.startswith("linux") or not library.exists():
        return None
    try:
        fork = ctypes.CDLL(str(library)).GOMP_parallel
    except (OSError, AttributeError):
        return None
    fork.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    fork.restype = None
    return fork
