"""Named queries: a file's header says what it answers and which parameters it takes, `:name` marks where they go.

    -- What it answers.
    --
    -- :limit integer = 10  what it means

Values become literals here and nowhere else, by the declared type. Without a default a parameter must be given.

Two holes are filled without a declaration: `:table` with the name of the table of events, and `:days` with the
condition on its partition keys that holds from `:from` to `:to`, which such a query declares as dates.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from importlib import resources

from headrace.errors import NotFoundError
from headrace.sql.days import days_between

_PARAMETER = re.compile(r"-- :([a-z_]+)\s+(string|date|integer)(?:\s+=\s+(\S+))?\s+(\S.*)")
_TOKEN = re.compile(
    r"""'(?:[^']|'')*'            # a string,
      | "(?:[^"]|"")*"            # a quoted name
      | --[^\n]*                  # or a comment, in which a colon is a colon,
      | :(?P<name>[a-z_]+)\b      # or a parameter
    """,
    re.VERBOSE,
)
_TABLE, _DAYS, _FIRST, _LAST = "table", "days", "from", "to"
_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,127}")
_HEADER = re.compile(r"(?:--[^\n]*\n|\s)*")
_UNSPEAKABLE = {"Cc", "Cs"}
"""Unicode categories of control characters and lone surrogates."""


class ParameterType(StrEnum):
    """What a value must be, and how it is spelt in SQL."""

    STRING = "string"
    DATE = "date"
    INTEGER = "integer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a named query."""

    type: ParameterType
    default: str | None
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedQuery:
    """A query with holes. `text` is its file without the header."""

    name: str
    about: str
    parameters: Mapping[str, Parameter]
    text: str

    def render(self, values: Mapping[str, str], *, table: str = "events") -> str:
        """The statement with its holes filled. Raises `ValueError` naming an unknown, missing or wrong parameter.

        `table` is the table of events in the database that the statement runs in.
        """
        if unknown := values.keys() - self.parameters.keys():
            takes = ", ".join(self.parameters) or "none"
            raise ValueError(f"{self.name} has no parameter {', '.join(sorted(unknown))}; it takes {takes}")
        given = {name: self._given(name, values.get(name)) for name in self.parameters}
        holes = {name: self._literal(name, value) for name, value in given.items()} | {_TABLE: identifier(table)}
        if _spans_days(self.parameters):
            holes[_DAYS] = days_between(date.fromisoformat(given[_FIRST]), date.fromisoformat(given[_LAST]))
        return _TOKEN.sub(lambda token: holes[token["name"]] if token["name"] else token[0], self.text)

    def _given(self, name: str, value: str | None) -> str:
        parameter = self.parameters[name]
        given = parameter.default if value is None else value
        if given is None:
            raise ValueError(f"{self.name} wants a value for {name}: {parameter.about}")
        return given

    def _literal(self, name: str, value: str) -> str:
        try:
            return literal(self.parameters[name].type, value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


def names() -> list[str]:
    """The names of all queries there are."""
    files = resources.files(__package__).iterdir()
    return sorted(file.name.removesuffix(".sql") for file in files if file.name.endswith(".sql"))


def load(name: str) -> NamedQuery:
    """The query of that name. Raises `NotFoundError` that lists those there are."""
    known = names()
    if name not in known:
        raise NotFoundError(f"no query is named {name!r}; there are {', '.join(known)}")
    return parse(name, resources.files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8"))


def parse(name: str, text: str) -> NamedQuery:
    """A query from its file's text. Raises `ValueError` when a parameter is used that the header does not declare."""
    about = text.partition("\n")[0].removeprefix("--").strip()
    parameters = {
        match[1]: Parameter(type=ParameterType(match[2]), default=match[3], about=match[4])
        for match in map(_PARAMETER.fullmatch, text.splitlines())
        if match
    }
    statement = _HEADER.sub("", text, count=1).rstrip()
    filled = {_TABLE, _DAYS} if _spans_days(parameters) else {_TABLE}
    holes = {token["name"] for token in _TOKEN.finditer(statement) if token["name"]}
    if undeclared := holes - parameters.keys() - filled:
        raise ValueError(f"{name} uses parameters it does not declare: {', '.join(sorted(undeclared))}")
    return NamedQuery(name=name, about=about, parameters=parameters, text=statement)


def identifier(name: str) -> str:
    """A table's name as Athena's SELECT spells it. Raises `ValueError` for all but small letters, digits and `_`."""
    if not _IDENTIFIER.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a table")
    return f'"{name}"'


def literal(kind: ParameterType, value: str) -> str:
    """A value as Athena's SELECT spells it. Raises `ValueError` when it is not of that type."""
    return _LITERALS[kind](value)


def _spans_days(parameters: Mapping[str, Parameter]) -> bool:
    ends = [parameters.get(name) for name in (_FIRST, _LAST)]
    return all(end is not None and end.type is ParameterType.DATE for end in ends)


def _string(value: str) -> str:
    if any(unicodedata.category(character) in _UNSPEAKABLE for character in value):
        raise ValueError("control characters are not allowed")
    doubled = value.replace("'", "''")
    return f"'{doubled}'"


def _date(value: str) -> str:
    try:
        return f"DATE '{date.fromisoformat(value).isoformat()}'"
    except ValueError:
        raise ValueError(f"{value!r} is no day like 2026-04-09") from None


def _integer(value: str) -> str:
    if not re.fullmatch(r"-?[0-9]{1,18}", value):
        raise ValueError(f"{value!r} is no whole number")
    return str(int(value))


_LITERALS: Mapping[ParameterType, Callable[[str], str]] = {
    ParameterType.STRING: _string,
    ParameterType.DATE: _date,
    ParameterType.INTEGER: _integer,
}
