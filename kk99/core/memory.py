"""Raw words of the core's one memory, in three lanes that must agree.

`KK99_LANE` chooses the lane at import:

- `jit` (default): a memory is an int64 address; loads and stores compile to single instructions, nothing is checked;
- `checked`: likewise, but the word before a memory is its length, and every load and store is checked against it;
- `python`: a memory is an int64 array, plain Python without compiling, for debugging and coverage.

Everything else in the core is written once, as plain Python on integers, through the functions of this module. Only
here does code know of lanes, of LLVM, and of the private numba option `_nrt` (no reference counts: the kernel holds
no objects); should a numba release drop it, `_OPTIONS` without it is correct and some 20 % slower.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING, Any, Final

from kk99.core import jit_cache

if TYPE_CHECKING:
    from collections.abc import Callable

LANE: Final = os.environ.get("KK99_LANE", "jit")
if LANE not in {"jit", "checked", "python"}:
    _MESSAGE = f"KK99_LANE is {LANE!r}: use jit, checked or python"
    raise ValueError(_MESSAGE)
CHECKED: Final = LANE != "jit"

jit_cache.prepare(LANE)

_WORD: Final = (1 << 64) - 1
_SPREAD: Final = 0x9E3779B97F4A7C1


def _die(unraisable: Any) -> None:
    """End the process on what a `far` function raised: there is nobody to take it, and the state is broken."""
    traceback.print_exception(unraisable.exc_value)
    os.abort()


kernel: Callable[[Any], Any]
inlined: Callable[[Any], Any]
apart: Callable[[Any], Any]
far: Callable[[Any], Any]
entry: Callable[[Any], Any]

if LANE == "python":

    def _plain(function: Any) -> Any:
        return function

    kernel = inlined = apart = far = entry = _plain

    def load(memory: Any, index: int) -> int:
        """Return the word at an index."""
        assert 0 <= index < len(memory)
        return int(memory[index])

    def store(memory: Any, index: int, word: int) -> None:
        """Set the word at an index; OverflowError when it passes int64."""
        assert 0 <= index < len(memory)
        memory[index] = word

    def low(word: int) -> int:
        """Return the signed low half of a word."""
        return ((word & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000

    def mix(first: int, second: int, third: int, salt: int) -> int:
        """Return 31 well-mixed bits of three words, keyed by a salt: the halves of a 128-bit product, folded."""
        product = ((first ^ salt) & _WORD) * ((second ^ (third * _SPREAD) ^ (salt * _SPREAD)) & _WORD)
        return ((product ^ (product >> 64)) >> 20) & 0x7FFFFFFF

    def lowest_bit(word: int) -> int:
        """Return the index of the lowest bit of a word that is not zero."""
        return (word & -word).bit_length() - 1

    def highest_bit(word: int) -> int:
        """Return the index of the highest bit of a word that is not zero."""
        return (word & _WORD).bit_length() - 1

    def bit(index: int) -> int:
        """Return the word with one bit set."""
        return (1 << index) - ((1 << 64) if index == 63 else 0)

    def prefetch(memory: Any, index: int) -> None:
        """Hint that the word's cache line is soon needed."""

    def unlikely(condition: bool) -> bool:
        """Return a condition that rarely holds: the code for it stands out of the way."""
        return condition

else:
    import numba
    from llvmlite import binding, ir
    from numba.core import types
    from numba.extending import intrinsic

    _OPTIONS: Final[dict[str, Any]] = {"_nrt": False, "error_model": "numpy", "boundscheck": False}
    if LANE == "checked":
        sys.unraisablehook = _die

    def kernel(function: Any) -> Any:
        """Compile a function of the core."""
        return numba.njit(**_OPTIONS)(function)

    def inlined(function: Any) -> Any:
        """Compile a small function of the core into its callers."""
        return numba.njit(**_OPTIONS, forceinline=True)(function)

    def apart(function: Any) -> Any:
        """Compile a function of the core that rarely runs, not into its callers even where they are inlined."""
        return numba.njit(**_OPTIONS, forceinline=False)(function)

    def entry(function: Any) -> Any:
        """Compile a function that Python calls: memory, rows, then plain integers; an integer back. Cached on disk."""
        count = function.__code__.co_argcount
        signature = types.int64(*[types.int64] * count)

        def make() -> Any:
            jit_cache.compile_far()
            return numba.njit(signature, nogil=True, cache=True, **_OPTIONS)(function)

        return jit_cache.lazily(make)

    def far(function: Any) -> Any:
        """Compile a function of the core by itself, cached on disk; its callers only know its name.

        Without this each caller compiles all that it calls once more. For what is not on the path of a plain order.
        It is defined before what calls it.
        """
        result = types.void if function.__annotations__["return"] == "None" else types.int64
        signature = result(*[types.int64] * function.__code__.co_argcount)
        symbol = f"{function.__module__}.{function.__name__}"

        def make() -> Any:
            compiled = numba.cfunc(signature, cache=True, **_OPTIONS)(function)
            binding.add_symbol(symbol, compiled.address)
            return compiled

        jit_cache.add_far(make)
        return types.ExternalFunction(symbol, signature)

    @intrinsic
    def _count_trailing_zeros(typing_context: Any, word: Any) -> Any:
        def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

        return types.int64(types.int64), codegen

    @intrinsic
    def _count_leading_zeros(typing_context: Any, word: Any) -> Any:
        def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            return builder.ctlz(args[0], ir.Constant(ir.IntType(1), 1))

        return types.int64(types.int64), codegen

    @intrinsic
    def _mix(typing_context: Any, first: Any, second: Any, third: Any, salt: Any) -> Any:
        def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            first, second, third, salt = args
            word, wide, spread = ir.IntType(64), ir.IntType(128), ir.Constant(ir.IntType(64), _SPREAD)
            left = builder.xor(first, salt)
            right = builder.xor(second, builder.xor(builder.mul(third, spread), builder.mul(salt, spread)))
            product = builder.mul(builder.zext(left, wide), builder.zext(right, wide))
            folded = builder.xor(product, builder.lshr(product, ir.Constant(wide, 64)))
            bits = builder.trunc(builder.lshr(folded, ir.Constant(wide, 20)), word)
            return builder.and_(bits, ir.Constant(word, 0x7FFFFFFF))

        return types.int64(types.int64, types.int64, types.int64, types.int64), codegen

    @intrinsic
    def unlikely(typing_context: Any, condition: Any) -> Any:
        """Return a condition that rarely holds: the code for it stands out of the way."""

        def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            boolean = ir.IntType(1)
            kind = ir.FunctionType(boolean, [boolean, boolean])
            expect = builder.module.declare_intrinsic("llvm.expect", [boolean], kind)
            return builder.call(expect, [args[0], ir.Constant(boolean, 0)])

        return types.boolean(types.boolean), codegen

    @inlined
    def low(word: int) -> int:
        """Return the signed low half of a word."""
        return ((word & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000

    @inlined
    def mix(first: int, second: int, third: int, salt: int) -> int:
        """Return 31 well-mixed bits of three words, keyed by a salt: the halves of a 128-bit product, folded."""
        return _mix(first, second, third, salt)

    @inlined
    def lowest_bit(word: int) -> int:
        """Return the index of the lowest bit of a word that is not zero."""
        return _count_trailing_zeros(word)

    @inlined
    def highest_bit(word: int) -> int:
        """Return the index of the highest bit of a word that is not zero."""
        return 63 - _count_leading_zeros(word)

    @inlined
    def bit(index: int) -> int:
        """Return the word with one bit set."""
        return 1 << index

    @intrinsic
    def _load(typing_context: Any, memory: Any, index: Any) -> Any:
        """Return the word at an index."""

        def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            pointer = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
            return builder.load(builder.gep(pointer, [args[1]]))

        return types.int64(types.int64, types.int64), codegen

    @intrinsic
    def _store(typing_context: Any, memory: Any, index: Any, word: Any) -> Any:
        """Set the word at an index."""

        def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            pointer = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
            builder.store(args[2], builder.gep(pointer, [args[1]]))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64), codegen

    @intrinsic
    def _load_half(typing_context: Any, memory: Any, base: Any, position: Any) -> Any:
        """Return a signed half word: `position` counts halves from the word `base`."""

        def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            words = builder.gep(builder.inttoptr(args[0], ir.IntType(64).as_pointer()), [args[1]])
            halves = builder.bitcast(words, ir.IntType(32).as_pointer())
            return builder.sext(builder.load(builder.gep(halves, [args[2]])), ir.IntType(64))

        return types.int64(types.int64, types.int64, types.int64), codegen

    @intrinsic
    def _store_half(typing_context: Any, memory: Any, base: Any, position: Any, half: Any) -> Any:
        """Set a half word: `position` counts halves from the word `base`."""

        def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            words = builder.gep(builder.inttoptr(args[0], ir.IntType(64).as_pointer()), [args[1]])
            halves = builder.bitcast(words, ir.IntType(32).as_pointer())
            builder.store(builder.trunc(args[3], ir.IntType(32)), builder.gep(halves, [args[2]]))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64, types.int64), codegen

    @intrinsic
    def _prefetch(typing_context: Any, memory: Any, index: Any) -> Any:
        """Hint that the word's cache line is soon needed."""

        def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
            hint = builder.module.declare_intrinsic("llvm.prefetch.p0", fnty=kind)
            pointer = builder.gep(builder.inttoptr(args[0], ir.IntType(64).as_pointer()), [args[1]])
            write, keep, data = (ir.Constant(number, value) for value in (1, 3, 1))
            builder.call(hint, [builder.bitcast(pointer, byte), write, keep, data])
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    prefetch = _prefetch
    if LANE == "jit":
        load, store, load_half, store_half = _load, _store, _load_half, _store_half
    else:

        @inlined
        def load(memory: Any, index: int) -> int:
            """Return the word at an index."""
            assert 0 <= index < _load(memory, -1)
            return _load(memory, index)

        @inlined
        def store(memory: Any, index: int, word: int) -> None:
            """Set the word at an index."""
            assert 0 <= index < _load(memory, -1)
            _store(memory, index, word)

        @inlined
        def load_half(memory: Any, base: int, position: int) -> int:
            """Return a signed half word: `position` counts halves from the word `base`."""
            assert 0 <= base + (position >> 1) < _load(memory, -1)
            return _load_half(memory, base, position)

        @inlined
        def store_half(memory: Any, base: int, position: int, half: int) -> None:
            """Set a half word: `position` counts halves from the word `base`."""
            assert 0 <= base + (position >> 1) < _load(memory, -1)
            _store_half(memory, base, position, half)


@inlined
def high(word: int) -> int:
    """Return the signed high half of a word."""
    return word >> 32


@inlined
def pair(first: int, second: int) -> int:
    """Return the word with the given low and high halves."""
    return (first & 0xFFFFFFFF) | (second << 32)


@inlined
def load_low(memory: Any, index: int) -> int:
    """Return the signed low half of the word at an index."""
    return low(load(memory, index))


@inlined
def load_high(memory: Any, index: int) -> int:
    """Return the signed high half of the word at an index."""
    return load(memory, index) >> 32


@inlined
def store_low(memory: Any, index: int, half: int) -> None:
    """Set the low half of the word at an index."""
    store(memory, index, pair(half, load(memory, index) >> 32))


@inlined
def store_high(memory: Any, index: int, half: int) -> None:
    """Set the high half of the word at an index."""
    store(memory, index, (load(memory, index) & 0xFFFFFFFF) | (half << 32))


if LANE == "python":

    def load_half(memory: Any, base: int, position: int) -> int:
        """Return a signed half word: `position` counts halves from the word `base`."""
        word = load(memory, base + (position >> 1))
        return word >> 32 if position & 1 else low(word)

    def store_half(memory: Any, base: int, position: int, half: int) -> None:
        """Set a half word: `position` counts halves from the word `base`."""
        if position & 1:
            store_high(memory, base + (position >> 1), half)
        else:
            store_low(memory, base + (position >> 1), half)


@inlined
def add(memory: Any, index: int, amount: int) -> None:
    """Add to the word at an index."""
    store(memory, index, load(memory, index) + amount)


@inlined
def bits_above(word: int, index: int) -> int:
    """Return the bits of a word above an index."""
    if index == 63:
        return 0
    return word & (-1 << (index + 1))


@inlined
def bits_below(word: int, index: int) -> int:
    """Return the bits of a word below an index."""
    return word & (bit(index) - 1) if index < 63 else word & 0x7FFFFFFFFFFFFFFF
