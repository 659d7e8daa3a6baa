"""Where the elements of a JSON text are, when something in one of them is no JSON.

Decoders refuse a whole array for one NaN or lone surrogate in it. Here only brackets, strings and separators are
looked at, strictly; what is inside an element is for the parser to judge, so that one bad event harms no other.
"""

import re
from collections.abc import Iterator

_SPACE = re.compile(rb"[ \t\r\n]*+")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_WORD = re.compile(rb'[^ \t\r\n,:"\[\]{}]+')
_NESTING = re.compile(_STRING.pattern + rb"|[\[\]{}]", re.DOTALL)


def elements(text: bytes) -> list[bytes] | None:
    """The elements of a text that is one array, or None when its outline is not that of an array."""
    try:
        return [value for _, value in _children(text, b"[", b"]")]
    except _NoOutlineError:
        return None


def members(text: bytes) -> dict[bytes, bytes] | None:
    """The values of a text that is one object by their keys (as written, escapes and all), or None; the last wins."""
    try:
        return dict(_children(text, b"{", b"}"))
    except _NoOutlineError:
        return None


class _NoOutlineError(Exception):
    """Brackets, strings and separators are not where they must be."""


def _children(text: bytes, opening: bytes, closing: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = _after(text, _skip(text, 0), opening)
    if text.startswith(closing, at):
        at = _skip(text, at + 1)
    else:
        more = True
        while more:
            key = b""
            if opening == b"{":
                end = _end(_STRING.match(text, at))
                key, at = text[at + 1 : end - 1], _after(text, _skip(text, end), b":")
            end = _value_end(text, at)
            yield key, text[at:end]
            at = _skip(text, end)
            more = text.startswith(b",", at)
            at = _after(text, at, b"," if more else closing)
    if at != len(text):
        raise _NoOutlineError


def _value_end(text: bytes, at: int) -> int:
    if not text.startswith((b"[", b"{"), at):
        return _end(_STRING.match(text, at) or _WORD.match(text, at))
    depth = 0
    for match in _NESTING.finditer(text, at):
        token = match.group()
        depth += (token in (b"[", b"{")) - (token in (b"]", b"}"))
        if depth == 0:
            return match.end()
    raise _NoOutlineError


def _after(text: bytes, at: int, token: bytes) -> int:
    """Behind the token and the blanks that follow it."""
    if not text.startswith(token, at):
        raise _NoOutlineError
    return _skip(text, at + len(token))


def _skip(text: bytes, at: int) -> int:
    return _end(_SPACE.match(text, at))


def _end(match: re.Match[bytes] | None) -> int:
    if match is None:
        raise _NoOutlineError
    return match.end()
