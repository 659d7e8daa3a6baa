"""Columns of seeded draws: each a hash of what it is drawn for, so that no draw depends on another one.

The hash is the finalizer of SplitMix64 (Steele, Lea and Flood 2014). All is done in whole numbers: no library's way of
rounding can change what is drawn.
"""

from enum import IntEnum
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

Column = Any
"""An Arrow array; pyarrow has no types of its own."""

_GOLDEN = 0x9E3779B97F4A7C15
_STEPS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LAST_SHIFT = 31
_MASK = 2**64 - 1


class Draw(IntEnum):
    """What is drawn. Another one for the same id is independent of the first."""

    START = 1
    USER = 2
    PERSON = 3
    SCRIPT = 4
    PRODUCT = 5
    """And the following ones, for the products of one visit: keep it last."""

    IS_LATE = -1
    DELAY = -2
    IS_REPEATED = -3
    LAG = -4
    IS_SPOILT = -5
    DAMAGE = -6
    ACT = -7


def numbered(key: int, first: int, count: int) -> Column:
    """`count` ids (uint64), the same for the same `key`, no two alike for numbers from `first` on."""
    numbers = pa.arange(first, first + count).cast(pa.uint64())
    return _mixed(pc.add(pc.multiply(numbers, _uint64(_GOLDEN)), _uint64(key)))


def drawn(ids: Column, what: Column | int) -> Column:
    """64 random bits for each id. `what` is a `Draw`, or a column of whole numbers (uint64) that stand for some."""
    number = pc.multiply(what, _uint64(_GOLDEN)) if isinstance(what, pa.Array) else _uint64(what * _GOLDEN)
    return _mixed(pc.bit_wise_xor(ids, number))


def below(bits: Column, count: int) -> Column:
    """Whole numbers (int64) from 0 to `count` - 1, for a `count` below 2³¹, of the upper half of `bits`."""
    upper = pc.shift_right(bits, _uint64(32))
    return pc.shift_right(pc.multiply(upper, _uint64(count)), _uint64(32)).cast(pa.int64())


def in_share(bits: Column, share: float) -> Column:
    """True for `share` (0 to 1) of all."""
    return pc.less(bits, _uint64(min(int(share * 2**64), _MASK)))


def low_heavy(bits: Column, count: int) -> Column:
    """As `below`, but small numbers more often: the product of two draws, one of each half of `bits`."""
    lower = pc.bit_wise_and(bits, _uint64(2**32 - 1))
    return below(pc.multiply(pc.shift_right(bits, _uint64(32)), lower), count)


def _mixed(x: Column) -> Column:
    for shift, factor in _STEPS:
        x = pc.multiply(pc.bit_wise_xor(x, pc.shift_right(x, _uint64(shift))), _uint64(factor))
    return pc.bit_wise_xor(x, pc.shift_right(x, _uint64(_LAST_SHIFT)))


def _uint64(value: int) -> Any:
    return pa.scalar(value & _MASK, pa.uint64())
