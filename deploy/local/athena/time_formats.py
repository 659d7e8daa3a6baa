"""Formats of `date_format` and `date_parse`: MySQL's letters → strftime's."""

import re

from deploy.local.athena.errors import QueryFailedError

_SPECIFIERS = {
    "a": "%a", "b": "%b", "c": "%-m", "d": "%d", "e": "%-d", "f": "%f", "H": "%H", "h": "%I", "I": "%I", "i": "%M",
    "j": "%j", "k": "%-H", "l": "%-I", "M": "%B", "m": "%m", "p": "%p", "r": "%I:%M:%S %p", "S": "%S", "s": "%S",
    "T": "%H:%M:%S", "v": "%V", "W": "%A", "x": "%G", "Y": "%Y", "y": "%y", "%": "%%",
}  # fmt: skip
_FORMAT_ONLY = frozenset({"v", "x"})


def to_strftime(pattern: str, *, parsing: bool) -> str:
    """`%Y-%m-%d %H:%i` → `%Y-%m-%d %H:%M`. Raises `QueryFailedError` for a letter that has no counterpart."""

    def translate(match: re.Match[str]) -> str:
        letter = match[1]
        if letter not in _SPECIFIERS or (parsing and letter in _FORMAT_ONLY):
            raise QueryFailedError(f"INVALID_FUNCTION_ARGUMENT: %{letter} not supported in date format string")
        return _SPECIFIERS[letter]

    return re.sub(r"%(.)", translate, pattern)
