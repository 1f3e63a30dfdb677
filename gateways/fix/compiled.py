"""Compiling, and bytes read eight at a time, in three lanes that must agree.

`KK99_LANE` chooses the lane at import, as in the core: `jit` (default), `checked` (numba with bounds checks), or
`python` (nothing is compiled, for debugging and coverage; NUMBA_DISABLE_JIT=1 asks for it too). Only here does the
codec know of lanes and of LLVM; everything else is written once, as plain Python on integers and byte arrays.

Invariant: words are little-endian and signed; a buffer has PAD bytes beyond the last one that means anything, so
reading or writing a whole word near its end stays inside it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from kk99 import jit_folder

if TYPE_CHECKING:
    from collections.abc import Callable

PAD: Final = 64
"""Bytes that every buffer must have beyond its last meaningful one."""

SOH: Final = 1
"""The byte that ends every field."""

_DISABLED: Final = os.environ.get("NUMBA_DISABLE_JIT", "0") not in {"", "0"}
LANE: Final = "python" if _DISABLED else os.environ.get("KK99_LANE", "jit")
if LANE not in {"jit", "checked", "python"}:
    _MESSAGE = f"KK99_LANE is {LANE!r}: use jit, checked or python"
    raise ValueError(_MESSAGE)

_ONES: Final = 0x0101010101010101
_HIGH: Final = -0x7F7F7F7F7F7F7F80
"""The highest bit of every byte of a word."""

_Function = TypeVar("_Function", bound="Callable[..., Any]")
inlined: Callable[[_Function], _Function]
kernel: Callable[[_Function], _Function]
entry: Callable[[_Function], _Function]


_FOLDER: Final = Path(__file__).parent
_IMPORT: Final = re.compile(r"^from gateways\.fix(?:\.(\w+) import| import (\([^)]+\)|[^(\n]+))", re.MULTILINE)


def compiled_modules(folder: Path) -> set[str]:
    """Return the modules with entries into compiled code, and all that they import: an edit of others changes none."""
    texts = {path.stem: path.read_text() for path in folder.glob("*.py")}
    waiting = [name for name, text in texts.items() if "\n@entry\n" in text]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in found or name not in texts:
            continue
        found.add(name)
        for module, names in _IMPORT.findall(texts[name]):
            waiting += [module] if module else re.findall(r"(\w+)(?: as \w+)?", names)
    return found


if LANE == "python":

    def _plain(function: Any) -> Any:
        return function

    inlined = kernel = entry = _plain

    def load64(buffer: Any, at: int) -> int:
        """Return the word that begins at an index."""
        return int.from_bytes(buffer[at : at + 8].tobytes(), "little", signed=True)

    def store64(buffer: Any, at: int, word: int) -> None:
        """Write a word at an index."""
        for place in range(8):
            buffer[at + place] = (word >> (8 * place)) & 0xFF

    def lowest_bit(word: int) -> int:
        """Return the index of the lowest bit of a word that is not zero."""
        return (word & -word).bit_length() - 1

    def shift_left(word: int, bits: int) -> int:
        """Return the word moved up by less than 64 bits; what leaves it is lost."""
        moved = (word << bits) & ((1 << 64) - 1)
        return moved - ((moved >> 63) << 64)

else:
    import numba
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic

    _OPTIONS: Final[dict[str, Any]] = {"_nrt": False, "error_model": "numpy", "boundscheck": False}
    if LANE == "checked":
        _OPTIONS.update(_nrt=True, boundscheck=True)
    _CACHE: Final = str(jit_folder.folder_of("fix", LANE, _FOLDER, compiled_modules(_FOLDER)))

    def inlined(function: Any) -> Any:
        """Compile a small function into its callers."""
        return numba.njit(**_OPTIONS, forceinline=LANE == "jit", no_cpython_wrapper=True)(function)

    def kernel(function: Any) -> Any:
        """Compile a function that compiled code calls: what is rare or used in many places.

        It says so because numba would have it be as its first caller is: part of its callers, where that one is.
        """
        return numba.njit(**_OPTIONS, forceinline=False, no_cpython_wrapper=True)(function)

    def entry(function: Any) -> Any:
        """Compile a function that Python calls, without the interpreter's lock, and keep it on disk."""
        kept = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = _CACHE
        try:
            return numba.njit(nogil=True, cache=True, **_OPTIONS)(function)
        finally:
            numba.config.CACHE_DIR = kept

    @intrinsic
    def _count_trailing_zeros(typing_context: Any, word: Any) -> Any:
        def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

        return types.int64(types.int64), codegen

    @inlined
    def lowest_bit(word: int) -> int:
        """Return the index of the lowest bit of a word that is not zero."""
        return _count_trailing_zeros(word)

    @inlined
    def shift_left(word: int, bits: int) -> int:
        """Return the word moved up by less than 64 bits; what leaves it is lost."""
        return word << bits

    if LANE == "jit":

        def _pointer(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
            data = context.make_array(kind)(context, builder, array).data
            return builder.bitcast(builder.gep(data, [at]), ir.IntType(64).as_pointer())

        @intrinsic
        def load64(typing_context: Any, buffer: Any, at: Any) -> Any:
            """Return the word that begins at an index."""

            def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                return builder.load(_pointer(context, builder, signature.args[0], args[0], args[1]), align=1)

            return types.int64(buffer, types.int64), codegen

        @intrinsic
        def store64(typing_context: Any, buffer: Any, at: Any, word: Any) -> Any:
            """Write a word at an index."""

            def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                builder.store(args[2], _pointer(context, builder, signature.args[0], args[0], args[1]), align=1)
                return context.get_dummy_value()

            return types.void(buffer, types.int64, types.int64), codegen

        @intrinsic
        def find64(typing_context: Any, buffer: Any, at: Any) -> Any:
            """Return a word with a bit for each of the 64 bytes from an index that is SOH."""

            def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                data = context.make_array(signature.args[0])(context, builder, args[0]).data
                many = ir.VectorType(ir.IntType(8), 64)
                block = builder.load(builder.bitcast(builder.gep(data, [args[1]]), many.as_pointer()), align=1)
                found = builder.icmp_unsigned("==", block, ir.Constant(many, [SOH] * 64))
                return builder.bitcast(found, ir.IntType(64))

            return types.int64(buffer, types.int64), codegen

    else:

        @inlined
        def load64(buffer: Any, at: int) -> int:
            """Return the word that begins at an index."""
            word = 0
            for place in range(7, -1, -1):
                word = (word << 8) | int(buffer[at + place])
            return word

        @inlined
        def store64(buffer: Any, at: int, word: int) -> None:
            """Write a word at an index."""
            for place in range(8):
                buffer[at + place] = (word >> (8 * place)) & 0xFF


if LANE != "jit":

    @inlined
    def find64(buffer: Any, at: int) -> int:
        """Return a word with a bit for each of the 64 bytes from an index that is SOH."""
        word = 0
        for place in range(64):
            if buffer[at + place] == SOH:
                word |= 1 << place
        return word


@inlined
def plain_int(value: int) -> int:
    """Return a number as a plain one: compiled code is compiled once more for each constant and each narrow type."""
    return int(value) + 0


@inlined
def has_byte(word: int, pattern: int) -> int:
    """Return a word whose lowest bit set stands in the first byte equal to the pattern's; 0 when none is."""
    difference = word ^ pattern
    return (difference - _ONES) & ~difference & _HIGH


def constants(values: list[int]) -> Any:
    """Return numbers that compiled code may index; in the python lane they stay numbers without a bound."""
    return values if LANE == "python" else np.array(values, np.int64)


def pattern(byte: int) -> int:
    """Return a word of eight such bytes."""
    return byte * _ONES


def literal(text: bytes) -> int:
    """Return at most eight bytes of text as a word, for `store64`."""
    assert len(text) <= 8, f"{text!r} is longer than a word"
    return int.from_bytes(text.ljust(8, b"\0"), "little", signed=True)
