"""Repairs of events that were turned away, as a person asks for them: renames, then casts, then new values. Pure.

A path is a key, or keys and list indexes with dots between (`items.0.id`); a top-level key that is spelt like the whole
path wins. What does not fit a payload leaves it as it is: the event is judged afterwards like any other.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from headrace.errors import ConfigError
from headrace.events.coerce import COERCIONS, decode, encode, opened, text_of
from headrace.events.paths import Object
from headrace.events.schema import Kind

_WHOLE_LIMIT = Decimal(2**63)


class Cast(StrEnum):
    """Types a value can be cast to."""

    INT = "int"
    FLOAT = "float"
    STR = "str"
    BOOL = "bool"


def _to_int(value: Any) -> Any:
    number = COERCIONS[Kind.DOUBLE](value.strip()) if type(value) is str else value
    if isinstance(number, Decimal) and abs(number) < _WHOLE_LIMIT and number == number.to_integral_value():
        return int(number)
    return value


def _trimmed(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: convert(value.strip() if type(value) is str else value)


_CASTS: dict[Cast, Callable[[Any], Any]] = {
    Cast.INT: _to_int,
    Cast.FLOAT: _trimmed(COERCIONS[Kind.DOUBLE]),
    Cast.STR: text_of,
    Cast.BOOL: _trimmed(COERCIONS[Kind.BOOLEAN]),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Repairs:
    """What is done to each payload: all renames, then all casts, then all new values, each in the order given."""

    renames: Sequence[tuple[str, str]] = ()
    casts: Sequence[tuple[str, Cast]] = ()
    values: Sequence[tuple[str, Any]] = ()

    def __call__(self, payload: bytes) -> bytes:
        """The payload mended; byte for byte the same when there is nothing to do, or when it is no JSON object."""
        if not (self.renames or self.casts or self.values):
            return payload
        try:
            obj = decode(payload)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return payload
        if type(obj) is not dict:
            return payload
        for old, new in self.renames:
            _rename(obj, old, new)
        for path, cast in self.casts:
            if (place := _place(obj, path)) is not None and (value := place.holder[place.key]) is not None:
                place.holder[place.key] = _CASTS[cast](value)
        for path, value in self.values:
            if (place := _place(obj, path, make=True)) is not None:
                place.holder[place.key] = value
        return encode(obj)


def parse_repairs(*, sets: Iterable[str] = (), renames: Iterable[str] = (), casts: Iterable[str] = ()) -> Repairs:
    """`path=value` (JSON, else text), `old=new`, `path=type` → repairs. Raises `ConfigError` listing all problems."""
    problems: list[str] = []

    def pairs(option: str, texts: Iterable[str], *, right: bool = True) -> Iterator[tuple[str, str]]:
        for text in texts:
            path, equals, rest = text.partition("=")
            if not (path and equals and (rest or not right)) or not all(path.split(".")):
                problems.append(f"{option} {text!r}: must look like {_SHAPES[option]}")
            else:
                yield path, rest

    values = [(path, opened(text)) for path, text in pairs("--set", sets, right=False)]
    moves = []
    for old, new in pairs("--rename", renames):
        if old == new or not all(new.split(".")):
            problems.append(f"--rename {old}={new}: must name two different paths")
        moves.append((old, new))
    kinds = []
    for path, name in pairs("--cast", casts):
        if name in set(Cast):
            kinds.append((path, Cast(name)))
        else:
            problems.append(f"--cast {path}={name}: the types are {', '.join(Cast)}")
    if problems:
        raise ConfigError(problems)
    return Repairs(renames=moves, casts=kinds, values=values)


_SHAPES = {"--set": "path=value", "--rename": "old=new", "--cast": "path=type"}


class _Place(NamedTuple):
    """What holds the end of a path, and the key or index there."""

    holder: Any
    key: Any


def _place(obj: Object, path: str, *, make: bool = False) -> _Place | None:
    """Where a path leads, or None; with `make` to a new key too, through objects that are made on the way."""
    if path in obj:
        return _Place(obj, path)
    holder: Any = obj
    *way, last = path.split(".")
    for key in way:
        if make and type(holder) is dict and holder.get(key) is None:
            holder[key] = {}
        if (step := _step(holder, key)) is None:
            return None
        holder = step.holder[step.key]
    if make and type(holder) is dict:
        return _Place(holder, last)
    return _step(holder, last)


def _step(holder: Any, key: str) -> _Place | None:
    if type(holder) is dict and key in holder:
        return _Place(holder, key)
    if type(holder) is list and key.isdecimal() and int(key) < len(holder):
        return _Place(holder, int(key))
    return None


def _rename(obj: Object, old: str, new: str) -> None:
    """What stands at `old` stands at `new` afterwards, in place of what was there. Elements of lists stay in them."""
    source = _place(obj, old)
    if source is None or type(source.holder) is not dict:
        return
    value = source.holder.pop(source.key)
    target = _place(obj, new, make=True) or source
    target.holder[target.key] = value
