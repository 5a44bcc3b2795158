"""A small matrix product for the inside of numba kernels: eight rows by thirty-two columns in registers.

This is *not* a replacement of the CPU library's products: it is for many small ones on data that is still in the cache.
"""

from __future__ import annotations

from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic
from torch import Tensor

from studio.accel.simd import F32_POINTER, LANES

ROWS = 8
COLUMNS = 2 * LANES

_F32 = ir.FloatType()
_I64 = ir.IntType(64)
_VECTOR = ir.VectorType(_F32, LANES)


def pack_columns(matrix: Tensor) -> Tensor:
    """Lay ``matrix [..., depth, columns]`` out for :func:`product`: ``[..., columns / 32, depth, 32]``, contiguous."""
    *outer, depth, columns = matrix.shape
    panels = matrix.reshape(*outer, depth, columns // COLUMNS, COLUMNS)
    return panels.movedim(-2, -3).contiguous()


@intrinsic
def product(typing_context: Any, left: Any, left_step: Any, right: Any, out: Any, out_step: Any, depth: Any) -> Any:
    """Compute ``out[8, 32] = left[8, depth] @ right[depth, 32]`` in float32.

    ``left`` and ``out`` have rows ``left_step`` and ``out_step`` apart; ``right`` is one panel of :func:`pack_columns`.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = ROWS if binding.get_host_cpu_features().get("avx512f") else 2  # as many as the registers hold
        for first in range(0, ROWS, rows):
            _product_rows(builder, arguments, range(first, first + rows))
        return context.get_dummy_value()

    return types.void(F32_POINTER, types.int64, F32_POINTER, F32_POINTER, types.int64, types.int64), generate


def _product_rows(builder: Any, arguments: Any, rows: range) -> None:
    left, left_step, right, out, out_step, depth = arguments
    starts = [builder.gep(left, [builder.mul(left_step, _I64(row))]) for row in rows]
    entry = builder.block
    loop, done = builder.append_basic_block("product"), builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    k = builder.phi(_I64)
    k.add_incoming(_I64(0), entry)
    sums = [[builder.phi(_VECTOR) for _ in range(COLUMNS // LANES)] for _ in rows]
    panel = builder.gep(right, [builder.mul(k, _I64(COLUMNS))])
    columns = [_load(builder, builder.gep(panel, [_I64(part * LANES)])) for part in range(COLUMNS // LANES)]
    for start, row_sums in zip(starts, sums, strict=True):
        value = _repeat(builder, builder.load(builder.gep(start, [k])))
        for column, total in zip(columns, row_sums, strict=True):
            total.add_incoming(ir.Constant(_VECTOR, [0.0] * LANES), entry)
            total.add_incoming(_fma(builder, value, column, total), loop)
    following = builder.add(k, _I64(1))
    k.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, depth), loop, done)
    builder.position_at_end(done)
    for row, row_sums in zip(rows, sums, strict=True):
        place = builder.gep(out, [builder.mul(out_step, _I64(row))])
        for part, total in enumerate(row_sums):
            target = builder.bitcast(builder.gep(place, [_I64(part * LANES)]), _VECTOR.as_pointer())
            builder.store(total.incomings[1][0], target, align=4)


def _load(builder: Any, pointer: Any) -> Any:
    return builder.load(builder.bitcast(pointer, _VECTOR.as_pointer()), align=4)


def _repeat(builder: Any, value: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    name = f"llvm.fma.v{LANES}f32"
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, [a, b, c])


def is_available() -> bool:
    """Say whether the product is worth using: it needs wide registers with fused multiply-add."""
    features = binding.get_host_cpu_features()
    return bool(features.get("avx512f") or (features.get("avx2") and features.get("fma")))
