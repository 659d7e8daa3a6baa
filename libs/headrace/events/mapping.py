"""Foreign JSON and CSV → our keys, as a TOML file says. Compiled once into one closure per column.

```toml
unnest = "events"          # one input, many events: each child is laid over its parent
session = "gap:30m"        # no session in the data: the silver job cuts it
properties = "*"           # keep what the file does not name

[fields]                   # column = where to look
product_id = "item.id"     # a path may step into lists (`items.0.id`) and into JSON held in a string
user_id = ["user.id", "visitor"]              # the first that is present and not null
session_id = { hash = ["ip", "user_agent"] }  # 16 hex digits of SHA-256

[constants]                # where [fields] finds nothing
currency = "EUR"

[values.event_type]        # translations, by the value's text: numbers, true and false too
clicks = "page_view"

[csv]
delimiter = ";"
null = "NA"                # beside the empty cell
```
"""

import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from headrace.errors import ConfigError
from headrace.events.coerce import COERCIONS, KEYS, KINDS, fits, text_of
from headrace.events.paths import Getter, Object, at_path, first_of, hash_of, replaced

_OURS = frozenset({"ingest_time", "schema_version"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """What a mapping file says, ready to run. Made by `parse_mapping` and `load_mapping`."""

    delimiter: str = ","
    null: str = ""
    unnest: str | None = None
    _fields: tuple[tuple[str, Getter], ...] = ()
    _constants: Object = field(default_factory=dict)
    _named: frozenset[str] | None = None
    """Top-level keys that a path uses; None when the others are not kept."""

    def apply(self, obj: Object) -> list[Object]:
        """One input → its events with our keys, in order. Missing and null values are left out.

        Never fails on data: what does not fit is left for validation to reject, as is an input without the list that
        `unnest` names and a child that is no object.
        """
        if self.unnest is None:
            return [self._event(obj)]
        children = at_path(self.unnest)(obj)
        if type(children) is not list:
            return [self._event({})]
        parent = {key: value for key, value in obj.items() if key != self.unnest}
        return [self._event(parent | child if type(child) is dict else {}) for child in children]

    def isolate(self, obj: Object, index: int) -> Object:
        """The input with only its `index`-th child: what to keep of an input when that one event is rejected."""
        if self.unnest is None:
            return obj
        children = at_path(self.unnest)(obj)
        return replaced(obj, self.unnest, [children[index]]) if type(children) is list else obj

    def _event(self, obj: Object) -> Object:
        event = self._constants.copy()
        for key, get in self._fields:
            value = get(obj)
            if value is not None:
                event[key] = value
        if self._named is not None:
            rest = {key: text_of(value) for key, value in obj.items() if value is not None and key not in self._named}
            if rest:
                event["properties"] = rest
        return event


def load_mapping(path: str) -> Mapping:
    """The mapping in a file. Raises `ConfigError` listing all that is wrong with it."""
    try:
        return parse_mapping(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read: {error}"]) from error
    except ConfigError as error:
        raise ConfigError([f"{path}: {problem}" for problem in error.problems]) from None


def parse_mapping(text: str) -> Mapping:
    """The mapping in a TOML text. Raises `ConfigError` listing all that is wrong with it."""
    try:
        file = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"no TOML: {error}"]) from error
    except ValidationError as error:
        raise ConfigError([_problem(detail) for detail in error.errors(include_url=False)]) from None
    if problems := [*_gaps(file), *_misfits(file)]:
        raise ConfigError(problems)
    return _compile(file)


class _Rule(NamedTuple):
    paths: tuple[str, ...]
    hashed: bool


def _column_name(name: str) -> str:
    column = "event_time" if name == KEYS["event_time"] else name
    if column not in KINDS:
        raise ValueError("no such column")
    if column in _OURS:
        raise ValueError("set by Headrace itself")
    return column


def _rule(value: Any) -> _Rule:
    hashed = isinstance(value, dict) and value.keys() == {"hash"}
    paths = value["hash"] if hashed else [value] if isinstance(value, str) else value
    if not (isinstance(paths, list) and paths and all(isinstance(path, str) and path for path in paths)):
        raise ValueError('must be "a.path", ["paths"] or { hash = ["paths"] }')
    return _Rule(tuple(paths), hashed)


def _scalar(value: Any) -> Any:
    if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("must be text, a finite number, true or false")
    return value


_ColumnName = Annotated[str, AfterValidator(_column_name)]
_Scalar = Annotated[Any, PlainValidator(_scalar)]


class _Csv(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    delimiter: Annotated[str, Field(pattern=r'^[^"\r\n]$')] = ","
    null: str = ""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    fields: dict[_ColumnName, Annotated[_Rule, PlainValidator(_rule)]] = {}
    constants: dict[_ColumnName, _Scalar] = {}
    values: dict[_ColumnName, dict[str, _Scalar]] = {}
    unnest: Annotated[str, Field(min_length=1)] | None = None
    session: Annotated[str, Field(pattern=r"^gap:[0-9]+[smhd]$")] | None = None
    properties: Literal["*"] | None = None
    csv: _Csv = _Csv()


def _problem(detail: Any) -> str:
    place = ".".join(str(part) for part in detail["loc"] if part != "[key]")
    return f"{place}: {detail['msg'].removeprefix('Value error, ')}"


def _gaps(file: _File) -> Iterator[str]:
    given = {*file.fields, *file.constants}
    for column in ("event_type", "event_time"):
        if column not in given:
            yield f"{column}: required, in [fields] or [constants]"
    if "session_id" not in given and file.session is None:
        yield 'session_id: required, or say session = "gap:30m"'
    if "properties" in given and file.properties:
        yield 'properties: either "*" or a field'


def _misfits(file: _File) -> Iterator[str]:
    places = [(f"constants.{column}", column, value) for column, value in file.constants.items()]
    for column, table in file.values.items():
        if column not in file.fields:
            yield f"values.{column}: translates a column that is not in [fields]"
        places += [(f"values.{column}.{key}", column, value) for key, value in table.items()]
    for place, column, value in places:
        kind = KINDS[column]
        if not fits(COERCIONS[kind](value), kind):
            yield f"{place}: no {kind}: {value!r}"


def _compile(file: _File) -> Mapping:
    constants = {KEYS[column]: COERCIONS[KINDS[column]](value) for column, value in file.constants.items()}
    if file.session is not None:
        constants["session_rule"] = file.session
    paths = [path for rule in file.fields.values() for path in rule.paths] + ([file.unnest] if file.unnest else [])
    return Mapping(
        delimiter=file.csv.delimiter,
        null=file.csv.null,
        unnest=file.unnest,
        _fields=tuple((KEYS[name], _column(name, rule, file.values.get(name))) for name, rule in file.fields.items()),
        _constants=constants,
        _named=frozenset({*paths, *(path.split(".")[0] for path in paths)}) if file.properties else None,
    )


def _column(name: str, rule: _Rule, translations: Object | None) -> Getter:
    getters = [at_path(path) for path in rule.paths]
    get = hash_of(getters) if rule.hashed else getters[0] if len(getters) == 1 else first_of(getters)
    convert = COERCIONS[KINDS[name]]
    table = translations or {}

    def column(obj: Object) -> Any:
        value = get(obj)
        return None if value is None else convert(value)

    def translated(obj: Object) -> Any:
        value = get(obj)
        return None if value is None else convert(table.get(text_of(value), value))

    return translated if table else column
