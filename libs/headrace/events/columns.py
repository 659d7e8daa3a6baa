"""Lists of values → Arrow arrays, the fast way when all is well and value by value when Arrow refuses."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headrace.events.parse import DECIMAL_LIMIT
from headrace.events.privacy import IPV4, truncate_ip
from headrace.events.schema import Time
from headrace.events.times import END_OF_TIME, MILLISECONDS_FROM, to_micros

DECIMAL = pa.decimal128(18, 4)
_CENTS = Decimal("0.0001")
_IPV4 = f"^{IPV4}$"


def times(values: Sequence[Time | None]) -> pa.Array:
    """Microseconds since 1970 UTC as int64; null where there is no time or no valid one."""
    try:
        numbers = pa.array(values, pa.int64())
    except (pa.ArrowException, OverflowError):
        return pa.array([_micros_or_none(value) for value in values], pa.int64())
    bounds = pc.min_max(numbers).as_py()
    if bounds["max"] is None:
        return numbers
    if bounds["min"] >= MILLISECONDS_FROM and bounds["max"] < END_OF_TIME // 1000:
        return pc.multiply(numbers, 1000)
    return pa.array([_micros_or_none(value) for value in values], pa.int64())


def decimals(values: Sequence[Decimal | None]) -> tuple[pa.Array, list[int]]:
    """decimal(18,4), rounded half to even, and the positions of what does not fit (null in the array)."""
    try:
        return pa.array(values, DECIMAL), []
    except (pa.ArrowException, ValueError):
        fitting = [value if value is None or _fits(value) else None for value in values]
        rounded = [value if value is None else value.quantize(_CENTS) for value in fitting]
        lost = [at for at, (before, after) in enumerate(zip(values, fitting, strict=True)) if before is not after]
        return pa.array(rounded, DECIMAL), lost


def maps(values: Sequence[dict[str, str] | None]) -> pa.Array:
    """map<string, string>."""
    kind = pa.map_(pa.string(), pa.string())
    if values.count(None) == len(values):
        return pa.nulls(len(values), kind)
    return pa.array([None if value is None else list(value.items()) for value in values], kind)


def networks(addresses: pa.Array) -> pa.Array:
    """IP addresses as text → their truncated networks; null for what is no address."""
    coded = addresses.dictionary_encode()
    distinct = coded.dictionary
    truncated = pc.replace_substring_regex(distinct, pattern=_IPV4, replacement=r"\1.0")
    is_plain = pc.match_substring_regex(distinct, pattern=_IPV4)
    if not pc.all(is_plain).as_py():
        truncated = pc.if_else(is_plain, truncated, by_distinct(distinct, truncate_ip, pa.string()))
    return truncated.take(coded.indices)


def by_distinct(texts: pa.Array, look_up: Callable[[str], Any], kind: pa.DataType) -> pa.Array:
    """`look_up` of every value, called once per distinct one; null stays null."""
    coded = texts.dictionary_encode()
    return pa.array([look_up(text) for text in coded.dictionary.to_pylist()], kind).take(coded.indices)


def _micros_or_none(value: Time | None) -> int | None:
    try:
        return None if value is None else to_micros(value)
    except ValueError:
        return None


def _fits(value: Decimal) -> bool:
    return value.is_finite() and abs(value) < DECIMAL_LIMIT
