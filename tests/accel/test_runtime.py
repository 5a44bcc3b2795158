import os
import platform
import subprocess
import sys
import threading

import pytest
import torch

from studio.accel import packed, runtime, simd


@runtime.row_kernel()
def halve_rows(start, stop, block):
    source, target, width = simd.f32_pointer(block[0]), simd.u16_pointer(block[1]), block[2]
    half = simd.splat(simd.float_value(block[3]))
    for offset in range(start * width, stop * width, simd.LANES):
        simd.store(target, offset, simd.mul(simd.load(source, offset), half))


@pytest.mark.parametrize("grain", [1, 3, 100])
def test_a_kernel_sees_every_row_once_whatever_the_grain(grain):
    source = torch.randn(37, 32)
    target = torch.zeros(37, 32, dtype=torch.bfloat16)
    halve_rows(37, source, target, 32, 0.5, grain=grain)
    assert torch.equal(target, (source * 0.5).bfloat16())


def test_kernels_run_from_several_python_threads_at_once():
    source = torch.randn(64, 64)
    targets = [torch.zeros(64, 64, dtype=torch.bfloat16) for _ in range(4)]
    threads = [threading.Thread(target=lambda t=t: [halve_rows(64, source, t, 64, 0.5) for _ in range(50)]) for t in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(target, (source * 0.5).bfloat16()) for target in targets)


def test_kernels_are_kept_in_the_studios_own_cache(studio_home, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    kernel = runtime.row_kernel()(halve_rows.function)
    kernel.compile()
    assert list((studio_home / "cache" / "kernels").rglob("*.nbc"))


def test_setting_the_allocator_twice_is_harmless():
    assert runtime.tune_allocator() == runtime.tune_allocator()


def test_kernels_are_compiled_and_loaded_under_numbas_own_lock():
    from numba.core.compiler_lock import global_compiler_lock

    assert not global_compiler_lock.is_locked()
    with runtime.kernel_cache():
        assert global_compiler_lock.is_locked()


@pytest.mark.parametrize("has_units", [True, False])
def test_bfloat16_wins_only_where_the_processor_has_units_for_it_however_quick_it_looks(has_units, monkeypatch):
    monkeypatch.setattr(runtime, "has_bfloat16_units", lambda: has_units)
    monkeypatch.setattr(runtime, "_timed", lambda work: 1.0 if work.args[0].dtype == torch.bfloat16 else 9.0)
    assert runtime.bfloat16_wins.__wrapped__() == has_units


def test_without_bfloat16_units_weights_in_bfloat16_stay_unpacked_and_convolve_all_the_same(monkeypatch):
    monkeypatch.setattr(packed, "has_bfloat16_units", lambda: False)
    x, weight = torch.randn(1, 32, 9, 9), torch.randn(8, 32, 3, 3)
    conv = packed.PackedConv(weight, None, torch.bfloat16, padding=1)
    got = conv(x.bfloat16().contiguous(memory_format=torch.channels_last))
    assert not conv.is_packed
    assert torch.allclose(got.float(), torch.conv2d(x, weight, padding=1), atol=0.5)


AVX2_ONLY = """
import torch
from studio.accel import runtime
from studio.accel.packed import PackedConv
print(runtime.has_bfloat16_units(), runtime.bfloat16_wins())
x, weight = torch.randn(1, 32, 9, 9), torch.randn(8, 32, 3, 3)
for dtype in (torch.float32, torch.bfloat16):
    img = x.to(dtype).contiguous(memory_format=torch.channels_last)
    conv = PackedConv(weight, None, dtype, padding=1)
    error = (conv(img).float() - torch.nn.functional.conv2d(x, weight, padding=1)).abs().max()
    print(dtype, conv.is_packed, bool(error < (0.5 if dtype == torch.bfloat16 else 1e-3)))
"""


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="only an x86 processor can be told to have AVX2 only")
def test_a_processor_with_avx2_only_packs_float32_alone_and_never_prefers_bfloat16() -> None:
    old = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    said = subprocess.run([sys.executable, "-c", AVX2_ONLY], env=old, capture_output=True, text=True, timeout=120, check=False)
    assert said.stdout.splitlines() == ["False False", "torch.float32 True True", "torch.bfloat16 False True"], said
