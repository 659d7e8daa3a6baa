"""Foreign values → values of our columns' types, without guessing.

What has no clear reading as its column's type goes on unchanged, and validation rejects it.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from headrace.events.schema import COLUMNS, Event, Kind

Coercion = Callable[[Any], Any]

KINDS = {column.name: column.kind for column in COLUMNS}
KEYS = {field.name: field.encode_name for field in msgspec.structs.fields(Event)}
"""Column → JSON key; they differ for `event_time`."""

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def decode(payload: bytes | msgspec.Raw | str) -> Any:
    """JSON → Python; fractions become Decimals, so that no digit is lost on the way.

    Raises `msgspec.DecodeError`, `UnicodeError` or `RecursionError`.
    """
    return _DECODER.decode(payload)


def encode(value: Any) -> bytes:
    """Python → JSON; Decimals become numbers."""
    return _ENCODER.encode(value)


def opened(text: str) -> Any:
    """JSON held in a string, or the string itself when it holds none."""
    try:
        return decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text


def text_of(value: Any) -> str:
    """A value as text: strings as they are, everything else as JSON."""
    return value if type(value) is str else _ENCODER.encode(value).decode()


def _to_integer(value: Any) -> Any:
    return int(value) if type(value) is str and _INTEGER.fullmatch(value) else value


def _to_decimal(value: Any) -> Any:
    return Decimal(value) if type(value) is str and _NUMBER.fullmatch(value) else value


def _to_boolean(value: Any) -> Any:
    if type(value) is str or type(value) is int:
        return _BOOLEANS.get(str(value).lower(), value)
    return value


def _to_map(value: Any) -> Any:
    if type(value) is str:
        value = opened(value)
    if type(value) is not dict:
        return value
    return {key: text_of(item) for key, item in value.items() if item is not None}


def _as_it_is(value: Any) -> Any:
    return value


COERCIONS: dict[Kind, Coercion] = {
    Kind.STRING: text_of,
    Kind.BIGINT: _to_integer,
    Kind.INT: _to_integer,
    Kind.DOUBLE: _to_decimal,
    Kind.DECIMAL: _to_decimal,
    Kind.BOOLEAN: _to_boolean,
    Kind.TIMESTAMP: _as_it_is,
    Kind.MAP: _to_map,
}

_TYPES: dict[Kind, tuple[type, ...]] = {
    Kind.STRING: (str,),
    Kind.BIGINT: (int,),
    Kind.INT: (int,),
    Kind.DOUBLE: (int, float, Decimal),
    Kind.DECIMAL: (int, float, Decimal),
    Kind.BOOLEAN: (bool,),
    Kind.TIMESTAMP: (int, float, str),
    Kind.MAP: (dict,),
}

_BY_KEY = {key: (KEYS[name], COERCIONS[KINDS[name]]) for name in KINDS for key in (name, KEYS[name])}


def fits(value: Any, kind: Kind) -> bool:
    """Whether a coerced value has the type of its column."""
    return isinstance(value, _TYPES[kind]) and (kind is Kind.BOOLEAN or not isinstance(value, bool))


def coerce(obj: dict[str, Any]) -> dict[str, Any]:
    """An object whose keys are ours but whose values are text: a row of a CSV file that needs no mapping."""
    return {
        name: convert(value) for key, value in obj.items() for name, convert in (_BY_KEY.get(key, (key, _as_it_is)),)
    }
