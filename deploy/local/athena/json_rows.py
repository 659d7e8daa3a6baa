"""JSON lines → record batches of a table's columns, column by column. Pure; `text_scan` opens the files.

A line is taken apart into its members once, without looking into them; only members of columns that are asked for are
decoded, all of a column in one go where they are text. What msgspec does not take, `json` judges.
"""

import contextlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from deploy.local.athena.cells import Decoder, json_decoder, json_text
from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.storage import Storage

ROWS = 10_000
"""A batch has at most so many."""

Members = Mapping[str, msgspec.Raw]
"""A line's object: its values as they stand there, by key."""
Normal = Callable[[str], str]
"""A key as it is compared: in lower case, and with underscores for dots where the table says so."""

_NULL = msgspec.Raw(b"null")
_NUMBER = r"^-?(0|[1-9][0-9]*)([.][0-9]+)?$"
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_texts = msgspec.json.Decoder(list[str | None])


def batches(
    lines: Iterable[bytes], schema: pa.Schema, storage: Storage, *, skipped: int = 0
) -> Iterator[pa.RecordBatch]:
    """The rows after the first `skipped` lines; blank lines are none. `schema` has the columns that are asked for.

    Raises `QueryFailedError` for a line that is no object, unless the table ignores that, and for a value of another
    type.
    """
    lenient = storage.option("ignore.malformed.json", "false").lower() == "true"
    keys = [storage.option(f"mapping.{field.name}", field.name).lower() for field in schema]
    columns = [(key, field.type, json_decoder(field.type)) for key, field in zip(keys, schema, strict=True)]
    normal = _undotted if storage.option("dots.in.keys", "false").lower() == "true" else str.lower
    rest = islice(lines, skipped, None)
    while some := list(islice(rest, ROWS)):
        rows = [row for row in _rows(some, lenient=lenient) if row is not None]
        spellings = _spellings(rows, normal)
        arrays = [_array(key, _cells(rows, spellings.get(key, ())), kind, decode) for key, kind, decode in columns]
        yield pa.record_batch(arrays, schema=schema) if arrays else _empty(schema, len(rows))


def lines_of(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a file that comes in blocks, without their ends."""
    tail = b""
    for block in blocks:
        *whole, tail = (tail + block).split(b"\n")
        yield from whole
    if tail:
        yield tail


def _undotted(key: str) -> str:
    return key.replace(".", "_").lower()


def _empty(schema: pa.Schema, count: int) -> pa.RecordBatch:
    """Rows without any column."""
    return pa.RecordBatch.from_struct_array(pa.array([{}] * count, pa.struct(schema)))


def _rows(lines: Sequence[bytes], *, lenient: bool) -> Sequence[Members | None]:
    try:
        return [_members.decode(line) for line in lines]
    except (ValueError, RecursionError):  # one of them is blank, broken, or no object
        return [_row(line, lenient=lenient) for line in lines]


def _row(line: bytes, *, lenient: bool) -> Members | None:
    """As Python's `json` sees a line: it knows NaN and lone surrogates. None for a blank one."""
    if not line.strip():
        return None
    with contextlib.suppress(ValueError, RecursionError):
        return _members.decode(line)
    problem = ""
    try:
        found = json.loads(line.decode(errors="replace"), parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        found, problem = None, f" - {error}"
    if isinstance(found, dict):
        return {key: msgspec.Raw(json_text(value).encode(errors="replace")) for key, value in found.items()}
    if lenient:
        return {}
    raise QueryFailedError(f"HIVE_CURSOR_ERROR: Row is not a valid JSON Object{problem}")


def _spellings(rows: Sequence[Members], normal: Normal) -> dict[str, list[str]]:
    """How keys that count as one are spelt in these rows."""
    found: dict[str, list[str]] = {}
    for name in set().union(*rows):
        found.setdefault(normal(name), []).append(name)
    return found


def _cells(rows: Sequence[Members], spellings: Collection[str]) -> list[msgspec.Raw]:
    """A column's values. Of several spellings in a row the last one counts."""
    match list(spellings):
        case []:
            return [_NULL] * len(rows)
        case [name]:
            return [row.get(name, _NULL) for row in rows]
        case names:
            return [next((row[key] for key in reversed([*row]) if key in names), _NULL) for row in rows]


def _array(key: str, cells: Sequence[msgspec.Raw], kind: pa.DataType, decode: Decoder) -> pa.Array:
    if pa.types.is_string(kind):
        try:
            return pa.array(_texts.decode(_joined(cells)), kind)
        except ValueError:  # numbers or objects, which a text column takes, too; or no UTF-8
            return _digits(cells) or pa.array([_text(value) for value in _loaded(cells)], kind)
    return pa.array([_value(key, value, decode) for value in _loaded(cells)], kind)


def _digits(cells: Sequence[msgspec.Raw]) -> pa.Array | None:
    """Numbers and nulls as they stand there; None when there is anything else."""
    found = pa.array(map(bytes, cells), pa.binary()).cast(pa.string(), safe=False)
    found = pc.if_else(pc.equal(found, "null"), None, found)
    return found if pc.all(pc.match_substring_regex(found, _NUMBER)).as_py() else None


def _text(value: object) -> str | None:
    text = value if value is None or isinstance(value, str) else json_text(value)
    return text and text.encode(errors="replace").decode()


def _value(key: str, value: object, decode: Decoder) -> object:
    if value is None:
        return None
    try:
        return decode(value)
    except ValueError:
        raise QueryFailedError(
            f"HIVE_BAD_DATA: Error parsing field value {str(value)[:80]!r} for field {key}"
        ) from None


def _loaded(cells: Sequence[msgspec.Raw]) -> list[object]:
    return list(json.loads(_joined(cells).decode(errors="replace"), parse_float=Decimal))


def _joined(cells: Sequence[msgspec.Raw]) -> bytes:
    return b"[" + b",".join(cells) + b"]"
