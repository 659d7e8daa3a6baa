"""Ways into a foreign JSON object, compiled to closures. None stands for both missing and null."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from headrace.events.coerce import encode, opened, text_of

Object = dict[str, Any]
Getter = Callable[[Object], Any]


def at_path(path: str) -> Getter:
    """What is at a dotted path: through objects, lists (`items.0.id`) and JSON held in strings.

    A top-level key that is spelt like the whole path wins.
    """
    keys = path.split(".")
    if len(keys) == 1:
        return lambda obj: obj.get(path)

    def walk(obj: Object) -> Any:
        if path in obj:
            return obj[path]
        value: Any = obj
        for key in keys:
            value = _step(value, key)
            if value is None:
                return None
        return value

    return walk


def first_of(getters: Sequence[Getter]) -> Getter:
    """The first that is there."""

    def first(obj: Object) -> Any:
        for get in getters:
            value = get(obj)
            if value is not None:
                return value
        return None

    return first


def hash_of(getters: Sequence[Getter]) -> Getter:
    """16 hex digits of SHA-256 over all values as text; None when none of them is there."""

    def hashed(obj: Object) -> str | None:
        parts = [None if (value := get(obj)) is None else text_of(value) for get in getters]
        # As a JSON list the parts keep their borders: ["ab", "c"] is not ["a", "bc"], and null is not "null".
        return None if all(part is None for part in parts) else hashlib.sha256(encode(parts)).hexdigest()[:16]

    return hashed


def replaced(obj: Object, path: str, leaf: Any) -> Object:
    """A copy with something else at a path that leads somewhere."""
    if path in obj:
        return {**obj, path: leaf}
    copy: Object = _replaced(obj, path.split("."), leaf)
    return copy


def _replaced(value: Any, keys: Sequence[str], leaf: Any) -> Any:
    if not keys:
        return leaf
    value = opened(value) if type(value) is str else value
    if type(value) is list:
        return [_replaced(item, keys[1:], leaf) if n == int(keys[0]) else item for n, item in enumerate(value)]
    return {**value, keys[0]: _replaced(value[keys[0]], keys[1:], leaf)}


def _step(value: Any, key: str) -> Any:
    if type(value) is str:
        value = opened(value)
    if type(value) is dict:
        return value.get(key)
    if type(value) is list and key.isdecimal() and int(key) < len(value):
        return value[int(key)]
    return None
