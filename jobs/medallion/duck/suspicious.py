"""Texts that may not have been texts: DuckDB reads 5, true and [1] into a column of texts as what they look like."""

import re
import string
from collections.abc import Iterable
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from jobs.medallion.duck.lines import Line
from jobs.medallion.duck.raw import TEXTS

LONG_TEXT = 20_000
"""Bytes: a line over 1 MiB without such a text would need dozens of known columns."""

_FIRST = frozenset((string.digits + "-[{tfNI").encode())
"""What JSON begins with when it is no text."""
_IS_FIRST = pa.array([byte in _FIRST for byte in range(256)]).cast(pa.uint8())
_NO_TEXT = r"\A(-?([0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?|Infinity)|NaN|true|false|[\[{](?s:.*))\z"
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_NONE = pa.array([], pa.uint64())
_objects = msgspec.json.Decoder(dict[str, Any])


def no_texts(texts: pa.Array) -> pa.Array:
    """Positions of texts that are JSON of another kind as well.

    Regular expressions over all texts of an event would cost a quarter of reading them. Their first bytes, found by the
    offsets in the array's own buffers, are enough to tell most apart.
    """
    _, offsets, data = texts.buffers()
    if not len(texts) or data is None or not data.size:
        return _NONE
    starts = pa.Array.from_buffers(pa.int32(), len(texts), [None, offsets], offset=texts.offset)
    within = pc.min_element_wise(starts, pa.scalar(data.size - 1, pa.int32()))  # an empty text may start at the end
    is_first = _IS_FIRST.take(pa.Array.from_buffers(pa.uint8(), data.size, [None, data]).take(within))
    if not pc.max(is_first).as_py():
        return _NONE
    candidates = pc.indices_nonzero(is_first)
    return candidates.filter(pc.match_substring_regex(texts.take(candidates), _NO_TEXT))


def too_long(texts: pa.Array) -> pa.Array:
    """Positions of texts as only an oversized line has them."""
    lengths = pc.binary_length(texts)
    longest = pc.max(lengths).as_py()
    return pc.indices_nonzero(pc.greater(lengths, LONG_TEXT)) if longest and longest > LONG_TEXT else _NONE


def numbered(lines: Iterable[Line]) -> frozenset[str]:
    """Columns of texts that hold numbers in one of these lines, such as the codes of products.

    A reader that cannot tell such texts from numbers would have doubts about every line.
    """
    found: set[str] = set()
    for line in lines:
        try:
            event = _objects.decode(line.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        found |= {name for name in TEXTS if isinstance(text := event.get(name), str) and _NUMBER.fullmatch(text)}
    return frozenset(found)
