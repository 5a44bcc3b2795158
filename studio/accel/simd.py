"""Sixteen float32 at a time: what the inside of a numba kernel is written with.

Kernels see memory as typed pointers (no bounds, no strides) and compute in vectors of :data:`LANES` float32; bfloat16
lives in memory only, as unsigned 16-bit integers, and is rounded to nearest even on the way out. LLVM turns a vector
into one AVX-512, two AVX2 or four NEON registers. This module is *not* usable outside numba-compiled functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

LANES = 16

_F32 = ir.FloatType()
_I16 = ir.IntType(16)
_I32 = ir.IntType(32)
_VF32 = ir.VectorType(_F32, LANES)
_VI16 = ir.VectorType(_I16, LANES)
_VI32 = ir.VectorType(_I32, LANES)


class VectorType(types.Type):
    """The numba type of sixteen float32 in a register."""

    def __init__(self) -> None:
        super().__init__(name="float32x16")


vector = VectorType()


@register_model(VectorType)
class VectorModel(models.PrimitiveModel):
    """Tells numba that a :class:`VectorType` is an LLVM vector."""

    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _VF32)


F32_POINTER = types.CPointer(types.float32)
U16_POINTER = types.CPointer(types.uint16)
I64_POINTER = types.CPointer(types.int64)

Generator = Callable[[Any, Any, Any, Any], Any]


def _pointer(result: Any, element: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], element.as_pointer())

    return result(types.int64), generate


@intrinsic
def f32_pointer(context: Any, address: Any) -> Any:
    """Read a 64-bit address as a pointer to float32."""
    return _pointer(F32_POINTER, _F32)


@intrinsic
def u16_pointer(context: Any, address: Any) -> Any:
    """Read a 64-bit address as a pointer to bfloat16 kept as unsigned 16-bit integers."""
    return _pointer(U16_POINTER, _I16)


@intrinsic
def i64_pointer(context: Any, address: Any) -> Any:
    """Read a 64-bit address as a pointer to 64-bit integers."""
    return _pointer(I64_POINTER, ir.IntType(64))


@intrinsic
def offset_by(context: Any, pointer: Any, count: Any) -> Any:
    """Move a pointer by ``count`` elements."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.int64), generate


@intrinsic
def float_value(context: Any, slot: Any) -> Any:
    """Read a 64-bit slot as the Python float that was passed, rounded to float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fptrunc(builder.bitcast(arguments[0], ir.DoubleType()), _F32)

    return types.float32(types.int64), generate


@intrinsic
def from_bf16(context: Any, bits: Any) -> Any:
    """Widen one bfloat16 (as uint16) to float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = builder.shl(builder.zext(arguments[0], _I32), _I32(16))
        return builder.bitcast(wide, _F32)

    return types.float32(types.uint16), generate


@intrinsic
def widen(context: Any, value: Any) -> Any:
    """Read one value from memory, bfloat16 (as uint16) or float32, as float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if value != types.uint16:
            return arguments[0]
        return builder.bitcast(builder.shl(builder.zext(arguments[0], _I32), _I32(16)), _F32)

    return types.float32(value), generate


@intrinsic
def to_bf16(context: Any, value: Any) -> Any:
    """Round one float32 to bfloat16 (as uint16), to nearest even."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _round(builder, builder.bitcast(arguments[0], _I32), _I32, _I16)

    return types.uint16(types.float32), generate


def _round(builder: Any, bits: Any, wide: Any, narrow: Any) -> Any:
    def constant(value: int) -> Any:
        return ir.Constant(wide, [value] * LANES if isinstance(wide, ir.VectorType) else value)

    odd = builder.and_(builder.lshr(bits, constant(16)), constant(1))
    bits = builder.add(bits, builder.add(odd, constant(0x7FFF)))
    return builder.trunc(builder.lshr(bits, constant(16)), narrow)


def _address(builder: Any, pointer: Any, offset: Any, kind: Any) -> Any:
    return builder.bitcast(builder.gep(pointer, [offset]), kind.as_pointer())


@intrinsic
def load(context: Any, pointer: Any, offset: Any) -> Any:
    """Load sixteen values from ``pointer[offset]`` on, widening bfloat16."""
    is_half = pointer == U16_POINTER

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, start = arguments
        if not is_half:
            return builder.load(_address(builder, source, start, _VF32), align=4)
        bits = builder.load(_address(builder, source, start, _VI16), align=2)
        wide = builder.shl(builder.zext(bits, _VI32), ir.Constant(_VI32, [16] * LANES))
        return builder.bitcast(wide, _VF32)

    return vector(pointer, types.int64), generate


@intrinsic
def store(context: Any, pointer: Any, offset: Any, value: Any) -> Any:
    """Store sixteen values from ``pointer[offset]`` on, rounding to bfloat16 where the memory is."""
    is_half = pointer == U16_POINTER

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, offset, value = arguments
        if is_half:
            bits = _round(builder, builder.bitcast(value, _VI32), _VI32, _VI16)
            builder.store(bits, _address(builder, target, offset, _VI16), align=2)
        else:
            builder.store(value, _address(builder, target, offset, _VF32), align=4)
        return context.get_dummy_value()

    return types.void(pointer, types.int64, vector), generate


@intrinsic
def prefetch(context: Any, pointer: Any, offset: Any, is_write: Any) -> Any:
    """Ask for the cache line of ``pointer[offset]`` ahead of time, to read it (0) or to write it (1); any address will do."""
    if not isinstance(is_write, types.IntegerLiteral):
        return None
    flag = is_write.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        address = builder.bitcast(builder.gep(arguments[0], [arguments[1]]), byte)
        builder.call(function, [address, _I32(flag), _I32(3), _I32(1)])
        return context.get_dummy_value()

    return types.void(pointer, types.int64, is_write), generate


@intrinsic
def splat(context: Any, value: Any) -> Any:
    """Repeat one float32 sixteen times."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first = builder.insert_element(ir.Constant(_VF32, ir.Undefined), arguments[0], _I32(0))
        return builder.shuffle_vector(first, ir.Constant(_VF32, ir.Undefined), ir.Constant(_VI32, [0] * LANES))

    return vector(types.float32), generate


def _binary(operation: str) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return getattr(builder, operation)(*arguments)

    return vector(vector, vector), generate


@intrinsic
def add(context: Any, a: Any, b: Any) -> Any:
    """Compute ``a + b``."""
    return _binary("fadd")


@intrinsic
def sub(context: Any, a: Any, b: Any) -> Any:
    """Compute ``a - b``."""
    return _binary("fsub")


@intrinsic
def mul(context: Any, a: Any, b: Any) -> Any:
    """Compute ``a * b``."""
    return _binary("fmul")


@intrinsic
def fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """Compute ``a * b + c``, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_VF32, [_VF32] * 3), f"llvm.fma.v{LANES}f32")
        return builder.call(function, arguments)

    return vector(vector, vector, vector), generate


def _select(comparison: str) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b = arguments
        return builder.select(builder.fcmp_ordered(comparison, a, b), a, b)

    return vector(vector, vector), generate


@intrinsic
def maximum(context: Any, a: Any, b: Any) -> Any:
    """Compute the larger of ``a`` and ``b`` (``b`` where either is NaN)."""
    return _select(">")


@intrinsic
def minimum(context: Any, a: Any, b: Any) -> Any:
    """Compute the smaller of ``a`` and ``b`` (``b`` where either is NaN)."""
    return _select("<")


@intrinsic
def total(context: Any, a: Any) -> Any:
    """Sum the sixteen lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (value,) = arguments
        undefined = ir.Constant(_VF32, ir.Undefined)
        for step in (8, 4, 2, 1):
            order = [(lane + step) % LANES for lane in range(LANES)]
            value = builder.fadd(value, builder.shuffle_vector(value, undefined, ir.Constant(_VI32, order)))
        return builder.extract_element(value, _I32(0))

    return types.float32(vector), generate
