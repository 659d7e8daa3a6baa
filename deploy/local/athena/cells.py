"""Values in text and JSON files → values of a column's type. Pure; a decoder is built once for a column."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

import pyarrow as pa

Decoder = Callable[[Any], Any]
"""From what stands in the file, never None, to a value that Arrow takes. Raises `ValueError` for what is none."""

HIVE_SEPARATORS = ("\x01", "\x02", "\x03")
"""Between columns, between items, between a key and its value."""


def text_decoder(kind: pa.DataType, separators: Sequence[str] = HIVE_SEPARATORS[1:]) -> Decoder:
    """Text as Hive writes it; nested types use up `separators` from the front."""
    if pa.types.is_map(kind):
        items, pairs = _first_two(separators)
        key, value = text_decoder(kind.key_type, separators[2:]), text_decoder(kind.item_type, separators[2:])
        return lambda text: [
            (key(left), value(right)) for left, _, right in (pair.partition(pairs) for pair in _split(text, items))
        ]
    if pa.types.is_list(kind):
        items, _ = _first_two(separators)
        item = text_decoder(kind.value_type, separators[1:])
        return lambda text: [item(part) for part in _split(text, items)]
    if pa.types.is_struct(kind):
        items, _ = _first_two(separators)
        names = [field.name for field in kind]
        decoders = [text_decoder(field.type, separators[1:]) for field in kind]
        return lambda text: {
            name: decode(part) for name, decode, part in zip(names, decoders, text.split(items), strict=False)
        }
    return _scalar(kind)


def csv_decoder(kind: pa.DataType) -> Decoder:
    """As OpenCSVSerde: dates are days and timestamps milliseconds since 1970."""
    if pa.types.is_date(kind):
        return lambda text: int(_plain(text))
    if pa.types.is_timestamp(kind):
        return lambda text: int(_plain(text)) * 1000
    return _scalar(kind)


def json_decoder(kind: pa.DataType) -> Decoder:
    """A decoded JSON value. Text columns take any value, as JSON text."""
    if pa.types.is_map(kind):
        key, item = text_decoder(kind.key_type), _optional(json_decoder(kind.item_type))
        return lambda value: [(key(name), item(one)) for name, one in _expect(dict, value).items()]
    if pa.types.is_list(kind):
        item = _optional(json_decoder(kind.value_type))
        return lambda value: [item(one) for one in _expect(list, value)]
    if pa.types.is_struct(kind):
        fields = {field.name.lower(): (field.name, _optional(json_decoder(field.type))) for field in kind}
        return lambda value: {
            fields[name.lower()][0]: fields[name.lower()][1](one)
            for name, one in _expect(dict, value).items()
            if name.lower() in fields
        }
    if pa.types.is_string(kind):
        return lambda value: value if isinstance(value, str) else json_text(value)
    scalar = _scalar(kind)
    return lambda value: scalar(value if isinstance(value, str) else json_text(value))


def json_text(value: Any) -> str:
    """JSON as it stood in the file, without its spaces; decimals keep their digits."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{json_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _scalar(kind: pa.DataType) -> Decoder:
    if pa.types.is_integer(kind):
        limit = 1 << (kind.bit_width - 1)
        return lambda text: _within(int(_plain(text)), limit)
    for matches, decode in _SCALARS:
        if matches(kind):
            return decode
    if pa.types.is_decimal(kind):
        step = Decimal(1).scaleb(-kind.scale)
        return lambda text: _decimal(text, step)
    return str


def _plain(text: str) -> str:
    """Python would take `1_000` for a number."""
    if "_" in text:
        raise ValueError(text)
    return text


def _decimal(text: str, step: Decimal) -> Decimal:
    try:
        return Decimal(_plain(text)).quantize(step, ROUND_HALF_UP)
    except InvalidOperation:
        raise ValueError(text) from None


def _boolean(text: str) -> bool:
    word = text.lower()
    if word not in {"true", "false"}:
        raise ValueError(text)
    return word == "true"


def _timestamp(text: str) -> datetime:
    moment = datetime.fromisoformat(text.strip())
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _within(number: int, limit: int) -> int:
    if not -limit <= number < limit:
        raise ValueError(number)
    return number


def _expect(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError(value)  # noqa: TRY004 - as for every other cell
    return value


def _optional(decode: Decoder) -> Decoder:
    return lambda value: None if value is None else decode(value)


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator) if text else []


def _first_two(separators: Sequence[str]) -> tuple[str, str]:
    """Hive has eight; three levels of nesting are enough here."""
    padded = (*separators, "\x04", "\x05")
    return padded[0], padded[1]


_SCALARS: tuple[tuple[Callable[[pa.DataType], bool], Decoder], ...] = (
    (pa.types.is_boolean, _boolean),
    (pa.types.is_floating, lambda text: float(_plain(text))),
    (pa.types.is_date, lambda text: date.fromisoformat(text.strip()[:10])),
    (pa.types.is_timestamp, _timestamp),
    (pa.types.is_binary, str.encode),
)
