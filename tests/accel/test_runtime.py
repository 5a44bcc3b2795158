import threading

import pytest
import torch

from studio.accel import runtime, simd


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
